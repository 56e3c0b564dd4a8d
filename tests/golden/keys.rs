//! The keys of the store that has some, and the rows that were written field by field beside them.

use std::collections::BTreeMap;
use std::path::Path;

use asof::keyspace::{Key, KeyValue};
use asof::time::Timestamp;
use asof::value::Value;
use asof::{EntityRow, EntityView, FeatureValue, GetOptions, KeyspaceHandle, KnownAt, Status, Store};

use super::{at, get, open};

/// When the last of it was written, in seconds.
pub const WRITTEN: i64 = 4_000;
/// When the first half was.
const BEFORE: i64 = 3_000;
/// The sensor whose row was written field by field.
const SENSOR: i64 = 5;

fn us(seconds: i64) -> i64 {
    at(seconds).micros()
}

fn view(keys: &KeyspaceHandle, name: &str) -> EntityView {
    let views = keys.entity_views().unwrap().views;
    views.into_iter().find(|view| view.definition().reference().to_string() == name).unwrap()
}

/// A row as of an instant that says so much more.
fn put(store: &Store, view_name: &str, seconds: i64, change: impl FnOnce(&EntityView, &mut EntityRow)) {
    let keys = store.keyspace().unwrap();
    let view = view(&keys, view_name);
    let key = SENSOR.to_le_bytes();
    let written = keys.transact(|_, rows| {
        let features = view.definition().features.len();
        let mut row = rows.row(&view, &key, us(seconds))?.unwrap_or_else(|| EntityRow::empty(features));
        row.event_ts = us(seconds);
        change(&view, &mut row);
        rows.put(&view, &key, &row, None)
    });
    written.unwrap().unwrap();
}

fn set(view: &EntityView, row: &mut EntityRow, feature: &str, value: Value, deadline: Option<i64>) {
    let field = &mut row.fields[view.definition().feature_index(feature).unwrap()];
    (field.value, field.deadline) = (Some(value), deadline.map(us));
}

/// A long value, which lies apart from the fields of fixed width.
fn long() -> Vec<u8> {
    b"a value longer than twelve bytes".to_vec()
}

/// Goes on with the store that has the views.
pub fn write(path: &Path) {
    let store = open(path, BEFORE);
    let keys = store.keyspace().unwrap();
    keys.change(|keys, _| {
        keys.set_string((0, b"short"), b"\0\xff".to_vec(), None);
        keys.set_string((0, b"long"), long(), Some(us(10_000)));
        keys.set_field((0, b"hash"), b"", b"");
        keys.set_field((0, b"hash"), b"f", &long());
        keys.set_field((0, b"hash"), b"gone", b"1");
        keys.set_field_deadline((0, b"hash"), b"f", Some(us(20_000)));
        keys.set_string((3, b"flushed"), Vec::new(), None);
        keys.set_string((15, b""), b"the last database, and no name".to_vec(), None);
    })
    .unwrap();
    put(&store, "readings@1", 2_990, |view, row| {
        set(view, row, "count", 7_i64.into(), Some(5_000));
        set(view, row, "name", Value::String("partly".to_owned()), None);
        row.deadline = Some(us(30_000));
    });
    store.seal().unwrap();
    store.snapshot("half").unwrap();
    store.close().unwrap();
    drop((keys, store));
    let store = open(path, WRITTEN);
    let keys = store.keyspace().unwrap();
    keys.change(|keys, _| {
        keys.write_string((0, b"short"), 4, b"x");
        keys.remove_field((0, b"hash"), b"gone");
        keys.copy((0, b"hash"), (1, b"copy"));
        keys.rename((0, b"long"), (0, b"renamed"));
        keys.set_deadline((0, b"renamed"), None);
        keys.truncate(3);
        keys.set_string((3, b"deleted"), Vec::new(), None);
        keys.remove((3, b"deleted"));
    })
    .unwrap();
    // Completed from the row before; and one of keys and rows together, in the log.
    put(&store, "readings@1", 3_990, |view, row| set(view, row, "score", Value::Null, None));
    let labels = view(&keys, "readings@2");
    let together = keys.transact(|keys, rows| {
        keys.set_string((0, b"together"), b"1".to_vec(), None);
        let mut row = EntityRow { event_ts: rows.now, ..EntityRow::empty(1) };
        set(&labels, &mut row, "label", Value::String("together".to_owned()), None);
        rows.put(&labels, &SENSOR.to_le_bytes(), &row, None)
    });
    together.unwrap().unwrap();
    store.close().unwrap();
}

type Held = (Option<i64>, BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>);

/// A key's deadline, and its fields with theirs; a string is in the one that has no name.
fn held(key: &Key, now: Timestamp) -> Held {
    let fields = match &key.value {
        KeyValue::String(string) => BTreeMap::from([(Vec::new(), (string.bytes.clone(), None))]),
        KeyValue::Hash(hash) => {
            let fields = hash.iter(now.micros());
            fields.map(|(name, value)| ([b"f:", name].concat(), (value.to_vec(), hash.deadline(name)))).collect()
        }
    };
    (key.deadline, fields)
}

