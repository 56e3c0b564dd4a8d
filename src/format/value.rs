//! One value that is not null, as bytes: the same in rows, statistics and columns under construction.

use crate::error::{Error, Result};
use crate::value::{DataType, Value};

/// Longest variable-length value, in bytes.
pub const VARIABLE_BYTES_MAX: usize = 16 << 20;

/// The one bit pattern that a NaN is stored as, so that equal rows are equal bytes.
pub fn canonical_f64(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// [`canonical_f64`] for float32.
pub fn canonical_f32(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value }
}

/// Encodes one value that is not null: its fixed bytes, or the bytes behind its reference.
///
/// A list is its count (u32), one validity bit per element, and the elements: fixed-width ones
/// packed, variable-length ones each with its length (u32). A vector is its float32s.
///
/// # Errors
/// The value is not of `data_type`, or too long.
pub fn encode_value(data_type: &DataType, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    match (data_type, value) {
        (DataType::Bool, Value::Bool(v)) => out.push(u8::from(*v)),
        (DataType::Int32, Value::Int32(v)) | (DataType::Date, Value::Date(v)) => out.extend(v.to_le_bytes()),
        (DataType::Int64, Value::Int64(v)) | (DataType::Timestamp, Value::Timestamp(v)) => out.extend(v.to_le_bytes()),
        (DataType::Float32, Value::Float32(v)) => out.extend(canonical_f32(*v).to_le_bytes()),
        (DataType::Float64, Value::Float64(v)) => out.extend(canonical_f64(*v).to_le_bytes()),
        (DataType::Decimal { .. }, Value::Decimal(v)) => out.extend(v.to_le_bytes()),
        (DataType::Uuid, Value::Uuid(v)) => out.extend(v),
        (DataType::String, Value::String(v)) | (DataType::Json, Value::Json(v)) => out.extend(v.as_bytes()),
        (DataType::Bytes, Value::Bytes(v)) => out.extend(v),
        (DataType::Vector(len), Value::Vector(v)) if v.len() == *len as usize => {
            out.extend(v.iter().flat_map(|x| canonical_f32(*x).to_le_bytes()));
        }
        (DataType::List(element), Value::List(values)) => {
            let count = u32::try_from(values.len()).map_err(|_| Error::invalid("the list is too long"))?;
            out.extend(count.to_le_bytes());
            let validity = out.len();
            out.resize(validity + values.len().div_ceil(8), 0);
            for (i, value) in values.iter().enumerate() {
                if !value.is_null() {
                    out[validity + i / 8] |= 1 << (i % 8);
                }
                let at = out.len();
                if element.is_variable() {
                    out.extend([0; 4]);
                }
                if value.is_null() {
                    if !element.is_variable() {
                        out.resize(at + element.fixed_width_bytes(), 0);
                    }
                    continue;
                }
                encode_value(element, value, out)?;
                if element.is_variable() {
                    let len =
                        u32::try_from(out.len() - at - 4).map_err(|_| Error::invalid("the element is too long"))?;
                    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
                }
            }
        }
        _ => return Err(Error::invalid(format!("wants {data_type}, got {}", value.type_name()))),
    }
    if out.len() - start > VARIABLE_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the value takes {} bytes, at most {VARIABLE_BYTES_MAX} are stored",
            out.len() - start
        )));
    }
    Ok(())
}

/// The inverse of [`encode_value`]; `None` when the bytes are no value of `data_type`.
pub fn decode_value(data_type: &DataType, bytes: &[u8]) -> Option<Value> {
    Some(match data_type {
        DataType::Bool => Value::Bool(*bytes.first()? != 0),
        DataType::Int32 => Value::Int32(i32::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Date => Value::Date(i32::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Int64 => Value::Int64(i64::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Timestamp => Value::Timestamp(i64::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Float32 => Value::Float32(f32::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Float64 => Value::Float64(f64::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Decimal { .. } => Value::Decimal(i128::from_le_bytes(bytes.try_into().ok()?)),
        DataType::Uuid => Value::Uuid(bytes.try_into().ok()?),
        DataType::String => Value::String(std::str::from_utf8(bytes).ok()?.to_owned()),
        DataType::Json => Value::Json(std::str::from_utf8(bytes).ok()?.to_owned()),
        DataType::Bytes => Value::Bytes(bytes.to_vec()),
        DataType::Vector(len) => {
            let (floats, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() || floats.len() != *len as usize {
                return None;
            }
            Value::Vector(floats.iter().map(|four| f32::from_le_bytes(*four)).collect())
        }
        DataType::List(element) => Value::List(decode_list(element, bytes)?),
    })
}

fn decode_list(element: &DataType, bytes: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    for_each_element(element, bytes, |bytes| {
        values.push(match bytes {
            Some(bytes) => decode_value(element, bytes)?,
            None => Value::Null,
        });
        Some(())
    })?;
    Some(values)
}

/// Visits the elements of an encoded list, `None` where one is null, and gives their count; `None` when the bytes are no
/// list of them, or `visit` says so.
pub fn for_each_element<'a>(
    element: &DataType,
    bytes: &'a [u8],
    mut visit: impl FnMut(Option<&'a [u8]>) -> Option<()>,
) -> Option<usize> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    let (validity, mut rest) = rest.split_at_checked(count.div_ceil(8))?;
    for i in 0..count {
        let len = if element.is_variable() {
            let (len, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            u32::from_le_bytes(*len) as usize
        } else {
            element.fixed_width_bytes()
        };
        let (bytes, after) = rest.split_at_checked(len)?;
        rest = after;
        let is_valid = validity[i / 8] >> (i % 8) & 1 == 1;
        visit(is_valid.then_some(bytes))?;
    }
    rest.is_empty().then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nan_is_stored_alike() {
        let mut left = Vec::new();
        let mut right = Vec::new();
        encode_value(&DataType::Float64, &Value::Float64(f64::from_bits(0xfff8_0000_0000_0001)), &mut left).unwrap();
        encode_value(&DataType::Float64, &Value::Float64(f64::NAN), &mut right).unwrap();
        assert_eq!(left, right);
    }
}
