//! Canonical columns and rows: Arrow arrays of exactly [`DataType::to_arrow`](crate::value::DataType::to_arrow)
//! to encoded keys and row records, and back. Column by column, without a value in between.

mod decode;
mod encode;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod values;

pub use decode::decode_columns;
pub use encode::{EncodedKeys, RowColumns, encode_keys, encode_records};
pub use values::{array_from_values, value_at};
