//! Canonical columns and rows: Arrow arrays of exactly [`DataType::to_arrow`](crate::value::DataType::to_arrow)
//! to encoded keys and row records, and back. Column by column, without a value in between.

mod decode;
mod encode;
#[cfg(test)]
pub(crate) mod tests;
mod value_bytes;
pub(crate) mod values;

pub use decode::decode_columns;
pub use encode::{EncodedKeys, RowColumns, encode_keys, encode_records};
pub use value_bytes::{Parts, value_bytes};
pub use values::{array_from_values, value_at};

use arrow_array::{Array, ArrayRef};

/// Bytes of memory of an array, of any type; of a slice its own part, where that can be told.
pub fn array_bytes(array: &ArrayRef) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
}
