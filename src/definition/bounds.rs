//! The values of a feature's rules: whether their text is of the feature's type, and their order.

use std::cmp::Ordering;

use crate::error::{Error, Result};
use crate::time::Timestamp;
use crate::value::DataType;

/// A rule's value, comparable with others of the same type.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub(super) enum Bound {
    Bool(bool),
    /// Integers, unscaled decimals, days and microseconds.
    Whole(i128),
    Float(f64),
    Text(String),
}

/// Whether `min` and `max` make sense for the type.
pub(super) fn is_ordered(dtype: &DataType) -> bool {
    matches!(
        dtype,
        DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal { .. }
            | DataType::Timestamp
            | DataType::Date
    )
}

/// Whether `one_of` can list values of the type.
pub(super) fn is_listable(dtype: &DataType) -> bool {
    !matches!(dtype, DataType::Json | DataType::List(_) | DataType::Vector(_))
}

/// Reads a rule's value from the type's text form.
pub(super) fn parse_bound(dtype: &DataType, text: &str) -> Result<Bound> {
    let refused = || Error::invalid(format!("'{text}' is no {dtype}"));
    let bound = match dtype {
        DataType::Bool => text.parse().ok().map(Bound::Bool),
        DataType::Int32 => text.parse::<i32>().ok().map(|v| Bound::Whole(v.into())),
        DataType::Int64 => text.parse::<i64>().ok().map(|v| Bound::Whole(v.into())),
        DataType::Float32 | DataType::Float64 => text.parse().ok().filter(|v: &f64| !v.is_nan()).map(Bound::Float),
        DataType::Decimal { precision, scale } => unscaled(text, *precision, *scale).map(Bound::Whole),
        DataType::Timestamp => text.parse::<Timestamp>().ok().map(|v| Bound::Whole(v.micros().into())),
        DataType::Date => text
            .parse::<chrono::NaiveDate>()
            .ok()
            .map(|date| Bound::Whole(date.signed_duration_since(chrono::NaiveDate::default()).num_days().into())),
        DataType::Uuid => is_uuid(text).then(|| Bound::Text(text.to_ascii_lowercase())),
        DataType::Bytes => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.decode(text).ok().map(|_| Bound::Text(text.to_owned()))
        }
        DataType::String => Some(Bound::Text(text.to_owned())),
        DataType::Json | DataType::List(_) | DataType::Vector(_) => None,
    };
    bound.ok_or_else(refused)
}

/// Whether `min` lies above `max`.
pub(super) fn is_above(min: &Bound, max: &Bound) -> bool {
    min.partial_cmp(max) == Some(Ordering::Greater)
}

/// A decimal as its unscaled number, where it fits `decimal(precision,scale)` exactly.
fn unscaled(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let scale = usize::from(scale);
    let is_number = (whole.len() + fraction.len() > 0 || digits.contains('0'))
        && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    if !is_number || fraction.len() > scale {
        return None;
    }
    let mut number = 0_i128;
    for digit in whole.bytes().chain(format!("{fraction:0<scale$}").bytes()) {
        number = number.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let limit = 10_i128.checked_pow(precision.into())?;
    (number < limit).then_some(if is_negative { -number } else { number })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_fit_exactly_or_not_at_all() {
        let money = DataType::Decimal { precision: 4, scale: 2 };
        for (text, unscaled) in
            [("12.5", 1_250), ("-0.01", -1), ("99.99", 9_999), ("7", 700), ("1.2500", 125), ("0", 0)]
        {
            assert_eq!(parse_bound(&money, text).unwrap(), Bound::Whole(unscaled), "{text}");
        }
        for bad in ["100", "0.001", "1e1", "", "-", ".", "1.2.3", "--1", "1-"] {
            assert!(parse_bound(&money, bad).is_err(), "{bad}");
        }
        let widest = DataType::Decimal { precision: 38, scale: 0 };
        assert!(parse_bound(&widest, &"9".repeat(38)).is_ok());
        assert!(parse_bound(&widest, &"9".repeat(39)).is_err());
    }

    #[test]
    fn bounds_are_of_the_features_type() {
        for (dtype, good, bad) in [
            ("int32", "-7", "2147483648"),
            ("float64", "1e5", "nan"),
            ("timestamp", "2013-01-01T00:00:00Z", "soon"),
            ("date", "2013-01-01", "2013-13-01"),
            ("uuid", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "f81d4fae"),
            ("bytes", "aGk=", "?"),
            ("bool", "true", "yes"),
        ] {
            let dtype: DataType = dtype.parse().unwrap();
            assert!(parse_bound(&dtype, good).is_ok(), "{dtype} {good}");
            assert!(parse_bound(&dtype, bad).is_err(), "{dtype} {bad}");
        }
    }
}
