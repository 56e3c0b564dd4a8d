//! Writes of one command through another process that holds the store: what `control.sock` carries.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use asof::definition::{Definitions, FeatureView};
use asof::value::{DataType, Value};
use asof::{
    ApplyOptions, BulkOptions, DeleteOptions, ErrorKind, Features, GetOptions, KnownAt, Status, Store, StoreBuilder,
};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("asof-control-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn builder() -> StoreBuilder {
    Store::builder()
}

fn definitions(features: &[&str]) -> Definitions {
    let view = FeatureView::new("v").entity("thing");
    let view = features.iter().fold(view, |view, name| view.feature(*name, DataType::Int64));
    Definitions::new("control").entity("thing", [("id", DataType::Int64)]).view(view)
}

fn batch(keys: std::ops::Range<i64>, at: i64) -> RecordBatch {
    let count = usize::try_from(keys.end - keys.start).unwrap();
    let keys: ArrayRef = Arc::new(keys.collect::<Int64Array>());
    RecordBatch::try_from_iter([
        ("id", keys.clone()),
        ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![at; count])) as ArrayRef),
        ("x", keys),
    ])
    .unwrap()
}

fn read(store: &Store, key: i64) -> (Status, Value) {
    let features = Features::list(["v:x"]).unwrap();
    let answer = store.get(&features, &[("id", Value::Int64(key))], &GetOptions::default()).unwrap();
    (answer[0].status, answer[0].value.clone())
}

