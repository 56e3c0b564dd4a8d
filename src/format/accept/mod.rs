//! Foreign columns to canonical ones: what is accepted as which type, and why a row is refused.
//!
//! A column is accepted when each value converts exactly; into float32 it rounds. Everything that
//! comes out is of [`DataType::to_arrow`], with one NaN, and a row refused is null in it.

mod batch;
mod columns;
mod convert;
mod limits;
mod nested;
mod rules;
mod spine;
#[cfg(test)]
mod tests;
mod text;

pub use batch::{
    AcceptOptions, Accepted, BAD_ROW_WAY_OUT, DELETED_COLUMN, EVENT_TIMESTAMP_COLUMN, LINE_COLUMN, NAMES_KEY,
    TEXT_FORM_KEY, VIEW_KEY, VIEW_NAMES, accept_batch, refuse_other_time,
};
pub use columns::{ColumnRole, MissingColumn, missing_columns, missing_error};
pub use rules::CompiledRules;
pub use spine::{accept_spine_key, accept_spine_timestamp};

use arrow_array::ArrayRef;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::value::DataType;

/// One reason not to take one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The row within its batch.
    pub row: usize,
    /// The column that the reason lies in; `None` for the row as a whole.
    pub column: Option<String>,
    /// What was expected and what was found.
    pub reason: String,
}

impl Refusal {
    fn new(row: usize, reason: impl Into<String>) -> Refusal {
        Refusal { row, column: None, reason: reason.into() }
    }

    /// The refusal as an error; `row_name` says how the caller counts, such as `line 7`.
    pub fn to_error(&self, row_name: &str) -> Error {
        let error = Error::invalid(&self.reason).at(row_name);
        match &self.column {
            Some(column) => error.at(column),
            None => error,
        }
    }
}

/// Takes `array` as a column of `dtype`. Shares its buffers where it is canonical already.
///
/// # Errors
/// The first row whose value does not convert, with both types; or the types, where none could.
pub fn accept_column(dtype: &DataType, array: &ArrayRef) -> Result<ArrayRef> {
    let mut refused = Vec::new();
    let column = accept_column_collecting(dtype, array, &mut refused)?;
    match refused.iter().min_by_key(|refusal| refusal.row) {
        Some(first) => Err(first.to_error(&format!("row {}", first.row))),
        None => Ok(column),
    }
}

/// [`accept_column`] that sets refused rows to null and says why in `refused`.
///
/// # Errors
/// No value of the array's type converts to `dtype`.
pub fn accept_column_collecting(dtype: &DataType, array: &ArrayRef, refused: &mut Vec<Refusal>) -> Result<ArrayRef> {
    convert::convert(dtype, array, refused)
}
