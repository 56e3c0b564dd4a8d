//! Values by small numbers, so that a failing case is short: of each type a few that differ in how they are kept.

use asof::value::{DataType, Value};
use proptest::prelude::*;

/// Of a key that no row has, but where its type has no room for one.
pub const UNKNOWN: u8 = 4;
/// Of a null key.
pub const NULL: u8 = 5;
/// Keys of a crowd: more than the 64 slots of a new latest table.
pub const CROWD: u8 = 70;
/// How many values a feature takes.
const FEATURE_VALUES: u8 = 6;

/// Join key columns are of these types.
pub fn key_type() -> impl Strategy<Value = DataType> {
    prop_oneof![
        3 => Just(DataType::Int64),
        3 => Just(DataType::String),
        1 => Just(DataType::Int32),
        1 => Just(DataType::Bytes),
        1 => Just(DataType::Uuid),
        1 => Just(DataType::Date),
        1 => Just(DataType::Timestamp),
        1 => Just(DataType::Bool),
    ]
}

pub fn feature_type() -> impl Strategy<Value = DataType> {
    prop_oneof![
        4 => Just(DataType::Float64),
        3 => Just(DataType::String),
        2 => Just(DataType::Int64),
        2 => Just(DataType::List(Box::new(DataType::String))),
        1 => Just(DataType::List(Box::new(DataType::Int64))),
        1 => Just(DataType::Vector(3)),
        1 => Just(DataType::Float32),
        1 => Just(DataType::Int32),
        1 => Just(DataType::Bool),
        1 => Just(DataType::Bytes),
        1 => Just(DataType::Timestamp),
        1 => Just(DataType::Date),
        1 => Just(DataType::Decimal { precision: 9, scale: 2 }),
        1 => Just(DataType::Uuid),
        1 => Just(DataType::Json),
    ]
}

/// A number of a key's value that rows have.
pub fn key_number() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(0), 3 => Just(1), 1 => Just(2), 1 => Just(3)]
}

/// A number of a feature's value; null now and then.
pub fn feature_number() -> impl Strategy<Value = Option<u8>> {
    prop::option::weighted(0.8, 0..FEATURE_VALUES)
}

pub fn key_value(dtype: &DataType, number: u8) -> Value {
    let at = usize::from(number);
    if number == NULL {
        return Value::Null;
    }
    match dtype {
        DataType::Bool => Value::Bool(number % 2 == 1),
        DataType::Int32 => Value::Int32([0, 1, -1, i32::MIN, 7][at]),
        DataType::Int64 => Value::Int64([0, 1, -1, i64::MIN, 7][at]),
        DataType::Date => Value::Date([0, 1, -1, 20_000, 7][at]),
        DataType::Timestamp => Value::Timestamp([0, 1, -1, i64::MAX, 7][at]),
        DataType::String => Value::String(text(at)),
        DataType::Bytes => Value::Bytes(text(at).into_bytes()),
        DataType::Uuid => Value::Uuid([number; 16]),
        other => unreachable!("{other} is no type of a join key"),
    }
}

/// Values of a join key that no other number stands for, where the type has as many.
pub fn crowd_value(dtype: &DataType, number: u8) -> Value {
    let wide = 100 + i32::from(number);
    match dtype {
        DataType::Int32 => Value::Int32(wide),
        DataType::Int64 => Value::Int64(wide.into()),
        DataType::Date => Value::Date(wide),
        DataType::Timestamp => Value::Timestamp(wide.into()),
        DataType::String => Value::String(format!("one of a crowd: {number}")),
        DataType::Bytes => Value::Bytes(vec![number; 20]),
        DataType::Uuid => Value::Uuid([100 + number; 16]),
        other => key_value(other, number % 2),
    }
}

/// What makes a composite key ambiguous if lengths are forgotten, and what is too long to be kept in a slot.
fn text(at: usize) -> String {
    ["J".to_owned(), String::new(), "JF".to_owned(), "JFK".repeat(40), "unknown".repeat(5)][at].clone()
}

pub fn feature_value(dtype: &DataType, number: u8) -> Value {
    let at = usize::from(number);
    match dtype {
        DataType::Bool => Value::Bool(number % 2 == 1),
        DataType::Int32 => Value::Int32([1, 0, -1, i32::MIN, i32::MAX, 7][at]),
        DataType::Int64 => Value::Int64([1, 0, -1, i64::MIN, i64::MAX, 7][at]),
        DataType::Float32 => Value::Float32([0.5, 0.0, -0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE][at]),
        DataType::Float64 => Value::Float64([0.5, 0.0, -0.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE][at]),
        DataType::Date => Value::Date([1, 0, -1, i32::MIN, i32::MAX, 7][at]),
        DataType::Timestamp => Value::Timestamp([1, 0, -1, i64::MIN, i64::MAX, 7][at]),
        DataType::Decimal { .. } => Value::Decimal([1, 0, -1, -999_999_999, 999_999_999, 7][at]),
        DataType::Uuid => Value::Uuid([number; 16]),
        DataType::String => Value::String(short_or_long(at)),
        DataType::Bytes => Value::Bytes(short_or_long(at).into_bytes()),
        DataType::Json => Value::Json(format!("{{\"is\":\"{}\"}}", short_or_long(at))),
        DataType::Vector(_) => Value::Vector(vec![0.5, f32::from(number), -0.0]),
        DataType::List(element) => {
            let some = |number: u8| feature_value(element, number);
            Value::List(match number {
                0 => vec![some(0)],
                1 => Vec::new(),
                2 => vec![Value::Null],
                3 => vec![some(1), Value::Null, some(5)],
                _ => vec![some(number); 20],
            })
        }
    }
}

/// Around the length that is kept in a slot, and beyond.
fn short_or_long(at: usize) -> String {
    "x".repeat([1, 0, 12, 13, 40, 700][at])
}
