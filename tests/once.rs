//! Writes with an idempotency key: done once, whoever asks again and whatever becomes of the process.

use std::sync::Arc;

use asof::definition::{Definitions, FeatureView, Source};
use asof::time::{ManualClock, Timestamp};
use asof::value::{DataType, Value};
use asof::{ApplyOptions, ErrorKind, Row, Store, WriteOptions, WriteReport};

const DAY: i64 = 86_400 * 1_000_000;

fn definitions() -> Definitions {
    let view = |name: &str| FeatureView::new(name).entity("airport").feature("temp", DataType::Float64);
    Definitions::new("flights")
        .entity("airport", [("origin", DataType::String)])
        .view(view("weather"))
        .view(view("other"))
}

fn row(temp: f64) -> Row {
    Row::new().at(Timestamp(DAY)).set("origin", "JFK").set("temp", temp)
}

fn write(store: &Store, view: &str, key: &str, temp: f64) -> asof::Result<WriteReport> {
    let options = WriteOptions { idempotency_key: Some(key.to_owned()), ..WriteOptions::default() };
    store.write_rows_with(view, [row(temp)], &options)
}

#[test]
fn a_key_is_known_after_the_store_was_opened_again_and_forgotten_after_a_day() {
    let folder = Store::temporary().unwrap();
    let path = folder.path().with_file_name("project");
    let clock = Arc::new(ManualClock::new(Timestamp(2 * DAY)));
    let open = || Store::builder().clock(clock.clone()).background(false).open(&path).unwrap();
    let store = open();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    let first = write(&store, "weather", "a", 1.0).unwrap();
    let second = write(&store, "weather", "b", 2.0).unwrap();
    assert_eq!((first.rows, first.was_written_before), (1, false));
    assert!(second.first_seq > first.first_seq);
    drop(store);
    // As the log has it, then as runs and a checkpoint do.
    for _ in 0..2 {
        let store = open();
        let again = write(&store, "weather", "a", 1.0).unwrap();
        assert_eq!(again, WriteReport { was_written_before: true, ..first.clone() });
        store.compact().unwrap();
        store.keyspace().unwrap().checkpoint().unwrap();
        store.close().unwrap();
    }
    clock.set(Timestamp(3 * DAY - 1));
    let store = open();
    assert!(write(&store, "weather", "b", 2.0).unwrap().was_written_before);
    clock.set(Timestamp(3 * DAY));
    let later = write(&store, "weather", "b", 2.0).unwrap();
    assert!(!later.was_written_before && later.first_seq > second.first_seq);
    // What was forgotten goes with what comes; of the keys that clients see none is one of these.
    assert_eq!(store.keyspace().unwrap().read().len(0), 0);
}

#[test]
fn a_key_is_of_one_view_and_of_the_same_rows() {
    let store = Store::temporary().unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    write(&store, "weather", "a", 1.0).unwrap();
    assert!(!write(&store, "other", "a", 1.0).unwrap().was_written_before);
    let error = write(&store, "weather", "a", 1.5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    for key in [String::new(), "k".repeat(256)] {
        assert_eq!(write(&store, "weather", &key, 1.0).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert!(write(&store, "weather", &"k".repeat(255), 1.0).is_ok());
}

#[test]
fn of_those_who_ask_at_once_one_writes() {
    let store = Store::temporary().unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    let reports: Vec<WriteReport> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| write(&store, "weather", "a", 1.0).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(reports.iter().filter(|report| !report.was_written_before).count(), 1);
    assert!(reports.iter().all(|report| report.first_seq == reports[0].first_seq));
    assert_eq!(store.views().unwrap().iter().map(|view| view.rows).sum::<u64>(), 1);
}

#[test]
fn a_write_that_failed_left_no_key() {
    let store = Store::temporary().unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    let options = WriteOptions { idempotency_key: Some("a".to_owned()), ..WriteOptions::default() };
    let far = Timestamp(i64::MAX / 2);
    let refused =
        store.write_rows_with("weather", [Row::new().at(far).set("origin", "JFK").set("temp", 1.0)], &options);
    assert!(refused.is_err());
    assert!(!write(&store, "weather", "a", 1.0).unwrap().was_written_before);
    assert!(write(&store, "weather", "a", 1.0).unwrap().was_written_before);
}

/// A delete without a created timestamp takes the clock's, which is another one the next time.
#[test]
fn a_delete_that_is_sent_again_is_the_same_rows() {
    let clock = Arc::new(ManualClock::new(Timestamp(2 * DAY)));
    let store = Store::builder().clock(clock.clone()).temporary().unwrap();
    let source = Source::default().created_timestamp("recorded");
    let view = FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64).source(source);
    let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let options = WriteOptions { idempotency_key: Some("a".to_owned()), ..WriteOptions::default() };
    let write = |temp: f64| {
        let row = |origin: &str| Row::new().at(Timestamp(DAY)).set("origin", origin);
        let rows = [row("JFK").created(Timestamp(DAY)).set("temp", temp), row("JFK").deleted(), row("LGA").deleted()];
        store.write_rows_with("weather", rows, &options)
    };
    let first = write(1.0).unwrap();
    clock.set(Timestamp(2 * DAY + 1));
    assert_eq!(write(1.0).unwrap(), WriteReport { was_written_before: true, ..first });
    assert_eq!(write(2.0).unwrap_err().kind(), ErrorKind::Refused);
}

#[test]
fn a_view_that_gained_a_feature_meanwhile_is_written_the_same_rows() {
    let store = Store::temporary().unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    let first = write(&store, "weather", "a", 1.0).unwrap();
    let view = FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64);
    let gained = Definitions::new("flights")
        .entity("airport", [("origin", DataType::String)])
        .view(view.feature("wind", DataType::Float64))
        .view(FeatureView::new("other").entity("airport").feature("temp", DataType::Float64));
    store.apply(&gained, ApplyOptions::default()).unwrap();
    let options = WriteOptions { idempotency_key: Some("a".to_owned()), ..WriteOptions::default() };
    let write = |wind: Value| store.write_rows_with("weather", [row(1.0).set("wind", wind)], &options);
    assert_eq!(write(Value::Null).unwrap(), WriteReport { was_written_before: true, ..first });
    assert_eq!(write(Value::Float64(3.0)).unwrap_err().kind(), ErrorKind::Refused);
}
