//! Keys out of a checkpoint compared with the same keys out of all rows, of which only one of the two is in memory at a time.

use std::collections::HashMap;
use std::iter;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::hash::Hash;
use super::{Key, KeyName, KeyValue, Keyspace};

/// What keys are, in a few bytes of each key, and of each field that goes.
#[derive(Debug)]
pub struct Summary(HashMap<u128, Line>);

/// What a key is but for its fields that go, or what one of these is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    content: u64,
    /// It goes by itself. When that is forgotten, no row says.
    goes: bool,
    database: u8,
}

impl Keyspace {
    /// What its keys are.
    pub fn summary(&self) -> Summary {
        Summary(self.lines().map(|(_, id, line)| (id, line)).collect())
    }

    /// The database of the first key that is not what it was in the other, and its name; `None` for the name: the key is here no more. What goes
    /// by itself may be missing in one of them.
    pub fn differs_from(&self, Summary(mut other): Summary) -> Option<(u8, Option<Vec<u8>>)> {
        let differs = |(_, id, line): &(KeyName<'_>, u128, Line)| match other.remove(id) {
            Some(there) => *line != there,
            None => !line.goes,
        };
        if let Some(((database, name), ..)) = self.lines().find(differs) {
            return Some((database, Some(name.to_vec())));
        }
        other.values().find(|line| !line.goes).map(|line| (line.database, None))
    }

    fn lines(&self) -> impl Iterator<Item = (KeyName<'_>, u128, Line)> {
        let databases = (0_u8..).zip(&self.databases);
        databases.flat_map(|(number, database)| database.keys.iter().flat_map(move |key| lines_of(number, key)))
    }
}

fn lines_of(database: u8, key: &Key) -> impl Iterator<Item = (KeyName<'_>, u128, Line)> {
    let name = (database, &*key.name);
    let (content, stays) = match &key.value {
        KeyValue::String(string) => (xxh3_64(&string.bytes), true),
        KeyValue::Hash(hash) => content_of(hash),
    };
    let is_string = matches!(&key.value, KeyValue::String(_));
    let content = digest(&[&[u8::from(is_string)], &content.to_le_bytes(), &deadline_bytes(key.deadline)]).digest();
    let line = Line { content, goes: key.deadline.is_some() || !stays, database };
    let hash = if let KeyValue::Hash(hash) = &key.value { Some(hash) } else { None };
    let going = hash.into_iter().flat_map(Hash::deadlines).map(move |(field, deadline)| {
        let value = hash.and_then(|hash| hash.get(field, i64::MIN)).unwrap_or_default();
        let content = digest(&[value, &deadline_bytes(Some(deadline))]).digest();
        (name, digest(&[&[database], name.1, field]).digest128(), Line { content, goes: true, database })
    });
    iter::once((name, digest(&[&[database], name.1]).digest128(), line)).chain(going)
}

/// Of the fields that stay, in whichever order; and whether there are any.
fn content_of(hash: &Hash) -> (u64, bool) {
    let staying = hash.iter(i64::MIN).filter(|(field, _)| hash.deadline(field).is_none());
    let digests = staying.map(|(field, value)| digest(&[field, value]).digest());
    digests.fold((0, false), |(all, _), of_field| (all.wrapping_add(of_field), true))
}

