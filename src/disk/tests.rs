//! The real disk and the simulated one answer alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::*;

/// A folder of the machine's file system that goes with the test.
struct TestDir(PathBuf);

impl TestDir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("asof-disk-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        TestDir(path)
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a test on both disks, each in a folder of its own.
fn on_both(name: &str, test: impl Fn(&dyn Disk, &Path)) {
    let dir = TestDir::new(name);
    test(&RealDisk, &dir.0);
    let memory = MemDisk::new();
    memory.create_dir(Path::new("/store")).unwrap();
    test(&memory, Path::new("/store"));
    let volatile = MemDisk::volatile();
    volatile.create_dir(Path::new("store")).unwrap();
    test(&volatile, Path::new("store"));
}

#[test]
fn a_file_is_made_once_and_read_where_it_was_written() {
    on_both("file", |disk, dir| {
        let path = dir.join("a");
        let file = disk.open(&path, OpenMode::Create).unwrap();
        file.write_at(5000, b"hello").unwrap();
        assert_eq!(file.len_bytes().unwrap(), 5005);
        let mut out = [9; 7];
        file.read_at(4998, &mut out).unwrap();
        assert_eq!(&out, b"\0\0hello");
        assert_eq!(file.read_at(5001, &mut out).unwrap_err().io_kind(), Some(std::io::ErrorKind::UnexpectedEof));
        let again = disk.open(&path, OpenMode::Create).unwrap_err();
        assert_eq!(again.io_kind(), Some(std::io::ErrorKind::AlreadyExists));
        assert!(disk.open(&dir.join("b"), OpenMode::Read).unwrap_err().is_missing_file());
        let reader = disk.open(&path, OpenMode::Read).unwrap();
        assert_eq!(reader.identity().unwrap(), file.identity().unwrap());
        assert!(reader.write_at(0, b"x").is_err(), "opened to read");
    });
}

#[test]
fn allocated_space_is_zero_and_never_cuts_a_file() {
    on_both("allocate", |disk, dir| {
        let file = disk.open(&dir.join("a"), OpenMode::Create).unwrap();
        file.write_at(0, b"abc").unwrap();
        file.allocate(8192).unwrap();
        assert_eq!(file.len_bytes().unwrap(), 8192);
        file.allocate(100).unwrap();
        assert_eq!(file.len_bytes().unwrap(), 8192);
        file.set_len(2).unwrap();
        file.set_len(4).unwrap();
        let mut out = [9; 4];
        file.read_at(0, &mut out).unwrap();
        assert_eq!(&out, b"ab\0\0");
        file.sync().unwrap();
    });
}

#[test]
fn a_file_with_holes_has_all_its_space_once_it_is_allocated() {
    const LEN: u64 = 4 << 20;
    let dir = TestDir::new("holes");
    let path = dir.0.join("a");
    let held = || std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&path).unwrap()) * 512;
    let file = RealDisk.open(&path, OpenMode::Create).unwrap();
    file.write_at(LEN - 5, b"hello").unwrap();
    assert!(held() < LEN, "this file system keeps no holes");
    file.allocate(LEN).unwrap();
    assert!(held() >= LEN, "{} bytes are held", held());
    file.allocate(2 * LEN).unwrap();
    assert!(held() >= 2 * LEN && file.len_bytes().unwrap() == 2 * LEN, "{} bytes are held", held());
    let mut out = [9; 6];
    file.read_at(LEN - 6, &mut out).unwrap();
    assert_eq!(&out, b"\0hello");
}

#[test]
fn a_lock_keeps_everybody_else_out_until_it_drops() {
    on_both("lock", |disk, dir| {
        let path = dir.join("LOCK");
        assert!(!disk.is_locked(&path).unwrap());
        disk.open(&path, OpenMode::Create).unwrap();
        let guard = disk.try_lock(&path).unwrap().unwrap();
        assert!(disk.try_lock(&path).unwrap().is_none());
        assert!(disk.is_locked(&path).unwrap());
        drop(guard);
        assert!(!disk.is_locked(&path).unwrap());
        assert!(disk.try_lock(&path).unwrap().is_some(), "asking takes no lock that lasts");
    });
}

