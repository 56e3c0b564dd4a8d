//! Opening a store for writing where a table or a leftover can be neither written nor removed: nothing depends on them.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use asof::Features;
use asof::Store;
use asof::disk::{CrashMode, Disk, FaultyDisk, MemDisk, OpenMode, Operation, Verdict};
use asof::options::Durability;
use asof::time::Timestamp;
use asof::value::Value;

use super::image::{STORE, path};
use super::windows::{apply, batch, builder, builder_on, file_of, read, x};

const TABLE: &str = "latest/1-v@1";
const TOO_MANY_OPEN_FILES: i32 = 24;

/// A disk that refuses such operations on one file, or on what lies in one folder.
fn refusing(disk: &MemDisk, place: &'static str, verdict: Verdict, operations: &'static [Operation]) -> Arc<dyn Disk> {
    Arc::new(FaultyDisk::at(Arc::new(disk.clone()), verdict, 0, u64::MAX, move |operation, file: &Path| {
        operations.contains(&operation) && file.starts_with(path(place))
    }))
}

const UNREADABLE: Verdict = Verdict::Fail(io::ErrorKind::Other);

/// A store whose log has lost its last rows, and whose table, closed in order, has them. Nothing else bears witness of them.
fn table_ahead_of_the_log() -> MemDisk {
    let disk = MemDisk::new();
    let store = builder(&disk).durability(Durability::Os).open(STORE).unwrap();
    apply(&store);
    store.write("v", &batch(0..9, 1, 1)).unwrap();
    let log = file_of(&disk, "log", ".log");
    let end = || read(&disk, &log).iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512 + 512;
    let before = end();
    store.write("v", &batch(0..9, 2, 2)).unwrap();
    let lost = end() - before;
    store.close().unwrap();
    drop(store);
    disk.remove(&path("HEAD")).unwrap();
    disk.open(&log, OpenMode::Write).unwrap().write_at(before as u64, &vec![0; lost]).unwrap();
    disk
}

/// Each opening once failed, for as long as the file was there.
#[test]
fn a_table_that_may_have_rows_which_the_log_lost_and_cannot_be_retired_is_gone_for_good() {
    let disk = table_ahead_of_the_log();
    let (medium, begun) = (disk.clone(), Arc::new(Mutex::new(None)));
    let image = Arc::clone(&begun);
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, file: &Path| {
        if operation == Operation::SyncMap && file == path("HEAD") {
            image.lock().unwrap().get_or_insert_with(|| medium.crash_image(CrashMode::DropAll));
        }
        if operation == Operation::OpenWrite && file == path(TABLE) { UNREADABLE } else { Verdict::Proceed }
    });
    let store = builder_on(Arc::new(faulty)).open(STORE).unwrap();
    let reader = builder(&disk).open_read_only(STORE).unwrap();
    assert_eq!((x(&store, 3), x(&reader, 3)), (Some(1), Some(1)));
    let begun = begun.lock().unwrap().take().unwrap();
    assert!(!begun.exists(&path(TABLE)).unwrap(), "HEAD tells of a writer, and a power failure brings the table back");
    store.write("v", &batch(0..5, 3, 3)).unwrap();
    assert_eq!((x(&store, 3), x(&reader, 3), x(&store, 7)), (Some(3), Some(3), Some(1)));
    store.close().unwrap();
    drop(store);
    let store = builder(&disk).open(STORE).unwrap();
    assert_eq!((x(&store, 3), x(&store, 7)), (Some(3), Some(1)));
}

#[test]
fn a_power_failure_and_a_table_that_cannot_be_written_to_keep_no_store_from_opening() {
    let disk = MemDisk::new();
    let store = builder(&disk).durability(Durability::Fsync).open(STORE).unwrap();
    apply(&store);
    store.write("v", &batch(0..9, 1, 1)).unwrap();
    for mode in [CrashMode::KeepAll, CrashMode::DropAll] {
        let image = disk.crash_image(mode);
        for round in 2..4 {
            let faulty = refusing(&image, TABLE, UNREADABLE, &[Operation::OpenWrite]);
            let store = builder_on(faulty).open(STORE).unwrap();
            assert_eq!(x(&store, 3), Some(round - 1), "{mode:?}");
            store.write("v", &batch(0..9, round, round)).unwrap();
            store.close().unwrap();
        }
        assert_eq!(x(&builder(&image).open(STORE).unwrap(), 3), Some(3), "{mode:?}");
    }
}

