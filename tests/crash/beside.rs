//! Commits whose sync goes on beside them: it fails, its thread is gone, it ends before the work or after it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use asof::disk::{CrashMode, FaultyDisk, MemDisk, Operation, Verdict};
use asof::options::Sizes;
use asof::{ErrorKind, Store, StoreBuilder};

use super::image::{STORE, path};
use super::windows::{apply, batch, builder, x};

/// Keys that have a value before anything goes wrong, and keys of a write for which a table has to grow.
const FEW: i64 = 9;
const MANY: i64 = 2_000;

fn is_log_sync(operation: Operation, path: &Path) -> bool {
    operation == Operation::Sync && path.extension().is_some_and(|ending| ending == "log")
}

fn thread_name() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

fn is_sync_thread() -> bool {
    thread_name() == "asof-log-sync"
}

/// Waits, and a little longer, so that what follows the flag is done.
fn wait_for(flag: &AtomicBool) {
    let began = Instant::now();
    while !flag.load(Ordering::SeqCst) {
        assert!(began.elapsed() < Duration::from_secs(20), "the other never came so far");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(20));
}

/// Segments that take the large write beside others.
fn builder_on(disk: FaultyDisk) -> StoreBuilder {
    let sizes = Sizes { segment_bytes: 1 << 20, table_reserve_bytes: 32 << 20, ..Sizes::default() };
    Store::builder().sizes(sizes).background(false).disk(Arc::new(disk))
}

/// Some of the keys from `first` to `end`, the first ones among them.
fn some(first: i64, end: i64) -> impl Iterator<Item = i64> {
    (first..end).filter(move |key| key - first < FEW || key % 61 == 0)
}

/// A store of few keys, whose log is synced on a thread of its own, and the greatest number it gave.
fn store_on(disk: FaultyDisk) -> (Store, u64) {
    let store = builder_on(disk).sync_beside(1).open(STORE).unwrap();
    apply(&store);
    let shown = store.write("v", &batch(0..FEW, 1, 1)).unwrap().first_seq + FEW.unsigned_abs() - 1;
    (store, shown)
}

/// What a power failure or a kill leaves.
fn images(disk: &MemDisk) -> Vec<MemDisk> {
    let modes = [CrashMode::DropAll, CrashMode::KeepAll].into_iter().chain((0..20).map(CrashMode::Random));
    modes.map(|mode| disk.crash_image(mode)).chain([disk.kill_image()]).collect()
}

/// The store takes no more writes and says why; reads go on, of what was acknowledged; and whatever becomes of process
/// and machine, nothing acknowledged is lost, the write that failed is there whole or not at all, and no number comes twice.
fn assert_given_up(disk: &MemDisk, store: Store, shown: u64, cause: &str) {
    for _ in 0..2 {
        let refused = store.write("v", &batch(0..FEW, 3, 3)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Poisoned, "{refused}");
        assert!(refused.to_string().contains(cause) && refused.to_string().contains("reopen the store"), "{refused}");
    }
    assert!((0..FEW).all(|key| x(&store, key) == Some(1)), "reads go on");
    assert!(some(FEW, MANY).all(|key| x(&store, key).is_none()), "what was not acknowledged is not seen");
    assert!(store.seal().is_err() && store.snapshot("afterwards").is_err());
    assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Poisoned);
    drop(store);
    for (number, image) in images(disk).into_iter().enumerate() {
        let store = builder(&image).open(STORE).unwrap();
        let is_there = x(&store, 0) == Some(2);
        let expected = |key| if is_there { Some(2) } else { (key < FEW).then_some(1) };
        assert!(some(0, MANY).all(|key| x(&store, key) == expected(key)), "image {number}");
        let next = store.write("v", &batch(0..FEW, 4, 4)).unwrap().first_seq;
        assert!(next > shown, "image {number}: number {next} after {shown}");
    }
}

#[test]
fn only_large_groups_are_synced_beside_the_work_and_on_a_disk_of_the_callers_only_if_asked() {
    for (rows_min, expected) in [(None, [false, false]), (Some(100), [false, true]), (Some(1), [true, true])] {
        let names: Arc<Mutex<Vec<bool>>> = Arc::default();
        let seen = Arc::clone(&names);
        let disk = FaultyDisk::new(Arc::new(MemDisk::new()), move |operation, path| {
            if is_log_sync(operation, path) {
                seen.lock().unwrap().push(is_sync_thread());
            }
            Verdict::Proceed
        });
        let builder = builder_on(disk).background(true);
        let builder = if let Some(rows_min) = rows_min { builder.sync_beside(rows_min) } else { builder };
        let store = builder.open(STORE).unwrap();
        apply(&store);
        names.lock().unwrap().clear();
        store.write("v", &batch(0..FEW, 1, 1)).unwrap();
        store.write("v", &batch(0..MANY, 2, 2)).unwrap();
        assert_eq!(*names.lock().unwrap(), expected, "from {rows_min:?} rows on");
        assert!(some(0, MANY).all(|key| x(&store, key) == Some(2)));
    }
}

