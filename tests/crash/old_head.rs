//! A HEAD that says "closed in order" of an earlier day: what a writer makes of it, and what a process that only reads.
//!
//! No crash brings one back: the mark is taken back, and that synced, before anything else is written. A copy of a folder
//! does that was begun while the store was closed and ended while it was in use, and so does a hand.

use std::sync::{Arc, Mutex};

use asof::disk::{CrashMode, Disk, FaultyDisk, MemDisk, OpenMode, Operation, Verdict};
use asof::options::Durability;
use asof::time::Timestamp;
use asof::value::Value;
use asof::{ErrorKind, Features, GetOptions, Store};

use super::image::{STORE, path};
use super::windows::{apply, batch, builder, builder_on, file_of, read, x};

/// A store of nine rows that was closed in order, and its HEAD.
fn closed_store() -> (MemDisk, Vec<u8>) {
    let disk = MemDisk::new();
    let store = builder(&disk).open(STORE).unwrap();
    apply(&store);
    store.write("v", &batch(0..9, 1, 1)).unwrap();
    store.close().unwrap();
    let closed = read(&disk, &path("HEAD"));
    (disk, closed)
}

/// What a power failure leaves of the synced, with this HEAD in place of its own.
fn image_with_head(disk: &MemDisk, head: &[u8]) -> MemDisk {
    let image = disk.crash_image(CrashMode::DropAll);
    image.remove(&path("HEAD")).unwrap();
    image.open(&path("HEAD"), OpenMode::Create).unwrap().write_at(0, head).unwrap();
    image
}

#[test]
fn a_clean_mark_that_the_store_has_outlived_is_not_believed() {
    // HEAD as it was closed, and then what a copy of a folder that is in use may miss: a seal, or a full segment.
    for is_sealed in [false, true] {
        let (disk, closed) = closed_store();
        let store = builder(&disk).durability(Durability::Os).open(STORE).unwrap();
        let mut round = 1;
        let segment = file_of(&disk, "log", ".log");
        while file_of(&disk, "log", ".log") == segment {
            round += 1;
            store.write("v", &batch(0..9, round, round)).unwrap();
            if is_sealed && round == 4 {
                store.seal().unwrap();
            }
        }
        let shown = store.write("v", &batch(0..9, round, round)).unwrap().first_seq + 8;
        // The rows of the new segment are lost, and the old HEAD comes back.
        let image = image_with_head(&disk, &closed);
        let store = builder(&image).open(STORE).unwrap();
        let next = store.write("v", &batch(0..9, 1_000, 1_000)).unwrap().first_seq;
        assert!(next > shown, "number {next} is given, and numbers up to {shown} were");
        assert!((0..9).all(|key| x(&store, key) == Some(1_000)));
    }
}

#[test]
fn rows_that_were_synced_after_a_clean_mark_are_found_where_the_mark_comes_back() {
    let (disk, closed) = closed_store();
    let store = builder(&disk).durability(Durability::Fsync).open(STORE).unwrap();
    let shown = store.write("v", &batch(0..9, 2, 2)).unwrap().first_seq + 8;
    let image = image_with_head(&disk, &closed);
    let store = builder(&image).open(STORE).unwrap();
    assert!((0..9).all(|key| x(&store, key) == Some(2)), "acknowledged rows are lost");
    let next = store.write("v", &batch(0..9, 3, 3)).unwrap().first_seq;
    assert!(next > shown, "number {next} is given, and numbers up to {shown} were");
}

/// What a process that only reads answers of `key`.
fn x_read(image: &MemDisk, key: i64) -> Option<i64> {
    x(&builder(image).open_read_only(STORE).unwrap(), key)
}

