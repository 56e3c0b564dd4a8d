//! Values as clients send and get them: the text forms, and bytes as they are.

use std::borrow::Cow;

use crate::server::resp::command::Refusal;
use crate::text::{format_value, parse_value};
use crate::value::{DataType, Value};

/// What a client gets for a value that is not null.
pub(super) fn to_bytes<'a>(dtype: &DataType, value: &'a Value) -> Cow<'a, [u8]> {
    match value {
        Value::Bytes(bytes) => Cow::Borrowed(bytes),
        Value::String(text) | Value::Json(text) => Cow::Borrowed(text.as_bytes()),
        value => Cow::Owned(format_value(dtype, value).into_bytes()),
    }
}

/// The value that a client sent; `name` is the feature's, view and all.
///
/// # Errors
/// It is none of this type.
pub(super) fn from_bytes(dtype: &DataType, bytes: &[u8], name: impl FnOnce() -> String) -> Result<Value, Refusal> {
    if *dtype == DataType::Bytes {
        return Ok(Value::Bytes(bytes.to_vec()));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        let bytes = &bytes[..bytes.len().min(40)];
        return Err(Refusal::new(format!(
            "ERR {} wants {dtype}, got bytes that are no UTF-8: '{}'",
            name(),
            bytes.escape_ascii()
        )));
    };
    parse_value(dtype, text).map_err(|error| Refusal::new(format!("ERR {} {}", name(), error.what())))
}
