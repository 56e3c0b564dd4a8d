//! The greatest row of every key, out of a run or the tail, as records for a latest table.

use std::ops::RangeInclusive;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_select::take::take;

use super::picture::ViewPicture;
use super::run_source::run_record;
use crate::error::{Error, Result};
use crate::format::columns::{EncodedKeys, RowColumns, encode_records};
use crate::format::row::{RowKind, RowRef};
use crate::history::{RunColumn, RunFile, for_each_latest};
use crate::key::key_hash;
use crate::tail::{ROWS_HELD, TailSegment};

/// Winners whose records are made together.
const CHUNK_ROWS: usize = 4_096;

/// Takes a row: key hash, record, number.
pub trait Sink: FnMut(u64, &RowRef<'_>, u64) -> Result<()> {}
impl<F: FnMut(u64, &RowRef<'_>, u64) -> Result<()>> Sink for F {}

/// Gives `sink` the greatest row of every key of a run whose hash lies in `hashes`, in hash order.
///
/// # Errors
/// The run is damaged; what `sink` fails with.
pub fn winners_of_run(
    file: &RunFile,
    view: &ViewPicture,
    hashes: RangeInclusive<u64>,
    mut sink: impl Sink,
) -> Result<()> {
    for column in [RunColumn::EventTimestamp, RunColumn::Created, RunColumn::Seq, RunColumn::Kind] {
        file.verify_column(column)?;
    }
    for field in 0..file.feature_count() {
        file.verify_column(RunColumn::Feature(field))?;
    }
    let has_marks = has_marks(file)?;
    let mut chunk = Chunk { file, view, has_marks, hashes: Vec::new(), keys: no_keys(), rows: Vec::new() };
    for_each_latest(file, hashes, |hash, key, row| {
        chunk.push(hash, key, row)?;
        if chunk.rows.len() == CHUNK_ROWS { chunk.give(&mut sink) } else { Ok(()) }
    })?;
    chunk.give(&mut sink)
}

/// Whether a row may be more than values or a delete: have deadlines, absent fields, another kind.
fn has_marks(file: &RunFile) -> Result<bool> {
    let plain = [RowKind::Value as u8, RowKind::Delete as u8];
    if let Some(kinds) = file.own_column(RunColumn::Kind)?
        && kinds.as_primitive::<UInt8Type>().values().iter().any(|kind| !plain.contains(kind))
    {
        return Ok(true);
    }
    for column in [RunColumn::Absent, RunColumn::Deadline, RunColumn::FieldDeadlines] {
        file.verify_column(column)?;
        if file.own_column(column)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn no_keys() -> EncodedKeys {
    EncodedKeys { bytes: Vec::new(), offsets: vec![0] }
}

struct Chunk<'a> {
    file: &'a RunFile,
    view: &'a ViewPicture,
    has_marks: bool,
    hashes: Vec<u64>,
    keys: EncodedKeys,
    rows: Vec<u32>,
}

impl Chunk<'_> {
    fn push(&mut self, hash: u64, key: &[u8], row: usize) -> Result<()> {
        let row = u32::try_from(row).map_err(|_| Error::invalid("a run has more rows than its format allows"))?;
        self.hashes.push(hash);
        self.keys.bytes.extend_from_slice(key);
        self.keys.offsets.push(self.keys.bytes.len());
        self.rows.push(row);
        Ok(())
    }

    fn give(&mut self, sink: &mut impl Sink) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        if self.has_marks {
            self.give_one_by_one(sink)?
        } else {
            self.give_columns(sink)?
        }
        self.hashes.clear();
        self.keys.bytes.clear();
        self.keys.offsets.truncate(1);
        self.rows.clear();
        Ok(())
    }

    fn seq(&self, row: u32) -> u64 {
        self.file.seq_base() + self.file.seq()[row as usize]
    }

    fn give_one_by_one(&self, sink: &mut impl Sink) -> Result<()> {
        for ((&hash, key), &row) in self.hashes.iter().zip(self.keys.iter()).zip(&self.rows) {
            let record = run_record(self.file, row as usize, key, &self.view.layout)?;
            give_record(&record, hash, self.seq(row), sink)?;
        }
        Ok(())
    }

    fn give_columns(&self, sink: &mut impl Sink) -> Result<()> {
        let rows = UInt32Array::from(self.rows.clone());
        // Where every key has one row, as in most imports, nothing is copied.
        let first = self.rows[0];
        let last = self.rows[self.rows.len() - 1];
        let is_contiguous = (last - first) as usize + 1 == self.rows.len();
        let pick = |column: &ArrayRef| -> Result<ArrayRef> {
            if is_contiguous {
                return Ok(column.slice(first as usize, self.rows.len()));
            }
            take(column, &rows, None).map_err(|error| Error::invalid(format!("a run's rows cannot be taken: {error}")))
        };
        let mut features = Vec::with_capacity(self.view.layout.field_count());
        for (field, dtype) in self.view.layout.types().iter().enumerate() {
            let column = if field < self.file.feature_count() { RunFile::column(self.file, field)? } else { None };
            features.push(match column {
                Some(column) => pick(column)?,
                None => new_null_array(&dtype.to_arrow(), self.rows.len()),
            });
        }
        let event_ts: Vec<i64> = self.rows.iter().map(|&row| self.file.event_ts()[row as usize]).collect();
        let created = self.file.created().map(|(values, nulls)| {
            let value = |&row: &u32| {
                let row = row as usize;
                nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| values[row])
            };
            self.rows.iter().map(value).collect::<arrow_array::Int64Array>()
        });
        let deleted = self.file.own_column(RunColumn::Kind)?.map(|kinds| {
            let kinds = kinds.as_primitive::<UInt8Type>().values();
            self.rows.iter().map(|&row| kinds[row as usize] == RowKind::Delete as u8).collect::<BooleanBuffer>()
        });
        let columns = RowColumns {
            keys: &self.keys,
            event_ts: &event_ts,
            created: created.as_ref(),
            event_ids: None,
            features: &features,
            deleted: deleted.as_ref(),
        };
        let mut records = Vec::new();
        encode_records(&self.view.layout, &columns, &mut records, &mut Vec::new())?;
        let mut rest = records.as_slice();
        for (&hash, &row) in self.hashes.iter().zip(&self.rows) {
            let (record, after) = parsed(rest)?;
            sink(hash, &record, self.seq(row))?;
            rest = after;
        }
        Ok(())
    }
}

fn parsed(record: &[u8]) -> Result<(RowRef<'_>, &[u8])> {
    RowRef::parse_unchecked_image(record).map_err(|what| Error::invalid(format!("a record that was just made: {what}")))
}

fn give_record(record: &[u8], hash: u64, seq: u64, sink: &mut impl Sink) -> Result<()> {
    sink(hash, &parsed(record)?.0, seq)
}

/// Gives `sink` the rows of a view that a log segment holds above `after` up to `last`, in the order they were written; the
/// number of the last that it gave.
///
/// # Errors
/// What `sink` fails with.
pub fn rows_of_tail(
    segment: &TailSegment,
    view: &ViewPicture,
    hash_seed: u64,
    (mut after, last): (u64, u64),
    mut sink: impl Sink,
) -> Result<u64> {
    loop {
        let views = segment.read();
        let Some(rows) = views.get(&view.record.id) else { return Ok(after) };
        let mut given = 0;
        for (row, record) in rows.rows_after(after, ROWS_HELD) {
            if row.seq > last {
                return Ok(after);
            }
            sink(key_hash(hash_seed, record.key), &record, row.seq)?;
            after = row.seq;
            given += 1;
        }
        if given < ROWS_HELD {
            return Ok(after);
        }
    }
}
