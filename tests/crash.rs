//! A store's life cut short: killed, without power, with a disk that fails. What was acknowledged is there
//! afterwards, whole batches or none of the others, and no number was given twice.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use asof::definition::{Definitions, FeatureView};
use asof::disk::{CrashMode, Disk, FaultyDisk, MemDisk, Operation, Verdict};
use asof::options::Sizes;
use asof::value::{DataType, Value};
use asof::{ApplyOptions, BulkOptions, ErrorKind, Features, GetOptions, Status, Store};

const BATCH_KEYS: i64 = 3;

fn open(disk: Arc<dyn Disk>) -> asof::Result<Store> {
    let sizes = Sizes { segment_bytes: 8 << 10, ..Sizes::default() };
    Store::builder().sizes(sizes).background(false).disk(disk).open("/crash")
}

fn definitions() -> Definitions {
    let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64);
    Definitions::new("crash").entity("thing", [("id", DataType::Int64)]).view(view)
}

/// Batch `number`: keys of its own, so that each batch can be looked for by itself.
fn batch(number: i64) -> RecordBatch {
    let keys: Int64Array = (0..BATCH_KEYS).map(|i| number * BATCH_KEYS + i).collect();
    let times = TimestampMicrosecondArray::from_iter_values((0..BATCH_KEYS).map(|_| number));
    RecordBatch::try_from_iter([
        ("id", Arc::new(keys.clone()) as ArrayRef),
        ("event_timestamp", Arc::new(times)),
        ("x", Arc::new(keys)),
    ])
    .unwrap()
}

/// Which keys of a batch a store has; a value that is not the key's own fails.
fn keys_found(store: &Store, number: i64) -> i64 {
    let features = Features::list(["v:x"]).unwrap();
    let mut found = 0;
    for key in (0..BATCH_KEYS).map(|i| number * BATCH_KEYS + i) {
        match store.get(&features, &[("id", Value::Int64(key))], &GetOptions::default()) {
            Ok(answer) if answer[0].status == Status::Present => {
                assert_eq!(answer[0].value, Value::Int64(key), "batch {number}");
                found += 1;
            }
            Ok(answer) => assert_eq!(answer[0].status, Status::NotFound, "batch {number}"),
            // Before the definitions were applied there is no view.
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
        }
    }
    found
}

/// A life of a store: how many batches it was told are safe goes to `acknowledged` as they are.
fn live(disk: &MemDisk, acknowledged: &AtomicU64) {
    let store = open(Arc::new(disk.clone())).unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    for number in 0..24 {
        if number % 6 == 5 {
            let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
            bulk.write(&batch(number)).unwrap();
            bulk.commit().unwrap();
        } else {
            store.write("v", &batch(number)).unwrap();
        }
        acknowledged.fetch_add(1, Ordering::SeqCst);
        if number % 7 == 6 {
            store.seal().unwrap();
        }
    }
    store.compact().unwrap();
    store.snapshot("end").unwrap();
    store.close().unwrap();
}

#[test]
fn after_power_loss_at_any_operation_what_was_acknowledged_is_there() {
    let disk = MemDisk::new();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let images: Arc<Mutex<Vec<(MemDisk, u64)>>> = Arc::default();
    let (seen, taken) = (Arc::clone(&acknowledged), Arc::clone(&images));
    disk.on_operation(move |info| {
        let count = seen.load(Ordering::SeqCst);
        let modes =
            [CrashMode::DropAll, CrashMode::KeepAll, CrashMode::Random(info.number), CrashMode::Random(!info.number)];
        let mut taken = taken.lock().unwrap();
        taken.extend(modes.map(|mode| (info.disk.crash_image(mode), count)));
        taken.push((info.disk.kill_image(), count));
    });
    live(&disk, &acknowledged);
    let images = std::mem::take(&mut *images.lock().unwrap());
    let count = images.len();
    assert!(count > 1_000, "only {count} images");
    for (number, (image, acknowledged)) in images.into_iter().enumerate() {
        let store = open(Arc::new(image.clone())).unwrap_or_else(|error| panic!("image {number}: {error}"));
        for batch in 0..24 {
            let found = keys_found(&store, batch);
            let must = batch < acknowledged.cast_signed();
            assert!(
                found == BATCH_KEYS || found == 0 && !must,
                "image {number}: batch {batch} has {found} keys, {acknowledged} batches were acknowledged"
            );
        }
        // And it can be written to.
        store.apply(&definitions(), ApplyOptions::default()).unwrap_or_else(|error| panic!("image {number}: {error}"));
        let before = store.write("v", &batch(1_000)).unwrap_or_else(|error| panic!("image {number}: {error}"));
        assert_eq!(keys_found(&store, 1_000), BATCH_KEYS);
        let after = store.write("v", &batch(1_001)).unwrap();
        assert_eq!(after.first_seq, before.first_seq + 3);
    }
    println!("{count} images opened");
}

#[test]
fn after_a_change_of_the_registry_that_failed_half_way_no_number_is_given_until_reopened() {
    let disk = MemDisk::new();
    let acknowledged = AtomicU64::new(0);
    live(&disk, &acknowledged);
    let is_manifest = |operation: Operation, path: &Path| {
        operation == Operation::Rename && path.to_string_lossy().contains("MANIFEST")
    };
    let faulty = FaultyDisk::at(Arc::new(disk.clone()), Verdict::Fail(io::ErrorKind::Other), 0, u64::MAX, is_manifest);
    let store = open(Arc::new(faulty)).unwrap();
    let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
    bulk.write(&batch(100)).unwrap();
    let failed = bulk.commit().unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Io, "{failed}");
    let refused = store.write("v", &batch(101)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Poisoned, "{refused}");
    drop(store);
    let store = open(Arc::new(disk)).unwrap();
    let first = store.write("v", &batch(102)).unwrap().first_seq;
    // The import became whole when the registry was opened; its numbers are its own.
    assert!(matches!(keys_found(&store, 100), 0 | BATCH_KEYS));
    assert_eq!((keys_found(&store, 101), keys_found(&store, 102)), (0, BATCH_KEYS));
    assert!(first > 24 * BATCH_KEYS.unsigned_abs());
}
