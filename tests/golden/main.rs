//! Stores of format 1 as an earlier release left them: they open, they answer, and nobody rewrites them. `tests/golden/format1`
//! has feature views alone; `tests/golden/format1-keys` has keys of the Redis protocol beside the same views, and rows written field by
//! field, and asks for a release that knows them; in `tests/golden/format1-truncates` these views were truncated.
//!
//! They are written by `cargo test --test golden -- --ignored`, which writes those that are not there: anew for changes of the
//! format before its first release, and never after. A later format gets a folder of its own, and these stay.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

mod keys;
mod truncates;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use asof::definition::{Definitions, FeatureService, FeatureView, Source};
use asof::disk::RealDisk;
use asof::identity::{FEATURE_KEYSPACE, FEATURE_TRUNCATES, Identity};
use asof::options::Sizes;
use asof::time::{ManualClock, Timestamp};
use asof::value::{DataType, Value};
use asof::{
    ApplyOptions, BulkOptions, DeleteOptions, ErrorKind, FeatureValue, Features, GetOptions, KnownAt, Row, Status,
    Store,
};

const SECOND: i64 = 1_000_000;
/// 2026-01-01T00:00:00Z.
const BEGIN: i64 = 1_767_225_600 * SECOND;

/// So many seconds into the store's life.
fn at(seconds: i64) -> Timestamp {
    Timestamp(BEGIN + seconds * SECOND)
}

