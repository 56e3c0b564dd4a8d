//! Power failures and kills at every operation of commit and publish.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::disk::CrashMode;

/// The images that a crash now could leave, each with a name.
fn images(disk: &MemDisk, number: u64) -> Vec<(String, MemDisk)> {
    let seeds = (0..6_u64).map(|seed| CrashMode::Random(seed << 32 | number));
    let modes = [CrashMode::DropAll, CrashMode::KeepAll].into_iter().chain(seeds);
    let mut images: Vec<_> = modes.map(|mode| (format!("{mode:?}"), disk.crash_image(mode))).collect();
    images.push(("killed".to_owned(), disk.kill_image()));
    images
}

#[test]
fn a_crash_at_any_operation_leaves_the_state_before_or_after_and_loses_nothing_committed() {
    let (inner, disk) = disk();
    let registry = created(&disk);
    // Which mark was begun, and which was acknowledged: durable on return, before it is published.
    let marks: Arc<[AtomicU64; 2]> = Arc::default();
    let opened = Arc::new(AtomicU64::new(0));
    let (seen, count) = (Arc::clone(&marks), Arc::clone(&opened));
    inner.on_operation(move |info| {
        let [most, least] = [&seen[0], &seen[1]].map(|mark| mark.load(Ordering::SeqCst));
        for (mode, image) in images(info.disk, info.number) {
            let case = format!("crash before operation {}, {mode}", info.number);
            let image: Arc<dyn Disk> = Arc::new(image);
            let opened = open(&image).unwrap_or_else(|error| panic!("{case}: {error}"));
            let found = mark(&opened.registry);
            assert!((least..=most).contains(&found), "{case}: found {found}, expected {least} to {most}");
            if opened.must_publish {
                publish(&image, &opened.registry);
            }
            commit_mark(&opened.registry, found + 1).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    for seq in 1..=3 {
        marks[0].store(seq, Ordering::SeqCst);
        commit_mark(&registry, seq).unwrap();
        marks[1].store(seq, Ordering::SeqCst);
        publish(&disk, &registry);
    }
    drop(registry);
    let count = opened.load(Ordering::SeqCst);
    assert!(count > 200, "{count}");
}

/// STORE comes last, so a creation cut short is no store, and the next attempt begins afresh.
#[test]
fn a_creation_cut_short_can_be_made_again() {
    let (inner, disk) = disk();
    let identity = crate::identity::Identity::new(UUID, 1);
    inner.on_operation(move |info| {
        for (mode, image) in images(info.disk, info.number) {
            let image: Arc<dyn Disk> = Arc::new(image);
            if crate::identity::exists(&*image, dir()).unwrap() {
                assert_eq!(crate::identity::Identity::read(&*image, dir()).unwrap(), identity, "{mode}");
                assert_eq!(mark(&open(&image).unwrap().registry), 0);
            } else {
                crate::identity::check_vacant(&*image, dir()).unwrap();
                assert_eq!(mark(&created(&image)), 0);
            }
        }
    });
    drop(created(&disk));
    identity.write(&*disk, dir()).unwrap();
}
