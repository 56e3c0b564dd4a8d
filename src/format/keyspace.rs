//! Rows of the keyspace of the Redis protocol: what was done to its keys, after evaluation.
//!
//! They are rows of one view that every store has, [`VIEW_ID`], so that log, tail and runs hold them as they hold any. Its key is the
//! database and the name of a key, its fields are a field of a hash, an offset, and a value. The kind of a row and which fields
//! it has say what it means:
//!
//! | kind | field | offset | value | deadline | from here on |
//! | --- | --- | --- | --- | --- | --- |
//! | set | | | bytes | perhaps | the key holds these bytes, until the deadline |
//! | set | | yes | bytes | | and these from the offset on, zeros up to there |
//! | set fields | | | pairs | | these fields have these values, and no deadlines |
//! | set fields | yes | yes | bytes | | and the value of this field these bytes from the offset on |
//! | delete | perhaps | | | | the key, or the field, is gone |
//! | deadline | perhaps | | | perhaps | it goes then, or stays |
//! | rename | | | another key | | the key is what the other was just before, deadlines too |
//! | truncate | | | | | the database has no key; the row's own key is the empty one |
//!
//! A row at an instant from which on its key was past its deadline begins with no key; fields likewise.

use crate::error::{Error, Result};
use crate::format::row::{
    FieldState, INLINE_BYTES_MAX, Reference, RowHead, RowKind, RowLayout, RowRef, push_record, set_field_state,
};
use crate::value::DataType;

/// The view's id: views of definitions count from 1.
pub const VIEW_ID: u32 = 0;
/// Its name, which no definitions can give.
pub const VIEW_NAME: &str = "_keyspace";
/// How many databases clients of the Redis protocol have.
pub const DATABASES: u8 = 16;
/// The database behind them, which no client selects: receipts of writes that are done once.
pub const RECEIPTS: u8 = DATABASES;
/// How many there are in all.
pub const DATABASES_KEPT: u8 = DATABASES + 1;
/// Longest name of a key, in bytes: a record says lengths of keys in 16 bits.
pub const NAME_BYTES_MAX: usize = u16::MAX as usize - DATABASE_BYTES;
/// Longest string, and longest value of a field, in bytes.
pub const STRING_BYTES_MAX: usize = 512 << 20;
/// The database before a key's name.
const DATABASE_BYTES: usize = 4;

const FIELD: usize = 0;
const OFFSET: usize = 1;
const VALUE: usize = 2;
/// Names and types of the view's fields.
pub const FIELDS: [(&str, DataType); 3] =
    [("field", DataType::Bytes), ("offset", DataType::Int64), ("value", DataType::Bytes)];
/// Names and types of the view's join keys.
pub const JOIN_KEYS: [(&str, DataType); 2] = [("database", DataType::Int32), ("key", DataType::Bytes)];

/// A key: its database and its name.
pub type KeyName<'a> = (u8, &'a [u8]);

