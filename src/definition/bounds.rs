//! The values of a feature's rules: whether their text is of the feature's type, and their order.

use std::cmp::Ordering;

use crate::error::{Error, Result};
use crate::text::parse_value;
use crate::value::{DataType, Value};

/// A rule's value, comparable with others of the same type.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub(super) enum Bound {
    Bool(bool),
    /// Integers, unscaled decimals, days and microseconds.
    Whole(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// Whether `min` and `max` make sense for the type. Strings have too many orders.
pub(crate) fn is_ordered(dtype: &DataType) -> bool {
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

/// Reads a rule's value from the type's text form, as the rules' own reader does.
pub(super) fn parse_bound(dtype: &DataType, text: &str) -> Result<Bound> {
    let bound = match parse_value(dtype, text)? {
        Value::Bool(value) => Some(Bound::Bool(value)),
        Value::Int32(value) => Some(Bound::Whole(value.into())),
        Value::Int64(value) | Value::Timestamp(value) => Some(Bound::Whole(value.into())),
        Value::Date(value) => Some(Bound::Whole(value.into())),
        Value::Decimal(value) => Some(Bound::Whole(value)),
        Value::Float32(value) => Some(Bound::Float(value.into())),
        Value::Float64(value) => Some(Bound::Float(value)),
        Value::String(value) => Some(Bound::Text(value)),
        Value::Bytes(value) => Some(Bound::Bytes(value)),
        Value::Uuid(value) => Some(Bound::Bytes(value.to_vec())),
        Value::Null | Value::Json(_) | Value::List(_) | Value::Vector(_) => None,
    };
    let is_number = !matches!(bound, Some(Bound::Float(value)) if value.is_nan());
    bound.filter(|_| is_number).ok_or_else(|| Error::invalid(format!("'{text}' cannot be compared with as {dtype}")))
}

/// Whether `min` lies above `max`.
pub(super) fn is_above(min: &Bound, max: &Bound) -> bool {
    min.partial_cmp(max) == Some(Ordering::Greater)
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
        for bad in ["100", "0.001", "1e2", "", "-", ".", "1.2.3", "--1", "1-"] {
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
