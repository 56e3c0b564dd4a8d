//! Keys of the keyspace in a life: what was done to them, and what must be there then.

use std::collections::BTreeMap;

use asof::disk::Random;
use asof::keyspace::{Key, KeyValue, Keyspace};
use asof::time::Timestamp;
use asof::{KnownAt, Store};

use super::examine::Trouble;
use super::model::Act;

/// How many keys a life changes again and again.
const NAMES: u64 = 4;

/// One thing done to a key, which is a hash.
#[derive(Clone, Debug)]
pub enum KeyChange {
    Set { key: u64, field: u64, value: i64 },
    Deadline { key: u64, at: Option<i64> },
    Delete { key: u64 },
    Rename { from: u64, to: u64 },
    Flush,
}

/// A key's deadline, and its fields.
type Held = (Option<i64>, BTreeMap<Vec<u8>, Vec<u8>>);
/// Keys by name.
pub type Keys = BTreeMap<Vec<u8>, Held>;

fn name(key: u64) -> Vec<u8> {
    format!("key {key}").into_bytes()
}

/// A value that is long enough to fill segments.
fn value(value: i64) -> Vec<u8> {
    format!("{value:>30}").into_bytes()
}

fn lasts(held: &Held, now: i64) -> bool {
    held.0.is_none_or(|deadline| deadline > now)
}

/// A few random changes of which each changes something.
pub fn random(dice: &mut Random, before: &Keys, next_value: &mut i64, now: i64) -> Vec<KeyChange> {
    let (mut keys, mut changes) = (before.clone(), Vec::new());
    for _ in 0..=dice.below(3) {
        let (key, other) = (dice.below(NAMES), dice.below(NAMES));
        let is_there = keys.contains_key(&name(key));
        *next_value += 1;
        let change = match dice.below(8) {
            0 if is_there => KeyChange::Delete { key },
            1 if is_there && key != other => KeyChange::Rename { from: key, to: other },
            2 if is_there => {
                let at = (dice.below(3) > 0).then(|| now + 1 + dice.below(20_000).cast_signed());
                KeyChange::Deadline { key, at }
            }
            3 if dice.below(4) == 0 => KeyChange::Flush,
            _ => KeyChange::Set { key, field: dice.below(3), value: *next_value },
        };
        change.keep(now, &mut keys);
        changes.push(change);
    }
    changes
}

impl KeyChange {
    /// Does it to keys of the model.
    fn keep(&self, now: i64, keys: &mut Keys) {
        keys.retain(|_, held| lasts(held, now));
        match self {
            KeyChange::Set { key, field, value: number } => {
                keys.entry(name(*key)).or_default().1.insert(name(*field), value(*number));
            }
            KeyChange::Deadline { key, at } => keys.get_mut(&name(*key)).unwrap().0 = *at,
            KeyChange::Delete { key } => drop(keys.remove(&name(*key)).unwrap()),
            KeyChange::Rename { from, to } => {
                let held = keys.remove(&name(*from)).unwrap();
                keys.insert(name(*to), held);
            }
            KeyChange::Flush => keys.clear(),
        }
    }

    /// Does it to keys of a store.
    pub fn make(&self, keyspace: &mut Keyspace, now: i64) {
        (0..NAMES).for_each(|key| drop(keyspace.forget_expired((0, &name(key)), now)));
        match self {
            KeyChange::Set { key, field, value: number } => {
                keyspace.set_field((0, &name(*key)), &name(*field), &value(*number));
            }
            KeyChange::Deadline { key, at } => keyspace.set_deadline((0, &name(*key)), *at),
            KeyChange::Delete { key } => drop(keyspace.remove((0, &name(*key)))),
            KeyChange::Rename { from, to } => drop(keyspace.rename((0, &name(*from)), (0, &name(*to)))),
            KeyChange::Flush => keyspace.truncate(0),
        }
    }
}

/// The keys at an instant after these acts.
pub fn after<'a>(acts: impl Iterator<Item = &'a Act>, now: i64) -> Keys {
    let mut keys = Keys::new();
    for act in acts {
        act.keys.iter().for_each(|change| change.keep(act.clock_us, &mut keys));
    }
    keys.retain(|_, held| lasts(held, now));
    keys
}

fn held(key: &Key, now: i64) -> Held {
    let KeyValue::Hash(hash) = &key.value else { return Held::default() };
    (key.deadline, hash.iter(now).map(|(field, value)| (field.to_vec(), value.to_vec())).collect())
}

/// Compares the keys of a store with those that should be there, in memory and as of now, or as they were known.
pub fn check(store: &Store, expected: &Keys, now: i64, known_at: Option<&KnownAt>) -> Result<(), Trouble> {
    let keys = store.keyspace()?;
    let wrong = |found: Keys, how: &str| {
        Err(Trouble::Wrong(format!("keys at {now}{how} are {found:?}, expected {expected:?}")))
    };
    if known_at.is_none() {
        let read = keys.read();
        let found: Keys = read.iter(0, now).map(|key| (key.name.to_vec(), held(key, now))).collect();
        if found != *expected {
            return wrong(found, "");
        }
    }
    let mut found = Keys::new();
    for name in (0..NAMES).map(name) {
        if let Some(key) = keys.key_at((0, &name), Timestamp(now), known_at)? {
            found.insert(name, held(&key, now));
        }
    }
    if found == *expected { Ok(()) } else { wrong(found, &format!(" as of then, known at {known_at:?}")) }
}
