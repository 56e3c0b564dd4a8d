//! The tail as the join reads it: one view's rows of all unsealed log segments.

use std::collections::HashMap;
use std::sync::{Arc, RwLockReadGuard};

use crate::format::row::{FieldState, RowLayout};
use crate::join::pick::{AsOf, Mark, pick_descending};
use crate::join::source::{Tail, TailField, TailWinner};
use crate::tail::{ROWS_HELD, TailRow, TailSegment, TailView};

/// One view's rows of the tail, numbered through all segments. Rows that come later have no number here, and a question
/// must not see them.
pub struct ViewTail<'a> {
    view_id: u32,
    /// Oldest first.
    parts: Vec<Part<'a>>,
    layout: &'a RowLayout,
}

/// What a segment has of the view.
struct Part<'a> {
    first: u32,
    segment: &'a TailSegment,
}

/// A part, held still.
struct Held<'a> {
    first: u32,
    view_id: u32,
    views: RwLockReadGuard<'a, HashMap<u32, TailView>>,
}

impl Held<'_> {
    fn rows(&self) -> &TailView {
        self.views.get(&self.view_id).expect("a view stays in a segment that has rows of it")
    }
}

impl<'a> ViewTail<'a> {
    /// The rows that there are now.
    pub fn new(tail: &'a [Arc<TailSegment>], view_id: u32, layout: &'a RowLayout) -> Self {
        let (mut parts, mut first) = (Vec::new(), 0);
        for segment in tail {
            if let Some(rows) = segment.read().get(&view_id).filter(|rows| rows.row_count() > 0) {
                parts.push(Part { first, segment });
                first += u32::try_from(rows.row_count()).expect("the tail is bounded far below 2^32 rows");
            }
        }
        ViewTail { view_id, parts, layout }
    }

    fn hold(&self) -> Vec<Held<'_>> {
        self.parts
            .iter()
            .map(|part| Held { first: part.first, view_id: self.view_id, views: part.segment.read() })
            .collect()
    }
}

/// Where a row stands in row order.
pub fn mark_of(row: &TailRow) -> Mark {
    Mark { event_ts: row.event_ts, created: row.created, seq: row.seq }
}

impl Tail for ViewTail<'_> {
    fn winners(&self, keys: &mut dyn Iterator<Item = (u64, &[u8], AsOf)>, found: &mut dyn FnMut(usize, TailWinner)) {
        let parts = self.hold();
        for (i, (hash, key, question)) in keys.enumerate() {
            let winners = parts.iter().filter_map(|part| {
                let rows = part.rows().descending(hash, key, question.at);
                pick_descending(
                    rows.map(|(number, row, record)| (mark_of(&row), (part.first + number, record))),
                    question,
                )
            });
            if let Some((mark, (row, record))) = winners.max_by_key(|(mark, _)| *mark) {
                found(i, TailWinner { row, mark, kind: record.head.kind, deadline: record.head.deadline });
            }
        }
    }

    fn fields(&self, rows: &[u32], field: usize, visit: &mut dyn FnMut(TailField<'_>)) {
        for rows in rows.chunks(ROWS_HELD) {
            let parts = self.hold();
            for &row in rows {
                let part = parts.iter().rev().find(|part| part.first <= row).expect("numbers come from winners");
                let (_, record) = part.rows().row(row - part.first);
                let state = record.state(field);
                let bytes = if state == FieldState::Value { record.field_bytes(self.layout, field) } else { &[] };
                visit(TailField { state, bytes, deadline: record.field_deadline(field) });
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::format::row::{RowHead, RowKind, push_record};
    use crate::key::key_hash;
    use crate::value::DataType;

    const VIEW: u32 = 3;

    /// Adds rows of key "k", at these times, numbered likewise.
    fn insert(segment: &TailSegment, times: std::ops::Range<i64>) {
        let (mut records, mut hashes) = (Vec::new(), Vec::new());
        for at in times.clone() {
            push_record(&RowHead::new(RowKind::Delete, at), b"k", 0, &[], &mut records).unwrap();
            hashes.push(key_hash(7, b"k"));
        }
        let place = segment.stage(VIEW, &records, &hashes);
        segment.insert(VIEW, place, &records, &hashes, times.start.unsigned_abs(), 512);
    }

    #[test]
    fn rows_are_held_still_for_one_call_and_a_commit_may_come_between_two() {
        let tail = [Arc::new(TailSegment::new(1)), Arc::new(TailSegment::new(2))];
        insert(&tail[0], 1..4);
        insert(&tail[1], 4..6);
        let layout = RowLayout::new([DataType::Int64]);
        let view = ViewTail::new(&tail, VIEW, &layout);
        let winner = |at| {
            let mut winner = None;
            let question = AsOf { known_at: 5, ..AsOf::new(at) };
            let mut keys = std::iter::once((key_hash(7, b"k"), b"k".as_slice(), question));
            view.winners(&mut keys, &mut |_, found| winner = Some((found.row, found.mark.seq)));
            winner
        };
        for (at, expected) in [(0, None), (2, Some((1, 2))), (5, Some((4, 5))), (9, Some((4, 5)))] {
            assert_eq!(winner(at), expected, "at {at}");
            // A commit, on this very thread: it would wait for ever for rows that were still held.
            insert(&tail[1], 6 + at..7 + at);
        }
        let mut seen = 0;
        view.fields(&[0, 4], 0, &mut |_| seen += 1);
        insert(&tail[1], 20..21);
        assert_eq!(seen, 2);
    }

    #[test]
    fn many_rows_are_not_held_still_at_once() {
        let tail = [Arc::new(TailSegment::new(1))];
        insert(&tail[0], 1..2);
        let layout = RowLayout::new([DataType::Int64]);
        let view = ViewTail::new(&tail, VIEW, &layout);
        let is_written = AtomicBool::new(false);
        thread::scope(|scope| {
            let (mut row, mut before_the_end) = (0, false);
            let rows = vec![0; ROWS_HELD * 200];
            view.fields(&rows, 0, &mut |_| {
                if row == 0 {
                    scope.spawn(|| {
                        insert(&tail[0], 2..3);
                        is_written.store(true, Ordering::SeqCst);
                    });
                }
                if row % ROWS_HELD == 0 && !is_written.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(10));
                }
                before_the_end |= row + 1 < rows.len() && is_written.load(Ordering::SeqCst);
                row += 1;
            });
            assert!(before_the_end, "the commit waited for all rows");
        });
    }
}
