//! A row's bytes, as they are written.

use super::{
    FLAG_CREATED, FLAG_EVENT_ID, FLAG_FIELD_DEADLINES, FLAG_ROW_DEADLINE, FieldState, INLINE_BYTES_MAX,
    RECORD_HEADER_BYTES, Reference, RowHead, RowKind, RowLayout, set_field_state,
};
use crate::error::{Error, Result};
use crate::format::value::encode_value;
use crate::key::check_key_len;
use crate::value::Value;

/// Appends the record of a row whose image is already encoded.
///
/// # Errors
/// The key, the event id or the field deadlines are too long.
pub fn push_record(head: &RowHead<'_>, key: &[u8], field_count: usize, image: &[u8], out: &mut Vec<u8>) -> Result<()> {
    // A name of the keyspace may be as long as its length can be said.
    if !head.kind.is_of_keyspace() {
        check_key_len(key.len())?;
    }
    let too_long = |what: &str| Error::invalid(format!("{what} is too long to store"));
    let key_len = u16::try_from(key.len()).map_err(|_| too_long("the entity key"))?;
    let field_count = u16::try_from(field_count).map_err(|_| too_long("the list of features"))?;
    let start = out.len();
    let mut flags = 0;
    out.extend([0; 4]);
    out.extend([head.kind as u8, 0]);
    out.extend(key_len.to_le_bytes());
    out.extend(field_count.to_le_bytes());
    out.extend(keyspace_bytes(head.kind, key));
    out.extend(head.event_ts.to_le_bytes());
    if let Some(created) = head.created {
        flags |= FLAG_CREATED;
        out.extend(created.to_le_bytes());
    }
    if let Some(deadline) = head.deadline {
        flags |= FLAG_ROW_DEADLINE;
        out.extend(deadline.to_le_bytes());
    }
    if !head.field_deadlines.is_empty() {
        flags |= FLAG_FIELD_DEADLINES;
        let count = u16::try_from(head.field_deadlines.len() / 10).map_err(|_| too_long("the list of deadlines"))?;
        out.extend(count.to_le_bytes());
        out.extend(head.field_deadlines);
    }
    if !head.event_id.is_empty() {
        flags |= FLAG_EVENT_ID;
        out.extend(u16::try_from(head.event_id.len()).map_err(|_| too_long("the event id"))?.to_le_bytes());
        out.extend(head.event_id);
    }
    out[start + 5] = flags;
    out.extend(key);
    out.extend(image);
    let len = u32::try_from(out.len() - start - 4).map_err(|_| too_long("the row"))?;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    Ok(())
}

/// Of a row of the keyspace its database, which its key begins with, and the type of what it sets; zeros in others.
pub(super) fn keyspace_bytes(kind: RowKind, key: &[u8]) -> [u8; 2] {
    if kind.is_of_keyspace() { [key.first().copied().unwrap_or(0), kind.key_type()] } else { [0, 0] }
}

/// Raises the created timestamp of the record that `record` begins with, which has one, to `created` where it is earlier.
pub fn raise_created(record: &mut [u8], created: i64) {
    assert!(record[5] & FLAG_CREATED != 0, "only what has a created timestamp is dated");
    let stored = record[RECORD_HEADER_BYTES..].first_chunk_mut().expect("a record is whole");
    *stored = created.max(i64::from_le_bytes(*stored)).to_le_bytes();
}

/// Encodes the image of a row of `values` onto `out`, one value per field of the layout.
///
/// # Errors
/// A value is not of its field's type, or too long; the error names the field by position.
pub fn push_image(layout: &RowLayout, values: &[Value], out: &mut Vec<u8>) -> Result<()> {
    push_image_of(layout, values.iter().map(Some), out)
}

/// [`push_image`], where a row may not speak of a field: that has `None`.
///
/// # Errors
/// As there.
pub fn push_image_of<'a>(
    layout: &RowLayout,
    values: impl ExactSizeIterator<Item = Option<&'a Value>>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let field_count = layout.field_count();
    assert_eq!(values.len(), field_count, "one value per field");
    let start = out.len();
    let variable_start = layout.variable_start(field_count);
    out.resize(start + variable_start, 0);
    for (field, value) in values.enumerate() {
        let value = match value {
            None => {
                set_field_state(&mut out[start..], field, FieldState::Absent);
                continue;
            }
            Some(Value::Null) => {
                set_field_state(&mut out[start..], field, FieldState::Null);
                continue;
            }
            Some(value) => value,
        };
        set_field_state(&mut out[start..], field, FieldState::Value);
        // At the end of the image, where long ones stay.
        let at = out.len();
        encode_value(&layout.types[field], value, out).map_err(|error| error.at(format!("field {field}")))?;
        let range = layout.fixed_range(field_count, field);
        let (image, encoded) = out.split_at_mut(at);
        let fixed = &mut image[start + range.start..start + range.end];
        if layout.types[field].is_variable() {
            Reference::write(encoded, (at - start - variable_start) as u64, fixed);
            if encoded.len() > INLINE_BYTES_MAX {
                continue;
            }
        } else {
            fixed.copy_from_slice(encoded);
        }
        out.truncate(at);
    }
    Ok(())
}
