mod walk;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::disk::Random;
use crate::format::keyspace::{layout, read_change};
use crate::format::row::RowRef;

/// A keyspace without any art: what the operations say, done to maps.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model(BTreeMap<(u8, Vec<u8>), (Held, Option<i64>)>);

#[derive(Clone, Debug, PartialEq)]
enum Held {
    String(Vec<u8>),
    /// Values and deadlines.
    Hash(BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>),
}

impl Model {
    /// What is there at `now`.
    fn at(&self, now: i64) -> Model {
        let is_past = |deadline: &Option<i64>| deadline.is_some_and(|deadline| deadline <= now);
        let keys = self.0.iter().filter_map(|(name, (held, deadline))| {
            let held = match held {
                Held::Hash(fields) => {
                    Held::Hash(fields.clone().into_iter().filter(|(_, (_, deadline))| !is_past(deadline)).collect())
                }
                string => string.clone(),
            };
            let is_empty = matches!(&held, Held::Hash(fields) if fields.is_empty());
            (!is_past(deadline) && !is_empty).then(|| (name.clone(), (held, *deadline)))
        });
        Model(keys.collect())
    }
}

impl Model {
    fn forget_expired(&mut self, key: &(u8, Vec<u8>), now: i64) {
        match self.at(now).0.remove(key) {
            Some(held) => drop(self.0.insert(key.clone(), held)),
            None => drop(self.0.remove(key)),
        }
    }
}

fn at(keyspace: &Keyspace, now: i64) -> Model {
    let mut model = Model::default();
    for database in 0..DATABASES as u8 {
        for key in keyspace.iter(database, now) {
            let held = match &key.value {
                KeyValue::String(string) => Held::String(string.bytes.clone()),
                KeyValue::Hash(hash) => {
                    assert_eq!(hash.iter(now).count(), hash.len(now));
                    let fields = hash.iter(now);
                    Held::Hash(fields.map(|(f, v)| (f.to_vec(), (v.to_vec(), hash.deadline(f)))).collect())
                }
            };
            assert!(model.0.insert((database, key.name.to_vec()), (held, key.deadline)).is_none());
            assert!(keyspace.get((database, &key.name), now).is_some());
        }
    }
    model
}

/// One random operation on both.
fn step(random: &mut Random, keyspace: &mut Keyspace, model: &mut Model, now: i64) {
    let name = |random: &mut Random| (random.below(2) as u8, random.below(5).to_string().into_bytes());
    let (key, other, field) = (name(random), name(random), random.below(6).to_string().into_bytes());
    let value = vec![b'v'; random.below(30) as usize];
    let deadline = (random.below(2) == 0).then(|| now + 1 + random.below(20) as i64);
    // Before anything is written to it, as the caller sees to.
    keyspace.forget_expired((key.0, &key.1), now);
    model.forget_expired(&key, now);
    let at = (key.0, &*key.1);
    let is_string = matches!(model.0.get(&key), Some((Held::String(_), _)));
    match random.below(9) {
        0 => {
            keyspace.set_string(at, value.clone(), deadline);
            model.0.insert(key, (Held::String(value), deadline));
        }
        1 if is_string => {
            let offset = random.below(40) as usize;
            assert!(keyspace.write_string(at, offset, &value));
            let Some((Held::String(bytes), _)) = model.0.get_mut(&key) else { unreachable!() };
            bytes.resize(bytes.len().max(offset + value.len()), 0);
            bytes[offset..offset + value.len()].copy_from_slice(&value);
        }
        3 if !is_string => {
            // Some of them twice.
            let pairs: Vec<(Vec<u8>, Vec<u8>)> = (0..1 + random.below(6))
                .map(|_| (random.below(6).to_string().into(), vec![b'w'; random.below(30) as usize]))
                .collect();
            let added = keyspace.set_fields(at, pairs.iter().map(|(field, value)| (&**field, &**value)));
            let held = &mut model.0.entry(key).or_insert((Held::Hash(BTreeMap::new()), None)).0;
            let Held::Hash(fields) = held else { unreachable!() };
            let is_new = |(field, value)| fields.insert(field, (value, None)).is_none();
            assert_eq!(added, pairs.into_iter().map(is_new).filter(|is_new| *is_new).count());
        }
        2 if !is_string => {
            let added = keyspace.set_field(at, &field, &value);
            let held = &mut model.0.entry(key).or_insert((Held::Hash(BTreeMap::new()), None)).0;
            let Held::Hash(fields) = held else { unreachable!() };
            assert_eq!(added, fields.insert(field, (value, None)).is_none());
        }
        4 if !is_string => {
            let removed = keyspace.remove_field(at, &field);
            let Some((Held::Hash(fields), _)) = model.0.get_mut(&key) else { return assert!(!removed) };
            assert_eq!(removed, fields.remove(&field).is_some());
            if fields.is_empty() {
                model.0.remove(&key);
            }
        }
        5 if !is_string => {
            if let Some((Held::Hash(fields), _)) = model.0.get_mut(&key)
                && let Some(known) = fields.get_mut(&field)
            {
                keyspace.set_field_deadline(at, &field, deadline);
                known.1 = deadline;
            }
        }
        6 => {
            keyspace.set_deadline(at, deadline);
            if let Some(known) = model.0.get_mut(&key) {
                known.1 = deadline;
            }
        }
        7 if key != other => {
            let known = model.0.get(&key).cloned();
            let is_copy = random.below(2) == 0;
            let to = (other.0, &*other.1);
            let done = if is_copy { keyspace.copy(at, to) } else { keyspace.rename(at, to) };
            assert_eq!(done, known.is_some());
            if let Some(known) = known {
                model.0.insert(other, known);
                if !is_copy {
                    model.0.remove(&key);
                }
            }
        }
        8 if random.below(10) == 0 => {
            keyspace.truncate(key.0);
            model.0.retain(|(database, _), _| *database != key.0);
        }
        _ => {
            assert_eq!(keyspace.remove(at), model.0.remove(&key).is_some());
        }
    }
}

