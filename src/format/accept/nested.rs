//! Lists and vectors out of list, large list, list view and fixed-size list columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, ListArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType as ArrowType, Field};

use super::Refusal;
use super::convert::{cast, convert, mismatch, without};
use crate::error::Result;
use crate::format::columns::values::vector_array;
use crate::value::DataType;

/// Elements back to back, and where each row's begin.
struct Flat {
    elements: ArrayRef,
    offsets: Vec<i32>,
}

fn flatten(dtype: &DataType, array: &ArrayRef) -> Result<Flat> {
    let list = match array.data_type() {
        ArrowType::List(_) => array.clone(),
        ArrowType::LargeList(field)
        | ArrowType::FixedSizeList(field, _)
        | ArrowType::ListView(field)
        | ArrowType::LargeListView(field) => cast(array, &ArrowType::List(field.clone()))?,
        _ => return Err(mismatch(dtype, array)),
    };
    let list = list.as_list::<i32>();
    let (first, last) = (list.value_offsets()[0], list.value_offsets()[list.len()]);
    // Offsets are never negative.
    let elements = list.values().slice(first.cast_unsigned() as usize, (last - first).cast_unsigned() as usize);
    Ok(Flat { elements, offsets: list.value_offsets().iter().map(|offset| offset - first).collect() })
}

/// Converts the elements; what is refused of them is refused of their rows.
fn elements(
    dtype: &DataType,
    element: &DataType,
    flat: &Flat,
    array: &ArrayRef,
    refused: &mut Vec<Refusal>,
) -> Result<ArrayRef> {
    let mut bad = Vec::new();
    let converted = convert(element, &flat.elements, &mut bad).map_err(|_| mismatch(dtype, array))?;
    for refusal in bad {
        let row = flat.offsets.partition_point(|offset| offset.cast_unsigned() as usize <= refusal.row) - 1;
        let at = refusal.row - flat.offsets[row].cast_unsigned() as usize;
        if array.is_valid(row) && refused.last().is_none_or(|last| last.row != row) {
            refused.push(Refusal::new(row, format!("wants {dtype}, element {at}: {}", refusal.reason)));
        }
    }
    Ok(converted)
}

pub(super) fn list(
    dtype: &DataType,
    element: &DataType,
    array: &ArrayRef,
    refused: &mut Vec<Refusal>,
) -> Result<ArrayRef> {
    let flat = flatten(dtype, array)?;
    let before = refused.len();
    let converted = elements(dtype, element, &flat, array, refused)?;
    let nulls = without(array.nulls(), array.len(), &refused[before..]);
    let field = Field::new("item", element.to_arrow(), true);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(flat.offsets));
    Ok(Arc::new(ListArray::new(field.into(), offsets, converted, nulls)))
}

pub(super) fn vector(dtype: &DataType, len: u32, array: &ArrayRef, refused: &mut Vec<Refusal>) -> Result<ArrayRef> {
    let width = len as usize;
    if let ArrowType::FixedSizeList(_, size) = array.data_type()
        && size.cast_unsigned() == len
    {
        let list = array.as_fixed_size_list();
        let mut bad = Vec::new();
        let converted = convert(&DataType::Float32, list.values(), &mut bad).map_err(|_| mismatch(dtype, array))?;
        if bad.is_empty() && converted.null_count() == 0 {
            let floats = converted.as_primitive::<Float32Type>().values();
            // A slice of a list array slices its values as well, so that they begin with its first row.
            assert_eq!(floats.len(), list.len() * width, "values of a fixed-size list");
            return Ok(vector_array(len, floats.clone(), list.nulls().cloned()));
        }
    }
    let flat = flatten(dtype, array)?;
    let before = refused.len();
    let converted = elements(dtype, &DataType::Float32, &flat, array, refused)?;
    let floats = converted.as_primitive::<Float32Type>();
    let mut out = Vec::with_capacity(array.len() * width);
    let bad_elements: Vec<usize> = refused[before..].iter().map(|refusal| refusal.row).collect();
    for row in 0..array.len() {
        let (start, end) = (flat.offsets[row].cast_unsigned() as usize, flat.offsets[row + 1].cast_unsigned() as usize);
        let mut take = array.is_valid(row) && bad_elements.binary_search(&row).is_err();
        if take && end - start != width {
            refused.push(Refusal::new(row, format!("wants {dtype}, got {} elements", end - start)));
            take = false;
        }
        if take && let Some(at) = (start..end).find(|&at| floats.is_null(at)) {
            refused.push(Refusal::new(row, format!("wants {dtype}, element {} is null", at - start)));
            take = false;
        }
        match take {
            true => out.extend_from_slice(&floats.values()[start..end]),
            false => out.resize(out.len() + width, 0.0),
        }
    }
    let nulls = without(array.nulls(), array.len(), &refused[before..]);
    Ok(vector_array(len, ScalarBuffer::from(out), nulls))
}
