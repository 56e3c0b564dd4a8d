//! Values as the Redis protocol carries them: the text forms, and bytes as they are.

use std::borrow::Cow;

use super::{format_value, parse_value};
use crate::error::{Error, Result};
use crate::value::{DataType, Value};

/// So many bytes of what is no text are shown.
const SHOWN_BYTES_MAX: usize = 40;

/// A value that is not null.
pub fn to_bytes<'a>(dtype: &DataType, value: &'a Value) -> Cow<'a, [u8]> {
    match value {
        Value::Bytes(bytes) => Cow::Borrowed(bytes),
        Value::String(text) | Value::Json(text) => Cow::Borrowed(text.as_bytes()),
        value => Cow::Owned(format_value(dtype, value).into_bytes()),
    }
}

/// The value that was sent.
///
/// # Errors
/// It is none of this type: what was wanted and what was found.
pub fn from_bytes(dtype: &DataType, bytes: &[u8]) -> Result<Value> {
    if *dtype == DataType::Bytes {
        return Ok(Value::Bytes(bytes.to_vec()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| {
        let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
        Error::invalid(format!("wants {dtype}, got bytes that are no UTF-8: '{}'", shown.escape_ascii()))
    })?;
    parse_value(dtype, text)
}
