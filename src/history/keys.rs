//! Encoded entity keys, many at a time.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};

use crate::error::{Error, Result};
use crate::history::column_builder::ColumnBuilder;
use crate::key::{KeySchema, check_key_len, push_variable, take_variable};
use crate::value::DataType;

/// Encoded keys, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    bytes: Vec<u8>,
    /// The end of each key.
    ends: Vec<usize>,
}

impl Keys {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Key number `i`.
    #[inline]
    pub fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[start..self.ends[i]]
    }

    /// Appends a key.
    pub fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    /// Bytes held in memory.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }

    /// The keys in another order.
    pub fn take(&self, order: &[u32]) -> Keys {
        let mut out = Keys { bytes: Vec::with_capacity(self.bytes.len()), ends: Vec::with_capacity(order.len()) };
        for &i in order {
            out.push(self.get(i as usize));
        }
        out
    }

    /// Encodes the keys that these columns hold, one a row, as [`KeySchema::encode`] does.
    ///
    /// # Errors
    /// A column is not of its type, a value is null, a key is too long.
    pub fn from_columns(schema: &KeySchema, columns: &[ArrayRef], row_count: usize) -> Result<Keys> {
        let mut keys = Keys::default();
        for (array, (name, data_type)) in columns.iter().zip(schema.columns()) {
            let place = || format!("join key {name}");
            if array.data_type() != &data_type.to_arrow() || array.len() != row_count {
                return Err(Error::invalid(format!("wants {data_type}, got {}", array.data_type())).at(place()));
            }
            if array.null_count() > 0 {
                return Err(Error::invalid("is null").at(place()));
            }
        }
        if let ([array], [(_, DataType::Int64)]) = (columns, schema.columns()) {
            // The commonest key by far, and its bytes lie ready.
            keys.bytes = array.as_primitive::<Int64Type>().values().inner().as_slice().to_vec();
            keys.ends = (1..=row_count).map(|i| i * 8).collect();
            return Ok(keys);
        }
        let last = columns.len().wrapping_sub(1);
        for row in 0..row_count {
            let start = keys.bytes.len();
            for (i, (array, (_, data_type))) in columns.iter().zip(schema.columns()).enumerate() {
                push_component(array, data_type, row, i == last, &mut keys.bytes);
            }
            check_key_len(keys.bytes.len() - start).map_err(|error| error.at(format!("row {row}")))?;
            keys.ends.push(keys.bytes.len());
        }
        Ok(keys)
    }

    /// The columns that these keys are the encoding of. An empty key that is none of the schema's, a
    /// view truncate's, is null in all of them.
    ///
    /// # Errors
    /// A key is none of the schema's.
    pub fn to_columns(&self, schema: &KeySchema) -> Result<Vec<ArrayRef>> {
        let mut builders: Vec<ColumnBuilder> =
            schema.columns().iter().map(|(_, data_type)| ColumnBuilder::new(data_type)).collect();
        let last = builders.len().wrapping_sub(1);
        for i in 0..self.len() {
            let mut key = self.get(i);
            if is_no_key(schema, key) {
                builders.iter_mut().for_each(ColumnBuilder::push_null);
                continue;
            }
            for (column, (builder, (_, data_type))) in builders.iter_mut().zip(schema.columns()).enumerate() {
                let len = if data_type.is_variable() { None } else { Some(data_type.fixed_width_bytes()) };
                let part = match len {
                    Some(len) => key.split_at_checked(len).map(|(part, rest)| {
                        key = rest;
                        part
                    }),
                    None => take_variable(&mut key, column == last),
                };
                builder.push(part.ok_or_else(|| Error::invalid("an entity key is cut short"))?)?;
            }
            if !key.is_empty() {
                return Err(Error::invalid("an entity key is too long for its view"));
            }
        }
        builders.into_iter().map(ColumnBuilder::finish).collect()
    }
}

/// Whether an empty key cannot be one of the schema's: the key that view truncates carry.
pub(crate) fn is_no_key(schema: &KeySchema, key: &[u8]) -> bool {
    key.is_empty() && !matches!(schema.columns(), [] | [(_, DataType::String | DataType::Bytes)])
}

fn push_component(array: &ArrayRef, data_type: &DataType, row: usize, is_last: bool, out: &mut Vec<u8>) {
    match data_type {
        DataType::Bool => out.push(u8::from(array.as_boolean().value(row))),
        DataType::Int32 => out.extend(array.as_primitive::<Int32Type>().value(row).to_le_bytes()),
        DataType::Date => out.extend(array.as_primitive::<Date32Type>().value(row).to_le_bytes()),
        DataType::Int64 => out.extend(array.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        DataType::Timestamp => out.extend(array.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes()),
        DataType::Uuid => out.extend(array.as_fixed_size_binary().value(row)),
        DataType::String => push_variable(array.as_string::<i32>().value(row).as_bytes(), is_last, out),
        DataType::Bytes => push_variable(array.as_binary::<i32>().value(row), is_last, out),
        // KeySchema::new admits no other type.
        _ => {}
    }
}
