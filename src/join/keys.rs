//! Key columns of a spine, encoded as the view's rows are.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{Buffer, NullBuffer};

use crate::error::{Error, Result};
use crate::key::{KEY_BYTES_MAX, KeySchema, push_variable};
use crate::value::DataType;

/// Encoded keys, end to end.
#[derive(Clone, Debug)]
pub(super) enum KeyBytes {
    /// All of one length.
    Fixed { bytes: Buffer, len: usize },
    /// With where each ends, after a leading zero.
    Varying { bytes: Vec<u8>, ends: Vec<usize> },
}

impl Default for KeyBytes {
    fn default() -> Self {
        KeyBytes::Varying { bytes: Vec::new(), ends: vec![0] }
    }
}

impl KeyBytes {
    /// The key of a row.
    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        match self {
            KeyBytes::Fixed { bytes, len } => &bytes[row * len..][..*len],
            KeyBytes::Varying { bytes, ends } => &bytes[ends[row]..ends[row + 1]],
        }
    }

    /// Appends a key; only to those of varying length.
    pub fn push(&mut self, key: &[u8]) {
        if let KeyBytes::Varying { bytes, ends } = self {
            bytes.extend_from_slice(key);
            ends.push(bytes.len());
        }
    }
}

/// Encodes every row's key, out of columns of the join keys' own types; rows marked null match nothing.
pub(super) fn encode_columns(
    schema: &KeySchema,
    columns: &[ArrayRef],
    row_count: usize,
) -> Result<(KeyBytes, Option<NullBuffer>)> {
    let wanted = schema.columns();
    if columns.len() != wanted.len() {
        return Err(Error::invalid(format!("the key has {} parts, got {} columns", wanted.len(), columns.len())));
    }
    for (column, (name, data_type)) in columns.iter().zip(wanted) {
        if *column.data_type() != data_type.to_arrow() {
            return Err(Error::invalid(format!("{name} wants {data_type}, got {}", column.data_type())));
        }
        if column.len() != row_count {
            return Err(Error::invalid(format!("a key column has {} rows, the spine {row_count}", column.len())));
        }
    }
    let nulls = columns.iter().fold(None, |all, column| NullBuffer::union(all.as_ref(), column.nulls()));
    if let ([column], [(_, DataType::Int64)]) = (columns, wanted) {
        // As they lie in memory they are encoded: runs are mapped, so that machines are little-endian anyway.
        let bytes = column.as_primitive::<Int64Type>().values().inner().clone();
        return Ok((KeyBytes::Fixed { bytes, len: 8 }, nulls));
    }
    let (bytes, too_long) = encode_rows(wanted, columns, row_count, nulls.as_ref());
    let nulls = match too_long {
        Some(too_long) => NullBuffer::union(nulls.as_ref(), Some(&too_long)),
        None => nulls,
    };
    match schema.fixed_len_bytes() {
        Some(len) if nulls.is_none() => {
            let KeyBytes::Varying { bytes, .. } = bytes else { unreachable!("encode_rows varies") };
            Ok((KeyBytes::Fixed { bytes: Buffer::from_vec(bytes), len }, nulls))
        }
        _ => Ok((bytes, nulls)),
    }
}

/// Row by row; gives also which rows have a key short enough to be stored, unless all have.
fn encode_rows(
    wanted: &[(String, DataType)],
    columns: &[ArrayRef],
    row_count: usize,
    nulls: Option<&NullBuffer>,
) -> (KeyBytes, Option<NullBuffer>) {
    let mut bytes = Vec::new();
    let mut ends = Vec::with_capacity(row_count + 1);
    ends.push(0);
    let mut too_long = Vec::new();
    for row in 0..row_count {
        let start = bytes.len();
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            for (i, (column, (_, data_type))) in columns.iter().zip(wanted).enumerate() {
                push_component(column, data_type, row, i + 1 == columns.len(), &mut bytes);
            }
            if bytes.len() - start > KEY_BYTES_MAX {
                bytes.truncate(start);
                too_long.push(row);
            }
        }
        ends.push(bytes.len());
    }
    let mask = (!too_long.is_empty()).then(|| {
        let mut valid = vec![true; row_count];
        too_long.into_iter().for_each(|row| valid[row] = false);
        NullBuffer::from(valid)
    });
    (KeyBytes::Varying { bytes, ends }, mask)
}

fn push_component(column: &ArrayRef, data_type: &DataType, row: usize, is_last: bool, out: &mut Vec<u8>) {
    match data_type {
        DataType::Bool => out.push(u8::from(column.as_boolean().value(row))),
        DataType::Int32 => out.extend(column.as_primitive::<Int32Type>().value(row).to_le_bytes()),
        DataType::Date => out.extend(column.as_primitive::<Date32Type>().value(row).to_le_bytes()),
        DataType::Int64 => out.extend(column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        DataType::Timestamp => {
            out.extend(column.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes());
        }
        DataType::Uuid => out.extend(column.as_fixed_size_binary().value(row)),
        DataType::String => push_variable(column.as_string::<i32>().value(row).as_bytes(), is_last, out),
        DataType::Bytes => push_variable(column.as_binary::<i32>().value(row), is_last, out),
        _ => unreachable!("a key schema admits only join key types"),
    }
}
