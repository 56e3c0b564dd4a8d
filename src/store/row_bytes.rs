//! What a row of a training set takes in memory, so that a chunk of them can end in time.
//!
//! A function of the rows alone: the same spine against the same snapshot makes the same chunks, and so the same files.

use arrow_array::{Array, ArrayRef, RecordBatch};

use crate::format::columns::array_bytes;
use crate::value::DataType;

/// A value of no fixed length, of a feature that none was joined of yet: taken for a long one, so that the first chunk is short.
const VARIABLE_BYTES: usize = 4 << 10;

/// To which part of what it was an estimate falls at most, from one chunk to the next.
const FALL_MAX: usize = 8;

/// Bytes that a row's features take.
#[derive(Debug)]
pub(super) struct FeatureBytes {
    fixed: usize,
    /// Columns of values that differ in length, counted from the first feature, and what a value takes.
    variable: Vec<(usize, usize)>,
}

impl FeatureBytes {
    pub fn of<'a>(types: impl Iterator<Item = &'a DataType>) -> FeatureBytes {
        let mut bytes = FeatureBytes { fixed: 0, variable: Vec::new() };
        for (column, dtype) in types.enumerate() {
            match dtype {
                DataType::Vector(_) => bytes.fixed += dtype.vector_bytes(),
                dtype if dtype.is_variable() => bytes.variable.push((column, VARIABLE_BYTES)),
                dtype => bytes.fixed += dtype.fixed_width_bytes(),
            }
        }
        bytes
    }

    pub fn of_row(&self) -> usize {
        self.variable.iter().fold(self.fixed, |bytes, (_, of_value)| bytes.saturating_add(*of_value))
    }

    /// Takes the next values for as long as these are on average, nulls among them, but not for far shorter than before: a few
    /// short ones at the beginning must not make a chunk of long ones.
    pub fn learn(&mut self, features: &[ArrayRef]) {
        for (column, bytes) in &mut self.variable {
            let values = &features[*column];
            if !values.is_empty() {
                *bytes = array_bytes(values).div_ceil(values.len()).max(*bytes / FALL_MAX);
            }
        }
    }
}

/// What a row of the batch takes, on average.
pub(super) fn row_bytes(batch: &RecordBatch) -> usize {
    let bytes: usize = batch.columns().iter().map(array_bytes).sum();
    bytes.div_ceil(batch.num_rows().max(1))
}
