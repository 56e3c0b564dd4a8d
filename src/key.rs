//! Entity keys: the one byte form that a key has in the log, in runs, in the latest table and
//! under the hash.
//!
//! Components stand in the view's order of join keys. Fixed-width types are their little-endian
//! bytes; a string or bytes component is its length (u32) and its bytes, except that the last
//! component carries no length. So a single string key is just its bytes.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{Error, Result};
use crate::text::parse_uuid;
use crate::value::{DataType, Value};

/// Longest encoded entity key, in bytes.
pub const KEY_BYTES_MAX: usize = 4_096;
/// Longer than any stored key.
static TOO_LONG: [u8; KEY_BYTES_MAX + 1] = [0; KEY_BYTES_MAX + 1];
/// Encoded keys as short as this are told apart by their hash alone: see [`KeySchema::hash_is_key`].
pub const HASH_IS_KEY_BYTES: std::ops::RangeInclusive<usize> = 4..=8;

/// The names and types of the columns that make up a view's entity key, in key order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySchema {
    columns: Vec<(String, DataType)>,
}

impl KeySchema {
    /// A key of these columns. An empty one is the key of a view without entities.
    pub fn new(columns: Vec<(String, DataType)>) -> Self {
        assert!(columns.iter().all(|(_, data_type)| data_type.is_join_key()), "definitions admit only join key types");
        KeySchema { columns }
    }

    /// Names and types, in key order.
    pub fn columns(&self) -> &[(String, DataType)] {
        &self.columns
    }

    /// The encoded length when every component is of fixed width.
    pub fn fixed_len_bytes(&self) -> Option<usize> {
        self.columns
            .iter()
            .map(|(_, data_type)| (!data_type.is_variable()).then(|| data_type.fixed_width_bytes()))
            .sum()
    }

    /// Whether keys of equal hashes are equal. XXH3-64 of 4 to 8 bytes is a bijection of them for a given length and seed: a keyed
    /// xor, two odd multiplications and xor-shifts (a test inverts it).
    pub fn hash_is_key(&self) -> bool {
        self.fixed_len_bytes().is_some_and(|len| HASH_IS_KEY_BYTES.contains(&len))
    }

    /// Bytes that no stored key of the schema is equal to.
    pub(crate) fn never_stored(&self) -> &'static [u8] {
        // Shorter where that will do: who looks for many keys may keep as many of these.
        let is_some_fixed = self.columns.iter().any(|(_, data_type)| !data_type.is_variable());
        if is_some_fixed { &[] } else { &TOO_LONG }
    }

    /// Encodes one key, its components in key order, onto `out`.
    ///
    /// # Errors
    /// A component is null or not of its column's type; the key is longer than [`KEY_BYTES_MAX`].
    pub fn encode(&self, values: &[Value], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        self.push(values, out)?;
        check_key_len(out.len() - start)
    }

    /// [`KeySchema::encode`] of a key of any length.
    ///
    /// # Errors
    /// A component is null or not of its column's type.
    pub(crate) fn push(&self, values: &[Value], out: &mut Vec<u8>) -> Result<()> {
        if values.len() != self.columns.len() {
            return Err(Error::invalid(format!("the key has {} parts, got {}", self.columns.len(), values.len())));
        }
        for (i, (value, (name, data_type))) in values.iter().zip(&self.columns).enumerate() {
            if !push_component(value, data_type, i + 1 == self.columns.len(), out) {
                return Err(Error::invalid(format!("wants {data_type}, got {}", value.type_name()))
                    .at(format!("join key {name}")));
            }
        }
        Ok(())
    }

    /// The components of an encoded key; `None` when the bytes are no key of this schema.
    pub fn decode(&self, mut key: &[u8]) -> Option<Vec<Value>> {
        let mut values = Vec::with_capacity(self.columns.len());
        for (i, (_, data_type)) in self.columns.iter().enumerate() {
            values.push(take_component(data_type, i + 1 == self.columns.len(), &mut key)?);
        }
        key.is_empty().then_some(values)
    }
}

/// The type of a column that holds join keys of both types, `None` where none does: integers of either width, and the texts of
/// uuids among strings. Such keys are [converted](as_component) for each view; what does not convert matches nothing.
pub(crate) fn common_type<'a>(one: &'a DataType, other: &'a DataType) -> Option<&'a DataType> {
    match (one, other) {
        _ if one == other => Some(one),
        (DataType::Int32, DataType::Int64) | (DataType::Uuid, DataType::String) => Some(other),
        (DataType::Int64, DataType::Int32) | (DataType::String, DataType::Uuid) => Some(one),
        _ => None,
    }
}

/// A value that a caller gives for a join key of type `dtype`, as a spine's column is taken: `None` where no stored key can be
/// equal to it. A value of another kind stays as it is, for [`KeySchema::encode`] to refuse.
pub(crate) fn as_component(value: Value, dtype: &DataType) -> Option<Value> {
    match (value, dtype) {
        (Value::Int32(v), DataType::Int64) => Some(Value::Int64(v.into())),
        (Value::Int64(v), DataType::Int32) => i32::try_from(v).ok().map(Value::Int32),
        (Value::String(v), DataType::Uuid) => parse_uuid(&v).map(Value::Uuid),
        (value, _) => Some(value),
    }
}

