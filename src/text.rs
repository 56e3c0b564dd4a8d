//! Text forms: how a value is written where people and other programs read it. The same in the
//! CLI, JSON, CSV and RESP.
//!
//! | type | text | JSON |
//! | --- | --- | --- |
//! | bool | `true`, `false` | boolean |
//! | int32, int64 | decimal | number |
//! | float32, float64 | shortest that round-trips; `NaN`, `Infinity`, `-Infinity` | number; those three are strings |
//! | string | itself | string |
//! | bytes | base64 | string |
//! | timestamp | RFC 3339, UTC, up to six fraction digits | string |
//! | date | `YYYY-MM-DD` | string |
//! | decimal | all digits of its scale | string |
//! | uuid | hyphenated, lower case | string |
//! | json | itself | the document |
//! | list, vector | JSON | array |
//! | null | nothing at all | null |
//!
//! Reading is a little wider than writing: any offset in timestamps, any case in uuids and booleans,
//! `12.0` and `12e3` for an integer, numbers for decimals.

mod bytes;
mod decimal;
mod document;
mod masked;
mod number;
mod timestamp_format;

use base64::Engine as _;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::{Datelike as _, Days, NaiveDate};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::time::Timestamp;
use crate::value::{DataType, Value};

pub use bytes::{from_bytes, to_bytes};
use decimal::{format_decimal, significant_digits};
pub(crate) use decimal::{parse_decimal, rescale};
use document::document_fault;
pub(crate) use masked::without_password;
#[cfg(feature = "server")]
pub(crate) use number::F64Text;
use number::{
    INFINITY, MINUS_INFINITY, NAN, f32_to_json, f64_to_json, format_f32, format_f64, parse_f32, parse_f64,
    parse_integer,
};
pub use timestamp_format::TimestampFormat;
pub(crate) use timestamp_format::{fault_of_format, is_short_year};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Significant digits that any decimal number keeps on its way through float64.
const FLOAT64_DECIMAL_DIGITS: usize = 15;
/// Up to here a float64 holds every integer, and no number next to an integer is taken for it.
const FLOAT64_INTEGER_MAX: f64 = ((1_i64 << 53) - 1) as f64;

/// The text form of a value; null is the empty text.
///
/// A value that is not of `dtype` is printed as what it is.
pub fn format_value(dtype: &DataType, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(v) => v.to_string(),
        Value::Int32(v) => v.to_string(),
        Value::Int64(v) => v.to_string(),
        Value::Float32(v) => format_f32(*v),
        Value::Float64(v) => format_f64(*v),
        Value::String(v) | Value::Json(v) => v.clone(),
        Value::Bytes(v) => BASE64.encode(v),
        Value::Timestamp(v) => Timestamp(*v).to_string(),
        Value::Date(v) => format_date(*v),
        Value::Decimal(v) => format_decimal(*v, scale_of(dtype)),
        Value::Uuid(v) => format_uuid(v),
        Value::List(_) | Value::Vector(_) => json_text(dtype, value),
    }
}

/// Reads the text form of a value that is not null.
///
/// # Errors
/// What was expected and what was found.
pub fn parse_value(dtype: &DataType, text: &str) -> Result<Value> {
    let trimmed = text.trim();
    let parsed = match dtype {
        DataType::Bool if trimmed.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
        DataType::Bool if trimmed.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
        DataType::Bool => None,
        DataType::Int32 => parse_integer(trimmed).map(Value::Int32),
        DataType::Int64 => parse_integer(trimmed).map(Value::Int64),
        DataType::Float32 => parse_f32(trimmed).map(Value::Float32),
        DataType::Float64 => parse_f64(trimmed).map(Value::Float64),
        DataType::String => Some(Value::String(text.to_owned())),
        DataType::Bytes => BASE64.decode(trimmed).ok().map(Value::Bytes),
        DataType::Timestamp => trimmed.parse::<Timestamp>().ok().map(|instant| Value::Timestamp(instant.0)),
        DataType::Date => parse_date(trimmed).map(Value::Date),
        DataType::Decimal { precision, scale } => parse_decimal(trimmed, *precision, *scale).map(Value::Decimal),
        DataType::Uuid => parse_uuid(trimmed).map(Value::Uuid),
        DataType::Json => is_json(text).then(|| Value::Json(text.to_owned())),
        DataType::List(_) | DataType::Vector(_) => {
            return parse_json_text(dtype, text).and_then(|value| match value {
                Value::Null => Err(unexpected(dtype, text)),
                value => Ok(value),
            });
        }
    };
    parsed.ok_or_else(|| unexpected(dtype, text))
}

