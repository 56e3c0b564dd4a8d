//! Opening a store beside another who does, again and again, and where somebody left things in its folder.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use asof::ErrorKind;
use asof::disk::{Disk, FaultyDisk, MemDisk, Verdict};

use super::image::{STORE, path};
use super::windows::{apply, batch, builder, builder_on, x};

/// Whether there was a store was once asked before the lock was taken, and not again: whoever waited for the lock made
/// a new store on top of the one that another had made meanwhile.
#[test]
fn of_two_processes_that_make_one_store_the_second_finds_what_the_first_made() {
    let mut made_by_other = 0;
    for number in 0.. {
        let disk = MemDisk::new();
        let (others, seen) = (disk.clone(), AtomicU64::new(0));
        let other_made: Arc<Mutex<Option<ErrorKind>>> = Arc::default();
        let outcome = Arc::clone(&other_made);
        let between = FaultyDisk::new(Arc::new(disk.clone()), move |_, _| {
            if seen.fetch_add(1, Ordering::SeqCst) == number {
                match builder(&others).open(STORE) {
                    Ok(store) => {
                        apply(&store);
                        store.write("v", &batch(0..9, 1, 1)).unwrap();
                        store.close().unwrap();
                    }
                    Err(error) => *outcome.lock().unwrap() = Some(error.kind()),
                }
            }
            Verdict::Proceed
        });
        let store = builder_on(Arc::new(between)).open(STORE).unwrap();
        if let Some(kind) = *other_made.lock().unwrap() {
            // From here on the first one has the lock.
            assert_eq!(kind, ErrorKind::Locked, "before operation {number}");
            break;
        }
        made_by_other += 1;
        assert_eq!(x(&store, 3), Some(1), "before operation {number}: an acknowledged row is gone");
    }
    assert!(made_by_other > 1, "before {made_by_other} operations of the first the second made the store");
}

/// LOCK's lock was once the only one: a file of that name that took its place let a second writer in.
#[test]
fn a_store_whose_lock_file_was_removed_has_one_writer_all_the_same() {
    let disk = MemDisk::new();
    let store = builder(&disk).open(STORE).unwrap();
    apply(&store);
    store.write("v", &batch(0..9, 1, 1)).unwrap();
    disk.remove(&path("LOCK")).unwrap();
    for round in 2..4 {
        let error = builder(&disk).open(STORE).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(!error.to_string().contains("LOCK"), "nobody is told of a file to remove: {error}");
        store.write("v", &batch(0..9, round, round)).unwrap();
        store.seal().unwrap();
    }
    store.close().unwrap();
    drop(store);
    let store = builder(&disk).open(STORE).unwrap();
    assert_eq!(x(&store, 3), Some(3));
}
