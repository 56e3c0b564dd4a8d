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
//! `12.0` for an integer, numbers for decimals.

use base64::Engine as _;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::{Days, NaiveDate};
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::time::Timestamp;
use crate::value::{DECIMAL_PRECISION_MAX, DataType, Value};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const NAN: &str = "NaN";
const INFINITY: &str = "Infinity";
const MINUS_INFINITY: &str = "-Infinity";
/// Significant digits that any decimal number keeps on its way through float64.
const FLOAT64_DECIMAL_DIGITS: usize = 15;

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
        Value::List(_) | Value::Vector(_) => to_json(dtype, value).to_string(),
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
        (DataType::Int32 | DataType::Int64, Json::Number(number)) => return parse_value(dtype, &number.to_string()),
        (DataType::Float64, Json::Number(number)) => number.as_f64().map(Value::Float64),
        (DataType::Float32, Json::Number(number)) => parse_f32(&number.to_string()).map(Value::Float32),
        (DataType::Float32 | DataType::Float64, Json::String(text)) => match text.as_str() {
            NAN | INFINITY | MINUS_INFINITY => return parse_value(dtype, text),
            _ => None,
        },
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

/// [`from_json`] from JSON text. Decimals written as numbers and json documents keep every digit.
///
/// # Errors
/// The text is no JSON, or not of this type.
pub fn parse_json_text(dtype: &DataType, text: &str) -> Result<Value> {
    let trimmed = text.trim();
    if trimmed == "null" {
        return Ok(Value::Null);
    }
    match dtype {
        DataType::Json if is_json(trimmed) => return Ok(Value::Json(trimmed.to_owned())),
        DataType::Decimal { .. } if !trimmed.starts_with('"') => return parse_value(dtype, trimmed),
        _ => {}
    }
    let json: Json = serde_json::from_str(trimmed).map_err(|_| unexpected(dtype, text))?;
    from_json(dtype, &json)
}

/// Reads a timestamp written in a strftime format; a format without a zone is UTC.
///
/// # Errors
/// The text is not in that format.
pub fn parse_timestamp_as(format: &str, text: &str) -> Result<i64> {
    let text = text.trim();
    let instant = match chrono::DateTime::parse_from_str(text, format) {
        Ok(zoned) => Some(zoned.to_utc()),
        Err(_) => match chrono::NaiveDateTime::parse_from_str(text, format) {
            Ok(naive) => Some(naive.and_utc()),
            Err(_) => {
                NaiveDate::parse_from_str(text, format).ok().map(|date| date.and_time(chrono::NaiveTime::MIN).and_utc())
            }
        },
    };
    instant
        .map(|instant| instant.timestamp_micros())
        .ok_or_else(|| Error::invalid(format!("wants timestamp in the format '{format}', got '{}'", clip(text))))
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
    let hint = match dtype {
        DataType::Bool => " (true or false)",
        DataType::Bytes => " (base64)",
        DataType::Timestamp => " (such as 2026-03-01T13:00:00Z)",
        DataType::Date => " (YYYY-MM-DD)",
        DataType::Uuid => " (32 hexadecimal digits, with or without hyphens)",
        DataType::List(_) | DataType::Vector(_) => " (a JSON array)",
        _ => "",
    };
    Error::invalid(format!("wants {dtype}{hint}, got '{}'", clip(text)))
}

fn scale_of(dtype: &DataType) -> u8 {
    match dtype {
        DataType::Decimal { scale, .. } => *scale,
        DataType::List(element) => scale_of(element),
        _ => 0,
    }
}

/// An integer; `12.0` is one too: that is how pandas writes integers beside nulls.
fn parse_integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    whole.parse().ok()
}

fn format_f64(value: f64) -> String {
    match serde_json::Number::from_f64(value) {
        Some(number) => number.to_string(),
        None => not_finite(value).to_owned(),
    }
}

