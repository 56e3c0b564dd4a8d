//! Rows to columns: the way back from [`super::encode_records`].

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};

use super::values::{array_from_values, vector_array};
use crate::error::{Error, ErrorKind, Result};
use crate::format::row::{FieldState, RowLayout, RowRef};
use crate::format::value::decode_value;
use crate::value::{DataType, Value};

/// The fields `ordinals` of these rows, one canonical array each. Null, absent and the fields of
/// deletes are all null here; [`RowRef::state`] tells them apart.
///
/// # Errors
/// A variable-length value is no value of its type (the bytes were damaged), or a column's bytes exceed 2 GiB.
pub fn decode_columns(layout: &RowLayout, rows: &[RowRef<'_>], ordinals: &[usize]) -> Result<Vec<ArrayRef>> {
    ordinals.iter().map(|&field| decode_column(layout, rows, field)).collect()
}

fn decode_column(layout: &RowLayout, rows: &[RowRef<'_>], field: usize) -> Result<ArrayRef> {
    let dtype = &layout.types()[field];
    let damaged = || Error::new(ErrorKind::Damaged, format!("field {field} holds no {dtype}"));
    let values =
        || rows.iter().map(|row| (row.state(field) == FieldState::Value).then(|| row.field_bytes(layout, field)));
    let mut nulls = NullBufferBuilder::new(rows.len());
    Ok(match dtype {
        DataType::Bool => {
            let mut bits = BooleanBufferBuilder::new(rows.len());
            for value in values() {
                nulls.append(value.is_some());
                bits.append(value.is_some_and(|bytes| bytes[0] != 0));
            }
            Arc::new(BooleanArray::new(bits.finish(), nulls.finish()))
        }
        DataType::Int32 => fixed::<Int32Type, 4>(layout, rows, field, i32::from_le_bytes),
        DataType::Date => fixed::<Date32Type, 4>(layout, rows, field, i32::from_le_bytes),
        DataType::Int64 => fixed::<Int64Type, 8>(layout, rows, field, i64::from_le_bytes),
        DataType::Timestamp => fixed::<TimestampMicrosecondType, 8>(layout, rows, field, i64::from_le_bytes),
        DataType::Float32 => fixed::<Float32Type, 4>(layout, rows, field, f32::from_le_bytes),
        DataType::Float64 => fixed::<Float64Type, 8>(layout, rows, field, f64::from_le_bytes),
        DataType::Decimal { .. } => fixed::<Decimal128Type, 16>(layout, rows, field, i128::from_le_bytes),
        DataType::Uuid => {
            let mut bytes = Vec::with_capacity(rows.len() * 16);
            for value in values() {
                nulls.append(value.is_some());
                bytes.extend_from_slice(value.unwrap_or(&[0; 16]));
            }
            Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(bytes), nulls.finish()))
        }
        DataType::String | DataType::Json | DataType::Bytes => {
            let mut bytes = Vec::new();
            let mut offsets = Vec::with_capacity(rows.len() + 1);
            offsets.push(0_i32);
            for value in values() {
                nulls.append(value.is_some());
                bytes.extend_from_slice(value.unwrap_or_default());
                offsets.push(i32::try_from(bytes.len()).map_err(|_| {
                    Error::invalid("the values of a column exceed 2 GiB in one batch")
                        .remedy("ask for fewer rows at a time")
                })?);
            }
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            if *dtype == DataType::Bytes {
                Arc::new(BinaryArray::new(offsets, Buffer::from_vec(bytes), nulls.finish()))
            } else {
                let strings = StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls.finish());
                Arc::new(strings.map_err(|_| damaged())?)
            }
        }
        DataType::Vector(len) => {
            let width = *len as usize;
            let mut floats = Vec::with_capacity(rows.len() * width);
            for value in values() {
                nulls.append(value.is_some());
                match value {
                    Some(bytes) if bytes.len() == width * 4 => {
                        floats.extend(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)));
                    }
                    Some(_) => return Err(damaged()),
                    None => floats.resize(floats.len() + width, 0.0),
                }
            }
            vector_array(*len, ScalarBuffer::from(floats), nulls.finish())
        }
        DataType::List(_) => {
            let decode = |bytes: Option<&[u8]>| match bytes {
                Some(bytes) => decode_value(dtype, bytes).ok_or_else(damaged),
                None => Ok(Value::Null),
            };
            array_from_values(dtype, &values().map(decode).collect::<Result<Vec<_>>>()?)?
        }
    })
}

fn fixed<T: ArrowPrimitiveType, const N: usize>(
    layout: &RowLayout,
    rows: &[RowRef<'_>],
    field: usize,
    from_bytes: impl Fn([u8; N]) -> T::Native,
) -> ArrayRef {
    let mut nulls = NullBufferBuilder::new(rows.len());
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        let is_value = row.state(field) == FieldState::Value;
        nulls.append(is_value);
        values.push(if is_value {
            let mut bytes = [0; N];
            bytes.copy_from_slice(row.field_bytes(layout, field));
            from_bytes(bytes)
        } else {
            T::Native::default()
        });
    }
    let array = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls.finish());
    Arc::new(array.with_data_type(layout.types()[field].to_arrow()))
}
