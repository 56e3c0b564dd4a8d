//! Memory that the imports of a store share for rows that wait to be sorted.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// An import that holds no more than this part of the budget goes on when all are over it together: its sorted pieces would be
/// too many. Of up to so many imports others then hold more; beyond, each may hold its part.
const PART_MIN: usize = 8;

/// How many bytes of rows builders may hold together. One that takes rows in beyond that writes out what it holds; nobody waits
/// for an import that is idle.
#[derive(Debug)]
pub struct StagingBudget {
    bytes_max: usize,
    held: Mutex<Held>,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    /// Bytes that wait to be sorted.
    staged: usize,
    /// Bytes that are being sorted and written.
    writing: usize,
}

impl StagingBudget {
    /// So many bytes, for whoever it is shared with.
    pub fn of(bytes_max: usize) -> Arc<StagingBudget> {
        Arc::new(StagingBudget { bytes_max, held: Mutex::default(), written: Condvar::new() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that are held now.
    pub fn held_bytes(&self) -> usize {
        let held = self.held();
        held.staged + held.writing
    }

    /// Waits while any rows are being written and more than twice the budget and an eighth are held. Whoever writes waits for
    /// nobody.
    pub(super) fn wait_for_room(&self) {
        // An import alone fills its budget once more while it is written: it never waits.
        let bytes_max = self.bytes_max.saturating_mul(2).saturating_add(self.bytes_max / PART_MIN);
        let is_full = |held: &mut Held| held.writing > 0 && held.staged + held.writing > bytes_max;
        drop(self.written.wait_while(self.held(), is_full).unwrap_or_else(PoisonError::into_inner));
    }

    /// Counts rows taken in by a builder that now has `own` bytes with them. `Some`: it is to write out all of those now.
    pub(super) fn stage(&self, bytes: usize, own: usize) -> Option<Writing<'_>> {
        let mut held = self.held();
        held.staged += bytes;
        let is_over = held.staged > self.bytes_max && own > self.bytes_max / PART_MIN;
        drop(held);
        is_over.then(|| self.begin_writing(own))
    }

    /// Counts staged bytes as being written, until that is over.
    pub(super) fn begin_writing(&self, bytes: usize) -> Writing<'_> {
        let mut held = self.held();
        held.staged -= bytes;
        held.writing += bytes;
        Writing { budget: self, bytes }
    }

    /// Rows that nobody wants any more.
    pub(super) fn give_back(&self, bytes: usize) {
        drop(self.begin_writing(bytes));
    }
}

/// Bytes that are being written.
pub(super) struct Writing<'a> {
    budget: &'a StagingBudget,
    bytes: usize,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.budget.held().writing -= self.bytes;
        self.budget.written.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_import_alone_is_written_when_it_is_over_the_budget_and_fills_it_again_meanwhile() {
        let budget = StagingBudget::of(800);
        assert!(budget.stage(500, 500).is_none() && budget.stage(300, 800).is_none());
        let first = budget.stage(1, 801).unwrap();
        budget.wait_for_room();
        assert!(budget.stage(800, 800).is_none());
        budget.wait_for_room();
        let second = budget.stage(1, 801).unwrap();
        assert_eq!(budget.held_bytes(), 1_602);
        drop((first, second));
        assert_eq!(budget.held_bytes(), 0);
    }

    #[test]
    fn whoever_takes_rows_in_beyond_what_all_may_hold_writes_and_not_for_a_few() {
        let budget = StagingBudget::of(800);
        assert!(budget.stage(750, 750).is_none());
        // Another import, whose first rows are too few for a piece; the first one takes nothing in.
        assert!(budget.stage(60, 60).is_none());
        let writing = budget.stage(60, 120).unwrap();
        assert_eq!((budget.held_bytes(), budget.held().staged), (870, 750));
        drop(writing);
        budget.give_back(750);
        assert_eq!(budget.held_bytes(), 0);
    }

    #[test]
    fn who_would_take_in_more_while_much_is_written_waits_until_it_is() {
        let budget = StagingBudget::of(800);
        let writing: Vec<_> = (0..3).map(|_| budget.stage(801, 801).unwrap()).collect();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.wait_for_room());
            std::thread::sleep(Duration::from_millis(50));
            assert!(!waiting.is_finished(), "three times the budget is being written");
            drop(writing);
            waiting.join().unwrap();
        });
    }
}
