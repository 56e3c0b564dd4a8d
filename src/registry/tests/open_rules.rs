//! Every state the two files can be found in.

use super::*;
use crate::disk::{FaultyDisk, Operation, Verdict};
use crate::error::ErrorKind;

const MANIFEST: &str = crate::manifest::FILE_NAME;

/// What became of one of the two files.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    Sound,
    /// As it was one generation before.
    Stale,
    Missing,
    Empty,
    Cut,
    Flipped,
    OtherStore,
}

const ALL: [Found; 7] =
    [Found::Sound, Found::Stale, Found::Missing, Found::Empty, Found::Cut, Found::Flipped, Found::OtherStore];

fn read(disk: &MemDisk, name: &str) -> Vec<u8> {
    let file = disk.open(&dir().join(name), OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn write(disk: &MemDisk, name: &str, bytes: Option<&[u8]>) {
    let path = dir().join(name);
    if disk.exists(&path).unwrap() {
        disk.remove(&path).unwrap();
    }
    if let Some(bytes) = bytes {
        disk.open(&path, OpenMode::Create).unwrap().write_at(0, bytes).unwrap();
    }
}

/// The bytes of both files after marks 1 and 2, and of another store's.
struct Files {
    stale: [Vec<u8>; 2],
    sound: [Vec<u8>; 2],
    other: [Vec<u8>; 2],
}

impl Files {
    fn new() -> Files {
        let (memory, disk) = disk();
        let both = || [FILE_NAME, MANIFEST].map(|name| read(&memory, name));
        let registry = created(&disk);
        commit_mark(&registry, 1).unwrap();
        publish(&disk, &registry);
        drop(registry);
        let stale = both();
        let registry = open(&disk).unwrap().registry;
        commit_mark(&registry, 2).unwrap();
        publish(&disk, &registry);
        drop(registry);
        let sound = both();
        let meta = Meta::default();
        let other = Registry::create(&disk, dir(), [9; 16], &meta, &ProjectRecord::default()).unwrap();
        publish(&disk, &other);
        drop(other);
        Files { stale, sound, other: both() }
    }

    fn put(&self, disk: &MemDisk, which: usize, found: Found) {
        let name = [FILE_NAME, MANIFEST][which];
        let sound = &self.sound[which];
        let bytes = match found {
            Found::Sound => Some(sound.clone()),
            Found::Stale => Some(self.stale[which].clone()),
            Found::Missing => None,
            Found::Empty => Some(Vec::new()),
            Found::Cut => Some(sound[..sound.len() / 3].to_vec()),
            Found::Flipped => {
                // Wherever it is that the newest snapshot's record lies, and its copies.
                let mut bytes = sound.clone();
                let mark = b"\"name\":\"s2\"";
                let places: Vec<usize> =
                    (0..bytes.len() - mark.len()).filter(|&at| bytes[at..].starts_with(mark)).collect();
                assert!(!places.is_empty());
                for at in places {
                    bytes[at + mark.len() - 2] = b'3';
                }
                Some(bytes)
            }
            Found::OtherStore => Some(self.other[which].clone()),
        };
        write(disk, name, bytes.as_deref());
    }
}

#[test]
fn every_combination_of_the_two_files_opens_as_the_table_says() {
    let files = Files::new();
    for stored in ALL {
        for published in ALL {
            let case = format!("registry {stored:?}, MANIFEST {published:?}");
            let (memory, disk) = disk();
            files.put(&memory, 0, stored);
            files.put(&memory, 1, published);
            let stored_mark = match stored {
                Found::Sound => Some(2),
                Found::Stale => Some(1),
                // A flipped newest page may leave the commit before, as redb keeps two.
                _ => None,
            };
            let published_mark = match published {
                Found::Sound => Some(2),
                Found::Stale => Some(1),
                _ => None,
            };
            let outcome = open(&disk);
            let Some(expected) = stored_mark.max(published_mark) else {
                if stored == Found::Flipped
                    && let Ok(opened) = &outcome
                {
                    assert_eq!(mark(&opened.registry), 1, "{case}");
                    continue;
                }
                let error = outcome.expect_err(&case);
                assert_eq!(error.kind(), ErrorKind::Damaged, "{case}: {error}");
                assert!(error.to_string().contains("put a copy of the store"), "{error}");
                continue;
            };
            let opened = outcome.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(mark(&opened.registry), expected, "{case}");
            assert_eq!(opened.must_publish, published_mark < stored_mark, "{case}");
            assert_eq!(opened.rebuilt.is_some(), stored_mark < published_mark, "{case}");

            // Whatever it was, it is in order now, and takes commits.
            publish(&disk, &opened.registry);
            commit_mark(&opened.registry, expected + 1).unwrap();
            publish(&disk, &opened.registry);
            drop(opened);
            let again = open(&disk).unwrap();
            assert_eq!(mark(&again.registry), expected + 1, "{case}");
            assert!(!again.must_publish && again.rebuilt.is_none(), "{case}");
        }
    }
}

#[test]
fn other_records_at_the_same_generation_are_replaced_by_the_published_ones() {
    let (_, disk) = disk();
    let registry = created(&disk);
    let before = registry.state().to_manifest();
    commit_mark(&registry, 1).unwrap();
    drop(registry);
    // What a registry file copied back from elsewhere looks like: as many commits, but not these.
    let mut elsewhere = before;
    elsewhere.generation = 2;
    elsewhere.records.insert("tile/1".to_owned(), "x".into());
    manifest::publish(&*disk, dir(), &elsewhere).unwrap();
    let opened = open(&disk).unwrap();
    assert!(opened.rebuilt.unwrap().contains("with other records"));
    assert_eq!(opened.registry.state().to_manifest(), elsewhere);
}

#[test]
fn a_newer_manifest_is_not_taken_for_a_damaged_one() {
    let (memory, disk) = disk();
    drop(created(&disk));
    let mut bytes = read(&memory, MANIFEST);
    bytes.truncate(bytes.len() - 4);
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    write(&memory, MANIFEST, Some(&bytes));
    assert_eq!(open(&disk).unwrap_err().kind(), ErrorKind::NewerFormat);
}

/// redb panics on some damaged pages and repairs others. Whatever it does, what was published is there
/// after the open, and no panic comes out.
#[test]
fn a_damaged_byte_anywhere_in_the_registry_file_loses_nothing_published() {
    let files = Files::new();
    let sound = &files.sound[0];
    // Zeros are pages without content, at which there is nothing to find.
    let used: Vec<usize> = (0..sound.len()).filter(|&at| sound[at] != 0).collect();
    let steps = 150;
    for step in 0..steps {
        let at = used[step * used.len() / steps];
        let mut bytes = sound.clone();
        bytes[at] ^= 0xff;
        let (memory, disk) = disk();
        write(&memory, FILE_NAME, Some(&bytes));
        files.put(&memory, 1, Found::Sound);
        let opened = open(&disk).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        assert_eq!(mark(&opened.registry), 2, "byte {at}");
        commit_mark(&opened.registry, 3).unwrap();
    }
}

/// Without a MANIFEST to compare with, damage is noticed or harmless: the answer is an error, or one of
/// the two commits that redb keeps, whole.
#[test]
fn a_damaged_registry_file_alone_is_an_error_or_a_whole_commit() {
    let files = Files::new();
    let sound = &files.sound[0];
    let used: Vec<usize> = (0..sound.len()).filter(|&at| sound[at] != 0).collect();
    let steps = 300;
    let (mut refused, mut opened) = (0, 0);
    for step in 0..steps {
        let at = used[step * used.len() / steps];
        for flip in [0xff, 0x01] {
            let mut bytes = sound.clone();
            bytes[at] ^= flip;
            let (memory, disk) = disk();
            write(&memory, FILE_NAME, Some(&bytes));
            match open(&disk) {
                Ok(found) => {
                    assert!(mark(&found.registry) >= 1, "byte {at}");
                    opened += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "byte {at}: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 0 && opened > 0);
}

#[test]
fn on_a_real_disk_too_a_cut_or_lost_registry_is_rebuilt() {
    let base = std::env::temp_dir().join(format!("asof-registry-{}", std::process::id()));
    std::fs::create_dir_all(&base).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(crate::disk::RealDisk);
    let open = || Registry::open(&disk, &base, UUID, manifest::load(&*disk, &base, &UUID));
    let registry = Registry::create(&disk, &base, UUID, &Meta::default(), &ProjectRecord::default()).unwrap();
    registry.propose(|change| change.put(&snapshot(1))).unwrap().commit().unwrap();
    manifest::publish(&*disk, &base, &registry.state().to_manifest()).unwrap();
    drop(registry);
    let path = base.join(FILE_NAME);
    for len_bytes in [None, Some(0), Some(100), Some(5_000)] {
        match len_bytes {
            None => std::fs::remove_file(&path).unwrap(),
            Some(len) => std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap(),
        }
        let opened = open().unwrap();
        assert!(opened.rebuilt.is_some(), "{len_bytes:?}");
        assert_eq!(opened.registry.state().generation(), 2);
        drop(opened);
        assert!(open().unwrap().rebuilt.is_none());
    }
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn an_error_of_the_disk_is_told_once_with_its_place_and_its_way_out() {
    let (_, sound) = disk();
    drop(created(&sound));
    let is_full = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let filled = Arc::clone(&is_full);
    let full: Arc<dyn Disk> = Arc::new(FaultyDisk::new(sound, move |operation, _| {
        match operation == Operation::Write && filled.load(std::sync::atomic::Ordering::SeqCst) {
            true => Verdict::Fail(std::io::ErrorKind::StorageFull),
            false => Verdict::Proceed,
        }
    }));
    let registry = open(&full).unwrap().registry;
    is_full.store(true, std::sync::atomic::Ordering::SeqCst);
    let error = commit_mark(&registry, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    for told in ["registry.redb", "free some space"] {
        assert_eq!(error.to_string().matches(told).count(), 1, "{error}");
    }
}
