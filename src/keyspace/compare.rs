//! Keys out of a checkpoint compared with the same keys out of all rows.

use super::hash::Hash;
use super::{DATABASES, Key, KeyName, KeyValue, Keyspace};

impl Keyspace {
    /// The first key that is not what `other` has. What goes by itself may be missing in one of them: when it is forgotten, no row says.
    pub fn differs_from(&self, other: &Keyspace) -> Option<(u8, Vec<u8>)> {
        let databases = || 0..u8::try_from(DATABASES).unwrap_or(u8::MAX);
        let keys = |keyspace| databases().flat_map(move |number| names(keyspace, number));
        let is_same = |name: KeyName<'_>| match (self.any(name), other.any(name)) {
            (Some(here), Some(there)) => is_same(here, there),
            (here, there) => here.or(there).is_none_or(goes),
        };
        let differing = keys(self).chain(keys(other)).find(|name| !is_same(*name));
        differing.map(|(database, name)| (database, name.to_vec()))
    }

    /// A key, past its deadline or not.
    fn any(&self, (database, name): KeyName<'_>) -> Option<&Key> {
        self.databases[usize::from(database)].keys.get(name)
    }
}

fn names(keyspace: &Keyspace, database: u8) -> impl Iterator<Item = KeyName<'_>> {
    keyspace.databases[usize::from(database)].keys.iter().map(move |key| (database, &*key.name))
}

/// Whether nothing of the key stays for ever.
fn goes(key: &Key) -> bool {
    let goes = |hash: &Hash| hash.iter(i64::MIN).all(|(field, _)| hash.deadline(field).is_some());
    key.deadline.is_some() || matches!(&key.value, KeyValue::Hash(hash) if goes(hash))
}

fn is_same(here: &Key, there: &Key) -> bool {
    let is_same_value = match (&here.value, &there.value) {
        (KeyValue::String(here), KeyValue::String(there)) => here.bytes == there.bytes,
        (KeyValue::Hash(here), KeyValue::Hash(there)) => has_fields(here, there) && has_fields(there, here),
        _ => false,
    };
    is_same_value && here.deadline == there.deadline
}

/// Whether `hash` has the fields of `other`, but for those that go.
fn has_fields(hash: &Hash, other: &Hash) -> bool {
    other.iter(i64::MIN).all(|(field, value)| {
        let deadline = other.deadline(field);
        match hash.get(field, i64::MIN) {
            Some(found) => found == value && hash.deadline(field) == deadline,
            None => deadline.is_some(),
        }
    })
}