/// What a row says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// It holds these bytes, until the deadline.
    SetString(&'a [u8], Option<i64>),
    /// And these from the offset on, zeros up to there.
    WriteString(u64, &'a [u8]),
    /// Its fields have these values, and no deadlines.
    SetFields(Pairs<'a>),
    /// And the value of this field these bytes from the offset on.
    WriteField(&'a [u8], u64, &'a [u8]),
    /// It is gone.
    Delete,
    /// This field is gone.
    DeleteField(&'a [u8]),
    /// It goes then, or stays.
    SetDeadline(Option<i64>),
    /// This field goes then, or stays.
    SetFieldDeadline(&'a [u8], Option<i64>),
    /// It is what this one was just before.
    TakeOver(KeyName<'a>),
    /// No key of the database is there; the row's own key is the empty one.
    Truncate,
}

/// Fields and values, each a u32 length and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    /// Pairs that [`push_pair`] wrote.
    pub fn new(bytes: &'a [u8]) -> Pairs<'a> {
        Pairs(bytes)
    }

    /// Each field and its value; ends at what is no pair.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
        let mut rest = self.0;
        std::iter::from_fn(move || Some((take_part(&mut rest)?, take_part(&mut rest)?)))
    }

    fn is_sound(self) -> bool {
        let mut rest = self.0;
        while !rest.is_empty() {
            if take_part(&mut rest).and_then(|_| take_part(&mut rest)).is_none() {
                return false;
            }
        }
        true
    }
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, after) = rest.split_first_chunk::<4>()?;
    let (part, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *rest = after;
    Some(part)
}

/// Appends a field and its value.
///
/// # Panics
/// One of them is as long as no value may be.
pub fn push_pair(field: &[u8], value: &[u8], out: &mut Vec<u8>) {
    for part in [field, value] {
        out.extend(u32::try_from(part.len()).expect("a value has at most 512 MiB").to_le_bytes());
        out.extend(part);
    }
}

/// The view's layout.
pub fn layout() -> RowLayout {
    RowLayout::new(FIELDS.map(|(_, dtype)| dtype))
}

/// The encoded entity key of a key.
pub fn push_key((database, name): KeyName<'_>, out: &mut Vec<u8>) {
    out.extend(i32::from(database).to_le_bytes());
    out.extend(name);
}

/// The key that an entity key stands for; `None`: it is none of this release's.
pub fn parse_key(key: &[u8]) -> Option<KeyName<'_>> {
    let (database, name) = key.split_first_chunk::<DATABASE_BYTES>()?;
    let database = u8::try_from(i32::from_le_bytes(*database)).ok().filter(|database| *database < DATABASES_KEPT)?;
    Some((database, name))
}

/// Appends the record of a change.
///
/// # Errors
/// The name is longer than [`NAME_BYTES_MAX`].
pub fn push_change(layout: &RowLayout, key: KeyName<'_>, change: Change<'_>, at: i64, out: &mut Vec<u8>) -> Result<()> {
    if key.1.len() > NAME_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the key's name takes {} bytes, at most {NAME_BYTES_MAX} are stored",
            key.1.len()
        )));
    }
    let mut taken_over = Vec::new();
    let (kind, field, offset, value, deadline) = match change {
        Change::SetString(bytes, deadline) => (RowKind::KeyspaceSet, None, None, Some(bytes), deadline),
        Change::WriteString(offset, bytes) => (RowKind::KeyspaceSet, None, Some(offset), Some(bytes), None),
        Change::SetFields(pairs) => (RowKind::KeyspaceSetFields, None, None, Some(pairs.0), None),
        Change::WriteField(field, offset, bytes) => {
            (RowKind::KeyspaceSetFields, Some(field), Some(offset), Some(bytes), None)
        }
        Change::Delete => (RowKind::KeyspaceDelete, None, None, None, None),
        Change::DeleteField(field) => (RowKind::KeyspaceDelete, Some(field), None, None, None),
        Change::SetDeadline(deadline) => (RowKind::KeyspaceDeadline, None, None, None, deadline),
        Change::SetFieldDeadline(field, deadline) => (RowKind::KeyspaceDeadline, Some(field), None, None, deadline),
        Change::TakeOver(from) => {
            push_key(from, &mut taken_over);
            (RowKind::KeyspaceRename, None, None, Some(&*taken_over), None)
        }
        Change::Truncate => (RowKind::KeyspaceTruncate, None, None, None, None),
    };
    let mut image = vec![0; layout.variable_start(FIELDS.len())];
    put_bytes(layout, FIELD, field, &mut image);
    if let Some(offset) = offset {
        set_field_state(&mut image, OFFSET, FieldState::Value);
        image[layout.fixed_range(FIELDS.len(), OFFSET)].copy_from_slice(&offset.to_le_bytes());
    }
    put_bytes(layout, VALUE, value, &mut image);
    let mut entity_key = Vec::with_capacity(DATABASE_BYTES + key.1.len());
    push_key(key, &mut entity_key);
    let head = RowHead { deadline, ..RowHead::new(kind, at) };
    push_record(&head, &entity_key, FIELDS.len(), &image, out)
}

