//! Columns of a spine: they ask, they are not stored, so what cannot match is null and no error.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use arrow_schema::DataType as ArrowType;

use super::convert::{cast, convert};
use super::{Refusal, accept_column};
use crate::error::Result;
use crate::time::Timestamp;
use crate::value::DataType;

/// Takes a spine's key column as join key type `dtype`: null where no stored key can be equal.
///
/// # Errors
/// The types have nothing in common, such as a string against an integer.
pub fn accept_spine_key(dtype: &DataType, array: &ArrayRef) -> Result<ArrayRef> {
    convert(dtype, array, &mut Vec::new())
}

/// Takes a spine's time column as microseconds UTC; text is read as RFC 3339. Nulls stay.
///
/// # Errors
/// A time is out of range or unreadable, with its row; or the column holds no times.
pub fn accept_spine_timestamp(array: &ArrayRef) -> Result<Int64Array> {
    let column = match array.data_type() {
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => {
            let strings = cast(array, &ArrowType::Utf8)?;
            return parse(strings.as_string::<i32>());
        }
        _ => accept_column(&DataType::Timestamp, array)?,
    };
    let column = column.as_primitive::<TimestampMicrosecondType>();
    Ok(Int64Array::new(column.values().clone(), column.nulls().cloned()))
}

fn parse(strings: &StringArray) -> Result<Int64Array> {
    let parse = |(row, text): (usize, Option<&str>)| match text {
        None => Ok(None),
        Some(text) => match text.parse::<Timestamp>() {
            Ok(instant) => Ok(Some(instant.0)),
            Err(error) => Err(Refusal::new(row, error.to_string()).to_error(&format!("row {row}"))),
        },
    };
    strings.iter().enumerate().map(parse).collect()
}