impl Keyspace {
    /// How many deadlines are kept in order.
    fn queued(&self) -> usize {
        self.databases.iter().map(|database| database.deadlines.len()).sum()
    }
}

/// Does what records say; how many there were.
fn replay(records: &[u8], keyspace: &mut Keyspace) -> u32 {
    let (layout, mut rest, mut count) = (layout(), records, 0);
    while !rest.is_empty() {
        let (row, after) = RowRef::parse(rest, &layout).unwrap();
        let (key, change) = read_change(&row, &layout).unwrap();
        keyspace.replay(key, change, row.head.event_ts);
        rest = after;
        count += 1;
    }
    count
}

fn check_deadlines(keyspace: &Keyspace) {
    let mut next = None;
    for database in &keyspace.databases {
        let deadlines = database.keys.iter().filter_map(|key| Some((key.earliest_deadline()?, key.name.clone())));
        let deadlines: std::collections::BTreeSet<_> = deadlines.collect();
        assert_eq!(database.deadlines.len(), deadlines.len());
        let first = deadlines.first().map(|(deadline, name)| (*deadline, &**name));
        assert_eq!(database.deadlines.first(), first, "one would never be swept, or is asked for in vain");
        next = next.into_iter().chain(first.map(|(deadline, _)| deadline)).min();
    }
    assert_eq!(keyspace.next_deadline(), next);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn groups_that_are_kept_stay_and_groups_that_are_undone_leave_nothing(seed: u64, fields_max in 0..4_usize) {
        let mut random = Random::new(seed);
        let mut keyspace = Keyspace::new(seed);
        keyspace.packed_limits = PackedLimits { fields_max, bytes_max: 20 };
        // Another, out of what the log would have.
        let mut replayed = Keyspace::new(seed ^ 1);
        let (mut model, mut now) = (Model::default(), 0);
        for ticket in 1..40 {
            now += random.below(3) as i64;
            if random.below(3) == 0 {
                while let Some(expired) = keyspace.remove_expired(now) {
                    prop_assert!(!matches!(expired.what, Gone::Fields(fields) if fields.is_empty()));
                }
            }
            keyspace.begin(ticket, now);
            let before = model.clone();
            for _ in 0..random.below(12) {
                step(&mut random, &mut keyspace, &mut model, now);
            }
            if random.below(3) == 0 {
                keyspace.undo();
                model = before;
            } else {
                let (records, count) = keyspace.take_records().unwrap();
                prop_assert_eq!(replay(&records, &mut replayed), count);
                keyspace.keep();
            }
            for later in [now, now + 5, now + 100] {
                prop_assert_eq!(at(&keyspace, later), model.at(later));
                prop_assert_eq!(at(&replayed, later), model.at(later));
            }
            check_deadlines(&keyspace);
        }
    }
}