fn put_bytes(layout: &RowLayout, field: usize, bytes: Option<&[u8]>, image: &mut Vec<u8>) {
    let Some(bytes) = bytes else { return };
    set_field_state(image, field, FieldState::Value);
    let position = (image.len() - layout.variable_start(FIELDS.len())) as u64;
    if bytes.len() > INLINE_BYTES_MAX {
        image.extend(bytes);
    }
    Reference::write(bytes, position, &mut image[layout.fixed_range(FIELDS.len(), field)]);
}

/// The key and change that a row of the view says.
///
/// # Errors
/// What is wrong with the row, without a place.
pub fn read_change<'a>(row: &RowRef<'a>, layout: &RowLayout) -> Result<(KeyName<'a>, Change<'a>), &'static str> {
    let key = parse_key(row.key).ok_or("no database has this number")?;
    let bytes = |field: usize| (row.state(field) == FieldState::Value).then(|| row.field_bytes(layout, field));
    let offset = match bytes(OFFSET).map(<[u8]>::first_chunk::<8>) {
        None => None,
        Some(offset) => Some(u64::from_le_bytes(*offset.ok_or("an offset is cut short")?)),
    };
    let written = bytes(VALUE).map_or(0, <[u8]>::len) as u64;
    // No memory is asked for what no writer wrote.
    if offset.is_some_and(|offset| offset.saturating_add(written) > STRING_BYTES_MAX as u64) {
        return Err("a string of the keyspace is longer than one may be");
    }
    let deadline = row.head.deadline;
    let change = match (row.head.kind, bytes(FIELD), offset, bytes(VALUE), deadline) {
        (RowKind::KeyspaceSet, None, None, Some(value), deadline) => Change::SetString(value, deadline),
        (RowKind::KeyspaceSet, None, Some(offset), Some(value), None) => Change::WriteString(offset, value),
        (RowKind::KeyspaceSetFields, None, None, Some(pairs), None) if Pairs(pairs).is_sound() => {
            Change::SetFields(Pairs(pairs))
        }
        (RowKind::KeyspaceSetFields, Some(field), Some(offset), Some(value), None) => {
            Change::WriteField(field, offset, value)
        }
        (RowKind::KeyspaceDelete, None, None, None, None) => Change::Delete,
        (RowKind::KeyspaceDelete, Some(field), None, None, None) => Change::DeleteField(field),
        (RowKind::KeyspaceDeadline, None, None, None, deadline) => Change::SetDeadline(deadline),
        (RowKind::KeyspaceDeadline, Some(field), None, None, deadline) => Change::SetFieldDeadline(field, deadline),
        (RowKind::KeyspaceRename, None, None, Some(other), None) => {
            Change::TakeOver(parse_key(other).ok_or("a key takes over one of no database")?)
        }
        (RowKind::KeyspaceTruncate, None, None, None, None) if key.1.is_empty() => Change::Truncate,
        _ => return Err("a row of the keyspace says nothing that is known"),
    };
    Ok((key, change))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Vec<u8> {
        let mut pairs = Vec::new();
        push_pair(b"f", b"a value longer than twelve bytes", &mut pairs);
        push_pair(b"", b"", &mut pairs);
        pairs
    }

    #[test]
    fn every_change_comes_back_as_it_was() {
        let (layout, pairs) = (layout(), pairs());
        let changes = [
            Change::SetString(b"", None),
            Change::SetString(b"a value longer than twelve bytes", Some(-5)),
            Change::WriteString(1 << 28, b"x"),
            Change::SetFields(Pairs::new(&pairs)),
            Change::WriteField(b"a field longer than twelve bytes", 0, b"also longer than twelve"),
            Change::Delete,
            Change::DeleteField(b""),
            Change::SetDeadline(None),
            Change::SetDeadline(Some(i64::MAX)),
            Change::SetFieldDeadline(b"f", Some(0)),
            Change::SetFieldDeadline(b"f", None),
            Change::TakeOver((3, b"other")),
        ];
        let mut records = Vec::new();
        for change in changes {
            push_change(&layout, (15, b"key \0"), change, 9, &mut records).unwrap();
        }
        push_change(&layout, (2, b""), Change::Truncate, 9, &mut records).unwrap();
        let mut rest = &*records;
        let mut found = Vec::new();
        while !rest.is_empty() {
            let (row, after) = RowRef::parse(rest, &layout).unwrap();
            assert_eq!(row.head.event_ts, 9);
            found.push(read_change(&row, &layout).unwrap());
            rest = after;
        }
        let mut expected: Vec<_> = changes.iter().map(|change| ((15, &b"key \0"[..]), *change)).collect();
        expected.push(((2, b""), Change::Truncate));
        assert_eq!(found, expected);
        let read: Vec<_> = Pairs::new(&pairs).iter().collect();
        assert_eq!(read, [(&b"f"[..], &b"a value longer than twelve bytes"[..]), (b"", b"")]);
    }

    #[test]
    fn a_name_as_long_as_a_record_can_say_is_stored_and_a_longer_one_refused() {
        let name = vec![b'k'; NAME_BYTES_MAX + 1];
        let mut out = Vec::new();
        push_change(&layout(), (0, &name[1..]), Change::Delete, 0, &mut out).unwrap();
        let (row, _) = RowRef::parse(&out, &layout()).unwrap();
        assert_eq!(read_change(&row, &layout()).unwrap().0, (0, &name[1..]));
        let error = push_change(&layout(), (0, &name), Change::Delete, 0, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("at most 65531"), "{error}");
    }

    #[test]
    fn a_string_longer_than_one_may_be_is_refused() {
        let layout = layout();
        for (offset, is_refused) in
            [(STRING_BYTES_MAX as u64 - 1, false), (STRING_BYTES_MAX as u64, true), (u64::MAX, true)]
        {
            let mut out = Vec::new();
            push_change(&layout, (0, b"k"), Change::WriteString(offset, b"x"), 0, &mut out).unwrap();
            let (row, _) = RowRef::parse(&out, &layout).unwrap();
            assert_eq!(read_change(&row, &layout).is_err(), is_refused, "{offset}");
        }
    }

    #[test]
    fn rows_that_say_nothing_known_are_refused() {
        let layout = layout();
        let refused = |kind: RowKind, key: &[u8], deadline: Option<i64>| {
            let image = vec![0; layout.variable_start(FIELDS.len())];
            let mut out = Vec::new();
            let head = RowHead { deadline, ..RowHead::new(kind, 0) };
            push_record(&head, key, FIELDS.len(), &image, &mut out).unwrap();
            let row = RowRef::parse(&out, &layout).map(|(row, _)| row);
            row.and_then(|row| read_change(&row, &layout).map(drop)).unwrap_err()
        };
        let key = [0, 0, 0, 0, b'k'];
        for kind in [RowKind::KeyspaceSet, RowKind::KeyspaceSetFields, RowKind::KeyspaceRename, RowKind::Value] {
            assert!(refused(kind, &key, None).contains("nothing that is known"));
        }
        assert!(refused(RowKind::KeyspaceDelete, &key, Some(1)).contains("nothing that is known"));
        assert!(refused(RowKind::KeyspaceTruncate, &key, None).contains("nothing that is known"));
        for key in [&[DATABASES_KEPT, 0, 0, 0][..], &[0xff, 0xff, 0xff, 0xff], &[0, 0]] {
            assert!(refused(RowKind::KeyspaceDelete, key, None).contains("database"));
        }
    }
}
