//! Checkpoints of the keyspace: when they are written, what an opening reads then, and which are not believed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::disk::OpenMode;
use crate::engine::keyspace::restore::Restored;
use crate::format::checkpoint::HEADER_BYTES;
use crate::keyspace::checkpoint::{FILE_NAME, TEMPORARY_NAME};
use crate::options::Durability;
use crate::registry::records::ViewRecord;

fn latest(name: &str) -> PathBuf {
    Path::new(DIR).join("latest").join(name)
}

/// What an opening of a disk makes of it.
fn restored(store: &Store) -> Restored {
    let engine = store.engine().unwrap();
    let picture = engine.reads().picture();
    engine.reads().keyspace_on_disk(&picture).restore().unwrap()
}

fn write(store: &Store, random: &mut Random, groups: usize) {
    let (engine, keyspace) = live(store);
    for _ in 0..groups {
        engine.change_keyspace(keyspace, |keyspace, now| change(keyspace, random, now)).unwrap();
    }
}

fn problems(disk: &MemDisk) -> Vec<String> {
    let report = Store::builder().disk(Arc::new(disk.clone())).check(DIR, &mut |_| {}).unwrap();
    report.problems.into_iter().map(|problem| format!("{}: {}", problem.file.display(), problem.what)).collect()
}

#[test]
fn an_opening_reads_the_checkpoint_and_the_rows_since() {
    assert_eq!(FILE_NAME, ViewRecord::of_keyspace().dir_name());
    let disk = MemDisk::new();
    let mut random = Random::new(3);
    let store = open(Arc::new(disk.clone()));
    write(&store, &mut random, 200);
    store.compact().unwrap();
    store.keyspace().unwrap().checkpoint().unwrap();
    let nothing_since = restored(&store);
    assert_eq!((nothing_since.row_bytes, nothing_since.checkpoint.is_some()), (0, true));
    write(&store, &mut random, 3);
    // Some of them in a run, which has all the others too.
    store.compact().unwrap();
    write(&store, &mut random, 3);
    let expected = dump_of(&store);
    let killed = disk.kill_image();
    let store = open(Arc::new(killed.clone()));
    let found = restored(&store);
    assert!(found.checkpoint.is_some() && found.row_bytes < 20_000, "{} bytes since", found.row_bytes);
    assert_eq!(dump_of(&store), expected);
    drop(store);
    assert!(problems(&killed).is_empty(), "{:?}", problems(&killed));
}

#[test]
fn one_is_written_when_an_opening_would_read_much_more_and_not_before() {
    let disk = MemDisk::new();
    let writes = Arc::new(Mutex::new(0));
    let written = Arc::clone(&writes);
    disk.on_operation(move |operation| {
        if operation.operation == Operation::Rename && operation.path.ends_with(TEMPORARY_NAME) {
            *written.lock().unwrap() += 1;
        }
    });
    let store = open(Arc::new(disk.clone()));
    let (engine, keyspace) = live(&store);
    let set = |key: u32, len: usize| {
        let value = vec![b'v'; len];
        engine.change_keyspace(keyspace, |keys, _| keys.set_string((0, &key.to_le_bytes()), value, None)).unwrap();
    };
    engine.checkpoint_if_due().unwrap();
    set(0, 1_000);
    engine.checkpoint_if_due().unwrap();
    assert_eq!(*writes.lock().unwrap(), 0, "a few rows are read as fast");
    // A hundred keys of a thousand bytes; then one of them again and again.
    (0..100).for_each(|key| set(key, 1_000));
    engine.checkpoint_if_due().unwrap();
    assert_eq!(*writes.lock().unwrap(), 1);
    let mut most = 0;
    for _ in 0..1_000 {
        set(7, 1_000);
        engine.checkpoint_if_due().unwrap();
        most = most.max(keyspace.rows_since.load(Ordering::Relaxed));
    }
    // Half of what they take, and four thousand.
    assert!((50_000..60_000).contains(&most), "{most}");
    assert!((15..25).contains(&*writes.lock().unwrap()), "{}", writes.lock().unwrap());
    // What a merge put together with rows since is looked through, too, and once.
    let count = *writes.lock().unwrap();
    store.keyspace().unwrap().checkpoint().unwrap();
    set(7, 1);
    for _ in 0..8 {
        store.seal().unwrap();
    }
    store.close().unwrap();
    assert!(*writes.lock().unwrap() <= count + 2);
}

