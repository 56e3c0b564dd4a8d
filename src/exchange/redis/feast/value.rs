//! Values as Feast's `Value` message, and join keys as its keys hold them.
//!
//! | asof | Feast |
//! | --- | --- |
//! | bool, int32, int64, float32, float64, string, bytes, json, uuid, decimal | the value of that name (float32: float; float64: double) |
//! | timestamp, date | unix timestamp, in seconds: fractions are cut off |
//! | list | the list of that name |
//! | vector | float list |
//!
//! A null has no bytes, and so has NaN, as Feast writes it; but among instants it is the least of 64 bits. Lists of Feast's hold no nulls:
//! among floats a null is NaN, among instants that number, and another list with a null in it has no form.

use super::key::KeyValue;
use super::protobuf::{Payload, fields, push_field, push_varint, take_array, take_varint};
use crate::key::as_component;
use crate::text::{format_value, parse_value};
use crate::value::{DataType, Value};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// What Feast has for no instant.
const NO_INSTANT: i64 = i64::MIN;

const BYTES: u32 = 1;
const STRING: u32 = 2;
const INT32: u32 = 3;
const INT64: u32 = 4;
const DOUBLE: u32 = 5;
const FLOAT: u32 = 6;
const BOOL: u32 = 7;
const UNIX_TIMESTAMP: u32 = 8;
const FLOAT_LIST: u32 = 16;
const NULL: u64 = 19;
const JSON: u32 = 32;
const UUID: u32 = 36;
const TIME_UUID: u32 = 37;
const DECIMAL: u32 = 44;

/// The fields of `Value` for a scalar of a type, and for a list of such.
fn numbers(dtype: &DataType) -> Option<(u32, u32)> {
    Some(match dtype {
        DataType::Bytes => (BYTES, 11),
        DataType::String => (STRING, 12),
        DataType::Int32 => (INT32, 13),
        DataType::Int64 => (INT64, 14),
        DataType::Float64 => (DOUBLE, 15),
        DataType::Float32 => (FLOAT, FLOAT_LIST),
        DataType::Bool => (BOOL, 17),
        DataType::Timestamp | DataType::Date => (UNIX_TIMESTAMP, 18),
        DataType::Json => (JSON, 33),
        DataType::Uuid => (UUID, 38),
        DataType::Decimal { .. } => (DECIMAL, 45),
        DataType::List(_) | DataType::Vector(_) => return None,
    })
}

/// Whether a value is written as a null.
fn is_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Float32(value) => value.is_nan(),
        Value::Float64(value) => value.is_nan(),
        _ => false,
    }
}

/// The message of a value, no bytes for a null; `None`: it has none.
pub(super) fn encode(dtype: &DataType, value: &Value) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    match (dtype, value) {
        (DataType::Timestamp | DataType::Date, Value::Null) => {
            push_field(UNIX_TIMESTAMP, Payload::Varint(NO_INSTANT.cast_unsigned()), &mut message);
        }
        (_, value) if is_null(value) => {}
        (DataType::List(element), Value::List(elements)) => {
            push_list(numbers(element)?.1, element, elements, &mut message)?;
        }
        (DataType::Vector(_), Value::Vector(floats)) => {
            let elements: Vec<Value> = floats.iter().map(|float| Value::Float32(*float)).collect();
            push_list(FLOAT_LIST, &DataType::Float32, &elements, &mut message)?;
        }
        (dtype, value) => {
            let number = numbers(dtype)?.0;
            match piece(dtype, value)? {
                Piece::Varint(value) => push_field(number, Payload::Varint(value), &mut message),
                Piece::Fixed64(bytes) => push_field(number, Payload::Fixed64(bytes), &mut message),
                Piece::Fixed32(bytes) => push_field(number, Payload::Fixed32(bytes), &mut message),
                Piece::Bytes(bytes) => push_field(number, Payload::Bytes(&bytes), &mut message),
            }
        }
    }
    Some(message)
}

/// A scalar's bytes.
enum Piece {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
}

