//! The winners' values, column by column, in spine order: the second pass.
//!
//! A column is read source by source in the order that [`resolve`](super::resolve) left, which is the
//! order it lies in, and scattered to the spine's. Rows without a winner are never touched: the column
//! begins as zeros, and validity bits are set once for all columns that hold no nulls of their own.

use std::sync::OnceLock;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer, bit_util};

use super::encoded::array_from_encoded;
use super::pick::is_past;
use super::resolve::{Hits, Resolution};
use super::scatter::scatter;
use super::source::{Source, Tail};
use super::spine::SpineTimes;
use crate::error::{Error, Result};
use crate::format::row::FieldState;
use crate::threads;
use crate::value::DataType;

/// A field whose values are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its ordinal in the view version.
    pub field: usize,
    /// Its type.
    pub data_type: DataType,
}

/// One source's part of a column: the array `rows` count in, and the spine positions they belong to.
pub(super) struct Part<'a> {
    pub array: ArrayRef,
    pub rows: &'a [u32],
    pub positions: &'a [u32],
}

/// A spine and its winners, ready to be asked for columns.
pub struct Gather<'a> {
    resolution: &'a Resolution,
    sources: &'a [Source<'a>],
    times: &'a SpineTimes,
    row_count: usize,
    /// Row numbers of a tail's values, which are gathered in the order of its hits.
    counting: Vec<u32>,
    found: OnceLock<Option<NullBuffer>>,
}

impl<'a> Gather<'a> {
    /// Over the sources that the resolution was made from.
    pub fn new(resolution: &'a Resolution, sources: &'a [Source<'a>], times: &'a SpineTimes) -> Self {
        assert_eq!(resolution.source_count(), sources.len(), "winners are numbered by source");
        let tail_hits = (0..sources.len()).filter(|&source| matches!(sources[source], Source::Tail(_)));
        let longest = tail_hits.flat_map(|source| resolution.hits(source)).map(|hits| hits.rows.len()).max();
        // Rows are u32 throughout, so their count fits.
        let counting = (0..u32::try_from(longest.unwrap_or(0)).unwrap_or(u32::MAX)).collect();
        let row_count = times.values.len();
        Gather { resolution, sources, times, row_count, counting, found: OnceLock::new() }
    }

    /// The wanted columns, in order, over `threads` threads.
    ///
    /// # Errors
    /// A column is damaged, or its values do not fit an Arrow array.
    pub fn columns(&self, wanted: &[Wanted], threads: usize) -> Result<Vec<ArrayRef>> {
        threads::over(threads, wanted.iter(), |wanted| self.column(wanted)).into_iter().collect()
    }

    /// One column in spine order; null where nothing won, the winner is too old, or says nothing of the field.
    ///
    /// # Errors
    /// As [`Gather::columns`].
    pub fn column(&self, wanted: &Wanted) -> Result<ArrayRef> {
        let parts = self.parts(wanted)?;
        let valid = self.validity(wanted, &parts);
        scatter(&wanted.data_type, self.row_count, &parts, valid)
    }

    fn parts(&self, wanted: &Wanted) -> Result<Vec<Part<'_>>> {
        let mut parts = Vec::new();
        for (number, source) in self.sources.iter().enumerate() {
            if self.resolution.hits(number).all(|hits| hits.rows.is_empty()) {
                continue;
            }
            match source {
                Source::Run(run) => {
                    let Some(array) = run.file.column(wanted.field)? else { continue };
                    check_type(&array, wanted)?;
                    for Hits { positions, rows } in self.resolution.hits(number) {
                        parts.push(Part { array: array.clone(), rows, positions });
                    }
                }
                Source::Tail(tail) => {
                    for Hits { positions, rows } in self.resolution.hits(number) {
                        let array = tail_array(*tail, rows, wanted)?;
                        parts.push(Part { array, rows: &self.counting[..rows.len()], positions });
                    }
                }
            }
        }
        Ok(parts)
    }

