//! What the next process must know of this one when the power fails between the two.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use asof::disk::{CrashMode, Disk, FaultyDisk, MemDisk, Operation, Verdict};
use asof::time::{ManualClock, Timestamp};
use asof::value::Value;
use asof::{BulkOptions, ErrorKind, Features, GetOptions, KnownAt, Store};

use super::image::{STORE, path};
use super::windows::{apply, batch, builder, builder_on, x};

/// A key's value as it was known at a time.
fn x_known_at(store: &Store, key: i64, time: i64) -> Option<i64> {
    let known_at = Some(KnownAt::Time(Timestamp(time)));
    let options = GetOptions { at: Some(Timestamp(time)), known_at, definitions_current: true };
    let answer = store.get(&Features::list(["v:x"]).unwrap(), &[("id", Value::Int64(key))], &options).unwrap();
    if let Value::Int64(x) = answer[0].value { Some(x) } else { None }
}

#[test]
fn a_clock_that_went_back_over_a_power_failure_gives_no_commit_a_time_before_those_of_sealed_ones() {
    // Once the frames are gone, and HEAD is not believed, commits in the log are remembered by their clock file alone.
    let clock = Arc::new(ManualClock::new(Timestamp(1)));
    let disk = MemDisk::new();
    let store = builder(&disk).clock(clock.clone()).open(STORE).unwrap();
    apply(&store);
    clock.set(Timestamp(100));
    store.write("v", &batch(0..1, 1, 1)).unwrap();
    store.seal().unwrap();
    let image = disk.crash_image(CrashMode::DropAll);
    drop(store);
    clock.set(Timestamp(10));
    let store = builder(&image).clock(clock.clone()).open(STORE).unwrap();
    store.write("v", &batch(1..2, 2, 2)).unwrap();
    for is_sealed in [false, true] {
        clock.set(Timestamp(200));
        for (time, expected) in [(50, None), (99, None), (100, Some(2))] {
            assert_eq!(x_known_at(&store, 1, time), expected, "the later, by {time}, sealed: {is_sealed}");
            assert_eq!(x_known_at(&store, 0, time), expected.map(|_| 1), "the earlier, by {time}, sealed: {is_sealed}");
        }
        clock.set(Timestamp(20));
        store.seal().unwrap();
    }
}

#[test]
fn a_views_folder_whose_sync_failed_is_synced_before_the_next_import_is_acknowledged() {
    let disk = MemDisk::new();
    let medium = disk.clone();
    // The sync that follows the making of the folder, and no other.
    let faulty =
        FaultyDisk::at(Arc::new(disk.clone()), Verdict::Fail(io::ErrorKind::Other), 0, 1, move |operation, file| {
            let is_made = medium.exists(&path("history").join("1-v@1")).unwrap();
            operation == Operation::SyncDir && file == path("history") && is_made
        });
    let store = builder_on(Arc::new(faulty)).open(STORE).unwrap();
    apply(&store);
    let import = || {
        let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
        bulk.write(&batch(0..9, 1, 1))?;
        bulk.commit()
    };
    import().unwrap_err();
    import().unwrap();
    let image = disk.crash_image(CrashMode::DropAll);
    let store = builder(&image).open(STORE).unwrap();
    assert!((0..9).all(|key| x(&store, key) == Some(1)), "acknowledged rows are lost with their folder");
}

#[test]
fn a_write_whose_sync_found_no_space_may_be_there_after_all_and_is_not_said_to_be_gone() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::Other] {
        for sync_beside in [None, Some(1)] {
            for failing in [Operation::Sync, Operation::Write] {
                let disk = MemDisk::new();
                let armed = Arc::new(AtomicBool::new(false));
                let is_armed = Arc::clone(&armed);
                let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, file| {
                    let is_log = file.extension().is_some_and(|end| end == "log");
                    let is_it = is_armed.load(Ordering::SeqCst) && is_log && operation == failing;
                    if is_it { Verdict::Fail(kind) } else { Verdict::Proceed }
                });
                let store = builder_on(Arc::new(faulty));
                let store = if let Some(rows) = sync_beside { store.sync_beside(rows) } else { store };
                let store = store.open(STORE).unwrap();
                apply(&store);
                store.write("v", &batch(0..9, 1, 1)).unwrap();
                armed.store(true, Ordering::SeqCst);
                let error = store.write("v", &batch(0..9, 2, 2)).unwrap_err();
                let text = format!("{failing:?} fails with {kind:?}, synced beside: {sync_beside:?}: {error}");
                assert_eq!(error.kind(), ErrorKind::Io, "{text}");
                assert!(!text.contains("nothing of this write was kept"), "{text}");
                assert!(text.contains("look before doing it once more"), "{text}");
                assert_eq!(text.contains("free some space"), kind != io::ErrorKind::Other, "{text}");
                if failing == Operation::Sync {
                    let killed = builder(&disk.kill_image()).open(STORE).unwrap();
                    assert_eq!(x(&killed, 3), Some(2), "{text}, and it is there");
                }
            }
        }
    }
}