#[test]
fn whichever_ends_first_a_sync_that_fails_beside_its_commit_fails_it_and_one_that_does_not_makes_it_durable() {
    for (sync_is_first, fails) in [(false, false), (false, true), (true, false), (true, true)] {
        let disk = MemDisk::new();
        let is_armed = Arc::new(AtomicBool::new(false));
        let (armed, medium) = (Arc::clone(&is_armed), disk.clone());
        let (is_synced, has_grown) = (AtomicBool::new(false), AtomicBool::new(false));
        let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, path: &Path| {
            if !armed.load(Ordering::SeqCst) {
                return Verdict::Proceed;
            }
            if is_log_sync(operation, path) {
                assert!(is_sync_thread(), "{} syncs", thread_name());
                if !sync_is_first {
                    wait_for(&has_grown);
                }
                is_synced.store(true, Ordering::SeqCst);
                if fails {
                    medium.forget_unsynced(path).unwrap();
                    return Verdict::Fail(io::ErrorKind::Other);
                }
            } else if operation == Operation::Allocate && path.starts_with(super::image::path("latest")) {
                if sync_is_first {
                    wait_for(&is_synced);
                }
                has_grown.store(true, Ordering::SeqCst);
            }
            Verdict::Proceed
        });
        let (store, shown) = store_on(faulty);
        is_armed.store(true, Ordering::SeqCst);
        let written = store.write("v", &batch(0..MANY, 2, 2));
        let left = images(&disk);
        is_armed.store(false, Ordering::SeqCst);
        if fails {
            let error = written.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
            let log = path("log").display().to_string();
            assert!(error.to_string().contains(&log) && error.to_string().contains("Sync, injected"), "{error}");
            assert_given_up(&disk, store, shown, "Sync, injected");
            continue;
        }
        written.unwrap();
        assert!(some(0, MANY).all(|key| x(&store, key) == Some(2)));
        for image in left {
            let store = builder(&image).open(STORE).unwrap();
            assert!(some(0, MANY).all(|key| x(&store, key) == Some(2)), "acknowledged rows are lost");
        }
    }
}

#[test]
fn a_sync_that_fails_fails_everyone_who_waits_for_it_and_all_who_come_after() {
    for failing in 1..12 {
        let disk = MemDisk::new();
        let medium = disk.clone();
        let seen = AtomicU64::new(0);
        let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, path: &Path| {
            if !is_sync_thread() || !is_log_sync(operation, path) || seen.fetch_add(1, Ordering::SeqCst) != failing {
                return Verdict::Proceed;
            }
            // Others come to wait meanwhile.
            std::thread::sleep(Duration::from_millis(5));
            medium.forget_unsynced(path).unwrap();
            Verdict::Fail(io::ErrorKind::Other)
        });
        let (store, _) = store_on(faulty);
        let acknowledged: Mutex<Vec<i64>> = Mutex::default();
        let errors: Mutex<Vec<asof::Error>> = Mutex::default();
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let (store, acknowledged, errors) = (&store, &acknowledged, &errors);
                scope.spawn(move || {
                    for round in 0..12 {
                        let key = FEW + 100 * writer + round;
                        match store.write("v", &batch(key..key + 1, 2, 2)) {
                            Ok(_) => acknowledged.lock().unwrap().push(key),
                            Err(error) => errors.lock().unwrap().push(error),
                        }
                    }
                });
            }
        });
        let (acknowledged, errors) = (acknowledged.into_inner().unwrap(), errors.into_inner().unwrap());
        assert_eq!(acknowledged.len() + errors.len(), 36);
        let met = errors.iter().filter(|error| error.kind() == ErrorKind::Io).count();
        assert!((1..=3).contains(&met), "{met} waited for the sync that failed: {errors:?}");
        let tells = |error: &asof::Error| {
            matches!(error.kind(), ErrorKind::Io | ErrorKind::Poisoned) && error.to_string().contains("Sync, injected")
        };
        assert!(errors.iter().all(tells), "{errors:?}");
        let expected = |key: i64| {
            if key < FEW { Some(1) } else { acknowledged.contains(&key).then_some(2) }
        };
        assert!(
            (0..FEW + 212).all(|key| x(&store, key) == expected(key)),
            "sync {failing}: the acknowledged, and no others"
        );
        drop(store);
        for image in images(&disk) {
            let store = builder(&image).open(STORE).unwrap();
            assert!(acknowledged.iter().all(|key| x(&store, *key) == Some(2)), "sync {failing}: some are lost");
        }
    }
}

#[test]
fn a_sync_thread_that_panics_fails_the_commit_that_waits_for_it_and_the_log_takes_no_more() {
    let disk = MemDisk::new();
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, path: &Path| {
        let is_it = is_sync_thread() && is_log_sync(operation, path) && armed.load(Ordering::SeqCst);
        assert!(!is_it, "a panic within a sync");
        Verdict::Proceed
    });
    let (store, shown) = store_on(faulty);
    is_armed.store(true, Ordering::SeqCst);
    let error = store.write("v", &batch(0..MANY, 2, 2)).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{text}");
    assert!(text.contains("stopped half-way") && text.contains(&path("log").display().to_string()), "{text}");
    assert!(text.contains("reopen the store"), "{text}");
    assert_given_up(&disk, store, shown, "stopped half-way");
}

#[test]
fn a_panic_beside_a_sync_ends_all_writing_and_no_number_comes_twice() {
    let disk = MemDisk::new();
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let panics = AtomicBool::new(false);
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, path: &Path| {
        if armed.load(Ordering::SeqCst) && is_log_sync(operation, path) {
            wait_for(&panics);
        }
        let grows = operation == Operation::Allocate && path.starts_with(super::image::path("latest"));
        if armed.load(Ordering::SeqCst) && grows {
            panics.store(true, Ordering::SeqCst);
            panic!("a panic beside a sync");
        }
        Verdict::Proceed
    });
    let (store, shown) = store_on(faulty);
    is_armed.store(true, Ordering::SeqCst);
    super::quiet_panics_within_checks();
    super::image::IS_CHECKING.set(true);
    catch_unwind(AssertUnwindSafe(|| store.write("v", &batch(0..MANY, 2, 2)))).unwrap_err();
    super::image::IS_CHECKING.set(false);
    assert_given_up(&disk, store, shown, "panicked");
}