#[test]
fn the_upkeep_writes_one_that_is_asked_for() {
    let disk = MemDisk::new();
    let store = Store::builder().disk(Arc::new(disk.clone())).open(DIR).unwrap();
    let keys = store.keyspace().unwrap();
    keys.change(|keyspace, _| keyspace.set_string((0, b"k"), b"v".to_vec(), None)).unwrap();
    keys.ask_for_checkpoint();
    let began = std::time::Instant::now();
    while !disk.exists(&latest(FILE_NAME)).unwrap() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "none is written");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The clock was ahead when the key went, or a field of it, and nothing was written then.
#[test]
fn what_went_by_a_clock_that_was_ahead_is_not_met_by_rows_of_earlier_times() {
    for is_field in [false, true] {
        let disk = MemDisk::new();
        let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
        let open_at = |disk: &MemDisk| {
            Store::builder().clock(clock.clone()).background(false).disk(Arc::new(disk.clone())).open(DIR).unwrap()
        };
        let key = (0, &b"k"[..]);
        let store = open_at(&disk);
        let keys = store.keyspace().unwrap();
        let made = keys.change(|keyspace, _| {
            keyspace.set_field(key, b"before", b"v");
            keyspace.set_field(key, b"goes", b"v");
            match is_field {
                true => keyspace.set_field_deadline(key, b"goes", Some(NOW + 10)),
                false => keyspace.set_deadline(key, Some(NOW + 10)),
            }
        });
        made.unwrap();
        clock.set(Timestamp(NOW + 20));
        keys.change(|keyspace, now| assert!(keyspace.remove_expired(now).is_some())).unwrap();
        keys.checkpoint().unwrap();
        clock.set(Timestamp(NOW));
        let image = disk.kill_image();
        let store = open_at(&image);
        let keys = store.keyspace().unwrap();
        assert_eq!(keys.now(), Timestamp(NOW + 20));
        let written = keys.change(|keyspace, now| {
            keyspace.forget_expired(key, now);
            keyspace.set_field(key, b"since", b"v");
        });
        written.unwrap();
        let expected = dump_of(&store);
        assert!(expected.len() == 1 && problems(&image).is_empty(), "{:?}", problems(&image));
        // Out of all rows: what was acknowledged has not the deadline of the key that went.
        let image = image.kill_image();
        image.remove(&latest(FILE_NAME)).unwrap();
        assert_eq!(dump_of(&open_at(&image)), expected);
    }
}

/// The bytes of the checkpoint.
fn copy(disk: &MemDisk) -> Vec<u8> {
    disk.map(&latest(FILE_NAME)).unwrap().to_vec()
}

fn put(disk: &MemDisk, bytes: &[u8]) {
    drop(disk.remove(&latest(FILE_NAME)));
    disk.open(&latest(FILE_NAME), OpenMode::Create).unwrap().write_at(0, bytes).unwrap();
}