#[test]
fn every_writing_call_reaches_the_process_that_holds_the_store() {
    let folder = Folder::new("calls");
    let holder = builder().open(&folder.0).unwrap();
    let mode = std::fs::metadata(folder.0.join("control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A second writer is refused where it asks for the store itself, and served where it asks to be.
    let refused = builder().open(&folder.0).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Locked, "{refused}");
    let other = builder().open_or_forward(&folder.0).unwrap();
    let plan = other.apply(&definitions(&["x"]), ApplyOptions::default()).unwrap();
    assert!(!plan.is_empty());
    let report = other.write("v", &batch(0..5, 10)).unwrap();
    assert_eq!(report.rows, 5);
    assert_eq!(read(&holder, 3), (Status::Present, Value::Int64(3)));
    assert_eq!(read(&other, 3), (Status::Present, Value::Int64(3)), "its own write is visible to the next read");
    let deleted = other.delete("v", &[("id", Value::Int64(3))], &DeleteOptions::default()).unwrap();
    assert_eq!((read(&holder, 3).0, read(&other, 3).0), (Status::NotFound, Status::NotFound));
    let snapshot = other.snapshot("here").unwrap();
    assert!(snapshot.seq >= deleted.seq);
    let mut bulk = other.bulk_writer("v", BulkOptions::default()).unwrap();
    bulk.write(&batch(100..2_000, 20)).unwrap();
    bulk.write(&batch(2_000..3_000, 20)).unwrap();
    let report = bulk.commit().unwrap();
    assert_eq!((report.rows_read, report.rows_written), (2_900, 2_900));
    assert_eq!(read(&holder, 2_999), (Status::Present, Value::Int64(2_999)));
    other.compact().unwrap();
    let before = GetOptions { known_at: Some(KnownAt::Snapshot("here".into())), ..GetOptions::default() };
    let features = Features::list(["v:x"]).unwrap();
    let answer = other.get(&features, &[("id", Value::Int64(2_999))], &before).unwrap();
    assert_eq!(answer[0].status, Status::NotFound);
    // What the holder refuses is refused in its words.
    let error = other.write("v", &batch(0..1, i64::MAX)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("row 0: the event timestamp"), "{error}");
    let error = other.write("w", &batch(0..1, 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = other.snapshot("here").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
}

#[test]
fn a_new_version_takes_over_the_old_ones_rows_through_the_process_that_holds_the_store() {
    let folder = Folder::new("version");
    let holder = builder().open(&folder.0).unwrap();
    let other = builder().open_or_forward(&folder.0).unwrap();
    other.apply(&definitions(&["x", "y"]), ApplyOptions::default()).unwrap();
    let rows = batch(0..5, 10);
    let columns = ["id", "event_timestamp", "x", "y"].into_iter().zip([0, 1, 2, 2].map(|i| rows.column(i).clone()));
    other.write("v", &RecordBatch::try_from_iter(columns).unwrap()).unwrap();
    other.delete("v", &[("id", Value::Int64(3))], &DeleteOptions::default()).unwrap();
    let view = FeatureView::new("v").version(2).entity("thing").feature("x", DataType::Float64);
    let second = Definitions::new("control").entity("thing", [("id", DataType::Int64)]).view(view);
    other.apply(&second, ApplyOptions::default()).unwrap();
    let report = other.import_version("v@2", 1).unwrap();
    assert_eq!((report.rows_read, report.rows_written, report.rows_skipped), (6, 6, 0));
    assert_eq!(report.ignored, ["y"]);
    for store in [&holder, &other] {
        assert_eq!(read(store, 2), (Status::Present, Value::Float64(2.0)));
        assert_eq!(read(store, 3).0, Status::NotFound, "deletes come with them");
    }
    let again = other.import_version("v@2", 1).unwrap();
    assert_eq!((again.rows_written, again.rows_skipped), (0, 6));
    // What the holder refuses is refused in its words.
    let error = other.import_version("v@2", 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("v@2 cannot be copied into itself"), "{error}");
    assert_eq!(other.import_version("v@2", 9).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_import_is_over_with_its_first_error_here_and_through_the_holder() {
    // A refused batch was passed over once: the commit added the others, and the ledger had the whole file.
    let folder = Folder::new("refused");
    let holder = builder().open(&folder.0).unwrap();
    holder.apply(&definitions(&["x"]), ApplyOptions::default()).unwrap();
    let other = builder().open_or_forward(&folder.0).unwrap();
    for store in [&holder, &other] {
        let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
        bulk.begin_file("one.parquet").unwrap();
        bulk.write(&batch(0..10, 20)).unwrap();
        let error = bulk.write(&batch(10..20, i64::MAX)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        for error in [
            bulk.write(&batch(20..30, 20)).unwrap_err(),
            bulk.end_file("its digest", 0).unwrap_err(),
            bulk.begin_file("two.parquet").unwrap_err(),
            bulk.skip_file("three.parquet").unwrap_err(),
            bulk.was_imported("its digest").unwrap_err(),
            bulk.commit().unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            assert!(error.to_string().contains("row 11: the event timestamp"), "{error}");
        }
        assert_eq!(read(&holder, 3).0, Status::NotFound);
        assert!(!store.bulk_writer("v", BulkOptions::default()).unwrap().was_imported("its digest").unwrap());
    }
}

#[test]
fn an_import_into_a_view_that_is_dropped_meanwhile_is_refused() {
    // It was acknowledged once, and found by nobody.
    let folder = Folder::new("dropped");
    let holder = builder().open(&folder.0).unwrap();
    let other = builder().open_or_forward(&folder.0).unwrap();
    let none = Definitions::new("control").entity("thing", [("id", DataType::Int64)]);
    for (store, append) in [(&holder, false), (&holder, true), (&other, false)] {
        holder.apply(&definitions(&["x"]), ApplyOptions::default()).unwrap();
        let mut bulk = store.bulk_writer("v", BulkOptions { append, ..BulkOptions::default() }).unwrap();
        bulk.write(&batch(0..10, 20)).unwrap();
        holder.apply(&none, ApplyOptions { prune: true }).unwrap();
        let error = bulk.commit().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("v@1 was dropped meanwhile"), "{error}");
    }
    holder.apply(&definitions(&["x"]), ApplyOptions::default()).unwrap();
    holder.write("v", &batch(0..5, 10)).unwrap();
    assert_eq!((read(&holder, 3).0, read(&holder, 7).0), (Status::Present, Status::NotFound));
}

#[test]
fn an_import_whose_client_vanishes_leaves_nothing() {
    let folder = Folder::new("vanishes");
    let holder = builder().open(&folder.0).unwrap();
    holder.apply(&definitions(&["x"]), ApplyOptions::default()).unwrap();
    let other = builder().open_or_forward(&folder.0).unwrap();
    let mut bulk = other.bulk_writer("v", BulkOptions::default()).unwrap();
    bulk.write(&batch(0..1_000, 20)).unwrap();
    drop(bulk);
    let mut bulk = other.bulk_writer("v", BulkOptions::default()).unwrap();
    bulk.write(&batch(5_000..5_010, 20)).unwrap();
    assert_eq!(bulk.commit().unwrap().rows_written, 10);
    assert_eq!((read(&holder, 7).0, read(&holder, 5_003).0), (Status::NotFound, Status::Present));
    let rows = |store: &Store| store.views().unwrap().iter().map(|view| view.rows).sum::<u64>();
    assert_eq!(rows(&holder), 10);
    // Whatever it was still at is over when the holder has ended.
    drop(holder);
    assert_eq!(rows(&builder().open(&folder.0).unwrap()), 10);
}

#[test]
fn rubbish_on_the_socket_harms_nobody_and_a_closed_store_has_none() {
    let folder = Folder::new("rubbish");
    let holder = builder().open(&folder.0).unwrap();
    holder.apply(&definitions(&["x"]), ApplyOptions::default()).unwrap();
    for rubbish in [&b""[..], b"\x01", b"GET / HTTP/1.1\r\n\r\n", &[1, 255, 255, 255, 255, 0, 0, 0, 0], &[2; 64]] {
        let mut stream = UnixStream::connect(folder.0.join("control.sock")).unwrap();
        stream.write_all(rubbish).unwrap();
    }
    let other = builder().open_or_forward(&folder.0).unwrap();
    other.write("v", &batch(0..5, 10)).unwrap();
    drop(holder);
    assert!(!folder.0.join("control.sock").exists());
    // The client of a holder that ended says so, and reads on.
    let error = other.write("v", &batch(0..5, 11)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_eq!(read(&other, 4), (Status::Present, Value::Int64(4)));
    // A one-shot command does not listen: a second one is told who holds the store.
    let _silent = builder().listen(false).open(&folder.0).unwrap();
    let error = builder().open_or_forward(&folder.0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
}

#[test]
fn a_socket_serves_a_store_whose_path_is_longer_than_an_address() {
    let folder = Folder::new("long");
    let deep = folder.0.join("d".repeat(120)).join("e".repeat(120));
    std::fs::create_dir_all(&deep).unwrap();
    let holder = builder().open(deep.join("store")).unwrap();
    let other = builder().open_or_forward(deep.join("store")).unwrap();
    other.apply(&definitions(&["x"]), ApplyOptions::default()).unwrap();
    other.write("v", &batch(0..5, 10)).unwrap();
    assert_eq!(read(&holder, 4), (Status::Present, Value::Int64(4)));
}

#[test]
fn a_holder_that_ends_waits_for_nobody_who_says_nothing() {
    let folder = Folder::new("silent");
    let holder = builder().open(&folder.0).unwrap();
    holder.apply(&definitions(&["x"]), ApplyOptions::default()).unwrap();
    let other = builder().open_or_forward(&folder.0).unwrap();
    let mut bulk = other.bulk_writer("v", BulkOptions::default()).unwrap();
    bulk.write(&batch(0..10, 20)).unwrap();
    let _half_a_call = {
        let mut stream = UnixStream::connect(folder.0.join("control.sock")).unwrap();
        stream.write_all(&[1, 200, 0]).unwrap();
        stream
    };
    let ending = std::thread::spawn(move || drop(holder));
    let began = std::time::Instant::now();
    while !ending.is_finished() {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "it waits for a client");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    ending.join().unwrap();
    assert_eq!(bulk.commit().unwrap_err().kind(), ErrorKind::Io);
    let holder = builder().open(&folder.0).unwrap();
    assert_eq!(read(&holder, 3).0, Status::NotFound);
}

#[test]
fn more_clients_than_are_served_at_once_are_told_so_and_served_when_others_have_gone() {
    let folder = Folder::new("many");
    let holder = builder().open(&folder.0).unwrap();
    holder.apply(&definitions(&["x"]), ApplyOptions::default()).unwrap();
    let other = builder().open_or_forward(&folder.0).unwrap();
    let crowd: Vec<_> = (0..32).map(|_| UnixStream::connect(folder.0.join("control.sock")).unwrap()).collect();
    let began = std::time::Instant::now();
    let in_time = || assert!(began.elapsed() < std::time::Duration::from_secs(20));
    // The connection that found the holder may still be counted.
    let error = loop {
        match other.write("v", &batch(0..5, 10)) {
            Err(error) if error.kind() == ErrorKind::Refused => break error,
            outcome => drop(outcome),
        }
        in_time();
    };
    assert!(error.to_string().contains("too many commands"), "{error}");
    drop(crowd);
    while other.write("v", &batch(0..5, 11)).is_err() {
        in_time();
    }
    assert_eq!(read(&holder, 4), (Status::Present, Value::Int64(4)));
}

#[test]
fn a_socket_that_a_killed_process_left_is_in_nobodys_way() {
    let folder = Folder::new("left");
    let left = std::os::unix::net::UnixListener::bind(folder.0.join("control.sock")).unwrap();
    drop(left);
    let holder = builder().open(folder.0.join("store")).unwrap();
    drop(holder);
    std::fs::rename(folder.0.join("control.sock"), folder.0.join("store/control.sock")).unwrap();
    let holder = builder().open(folder.0.join("store")).unwrap();
    let other = builder().open_or_forward(folder.0.join("store")).unwrap();
    other.apply(&definitions(&["x"]), ApplyOptions::default()).unwrap();
    other.write("v", &batch(0..5, 10)).unwrap();
    assert_eq!(read(&holder, 4), (Status::Present, Value::Int64(4)));
}

/// A file of LOCK's name in its place once let another process in, and the two of them destroyed the store.
#[test]
fn a_store_whose_lock_file_was_removed_is_still_its_holders() {
    let folder = Folder::new("unlocked");
    let holder = builder().open(&folder.0).unwrap();
    holder.apply(&definitions(&["x"]), ApplyOptions::default()).unwrap();
    std::fs::remove_file(folder.0.join("LOCK")).unwrap();
    for round in 0..2 {
        let refused = builder().open(&folder.0).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Locked, "{refused}");
        let other = builder().open_or_forward(&folder.0).unwrap();
        other.write("v", &batch(0..5, 10 + round)).unwrap();
        assert_eq!(read(&holder, 4), (Status::Present, Value::Int64(4)));
        // Who only reads knows that there is a writer.
        let report = builder().check(&folder.0, &mut |_| ()).unwrap();
        assert!(report.passed_over.iter().any(|what| what.contains("in use by the process")), "{report:?}");
    }
    holder.close().unwrap();
    drop(holder);
    let store = builder().open(&folder.0).unwrap();
    assert_eq!(read(&store, 4), (Status::Present, Value::Int64(4)));
}
