//! A run file, mapped: found by key, read column by column, each block verified when first touched.

mod open;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_ipc::reader::RecordBatchDecoder;

use crate::caught::caught;
use crate::error::Result;
use crate::format::row::{FieldState, RowKind};
use crate::format::run_index::{FeatureStats, IndexSlot, RunIndexHead, SlotMap};
use crate::history::columns::{Layout, Stride, strip_prefix};
use crate::history::rows::instants;
use crate::history::schema::{CREATED_TIMESTAMP, DEADLINE, EVENT_ID, EVENT_TIMESTAMP, FIELD_DEADLINES, KIND, SEQ};
use crate::history::verify::Blocks;
use crate::value::DataType;

/// A column of a run file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunColumn {
    /// A join key, by position.
    Key(usize),
    /// Event timestamps.
    EventTimestamp,
    /// Created timestamps.
    Created,
    /// Sequence numbers.
    Seq,
    /// Row kinds.
    Kind,
    /// Bitmaps of absent fields.
    Absent,
    /// Row deadlines.
    Deadline,
    /// Encoded field deadlines.
    FieldDeadlines,
    /// Event ids.
    EventId,
    /// A feature, by ordinal.
    Feature(usize),
}

impl RunColumn {
    /// Those that say where a row stands and what it is.
    pub const MARKS: [RunColumn; 7] = [
        RunColumn::EventTimestamp,
        RunColumn::Created,
        RunColumn::Seq,
        RunColumn::Kind,
        RunColumn::Absent,
        RunColumn::Deadline,
        RunColumn::FieldDeadlines,
    ];
}

/// An open run file.
#[derive(Debug)]
pub struct RunFile {
    id: u64,
    seq_base: u64,
    head: RunIndexHead,
    features: Vec<FeatureStats>,
    pub(super) slots: Blocks,
    slot_words: ScalarBuffer<u64>,
    pub(super) blocks: Blocks,
    pub(super) layout: Layout,
    pub(super) key_types: Vec<DataType>,
    first_feature: usize,
    /// Decoded columns, by position in the file.
    arrays: Vec<OnceLock<ArrayRef>>,
    pub(super) event_ts: ScalarBuffer<i64>,
    pub(super) seq: ScalarBuffer<u64>,
    pub(super) created: Option<ArrayRef>,
    kind: Option<usize>,
    absent: Option<usize>,
}

impl RunFile {
    /// The file's number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The head of its index: counts, and ranges of hashes, times and sequence numbers.
    pub fn head(&self) -> &RunIndexHead {
        &self.head
    }

    /// How many rows it has.
    pub fn row_count(&self) -> usize {
        self.layout.row_count
    }

    /// Statistics of features, by ordinal.
    pub fn stats(&self) -> &[FeatureStats] {
        &self.features
    }

    /// How many features it holds: those that the view had when it was written.
    pub fn feature_count(&self) -> usize {
        self.layout.columns.len() - self.first_feature
    }

    /// What to add to [`RunFile::seq`].
    pub fn seq_base(&self) -> u64 {
        self.seq_base
    }

    /// From hash to slot: the index for batches of lookups. Verify with [`RunFile::verify_index`] first.
    pub fn slot_map(&self) -> &SlotMap {
        &self.head.slot_map
    }

    /// The slots as pairs of words, {hash, first row | rows << 32}: see [`IndexSlot::from_words`].
    pub fn slot_words(&self) -> &[u64] {
        &self.slot_words
    }