/// The JSON form of a value.
pub fn to_json(dtype: &DataType, value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(v) => Json::Bool(*v),
        Value::Int32(v) => Json::from(*v),
        Value::Int64(v) => Json::from(*v),
        Value::Float32(v) => f32_to_json(*v),
        Value::Float64(v) => f64_to_json(*v),
        Value::Json(v) => serde_json::from_str(v).unwrap_or_else(|_| Json::String(v.clone())),
        Value::List(values) => {
            let element = match dtype {
                DataType::List(element) => element,
                _ => dtype,
            };
            Json::Array(values.iter().map(|value| to_json(element, value)).collect())
        }
        Value::Vector(values) => Json::Array(values.iter().map(|v| f32_to_json(*v)).collect()),
        Value::String(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Date(_)
        | Value::Decimal(_)
        | Value::Uuid(_) => Json::String(format_value(dtype, value)),
    }
}

/// The JSON form of a value as text, on one line. JSON documents are in it as they are written, where [`to_json`] would
/// read them first and lose the last digits of long numbers.
pub fn json_text(dtype: &DataType, value: &Value) -> String {
    match (dtype, value) {
        // Within a document a line end can only stand between tokens.
        (DataType::Json, Value::Json(text)) if is_json(text) => text.replace(['\n', '\r'], " "),
        (DataType::List(element), Value::List(values)) if **element == DataType::Json => {
            let elements: Vec<String> = values.iter().map(|value| json_text(element, value)).collect();
            format!("[{}]", elements.join(","))
        }
        _ => to_json(dtype, value).to_string(),
    }
}

/// [`json_text`], to be part of what serde writes.
pub fn raw_json(dtype: &DataType, value: &Value) -> Box<RawValue> {
    RawValue::from_string(json_text(dtype, value)).expect("it is JSON")
}

/// Reads the JSON form of a value; JSON null is null. A number is not taken from a string.
///
/// # Errors
/// What was expected and what was found.
pub fn from_json(dtype: &DataType, json: &Json) -> Result<Value> {
    let wrong = || unexpected(dtype, &json.to_string());
    let parsed = match (dtype, json) {
        // A json feature whose document is null cannot be told from one that is null; null it is.
        (_, Json::Null) => Some(Value::Null),
        (DataType::Bool, Json::Bool(v)) => Some(Value::Bool(*v)),
        (DataType::Int32 | DataType::Int64, Json::Number(number)) => {
            // As a large float it may have lost its last digits by now.
            let is_rounded = number.is_f64() && number.as_f64().is_some_and(|value| value.abs() > FLOAT64_INTEGER_MAX);
            return if is_rounded { Err(wrong()) } else { parse_value(dtype, &number.to_string()) };
        }
        (DataType::Float64, Json::Number(number)) => number.as_f64().map(Value::Float64),
        (DataType::Float32, Json::Number(number)) => parse_f32(&number.to_string()).map(Value::Float32),
        (DataType::Float32 | DataType::Float64, Json::String(text)) if is_float_word(text) => {
            return parse_value(dtype, text);
        }
        (DataType::Decimal { precision, scale }, Json::Number(number)) => {
            let text = number.to_string();
            let is_exact = !number.is_f64() || significant_digits(&text) <= FLOAT64_DECIMAL_DIGITS;
            is_exact.then(|| parse_decimal(&text, *precision, *scale)).flatten().map(Value::Decimal)
        }
        (
            DataType::String
            | DataType::Bytes
            | DataType::Timestamp
            | DataType::Date
            | DataType::Decimal { .. }
            | DataType::Uuid,
            Json::String(text),
        ) => return parse_value(dtype, text),
        (DataType::Json, document) => Some(Value::Json(document.to_string())),
        (DataType::List(element), Json::Array(values)) => {
            let read = |(i, value)| from_json(element, value).map_err(|error: Error| error.at(format!("element {i}")));
            Some(Value::List(values.iter().enumerate().map(read).collect::<Result<_>>()?))
        }
        (DataType::Vector(len), Json::Array(values)) => {
            let mut floats = Vec::with_capacity(values.len());
            for (i, value) in values.iter().enumerate() {
                match from_json(&DataType::Float32, value).map_err(|error| error.at(format!("element {i}")))? {
                    Value::Float32(v) => floats.push(v),
                    _ => {
                        return Err(Error::invalid(format!("wants {dtype}, whose elements are not null"))
                            .at(format!("element {i}")));
                    }
                }
            }
            if floats.len() != *len as usize {
                return Err(Error::invalid(format!("wants {dtype}, got {} elements", floats.len())));
            }
            Some(Value::Vector(floats))
        }
        _ => None,
    };
    parsed.ok_or_else(wrong)
}