#[test]
fn a_shared_map_and_the_file_are_the_same_bytes_also_after_growth() {
    on_both("shared", |disk, dir| {
        let path = dir.join("HEAD");
        let file = disk.open(&path, OpenMode::Create).unwrap();
        file.allocate(4096).unwrap();
        file.write_at(8, &7u64.to_ne_bytes()).unwrap();
        let map = disk.open(&path, OpenMode::Write).unwrap().map_shared(MapAccess::Write, 1 << 20).unwrap();
        let reader = disk.open(&path, OpenMode::Read).unwrap().map_shared(MapAccess::Read, 1 << 20).unwrap();
        assert_eq!(map.words().len(), (1 << 20) / 8);
        assert_eq!(reader.words()[1].load(Ordering::Acquire), 7);
        map.words()[1].store(8, Ordering::Release);
        assert_eq!(reader.words()[1].load(Ordering::Acquire), 8);
        file.allocate(16384).unwrap();
        map.words()[2047].store(u64::MAX, Ordering::Release);
        map.prefetch(2047);
        map.prefetch(usize::MAX);
        map.sync(0, 16384).unwrap();
        assert!(map.sync(0, (1 << 20) + 1).is_err());
        let mut out = [0; 8];
        file.read_at(16376, &mut out).unwrap();
        assert_eq!(out, [255; 8]);
        file.write_at(3, b"xyz").unwrap();
        assert_eq!(reader.words()[0].load(Ordering::Acquire).to_ne_bytes(), *b"\0\0\0xyz\0\0");
    });
}

#[test]
fn an_immutable_map_holds_the_file_aligned_for_arrow_and_outlives_its_name() {
    on_both("map", |disk, dir| {
        let path = dir.join("run");
        disk.open(&path, OpenMode::Create).unwrap();
        assert!(disk.map(&path).unwrap().is_empty());
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
        disk.open(&path, OpenMode::Write).unwrap().write_at(0, &bytes).unwrap();
        let map = disk.map(&path).unwrap();
        disk.remove(&path).unwrap();
        assert_eq!(map, bytes);
        assert_eq!(map.as_ptr().align_offset(64), 0);
        assert!(disk.map(&path).unwrap_err().is_missing_file());
    });
}

#[test]
fn folders_hold_names_and_go_only_when_empty() {
    on_both("folders", |disk, dir| {
        let sub = dir.join("log");
        disk.create_dir(&sub).unwrap();
        disk.create_dir(&sub).unwrap();
        for name in ["b", "a", "c"] {
            disk.open(&sub.join(name), OpenMode::Create).unwrap();
        }
        assert_eq!(disk.list(&sub).unwrap(), ["a", "b", "c"]);
        disk.rename(&sub.join("c"), &sub.join("a")).unwrap();
        assert_eq!(disk.list(&sub).unwrap(), ["a", "b"]);
        assert_eq!(disk.list(dir).unwrap(), ["log"]);
        assert!(disk.remove_dir(&sub).is_err());
        disk.remove(&sub.join("a")).unwrap();
        disk.remove(&sub.join("b")).unwrap();
        disk.sync_dir(&sub).unwrap();
        disk.remove_dir(&sub).unwrap();
        assert!(!disk.exists(&sub).unwrap());
        assert!(disk.list(&sub).unwrap_err().is_missing_file());
        assert!(disk.sync_dir(&sub).unwrap_err().is_missing_file());
        assert!(disk.open(&sub.join("a"), OpenMode::Create).unwrap_err().is_missing_file());
    });
}

#[test]
fn an_atomic_write_replaces_whole_and_leaves_nothing_behind() {
    on_both("atomic", |disk, dir| {
        disk.open(&dir.join("MANIFEST.tmp"), OpenMode::Create).unwrap();
        atomic_write(disk, dir, "MANIFEST", b"one, longer").unwrap();
        atomic_write(disk, dir, "MANIFEST", b"two").unwrap();
        assert_eq!(disk.map(&dir.join("MANIFEST")).unwrap(), &b"two"[..]);
        assert_eq!(disk.list(dir).unwrap(), ["MANIFEST"]);
    });
}

#[test]
fn boots_have_names() {
    assert_ne!(RealDisk.boot_id(), [0; 16]);
    assert_eq!(RealDisk.boot_id(), RealDisk.boot_id());
}

#[test]
fn random_operations_do_the_same_on_every_disk_and_in_a_naive_model() {
    for seed in 0..40 {
        on_both("random", |disk, dir| random_operations(disk, dir, seed));
    }
}

