//! Columns of a spine: they ask, they are not stored, so what cannot match is null and no error.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use arrow_schema::DataType as ArrowType;

use super::Refusal;
use super::convert::{cast, convert};
use crate::error::{Error, Result};
use crate::time::Timestamp;
use crate::value::DataType;

/// Takes a spine's key column as join key type `dtype`: null where no stored key can be equal.
///
/// # Errors
/// The types have nothing in common, such as a string against an integer.
pub fn accept_spine_key(dtype: &DataType, array: &ArrayRef) -> Result<ArrayRef> {
    convert(dtype, array, &mut Vec::new()).map_err(of_column)
}

/// Takes a spine's time column as microseconds UTC; text is read as RFC 3339. Nulls stay. `first_row` is what messages call the
/// first of its rows.
///
/// # Errors
/// A time is out of range or unreadable, with its row; or the column holds no times.
pub fn accept_spine_timestamp(array: &ArrayRef, first_row: u64) -> Result<Int64Array> {
    let array = &unpacked(array)?;
    let mut refused = Vec::new();
    let times = match array.data_type() {
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => {
            parse(cast(array, &ArrowType::Utf8)?.as_string::<i32>(), &mut refused)
        }
        _ => {
            let column = convert(&DataType::Timestamp, array, &mut refused).map_err(of_column);
            // A spine has no source that could say what numbers count.
            let column =
                column.map_err(|error| error.remedy("write the column as a timestamp type, or as text (RFC 3339)"))?;
            let column = column.as_primitive::<TimestampMicrosecondType>();
            Int64Array::new(column.values().clone(), column.nulls().cloned())
        }
    };
    match refused.iter().min_by_key(|refusal| refusal.row) {
        Some(first) => Err(first.to_error(&format!("row {}", first_row + first.row as u64))),
        None => Ok(times),
    }
}

/// An error of a whole column: which row it was noticed at says nothing.
fn of_column(error: Error) -> Error {
    let column = Error::new(error.kind(), error.what());
    match error.way_out() {
        Some(remedy) => column.remedy(remedy),
        None => column,
    }
}

/// The values themselves, where they lie in a dictionary or in runs.
fn unpacked(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        ArrowType::Dictionary(_, values) => unpacked(&cast(array, values)?),
        ArrowType::RunEndEncoded(_, values) => unpacked(&cast(array, values.data_type())?),
        _ => Ok(Arc::clone(array)),
    }
}

fn parse(strings: &StringArray, refused: &mut Vec<Refusal>) -> Int64Array {
    let parse = |(row, text): (usize, Option<&str>)| match text?.parse::<Timestamp>() {
        Ok(instant) => Some(instant.0),
        Err(error) => {
            refused.push(Refusal::new(row, error.to_string()));
            None
        }
    };
    strings.iter().enumerate().map(parse).collect()
}