#[test]
fn one_that_is_damaged_or_of_something_else_is_ignored_and_replaced() {
    let disk = MemDisk::new();
    let mut random = Random::new(5);
    let store = open(Arc::new(disk.clone()));
    write(&store, &mut random, 100);
    store.compact().unwrap();
    store.keyspace().unwrap().checkpoint().unwrap();
    write(&store, &mut random, 3);
    let expected = dump_of(&store);
    let sound = copy(&disk);
    let (image, len) = (disk.kill_image(), sound.len());
    drop(store);
    let mut spoilt: Vec<(String, Vec<u8>)> = vec![
        ("empty".into(), Vec::new()),
        ("cut short".into(), sound[..len - 1].to_vec()),
        ("no more than a header".into(), sound[..HEADER_BYTES].to_vec()),
        ("longer".into(), [&sound[..], &[0]].concat()),
        ("zeros".into(), vec![0; len]),
    ];
    for _ in 0..25 {
        let mut bytes = sound.clone();
        let at = usize::try_from(random.below(len as u64)).unwrap();
        bytes[at] ^= 1 << random.below(8);
        spoilt.push((format!("byte {at}"), bytes));
    }
    // Of a store of its own, and sound there.
    let other = MemDisk::new();
    let stranger = open(Arc::new(other.clone()));
    write(&stranger, &mut random, 100);
    stranger.keyspace().unwrap().checkpoint().unwrap();
    spoilt.push(("of another store".into(), copy(&other)));
    for (what, bytes) in spoilt {
        let image = image.kill_image();
        put(&image, &bytes);
        assert!(problems(&image).iter().any(|problem| problem.contains(FILE_NAME)), "{what}: a check says so");
        let store = open(Arc::new(image.clone()));
        let found = restored(&store);
        assert!(found.checkpoint.is_none(), "{what}");
        assert_eq!(dump_of(&store), expected, "{what}");
        store.keyspace().unwrap().checkpoint().unwrap();
        assert!(restored(&store).checkpoint.is_some(), "{what}: it is replaced");
        drop(store);
        assert!(problems(&image).is_empty(), "{what}: {:?}", problems(&image));
    }
}

#[test]
fn one_of_rows_that_the_store_does_not_have_is_removed_before_their_numbers_are_given_again() {
    let disk = MemDisk::new();
    let mut random = Random::new(5);
    let store = open(Arc::new(disk.clone()));
    write(&store, &mut random, 50);
    let (earlier, expected) = (disk.kill_image(), dump_of(&store));
    write(&store, &mut random, 50);
    assert_ne!(dump_of(&store), expected);
    store.keyspace().unwrap().checkpoint().unwrap();
    put(&earlier, &copy(&disk));
    assert!(problems(&earlier).iter().any(|problem| problem.contains("rows that the store does not have")));
    let store = open(Arc::new(earlier.clone()));
    assert!(!earlier.exists(&latest(FILE_NAME)).unwrap());
    assert_eq!(dump_of(&store), expected);
}

/// Where HEAD is put back, such numbers come again: rows that had them would not be done.
#[test]
fn no_checkpoint_claims_numbers_that_no_row_of_the_log_has() {
    let disk = MemDisk::new();
    let mut random = Random::new(5);
    let store = open(Arc::new(disk.clone()));
    write(&store, &mut random, 5);
    let last = live(&store).0.lock_core().next_seq - 1;
    // An opening after a power failure gives numbers above the log's reservation.
    let store = open(Arc::new(disk.crash_image(CrashMode::KeepAll)));
    assert!(live(&store).0.lock_core().next_seq - 1 > last);
    store.keyspace().unwrap().checkpoint().unwrap();
    let header = restored(&store).checkpoint.unwrap();
    assert_eq!((header.first_seq, header.last_seq), (last, last));
}

#[test]
fn no_checkpoint_has_a_row_that_a_power_failure_takes() {
    let disk = MemDisk::new();
    let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
    let open = |disk: &MemDisk| {
        let builder = Store::builder().durability(Durability::Os).clock(clock.clone()).background(false);
        builder.disk(Arc::new(disk.clone())).open(DIR).unwrap()
    };
    let store = open(&disk);
    let mut random = Random::new(5);
    write(&store, &mut random, 50);
    let at_checkpoint = dump_of(&store);
    store.keyspace().unwrap().checkpoint().unwrap();
    write(&store, &mut random, 50);
    assert_ne!(dump_of(&store), at_checkpoint);
    // The rows up to the checkpoint are durable, and those since were not asked to be.
    let image = disk.crash_image(CrashMode::DropAll);
    let store = open(&image);
    assert!(restored(&store).checkpoint.is_some());
    assert_eq!(dump_of(&store), at_checkpoint);
}

