//! Single values out of and into canonical arrays: for messages, point reads and tests, not for bulk.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, ListArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::Field;

use crate::error::{Error, Result};
use crate::value::{DataType, Value};

/// The value in `row` of a canonical array.
///
/// # Panics
/// `array` is not of `dtype.to_arrow()`, or `row` lies beyond it.
pub fn value_at(array: &dyn Array, dtype: &DataType, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match dtype {
        DataType::Bool => Value::Bool(array.as_boolean().value(row)),
        DataType::Int32 => Value::Int32(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::Int64(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => Value::Float32(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => Value::Float64(array.as_primitive::<Float64Type>().value(row)),
        DataType::String => Value::String(array.as_string::<i32>().value(row).to_owned()),
        DataType::Json => Value::Json(array.as_string::<i32>().value(row).to_owned()),
        DataType::Bytes => Value::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        DataType::Timestamp => Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Date => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Decimal { .. } => Value::Decimal(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Uuid => {
            let mut uuid = [0; 16];
            uuid.copy_from_slice(array.as_fixed_size_binary().value(row));
            Value::Uuid(uuid)
        }
        DataType::List(element) => {
            let values = array.as_list::<i32>().value(row);
            Value::List((0..values.len()).map(|i| value_at(&values, element, i)).collect())
        }
        DataType::Vector(_) => {
            let values = array.as_fixed_size_list().value(row);
            Value::Vector(values.as_primitive::<Float32Type>().values().to_vec())
        }
    }
}

/// A canonical array of these values.
///
/// # Errors
/// A value is neither null nor of `dtype`; the error names its row.
pub fn array_from_values(dtype: &DataType, values: &[Value]) -> Result<ArrayRef> {
    let wrong = |row: usize, value: &Value| {
        Error::invalid(format!("wants {dtype}, got {}", value.type_name())).at(format!("row {row}"))
    };
    macro_rules! build {
        ($builder:expr, $($pattern:pat => $item:expr),+) => {{
            let mut builder = $builder;
            for (row, value) in values.iter().enumerate() {
                match value {
                    Value::Null => builder.append_null(),
                    $($pattern => builder.append_value($item),)+
                    _ => return Err(wrong(row, value)),
                }
            }
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    let rows = values.len();
    Ok(match dtype {
        DataType::Bool => build!(BooleanBuilder::with_capacity(rows), Value::Bool(v) => *v),
        DataType::Int32 => build!(PrimitiveBuilder::<Int32Type>::with_capacity(rows), Value::Int32(v) => *v),
        DataType::Int64 => build!(PrimitiveBuilder::<Int64Type>::with_capacity(rows), Value::Int64(v) => *v),
        DataType::Float32 => build!(PrimitiveBuilder::<Float32Type>::with_capacity(rows), Value::Float32(v) => *v),
        DataType::Float64 => build!(PrimitiveBuilder::<Float64Type>::with_capacity(rows), Value::Float64(v) => *v),
        DataType::Date => build!(PrimitiveBuilder::<Date32Type>::with_capacity(rows), Value::Date(v) => *v),
        DataType::String => build!(StringBuilder::new(), Value::String(v) => v),
        DataType::Json => build!(StringBuilder::new(), Value::Json(v) => v),
        DataType::Bytes => build!(BinaryBuilder::new(), Value::Bytes(v) => v),
        DataType::Timestamp => build!(
            PrimitiveBuilder::<TimestampMicrosecondType>::with_capacity(rows).with_data_type(dtype.to_arrow()),
            Value::Timestamp(v) => *v
        ),
        DataType::Decimal { .. } => build!(
            PrimitiveBuilder::<Decimal128Type>::with_capacity(rows).with_data_type(dtype.to_arrow()),
            Value::Decimal(v) => *v
        ),
        DataType::Uuid => {
            let mut builder = FixedSizeBinaryBuilder::with_capacity(rows, 16);
            for (row, value) in values.iter().enumerate() {
                match value {
                    Value::Null => builder.append_null(),
                    Value::Uuid(uuid) => builder.append_value(uuid).map_err(|_| wrong(row, value))?,
                    _ => return Err(wrong(row, value)),
                }
            }
            Arc::new(builder.finish())
        }
        DataType::List(element) => {
            let mut elements = Vec::new();
            let mut lengths = Vec::with_capacity(rows);
            for (row, value) in values.iter().enumerate() {
                match value {
                    Value::Null => lengths.push(0),
                    Value::List(list) => {
                        lengths.push(list.len());
                        elements.extend_from_slice(list);
                    }
                    _ => return Err(wrong(row, value)),
                }
            }
            let field = Field::new("item", element.to_arrow(), true);
            let elements = array_from_values(element, &elements)?;
            Arc::new(ListArray::new(field.into(), OffsetBuffer::from_lengths(lengths), elements, nulls_of(values)))
        }
        DataType::Vector(len) => {
            let width = *len as usize;
            let mut floats = Vec::with_capacity(rows * width);
            for (row, value) in values.iter().enumerate() {
                match value {
                    Value::Null => floats.resize(floats.len() + width, 0.0),
                    Value::Vector(vector) if vector.len() == width => floats.extend_from_slice(vector),
                    _ => return Err(wrong(row, value)),
                }
            }
            vector_array(*len, floats.into(), nulls_of(values))
        }
    })
}

/// A canonical `vector<len>` array over its floats.
pub(crate) fn vector_array(len: u32, floats: ScalarBuffer<f32>, nulls: Option<NullBuffer>) -> ArrayRef {
    let field = Field::new("item", arrow_schema::DataType::Float32, false);
    let floats = Arc::new(Float32Array::new(floats, None));
    Arc::new(FixedSizeListArray::new(field.into(), len.cast_signed(), floats, nulls))
}

fn nulls_of(values: &[Value]) -> Option<NullBuffer> {
    let nulls: NullBuffer = values.iter().map(|value| !value.is_null()).collect();
    (nulls.null_count() > 0).then_some(nulls)
}
