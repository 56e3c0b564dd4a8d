//! Truncates of a view: before every operation of a life that has some, the process is killed or the machine stops.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use asof::disk::{CrashMode, MemDisk};
use asof::options::Durability;
use asof::time::Timestamp;
use asof::{BulkOptions, Features, GetOptions, Status, Store};

use super::image::STORE;
use super::windows::{apply, batch, builder, x};

/// What keys 0 and 5 have after each step that was acknowledged.
const STATES: [[Option<i64>; 2]; 6] =
    [[Some(1), Some(1)], [None, None], [Some(2), None], [Some(2), None], [None, None], [None, Some(5)]];

fn truncate(store: &Store, at: i64) {
    let views = store.entity_views().unwrap().views;
    let view = views.iter().find(|view| view.definition().name == "v").unwrap();
    let truncated = store.keyspace().unwrap().transact(|_, rows| rows.truncate(view, at));
    assert!(truncated.unwrap().unwrap(), "there was something to delete");
}

/// Rows of key 5 as of a time before all truncates.
fn was_there(store: &Store) -> bool {
    let then = GetOptions { at: Some(Timestamp(99)), ..GetOptions::default() };
    let answer = store.get(&Features::list(["v:x"]).unwrap(), &[("id", 5_i64.into())], &then).unwrap();
    answer[0].status == Status::Present
}

#[test]
fn what_a_truncate_deleted_comes_back_after_no_crash_and_what_came_after_it_stays() {
    let disk = MemDisk::new();
    let open = |disk: &MemDisk| builder(disk).durability(Durability::Fsync).open(STORE).unwrap();
    let store = open(&disk);
    apply(&store);
    store.write("v", &batch(0..9, 10, 1)).unwrap();
    store.seal().unwrap();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let moments: Arc<Mutex<Vec<(usize, MemDisk)>>> = Arc::default();
    let (steps, taken) = (Arc::clone(&acknowledged), Arc::clone(&moments));
    disk.on_operation(move |info| {
        let (step, number) = (steps.load(Ordering::SeqCst), info.number);
        let modes = [CrashMode::DropAll, CrashMode::Random(number)];
        let images = modes.map(|mode| info.disk.crash_image(mode)).into_iter().chain([info.disk.kill_image()]);
        taken.lock().unwrap().extend(images.map(|image| (step, image)));
    });
    let done = |step: usize| acknowledged.store(step, Ordering::SeqCst);
    truncate(&store, 100);
    done(1);
    store.seal().unwrap();
    store.write("v", &batch(0..3, 200, 2)).unwrap();
    done(2);
    // Of before the truncate, learned after it.
    let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
    bulk.write(&batch(0..9, 50, 3)).unwrap();
    bulk.commit().unwrap();
    done(3);
    truncate(&store, 300);
    done(4);
    store.seal().unwrap();
    store.compact().unwrap();
    store.write("v", &batch(5..6, 400, 5)).unwrap();
    done(5);
    store.close().unwrap();
    drop(store);
    drop(open(&disk));
    let moments = std::mem::take(&mut *moments.lock().unwrap());
    assert!(moments.len() > 300, "{} moments", moments.len());
    for (number, (step, image)) in moments.iter().enumerate() {
        for beside in [true, false] {
            let store = match beside {
                true => builder(image).open_read_only(STORE).unwrap(),
                false => open(image),
            };
            let found = [0, 5].map(|key| x(&store, key));
            let may_be = &STATES[*step..STATES.len().min(step + 2)];
            assert!(may_be.contains(&found), "image {number} after step {step}, read alone {beside}: {found:?}");
            assert!(was_there(&store), "image {number} after step {step}: history");
            if !beside {
                store.close().unwrap();
            }
        }
        let report = builder(image).check(STORE, &mut |_| ()).unwrap();
        assert!(report.is_sound(), "image {number} after step {step}: {:?}", report.problems);
    }
}