fn format_f32(value: f32) -> String {
    match f32_to_json(value) {
        Json::Number(number) => number.to_string(),
        _ => not_finite(f64::from(value)).to_owned(),
    }
}

fn not_finite(value: f64) -> &'static str {
    match value {
        v if v.is_nan() => NAN,
        v if v > 0.0 => INFINITY,
        _ => MINUS_INFINITY,
    }
}

fn f64_to_json(value: f64) -> Json {
    match serde_json::Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None => Json::String(not_finite(value).to_owned()),
    }
}

/// The float64 nearest to the float32's own shortest text: 0.1 and not 0.10000000149011612.
fn f32_to_json(value: f32) -> Json {
    if !value.is_finite() {
        return f64_to_json(f64::from(value));
    }
    f64_to_json(format!("{value:e}").parse().unwrap_or(f64::from(value)))
}

fn parse_f64(text: &str) -> Option<f64> {
    let value = text.parse::<f64>().ok()?;
    // A number written in digits is finite; one too large for the type is out of range, not infinite.
    (value.is_finite() || !text.contains(|c: char| c.is_ascii_digit())).then_some(value)
}

fn parse_f32(text: &str) -> Option<f32> {
    let value = text.parse::<f32>().ok()?;
    (value.is_finite() || !text.contains(|c: char| c.is_ascii_digit())).then_some(value)
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
    let date = text.parse::<NaiveDate>().ok()?;
    i32::try_from(date.signed_duration_since(EPOCH).num_days()).ok()
}

fn format_decimal(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn significant_digits(text: &str) -> usize {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').trim_end_matches('0').len()
}

/// The unscaled number, when the text is a number that `decimal(precision,scale)` holds exactly.
pub(crate) fn parse_decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut unscaled: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return None;
        }
        unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    let from = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let unscaled = rescale(unscaled, from, i32::from(scale), precision)?;
    Some(if negative { -unscaled } else { unscaled })
}