/// HEAD told of a writer by then: the opening after that had to recover the log, too, and failed again.
#[test]
fn a_leftover_that_cannot_be_removed_keeps_no_store_from_opening() {
    const OPEN_OR_REMOVE: &[Operation] = &[Operation::OpenWrite, Operation::Remove];
    for (leftover, refused, is_removed) in [
        ("latest/99-gone@1", &OPEN_OR_REMOVE[..1], true),
        ("latest/99-gone@1", &OPEN_OR_REMOVE[1..], false),
        ("latest/99-gone@1", OPEN_OR_REMOVE, false),
        ("quarantine/0000000099-v.jsonl.tmp", OPEN_OR_REMOVE, false),
    ] {
        let disk = MemDisk::new();
        let store = builder(&disk).open(STORE).unwrap();
        apply(&store);
        store.write("v", &batch(0..9, 1, 1)).unwrap();
        store.close().unwrap();
        drop(store);
        disk.open(&path(leftover), OpenMode::Create).unwrap().write_at(0, &[7; 8192]).unwrap();
        let store = builder_on(refusing(&disk, leftover, UNREADABLE, refused)).open(STORE).unwrap();
        assert_eq!(x(&store, 3), Some(1), "{leftover}");
        store.close().unwrap();
        drop(store);
        assert_eq!(disk.exists(&path(leftover)).unwrap(), !is_removed, "{leftover}, {refused:?} refused");
        builder(&disk).open(STORE).unwrap().close().unwrap();
        assert!(!disk.exists(&path(leftover)).unwrap(), "{leftover} could be removed now");
    }
}

/// Which files the tables are.
fn tables(disk: &MemDisk) -> Vec<(String, (u64, u64))> {
    let mut names = disk.list(&path("latest")).unwrap();
    names.sort();
    let file = |name: &String| disk.open(&path("latest").join(name), OpenMode::Read).unwrap().identity().unwrap();
    names.iter().map(|name| (name.clone(), file(name))).collect()
}

/// A view's value, where its table gives it.
fn x_of_table(store: &Store, view: &str) -> Option<i64> {
    let mut online = store.online(&Features::list([format!("{view}:x")]).unwrap()).unwrap();
    let key = online.key(&[("id", Value::Int64(3))]).unwrap();
    let row = online.get(&key, Timestamp(i64::MAX)).unwrap();
    if row.is_from_latest_table(0) { row.i64(0) } else { None }
}

/// Those that found no descriptor were given up once, and the command failed all the same for want of others.
#[test]
fn for_want_of_a_descriptor_an_opening_is_refused_and_no_table_is_given_up() {
    let killed = MemDisk::new();
    let store = builder(&killed).open(STORE).unwrap();
    apply(&store);
    store.write("v", &batch(0..9, 1, 1)).unwrap();
    store.write("w", &batch(0..9, 1, 1)).unwrap();
    let (killed, closed) = (killed.kill_image(), killed);
    store.close().unwrap();
    drop(store);
    let lost = closed.kill_image();
    lost.remove(&path("HEAD")).unwrap();
    for (disk, ending) in [(closed, "closed"), (killed, "killed"), (lost, "HEAD lost")] {
        let before = tables(&disk);
        assert_eq!(before.len(), 2, "{ending}");
        for _ in 0..2 {
            let errno = Verdict::Errno(TOO_MANY_OPEN_FILES);
            let faulty = refusing(&disk, "latest/2-w@1", errno, &[Operation::OpenWrite]);
            let error = builder_on(faulty).open(STORE).map(drop).unwrap_err().to_string();
            assert!(error.contains("2-w@1") && error.contains("ulimit -n"), "{ending}: {error}");
            assert_eq!(tables(&disk), before, "{ending}: a table went");
        }
        let store = builder(&disk).open(STORE).unwrap();
        assert_eq!(["v", "w"].map(|view| x_of_table(&store, view)), [Some(1), Some(1)], "{ending}");
        assert_eq!(tables(&disk) == before, ending != "HEAD lost", "{ending}: which tables are believed");
        assert_eq!(x(&store, 3), Some(1), "{ending}");
    }
}

/// A store of more views than a process may have tables open was made, and could not be written to any more.
#[test]
fn for_want_of_a_descriptor_a_table_that_is_not_there_keeps_no_store_from_opening() {
    let disk = MemDisk::new();
    let none = || {
        let operations = &[Operation::OpenWrite, Operation::Create];
        refusing(&disk, "latest/2-w@1", Verdict::Errno(TOO_MANY_OPEN_FILES), operations)
    };
    let store = builder_on(none()).open(STORE).unwrap();
    apply(&store);
    store.close().unwrap();
    drop(store);
    assert_eq!(tables(&disk).len(), 1, "the other could not be made");
    for round in 1..3 {
        if round == 2 {
            disk.remove(&path("HEAD")).unwrap();
        }
        let store = builder_on(none()).open(STORE).unwrap();
        store.write("v", &batch(0..9, round, round)).unwrap();
        store.write("w", &batch(0..9, round, round)).unwrap();
        assert_eq!(x(&store, 3), Some(round));
        store.close().unwrap();
    }
    let store = builder(&disk).open(STORE).unwrap();
    assert_eq!(["v", "w"].map(|view| x_of_table(&store, view)), [Some(2), Some(2)]);
}