fn string(bytes: &[u8], deadline: Option<i64>) -> Held {
    (deadline.map(us), BTreeMap::from([(Vec::new(), (bytes.to_vec(), None))]))
}

fn hash(fields: &[(&[u8], &[u8], Option<i64>)]) -> Held {
    let of = |(name, value, deadline): &(&[u8], &[u8], Option<i64>)| {
        ([b"f:", *name].concat(), (value.to_vec(), deadline.map(us)))
    };
    (None, fields.iter().map(of).collect())
}

/// What there is now, and what there was when half of it was written.
pub fn check(store: &Store) {
    let keys = store.keyspace().unwrap();
    let now = keys.now();
    let long = long();
    let fields: [(&[u8], &[u8], Option<i64>); 2] = [(b"", b"", None), (b"f", &long, Some(20_000))];
    let gone: (&[u8], &[u8], Option<i64>) = (b"gone", b"1", None);
    let expected: [(u8, &[u8], Held); 6] = [
        (0, b"short", string(b"\0\xff\0\0x", None)),
        (0, b"hash", hash(&fields)),
        (0, b"renamed", string(&long, None)),
        (0, b"together", string(b"1", None)),
        (1, b"copy", hash(&fields)),
        (15, b"", string(b"the last database, and no name", None)),
    ];
    let read = keys.read();
    let found: usize = (0..16).map(|database| read.iter(database, now.micros()).count()).sum();
    assert_eq!(found, expected.len() + usize::from(read.get((0, b"later"), now.micros()).is_some()));
    for (database, name, expected) in expected {
        let key = (database, name);
        assert_eq!(held(read.get(key, now.micros()).unwrap(), now), expected, "{key:?}");
        assert_eq!(held(&keys.key_at(key, now, None).unwrap().unwrap(), now), expected, "{key:?} as of now");
    }
    let half = KnownAt::Snapshot("half".to_owned());
    let before: [(u8, &[u8], Option<Held>); 5] = [
        (0, b"short", Some(string(b"\0\xff", None))),
        (0, b"hash", Some(hash(&[fields[0], fields[1], gone]))),
        (0, b"long", Some(string(&long, Some(10_000)))),
        (3, b"flushed", Some(string(b"", None))),
        (0, b"renamed", None),
    ];
    for (database, name, expected) in before {
        for (at, known_at) in [(at(BEFORE), None), (now, Some(&half))] {
            let found = keys.key_at((database, name), at, known_at).unwrap();
            assert_eq!(found.map(|key| held(&key, at)), expected, "{database} {name:?} at {at}, {known_at:?}");
        }
    }
    assert!(keys.key_at((0, b"short"), at(BEFORE - 1), None).unwrap().is_none());
    check_rows(store);
}

fn check_rows(store: &Store) {
    let features = ["readings@1:count", "readings@1:name", "readings@1:score", "readings@1:flag"];
    let answers = |seconds: i64, known_at: Option<KnownAt>| -> Vec<(Status, Value)> {
        let options = GetOptions { at: Some(at(seconds)), known_at, ..GetOptions::default() };
        let found = get(store, &features, &[("id", SENSOR.into())], &options);
        found.into_iter().map(|FeatureValue { status, value, .. }| (status, value)).collect()
    };
    let partly = || (Status::Present, Value::String("partly".to_owned()));
    let count = (Status::Present, Value::Int64(7));
    let absent = || (Status::NotFound, Value::Null);
    assert_eq!(answers(2_989, None), vec![absent(); 4]);
    assert_eq!(answers(3_989, None), [count.clone(), partly(), absent(), absent()]);
    let whole = [count.clone(), partly(), (Status::NullValue, Value::Null), absent()];
    assert_eq!(answers(3_990, None), whole);
    // Its own deadline ends a field; the view's age the others.
    assert_eq!(answers(4_990, None), whole);
    let old = (Status::OutsideMaxAge, Value::Null);
    assert_eq!(answers(5_000, None), [absent(), old.clone(), old, absent()]);
    assert_eq!(answers(30_000, None), vec![absent(); 4]);
    assert_eq!(answers(3_990, Some(KnownAt::Snapshot("half".to_owned())))[1], partly());
    let label = get(store, &["readings@2:label"], &[("id", SENSOR.into())], &GetOptions::default());
    assert_eq!(label[0].value, Value::String("together".to_owned()));
}

/// It takes keys still.
pub fn write_on(store: &Store) {
    store.keyspace().unwrap().change(|keys, _| keys.set_string((0, b"later"), Vec::new(), None)).unwrap();
}