/// `unscaled` of `from` decimal places with `to` places: exactly, and within `precision` digits.
pub(crate) fn rescale(unscaled: i128, from: i32, to: i32, precision: u8) -> Option<i128> {
    if unscaled == 0 {
        return Some(0);
    }
    let shift = to.checked_sub(from)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let scaled = match shift {
        0.. => unscaled.checked_mul(power)?,
        _ if unscaled % power == 0 => unscaled / power,
        _ => return None,
    };
    let limit = 10_u128.pow(u32::from(precision.min(DECIMAL_PRECISION_MAX)));
    (scaled.unsigned_abs() < limit).then_some(scaled)
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

/// Whether a text is one JSON document.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn dtype(text: &str) -> DataType {
        text.parse().unwrap()
    }

    #[test]
    fn every_type_has_one_text_and_one_json_form_and_reads_both_back() {
        let uuid = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0, 1, 2, 3, 4, 5, 6, 0xff];
        let table: Vec<(&str, Value, &str, Json)> = vec![
            ("bool", Value::Bool(true), "true", json!(true)),
            ("int32", Value::Int32(i32::MIN), "-2147483648", json!(i32::MIN)),
            ("int64", Value::Int64(i64::MAX), "9223372036854775807", json!(i64::MAX)),
            ("int64", Value::Int64(i64::MIN), "-9223372036854775808", json!(i64::MIN)),
            ("float32", Value::Float32(0.1), "0.1", json!(0.1)),
            ("float32", Value::Float32(f32::MAX), "3.4028235e+38", json!(3.4028235e38)),
            ("float32", Value::Float32(f32::from_bits(1)), "1e-45", json!(1e-45)),
            ("float32", Value::Float32(f32::NEG_INFINITY), "-Infinity", json!("-Infinity")),
            ("float64", Value::Float64(71.6), "71.6", json!(71.6)),
            ("float64", Value::Float64(5.0), "5.0", json!(5.0)),
            ("float64", Value::Float64(-0.0), "-0.0", json!(-0.0)),
            ("float64", Value::Float64(f64::MIN_POSITIVE), "2.2250738585072014e-308", json!(f64::MIN_POSITIVE)),
            ("float64", Value::Float64(f64::INFINITY), "Infinity", json!("Infinity")),
            ("string", Value::String(" a,\"b\"\n".into()), " a,\"b\"\n", json!(" a,\"b\"\n")),
            ("string", Value::String(String::new()), "", json!("")),
            ("bytes", Value::Bytes(vec![0, 255, 7]), "AP8H", json!("AP8H")),
            ("bytes", Value::Bytes(vec![1]), "AQ==", json!("AQ==")),
            ("timestamp", Value::Timestamp(-1), "1969-12-31T23:59:59.999999Z", json!("1969-12-31T23:59:59.999999Z")),
            ("timestamp", Value::Timestamp(i64::MAX), "9223372036854775807us", json!("9223372036854775807us")),
            ("date", Value::Date(20_513), "2026-03-01", json!("2026-03-01")),
            ("date", Value::Date(-1), "1969-12-31", json!("1969-12-31")),
            ("date", Value::Date(i32::MAX), "2147483647d", json!("2147483647d")),
            ("date", Value::Date(10_000_000), "+29349-01-26", json!("+29349-01-26")),
            ("decimal(12,2)", Value::Decimal(-5), "-0.05", json!("-0.05")),
            ("decimal(12,2)", Value::Decimal(1_200), "12.00", json!("12.00")),
            (
                "decimal(38,0)",
                Value::Decimal(10_i128.pow(38) - 1),
                "99999999999999999999999999999999999999",
                json!("9".repeat(38)),
            ),
            ("decimal(4,4)", Value::Decimal(-1), "-0.0001", json!("-0.0001")),
            (
                "uuid",
                Value::Uuid(uuid),
                "01234567-89ab-cdef-0001-0203040506ff",
                json!("01234567-89ab-cdef-0001-0203040506ff"),
            ),
            ("json", Value::Json("{\"a\":[1,null]}".into()), "{\"a\":[1,null]}", json!({"a": [1, null]})),
            ("list<int64>", Value::List(vec![Value::Int64(1), Value::Null]), "[1,null]", json!([1, null])),
            ("list<decimal(4,2)>", Value::List(vec![Value::Decimal(150)]), "[\"1.50\"]", json!(["1.50"])),
            ("list<string>", Value::List(vec![]), "[]", json!([])),
            ("list<json>", Value::List(vec![Value::Json("{}".into())]), "[{}]", json!([{}])),
            ("list<date>", Value::List(vec![Value::Date(0)]), "[\"1970-01-01\"]", json!(["1970-01-01"])),
            ("vector<2>", Value::Vector(vec![0.1, f32::INFINITY]), "[0.1,\"Infinity\"]", json!([0.1, "Infinity"])),
        ];
        for (name, value, text, json) in table {
            let dtype = dtype(name);
            assert_eq!(format_value(&dtype, &value), text, "{name}");
            assert_eq!(to_json(&dtype, &value), json, "{name}");
            assert_eq!(parse_value(&dtype, text).unwrap(), value, "{name} from text {text}");
            assert_eq!(from_json(&dtype, &json).unwrap(), value, "{name} from JSON {json}");
            assert_eq!(parse_json_text(&dtype, &json.to_string()).unwrap(), value, "{name} from JSON text {json}");
            assert_eq!(format_value(&dtype, &Value::Null), "");
            assert_eq!(to_json(&dtype, &Value::Null), Json::Null);
            assert_eq!(from_json(&dtype, &Json::Null).unwrap(), Value::Null);
        }
        assert_eq!(format_value(&DataType::Float64, &Value::Float64(f64::NAN)), "NaN");
        assert!(matches!(from_json(&DataType::Float32, &json!("NaN")), Ok(Value::Float32(v)) if v.is_nan()));
    }

    #[test]
    fn reading_is_wider_than_writing_where_nothing_is_lost() {
        let table = [
            ("bool", "True", Value::Bool(true)),
            ("int32", " 12.0 ", Value::Int32(12)),
            ("int64", "+7", Value::Int64(7)),
            ("float64", "inf", Value::Float64(f64::INFINITY)),
            ("bytes", "AQ", Value::Bytes(vec![1])),
            ("timestamp", "1970-01-01 05:30:00+05:30", Value::Timestamp(0)),
            ("decimal(5,1)", "1.50e1", Value::Decimal(150)),
            ("decimal(5,1)", ".5", Value::Decimal(5)),
            (
                "uuid",
                "00000000000000000000000000000ABC",
                Value::Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa, 0xbc]),
            ),
        ];
        for (name, text, value) in table {
            assert_eq!(parse_value(&dtype(name), text).unwrap(), value, "{name} {text}");
        }
        let exact = parse_json_text(&dtype("decimal(30,10)"), "12345678901234567890.0123456789").unwrap();
        assert_eq!(exact, Value::Decimal(123_456_789_012_345_678_900_123_456_789));
        assert_eq!(from_json(&dtype("decimal(5,2)"), &json!(0.1)).unwrap(), Value::Decimal(10));
    }

    #[test]
    fn errors_say_what_was_expected_and_what_came() {
        for (name, text) in [
            ("bool", "1"),
            ("int32", "2147483648"),
            ("int64", "1.5"),
            ("int64", "1."),
            ("float32", "1e39"),
            ("float64", "1e999"),
            ("float64", ""),
            ("bytes", "?"),
            ("timestamp", "yesterday"),
            ("date", "2026-02-30"),
            ("decimal(4,2)", "1.005"),
            ("decimal(4,2)", "100"),
            ("decimal(4,2)", "-"),
            ("uuid", "01234567-89ab-cdef-0001-0203040506f"),
            ("uuid", "0123456-789ab-cdef-0001-0203040506ff"),
            ("json", "{"),
            ("list<int32>", "[1,2"),
            ("list<int32>", "null"),
            ("vector<2>", "[1]"),
            ("vector<2>", "[1,null]"),
        ] {
            let error = parse_value(&dtype(name), text).unwrap_err().to_string();
            assert!(error.contains(&format!("wants {name}")), "{name} {text}: {error}");
        }
        for (name, json) in [
            ("int64", json!("12")),
            ("int64", json!(1.5)),
            ("int32", json!(3_000_000_000_u32)),
            ("float64", json!("12")),
            ("string", json!(1)),
            ("bool", json!(0)),
            ("timestamp", json!(0)),
            ("decimal(30,20)", json!(0.123_456_789_012_345_67)),
        ] {
            let error = from_json(&dtype(name), &json).unwrap_err().to_string();
            assert!(error.contains(&format!("wants {name}")), "{name} {json}: {error}");
        }
        let error = from_json(&dtype("list<int32>"), &json!([1, "x"])).unwrap_err().to_string();
        assert_eq!(error, "element 1: wants int32, got '\"x\"'");
    }

    #[test]
    fn a_timestamp_format_reads_zoned_naive_and_date_only_text() {
        let day_us = 86_400_000_000;
        for (format, text, us) in [
            ("%d.%m.%Y %H:%M", "02.01.1970 00:00", day_us),
            ("%Y-%m-%d %H:%M:%S %z", "1970-01-02 05:30:00 +0530", day_us),
            ("%m/%d/%Y", "01/02/1970", day_us),
            ("%s", "86400", day_us),
        ] {
            assert_eq!(parse_timestamp_as(format, text).unwrap(), us, "{format}");
        }
        assert!(parse_timestamp_as("%Y", "1970-01-02").is_err());
    }
}
