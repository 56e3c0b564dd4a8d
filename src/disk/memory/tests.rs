//! Each rule of the crash model, shown.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::*;
use crate::disk::MapAccess;
use crate::disk::{FaultyDisk, Verdict, atomic_write};

const DIR: &str = "/store";

fn new_disk() -> MemDisk {
    let disk = MemDisk::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// A file whose name and contents are durable.
fn durable_file(disk: &MemDisk, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.open(&path(name), OpenMode::Create).unwrap();
    file.write_at(0, bytes).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    file
}

fn random_images(disk: &MemDisk) -> impl Iterator<Item = MemDisk> {
    (0..300).map(|seed| disk.crash_image(CrashMode::Random(seed)))
}

#[test]
fn what_was_synced_survives_every_crash_and_what_was_not_may_be_lost_or_kept() {
    let disk = new_disk();
    let file = durable_file(&disk, "a", b"old");
    file.write_at(0, b"new").unwrap();
    assert_eq!(disk.crash_image(CrashMode::DropAll).map(&path("a")).unwrap(), &b"old"[..]);
    assert_eq!(disk.crash_image(CrashMode::KeepAll).map(&path("a")).unwrap(), &b"new"[..]);
    let found: HashSet<Bytes> = random_images(&disk).map(|image| image.map(&path("a")).unwrap()).collect();
    assert_eq!(found, HashSet::from([Bytes::from("old"), Bytes::from("new")]));
    file.sync().unwrap();
    for image in random_images(&disk) {
        assert_eq!(image.map(&path("a")).unwrap(), &b"new"[..]);
    }
}

#[test]
fn long_writes_tear_between_sectors_and_never_within_one() {
    let disk = new_disk();
    let file = durable_file(&disk, "a", &[1; 2048]);
    file.write_at(0, &[2; 2048]).unwrap();
    let mut torn = 0;
    for image in random_images(&disk) {
        let bytes = image.map(&path("a")).unwrap();
        assert!(bytes.chunks(512).all(|sector| sector.iter().all(|&byte| byte == sector[0])));
        torn += usize::from(bytes[0] == 1 && bytes[2047] == 2);
    }
    assert!(torn > 0, "a later sector reached the medium before an earlier one");
}

#[test]
fn a_name_lives_only_with_its_folder_synced() {
    let disk = new_disk();
    let file = disk.open(&path("a"), OpenMode::Create).unwrap();
    file.write_at(0, b"x").unwrap();
    file.sync().unwrap();
    assert!(!disk.crash_image(CrashMode::DropAll).exists(&path("a")).unwrap());
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(disk.crash_image(CrashMode::DropAll).map(&path("a")).unwrap(), &b"x"[..]);
}

#[test]
fn a_rename_is_undone_or_whole() {
    let disk = new_disk();
    durable_file(&disk, "a", b"new");
    durable_file(&disk, "b", b"old");
    disk.rename(&path("a"), &path("b")).unwrap();
    let mut outcomes = HashSet::new();
    for image in random_images(&disk) {
        outcomes.insert((image.exists(&path("a")).unwrap(), image.map(&path("b")).unwrap()));
    }
    assert_eq!(outcomes, HashSet::from([(true, Bytes::from("old")), (false, Bytes::from("new"))]));
}

#[test]
fn stores_to_a_mapping_come_back_old_new_or_as_anything_until_synced() {
    let disk = new_disk();
    durable_file(&disk, "a", &[0; 4096]);
    let map = disk.open(&path("a"), OpenMode::Write).unwrap().map_shared(MapAccess::Write, 1 << 20).unwrap();
    map.words()[0].store(7, Ordering::Release);
    let words: HashSet<[u8; 8]> =
        random_images(&disk).map(|image| image.map(&path("a")).unwrap()[..8].try_into().unwrap()).collect();
    assert!(words.contains(&[0; 8]) && words.contains(&7u64.to_ne_bytes()) && words.len() > 2);
    map.sync(0, 8).unwrap();
    for image in random_images(&disk) {
        assert_eq!(image.map(&path("a")).unwrap()[..8], 7u64.to_ne_bytes());
    }
}

#[test]
fn a_failed_sync_is_never_made_good_by_a_later_one() {
    let disk = new_disk();
    let file = durable_file(&disk, "a", b"old");
    file.write_at(0, b"new").unwrap();
    disk.forget_unsynced(&path("a")).unwrap();
    file.sync().unwrap();
    assert_eq!(disk.map(&path("a")).unwrap(), &b"new"[..]);
    assert_eq!(disk.crash_image(CrashMode::DropAll).map(&path("a")).unwrap(), &b"old"[..]);
}

#[test]
fn a_kill_keeps_boot_and_writes_frees_locks_and_makes_nothing_durable() {
    let disk = new_disk();
    let file = durable_file(&disk, "a", b"old");
    let _guard = disk.try_lock(&path("a")).unwrap().unwrap();
    file.write_at(0, b"new").unwrap();
    let killed = disk.kill_image();
    assert_eq!(killed.boot_id(), disk.boot_id());
    assert!(!killed.is_locked(&path("a")).unwrap() && disk.is_locked(&path("a")).unwrap());
    assert_eq!(killed.map(&path("a")).unwrap(), &b"new"[..]);
    let crashed = killed.crash_image(CrashMode::DropAll);
    assert_eq!(crashed.map(&path("a")).unwrap(), &b"old"[..]);
    assert_ne!(crashed.boot_id(), disk.boot_id());
}

/// Whether, crashed before any operation of an atomic write over "old", every image holds one of both whole.
fn atomic_write_is_atomic(skip: Option<Operation>) -> bool {
    let disk = new_disk();
    durable_file(&disk, "M", b"old");
    let sound = Arc::new(Mutex::new(true));
    let seen = Arc::clone(&sound);
    let check = move |disk: &MemDisk, after: bool| {
        for image in random_images(disk) {
            let bytes = image.map(&path("M")).unwrap();
            if bytes != b"new, longer"[..] && (after || bytes != b"old"[..]) {
                *seen.lock().unwrap() = false;
            }
        }
    };
    let watch = check.clone();
    disk.on_operation(move |info| watch(info.disk, false));
    let faulty =
        FaultyDisk::at(Arc::new(disk.clone()), Verdict::Skip, 0, 1, move |operation, _| Some(operation) == skip);
    atomic_write(&faulty, Path::new(DIR), "M", b"new, longer").unwrap();
    check(&disk, true);
    *sound.lock().unwrap()
}

#[test]
fn an_atomic_write_survives_every_crash_and_each_left_out_sync_is_noticed() {
    assert!(atomic_write_is_atomic(None));
    assert!(!atomic_write_is_atomic(Some(Operation::Sync)));
    assert!(!atomic_write_is_atomic(Some(Operation::SyncDir)));
}

#[test]
fn after_the_given_number_of_operations_everything_fails() {
    let disk = new_disk();
    let file = durable_file(&disk, "a", b"old");
    disk.fail_after(disk.operations() + 1);
    file.write_at(0, b"new").unwrap();
    assert!(file.sync().is_err() && disk.open(&path("a"), OpenMode::Read).is_err());
    assert_eq!(disk.crash_image(CrashMode::KeepAll).map(&path("a")).unwrap(), &b"new"[..]);
}

#[test]
fn of_several_threads_operations_each_is_done_before_the_next_is_watched() {
    let disk = new_disk();
    let files: Vec<_> = ["a", "b", "c"].map(|name| durable_file(&disk, name, b"")).into();
    let first = disk.operations();
    let numbers: Arc<Mutex<Vec<u64>>> = Arc::default();
    let seen = Arc::clone(&numbers);
    disk.on_operation(move |info| {
        // So that the others stand waiting when this one goes on.
        std::thread::yield_now();
        seen.lock().unwrap().push(info.number);
    });
    std::thread::scope(|scope| {
        for file in &files {
            scope.spawn(|| (0..2_000).for_each(|_| file.sync().unwrap()));
        }
    });
    let numbers = std::mem::take(&mut *numbers.lock().unwrap());
    assert!(numbers.into_iter().eq(first..first + 6_000), "one was watched while another was under way");
}