#[test]
fn a_process_that_only_reads_does_not_believe_a_clean_mark_that_the_store_has_outlived() {
    // What tells that the store went on: rows in the segment that HEAD names, a later segment, or a newer MANIFEST.
    let write = |store: &Store, round: i64| drop(store.write("v", &batch(0..9, round, round)).unwrap());
    type GoOn = fn(&Store, &MemDisk, &dyn Fn(&Store, i64));
    let ways: [(&str, GoOn); 3] = [
        ("rows", |store, _, write| write(store, 2)),
        ("a segment", |store, disk, write| {
            let segment = file_of(disk, "log", ".log");
            while file_of(disk, "log", ".log") == segment {
                write(store, 2);
            }
        }),
        ("a seal", |store, _, write| {
            write(store, 2);
            store.seal().unwrap();
        }),
    ];
    for (name, go_on) in ways {
        let (disk, closed) = closed_store();
        let reader = builder(&disk).open_read_only(STORE).unwrap();
        assert_eq!(x(&reader, 3), Some(1), "{name}: closed, and read");
        let store = builder(&disk).durability(Durability::Fsync).open(STORE).unwrap();
        go_on(&store, &disk, &write);
        assert_eq!(x(&reader, 3), Some(2), "{name}: read beside the writer");
        let image = image_with_head(&disk, &closed);
        assert_eq!(x_read(&image, 3), Some(2), "{name}: an acknowledged row is lost");
        let check = || {
            let disk = Arc::new(image.kill_image());
            Store::builder().disk(disk).check(STORE, &mut |_| ()).unwrap()
        };
        assert_eq!(check().problems, [], "{name}");
        // A reader from before the next writer follows it.
        let reader = builder(&image).open_read_only(STORE).unwrap();
        assert_eq!((x(&reader, 3), x(&reader, 3)), (Some(2), Some(2)), "{name}");
        let store = builder(&image).open(STORE).unwrap();
        assert_eq!(x(&reader, 3), Some(2), "{name}: a writer has come");
        write(&store, 3);
        assert_eq!(x(&reader, 3), Some(3), "{name}: the writer's row");
        store.close().unwrap();
        assert_eq!((x(&reader, 3), x_read(&image, 3)), (Some(3), Some(3)), "{name}: closed again");
        assert_eq!(check().problems, [], "{name}");
    }
}

#[test]
fn no_crash_brings_a_clean_mark_back() {
    let (disk, _) = closed_store();
    let images: Arc<Mutex<Vec<MemDisk>>> = Arc::default();
    let taken = Arc::clone(&images);
    disk.on_operation(move |info| {
        let seed = taken.lock().unwrap().len() as u64;
        let mode = [CrashMode::DropAll, CrashMode::Random(seed), CrashMode::Random(seed + 1)][seed as usize % 3];
        taken.lock().unwrap().push(info.disk.crash_image(mode));
    });
    let store = builder(&disk).durability(Durability::Fsync).open(STORE).unwrap();
    let opened = images.lock().unwrap().len();
    store.write("v", &batch(0..9, 2, 2)).unwrap();
    store.seal().unwrap();
    disk.on_operation(|_| {});
    let images = std::mem::take(&mut *images.lock().unwrap());
    assert!(opened > 3 && images.len() > opened + 3, "{opened} operations of an opening, {} in all", images.len());
    let is_clean = |image: &MemDisk| read(image, &path("HEAD"))[16 * 8] == 1;
    assert!(is_clean(&images[0]), "before anything was done");
    assert!(images[opened..].iter().all(|image| !is_clean(image)), "rows are written, and the mark stands");
}

#[test]
fn a_segment_that_is_gone_is_missed_by_a_closed_head_that_names_it() {
    let (disk, _) = closed_store();
    let store = builder(&disk).durability(Durability::Fsync).open(STORE).unwrap();
    let segment = file_of(&disk, "log", ".log");
    while file_of(&disk, "log", ".log") == segment {
        store.write("v", &batch(0..9, 2, 2)).unwrap();
    }
    store.write("v", &batch(0..9, 3, 3)).unwrap();
    store.close().unwrap();
    disk.remove(&file_of(&disk, "log", ".log")).unwrap();
    let writer = builder(&disk.kill_image()).open(STORE).map(drop).unwrap_err();
    assert_eq!(writer.kind(), ErrorKind::Damaged, "{writer}");
    let reader = builder(&disk).open_read_only(STORE).map(drop).unwrap_err();
    assert!(matches!(reader.kind(), ErrorKind::Damaged | ErrorKind::Io), "{reader}");
}

