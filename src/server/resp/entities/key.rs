//! A row as the hash that commands see, and back.

use super::text::from_bytes;
use super::{EntityRow, Served};
use crate::engine::entities::EntityField;
use crate::keyspace::{Hash, Key, KeyValue, LastUse, PackedLimits};
use crate::server::resp::command::Refusal;
use crate::text::to_bytes;
use crate::value::Value;

/// The key that a row is; `None` where it has no value to show: nulls and what is absent are not there.
pub(super) fn to_key(served: &Served, name: &[u8], row: &EntityRow, limits: PackedLimits) -> Option<Key> {
    let mut hash = Hash::default();
    for (feature, field) in served.view.definition().features.iter().zip(&row.fields) {
        if let Some(value) = field.value.as_ref().filter(|value| !value.is_null()) {
            hash.set(feature.name.as_bytes(), &to_bytes(&feature.dtype, value), limits, 0);
            if field.deadline.is_some() {
                hash.set_deadline(feature.name.as_bytes(), field.deadline);
            }
        }
    }
    (hash.len_with_expired() > 0).then(|| Key {
        name: name.into(),
        value: KeyValue::Hash(hash),
        deadline: row.deadline,
        changed: 0,
        used: LastUse::default(),
    })
}

/// The row that a key has become; `before` is the one that it was made of. Fields that were not changed keep their values, nulls too.
///
/// # Errors
/// A field is no feature, or not of its type.
pub(super) fn to_row(
    served: &Served,
    key: Option<&Key>,
    before: Option<&EntityRow>,
    event_ts: i64,
) -> Result<EntityRow, Refusal> {
    let features = &served.view.definition().features;
    let hash = match key.map(|key| &key.value) {
        Some(KeyValue::Hash(hash)) => Some(hash),
        Some(KeyValue::String(_)) => return Err(Refusal::WRONG_TYPE),
        None => None,
    };
    if let Some(hash) = hash {
        for (name, _) in hash.iter(event_ts) {
            served.feature(name, 0)?;
        }
    }
    let mut row =
        EntityRow { event_ts, deadline: key.and_then(|key| key.deadline), ..EntityRow::empty(features.len()) };
    for (at, (feature, field)) in features.iter().zip(&mut row.fields).enumerate() {
        let name = feature.name.as_bytes();
        let before = before.and_then(|before| before.fields[at].value.as_ref());
        *field = match (hash.and_then(|hash| hash.get(name, event_ts)), before) {
            (None, Some(Value::Null)) => EntityField { value: Some(Value::Null), deadline: None },
            (None, _) => EntityField::default(),
            (Some(text), before) => {
                let kept = before.filter(|before| !before.is_null() && *to_bytes(&feature.dtype, before) == *text);
                let value = match kept {
                    Some(kept) => kept.clone(),
                    None => from_bytes(&feature.dtype, text, || format!("{}:{}", served.name, feature.name))?,
                };
                EntityField { value: Some(value), deadline: hash.and_then(|hash| hash.deadline(name)) }
            }
        };
    }
    Ok(row)
}