/// [`from_json`] from JSON text. Integers, decimals written as numbers and json documents keep every digit, in lists too.
///
/// # Errors
/// The text is no JSON, or not of this type.
pub fn parse_json_text(dtype: &DataType, text: &str) -> Result<Value> {
    let trimmed = text.trim();
    if trimmed == "null" {
        return Ok(Value::Null);
    }
    match dtype {
        DataType::Json => return parse_value(dtype, trimmed),
        DataType::Int32 | DataType::Int64 | DataType::Decimal { .. } if !trimmed.starts_with('"') => {
            return parse_value(dtype, trimmed);
        }
        DataType::List(element) if keeps_digits(element) => {
            let elements: Vec<&RawValue> = serde_json::from_str(trimmed).map_err(|_| unexpected(dtype, text))?;
            let read = |(i, raw): (usize, &&RawValue)| {
                parse_json_text(element, raw.get()).map_err(|error| error.at(format!("element {i}")))
            };
            return Ok(Value::List(elements.iter().enumerate().map(read).collect::<Result<_>>()?));
        }
        _ => {}
    }
    let json: Json = serde_json::from_str(trimmed).map_err(|_| unexpected(dtype, text))?;
    from_json(dtype, &json)
}

/// Whether JSON of a type is read from how it is written, not from the float that a number would be.
fn keeps_digits(dtype: &DataType) -> bool {
    matches!(dtype, DataType::Int32 | DataType::Int64 | DataType::Decimal { .. } | DataType::Json)
}

/// At most the first characters of a text, for messages.
pub(crate) fn clip(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn unexpected(dtype: &DataType, text: &str) -> Error {
    Error::invalid(why_unexpected(dtype, text))
}

/// Why a text is no value of a type.
pub(crate) fn why_unexpected(dtype: &DataType, text: &str) -> String {
    let hint = match dtype {
        DataType::Bool => " (true or false)",
        DataType::Bytes => " (base64)",
        DataType::Timestamp if parse_integer::<i64>(text.trim()).is_some() => {
            " (such as 2026-03-01T13:00:00Z; numbers only where a view's source says what they count, as timestamp_format = \"%s\" does)"
        }
        DataType::Timestamp => " (such as 2026-03-01T13:00:00Z)",
        DataType::Date => " (YYYY-MM-DD)",
        DataType::Uuid => " (32 hexadecimal digits, with or without hyphens)",
        DataType::List(_) | DataType::Vector(_) => " (a JSON array)",
        _ => "",
    };
    let fault = match dtype {
        DataType::Json => document_fault(text).map_or_else(String::new, |fault| format!(": {fault}")),
        _ => String::new(),
    };
    format!("wants {dtype}{hint}, got '{}'{fault}", clip(text))
}

fn scale_of(dtype: &DataType) -> u8 {
    match dtype {
        DataType::Decimal { scale, .. } => *scale,
        DataType::List(element) => scale_of(element),
        _ => 0,
    }
}

const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(1970, 1, 1).expect("the epoch is a date");

fn format_date(days: i32) -> String {
    let distance = Days::new(u64::from(days.unsigned_abs()));
    let date = if days < 0 { EPOCH.checked_sub_days(distance) } else { EPOCH.checked_add_days(distance) };
    match date {
        Some(date) => date.to_string(),
        // chrono's calendar ends some 260,000 years from here; i32 days do not.
        None => format!("{days}d"),
    }
}

fn parse_date(text: &str) -> Option<i32> {
    if let Some(days) = text.strip_suffix('d') {
        return days.parse().ok();
    }
    let date = text.parse::<NaiveDate>().ok().filter(|date| !is_short_year(date.year(), text))?;
    i32::try_from(date.signed_duration_since(EPOCH).num_days()).ok()
}

fn format_uuid(bytes: &[u8; 16]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes of a uuid, hyphenated or not, in either case.
pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let hyphens_stand_right = match text.len() {
        32 => true,
        36 => [8, 13, 18, 23].iter().all(|&at| text.as_bytes()[at] == b'-'),
        _ => false,
    };
    if !hyphens_stand_right {
        return None;
    }
    let mut nibbles = [0; 32];
    let mut count = 0;
    for (at, byte) in text.bytes().enumerate() {
        if text.len() == 36 && matches!(at, 8 | 13 | 18 | 23) {
            continue;
        }
        nibbles[count] = u8::try_from(char::from(byte).to_digit(16)?).ok()?;
        count += 1;
    }
    Some(std::array::from_fn(|i| nibbles[2 * i] << 4 | nibbles[2 * i + 1]))
}

/// Whether a text is how a float that is no finite number is written.
pub(crate) fn is_float_word(text: &str) -> bool {
    matches!(text, NAN | INFINITY | MINUS_INFINITY)
}

/// Whether a text is one JSON document.
pub(crate) fn is_json(text: &str) -> bool {
    document_fault(text).is_none()
}

#[cfg(test)]
mod tests;
