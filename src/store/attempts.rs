//! Upkeep that fails is tried again, later and later, and said once.

use std::collections::BTreeMap;

use crate::error::Result;

/// Rounds between two tries grow to this.
const ROUNDS_MAX: u64 = 1_024;

/// A piece of upkeep. One that fails keeps no other from being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// Building the latest table of a view that has none.
    Table(u32),
    /// Turning the log's full segments into runs.
    Seal,
    /// Merging the runs of a view.
    Merge(u32),
    /// Syncing the log.
    Sync,
}

/// What failed, and when it is tried again. Time is counted in rounds, which whoever does the work goes.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    round: u64,
    failed: BTreeMap<Work, Failed>,
}

#[derive(Debug)]
struct Failed {
    rounds_waited: u64,
    next: u64,
    said: String,
}

impl Attempts {
    pub fn begin_round(&mut self) {
        self.round += 1;
    }

    /// Does it, unless it failed not long ago.
    pub fn attempt(&mut self, work: Work, doing: impl FnOnce() -> Result<()>) {
        if self.failed.get(&work).is_some_and(|failed| failed.next > self.round) {
            return;
        }
        let before = self.failed.remove(&work);
        let Err(error) = doing() else {
            if before.is_some() {
                tracing::info!(?work, "upkeep of the store goes on");
            }
            return;
        };
        let said = error.to_string();
        if before.as_ref().is_none_or(|before| before.said != said) {
            tracing::warn!(?work, error = said, "upkeep of the store failed; it is tried again, less and less often");
        }
        let rounds_waited = before.map_or(2, |before| (2 * before.rounds_waited).min(ROUNDS_MAX));
        self.failed.insert(work, Failed { rounds_waited, next: self.round + rounds_waited, said });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn what_fails_is_tried_less_and_less_often_and_keeps_nothing_else_from_being_done() {
        let mut attempts = Attempts::default();
        let (mut failures, mut others) = (Vec::new(), 0);
        for round in 1..=5_000 {
            attempts.begin_round();
            attempts.attempt(Work::Merge(1), || {
                failures.push(round);
                Err(Error::refused("no"))
            });
            attempts.attempt(Work::Merge(2), || {
                others += 1;
                Ok(())
            });
        }
        assert_eq!(failures, [1, 3, 7, 15, 31, 63, 127, 255, 511, 1_023, 2_047, 3_071, 4_095]);
        assert_eq!(others, 5_000);
    }

    #[test]
    fn what_works_again_is_tried_at_once_the_next_time() {
        let mut attempts = Attempts::default();
        let mut tries = Vec::new();
        for round in 1..=10 {
            attempts.begin_round();
            attempts.attempt(Work::Seal, || {
                tries.push(round);
                if round == 1 { Err(Error::refused("no")) } else { Ok(()) }
            });
        }
        assert_eq!(tries, [1, 3, 4, 5, 6, 7, 8, 9, 10]);
    }
}