#[test]
fn a_manifest_older_than_head_is_not_answered_from() {
    let (disk, _) = closed_store();
    let older = read(&disk, &path("MANIFEST"));
    let store = builder(&disk).open(STORE).unwrap();
    store.write("v", &batch(0..9, 2, 2)).unwrap();
    store.seal().unwrap();
    store.close().unwrap();
    let image = disk.kill_image();
    image.remove(&path("MANIFEST")).unwrap();
    image.open(&path("MANIFEST"), OpenMode::Create).unwrap().write_at(0, &older).unwrap();
    let error = builder(&image).open_read_only(STORE).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    // The writer has it from the registry.
    let store = builder(&image).open(STORE).unwrap();
    assert_eq!((x(&store, 3), x_read(&image, 3)), (Some(2), Some(2)));
}

#[test]
fn what_a_power_failure_left_right_after_a_seal_is_no_damage() {
    let (disk, _) = closed_store();
    let store = builder(&disk).durability(Durability::Fsync).open(STORE).unwrap();
    store.write("v", &batch(0..9, 2, 2)).unwrap();
    store.seal().unwrap();
    let image = Arc::new(disk.crash_image(CrashMode::DropAll));
    assert_eq!(Store::builder().disk(image).check(STORE, &mut |_| ()).unwrap().problems, []);
}

/// Puts a file in the place of another, under its name.
fn put(disk: &MemDisk, name: &str, bytes: &[u8]) {
    disk.remove(&path(name)).unwrap();
    disk.open(&path(name), OpenMode::Create).unwrap().write_at(0, bytes).unwrap();
}

/// The latest table of the view.
const TABLE: &str = "latest/1-v@1";

#[test]
fn a_table_of_an_earlier_day_is_not_believed_however_well_it_was_closed() {
    // A closed table was believed whatever the store had got since: a row of before answered, and a key that came later was
    // not found.
    let (disk, _) = closed_store();
    let older = read(&disk, &path(TABLE));
    let store = builder(&disk).open(STORE).unwrap();
    store.write("v", &batch(0..12, 2, 2)).unwrap();
    store.close().unwrap();
    let newer = read(&disk, &path(TABLE));
    let reader = |disk: &MemDisk| builder(disk).open_read_only(STORE).unwrap();
    let closed = disk.kill_image();
    assert_eq!((x(&reader(&closed), 3), x(&reader(&closed), 11)), (Some(2), Some(2)));
    put(&closed, TABLE, &older);
    assert_eq!((x(&reader(&closed), 3), x(&reader(&closed), 11)), (Some(2), Some(2)), "the store is closed");
    let check = Store::builder().disk(Arc::new(closed.kill_image())).check(STORE, &mut |_| ()).unwrap();
    assert_eq!(check.problems, [], "a table that nobody believes damages nothing");
    // The writer brings it up.
    let store = builder(&closed).open(STORE).unwrap();
    assert_eq!((x(&store, 3), x(&store, 11)), (Some(2), Some(2)));
    drop(store);
    assert_eq!((x(&reader(&closed), 3), x(&reader(&closed), 11)), (Some(2), Some(2)), "closed again");

    // Beside a writer, who has another file: also a copy that has every row so far.
    for copy in [older, newer] {
        let disk = disk.kill_image();
        let store = builder(&disk).open(STORE).unwrap();
        put(&disk, TABLE, &copy);
        let reader = reader(&disk);
        assert_eq!((x(&reader, 3), x(&reader, 11)), (Some(2), Some(2)), "a writer has the store");
        store.write("v", &batch(0..13, 3, 3)).unwrap();
        assert_eq!((x(&reader, 3), x(&reader, 12)), (Some(3), Some(3)), "it writes");
    }
}

/// What is read of the image, by a process that only reads and by the next writer, is what log and runs say: [`x`] compares.
fn agree(image: &MemDisk, moment: usize) -> Option<i64> {
    let read = x(&builder(image).open_read_only(STORE).unwrap(), 3);
    let store = builder(image).open(STORE).unwrap();
    assert_eq!(x(&store, 3), read, "moment {moment}: the next writer, and a reader before it");
    read
}

