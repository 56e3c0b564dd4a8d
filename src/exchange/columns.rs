//! Columns built value by value, out of text.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, ListArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{DataType as ArrowType, Field};

use crate::error::{Error, Result};
use crate::value::{DataType, Value};

/// Builds canonical arrays of one type, batch after batch.
#[derive(Debug)]
pub struct ColumnBuilder {
    dtype: DataType,
    cells: Cells,
}

#[derive(Debug)]
enum Cells {
    Bool(BooleanBuilder),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    /// String and json.
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Date(PrimitiveBuilder<Date32Type>),
    Decimal(PrimitiveBuilder<Decimal128Type>),
    Uuid(FixedSizeBinaryBuilder),
    List {
        elements: Box<ColumnBuilder>,
        lengths: Vec<usize>,
        nulls: NullBufferBuilder,
    },
    Vector {
        len: usize,
        floats: Vec<f32>,
        nulls: NullBufferBuilder,
    },
}

impl ColumnBuilder {
    /// An empty column.
    pub fn new(dtype: &DataType) -> ColumnBuilder {
        let cells = match dtype {
            DataType::Bool => Cells::Bool(BooleanBuilder::new()),
            DataType::Int32 => Cells::Int32(PrimitiveBuilder::new()),
            DataType::Int64 => Cells::Int64(PrimitiveBuilder::new()),
            DataType::Float32 => Cells::Float32(PrimitiveBuilder::new()),
            DataType::Float64 => Cells::Float64(PrimitiveBuilder::new()),
            DataType::String | DataType::Json => Cells::Text(StringBuilder::new()),
            DataType::Bytes => Cells::Bytes(BinaryBuilder::new()),
            DataType::Timestamp => Cells::Timestamp(PrimitiveBuilder::new().with_data_type(dtype.to_arrow())),
            DataType::Date => Cells::Date(PrimitiveBuilder::new()),
            DataType::Decimal { .. } => Cells::Decimal(PrimitiveBuilder::new().with_data_type(dtype.to_arrow())),
            DataType::Uuid => Cells::Uuid(FixedSizeBinaryBuilder::new(16)),
            DataType::List(element) => Cells::List {
                elements: Box::new(ColumnBuilder::new(element)),
                lengths: Vec::new(),
                nulls: NullBufferBuilder::new(0),
            },
            DataType::Vector(len) => {
                Cells::Vector { len: *len as usize, floats: Vec::new(), nulls: NullBufferBuilder::new(0) }
            }
        };
        ColumnBuilder { dtype: dtype.clone(), cells }
    }

    /// The type of its values.
    pub fn dtype(&self) -> &DataType {
        &self.dtype
    }

    /// Appends a null.
    pub fn push_null(&mut self) {
        match &mut self.cells {
            Cells::Bool(builder) => builder.append_null(),
            Cells::Int32(builder) => builder.append_null(),
            Cells::Int64(builder) => builder.append_null(),
            Cells::Float32(builder) => builder.append_null(),
            Cells::Float64(builder) => builder.append_null(),
            Cells::Text(builder) => builder.append_null(),
            Cells::Bytes(builder) => builder.append_null(),
            Cells::Timestamp(builder) => builder.append_null(),
            Cells::Date(builder) => builder.append_null(),
            Cells::Decimal(builder) => builder.append_null(),
            Cells::Uuid(builder) => builder.append_null(),
            Cells::List { lengths, nulls, .. } => {
                lengths.push(0);
                nulls.append_null();
            }
            Cells::Vector { len, floats, nulls } => {
                floats.resize(floats.len() + *len, 0.0);
                nulls.append_null();
            }
        }
    }

    /// Appends text to a column of strings without a value in between; `false` for other types.
    pub fn push_string(&mut self, text: &str) -> bool {
        match (&self.dtype, &mut self.cells) {
            (DataType::String, Cells::Text(builder)) => {
                builder.append_value(text);
                true
            }
            _ => false,
        }
    }

    /// Appends a value.
    ///
    /// # Errors
    /// The value is of another type; nothing was appended.
    pub fn push(&mut self, value: Value) -> Result<()> {
        match (&mut self.cells, value) {
            (_, Value::Null) => self.push_null(),
            (Cells::Bool(builder), Value::Bool(v)) => builder.append_value(v),
            (Cells::Int32(builder), Value::Int32(v)) => builder.append_value(v),
            (Cells::Int64(builder), Value::Int64(v)) => builder.append_value(v),
            (Cells::Float32(builder), Value::Float32(v)) => builder.append_value(v),
            (Cells::Float64(builder), Value::Float64(v)) => builder.append_value(v),
            (Cells::Text(builder), Value::String(v) | Value::Json(v)) => builder.append_value(v),
            (Cells::Bytes(builder), Value::Bytes(v)) => builder.append_value(v),
            (Cells::Timestamp(builder), Value::Timestamp(v)) => builder.append_value(v),
            (Cells::Date(builder), Value::Date(v)) => builder.append_value(v),
            (Cells::Decimal(builder), Value::Decimal(v)) => builder.append_value(v),
            (Cells::Uuid(builder), Value::Uuid(v)) => {
                builder.append_value(v).map_err(|e| Error::invalid(e.to_string()))?
            }
            (Cells::List { elements, lengths, nulls }, Value::List(values)) => {
                lengths.push(values.len());
                nulls.append_non_null();
                values.into_iter().try_for_each(|value| elements.push(value))?;
            }
            (Cells::Vector { len, floats, nulls }, Value::Vector(values)) if values.len() == *len => {
                floats.extend_from_slice(&values);
                nulls.append_non_null();
            }
            (_, value) => {
                return Err(Error::invalid(format!("wants {}, got {}", self.dtype, value.type_name())));
            }
        }
        Ok(())
    }

    /// The column so far; the builder starts afresh.
    pub fn finish(&mut self) -> ArrayRef {
        match &mut self.cells {
            Cells::Bool(builder) => Arc::new(builder.finish()),
            Cells::Int32(builder) => Arc::new(builder.finish()),
            Cells::Int64(builder) => Arc::new(builder.finish()),
            Cells::Float32(builder) => Arc::new(builder.finish()),
            Cells::Float64(builder) => Arc::new(builder.finish()),
            Cells::Text(builder) => Arc::new(builder.finish()),
            Cells::Bytes(builder) => Arc::new(builder.finish()),
            Cells::Timestamp(builder) => Arc::new(builder.finish()),
            Cells::Date(builder) => Arc::new(builder.finish()),
            Cells::Decimal(builder) => Arc::new(builder.finish()),
            Cells::Uuid(builder) => Arc::new(builder.finish()),
            Cells::List { elements, lengths, nulls } => {
                let elements = elements.finish();
                let field = Field::new("item", elements.data_type().clone(), true);
                let offsets = OffsetBuffer::from_lengths(std::mem::take(lengths));
                Arc::new(ListArray::new(field.into(), offsets, elements, nulls.finish()))
            }
            Cells::Vector { len, floats, nulls } => {
                let field = Field::new("item", ArrowType::Float32, false);
                let floats = Arc::new(Float32Array::new(std::mem::take(floats).into(), None));
                let width = i32::try_from(*len).unwrap_or(i32::MAX);
                Arc::new(FixedSizeListArray::new(field.into(), width, floats, nulls.finish()))
            }
        }
    }
}
