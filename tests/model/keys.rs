//! The naive keyspace: all that was ever done to its keys, done again from the first on.

use std::collections::BTreeMap;

use asof::keyspace::{Key, KeyValue};

/// A database, and a name.
pub type Name = (u8, Vec<u8>);
pub type Keys = BTreeMap<Name, Held>;

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub deadline: Option<i64>,
    pub value: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    String(Vec<u8>),
    /// Fields with their values and deadlines.
    Hash(BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>),
}

/// One thing done to a key.
#[derive(Clone, Debug)]
pub enum Change {
    Set(Vec<u8>, Option<i64>),
    Write(usize, Vec<u8>),
    SetFields(Vec<(Vec<u8>, Vec<u8>)>),
    DeleteField(Vec<u8>),
    Delete,
    Deadline(Option<i64>),
    FieldDeadline(Vec<u8>, Option<i64>),
    /// It is from here on what this one is.
    TakeOver(Name),
    /// Its whole database is empty.
    Flush,
}

/// It, when, and its number.
#[derive(Clone, Debug)]
pub struct KeyRow {
    pub name: Name,
    pub at: i64,
    pub seq: u64,
    pub change: Change,
}

impl Held {
    fn hash() -> Held {
        Held { deadline: None, value: Content::Hash(BTreeMap::new()) }
    }

    /// What a key of the store holds.
    pub fn of(key: &Key, now: i64) -> Held {
        let value = match &key.value {
            KeyValue::String(string) => Content::String(string.bytes.clone()),
            KeyValue::Hash(hash) => {
                let fields = hash.iter(now).map(|(name, value)| (name.to_vec(), (value.to_vec(), hash.deadline(name))));
                Content::Hash(fields.collect())
            }
        };
        Held { deadline: key.deadline, value }
    }

    /// Forgets fields that are gone at `now`. Whether the key is there still.
    fn lasts(&mut self, now: i64) -> bool {
        let lasts = |deadline: Option<i64>| deadline.is_none_or(|deadline| deadline > now);
        let is_empty = match &mut self.value {
            Content::String(_) => false,
            Content::Hash(fields) => {
                fields.retain(|_, (_, deadline)| lasts(*deadline));
                fields.is_empty()
            }
        };
        lasts(self.deadline) && !is_empty
    }
}

/// The keys at an instant, of what is known by `known_at`.
pub fn as_of(rows: &[KeyRow], at: i64, known_at: u64) -> Keys {
    let mut keys = Keys::new();
    for row in rows.iter().filter(|row| row.at <= at && row.seq <= known_at) {
        row.change.make(&row.name, row.at, &mut keys);
    }
    keys.retain(|_, held| held.lasts(at));
    keys
}

impl Change {
    /// Makes it at an instant.
    pub fn make(&self, name: &Name, at: i64, keys: &mut Keys) {
        let from = if let Change::TakeOver(from) = self { from } else { name };
        for name in [name, from] {
            if keys.get_mut(name).is_some_and(|held| !held.lasts(at)) {
                keys.remove(name);
            }
        }
        match (self, keys.get_mut(name).map(|held| (&mut held.deadline, &mut held.value))) {
            (Change::Set(bytes, deadline), _) => {
                let held = Held { deadline: *deadline, value: Content::String(bytes.clone()) };
                keys.insert(name.clone(), held);
            }
            (Change::Write(offset, bytes), Some((_, Content::String(held)))) => {
                held.resize(held.len().max(offset + bytes.len()), 0);
                held[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            (Change::SetFields(new), _) => {
                let held = keys.entry(name.clone()).or_insert_with(Held::hash);
                let Content::Hash(fields) = &mut held.value else { panic!("fields of a string") };
                fields.extend(new.iter().map(|(field, value)| (field.clone(), (value.clone(), None))));
            }
            (Change::DeleteField(field), Some((_, Content::Hash(fields)))) => drop(fields.remove(field)),
            (Change::Delete, _) => drop(keys.remove(name)),
            (Change::Deadline(deadline), Some((of_key, _))) => *of_key = *deadline,
            (Change::FieldDeadline(field, deadline), Some((_, Content::Hash(fields)))) => {
                fields.get_mut(field).unwrap().1 = *deadline;
            }
            (Change::TakeOver(from), _) => {
                if let Some(held) = keys.get(from).cloned() {
                    keys.insert(name.clone(), held);
                }
            }
            (Change::Flush, _) => keys.retain(|(database, _), _| *database != name.0),
            (change, held) => panic!("{change:?} of {held:?}"),
        }
        // A hash goes with its last field.
        if keys.get_mut(name).is_some_and(|held| held.value == Held::hash().value) {
            keys.remove(name);
        }
    }
}