/// Of parts, whose lengths count.
fn digest(parts: &[&[u8]]) -> Xxh3 {
    let mut digest = Xxh3::new();
    for part in parts {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest
}

fn deadline_bytes(deadline: Option<i64>) -> [u8; 9] {
    let mut bytes = [0; 9];
    bytes[0] = u8::from(deadline.is_some());
    bytes[1..].copy_from_slice(&deadline.unwrap_or_default().to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyName<'_> = (3, b"k");

    fn keys(fill: impl Fn(&mut Keyspace)) -> Keyspace {
        let mut keyspace = Keyspace::new(1);
        keyspace.set_string((0, b"another"), b"value".to_vec(), None);
        fill(&mut keyspace);
        keyspace
    }

    fn hash(keyspace: &mut Keyspace) {
        keyspace.set_field(KEY, b"f", b"1");
        keyspace.set_field(KEY, b"g", b"2");
    }

    #[test]
    fn whatever_differs_is_told_by_its_name_where_there_is_one() {
        let differs = |one: &dyn Fn(&mut Keyspace), other: &dyn Fn(&mut Keyspace)| {
            let (one, other) = (keys(one), keys(other));
            assert_eq!(one.differs_from(one.summary()), None);
            let (here, there) = (one.differs_from(other.summary()), other.differs_from(one.summary()));
            assert!(here.as_ref().map(|(database, _)| *database) == there.map(|(database, _)| database));
            here
        };
        let named = Some((3, Some(b"k".to_vec())));
        let string_of = |value: &'static [u8], deadline| {
            move |keyspace: &mut Keyspace| {
                keyspace.set_string(KEY, value.to_vec(), deadline);
            }
        };
        let string = string_of(b"1", None);
        assert_eq!(differs(&string, &|_| {}), named);
        assert_eq!(differs(&|_| {}, &string), Some((3, None)));
        assert_eq!(differs(&string, &string_of(b"2", None)), named);
        assert_eq!(differs(&string, &string_of(b"1", Some(0))), named);
        assert_eq!(differs(&string, &hash), named);
        type Change = fn(&mut Keyspace) -> bool;
        let changes: [Change; 6] = [
            |keyspace| keyspace.set_field(KEY, b"f", b"3"),
            |keyspace| keyspace.set_field(KEY, b"h", b"3"),
            |keyspace| keyspace.remove_field(KEY, b"f"),
            |keyspace| keyspace.put_deadline(KEY, Some(5)).is_some(),
            |keyspace| keyspace.put_field_deadline(KEY, b"f", Some(5)).is_some(),
            // The same bytes, cut elsewhere.
            |keyspace| keyspace.remove_field(KEY, b"f") && keyspace.set_field(KEY, b"f1", b""),
        ];
        for change in changes {
            let changed = |keyspace: &mut Keyspace| {
                hash(keyspace);
                change(keyspace);
            };
            assert_eq!(differs(&hash, &changed), named);
        }
        // What goes is another thing, where both have it.
        let going = |value: &'static [u8], deadline| {
            move |keyspace: &mut Keyspace| {
                hash(keyspace);
                keyspace.set_field(KEY, b"goes", value);
                keyspace.set_field_deadline(KEY, b"goes", Some(deadline));
            }
        };
        assert_eq!(differs(&going(b"1", 5), &going(b"2", 5)), named);
        assert_eq!(differs(&going(b"1", 5), &going(b"1", 6)), named);
    }

    #[test]
    fn what_goes_by_itself_may_be_missing() {
        let is_same = |one: &dyn Fn(&mut Keyspace), other: &dyn Fn(&mut Keyspace)| {
            let (one, other) = (keys(one), keys(other));
            assert_eq!((one.differs_from(other.summary()), other.differs_from(one.summary())), (None, None));
        };
        let string = |keyspace: &mut Keyspace| {
            keyspace.set_string(KEY, b"1".to_vec(), Some(5));
        };
        is_same(&string, &|_| {});
        let dated = |keyspace: &mut Keyspace| {
            hash(keyspace);
            keyspace.set_deadline(KEY, Some(5));
        };
        is_same(&dated, &|_| {});
        let going = |keyspace: &mut Keyspace| {
            keyspace.set_field(KEY, b"goes", b"1");
            keyspace.set_field_deadline(KEY, b"goes", Some(5));
        };
        is_same(&going, &|_| {});
        let both = |keyspace: &mut Keyspace| {
            going(keyspace);
            hash(keyspace);
        };
        is_same(&both, &hash);
    }
}
