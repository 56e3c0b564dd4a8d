//! Values as clients send them, refused as the protocol refuses.

use crate::server::resp::command::Refusal;
use crate::text;
use crate::value::{DataType, Value};

/// The value that a client sent; `name` is the feature's, view and all.
///
/// # Errors
/// It is none of this type.
pub(super) fn from_bytes(dtype: &DataType, bytes: &[u8], name: impl FnOnce() -> String) -> Result<Value, Refusal> {
    text::from_bytes(dtype, bytes).map_err(|error| Refusal::new(format!("ERR {} {}", name(), error.what())))
}