/// The store without keys, the one with them, and the one whose views were truncated.
const STORES: [&str; 3] = ["format1", "format1-keys", "format1-truncates"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Every type there is, by the name of its feature.
const TYPES: [(&str, &str); 14] = [
    ("flag", "bool"),
    ("small", "int32"),
    ("count", "int64"),
    ("ratio", "float32"),
    ("score", "float64"),
    ("name", "string"),
    ("raw", "bytes"),
    ("seen", "timestamp"),
    ("day", "date"),
    ("price", "decimal(10,2)"),
    ("uid", "uuid"),
    ("doc", "json"),
    ("tags", "list<string>"),
    ("embedding", "vector<3>"),
];

/// What row `number` holds, in the order of [`TYPES`].
fn values(number: i32) -> Vec<Value> {
    let byte = u8::try_from(number).unwrap();
    let long = i64::from(number);
    let float = f32::from(i16::try_from(number).unwrap());
    let text = "a name too long to lie in its slot ".repeat(usize::from(byte % 3));
    vec![
        Value::Bool(number % 2 == 0),
        Value::Int32(-number),
        Value::Int64(long << 40),
        Value::Float32(float / 4.0),
        Value::Float64(f64::from(number) * 1e100),
        Value::String(format!("{text}{number}")),
        Value::Bytes(vec![byte, 0, 255]),
        Value::Timestamp(BEGIN + long),
        Value::Date(20_000 + number),
        Value::Decimal(i128::from(number) * 101),
        Value::Uuid([byte; 16]),
        Value::Json(format!("{{\"n\":{number}}}")),
        Value::List(vec![Value::String(format!("tag {number}")), Value::Null]),
        Value::Vector(vec![float, -float, 0.5]),
    ]
}

fn reading(id: i64, seconds: i64, number: i32) -> Row {
    let named = TYPES.iter().zip(values(number));
    named.fold(Row::new().at(at(seconds)).set("id", id), |row, ((name, _), value)| row.set(*name, value))
}

fn definitions(is_second: bool) -> Definitions {
    let mut readings = FeatureView::new("readings").entity("sensor").ttl(Duration::from_secs(1_000));
    for (name, dtype) in TYPES {
        readings = readings.feature(name, dtype.parse().unwrap());
    }
    let visits = FeatureView::new("visits")
        .event()
        .entity("place")
        .source(Source::default().created_timestamp("created"))
        .feature("guests", DataType::Float64);
    let definitions = Definitions::new("golden")
        .entity("sensor", [("id", DataType::Int64)])
        .entity("place", [("country", DataType::String), ("city", DataType::String)])
        .view(visits)
        .view(readings);
    if !is_second {
        return definitions;
    }
    let second = FeatureView::new("readings").version(2).entity("sensor").feature("label", DataType::String);
    definitions.view(second).service("both", FeatureService::new(["readings@1:count", "readings@2:label"]).unwrap())
}

fn open(path: &Path, seconds: i64) -> Store {
    let sizes = Sizes { segment_bytes: 8 << 10, ..Sizes::default() };
    let clock = Arc::new(ManualClock::new(at(seconds)));
    Store::builder().sizes(sizes).clock(clock).background(false).open(path).unwrap()
}

fn visits(rows: &[(&str, i64, Option<i64>, Option<f64>)]) -> RecordBatch {
    let seconds = |seconds: i64| at(seconds).micros();
    let created = rows.iter().map(|row| row.2.map(seconds));
    let columns: [(&str, ArrayRef); 5] = [
        ("country", Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "NO")))),
        ("city", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)))),
        (
            "event_timestamp",
            Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| seconds(row.1)))),
        ),
        ("created", Arc::new(created.collect::<TimestampMicrosecondArray>())),
        ("guests", Arc::new(rows.iter().map(|row| row.3).collect::<Float64Array>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

/// The store's life, each step at an hour of its own.
fn write(path: &Path) {
    let store = open(path, 1_000);
    store.apply(&definitions(false), ApplyOptions::default()).unwrap();
    store.write_rows("readings", [reading(1, 100, 1), reading(2, 200, 2), reading(1, 300, 3)]).unwrap();
    let mut bulk = store.bulk_writer("visits", BulkOptions::default()).unwrap();
    bulk.write(&visits(&[("Oslo", 10, Some(11), Some(4.0)), ("Bergen", 10, None, None)])).unwrap();
    bulk.write(&visits(&[("Oslo", 10, Some(12), Some(5.0)), ("Oslo", 500, None, Some(6.0))])).unwrap();
    bulk.commit().unwrap();
    store.seal().unwrap();
    store.snapshot("early").unwrap();
    store.close().unwrap();
    drop(store);
    let store = open(path, 2_000);
    // Late, and a correction; these lie in a second run.
    store.write_rows("readings", [reading(1, 250, 4), reading(2, 200, 5)]).unwrap();
    store
        .delete("readings", &[("id", 2_i64.into())], &DeleteOptions { at: Some(at(1_500)), ..Default::default() })
        .unwrap();
    store.seal().unwrap();
    store.apply(&definitions(true), ApplyOptions::default()).unwrap();
    store.write_rows("readings@2", [Row::new().at(at(1_900)).set("id", 1_i64).set("label", "many")]).unwrap();
    // These stay in the log.
    store.write_rows("readings@1", [reading(3, 1_950, 6), Row::new().at(at(1_960)).set("id", 4_i64)]).unwrap_err();
    store.write_rows("readings@1", [reading(3, 1_950, 6)]).unwrap();
    store.close().unwrap();
}

fn get(store: &Store, features: &[&str], entity: &[(&str, Value)], options: &GetOptions) -> Vec<FeatureValue> {
    store.get(&Features::list(features).unwrap(), entity, options).unwrap()
}

/// The number of the reading that answers for a sensor; its status where there is none.
fn answers(store: &Store, id: i64, seconds: i64, known_at: Option<KnownAt>) -> Result<i32, Status> {
    let features: Vec<String> = TYPES.iter().map(|(name, _)| format!("readings@1:{name}")).collect();
    let features: Vec<&str> = features.iter().map(String::as_str).collect();
    let options = GetOptions { at: Some(at(seconds)), known_at, ..GetOptions::default() };
    let found = get(store, &features, &[("id", id.into())], &options);
    if found[0].status != Status::Present {
        assert!(found.iter().all(|value| value.status == found[0].status));
        return Err(found[0].status);
    }
    let Value::Int32(number) = found[1].value else { panic!("{:?}", found[1]) };
    let found: Vec<Value> = found.into_iter().map(|value| value.value).collect();
    assert_eq!(found, values(-number), "sensor {id} at {seconds}");
    Ok(-number)
}

fn guests(store: &Store, city: &str, seconds: i64) -> (Status, Value) {
    let options = GetOptions { at: Some(at(seconds)), ..GetOptions::default() };
    let entity = [("country", "NO".into()), ("city", city.into())];
    let found = get(store, &["visits:guests"], &entity, &options).swap_remove(0);
    (found.status, found.value)
}

/// Every file of a folder and those below it, by path.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What STORE asks of a release that opens it.
fn required_features(path: &Path) -> u64 {
    Identity::read(&RealDisk, path).unwrap().required_features
}

#[test]
fn a_store_of_format_1_opens_and_answers_and_is_never_rewritten() {
    for name in STORES {
        let (has_keys, is_truncated) = (name == STORES[1], name == STORES[2]);
        let before = files(&golden(name));
        let folder = Folder(std::env::temp_dir().join(format!("asof-golden-{}-{name}", std::process::id())));
        let path = folder.0.join("store");
        for (name, bytes) in &before {
            let to = path.join(name);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(to, bytes).unwrap();
        }
        let (required, seconds) = match name {
            _ if has_keys => (FEATURE_KEYSPACE, keys::WRITTEN),
            _ if is_truncated => (FEATURE_TRUNCATES, truncates::WRITTEN),
            _ => (0, 2_000),
        };
        assert_eq!(required_features(&path), required, "{name}");
        // What only reads comes first, and leaves every byte as it was.
        let reader = Store::builder().clock(Arc::new(ManualClock::new(at(seconds)))).open_read_only(&path).unwrap();
        check(&reader, is_truncated);
        if is_truncated {
            truncates::check(&reader, false);
        }
        drop(reader);
        assert!(files(&path) == before, "a reader changed the store {name}");
        let store = open(&path, seconds);
        let check = |store: &Store, all_sealed: bool| {
            check(store, is_truncated);
            if has_keys {
                keys::check(store);
            }
            if is_truncated {
                truncates::check(store, all_sealed);
            }
        };
        check(&store, false);
        let written = store.write_rows("readings@1", [reading(9, 1_999, 9)]).unwrap();
        assert!(written.first_seq > 10, "{written:?}");
        if has_keys {
            keys::write_on(&store);
        }
        store.compact().unwrap();
        check(&store, true);
        if is_truncated {
            truncates::write_on(&store);
        }
        store.close().unwrap();
        assert!(files(&golden(name)) == before, "the golden store {name} was rewritten");
    }
}

fn check(store: &Store, is_truncated: bool) {
    // Out of runs, with a late row and a correction; past its age; deleted.
    assert_eq!(answers(store, 1, 249, None), Ok(1));
    assert_eq!(answers(store, 1, 250, None), Ok(4));
    assert_eq!(answers(store, 1, 300, None), Ok(3));
    assert_eq!(answers(store, 1, 1_301, None), Err(Status::OutsideMaxAge));
    assert_eq!(answers(store, 2, 199, None), Err(Status::NotFound));
    assert_eq!(answers(store, 2, 200, None), Ok(5));
    assert_eq!(answers(store, 2, 1_500, None), Err(Status::NotFound));
    // Out of the log.
    assert_eq!(answers(store, 3, 1_950, None), Ok(6));
    if !is_truncated {
        check_now(store);
    }
    // As it was known early.
    let early = || Some(KnownAt::Snapshot("early".to_owned()));
    assert_eq!(answers(store, 1, 250, early()), Ok(1));
    assert_eq!(answers(store, 2, 250, early()), Ok(2));
    assert_eq!(answers(store, 3, 1_950, early()), Err(Status::NotFound));
    assert_eq!(answers(store, 2, 250, Some(KnownAt::Time(at(1_000)))), Ok(2));
    // Created decides between equal event times; null is no absence.
    assert_eq!(guests(store, "Oslo", 499), (Status::Present, Value::Float64(5.0)));
    assert_eq!(guests(store, "Oslo", 500), (Status::Present, Value::Float64(6.0)));
    assert_eq!(guests(store, "Bergen", 10), (Status::NullValue, Value::Null));
    // Two versions, and the service over both, which was not known early.
    let both = Features::service("both");
    let now = store.get(&both, &[("id", 1_i64.into())], &GetOptions::default()).unwrap();
    assert_eq!(now[0].status, if is_truncated { Status::NotFound } else { Status::OutsideMaxAge });
    assert_eq!(now[1].value, Value::String("many".to_owned()));
    let options = GetOptions { known_at: early(), ..GetOptions::default() };
    assert_eq!(store.get(&both, &[("id", 1_i64.into())], &options).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(store.plan(&definitions(true), ApplyOptions { prune: true }).unwrap().is_empty());
}

/// A sensor's reading comes out of the latest table.
fn check_is_in_table(store: &Store, id: i64, seconds: i64, number: i32) {
    let features: Vec<String> = TYPES.iter().map(|(name, _)| format!("readings@1:{name}")).collect();
    let mut online = store.online(&Features::list(features).unwrap()).unwrap();
    let key = online.key(&[("id", Value::Int64(id))]).unwrap();
    let row = online.get(&key, at(seconds)).unwrap();
    let found: Vec<Value> = (0..TYPES.len()).map(|field| row.value(field)).collect();
    assert_eq!(found, values(number), "sensor {id}");
    assert!((0..TYPES.len()).all(|field| row.is_from_latest_table(field)), "sensor {id}: not out of the table");
}

/// What there is now.
fn check_now(store: &Store) {
    // All types out of the latest tables too, which that release wrote and this one reads.
    for (id, seconds, number) in [(1, 1_300, 3), (3, 1_960, 6)] {
        check_is_in_table(store, id, seconds, number);
    }
    let mut online = store.online(&Features::list(["visits:guests"]).unwrap()).unwrap();
    let key = online.key(&[("country", "NO".into()), ("city", "Oslo".into())]).unwrap();
    let row = online.get(&key, at(2_000)).unwrap();
    assert_eq!((row.value(0), row.is_from_latest_table(0)), (Value::Float64(6.0), true));
}

#[test]
#[ignore = "writes the golden stores, once for each format"]
fn write_the_golden_stores() {
    for name in STORES {
        let path = golden(name);
        if path.exists() {
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path);
        if name == STORES[1] {
            keys::write(&path);
        }
        if name == STORES[2] {
            truncates::write(&path);
        }
        // Names this process, and means nothing once it is gone.
        fs::write(path.join("LOCK"), "").unwrap();
        let bytes: usize = files(&path).values().map(Vec::len).sum();
        // Most of it the zeros of registry.redb.
        assert!(bytes < 3 << 19, "{bytes} bytes");
    }
}
