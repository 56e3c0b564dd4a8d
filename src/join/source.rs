//! What a join reads from: runs of sorted rows, and tails of recent ones. Borrowed views, filled by
//! whoever holds the files.

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;

use super::last_seen::Walked;
use super::pick::{AsOf, Candidates, Mark};
use crate::error::Result;
use crate::format::row::{FieldState, RowKind};

/// One place that rows of a view lie in.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// Rows sorted by (key hash, key bytes, row order).
    Run(Run<'a>),
    /// Rows found by key.
    Tail(&'a dyn Tail),
}

/// An entity of a run: its key's hash, and where its rows lie, start in the low half.
pub type Slot = [u64; 2];

/// The slot of an entity with `len` rows from `start`; zero rows mean an empty slot.
pub const fn slot(hash: u64, start: u32, len: u32) -> Slot {
    [hash, start as u64 | (len as u64) << 32]
}

/// Start and length of a slot's rows.
#[inline]
pub(super) fn slot_rows(slot: Slot) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = slot[1].to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// The entity table of a run: open addressing that keeps hash order.
///
/// The search for a hash begins at `mulhi((hash - hash_min) << shift, scale)` and ends at an empty slot, at
/// the first greater hash, or at the end; entities of equal hash lie side by side. A run over all hashes has
/// shift 0 and as `scale` its number of slots; a run over a range of them spreads that range over its slots.
#[derive(Clone, Copy, Debug)]
pub struct Index<'a> {
    /// The slots.
    pub slots: &'a [Slot],
    /// The least hash.
    pub hash_min: u64,
    /// The greatest hash.
    pub hash_max: u64,
    /// Leading zeros of the greatest difference of hashes, at most 63.
    pub shift: u32,
    /// Slots that 2^64 spread hashes would have.
    pub scale: u64,
}

impl Index<'_> {
    /// Where the search for `hash` begins. A hash out of range begins nowhere.
    #[inline]
    pub fn home(&self, hash: u64) -> usize {
        if hash < self.hash_min || hash > self.hash_max {
            return usize::MAX;
        }
        let spread = u128::from((hash - self.hash_min) << self.shift);
        usize::try_from((spread * u128::from(self.scale)) >> 64).unwrap_or(usize::MAX)
    }

    /// Row ranges of the entities with this hash.
    pub fn rows_of(&self, hash: u64) -> impl Iterator<Item = Range<u32>> + '_ {
        let slots = self.slots.get(self.home(hash)..).unwrap_or_default();
        slots
            .iter()
            .take_while(move |slot| slot[0] <= hash && slot_rows(**slot).1 > 0)
            .filter(move |slot| slot[0] == hash)
            .map(|slot| {
                let (start, len) = slot_rows(*slot);
                start..start.saturating_add(len)
            })
    }
}

/// An optional time of each row.
#[derive(Clone, Copy, Debug)]
pub struct OptionalTimes<'a> {
    /// The times.
    pub values: &'a [i64],
    /// Which rows have one; all when absent.
    pub nulls: Option<&'a NullBuffer>,
}

impl OptionalTimes<'_> {
    /// The time of `row`.
    #[inline]
    pub fn get(&self, row: usize) -> Option<i64> {
        self.nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| self.values[row])
    }
}

/// Rows sorted by (key hash, key bytes, row order): one file of a run.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// Where each entity's rows lie.
    pub index: Index<'a>,
    /// Event times.
    pub event_ts: &'a [i64],
    /// Numbers, less `seq_base`.
    pub seq: &'a [u64],
    /// What to add to `seq`.
    pub seq_base: u64,
    /// Created times; absent when no row has one.
    pub created: Option<OptionalTimes<'a>>,
    /// Row kinds; absent when all are values.
    pub kind: Option<&'a [u8]>,
    /// Row deadlines; absent when no row has one.
    pub deadline: Option<OptionalTimes<'a>>,
    /// Least and greatest event time.
    pub event_ts_range: (i64, i64),
    /// Least and greatest number, `seq_base` included.
    pub seq_range: (u64, u64),
    /// Whether rows have absent fields or field deadlines, so that [`RunFile`] must be asked.
    pub has_field_marks: bool,
    /// Keys and columns.
    pub file: &'a dyn RunFile,
}

