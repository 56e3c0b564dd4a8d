//! One view's rows of the tail, in the order of runs.

use std::ops::Range;
use std::sync::Arc;

use super::walk::InSight;
use crate::engine::tail_source::mark_of;
use crate::error::Result;
use crate::format::row::{RowKind, RowRef};
use crate::history::{Keys, RowCollector, RowColumns, RunSchema};
use crate::join::pick::Mark;
use crate::key::key_hash;
use crate::tail::{ROWS_HELD, TailRow, TailSegment};

/// Where a row of the tail lies, and where it stands.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    /// Among the keys.
    key: usize,
    mark: Mark,
    segment: usize,
    number: u32,
}

/// One view's rows of the tail that are in sight, by (hash, key, row order). Where they lie is kept, not what
/// they say: rows of a tail never move, and its locks are not held from one batch to the next.
#[derive(Debug)]
pub struct TailRows {
    segments: Vec<Arc<TailSegment>>,
    view_id: u32,
    keys: Keys,
    entries: Vec<Entry>,
}

impl TailRows {
    /// The rows in sight of `view_id`, or of one key of it.
    pub fn find(
        segments: &[Arc<TailSegment>],
        view_id: u32,
        sight: &InSight,
        hash_seed: u64,
        only: Option<(u64, &[u8])>,
    ) -> TailRows {
        let mut keys = Keys::default();
        let mut entries = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            let mut take = |number: u32, hash: u64, mark: Mark, kind: RowKind, key: &[u8]| {
                if sight.sees(mark.event_ts, mark.seq) && matches!(kind, RowKind::Value | RowKind::Delete) {
                    keys.push(key);
                    entries.push(Entry { hash, key: keys.len() - 1, mark, segment: at, number });
                }
            };
            if let Some((hash, key)) = only {
                let mut end = TailRow::after(i64::MAX);
                loop {
                    let views = segment.read();
                    let Some(rows) = views.get(&view_id) else { break };
                    let mut last = None;
                    for number in rows.numbers_before(hash, end).take(ROWS_HELD) {
                        let (row, record) = rows.row(number);
                        if record.key == key {
                            take(number, hash, mark_of(&row), record.head.kind, key);
                        }
                        last = Some(row);
                    }
                    let Some(last) = last else { break };
                    end = last;
                }
                continue;
            }
            let mut numbers = 0..;
            let mut seq = 0;
            loop {
                let views = segment.read();
                let rows = views.get(&view_id).into_iter().flat_map(|rows| rows.rows_after(seq, ROWS_HELD));
                let mut last = None;
                for ((row, record), number) in rows.zip(&mut numbers) {
                    take(number, key_hash(hash_seed, record.key), mark_of(&row), record.head.kind, record.key);
                    last = Some(row.seq);
                }
                match last {
                    Some(last) if last < sight.known_at => seq = last,
                    _ => break,
                }
            }
        }
        entries.sort_unstable_by(|left, right| {
            (left.hash, keys.get(left.key), left.mark).cmp(&(right.hash, keys.get(right.key), right.mark))
        });
        TailRows { segments: segments.to_vec(), view_id, keys, entries }
    }

    /// The key that begins at entry `at`: hash, bytes, and its entries. `None` at the end.
    pub fn key_at(&self, at: usize) -> Option<(u64, &[u8], Range<usize>)> {
        let first = self.entries.get(at)?;
        let key = self.keys.get(first.key);
        let is_same = |entry: &&Entry| entry.hash == first.hash && self.keys.get(entry.key).cmp(key).is_eq();
        let count = self.entries[at..].iter().take_while(is_same).count();
        Some((first.hash, key, at..at + count))
    }

    /// What these entries say, in their order.
    ///
    /// # Errors
    /// A value is not of its type.
    pub fn columns(&self, entries: &[Range<usize>], schema: &RunSchema, hash_seed: u64) -> Result<RowColumns> {
        let mut collector = RowCollector::new(schema, hash_seed);
        self.visit(entries, &mut |row, record| collector.push(row.seq, record))?;
        Ok(collector.finish()?.columns)
    }

    /// Visits the rows of these entries, in their order. They are held still for [`ROWS_HELD`] visits: then a commit that waits
    /// goes before the next.
    fn visit(&self, entries: &[Range<usize>], visit: &mut dyn FnMut(TailRow, &RowRef<'_>) -> Result<()>) -> Result<()> {
        let mut entries = entries.iter().flat_map(|range| &self.entries[range.clone()]).peekable();
        while entries.peek().is_some() {
            let segments: Vec<_> = self.segments.iter().map(|segment| segment.read()).collect();
            for entry in entries.by_ref().take(ROWS_HELD) {
                let rows = segments[entry.segment].get(&self.view_id).expect("it had the row when it was found");
                let (row, record) = rows.row(entry.number);
                visit(row, &record)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::format::row::{RowHead, push_record};

    const VIEW: u32 = 3;

    #[test]
    fn all_rows_of_a_key_are_found_however_many_there_are() {
        let rows = 3 * ROWS_HELD + 7;
        let (mut records, mut hashes) = (Vec::new(), Vec::new());
        for at in 0..rows {
            for key in [b"a", b"b"] {
                // Many of one time; two keys of one hash.
                let head = RowHead::new(RowKind::Delete, at as i64 / 1_000);
                push_record(&head, key, 0, &[], &mut records).unwrap();
                hashes.push(42);
            }
        }
        let segment = Arc::new(TailSegment::new(1));
        let place = segment.stage(VIEW, &records, &hashes);
        segment.insert(VIEW, place, &records, &hashes, 1, 512);
        let find = |known_at| {
            let sight = InSight { known_at, from: i64::MIN, to: None };
            let found = TailRows::find(&[Arc::clone(&segment)], VIEW, &sight, 7, Some((42, b"b")));
            found.entries.iter().map(|entry| entry.mark.seq).collect::<Vec<_>>()
        };
        assert_eq!(find(u64::MAX), (1..=rows as u64).map(|row| 2 * row).collect::<Vec<_>>());
        assert_eq!(find(7), [2, 4, 6]);
    }

    #[test]
    fn many_rows_are_not_held_still_at_once() {
        let segment = Arc::new(TailSegment::new(1));
        let insert = |at: u64| {
            let mut record = Vec::new();
            push_record(&RowHead::new(RowKind::Delete, 0), b"k", 0, &[], &mut record).unwrap();
            let place = segment.stage(VIEW, &record, &[42]);
            segment.insert(VIEW, place, &record, &[42], at, 512);
        };
        insert(1);
        let sight = InSight { known_at: u64::MAX, from: i64::MIN, to: None };
        let found = TailRows::find(&[Arc::clone(&segment)], VIEW, &sight, 7, Some((42, b"k")));
        let entries = vec![0..1; ROWS_HELD * 200];
        let is_written = AtomicBool::new(false);
        thread::scope(|scope| {
            let (mut visits, mut before_the_end) = (0, false);
            let visited = found.visit(&entries, &mut |_, record| {
                assert_eq!(record.key, b"k");
                if visits == 0 {
                    scope.spawn(|| {
                        insert(2);
                        is_written.store(true, Ordering::SeqCst);
                    });
                }
                if visits % ROWS_HELD == 0 && !is_written.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(10));
                }
                visits += 1;
                before_the_end |= visits < entries.len() && is_written.load(Ordering::SeqCst);
                Ok(())
            });
            visited.unwrap();
            assert_eq!(visits, entries.len());
            assert!(before_the_end, "the commit waited for all rows");
        });
    }
}
