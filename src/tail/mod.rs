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
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::format::commits::Commit;
use crate::format::log::LogPosition;

/// So often a reader lets others have its core while a commit is waking up: about a millisecond where nobody wants it.
const WAKING_TURNS_MAX: usize = 2_000;
/// Rows that are visited while a segment is held still: a commit waits no longer.
pub const ROWS_HELD: usize = 2_048;

/// The rows of one log segment, by view. Written by the committer, read by everyone.
#[derive(Debug)]
pub struct TailSegment {
    /// The log segment whose rows these are.
    segment: u32,
    views: RwLock<HashMap<u32, TailView>>,
    /// Changes of these that wait for readers.
    waiting: AtomicUsize,
    commits: RwLock<Vec<Commit>>,
    bytes: AtomicUsize,
}

impl TailSegment {
    /// An empty index of log segment `segment`.
    pub fn new(segment: u32) -> Self {
        TailSegment {
            segment,
            views: RwLock::default(),
            waiting: AtomicUsize::new(0),
            commits: RwLock::default(),
            bytes: AtomicUsize::new(0),
        }
    }

    /// The log segment whose rows these are.
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// Bytes of memory the index holds, about: what was written to, so that room ahead of it does not count.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes a copy of the row records of one log section, which shows nowhere before [`TailSegment::insert`], and
    /// brings what that will touch close.
    pub fn stage(&self, view: u32, records: &[u8], hashes: &[u64]) -> RecordPlace {
        self.change(view, |tail| tail.stage(records, hashes))
    }

    /// Does something to a view's rows, and counts what memory they take from then on.
    fn change<T>(&self, view: u32, change: impl FnOnce(&mut TailView) -> T) -> T {
        self.waiting.fetch_add(1, Ordering::Release);
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Release);
        let (tail, before) = match views.entry(view) {
            Entry::Occupied(tail) => {
                let tail = tail.into_mut();
                let before = tail.held_bytes();
                (tail, before)
            }
            Entry::Vacant(none) => (none.insert(TailView::default()), 0),
        };
        let done = change(tail);
        self.bytes.fetch_add(tail.held_bytes() - before, Ordering::Relaxed);
        done
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
        self.change(view, |tail| tail.insert(place, records, hashes, first_seq, position));
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

    /// The views' rows, held still while the guard lives. A commit that waits goes first.
    pub fn read(&self) -> RwLockReadGuard<'_, HashMap<u32, TailView>> {
        // The lock that a reader gives back is anybody's until who waits for it is awake, and a reader who takes it again at once is there
        // before: the commit would wait for all its rounds. No longer than that takes, as others may hold the lock meanwhile.
        for _ in 0..WAKING_TURNS_MAX {
            if self.waiting.load(Ordering::Acquire) == 0 {
                break;
            }
            std::thread::yield_now();
        }
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
            (rows, views.get(&3).map_or(0, |view| view.descending(42, b"a", i64::MAX, u64::MAX).count()))
        };
        assert_eq!(rows(), (0, 0));
        tail.insert(3, place, &record, &[42], 1, 7);
        assert_eq!(rows(), (1, 1));
    }

    /// Which rows a tail is filled with in a process of its own.
    const FILLED_WITH: &str = "ASOF_TAIL_FILLED_WITH";

    /// Bytes of memory of this process that no file is behind.
    fn resident_bytes() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().strip_suffix("kB").unwrap().trim().parse::<usize>().unwrap() << 10
    }

    /// Views, keys of each, rows of each key, rows of a frame.
    const FILLINGS: [(u32, u64, u64, u64); 6] = [
        (1, 400_000, 1, 1_000),
        (1, 400_000, 1, 1),
        (1, 200_000, 2, 1_000),
        (1, 100_000, 9, 1_000),
        (1, 5, 100_000, 1_000),
        (3_000, 2, 2, 4),
    ];

    #[test]
    fn the_bytes_that_are_counted_are_those_that_are_held() {
        let Some(filling) = std::env::var_os(FILLED_WITH) else {
            let this = "tail::tests::the_bytes_that_are_counted_are_those_that_are_held";
            for filling in 0..FILLINGS.len() {
                let mut child = std::process::Command::new(std::env::current_exe().unwrap());
                let child = child.args(["--exact", this, "--nocapture"]).env(FILLED_WITH, filling.to_string());
                let out = child.output().unwrap();
                assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
                let said = String::from_utf8_lossy(&out.stdout);
                assert!(said.contains("1 passed"), "{this} is this test's name: {said}");
            }
            return;
        };
        let (views, keys, rows, of_frame) = FILLINGS[filling.to_str().unwrap().parse::<usize>().unwrap()];
        let before = resident_bytes();
        let tail = TailSegment::new(1);
        for view in 0..views {
            for first in (0..keys * rows).step_by(usize::try_from(of_frame).unwrap()) {
                let (mut records, mut hashes) = (Vec::new(), Vec::new());
                for row in first..(first + of_frame).min(keys * rows) {
                    let key = (row % keys).to_le_bytes();
                    let at = i64::try_from(row / keys).unwrap();
                    push_record(&RowHead::new(RowKind::Value, at), &key, 0, &[], &mut records).unwrap();
                    hashes.push(crate::key::key_hash(7, &key));
                }
                let place = tail.stage(view, &records, &hashes);
                tail.insert(view, place, &records, &hashes, first + 1, first * 512);
            }
        }
        let held = resident_bytes() - before;
        let (counted, held) = (tail.bytes() as f64 / 1e6, held as f64 / 1e6);
        let ratio = counted / held;
        assert!(
            (0.8..1.2).contains(&ratio),
            "{counted:.1} MB counted of {held:.1} MB, for {views} {keys} {rows} {of_frame}"
        );
    }
}
