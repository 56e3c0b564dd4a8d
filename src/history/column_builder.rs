//! Arrow columns from the bytes of encoded values.

use arrow_array::{ArrayRef, make_array};
use arrow_buffer::{BooleanBufferBuilder, Buffer, MutableBuffer, NullBuffer};
use arrow_data::ArrayData;

use crate::error::{Error, Result};
use crate::value::DataType;

/// Builds one column from values encoded as [`crate::format::value::encode_value`] does.
pub(crate) struct ColumnBuilder {
    data_type: DataType,
    validity: BooleanBufferBuilder,
    values: Values,
}

enum Values {
    Bool(BooleanBufferBuilder),
    /// Also vectors: `width` bytes a row.
    Fixed {
        width: usize,
        bytes: MutableBuffer,
    },
    Variable {
        offsets: Vec<i32>,
        bytes: MutableBuffer,
    },
    List {
        offsets: Vec<i32>,
        elements: Box<ColumnBuilder>,
    },
}

fn malformed() -> Error {
    Error::invalid("a stored value is not of its type")
}

impl ColumnBuilder {
    pub(crate) fn new(data_type: &DataType) -> ColumnBuilder {
        let values = match data_type {
            DataType::Bool => Values::Bool(BooleanBufferBuilder::new(0)),
            DataType::String | DataType::Bytes | DataType::Json => {
                Values::Variable { offsets: vec![0], bytes: MutableBuffer::new(0) }
            }
            DataType::List(element) => {
                Values::List { offsets: vec![0], elements: Box::new(ColumnBuilder::new(element)) }
            }
            DataType::Vector(_) => Values::Fixed { width: data_type.vector_bytes(), bytes: MutableBuffer::new(0) },
            _ => Values::Fixed { width: data_type.fixed_width_bytes(), bytes: MutableBuffer::new(0) },
        };
        ColumnBuilder { data_type: data_type.clone(), validity: BooleanBufferBuilder::new(0), values }
    }

    pub(crate) fn push_null(&mut self) {
        self.validity.append(false);
        match &mut self.values {
            Values::Bool(bits) => bits.append(false),
            Values::Fixed { width, bytes } => bytes.extend_zeros(*width),
            Values::Variable { offsets, .. } | Values::List { offsets, .. } => {
                offsets.push(offsets.last().copied().unwrap_or(0));
            }
        }
    }

    /// Appends a value.
    ///
    /// # Errors
    /// The bytes are no value of the column's type; the column grows beyond 2 GiB.
    pub(crate) fn push(&mut self, value: &[u8]) -> Result<()> {
        match &mut self.values {
            Values::Bool(bits) => match value {
                [0] => bits.append(false),
                [_] => bits.append(true),
                _ => return Err(malformed()),
            },
            Values::Fixed { width, bytes } => {
                if value.len() != *width {
                    return Err(malformed());
                }
                bytes.extend_from_slice(value);
            }
            Values::Variable { offsets, bytes } => {
                bytes.extend_from_slice(value);
                offsets.push(i32::try_from(bytes.len()).map_err(|_| Error::invalid("a column of over 2 GiB"))?);
            }
            Values::List { offsets, elements } => {
                elements.push_elements(value).ok_or_else(malformed)??;
                let end = elements.validity.len();
                offsets.push(i32::try_from(end).map_err(|_| Error::invalid("a column of over 2^31 elements"))?);
            }
        }
        self.validity.append(true);
        Ok(())
    }

    fn push_elements(&mut self, list: &[u8]) -> Option<Result<()>> {
        let (count, rest) = list.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (validity, mut rest) = rest.split_at_checked(count.div_ceil(8))?;
        for i in 0..count {
            let len = if self.data_type.is_variable() {
                let (len, after) = rest.split_first_chunk::<4>()?;
                rest = after;
                u32::from_le_bytes(*len) as usize
            } else {
                self.data_type.fixed_width_bytes()
            };
            let (value, after) = rest.split_at_checked(len)?;
            rest = after;
            if validity[i / 8] >> (i % 8) & 1 == 0 {
                self.push_null();
            } else if let Err(error) = self.push(value) {
                return Some(Err(error));
            }
        }
        rest.is_empty().then_some(Ok(()))
    }

    fn finish_data(mut self) -> Result<ArrayData> {
        let len = self.validity.len();
        let nulls = NullBuffer::new(self.validity.finish());
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let builder = ArrayData::builder(self.data_type.to_arrow()).len(len).nulls(nulls);
        let builder = match self.values {
            Values::Bool(mut bits) => builder.add_buffer(bits.finish().into_inner()),
            Values::Fixed { bytes, .. } => match self.data_type {
                DataType::Vector(n) => {
                    let floats = ArrayData::builder(arrow_schema::DataType::Float32)
                        .len(len * n as usize)
                        .add_buffer(bytes.into());
                    builder.add_child_data(floats.build().map_err(arrow_fault)?)
                }
                _ => builder.add_buffer(bytes.into()),
            },
            Values::Variable { offsets, bytes } => {
                builder.add_buffer(Buffer::from_vec(offsets)).add_buffer(bytes.into())
            }
            Values::List { offsets, elements } => {
                builder.add_buffer(Buffer::from_vec(offsets)).add_child_data(elements.finish_data()?)
            }
        };
        builder.build().map_err(arrow_fault)
    }

    /// The column.
    ///
    /// # Errors
    /// A string is not UTF-8.
    pub(crate) fn finish(self) -> Result<ArrayRef> {
        Ok(make_array(self.finish_data()?))
    }
}

pub(crate) fn arrow_fault(error: arrow_schema::ArrowError) -> Error {
    Error::invalid(format!("the rows make no Arrow column: {error}")).caused_by(error)
}