    /// Which spine rows have a value; `None` when all have.
    fn validity(&self, wanted: &Wanted, parts: &[Part<'_>]) -> Option<NullBuffer> {
        let reached: usize = parts.iter().map(|part| part.positions.len()).sum();
        let has_nulls = parts.iter().any(|part| part.array.null_count() > 0);
        let has_marks = self.sources.iter().enumerate().any(|(number, source)| {
            let may_have = match source {
                Source::Run(run) => run.has_field_marks,
                Source::Tail(_) => true,
            };
            may_have && self.resolution.hits(number).any(|hits| !hits.rows.is_empty())
        });
        if !has_nulls && !has_marks && reached == self.resolution.hit_count() {
            return self.found.get_or_init(|| self.set_bits(parts)).clone();
        }
        let mut bits = zeros(self.row_count);
        for part in parts {
            let valid = part.array.logical_nulls();
            for (&position, &row) in part.positions.iter().zip(part.rows) {
                let is_valid = valid.as_ref().is_none_or(|valid| valid.is_valid(row as usize));
                bits[position as usize / 8] |= u8::from(is_valid) << (position % 8);
            }
        }
        if has_marks {
            self.clear_gone(wanted.field, &mut bits);
        }
        self.null_buffer(bits)
    }

    fn set_bits(&self, parts: &[Part<'_>]) -> Option<NullBuffer> {
        if self.resolution.hit_count() == self.row_count {
            return None;
        }
        let mut bits = zeros(self.row_count);
        for &position in parts.iter().flat_map(|part| part.positions) {
            bits[position as usize / 8] |= 1 << (position % 8);
        }
        self.null_buffer(bits)
    }

    fn null_buffer(&self, bits: MutableBuffer) -> Option<NullBuffer> {
        let nulls = NullBuffer::new(BooleanBuffer::new(Buffer::from(bits), 0, self.row_count));
        Some(nulls).filter(|nulls| nulls.null_count() > 0)
    }

    /// Clears the bits of winners that do not speak of the field, or whose field's deadline has come.
    fn clear_gone(&self, field: usize, bits: &mut [u8]) {
        let mut clear = |position: u32, is_absent: bool, deadline: Option<i64>| {
            if is_absent || is_past(deadline, self.times.values[position as usize]) {
                bits[position as usize / 8] &= !(1 << (position % 8));
            }
        };
        for (number, source) in self.sources.iter().enumerate() {
            for Hits { positions, rows } in self.resolution.hits(number) {
                match source {
                    Source::Run(run) if !run.has_field_marks => {}
                    Source::Run(run) => {
                        for (&position, &row) in positions.iter().zip(rows) {
                            clear(position, run.file.is_absent(row, field), run.file.field_deadline(row, field));
                        }
                    }
                    Source::Tail(tail) => {
                        let mut positions = positions.iter();
                        tail.fields(rows, field, &mut |said| {
                            if let Some(&position) = positions.next() {
                                clear(position, said.state == FieldState::Absent, said.deadline);
                            }
                        });
                    }
                }
            }
        }
    }
}

fn zeros(bit_count: usize) -> MutableBuffer {
    MutableBuffer::from_len_zeroed(bit_util::ceil(bit_count, 8))
}

fn check_type(array: &ArrayRef, wanted: &Wanted) -> Result<()> {
    if *array.data_type() == wanted.data_type.to_arrow() {
        return Ok(());
    }
    let (field, has, wants) = (wanted.field, array.data_type(), wanted.data_type.to_arrow());
    Err(Error::new(crate::ErrorKind::Damaged, format!("field {field} is stored as {has}, wants {wants}")))
}

fn tail_array(tail: &dyn Tail, rows: &[u32], wanted: &Wanted) -> Result<ArrayRef> {
    let (mut bytes, mut cells) = (Vec::new(), Vec::with_capacity(rows.len()));
    tail.fields(rows, wanted.field, &mut |said| {
        let start = bytes.len();
        bytes.extend_from_slice(said.bytes);
        cells.push((said.state == FieldState::Value).then_some(start..bytes.len()));
    });
    let cells: Vec<Option<&[u8]>> = cells.into_iter().map(|cell| cell.map(|range| &bytes[range])).collect();
    array_from_encoded(&wanted.data_type, &cells)
}