#[test]
fn a_key_is_queued_once_however_often_its_deadline_is_set() {
    // Each setting was queued, and past some thousands of equal ones each next one looked at all of them.
    let mut keyspace = Keyspace::new(1);
    keyspace.set_string((0, b"k"), b"v".to_vec(), None);
    keyspace.set_field((0, b"h"), b"stays", b"v");
    for i in 0..10_000_u32 {
        keyspace.set_deadline((0, b"k"), Some(4_000));
        keyspace.set_field((0, b"h"), &i.to_le_bytes(), b"v");
        keyspace.set_field_deadline((0, b"h"), &i.to_le_bytes(), Some(3_000));
    }
    assert_eq!(keyspace.queued(), 2);
    for i in 0..10_000 {
        keyspace.set_deadline((0, b"k"), Some(1_000_000 + i));
    }
    assert_eq!(keyspace.queued(), 2);
    assert!(matches!(keyspace.remove_expired(3_000).unwrap().what, Gone::Fields(fields) if fields.len() == 10_000));
    assert_eq!(keyspace.remove_expired(1_000_000 + 9_998), None);
    let gone = keyspace.remove_expired(1_000_000 + 9_999).unwrap();
    assert_eq!((&*gone.name, gone.what), (&b"k"[..], Gone::Key));
    assert_eq!((keyspace.queued(), keyspace.len(0)), (0, 1));
}

#[test]
fn a_key_whose_first_field_is_removed_is_swept_with_the_others() {
    // Of many fields, all but the first to go were forgotten; with that one removed nobody came for the others.
    let mut keyspace = Keyspace::new(1);
    let key = (0, &b"h"[..]);
    for i in 0..1_027_u32 {
        keyspace.set_field(key, &i.to_le_bytes(), b"v");
        keyspace.set_field_deadline(key, &i.to_le_bytes(), Some(1_000 + i64::from(i)));
    }
    keyspace.remove_field(key, &0_u32.to_le_bytes());
    assert_eq!(keyspace.next_deadline(), Some(1_001));
    keyspace.set_field_deadline(key, &1_u32.to_le_bytes(), None);
    keyspace.set_field_deadline(key, &1_u32.to_le_bytes(), Some(9_000));
    assert_eq!(keyspace.next_deadline(), Some(1_002));
    assert!(matches!(keyspace.remove_expired(8_999).unwrap().what, Gone::Fields(fields) if fields.len() == 1_025));
    assert_eq!(keyspace.remove_expired(9_000).unwrap().what, Gone::LastFields);
    assert!(keyspace.is_empty());
}

#[test]
fn keys_that_come_back_when_a_flush_is_undone_are_swept() {
    // While they were away, the deadlines of others were looked through, and theirs forgotten.
    let mut keyspace = Keyspace::new(1);
    keyspace.begin(1, 0);
    keyspace.set_string((0, b"k"), b"v".to_vec(), Some(10_000));
    keyspace.keep();
    keyspace.begin(2, 0);
    keyspace.truncate(0);
    keyspace.set_string((0, b"other"), b"v".to_vec(), None);
    for i in 0..2_000 {
        keyspace.set_deadline((0, b"other"), Some(20_000 + i));
    }
    keyspace.undo();
    assert_eq!(keyspace.next_deadline(), Some(10_000));
    assert_eq!(&*keyspace.remove_expired(10_000).unwrap().name, b"k");
    assert!(keyspace.is_empty() && keyspace.queued() == 0);
}