/// Refuses a key longer than [`KEY_BYTES_MAX`].
pub(crate) fn check_key_len(len_bytes: usize) -> Result<()> {
    if len_bytes > KEY_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the entity key takes {len_bytes} bytes, at most {KEY_BYTES_MAX} are stored"
        )));
    }
    Ok(())
}

/// Appends a component; `false`, and nothing appended, when the value is not of the column's type.
pub(crate) fn push_component(value: &Value, dtype: &DataType, is_last: bool, out: &mut Vec<u8>) -> bool {
    match (value, dtype) {
        (Value::Bool(v), DataType::Bool) => out.push(u8::from(*v)),
        (Value::Int32(v), DataType::Int32) | (Value::Date(v), DataType::Date) => out.extend(v.to_le_bytes()),
        (Value::Int64(v), DataType::Int64) | (Value::Timestamp(v), DataType::Timestamp) => out.extend(v.to_le_bytes()),
        (Value::Uuid(v), DataType::Uuid) => out.extend(v),
        (Value::String(v), DataType::String) => push_variable(v.as_bytes(), is_last, out),
        (Value::Bytes(v), DataType::Bytes) => push_variable(v, is_last, out),
        _ => return false,
    }
    true
}

/// The next component; `None` when the bytes begin with none of this type.
pub(crate) fn take_component(dtype: &DataType, is_last: bool, key: &mut &[u8]) -> Option<Value> {
    Some(match dtype {
        DataType::Bool => match take::<1>(key)? {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => return None,
        },
        DataType::Int32 => Value::Int32(i32::from_le_bytes(take(key)?)),
        DataType::Date => Value::Date(i32::from_le_bytes(take(key)?)),
        DataType::Int64 => Value::Int64(i64::from_le_bytes(take(key)?)),
        DataType::Timestamp => Value::Timestamp(i64::from_le_bytes(take(key)?)),
        DataType::Uuid => Value::Uuid(take(key)?),
        DataType::String => Value::String(String::from_utf8(take_variable(key, is_last)?.to_vec()).ok()?),
        DataType::Bytes => Value::Bytes(take_variable(key, is_last)?.to_vec()),
        _ => return None,
    })
}

/// Appends a string or bytes component.
pub(crate) fn push_variable(bytes: &[u8], is_last: bool, out: &mut Vec<u8>) {
    if !is_last {
        // A component beyond u32 is beyond KEY_BYTES_MAX too, which the caller checks next.
        out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    out.extend_from_slice(bytes);
}

/// The next component of fixed width.
pub(crate) fn take<const N: usize>(key: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = key.split_first_chunk::<N>()?;
    *key = rest;
    Some(*head)
}

/// The next string or bytes component.
pub(crate) fn take_variable<'a>(key: &mut &'a [u8], is_last: bool) -> Option<&'a [u8]> {
    let len = if is_last { key.len() } else { u32::from_le_bytes(take(key)?) as usize };
    let (head, rest) = key.split_at_checked(len)?;
    *key = rest;
    Some(head)
}

/// The hash everything is ordered and found by: xxh3-64 with the store's random seed, because keys
/// come from outside.
pub fn key_hash(seed: u64, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(types: &[DataType]) -> KeySchema {
        KeySchema::new(types.iter().enumerate().map(|(i, t)| (format!("k{i}"), t.clone())).collect())
    }

    #[test]
    fn keys_of_every_type_come_back() {
        let schema = schema(&[DataType::String, DataType::Int64, DataType::Uuid, DataType::Bool, DataType::Bytes]);
        let values = vec![
            Value::String("a:b".into()),
            Value::Int64(-7),
            Value::Uuid([9; 16]),
            Value::Bool(true),
            Value::Bytes(vec![0, 255]),
        ];
        let mut key = Vec::new();
        schema.encode(&values, &mut key).unwrap();
        assert_eq!(schema.decode(&key).unwrap(), values);
        assert_eq!(schema.decode(&key[..10]), None);
    }

    #[test]
    fn a_single_string_is_its_bytes_and_two_strings_cannot_be_confused() {
        let mut key = Vec::new();
        schema(&[DataType::String]).encode(&["JFK".into()], &mut key).unwrap();
        assert_eq!(key, b"JFK");
        let pair = schema(&[DataType::String, DataType::String]);
        let (mut left, mut right) = (Vec::new(), Vec::new());
        pair.encode(&["ab".into(), "c".into()], &mut left).unwrap();
        pair.encode(&["a".into(), "bc".into()], &mut right).unwrap();
        assert_ne!(left, right);
    }

    #[test]
    fn a_wrong_type_names_the_join_key() {
        let error = schema(&[DataType::Int64]).encode(&["x".into()], &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "join key k0: wants int64, got string");
        let long = Value::String("x".repeat(KEY_BYTES_MAX + 1));
        assert!(schema(&[DataType::String]).encode(&[long], &mut Vec::new()).is_err());
    }
}