    /// Slot number `i`, not verified; empty beyond the end.
    #[inline]
    pub fn slot(&self, i: usize) -> IndexSlot {
        match self.slot_words.get(2 * i..2 * i + 2) {
            Some([hash, range]) => IndexSlot::from_words(*hash, *range),
            _ => IndexSlot::default(),
        }
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> usize {
        self.slot_words.len() / 2
    }

    /// Verifies the whole index.
    ///
    /// # Errors
    /// It is damaged.
    pub fn verify_index(&self) -> Result<()> {
        self.slots.check(0..self.slots.unverified().len(), "index")
    }

    /// Event timestamps; verify the rows before believing them.
    #[inline]
    pub fn event_ts(&self) -> &[i64] {
        &self.event_ts
    }

    /// Sequence numbers relative to [`RunFile::seq_base`]; verify the rows before believing them.
    #[inline]
    pub fn seq(&self) -> &[u64] {
        &self.seq
    }

    /// Created timestamps and which of them are there, where the view declares them; verify the rows before believing them.
    pub fn created(&self) -> Option<(&[i64], Option<&NullBuffer>)> {
        self.created.as_ref().and_then(instants)
    }

    fn position(&self, column: RunColumn) -> Option<usize> {
        let named = |name: &str| self.layout.schema.fields().iter().position(|field| field.name() == name);
        match column {
            RunColumn::Key(i) => (i < self.key_types.len()).then_some(i),
            RunColumn::EventTimestamp => named(EVENT_TIMESTAMP),
            RunColumn::Created => named(CREATED_TIMESTAMP),
            RunColumn::Seq => named(SEQ),
            RunColumn::Kind => self.kind,
            RunColumn::Absent => self.absent,
            RunColumn::Deadline => named(DEADLINE),
            RunColumn::FieldDeadlines => named(FIELD_DEADLINES),
            RunColumn::EventId => named(EVENT_ID),
            RunColumn::Feature(ordinal) => {
                Some(self.first_feature + ordinal).filter(|at| *at < self.layout.columns.len())
            }
        }
    }

    fn name(&self, position: usize) -> &str {
        self.layout.schema.field(position).name()
    }

    /// Verifies the blocks that hold these rows of a column. A column that the run lacks has none.
    ///
    /// # Errors
    /// Damaged: says which file, column and block.
    pub fn verify_rows(&self, column: RunColumn, rows: Range<usize>) -> Result<()> {
        let Some(position) = self.position(column) else { return Ok(()) };
        for part in &self.layout.columns[position] {
            self.blocks.check(part.of_rows(&rows), self.name(position))?;
        }
        Ok(())
    }

    /// [`RunFile::verify_rows`] of all rows.
    ///
    /// # Errors
    /// Damaged.
    pub fn verify_column(&self, column: RunColumn) -> Result<()> {
        self.verify_rows(column, 0..self.row_count())
    }

    /// Verifies every byte of both files.
    ///
    /// # Errors
    /// Damaged: the first block that is.
    pub fn verify_all(&self) -> Result<()> {
        self.verify_index()?;
        self.blocks.check(0..self.blocks.unverified().len(), "run")
    }

    /// A feature's column, zero-copy; `None` when the run is older than the feature. What Arrow's own validation reads (validity,
    /// offsets, strings) is verified here; values of fixed width are not: see [`RunFile::verify_rows`].
    ///
    /// # Errors
    /// Damaged.
    pub fn column(&self, ordinal: usize) -> Result<Option<&ArrayRef>> {
        self.position(RunColumn::Feature(ordinal)).map(|position| self.decode(position)).transpose()
    }

    /// A column other than a feature or a key, verified whole; `None` when the run has none.
    ///
    /// # Errors
    /// Damaged.
    pub fn own_column(&self, column: RunColumn) -> Result<Option<&ArrayRef>> {
        self.verify_column(column)?;
        match column {
            RunColumn::Key(_) => Ok(None),
            _ => self.position(column).map(|position| self.decode(position)).transpose(),
        }
    }

    fn decode(&self, position: usize) -> Result<&ArrayRef> {
        if let Some(array) = self.arrays[position].get() {
            return Ok(array);
        }
        for part in &self.layout.columns[position] {
            if matches!(part.stride, Stride::Validity | Stride::Whole) {
                self.blocks.check(part.range.clone(), self.name(position))?;
            }
        }
        let wrong = |what: String| self.blocks.damaged(format!("{}: {what}", self.name(position)));
        let message =
            arrow_ipc::root_as_message(strip_prefix(&self.layout.message)).map_err(|error| wrong(error.to_string()))?;
        let batch = message.header_as_record_batch().ok_or_else(|| wrong("no record batch".to_owned()))?;
        let (schema, none) = (self.layout.schema.clone(), HashMap::new());
        let decoded = caught(|| {
            RecordBatchDecoder::try_new(&self.layout.body, batch, schema, &none, &self.layout.version)
                .and_then(|decoder| decoder.with_projection(Some(&[position])).read_record_batch())
        })
        .map_err(|_| wrong("an offset in it is impossible".to_owned()))?
        .map_err(|error| wrong(error.to_string()))?;
        Ok(self.arrays[position].get_or_init(|| decoded.column(0).clone()))
    }

    /// What a row says.
    ///
    /// # Errors
    /// Damaged.
    pub fn kind(&self, row: usize) -> Result<RowKind> {
        if self.kind.is_none() {
            return Ok(RowKind::Value);
        }
        self.verify_rows(RunColumn::Kind, row..row + 1)?;
        let array = self.kind.map(|position| self.decode(position)).transpose()?;
        let byte = array.map_or(RowKind::Value as u8, |array| array.as_primitive::<UInt8Type>().value(row));
        RowKind::from_byte(byte).ok_or_else(|| self.blocks.damaged(format!("{KIND}: unknown row kind {byte}")))
    }

    /// The state of one field of a row, as [`crate::format::row::RowRef::state`] gives it.
    ///
    /// # Errors
    /// Damaged.
    pub fn field_state(&self, row: usize, ordinal: usize) -> Result<FieldState> {
        if !self.kind(row)?.has_image() {
            return Ok(FieldState::Absent);
        }
        let Some(array) = self.column(ordinal)? else { return Ok(FieldState::Null) };
        if array.is_valid(row) {
            return Ok(FieldState::Value);
        }
        let Some(position) = self.absent else { return Ok(FieldState::Null) };
        self.verify_rows(RunColumn::Absent, row..row + 1)?;
        let bits = self.decode(position)?.as_fixed_size_binary().value(row);
        let is_absent = bits.get(ordinal / 8).is_some_and(|byte| byte >> (ordinal % 8) & 1 == 1);
        Ok(if is_absent { FieldState::Absent } else { FieldState::Null })
    }

    /// Addresses of the mapped file.
    #[cfg(test)]
    pub(crate) fn mapped_range(&self) -> Range<usize> {
        let file = self.blocks.unverified();
        file.as_ptr().addr()..file.as_ptr().addr() + file.len()
    }
}