#[test]
fn a_key_goes_with_the_last_of_its_fields() {
    let mut keyspace = Keyspace::new(1);
    let key = (3, &b"h"[..]);
    for (field, deadline) in [(b"a", 10), (b"b", 20)] {
        assert!(keyspace.set_field(key, field, b"v"));
        keyspace.set_field_deadline(key, field, Some(deadline));
    }
    let fields = |now| match keyspace.get(key, now).map(|key| &key.value) {
        Some(KeyValue::Hash(hash)) => hash.iter(now).map(|(name, _)| name.to_vec()).collect(),
        _ => Vec::new(),
    };
    assert_eq!(fields(9), [b"a", b"b"]);
    assert_eq!(fields(10), [b"b"]);
    assert!(fields(20).is_empty() && keyspace.get(key, 20).is_none());
    let first = keyspace.remove_expired(10).unwrap();
    assert_eq!(first.what, Gone::Fields(vec![b"a"[..].into()]));
    assert_eq!(keyspace.remove_expired(19), None);
    assert_eq!(keyspace.remove_expired(20).unwrap().what, Gone::LastFields);
    assert_eq!(keyspace.len_with_deadlines(3), 0);
}

#[test]
fn a_group_knows_which_keys_it_changed_since_a_mark() {
    let mut keyspace = Keyspace::new(1);
    keyspace.begin(1, 0);
    keyspace.set_string((2, b"there"), b"1".to_vec(), None);
    keyspace.set_string((2, b"short"), b"1".to_vec(), Some(10));
    keyspace.begin(2, 10);
    keyspace.set_string((0, b"before"), b"1".to_vec(), None);
    let mark = keyspace.mark();
    keyspace.set_field((0, b"h"), b"f", b"1");
    keyspace.rename((0, b"before"), (1, b"after"));
    keyspace.forget_expired((2, b"short"), 10);
    keyspace.truncate(2);
    let mut changed = Vec::new();
    for change in keyspace.changed_since(mark) {
        match change {
            Changed::Key((database, name)) => changed.push((database, name.to_vec())),
            Changed::Database(database, emptied) => {
                assert!(database == 2 && emptied.had(b"there", 10) && !emptied.had(b"short", 10));
            }
        }
    }
    assert_eq!(changed, [(0, b"h".to_vec()), (1, b"after".to_vec()), (0, b"before".to_vec())]);
}

#[test]
fn a_change_shows_its_ticket_and_a_removal_the_database_s() {
    let mut keyspace = Keyspace::new(1);
    let changed = |keyspace: &Keyspace, name: &[u8]| keyspace.get((0, name), 0).map(|key| key.changed);
    keyspace.begin(5, 0);
    keyspace.set_string((0, b"a"), b"1".to_vec(), None);
    keyspace.set_field((0, b"h"), b"f", b"1");
    keyspace.begin(6, 0);
    keyspace.set_field((0, b"h"), b"f", b"2");
    assert_eq!((changed(&keyspace, b"a"), changed(&keyspace, b"h")), (Some(5), Some(6)));
    keyspace.begin(7, 0);
    keyspace.rename((0, b"a"), (0, b"b"));
    assert_eq!((changed(&keyspace, b"b"), keyspace.removed(0), keyspace.removed(1)), (Some(7), 7, 0));
    keyspace.begin(8, 0);
    keyspace.truncate(1);
    assert_eq!(keyspace.removed(1), 8);
}

#[test]
fn fields_that_are_set_one_after_the_other_share_a_record() {
    let mut keyspace = Keyspace::new(1);
    keyspace.begin(1, 5);
    for field in 0..10_u8 {
        keyspace.set_field((0, b"h"), &[field], b"v");
    }
    keyspace.set_field((0, b"other"), b"f", b"v");
    keyspace.set_field((1, b"other"), b"f", b"v");
    assert_eq!(keyspace.take_records().unwrap().1, 3);
}

#[test]
fn values_longer_than_a_record_may_hold_come_back_whole() {
    let value: Vec<u8> = (0..40_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut keyspace = Keyspace::new(1);
    keyspace.begin(1, 5);
    keyspace.set_string((0, b"s"), value.clone(), Some(100));
    keyspace.set_field((0, b"h"), b"f", &value);
    keyspace.set_string((0, b"part"), b"x".to_vec(), None);
    keyspace.write_string((0, b"part"), 3, &value);
    let (records, count) = keyspace.take_records().unwrap();
    assert_eq!(count, 3 + 1 + 3 + 1 + 3);
    let mut replayed = Keyspace::new(2);
    replay(&records, &mut replayed);
    assert!(at(&replayed, 50) == at(&keyspace, 50));
    assert_eq!(at(&replayed, 50).0.len(), 3);
}
