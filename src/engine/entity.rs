//! The join keys that a caller names, as one view's entity key.

use super::picture::ViewPicture;
use crate::error::{Error, Result, nearest};
use crate::key::as_component;
use crate::value::Value;

/// The entity key of `view` that these join keys make.
///
/// # Errors
/// One is missing, is none of the view's, or is not of its type.
pub fn entity_key(view: &ViewPicture, entity: &[(&str, Value)]) -> Result<Vec<u8>> {
    let columns = view.key_schema.columns();
    if let Some((unknown, _)) = entity.iter().find(|(key, _)| columns.iter().all(|(name, _)| name != key)) {
        let what = format!("view {} has no join key {unknown}", view.record.definition.reference());
        return Err(match nearest(unknown, columns.iter().map(|(name, _)| name.as_str())) {
            Some(near) => Error::invalid(what).remedy(format!("did you mean {near}?")),
            None if columns.is_empty() => Error::invalid(what).remedy("it has none: give none"),
            None => {
                let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
                Error::invalid(what).remedy(format!("it has {}", names.join(", ")))
            }
        });
    }
    let mut values = Vec::with_capacity(columns.len());
    for (name, dtype) in columns {
        let value = entity.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let value = value.ok_or_else(|| {
            Error::invalid(format!("the join key {name} ({dtype}) is missing"))
                .remedy(format!("give it as {name}=VALUE"))
        })?;
        // As a read takes it; what no stored key can be is of another type here.
        values.push(as_component(value.clone(), dtype).unwrap_or(value));
    }
    let mut key = Vec::new();
    view.key_schema.encode(&values, &mut key)?;
    Ok(key)
}