#[test]
fn at_whichever_step_a_kill_or_a_power_failure_comes_keys_are_what_a_group_left() {
    for durability in [Durability::Fsync, Durability::Os] {
        let disk = MemDisk::new();
        let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
        let sizes = Sizes { segment_bytes: 64 << 10, table_reserve_bytes: 1 << 20, ..Sizes::default() };
        let open = |disk: &MemDisk| {
            let builder = Store::builder().durability(durability).clock(clock.clone()).background(false);
            builder.sizes(sizes.clone()).disk(Arc::new(disk.clone())).open(DIR).unwrap()
        };
        let store = open(&disk);
        let mut random = Random::new(5);
        write(&store, &mut random, 20);
        store.keyspace().unwrap().checkpoint().unwrap();
        let mut states = vec![dump_of(&store)];
        for _ in 0..20 {
            write(&store, &mut random, 1);
            states.push(dump_of(&store));
        }
        let images = Arc::new(Mutex::new(Vec::new()));
        let (before, drawn) = (disk.clone(), Arc::clone(&images));
        disk.on_operation(move |operation| {
            let modes = [CrashMode::DropAll, CrashMode::KeepAll, CrashMode::Random(operation.number)];
            let crashes = modes.map(|mode| before.crash_image(mode));
            let what = format!("{durability}, {:?} of {}", operation.operation, operation.path.display());
            drawn.lock().unwrap().push((what, before.kill_image(), crashes));
        });
        store.keyspace().unwrap().checkpoint().unwrap();
        disk.on_operation(|_| {});
        let images = std::mem::take(&mut *images.lock().unwrap());
        assert!(images.len() > 8, "{} steps", images.len());
        for (what, killed, crashes) in images {
            let found = dump_of(&open(&killed));
            assert!(Some(&found) == states.last(), "{what}: a kill takes nothing");
            for image in crashes {
                let store = open(&image);
                let found = dump_of(&store);
                let is_one = states.iter().rev().take(if durability == Durability::Fsync { 1 } else { states.len() });
                assert!(is_one.into_iter().any(|state| *state == found), "{what}");
                assert!(restored(&store).checkpoint.is_some(), "{what}: the old one or the new one");
                drop(store);
                assert!(problems(&image).is_empty(), "{what}: {:?}", problems(&image));
            }
        }
    }
}

#[test]
fn groups_go_on_while_one_is_written() {
    let disk = MemDisk::new();
    let store = open(Arc::new(disk.clone()));
    let mut random = Random::new(1);
    let (engine, keyspace) = live(&store);
    // Enough for many pieces.
    for key in 0..2_000_u32 {
        let name = key.to_le_bytes();
        engine
            .change_keyspace(keyspace, |keys, _| {
                keys.set_field((5, &name), b"f", &[b'v'; 900]);
                keys.set_field((6, b"large"), &name, &[b'v'; 200]);
            })
            .unwrap();
    }
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut written = 0;
            // Not for ever, where something else goes wrong.
            while !is_over.load(Ordering::Relaxed) && written < 100_000 {
                engine.checkpoint().unwrap();
                written += 1;
            }
            written
        });
        for round in 0..400_u32 {
            engine.change_keyspace(keyspace, |keys, now| change(keys, &mut random, now)).unwrap();
            let (name, other) = (random.below(2_000) as u32, random.below(2_000) as u32);
            engine
                .change_keyspace(keyspace, |keys, _| {
                    keys.set_field((6, b"large"), &name.to_le_bytes(), &round.to_le_bytes());
                    keys.set_field((5, &name.to_le_bytes()), b"f", &round.to_le_bytes());
                    match round % 40 {
                        0 => drop(keys.rename((6, b"large"), (6, b"set aside"))),
                        1 => drop(keys.rename((6, b"set aside"), (6, b"large"))),
                        2..30 => drop(keys.copy((5, &name.to_le_bytes()), (5, &other.to_le_bytes()))),
                        _ => {}
                    }
                })
                .unwrap();
            if round % 50 == 10 {
                let expected = dump_of(&store);
                let killed = open(Arc::new(disk.kill_image()));
                assert!(dump_of(&killed) == expected, "round {round}");
                assert!(round < 100 || restored(&killed).checkpoint.is_some());
            }
        }
        is_over.store(true, Ordering::Relaxed);
        writing.join().unwrap()
    });
    assert!(written > 3, "{written} were written meanwhile");
}