/// A few files, a few operations; the model is a map of names to bytes.
fn random_operations(disk: &dyn Disk, dir: &Path, seed: u64) {
    let mut random = crate::disk::Random::new(seed);
    let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for name in disk.list(dir).unwrap() {
        disk.remove(&dir.join(name)).unwrap();
    }
    let mut maps = Vec::new();
    for _ in 0..120 {
        let name = format!("f{}", random.below(3));
        let path = dir.join(&name);
        let offset = random.below(20_000);
        let len = usize::try_from(random.below(6_000)).unwrap();
        let there = model.contains_key(&name);
        match random.below(9) {
            0 => {
                assert_eq!(disk.open(&path, OpenMode::Create).is_ok(), !there);
                model.entry(name).or_default();
            }
            1 => {
                let to = format!("f{}", random.below(3));
                assert_eq!(disk.rename(&path, &dir.join(&to)).is_ok(), there);
                if let Some(bytes) = model.remove(&name) {
                    model.insert(to, bytes);
                }
            }
            2 => {
                assert_eq!(disk.remove(&path).is_ok(), there);
                model.remove(&name);
            }
            3 | 4 if there => {
                let bytes = vec![u8::try_from(random.below(256)).unwrap(); len];
                disk.open(&path, OpenMode::Write).unwrap().write_at(offset, &bytes).unwrap();
                let end = usize::try_from(offset).unwrap() + len;
                let model = model.get_mut(&name).unwrap();
                if len > 0 {
                    model.resize(model.len().max(end), 0);
                    model[end - len..end].copy_from_slice(&bytes);
                }
            }
            5 if there => {
                disk.open(&path, OpenMode::Write).unwrap().set_len(offset).unwrap();
                model.get_mut(&name).unwrap().resize(usize::try_from(offset).unwrap(), 0);
            }
            6 if there => {
                disk.open(&path, OpenMode::Write).unwrap().allocate(offset).unwrap();
                let model = model.get_mut(&name).unwrap();
                model.resize(model.len().max(usize::try_from(offset).unwrap()), 0);
            }
            7 if there && random.below(4) == 0 => {
                maps.push(disk.open(&path, OpenMode::Write).unwrap().map_shared(MapAccess::Write, 65_536).unwrap());
            }
            _ if there => disk.open(&path, OpenMode::Read).unwrap().sync().unwrap(),
            _ => assert!(disk.open(&path, OpenMode::Write).unwrap_err().is_missing_file()),
        }
        assert_eq!(disk.list(dir).unwrap(), model.keys().cloned().collect::<Vec<_>>());
    }
    for (name, bytes) in &model {
        assert_eq!(disk.map(&dir.join(name)).unwrap(), bytes, "{name} of seed {seed}");
        let file = disk.open(&dir.join(name), OpenMode::Read).unwrap();
        let mut out = vec![1; bytes.len()];
        file.read_at(0, &mut out).unwrap();
        assert!(out == *bytes, "{name} of seed {seed}");
    }
}

#[test]
fn a_faulty_disk_has_a_say_in_syncs_of_mappings_too() {
    on_both("faulty", |disk, dir| {
        let path = dir.join("HEAD");
        disk.open(&path, OpenMode::Create).unwrap().allocate(4096).unwrap();
        // A disk that is borrowed cannot stand behind another; both are here anew.
        let inner: Arc<dyn Disk> = if disk.boot_id() == RealDisk.boot_id() {
            Arc::new(RealDisk)
        } else {
            let memory = MemDisk::new();
            memory.create_dir(dir).unwrap();
            memory.open(&path, OpenMode::Create).unwrap().allocate(4096).unwrap();
            Arc::new(memory)
        };
        let fail = Verdict::Fail(std::io::ErrorKind::Other);
        let faulty = FaultyDisk::at(inner, fail, 1, 1, |operation, _| operation == Operation::SyncMap);
        let map = faulty.open(&path, OpenMode::Write).unwrap().map_shared(MapAccess::Write, 4096).unwrap();
        map.words()[0].store(7, Ordering::Release);
        map.sync(0, 8).unwrap();
        assert!(map.sync(0, 8).is_err());
        map.sync(0, 8).unwrap();
    });
}
