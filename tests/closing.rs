//! A store that ends: what its clones, handles, scans and imports answer afterwards, and what the next open finds.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use asof::definition::{Definitions, FeatureView};
use asof::disk::{Disk, MemDisk};
use asof::options::Sizes;
use asof::time::{ManualClock, Timestamp};
use asof::value::DataType;
use asof::{
    ApplyOptions, BulkOptions, Error, ErrorKind, Features, GetOptions, OnlineHandle, ScanOptions, Store, StoreBuilder,
};

const STORE: &str = "/store";
const NOW: Timestamp = Timestamp(1_000_000);
const KEYS: i64 = 100;

fn builder(disk: &MemDisk) -> StoreBuilder {
    // Every commit finds the tail above its limit, and seals it first.
    let sizes = Sizes { table_reserve_bytes: 32 << 20, tail_bytes_max: 1, ..Sizes::default() };
    let clock = Arc::new(ManualClock::new(NOW));
    Store::builder().sizes(sizes).clock(clock).background(false).disk(Arc::new(disk.clone()))
}

fn definitions() -> Definitions {
    let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64);
    Definitions::new("closing").entity("thing", [("id", DataType::Int64)]).view(view)
}

/// `x` of every key, true from `at` on.
fn batch(at: i64, x: i64) -> RecordBatch {
    let count = usize::try_from(KEYS).unwrap();
    RecordBatch::try_from_iter([
        ("id", Arc::new((0..KEYS).collect::<Int64Array>()) as ArrayRef),
        ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![at; count]))),
        ("x", Arc::new(Int64Array::from(vec![x; count]))),
    ])
    .unwrap()
}

fn x() -> Features {
    Features::list(["v:x"]).unwrap()
}

fn filled(disk: &MemDisk) -> Store {
    let store = builder(disk).open(STORE).unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    for at in 1..=3 {
        store.write("v", &batch(at, at)).unwrap();
    }
    store
}

/// What the handle says of one key.
fn get(online: &mut OnlineHandle) -> Result<Option<i64>, Error> {
    let key = online.key(&[("id", 7_i64.into())]).unwrap();
    online.get(&key, NOW).map(|row| row.i64(0))
}

fn get_batch(online: &mut OnlineHandle) -> Result<Vec<Option<i64>>, Error> {
    let keys: Vec<_> = (0..KEYS).map(|id| online.key(&[("id", id.into())]).unwrap()).collect();
    let mut found = Vec::new();
    online.get_batch(&keys, NOW, |_, row| found.push(row.i64(0)))?;
    Ok(found)
}

fn assert_closed<T>(what: &str, outcome: Result<T, Error>) {
    let Err(error) = outcome else { panic!("{what}: of a store that was closed") };
    assert_eq!((error.kind(), error.what()), (ErrorKind::Poisoned, "the store was closed"), "{what}");
}

#[test]
fn a_handle_reads_on_without_its_store_and_nobody_writes_behind_its_back() {
    let disk = MemDisk::new();
    let mut online = filled(&disk).online(&x()).unwrap();
    let mut twin = online.clone();
    // Another writer once opened the store here: the handle took its numbers, and answered from its own old picture.
    let refused = builder(&disk).open(STORE).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Locked);
    assert!(refused.way_out().unwrap().contains("this process has it open"), "{refused}");
    assert_eq!(get(&mut online).unwrap(), Some(3));
    drop(online);
    assert_eq!(get_batch(&mut twin).unwrap(), vec![Some(3); 100]);
    drop(twin);
    assert_eq!(get(&mut builder(&disk).open(STORE).unwrap().online(&x()).unwrap()).unwrap(), Some(3));
}

