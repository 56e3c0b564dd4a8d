//! Integers and floats as text and as JSON.

use serde_json::Value as Json;

use super::decimal::parse_decimal;

pub(super) const NAN: &str = "NaN";
pub(super) const INFINITY: &str = "Infinity";
pub(super) const MINUS_INFINITY: &str = "-Infinity";

/// Digits of the widest integer.
const INTEGER_DIGITS: u8 = 19;

/// An integer; `12.0` is one too, which is how pandas writes integers beside nulls, and so is `1e3`.
pub(super) fn parse_integer<T: std::str::FromStr + TryFrom<i128>>(text: &str) -> Option<T> {
    if text.contains(['e', 'E']) {
        return T::try_from(parse_decimal(text, INTEGER_DIGITS, 0)?).ok();
    }
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    whole.parse().ok()
}

/// A float64 as text: the shortest digits that are read as this number again.
pub(crate) struct F64Text {
    buffer: zmij::Buffer,
    value: f64,
}

impl F64Text {
    /// Of this number.
    #[inline]
    pub fn new(value: f64) -> F64Text {
        F64Text { buffer: zmij::Buffer::new(), value }
    }

    /// The text.
    #[inline]
    pub fn as_str(&mut self) -> &str {
        match self.value.is_finite() {
            true => self.buffer.format_finite(self.value),
            false => not_finite(self.value),
        }
    }
}

pub(super) fn format_f64(value: f64) -> String {
    F64Text::new(value).as_str().to_owned()
}

pub(super) fn format_f32(value: f32) -> String {
    match f32_to_json(value) {
        Json::Number(number) => number.to_string(),
        _ => not_finite(f64::from(value)).to_owned(),
    }
}

pub(super) fn not_finite(value: f64) -> &'static str {
    match value {
        v if v.is_nan() => NAN,
        v if v > 0.0 => INFINITY,
        _ => MINUS_INFINITY,
    }
}

pub(super) fn f64_to_json(value: f64) -> Json {
    match serde_json::Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None => Json::String(not_finite(value).to_owned()),
    }
}

/// The float64 nearest to the float32's own shortest text: 0.1 and not 0.10000000149011612.
pub(super) fn f32_to_json(value: f32) -> Json {
    if !value.is_finite() {
        return f64_to_json(f64::from(value));
    }
    f64_to_json(format!("{value:e}").parse().unwrap_or(f64::from(value)))
}

pub(super) fn parse_f64(text: &str) -> Option<f64> {
    let value = text.parse::<f64>().ok()?;
    // A number written in digits is finite; one too large for the type is out of range, not infinite.
    (value.is_finite() || !text.contains(|c: char| c.is_ascii_digit())).then_some(value)
}

pub(super) fn parse_f32(text: &str) -> Option<f32> {
    let value = text.parse::<f32>().ok()?;
    (value.is_finite() || !text.contains(|c: char| c.is_ascii_digit())).then_some(value)
}