fn piece(dtype: &DataType, value: &Value) -> Option<Piece> {
    Some(match value {
        Value::Bool(value) => Piece::Varint(u64::from(*value)),
        // A negative one is written as 64 bits.
        Value::Int32(value) => Piece::Varint(i64::from(*value).cast_unsigned()),
        Value::Int64(value) => Piece::Varint(value.cast_unsigned()),
        Value::Timestamp(micros) => Piece::Varint(micros.div_euclid(MICROS_PER_SECOND).cast_unsigned()),
        Value::Date(days) => Piece::Varint((i64::from(*days) * SECONDS_PER_DAY).cast_unsigned()),
        Value::Float64(value) => Piece::Fixed64(value.to_le_bytes()),
        Value::Float32(value) => Piece::Fixed32(value.to_le_bytes()),
        Value::Bytes(bytes) => Piece::Bytes(bytes.clone()),
        Value::String(_) | Value::Json(_) | Value::Uuid(_) | Value::Decimal(_) => {
            Piece::Bytes(format_value(dtype, value).into_bytes())
        }
        Value::Null | Value::List(_) | Value::Vector(_) => return None,
    })
}

/// Numbers lie packed, everything else in a field each.
fn push_list(number: u32, element: &DataType, elements: &[Value], out: &mut Vec<u8>) -> Option<()> {
    let (mut packed, mut list) = (Vec::new(), Vec::new());
    for value in elements {
        let value = match (element, value) {
            (DataType::Float64, Value::Null) => &Value::Float64(f64::NAN),
            (DataType::Float32, Value::Null) => &Value::Float32(f32::NAN),
            (DataType::Timestamp | DataType::Date, Value::Null) => {
                push_varint(NO_INSTANT.cast_unsigned(), &mut packed);
                continue;
            }
            (_, value) => value,
        };
        match piece(element, value)? {
            Piece::Varint(value) => push_varint(value, &mut packed),
            Piece::Fixed64(bytes) => packed.extend(bytes),
            Piece::Fixed32(bytes) => packed.extend(bytes),
            Piece::Bytes(bytes) => push_field(1, Payload::Bytes(&bytes), &mut list),
        }
    }
    if !packed.is_empty() {
        push_field(1, Payload::Bytes(&packed), &mut list);
    }
    push_field(number, Payload::Bytes(&list), out);
    Some(())
}

/// The value of a message.
///
/// # Errors
/// It is none, or not of this type.
pub(in super::super) fn decode(dtype: &DataType, message: &[u8]) -> Result<Value, String> {
    let found = fields(message).ok_or("the bytes are no value of Feast's")?;
    // Of several the last counts.
    let Some(&(number, payload)) = found.last() else { return Ok(Value::Null) };
    if number == NULL {
        return Ok(Value::Null);
    }
    let wrong = || format!("wants {dtype}, got Feast's value of number {number}");
    let number = u32::try_from(number).map_err(|_| wrong())?;
    let list = match dtype {
        DataType::List(element) => Some((&**element, numbers(element).map(|(_, list)| list))),
        DataType::Vector(_) => Some((&DataType::Float32, Some(FLOAT_LIST))),
        _ => None,
    };
    let Some((element, wanted)) = list else { return scalar(dtype, number, payload).ok_or_else(wrong) };
    let Payload::Bytes(list) = payload else { return Err(wrong()) };
    if wanted != Some(number) {
        return Err(wrong());
    }
    let elements = elements(element, list).ok_or_else(wrong)?;
    let DataType::Vector(len) = dtype else { return Ok(Value::List(elements)) };
    let floats: Vec<f32> = elements
        .iter()
        .filter_map(|value| if let Value::Float32(float) = value { Some(*float) } else { None })
        .collect();
    if u32::try_from(floats.len()) != Ok(*len) {
        return Err(format!("wants {dtype}, got {} floats", floats.len()));
    }
    Ok(Value::Vector(floats))
}

/// The elements of a list: numbers packed or one a field, as readers of the format must take both.
fn elements(dtype: &DataType, list: &[u8]) -> Option<Vec<Value>> {
    let number = numbers(dtype)?.0;
    let mut elements = Vec::new();
    for (at, payload) in fields(list)? {
        let packed = match payload {
            Payload::Bytes(packed) if at == 1 && !matches!(number, BYTES | STRING | JSON | UUID | DECIMAL) => {
                Some(packed)
            }
            _ if at == 1 => None,
            _ => return None,
        };
        let Some(mut packed) = packed else {
            elements.push(scalar(dtype, number, payload)?);
            continue;
        };
        while !packed.is_empty() {
            let payload = match number {
                DOUBLE => Payload::Fixed64(take_array(&mut packed)?),
                FLOAT => Payload::Fixed32(take_array(&mut packed)?),
                _ => Payload::Varint(take_varint(&mut packed)?),
            };
            elements.push(scalar(dtype, number, payload)?);
        }
    }
    Some(elements)
}