#[test]
fn a_store_that_was_closed_is_closed_for_clones_and_handles_whoever_opens_it_next() {
    let disk = MemDisk::new();
    let store = filled(&disk);
    let (clone, mut online) = (store.clone(), store.online(&x()).unwrap());
    let mut import = clone.bulk_writer("v", BulkOptions::default()).unwrap();
    import.write(&batch(4, 4)).unwrap();
    assert_eq!(get(&mut online).unwrap(), Some(3));
    store.close().unwrap();
    store.close().unwrap();
    assert_closed("a read", clone.get(&x(), &[("id", 7_i64.into())], &GetOptions::default()));
    assert_closed("a scan", clone.scan("v", &ScanOptions::default()));
    assert_closed("a new handle", clone.online(&x()));
    assert_closed("a look at it", clone.views());
    assert_closed("a write", clone.write("v", &batch(5, 5)));
    assert_closed("definitions", clone.apply(&definitions(), ApplyOptions::default()));
    assert_closed("a snapshot", clone.snapshot("here"));
    assert_closed("an import", import.commit());
    let assert_handles_closed = |online: &mut OnlineHandle, when: &str| {
        assert_closed(&format!("a get, {when}"), get(online));
        assert_closed(&format!("a batch, {when}"), get_batch(online));
        assert_closed(&format!("a get by a clone, {when}"), get(&mut online.clone()));
    };
    assert_handles_closed(&mut online, "the clone is left");
    assert_eq!(builder(&disk).open(STORE).unwrap_err().kind(), ErrorKind::Locked, "the clone is left");
    drop((store, clone));
    assert_handles_closed(&mut online, "nothing is left");
    // The handle keeps nobody from writing.
    let next = builder(&disk).open(STORE).unwrap();
    assert_handles_closed(&mut online, "another has it");
    next.write("v", &batch(6, 6)).unwrap();
    next.seal().unwrap();
    next.compact().unwrap();
    assert_handles_closed(&mut online, "another has gone on");
    assert_eq!(get(&mut next.online(&x()).unwrap()).unwrap(), Some(6));
}

#[test]
fn what_was_begun_before_a_close_ends_as_it_would_have() {
    let disk = MemDisk::new();
    let store = filled(&disk);
    let mut scan = store.scan("v", &ScanOptions { batch_rows: 10, ..ScanOptions::default() }).unwrap();
    let first = scan.next().unwrap().unwrap().num_rows();
    store.close().unwrap();
    drop(store);
    let next = builder(&disk).open(STORE).unwrap();
    next.write("v", &batch(4, 4)).unwrap();
    next.compact().unwrap();
    let rest: usize = scan.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(first + rest, 300, "the rows of its own moment");
}

#[test]
fn nothing_is_written_after_a_clean_close_by_clones_either() {
    // A clone that sealed began a segment of the log after the close: HEAD was then one of an earlier day, and the next open
    // read the log, trusted no table and jumped in its numbers.
    let disk = MemDisk::new();
    let store = filled(&disk);
    let last = store.write("v", &batch(4, 4)).unwrap();
    let clone = store.clone();
    store.close().unwrap();
    let files = |disk: &MemDisk| disk.list(Path::new(STORE).join("log").as_path()).unwrap();
    let before = files(&disk);
    assert_closed("a seal", clone.seal());
    assert_closed("a merge", clone.compact());
    assert_closed("a write that has to seal", clone.write("v", &batch(5, 5)));
    drop((store, clone));
    assert_eq!(files(&disk), before);
    let store = builder(&disk).open(STORE).unwrap();
    let next = store.write("v", &batch(6, 6)).unwrap();
    assert_eq!(next.first_seq, last.first_seq + last.rows, "as after a clean close");
}

#[test]
fn a_temporary_store_is_closed_by_reopening_and_by_its_end_and_stays_closed_where_it_cannot_be_opened() {
    let mut store = Store::builder().background(false).temporary().unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    store.write("v", &batch(1, 1)).unwrap();
    let mut before = store.online(&x()).unwrap();
    let clone = store.clone();
    assert_eq!(store.reopen().unwrap_err().kind(), ErrorKind::Locked, "a clone is left");
    // It panicked once.
    assert_closed("a read", store.views());
    assert_closed("a write", store.write("v", &batch(2, 2)));
    assert_closed("a seal", store.seal());
    assert_closed("a handle from before", get(&mut before));
    store.close().unwrap();
    assert_eq!(store.reopen().unwrap_err().kind(), ErrorKind::Locked, "a clone is still left");
    drop(clone);
    store.reopen().unwrap();
    assert_closed("a handle from before", get(&mut before));
    let mut online = store.online(&x()).unwrap();
    assert_eq!(get(&mut online).unwrap(), Some(1));
    drop(store);
    assert_closed("a handle whose store and folder are gone", get(&mut online));
}
