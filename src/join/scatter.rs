//! Values of several arrays into one, each to its place; by the width of the type, not its meaning.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer, bit_util};
use arrow_data::ArrayData;
use arrow_data::transform::{Capacities, MutableArrayData};

use super::encoded::{build, offsets, too_long};
use super::gather::Part;
use crate::error::Result;
use crate::huge_pages::Zeroed;
use crate::value::DataType;

/// The column of `len` rows that `parts` make, valid where `nulls` says.
pub(super) fn scatter(
    data_type: &DataType,
    len: usize,
    parts: &[Part<'_>],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let buffers = match data_type {
        DataType::Bool => {
            return Ok(Arc::new(BooleanArray::new(booleans(len, parts), nulls)));
        }
        DataType::Int32 | DataType::Float32 | DataType::Date => vec![natives::<4>(len, parts)],
        DataType::Int64 | DataType::Float64 | DataType::Timestamp => vec![natives::<8>(len, parts)],
        DataType::Decimal { .. } | DataType::Uuid => vec![natives::<16>(len, parts)],
        DataType::String | DataType::Json | DataType::Bytes => strings(len, parts)?,
        DataType::Vector(width) => {
            let child = vectors(len, *width as usize, parts);
            let child = ArrayData::builder(DataType::Float32.to_arrow()).len(len * *width as usize).add_buffer(child);
            return build(data_type, len, Vec::new(), child.build().ok(), nulls);
        }
        DataType::List(_) => return lists(data_type, len, parts, nulls),
    };
    build(data_type, len, buffers, None, nulls)
}

/// Values of `WIDTH` bytes: the loop that most of a join's time is spent in. Nulls are carried along as whatever lies there.
fn natives<const WIDTH: usize>(len: usize, parts: &[Part<'_>]) -> Buffer {
    let mut out = Zeroed::new(len * WIDTH);
    let (places, _) = out.as_mut().as_chunks_mut::<WIDTH>();
    for part in parts {
        let data = part.array.to_data();
        let (values, _) = data.buffers()[0].as_slice()[data.offset() * WIDTH..].as_chunks::<WIDTH>();
        for (&position, &row) in part.positions.iter().zip(part.rows) {
            places[position as usize] = values[row as usize];
        }
    }
    out.into()
}

fn booleans(len: usize, parts: &[Part<'_>]) -> BooleanBuffer {
    let mut bits = MutableBuffer::from_len_zeroed(bit_util::ceil(len, 8));
    for part in parts {
        let values = part.array.as_boolean().values();
        for (&position, &row) in part.positions.iter().zip(part.rows) {
            bits[position as usize / 8] |= u8::from(values.value(row as usize)) << (position % 8);
        }
    }
    BooleanBuffer::new(Buffer::from(bits), 0, len)
}

/// Strings and bytes: first the lengths, then the bytes.
fn strings(len: usize, parts: &[Part<'_>]) -> Result<Vec<Buffer>> {
    let mut lens = vec![0_usize; len];
    for part in parts {
        let data = part.array.to_data();
        let ends = &data.buffers()[0].typed_data::<i32>()[data.offset()..];
        for (&position, &row) in part.positions.iter().zip(part.rows) {
            let row = row as usize;
            let is_valid = data.is_valid(row);
            lens[position as usize] = if is_valid { ends[row].abs_diff(ends[row + 1]) as usize } else { 0 };
        }
    }
    let offsets = offsets(lens.iter().copied())?;
    let starts = offsets.typed_data::<i32>();
    let mut out = Zeroed::new(starts.last().map_or(0, |&end| end.unsigned_abs() as usize));
    let bytes = out.as_mut();
    for part in parts {
        let data = part.array.to_data();
        let ends = &data.buffers()[0].typed_data::<i32>()[data.offset()..];
        let values = data.buffers()[1].as_slice();
        for (&position, &row) in part.positions.iter().zip(part.rows) {
            let (len, to) = (lens[position as usize], starts[position as usize].unsigned_abs() as usize);
            let from = ends[row as usize].unsigned_abs() as usize;
            bytes[to..to + len].copy_from_slice(&values[from..from + len]);
        }
    }
    Ok(vec![offsets, out.into()])
}

fn vectors(len: usize, width: usize, parts: &[Part<'_>]) -> Buffer {
    let width_bytes = width * size_of::<f32>();
    let mut out = Zeroed::new(len * width_bytes);
    let places = out.as_mut();
    for part in parts {
        let floats = part.array.as_fixed_size_list().values().to_data();
        let values = &floats.buffers()[0].as_slice()[floats.offset() * size_of::<f32>()..];
        for (&position, &row) in part.positions.iter().zip(part.rows) {
            let value = &values[row as usize * width_bytes..][..width_bytes];
            places[position as usize * width_bytes..][..width_bytes].copy_from_slice(value);
        }
    }
    out.into()
}

/// Lists: row by row, by way of Arrow's own builder.
fn lists(data_type: &DataType, len: usize, parts: &[Part<'_>], nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    const NONE: (u32, u32) = (u32::MAX, 0);
    let mut origin = vec![NONE; len];
    for (number, part) in (0_u32..).zip(parts) {
        for (&position, &row) in part.positions.iter().zip(part.rows) {
            origin[position as usize] = (number, row);
        }
    }
    let arrays: Vec<ArrayData> = parts.iter().map(|part| part.array.to_data()).collect();
    let empty = ArrayData::new_empty(&data_type.to_arrow());
    let sources: Vec<&ArrayData> = if arrays.is_empty() { vec![&empty] } else { arrays.iter().collect() };
    let mut out = MutableArrayData::with_capacities(sources, true, Capacities::Array(len));
    for (position, &(part, row)) in origin.iter().enumerate() {
        if (part, row) == NONE || nulls.as_ref().is_some_and(|nulls| nulls.is_null(position)) {
            out.try_extend_nulls(1).map_err(|_| too_long())?;
        } else {
            let row = row as usize;
            out.try_extend(part as usize, row, row + 1).map_err(|_| too_long())?;
        }
    }
    Ok(make_array(out.freeze()))
}
