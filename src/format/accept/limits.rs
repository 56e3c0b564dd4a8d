//! Keys and values that are longer than what is stored: refused row by row, before any is encoded.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};

use super::Refusal;
use crate::format::value::VARIABLE_BYTES_MAX;
use crate::key::KEY_BYTES_MAX;
use crate::value::DataType;

/// Refuses rows whose encoded key, of these parts, is too long; `what` names it.
pub(super) fn refuse_long_keys(parts: &[(&DataType, &ArrayRef)], rows: usize, what: &str, refused: &mut Vec<Refusal>) {
    if !parts.iter().any(|(dtype, _)| dtype.is_variable()) {
        return;
    }
    let mut lengths = vec![0_usize; rows];
    for (i, (dtype, column)) in parts.iter().enumerate() {
        let prefix = if i + 1 == parts.len() { 0 } else { 4 };
        if dtype.is_variable() {
            let ends = text_ends(column);
            lengths.iter_mut().enumerate().for_each(|(row, len)| *len += prefix + between(ends, row));
        } else {
            lengths.iter_mut().for_each(|len| *len += dtype.fixed_width_bytes());
        }
    }
    for (row, len) in lengths.iter().enumerate().filter(|(_, len)| **len > KEY_BYTES_MAX) {
        refused.push(Refusal::new(row, format!("the {what} takes {len} bytes, at most {KEY_BYTES_MAX} are stored")));
    }
}

/// Refuses rows whose value takes too many bytes.
pub(super) fn refuse_long_values(dtype: &DataType, column: &ArrayRef, refused: &mut Vec<Refusal>) {
    let len = |row: usize| match dtype {
        DataType::String | DataType::Json | DataType::Bytes => between(text_ends(column), row),
        DataType::List(element) => list_len(element, column, row),
        _ => 0,
    };
    // Nothing grows more than a list of bools does, from a bit to a byte and a bit.
    if !dtype.is_variable() || column.get_array_memory_size() <= VARIABLE_BYTES_MAX / 16 {
        return;
    }
    for row in (0..column.len()).filter(|&row| column.is_valid(row) && len(row) > VARIABLE_BYTES_MAX) {
        let reason = format!("the value takes {} bytes, at most {VARIABLE_BYTES_MAX} are stored", len(row));
        refused.push(Refusal::new(row, reason));
    }
}

/// Where each string, or each run of bytes, ends.
fn text_ends(column: &dyn Array) -> &[i32] {
    match column.as_string_opt::<i32>() {
        Some(strings) => strings.value_offsets(),
        None => column.as_binary::<i32>().value_offsets(),
    }
}

fn between(ends: &[i32], row: usize) -> usize {
    (ends[row + 1] - ends[row]).unsigned_abs() as usize
}

/// Bytes of a list, as `encode_value` writes it.
fn list_len(element: &DataType, column: &dyn Array, row: usize) -> usize {
    let values = column.as_list::<i32>().value(row);
    let elements = match element.is_variable() {
        true => {
            let ends = text_ends(&values);
            (0..values.len()).map(|i| 4 + if values.is_valid(i) { between(ends, i) } else { 0 }).sum()
        }
        false => values.len() * element.fixed_width_bytes(),
    };
    4 + values.len().div_ceil(8) + elements
}