fn scalar(dtype: &DataType, number: u32, payload: Payload<'_>) -> Option<Value> {
    let integer = || match payload {
        Payload::Varint(value) => Some(value.cast_signed()),
        _ => None,
    };
    let text = || match payload {
        Payload::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    };
    match (dtype, number) {
        (DataType::Bool, BOOL) => integer().map(|value| Value::Bool(value != 0)),
        (DataType::Int32, INT32 | INT64) => i32::try_from(integer()?).ok().map(Value::Int32),
        (DataType::Int64, INT32 | INT64) => integer().map(Value::Int64),
        (DataType::Timestamp | DataType::Date, UNIX_TIMESTAMP) if integer()? == NO_INSTANT => Some(Value::Null),
        (DataType::Timestamp, UNIX_TIMESTAMP) => integer()?.checked_mul(MICROS_PER_SECOND).map(Value::Timestamp),
        (DataType::Date, UNIX_TIMESTAMP) => {
            let seconds = integer()?;
            let days = i32::try_from(seconds.div_euclid(SECONDS_PER_DAY)).ok()?;
            (seconds.rem_euclid(SECONDS_PER_DAY) == 0).then_some(Value::Date(days))
        }
        (DataType::Float64, DOUBLE) => match payload {
            Payload::Fixed64(bytes) => Some(Value::Float64(f64::from_le_bytes(bytes))),
            _ => None,
        },
        (DataType::Float64 | DataType::Float32, FLOAT) => match (payload, dtype) {
            (Payload::Fixed32(bytes), DataType::Float32) => Some(Value::Float32(f32::from_le_bytes(bytes))),
            (Payload::Fixed32(bytes), _) => Some(Value::Float64(f32::from_le_bytes(bytes).into())),
            _ => None,
        },
        (DataType::Bytes, BYTES) => match payload {
            Payload::Bytes(bytes) => Some(Value::Bytes(bytes.to_vec())),
            _ => None,
        },
        (DataType::String, STRING)
        | (DataType::Json, JSON | STRING)
        | (DataType::Uuid, UUID | TIME_UUID | STRING)
        | (DataType::Decimal { .. }, DECIMAL | STRING) => parse_value(dtype, text()?).ok(),
        _ => None,
    }
}

/// The value of a join key; `None`: Feast's keys hold none such. Those of whole seconds alone are told apart there.
pub(super) fn of_join_key(value: &Value) -> Option<KeyValue> {
    Some(match value {
        Value::String(text) => (STRING, text.clone().into_bytes()),
        Value::Uuid(_) => (STRING, format_value(&DataType::Uuid, value).into_bytes()),
        Value::Bytes(bytes) => (BYTES, bytes.clone()),
        Value::Int32(value) => (INT32, value.to_le_bytes().to_vec()),
        Value::Int64(value) => (INT64, value.to_le_bytes().to_vec()),
        Value::Timestamp(micros) if micros.rem_euclid(MICROS_PER_SECOND) == 0 => {
            (UNIX_TIMESTAMP, micros.div_euclid(MICROS_PER_SECOND).to_le_bytes().to_vec())
        }
        _ => return None,
    })
}

/// Whether Feast's keys hold values of the type.
pub(super) fn has_join_key(dtype: &DataType) -> bool {
    !matches!(dtype, DataType::Bool | DataType::Date)
}

/// The join key of a type that a value in a key is; `None`: it is none.
pub(in super::super) fn to_join_key(dtype: &DataType, (kind, bytes): &KeyValue) -> Option<Value> {
    let value = match *kind {
        STRING => Value::String(String::from_utf8(bytes.clone()).ok()?),
        BYTES => Value::Bytes(bytes.clone()),
        INT32 => Value::Int32(i32::from_le_bytes(bytes.as_slice().try_into().ok()?)),
        INT64 => Value::Int64(i64::from_le_bytes(bytes.as_slice().try_into().ok()?)),
        UNIX_TIMESTAMP => {
            let seconds = i64::from_le_bytes(bytes.as_slice().try_into().ok()?);
            Value::Timestamp(seconds.checked_mul(MICROS_PER_SECOND)?)
        }
        _ => return None,
    };
    let value = as_component(value, dtype)?;
    let is_of_type = matches!(
        (&value, dtype),
        (Value::String(_), DataType::String)
            | (Value::Uuid(_), DataType::Uuid)
            | (Value::Bytes(_), DataType::Bytes)
            | (Value::Int32(_), DataType::Int32)
            | (Value::Int64(_), DataType::Int64)
            | (Value::Timestamp(_), DataType::Timestamp)
    );
    is_of_type.then_some(value)
}

#[cfg(test)]
mod tests;