#[test]
fn where_head_was_lost_within_a_boot_no_table_answers_that_may_lack_rows_or_have_lost_ones() {
    // The log has a row that the table lacks: a writer was killed between the two. HEAD is lost besides. The next one told of
    // the row first, and of the table afterwards.
    let (disk, _) = closed_store();
    let image: Arc<Mutex<Option<MemDisk>>> = Arc::default();
    let store = builder(&disk).durability(Durability::Fsync).open(STORE).unwrap();
    let taken = Arc::clone(&image);
    disk.on_operation(move |info| *taken.lock().unwrap() = Some(info.disk.kill_image()));
    store.write("v", &batch(0..9, 2, 2)).unwrap();
    disk.on_operation(|_| {});
    let lacking = image.lock().unwrap().take().expect("the log's sync");
    lacking.remove(&path("HEAD")).unwrap();

    // The table has a row that the log lost: its last sector is damaged, beyond all that is known to be synced.
    let disk = closed_store().0;
    let store = builder(&disk).durability(Durability::Os).open(STORE).unwrap();
    store.write("v", &batch(0..9, 2, 2)).unwrap();
    let having = disk.kill_image();
    having.remove(&path("HEAD")).unwrap();
    let log = file_of(&having, "log", ".log");
    let bytes = read(&having, &log);
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    having.open(&log, OpenMode::Write).unwrap().write_at(last as u64, &[bytes[last] ^ 1]).unwrap();

    for (image, expected) in [(lacking, Some(2)), (having, Some(1))] {
        // Each moment of the opening, seen from beside and after a kill.
        let images: Arc<Mutex<Vec<MemDisk>>> = Arc::default();
        let taken = Arc::clone(&images);
        image.on_operation(move |info| taken.lock().unwrap().push(info.disk.kill_image()));
        let store = builder(&image).open(STORE).unwrap();
        image.on_operation(|_| {});
        assert_eq!(x(&store, 3), expected);
        let images = std::mem::take(&mut *images.lock().unwrap());
        assert!(images.len() > 5, "{} operations", images.len());
        for (moment, image) in images.iter().enumerate() {
            assert_eq!(agree(image, moment), expected, "moment {moment}");
        }
    }
}

/// The first of many power failures after which, under the HEAD of the close before, a table gives a row that the log has lost.
/// `is_left_out`: what takes a table's own mark off the medium before it is changed.
fn rows_out_of_nowhere(is_left_out: bool) -> Option<u64> {
    let (disk, closed) = closed_store();
    let skipping = FaultyDisk::at(Arc::new(disk.clone()), Verdict::Skip, 0, u64::MAX, move |operation, file| {
        is_left_out && operation == Operation::SyncMap && file.starts_with(path("latest"))
    });
    let store = builder_on(Arc::new(skipping)).durability(Durability::Os).open(STORE).unwrap();
    store.write("v", &batch(0..9, 2, 2)).unwrap();
    (0..400).find(|&seed| {
        let image = disk.crash_image(CrashMode::Random(seed));
        put(&image, "HEAD", &closed);
        let store = builder(&image).open(STORE).unwrap();
        // Numbers come beyond those that were lost.
        store.write("v", &batch(100..120, 3, 3)).unwrap();
        let features = Features::list(["v:x"]).unwrap();
        let mut online = store.online(&features).unwrap();
        let then = GetOptions { at: Some(Timestamp(i64::MAX)), ..GetOptions::default() };
        (0..9).any(|key| {
            let entity = [("id", Value::Int64(key))];
            let online_key = online.key(&entity).unwrap();
            let latest = online.get(&online_key, Timestamp(i64::MAX)).unwrap().to_vec();
            latest != store.get(&features, &entity, &then).unwrap()
        })
    })
}

#[test]
fn an_old_head_vouches_for_no_table_that_was_changed_since() {
    assert_eq!(rows_out_of_nowhere(false), None);
    assert!(rows_out_of_nowhere(true).is_some(), "nobody noticed that a mark was left on the medium");
}

#[test]
fn a_head_that_counts_more_writers_than_there_can_be_is_made_anew() {
    // Its epoch is the one word that is taken from a page that is not believed.
    for epoch in [u64::MAX, u64::MAX - 1] {
        let (disk, _) = closed_store();
        disk.open(&path("HEAD"), OpenMode::Write).unwrap().write_at(4 * 8, &epoch.to_le_bytes()).unwrap();
        let store = builder(&disk).open(STORE).unwrap();
        store.write("v", &batch(0..9, 2, 2)).unwrap();
        assert_eq!((x(&store, 3), x_read(&disk, 3)), (Some(2), Some(2)));
    }
}