#[test]
fn a_disk_without_room_for_one_keeps_the_store_from_nothing() {
    let disk = MemDisk::new();
    let is_full = Arc::new(AtomicBool::new(false));
    let full = Arc::clone(&is_full);
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, path| {
        match full.load(Ordering::SeqCst) && operation == Operation::Write && path.ends_with(TEMPORARY_NAME) {
            true => Verdict::Fail(std::io::ErrorKind::StorageFull),
            false => Verdict::Proceed,
        }
    });
    let store = open(Arc::new(faulty));
    let mut random = Random::new(1);
    write(&store, &mut random, 50);
    store.keyspace().unwrap().checkpoint().unwrap();
    let before = copy(&disk);
    is_full.store(true, Ordering::SeqCst);
    write(&store, &mut random, 50);
    assert_eq!(store.keyspace().unwrap().checkpoint().unwrap_err().kind(), ErrorKind::NoSpace);
    write(&store, &mut random, 50);
    assert_eq!((copy(&disk), disk.exists(&latest(TEMPORARY_NAME)).unwrap()), (before, false));
    let expected = dump_of(&store);
    // Nor from being closed.
    store.close().unwrap();
    is_full.store(false, Ordering::SeqCst);
    drop(store);
    let store = open(Arc::new(disk.clone()));
    assert!(dump_of(&store) == expected && restored(&store).row_bytes > 0);
    write(&store, &mut random, 1);
    store.keyspace().unwrap().checkpoint().unwrap();
    assert_eq!(restored(&store).row_bytes, 0);
}

#[test]
fn what_a_kill_left_of_one_is_removed_and_what_is_not_what_rows_say_is_told_by_a_check() {
    let disk = MemDisk::new();
    let store = open(Arc::new(disk.clone()));
    let mut random = Random::new(1);
    write(&store, &mut random, 50);
    store.keyspace().unwrap().checkpoint().unwrap();
    let image = disk.kill_image();
    drop(store);
    image.open(&latest(TEMPORARY_NAME), OpenMode::Create).unwrap().write_at(0, b"a part").unwrap();
    assert_eq!(problems(&image).len(), 1, "{:?}", problems(&image));
    drop(open(Arc::new(image.clone())));
    assert!(!image.exists(&latest(TEMPORARY_NAME)).unwrap() && image.exists(&latest(FILE_NAME)).unwrap());
    // A checkpoint whose checksums are right, and which says another thing.
    let mut bytes = copy(&image)[..HEADER_BYTES].to_vec();
    bytes[64..72].copy_from_slice(&(HEADER_BYTES as u64).to_le_bytes());
    bytes[72..80].fill(0);
    let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    put(&image, &bytes);
    assert!(problems(&image)[0].contains("does not have all keys"), "{:?}", problems(&image));
    let all: BTreeMap<_, _> = dump_of(&open(Arc::new(image)));
    assert!(!all.is_empty());
}