/// The parts of a run that are asked for, not scanned.
pub trait RunFile: Sync {
    /// Whether `row` is of this encoded key. Asked only where the hashes are equal.
    fn key_equals(&self, row: u32, key: &[u8]) -> bool;

    /// The column of a field, `None` in a run older than the field.
    ///
    /// # Errors
    /// The column is damaged.
    fn column(&self, field: usize) -> Result<Option<ArrayRef>>;

    /// Whether `row` does not speak of this field.
    fn is_absent(&self, _row: u32, _field: usize) -> bool {
        false
    }

    /// From when on this field of `row` is gone.
    fn field_deadline(&self, _row: u32, _field: usize) -> Option<i64> {
        None
    }
}

#[cfg(test)]
thread_local! {
    /// How many places in row order this thread read.
    pub(super) static MARKS_READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl<'a> Run<'a> {
    /// Where `row` stands in row order.
    #[inline]
    pub fn mark(&self, row: usize) -> Mark {
        #[cfg(test)]
        MARKS_READ.set(MARKS_READ.get() + 1);
        Mark {
            event_ts: self.event_ts[row],
            created: self.created.and_then(|created| created.get(row)),
            seq: self.seq_base.saturating_add(self.seq[row]),
        }
    }

    /// What `row` is; a byte that no writer writes counts as a delete.
    #[inline]
    pub fn kind(&self, row: usize) -> RowKind {
        match self.kind {
            None => RowKind::Value,
            Some(kinds) => RowKind::from_byte(kinds[row]).unwrap_or(RowKind::Delete),
        }
    }

    /// The rows of one key, in row order.
    pub fn rows_of(&self, hash: u64, key: &[u8]) -> Option<RunRows<'_, 'a>> {
        let rows = self.index.rows_of(hash).find(|rows| self.file.key_equals(rows.start, key))?;
        Some(RunRows { run: self, start: rows.start as usize, len: rows.len() })
    }
}

/// The rows of one key in a run, in row order.
pub struct RunRows<'r, 'a> {
    run: &'r Run<'a>,
    start: usize,
    len: usize,
}

impl RunRows<'_, '_> {
    /// The row of the run that candidate `index` is.
    pub fn row(&self, index: usize) -> usize {
        self.start + index
    }
}

impl Candidates for RunRows<'_, '_> {
    fn len(&self) -> usize {
        self.len
    }

    fn event_ts(&self, index: usize) -> i64 {
        self.run.event_ts[self.start + index]
    }

    fn mark(&self, index: usize) -> Mark {
        self.run.mark(self.start + index)
    }
}

/// Recent rows found by key, each under a number of its own that names it until the join is done.
///
/// Rows are held still within a call, and no longer than for some thousands of them: whoever adds rows waits for that.
pub trait Tail: Sync {
    /// The winners of some keys: what [`super::pick::pick_descending`] or [`super::pick::pick`] gives over the rows of
    /// each. `found` is given the position of a key that has one. `walked` is of this tail, and of questions that differ in their
    /// instants only.
    fn winners(
        &self,
        keys: &mut dyn Iterator<Item = (u64, &[u8], AsOf)>,
        walked: &mut Walked,
        found: &mut dyn FnMut(usize, TailWinner),
    );
    /// What each of these rows says of a field, in order.
    fn fields(&self, rows: &[u32], field: usize, visit: &mut dyn FnMut(TailField<'_>));
    /// Whether there are no rows.
    fn is_empty(&self) -> bool;
}

/// The winner of a key among a tail's rows.
#[derive(Clone, Copy, Debug)]
pub struct TailWinner {
    /// Its number.
    pub row: u32,
    /// Its place in row order.
    pub mark: Mark,
    /// What it is.
    pub kind: RowKind,
    /// From when on it is gone.
    pub deadline: Option<i64>,
}

/// What a row of a tail says of a field.
#[derive(Clone, Copy, Debug)]
pub struct TailField<'a> {
    /// Whether it has a value.
    pub state: FieldState,
    /// The value as [`crate::format::value::encode_value`] writes it; empty where there is none.
    pub bytes: &'a [u8],
    /// From when on the field is gone.
    pub deadline: Option<i64>,
}
