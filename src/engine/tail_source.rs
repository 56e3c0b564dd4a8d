//! The tail as the join reads it: one view's rows of all unsealed log segments, held still while a
//! chunk of the spine is joined.

use std::collections::HashMap;
use std::sync::{Arc, RwLockReadGuard};

use crate::format::row::{FieldState, RowKind, RowLayout, RowRef};
use crate::join::pick::{AsOf, Mark, pick_descending};
use crate::join::source::Tail;
use crate::tail::{TailRow, TailSegment, TailView};

/// Holds the segments' read locks. Rows are numbered through all segments.
pub struct TailGuard<'a> {
    segments: Vec<RwLockReadGuard<'a, HashMap<u32, TailView>>>,
}

impl<'a> TailGuard<'a> {
    /// Locks every segment for reading.
    pub fn lock(tail: &'a [Arc<TailSegment>]) -> Self {
        TailGuard { segments: tail.iter().map(|segment| segment.read()).collect() }
    }

    /// The rows of one view.
    pub fn view(&'a self, view_id: u32, layout: &'a RowLayout) -> ViewTail<'a> {
        let mut parts = Vec::new();
        let mut first = 0;
        for segment in &self.segments {
            if let Some(rows) = segment.get(&view_id) {
                parts.push(Part { first, rows });
                first += u32::try_from(rows.row_count()).expect("the tail is bounded far below 2^32 rows");
            }
        }
        ViewTail { parts, layout }
    }
}

struct Part<'a> {
    first: u32,
    rows: &'a TailView,
}

/// One view's rows of the tail.
pub struct ViewTail<'a> {
    /// By segment, oldest first.
    parts: Vec<Part<'a>>,
    layout: &'a RowLayout,
}

impl ViewTail<'_> {
    fn row(&self, number: u32) -> (TailRow, RowRef<'_>) {
        let part = self.parts.iter().rev().find(|part| part.first <= number).expect("numbers come from winner");
        part.rows.row(number - part.first)
    }
}

/// Where a row stands in row order.
pub fn mark_of(row: &TailRow) -> Mark {
    Mark { event_ts: row.event_ts, created: row.created, seq: row.seq }
}

impl Tail for ViewTail<'_> {
    fn winner(&self, hash: u64, key: &[u8], question: AsOf) -> Option<(Mark, u32)> {
        self.parts
            .iter()
            .filter_map(|part| {
                let rows = part.rows.descending(hash, key, question.at);
                pick_descending(rows.map(|(number, row, _)| (mark_of(&row), part.first + number)), question)
            })
            .max_by_key(|(mark, _)| *mark)
    }

    fn kind(&self, row: u32) -> RowKind {
        self.row(row).1.head.kind
    }

    fn mark(&self, row: u32) -> Mark {
        mark_of(&self.row(row).0)
    }

    fn deadline(&self, row: u32) -> Option<i64> {
        self.row(row).1.head.deadline
    }

    fn field(&self, row: u32, field: usize) -> (FieldState, &[u8]) {
        let (_, record) = self.row(row);
        match record.state(field) {
            FieldState::Value => (FieldState::Value, record.field_bytes(self.layout, field)),
            other => (other, &[]),
        }
    }

    fn field_deadline(&self, row: u32, field: usize) -> Option<i64> {
        self.row(row).1.field_deadline(field)
    }

    fn has_field_marks(&self) -> bool {
        true
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}
