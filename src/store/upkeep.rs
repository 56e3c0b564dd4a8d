//! What the store does by itself, piece by piece. A piece that fails is said once and tried again, later and later.

use std::collections::BTreeMap;

use super::background::Bell;
use crate::engine::Engine;
use crate::error::Result;

/// Rounds between two tries grow to this.
const ROUNDS_MAX: u64 = 1_024;

/// A piece of upkeep. One that fails keeps no other from being done; between two of them the store can be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    /// Building the latest table of a view that has none.
    Table(u32),
    /// Turning the log's full segments into runs.
    Seal,
    /// Writing all keys of the keyspace down, where the next opening would read much more.
    Checkpoint,
    /// Merging some runs of a view into one.
    Merge(u32),
    /// Syncing the log.
    Sync,
}

/// Goes over all there may be to do, until there is no more of it or the bell has rung.
pub(super) fn go_round(engine: &Engine, attempts: &mut Attempts, bell: &Bell) {
    let tables = engine.view_ids().into_iter().map(Piece::Table);
    for piece in tables.chain([Piece::Seal, Piece::Checkpoint]).chain(engine.view_ids().into_iter().map(Piece::Merge)) {
        let mut is_more = true;
        while is_more && !bell.has_rung() {
            is_more = attempts.attempt(piece, || match piece {
                Piece::Table(view) => engine.build_missing_table(view).map(|()| false),
                Piece::Seal => engine.seal_full().map(|_| false),
                Piece::Checkpoint => engine.checkpoint_if_due().map(|()| false),
                Piece::Merge(view) => engine.merge_once(view),
                Piece::Sync => engine.sync().map(|()| false),
            });
        }
    }
}

/// What failed, and when it is tried again. Time is counted in rounds, which whoever does the work goes.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    round: u64,
    failed: BTreeMap<Piece, Failed>,
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

    /// Does it, unless it failed not long ago. Whether there is more of it to do, as `doing` says.
    pub fn attempt(&mut self, piece: Piece, doing: impl FnOnce() -> Result<bool>) -> bool {
        if self.failed.get(&piece).is_some_and(|failed| failed.next > self.round) {
            return false;
        }
        let before = self.failed.remove(&piece);
        let error = match doing() {
            Ok(is_more) => {
                if before.is_some() {
                    tracing::info!(?piece, "upkeep of the store goes on");
                }
                return is_more;
            }
            Err(error) => error,
        };
        let said = error.to_string();
        if before.as_ref().is_none_or(|before| before.said != said) {
            tracing::warn!(?piece, error = said, "upkeep of the store failed; it is tried again, less and less often");
        }
        let rounds_waited = before.map_or(2, |before| (2 * before.rounds_waited).min(ROUNDS_MAX));
        self.failed.insert(piece, Failed { rounds_waited, next: self.round + rounds_waited, said });
        false
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::definition::{Definitions, FeatureView};
    use crate::disk::{FaultyDisk, MemDisk, Operation, Verdict};
    use crate::options::Sizes;
    use crate::time::Timestamp;
    use crate::value::DataType;
    use crate::{ApplyOptions, Error, ErrorKind, Row, Store};

    #[test]
    fn what_fails_is_tried_less_and_less_often_and_keeps_nothing_else_from_being_done() {
        let mut attempts = Attempts::default();
        let (mut failures, mut others) = (Vec::new(), 0);
        for round in 1..=5_000 {
            attempts.begin_round();
            attempts.attempt(Piece::Merge(1), || {
                failures.push(round);
                Err(Error::refused("no"))
            });
            attempts.attempt(Piece::Merge(2), || {
                others += 1;
                Ok(false)
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
            attempts.attempt(Piece::Seal, || {
                tries.push(round);
                if round == 1 { Err(Error::refused("no")) } else { Ok(true) }
            });
        }
        assert_eq!(tries, [1, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn nothing_is_built_that_a_log_which_failed_keeps_from_being_committed() {
        // A seal and a merge were built in full round after round, and removed again.
        for fails in [false, true] {
            let (built, is_ill) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let (building, ill) = (Arc::clone(&built), Arc::clone(&is_ill));
            let disk = FaultyDisk::new(Arc::new(MemDisk::volatile()), move |operation, path: &Path| {
                let is = |ending: &str| path.extension().is_some_and(|end| end == ending);
                building.fetch_add(usize::from(operation == Operation::Create && is("arrow")), Ordering::SeqCst);
                let is_it = operation == Operation::Sync && is("log") && ill.load(Ordering::SeqCst);
                if is_it { Verdict::Fail(std::io::ErrorKind::Other) } else { Verdict::Proceed }
            });
            let sizes =
                Sizes { segment_bytes: 4_096, table_reserve_bytes: 32 << 20, merge_fanout: 2, ..Sizes::default() };
            let store = Store::builder().sizes(sizes).background(false).disk(Arc::new(disk)).open("/upkeep").unwrap();
            let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64);
            let definitions = Definitions::new("upkeep").entity("thing", [("id", DataType::Int64)]).view(view);
            store.apply(&definitions, ApplyOptions::default()).unwrap();
            let write = |at| store.write_rows("v", [Row::new().at(Timestamp(at)).set("id", 1_i64).set("x", at)]);
            // Runs to merge, then full segments to seal.
            for at in 0..4 {
                write(at).unwrap();
                store.seal().unwrap();
            }
            (4..100).for_each(|at| drop(write(at).unwrap()));
            if fails {
                is_ill.store(true, Ordering::SeqCst);
                write(100).unwrap_err();
                is_ill.store(false, Ordering::SeqCst);
                assert_eq!(write(101).unwrap_err().kind(), ErrorKind::Poisoned);
            }
            built.store(0, Ordering::SeqCst);
            let mut attempts = Attempts::default();
            for _ in 0..20 {
                attempts.begin_round();
                go_round(store.engine().unwrap(), &mut attempts, &Bell::default());
            }
            assert_eq!(built.load(Ordering::SeqCst) > 0, !fails, "{} were built", built.load(Ordering::SeqCst));
        }
    }
}
