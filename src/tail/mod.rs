//! The rows of the log that are in no run yet, indexed in memory by entity key.
//!
//! One [`TailSegment`] per log segment, so that sealing a segment drops its rows in one step. Within
//! it each view keeps its records as they stand in the log, and per key hash a chain of them in row
//! order. Rows mostly arrive in time order, so an insertion looks at one row, and a read for now
//! does too.
//!
//! **Invariant**: a chain is in row order. Keys of equal hash share a chain, so whoever walks one
//! compares keys.

mod chain;
mod key_index;
mod records;

pub use chain::{TailRow, TailView};
pub use records::RecordPlace;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::format::commits::Commit;
use crate::format::log::LogPosition;

/// The rows of one log segment, by view. Written by the committer, read by everyone.
#[derive(Debug)]
pub struct TailSegment {
    /// The log segment whose rows these are.
    segment: u32,
    views: RwLock<HashMap<u32, TailView>>,
    commits: RwLock<Vec<Commit>>,
    bytes: AtomicUsize,
}

impl TailSegment {
    /// An empty index of log segment `segment`.
    pub fn new(segment: u32) -> Self {
        TailSegment { segment, views: RwLock::default(), commits: RwLock::default(), bytes: AtomicUsize::new(0) }
    }

    /// The log segment whose rows these are.
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// Bytes of memory the index holds, about.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes a copy of the row records of one log section, which shows nowhere before [`TailSegment::insert`], and
    /// brings what that will touch close.
    pub fn stage(&self, view: u32, records: &[u8], hashes: &[u64]) -> RecordPlace {
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        views.entry(view).or_default().stage(records, hashes)
    }

    /// Adds the row records of one log section, numbered from `first_seq`; `place` is where they were staged, `hashes` has
    /// one per record.
    ///
    /// `position` is the log position of the frame they came in. Records must have been checked.
    pub fn insert(
        &self,
        view: u32,
        place: RecordPlace,
        records: &[u8],
        hashes: &[u64],
        first_seq: u64,
        position: LogPosition,
    ) {
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        let tail = views.entry(view).or_default();
        let before = tail.bytes();
        tail.insert(place, records, hashes, first_seq, position);
        self.bytes.fetch_add(tail.bytes() - before + records.len(), Ordering::Relaxed);
    }

    /// Adds the commit that the rows inserted last came in.
    pub fn commit(&self, commit: Commit) {
        self.commits.write().unwrap_or_else(PoisonError::into_inner).push(commit);
        self.bytes.fetch_add(size_of::<Commit>(), Ordering::Relaxed);
    }

    /// When the segment's rows were committed, in order.
    pub fn commits(&self) -> RwLockReadGuard<'_, Vec<Commit>> {
        self.commits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The views' rows, held still while the guard lives.
    pub fn read(&self) -> RwLockReadGuard<'_, HashMap<u32, TailView>> {
        self.views.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::row::{RowHead, RowKind, push_record};

    #[test]
    fn what_is_staged_shows_nowhere_before_it_is_inserted() {
        let tail = TailSegment::new(1);
        let mut record = Vec::new();
        push_record(&RowHead::new(RowKind::Delete, 5), b"a", 0, &[], &mut record).unwrap();
        let place = tail.stage(3, &record, &[42]);
        let rows = || {
            let views = tail.read();
            let rows = views.get(&3).map_or(0, TailView::row_count);
            (rows, views.get(&3).map_or(0, |view| view.descending(42, b"a", i64::MAX).count()))
        };
        assert_eq!(rows(), (0, 0));
        tail.insert(3, place, &record, &[42], 1, 7);
        assert_eq!(rows(), (1, 1));
    }
}
