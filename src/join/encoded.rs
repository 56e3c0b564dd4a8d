//! Encoded values into Arrow arrays.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, make_array};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::ArrowError;

use crate::error::{Error, Result};
use crate::format::value::for_each_element;
use crate::value::DataType;

/// An array of `data_type` from values as [`crate::format::value::encode_value`] writes them; `None` is null.
///
/// # Errors
/// Bytes that are no value of the type, or more of them than an Arrow array can hold.
pub fn array_from_encoded(data_type: &DataType, cells: &[Option<&[u8]>]) -> Result<ArrayRef> {
    let bad = || Error::invalid(format!("stored bytes are no {data_type}"));
    let nulls = nulls_of(cells.iter().map(Option::is_some));
    let buffers = match data_type {
        DataType::Bool => {
            let bits: Option<BooleanBuffer> = cells
                .iter()
                .map(|cell| cell.map_or(Some(false), |bytes| bytes.first().map(|&byte| byte != 0)))
                .collect();
            return Ok(Arc::new(BooleanArray::new(bits.ok_or_else(bad)?, nulls)));
        }
        DataType::Int32 | DataType::Float32 | DataType::Date => vec![words(cells, i32::from_le_bytes).ok_or_else(bad)?],
        DataType::Int64 | DataType::Float64 | DataType::Timestamp => {
            vec![words(cells, i64::from_le_bytes).ok_or_else(bad)?]
        }
        DataType::Decimal { .. } => vec![words(cells, i128::from_le_bytes).ok_or_else(bad)?],
        DataType::Uuid => vec![fixed::<16>(cells).map(|bytes| Buffer::from_vec(bytes.concat())).ok_or_else(bad)?],
        DataType::String | DataType::Json | DataType::Bytes => {
            let offsets = offsets(cells.iter().map(|cell| cell.map_or(0, <[u8]>::len)))?;
            vec![offsets, Buffer::from_vec(cells.iter().flatten().copied().collect::<Vec<_>>().concat())]
        }
        DataType::Vector(len) => {
            let floats = vector_floats(cells, *len as usize).ok_or_else(bad)?;
            let child =
                ArrayData::builder(DataType::Float32.to_arrow()).len(floats.len()).add_buffer(Buffer::from_vec(floats));
            let child = child.build().map_err(|_| bad())?;
            return build(data_type, cells.len(), Vec::new(), Some(child), nulls);
        }
        DataType::List(element) => {
            let mut elements = Vec::new();
            let counts = list_elements(element, cells, &mut elements).ok_or_else(bad)?;
            let child = array_from_encoded(element, &elements)?;
            let offsets = offsets(counts.into_iter())?;
            return build(data_type, cells.len(), vec![offsets], Some(child.to_data()), nulls);
        }
    };
    build(data_type, cells.len(), buffers, None, nulls)
}

/// Puts an array together; Arrow checks that the parts fit.
pub(super) fn build(
    data_type: &DataType,
    len: usize,
    buffers: Vec<Buffer>,
    child: Option<ArrayData>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let data = ArrayData::builder(data_type.to_arrow())
        .len(len)
        .buffers(buffers)
        .child_data(child.into_iter().collect())
        .nulls(nulls)
        .build()
        .map_err(|error| Error::invalid(format!("stored bytes are no column of {data_type}: {error}")))?;
    Ok(make_array(data))
}

/// Validity bits, where anything is null.
fn nulls_of(valid: impl Iterator<Item = bool>) -> Option<NullBuffer> {
    let bits: BooleanBuffer = valid.collect();
    Some(NullBuffer::new(bits)).filter(|nulls| nulls.null_count() > 0)
}

/// Arrow offsets of values of these lengths.
pub(super) fn offsets(lens: impl Iterator<Item = usize>) -> Result<Buffer> {
    let mut end = 0_i32;
    let mut offsets = vec![0];
    for len in lens {
        end = i32::try_from(len).ok().and_then(|len| end.checked_add(len)).ok_or_else(too_long)?;
        offsets.push(end);
    }
    Ok(Buffer::from_vec(offsets))
}

/// A column of more than 2 GiB.
pub(super) fn too_long() -> Error {
    Error::refused("the values of one column take more than 2 GiB")
        .remedy("join fewer spine rows at a time")
        .caused_by(ArrowError::OffsetOverflowError(i32::MAX.unsigned_abs() as usize))
}

/// Whether a join failed because a column would take more than an Arrow array can hold: half of the rows may do.
pub fn is_too_long(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<ArrowError>());
    matches!(cause, Some(ArrowError::OffsetOverflowError(_)))
}

fn fixed<const N: usize>(cells: &[Option<&[u8]>]) -> Option<Vec<[u8; N]>> {
    cells.iter().map(|cell| cell.map_or(Some([0; N]), |bytes| bytes.try_into().ok())).collect()
}

fn words<T: ArrowNativeType, const N: usize>(cells: &[Option<&[u8]>], read: impl Fn([u8; N]) -> T) -> Option<Buffer> {
    let words: Vec<T> = fixed::<N>(cells)?.into_iter().map(read).collect();
    Some(Buffer::from_vec(words))
}

fn vector_floats(cells: &[Option<&[u8]>], len: usize) -> Option<Vec<f32>> {
    let mut floats = Vec::with_capacity(cells.len() * len);
    for cell in cells {
        match cell {
            None => floats.resize(floats.len() + len, 0.0),
            Some(bytes) => {
                let (words, []) = bytes.as_chunks::<4>() else { return None };
                (words.len() == len).then_some(())?;
                floats.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
            }
        }
    }
    Some(floats)
}

/// How many elements each list has; their bytes go onto `elements`.
fn list_elements<'a>(
    element: &DataType,
    cells: &[Option<&'a [u8]>],
    elements: &mut Vec<Option<&'a [u8]>>,
) -> Option<Vec<usize>> {
    let mut counts = Vec::with_capacity(cells.len());
    for cell in cells {
        let Some(bytes) = cell else {
            counts.push(0);
            continue;
        };
        counts.push(for_each_element(element, bytes, |bytes| {
            elements.push(bytes);
            Some(())
        })?);
    }
    Some(counts)
}
