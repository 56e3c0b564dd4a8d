//! What truncates of a view deleted, entity by entity: a delete row of each that had values just before.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, TimestampMicrosecondArray};

use crate::engine::truncates::as_deletes;
use crate::error::Result;
use crate::format::row::RowKind;
use crate::history::{Extent, RowColumns, RunSchema};
use crate::join::pick::Mark;

/// The truncates that a scan sees, in row order.
#[derive(Debug, Default)]
pub struct Truncates {
    marks: Vec<Mark>,
    /// Rows, and deletes, of before are only looked at.
    from: i64,
}

impl Truncates {
    /// These, for a scan of rows from an event time on.
    pub fn new(marks: Vec<Mark>, from: i64) -> Truncates {
        Truncates { marks, from }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// A delete row for each, in their order.
    ///
    /// # Errors
    /// As [`as_deletes`].
    pub fn columns(&self, schema: &RunSchema) -> Result<RowColumns> {
        as_deletes(&self.marks, schema)
    }

    /// The rows of a key with the deletes among them, of the piece numbered `own`. `rows` are in row order.
    pub fn among(&self, rows: &[Extent], pieces: &[&RowColumns], bases: &[u64], own: u32) -> Vec<Extent> {
        let mut out: Vec<Extent> = Vec::new();
        let mut push = |piece: u32, row: u32, event_ts: i64| {
            if event_ts < self.from {
                return;
            }
            match out.last_mut() {
                Some(last) if last.piece == piece && last.start + last.len == row => last.len += 1,
                _ => out.push(Extent { piece, start: row, len: 1 }),
            }
        };
        let mut truncates = (0_u32..).zip(&self.marks).peekable();
        let mut has_values = false;
        for extent in rows {
            let piece = extent.piece as usize;
            let place = Places::new(pieces[piece], bases[piece]);
            for row in extent.start..extent.start + extent.len {
                let (mark, is_value) = place.of(row as usize);
                while let Some((number, truncate)) = truncates.next_if(|(_, truncate)| **truncate < mark) {
                    if std::mem::take(&mut has_values) {
                        push(own, number, truncate.event_ts);
                    }
                }
                push(extent.piece, row, mark.event_ts);
                has_values = is_value;
            }
        }
        if let Some((number, truncate)) = truncates.next().filter(|_| has_values) {
            push(own, number, truncate.event_ts);
        }
        out
    }
}

/// Where rows of a piece stand, and which are values.
struct Places<'a> {
    columns: &'a RowColumns,
    created: Option<&'a TimestampMicrosecondArray>,
    kinds: Option<&'a [u8]>,
    base: u64,
}

impl Places<'_> {
    fn new(columns: &RowColumns, base: u64) -> Places<'_> {
        let created = columns.created.as_ref().and_then(|created| created.as_any().downcast_ref());
        let kinds = columns.kind.as_ref().map(|kinds| &**kinds.as_primitive::<UInt8Type>().values());
        Places { columns, created, kinds, base }
    }

    fn of(&self, row: usize) -> (Mark, bool) {
        let created = self.created.filter(|created| created.is_valid(row)).map(|created| created.value(row));
        let seq = self.base.saturating_add(self.columns.seq[row]);
        let mark = Mark { event_ts: self.columns.event_ts[row], created, seq };
        (mark, self.kinds.is_none_or(|kinds| kinds[row] == RowKind::Value as u8))
    }
}
