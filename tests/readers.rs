//! Reading beside a writer: what another process sees, as it is committed, and after a writer was killed.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use asof::definition::{Definitions, FeatureView};
use asof::disk::{CrashMode, Disk, FaultyDisk, MemDisk, OpenMode, Operation, Verdict};
use asof::options::Sizes;
use asof::time::Timestamp;
use asof::value::{DataType, Value};
use asof::{ApplyOptions, BulkOptions, ErrorKind, Features, GetOptions, OnlineHandle, Status, Store, StoreBuilder};

const DIR: &str = "/readers";

fn builder(disk: &MemDisk) -> StoreBuilder {
    let sizes = Sizes { segment_bytes: 16 << 10, table_reserve_bytes: 64 << 20, ..Sizes::default() };
    Store::builder().sizes(sizes).background(false).disk(Arc::new(disk.clone()))
}

fn definitions(features: usize) -> Definitions {
    let mut view = FeatureView::new("v").entity("thing");
    for feature in 0..features {
        view = view.feature(["x", "y", "z"][feature], DataType::Int64);
    }
    Definitions::new("readers").entity("thing", [("id", DataType::Int64)]).view(view)
}

fn batch(keys: std::ops::Range<i64>, at: i64, x: i64) -> RecordBatch {
    let count = usize::try_from(keys.end - keys.start).unwrap();
    RecordBatch::try_from_iter([
        ("id", Arc::new(keys.collect::<Int64Array>()) as ArrayRef),
        ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![at; count]))),
        ("x", Arc::new(Int64Array::from(vec![x; count]))),
    ])
    .unwrap()
}

/// A writer of three rows, and a reader beside it.
fn writer_and_reader(disk: &MemDisk) -> (Store, Store) {
    let writer = builder(disk).open(DIR).unwrap();
    writer.apply(&definitions(1), ApplyOptions::default()).unwrap();
    writer.write("v", &batch(0..3, 1, 1)).unwrap();
    (writer, builder(disk).open_read_only(DIR).unwrap())
}

fn read(store: &Store, key: i64) -> (Status, Value) {
    let answer =
        store.get(&Features::list(["v:x"]).unwrap(), &[("id", Value::Int64(key))], &GetOptions::default()).unwrap();
    (answer[0].status, answer[0].value.clone())
}

fn x_of(online: &mut OnlineHandle, key: i64) -> (Option<i64>, bool) {
    let key = online.key(&[("id", Value::Int64(key))]).unwrap();
    let row = online.get(&key, Timestamp(i64::MAX)).unwrap();
    (row.i64(0), row.is_from_latest_table(0))
}

#[test]
fn a_reader_sees_each_commit_of_a_writer_out_of_the_same_table() {
    let disk = MemDisk::volatile();
    let writer = builder(&disk).open(DIR).unwrap();
    writer.apply(&definitions(1), ApplyOptions::default()).unwrap();
    let reader = builder(&disk).open_read_only(DIR).unwrap();
    let mut online = reader.online(&Features::list(["v:x"]).unwrap()).unwrap();
    assert_eq!(x_of(&mut online, 1), (None, false));
    for x in 0..200 {
        match x % 10 {
            3 => {
                let mut bulk = writer.bulk_writer("v", BulkOptions::default()).unwrap();
                bulk.write(&batch(0..50, x, x)).unwrap();
                bulk.commit().unwrap();
            }
            _ => {
                writer.write("v", &batch(0..50, x, x)).unwrap();
            }
        }
        assert_eq!(x_of(&mut online, 7), (Some(x), true), "after commit {x}");
        assert_eq!(read(&reader, 49), (Status::Present, Value::Int64(x)));
        if x % 31 == 30 {
            writer.seal().unwrap();
            assert_eq!(x_of(&mut online, 7), (Some(x), true));
        }
        if x % 67 == 66 {
            writer.compact().unwrap();
        }
        // As-of in the past, out of log and runs.
        let past = GetOptions { at: Some(Timestamp(x / 2)), ..GetOptions::default() };
        let answer = reader.get(&Features::list(["v:x"]).unwrap(), &[("id", Value::Int64(3))], &past).unwrap();
        assert_eq!(answer[0].value, Value::Int64(x / 2));
    }
}

#[test]
fn a_reader_follows_a_writer_that_comes_and_goes_and_changes_of_the_definitions() {
    let disk = MemDisk::volatile();
    let (writer, reader) = writer_and_reader(&disk);
    let mut online = reader.online(&Features::list(["v:x"]).unwrap()).unwrap();
    assert_eq!(x_of(&mut online, 0), (Some(1), true));
    drop(writer);
    assert_eq!(x_of(&mut online, 0), (Some(1), true), "after a clean close");
    let writer = builder(&disk).open(DIR).unwrap();
    assert_eq!(x_of(&mut online, 0), (Some(1), true), "a new writer, nothing new");
    writer.apply(&definitions(2), ApplyOptions::default()).unwrap();
    let wider = batch(0..3, 2, 2);
    let y = Arc::new(Int64Array::from(vec![None; 3])) as ArrayRef;
    let [id, at, x] = [0, 1, 2].map(|column| wider.column(column).clone());
    let columns = [("id", id, true), ("event_timestamp", at, true), ("x", x, true), ("y", y, true)];
    writer.write("v", &RecordBatch::try_from_iter_with_nullable(columns).unwrap()).unwrap();
    // Another layout, another table file.
    assert_eq!(x_of(&mut online, 0).0, Some(2));
    assert_eq!(x_of(&mut online, 0), (Some(2), true));
    let names: Vec<_> = reader
        .get(&Features::list(["v:*"]).unwrap(), &[("id", Value::Int64(0))], &GetOptions::default())
        .unwrap()
        .into_iter()
        .map(|answer| (answer.feature, answer.status))
        .collect();
    assert_eq!(names, [("x".to_owned(), Status::Present), ("y".to_owned(), Status::NullValue)]);
}

#[test]
fn after_a_writer_was_killed_and_after_power_loss_a_reader_recovers_in_memory_and_writes_nothing() {
    let disk = MemDisk::new();
    let writer = builder(&disk).open(DIR).unwrap();
    writer.apply(&definitions(1), ApplyOptions::default()).unwrap();
    for x in 0..20 {
        writer.write("v", &batch(0..3, x, x)).unwrap();
        if x == 9 {
            writer.seal().unwrap();
        }
    }
    for (image, from_table) in [
        (disk.kill_image(), true),
        (disk.crash_image(asof::disk::CrashMode::DropAll), false),
        (disk.crash_image(asof::disk::CrashMode::KeepAll), false),
    ] {
        let written = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let seen = Arc::clone(&written);
        image.on_operation(move |_| {
            seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
        let reader = builder(&image).open_read_only(DIR).unwrap();
        let mut online = reader.online(&Features::list(["v:x"]).unwrap()).unwrap();
        for key in 0..3 {
            assert_eq!(read(&reader, key), (Status::Present, Value::Int64(19)));
            assert_eq!(x_of(&mut online, key), (Some(19), from_table));
        }
        assert_eq!(written.load(std::sync::atomic::Ordering::SeqCst), 0, "a reader changes nothing");
        // And then a writer comes.
        let writer = builder(&image).open(DIR).unwrap();
        writer.write("v", &batch(0..3, 20, 20)).unwrap();
        assert_eq!(x_of(&mut online, 0).0, Some(20));
    }
}

#[test]
fn a_reader_refuses_to_write_and_names_what_is_no_store() {
    let disk = MemDisk::volatile();
    let error = builder(&disk).open_read_only(DIR).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let writer = builder(&disk).open(DIR).unwrap();
    writer.apply(&definitions(1), ApplyOptions::default()).unwrap();
    let reader = builder(&disk).open_read_only(DIR).unwrap();
    let error = reader.write("v", &batch(0..3, 1, 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let error = reader.apply(&definitions(2), ApplyOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert_eq!(read(&writer, 0).0, Status::NotFound);
}

#[test]
fn a_reader_plans_by_the_definitions_of_now() {
    let disk = MemDisk::volatile();
    let writer = builder(&disk).open(DIR).unwrap();
    writer.apply(&definitions(1), ApplyOptions::default()).unwrap();
    let reader = builder(&disk).open_read_only(DIR).unwrap();
    for features in [2, 3] {
        assert!(!reader.plan(&definitions(features), ApplyOptions::default()).unwrap().is_empty());
        writer.apply(&definitions(features), ApplyOptions::default()).unwrap();
        assert!(reader.plan(&definitions(features), ApplyOptions::default()).unwrap().is_empty());
    }
}

/// Asks until the table answers, and no longer than it may take; every answer on the way is right.
fn comes_out_of_the_table(online: &mut OnlineHandle, key: i64, x: i64) {
    for _ in 0..200 {
        match x_of(online, key) {
            (Some(found), true) if found == x => return,
            (found, _) => assert_eq!(found, Some(x), "key {key}"),
        }
    }
    panic!("the table that there is now is never asked");
}

#[test]
fn a_reader_goes_over_to_a_table_that_takes_anothers_place() {
    let disk = MemDisk::volatile();
    let writer = builder(&disk).open(DIR).unwrap();
    writer.apply(&definitions(1), ApplyOptions::default()).unwrap();
    writer.write("v", &batch(0..20, 1, 1)).unwrap();
    let reader = builder(&disk).open_read_only(DIR).unwrap();
    let mut online = reader.online(&Features::list(["v:x"]).unwrap()).unwrap();
    comes_out_of_the_table(&mut online, 7, 1);
    // Many times the keys it has: a table of the right size takes its place.
    let mut bulk = writer.bulk_writer("v", BulkOptions::default()).unwrap();
    bulk.write(&batch(0..110_000, 2, 2)).unwrap();
    bulk.commit().unwrap();
    assert_eq!((x_of(&mut online, 7).0, x_of(&mut online, 100_000).0), (Some(2), Some(2)));
    comes_out_of_the_table(&mut online, 7, 2);
    writer.write("v", &batch(0..20, 3, 3)).unwrap();
    comes_out_of_the_table(&mut online, 7, 3);
    // One that the next writer does not believe is made anew under the same name; nothing else changes.
    drop(writer);
    let table = disk.list(&Path::new(DIR).join("latest")).unwrap().remove(0);
    let table = disk.open(&Path::new(DIR).join("latest").join(table), OpenMode::Write).unwrap();
    table.write_at(0, &[0xa5; 2048]).unwrap();
    let writer = builder(&disk).open(DIR).unwrap();
    assert_eq!(x_of(&mut online, 7).0, Some(3));
    writer.write("v", &batch(0..20, 4, 4)).unwrap();
    assert_eq!((x_of(&mut online, 7).0, x_of(&mut online, 100_000).0), (Some(4), Some(2)));
    comes_out_of_the_table(&mut online, 7, 4);
}

#[test]
fn a_reader_follows_a_head_that_was_lost_and_made_anew() {
    let disk = MemDisk::volatile();
    let (writer, reader) = writer_and_reader(&disk);
    let mut online = reader.online(&Features::list(["v:x"]).unwrap()).unwrap();
    assert_eq!(x_of(&mut online, 0), (Some(1), true));
    drop(writer);
    for x in 2..6 {
        disk.remove(&Path::new(DIR).join("HEAD")).unwrap();
        // Without one, what was seen last is seen.
        assert_eq!(read(&reader, 0), (Status::Present, Value::Int64(x - 1)));
        let writer = builder(&disk).open(DIR).unwrap();
        writer.write("v", &batch(0..3, x, x)).unwrap();
        // A handle finds out when a row lies ahead of what it believes; that answer is still of what it believed.
        if x % 2 == 0 {
            assert_eq!(x_of(&mut online, 0), (Some(x - 1), false));
            assert_eq!(x_of(&mut online, 0), (Some(x), true));
        }
        assert_eq!(read(&reader, 0), (Status::Present, Value::Int64(x)));
        writer.write("v", &batch(5..6, x, x)).unwrap();
        // No table of before was believed: those that the handle had are retired.
        comes_out_of_the_table(&mut online, 5, x);
        assert_eq!(x_of(&mut online, 2), (Some(x), true));
    }
}

#[test]
fn a_row_that_a_killed_writer_logged_is_seen_when_its_table_has_it_and_no_earlier() {
    let disk = MemDisk::new();
    let writer = builder(&disk).open(DIR).unwrap();
    writer.apply(&definitions(1), ApplyOptions::default()).unwrap();
    writer.write("v", &batch(0..3, 1, 1)).unwrap();
    // Killed when the group is in the log, and nothing else knows of it.
    let killed: Arc<Mutex<Option<MemDisk>>> = Arc::default();
    let taken = Arc::clone(&killed);
    disk.on_operation(move |info| {
        if info.operation == Operation::Sync && info.path.starts_with(Path::new(DIR).join("log")) {
            taken.lock().unwrap().get_or_insert_with(|| info.disk.kill_image());
        }
    });
    writer.write("v", &batch(0..3, 2, 2)).unwrap();
    let image = killed.lock().unwrap().take().unwrap();
    // What a reader sees before every step of the next opening, by table and by history.
    let seen: Arc<Mutex<Vec<(i64, bool)>>> = Arc::default();
    let told = Arc::clone(&seen);
    image.on_operation(move |info| {
        let reader = builder(&info.disk.kill_image()).open_read_only(DIR).unwrap();
        let mut online = reader.online(&Features::list(["v:x"]).unwrap()).unwrap();
        let (latest, from_table) = x_of(&mut online, 1);
        let as_of = GetOptions { at: Some(Timestamp(5)), ..GetOptions::default() };
        let answer = reader.get(&Features::list(["v:x"]).unwrap(), &[("id", Value::Int64(1))], &as_of).unwrap();
        let latest = latest.unwrap();
        assert_eq!(answer[0].value, Value::Int64(latest), "from the table: {from_table}");
        told.lock().unwrap().push((latest, from_table));
    });
    let writer = builder(&image).open(DIR).unwrap();
    writer.apply(&definitions(2), ApplyOptions::default()).unwrap();
    image.on_operation(|_| {});
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(seen.contains(&(1, true)) && seen.iter().any(|(x, _)| *x == 2), "{seen:?}");
    assert!(seen.is_sorted_by_key(|(x, _)| *x), "nobody sees it and then not: {seen:?}");
}

/// The latest table of the view.
fn table_path() -> PathBuf {
    Path::new(DIR).join("latest/1-v@1")
}

#[test]
fn a_table_that_cannot_be_mapped_keeps_no_store_from_opening_and_no_check_from_its_end() {
    // As under a limit of address space, and on a machine that has none to give.
    let disk = MemDisk::volatile();
    let (writer, reader) = writer_and_reader(&disk);
    drop((writer, reader));
    let report = Store::builder().disk(Arc::new(disk.clone())).check(DIR, &mut |_| ()).unwrap();
    assert_eq!(report.problems, []);
    assert!(report.passed_over.iter().any(|what| what.contains("cannot be read")), "{:?}", report.passed_over);
    let sizes = || Sizes { table_reserve_bytes: 1 << 50, ..Sizes::default() };
    let small = |disk: &MemDisk| Store::builder().sizes(sizes()).background(false).disk(Arc::new(disk.clone()));
    let writer = small(&disk).open(DIR).unwrap();
    writer.write("v", &batch(0..3, 2, 2)).unwrap();
    assert_eq!(read(&writer, 1), (Status::Present, Value::Int64(2)));
    assert_eq!(read(&small(&disk).open_read_only(DIR).unwrap(), 1), (Status::Present, Value::Int64(2)));
    writer.close().unwrap();
    drop(writer);
    let writer = builder(&disk).open(DIR).unwrap();
    let mut online = writer.online(&Features::list(["v:x"]).unwrap()).unwrap();
    assert_eq!(x_of(&mut online, 1), (Some(2), true), "where there is room again");
}

fn bytes_of(disk: &MemDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Another file under the name of one, as a restored backup is.
fn put_back(disk: &MemDisk, path: &Path, bytes: &[u8]) {
    disk.remove(path).unwrap();
    disk.open(path, OpenMode::Create).unwrap().write_at(0, bytes).unwrap();
}

#[test]
fn a_reader_asks_no_table_of_the_writer_before_once_there_is_another() {
    // It kept the file it had mapped, which nobody retired: the next writer never had it.
    let disk = MemDisk::volatile();
    let (writer, reader) = writer_and_reader(&disk);
    let mut online = reader.online(&Features::list(["v:x"]).unwrap()).unwrap();
    assert_eq!(x_of(&mut online, 0), (Some(1), true));
    drop(writer);
    put_back(&disk, &table_path(), &bytes_of(&disk, &table_path()));
    let writer = builder(&disk).open(DIR).unwrap();
    writer.write("v", &batch(0..3, 2, 2)).unwrap();
    assert_eq!(read(&reader, 0), (Status::Present, Value::Int64(2)));
    comes_out_of_the_table(&mut online, 0, 2);
}

#[test]
fn tables_that_were_closed_before_the_kill_are_asked() {
    // The store was not closed, its tables were: readers asked none of them until the next writer came.
    let disk = MemDisk::volatile();
    let (writer, reader) = writer_and_reader(&disk);
    drop(reader);
    let images: Arc<Mutex<Vec<MemDisk>>> = Arc::default();
    let taken = Arc::clone(&images);
    disk.on_operation(move |info| taken.lock().unwrap().push(info.disk.kill_image()));
    writer.close().unwrap();
    // And where a writer was killed before it had opened them.
    let before = images.lock().unwrap().len();
    drop(writer);
    let taken = Arc::clone(&images);
    disk.on_operation(move |info| taken.lock().unwrap().push(info.disk.kill_image()));
    let writer = builder(&disk).open(DIR).unwrap();
    let images = std::mem::take(&mut *images.lock().unwrap());
    assert!(before > 3 && images.len() > before + 3, "{before} of {}", images.len());
    for (moment, image) in images.iter().enumerate() {
        let reader = builder(image).open_read_only(DIR).unwrap();
        let mut online = reader.online(&Features::list(["v:x"]).unwrap()).unwrap();
        assert_eq!(x_of(&mut online, 0), (Some(1), true), "moment {moment} of {}", images.len());
        let check = Store::builder().disk(Arc::new(image.kill_image())).check(DIR, &mut |_| ()).unwrap();
        assert_eq!((check.latest_compared, check.problems), (3, vec![]), "moment {moment}: {:?}", check.passed_over);
    }
    drop(writer);
}

#[test]
fn a_table_that_lacks_rows_is_asked_at_no_moment_of_an_opening() {
    let disk = MemDisk::volatile();
    let (writer, reader) = writer_and_reader(&disk);
    drop((writer, reader));
    let older = bytes_of(&disk, &table_path());
    let writer = builder(&disk).open(DIR).unwrap();
    writer.write("v", &batch(0..3, 2, 2)).unwrap();
    drop(writer);
    put_back(&disk, &table_path(), &older);
    let (beside, asked) = (disk.clone(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&asked);
    let watched = FaultyDisk::new(Arc::new(disk.clone()), move |_, _| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let reader = builder(&beside).open_read_only(DIR).unwrap();
        let mut online = reader.online(&Features::list(["v:x"]).unwrap()).unwrap();
        assert_eq!(x_of(&mut online, 0).0, Some(2), "before operation {number}");
        Verdict::Proceed
    });
    let sizes = Sizes { segment_bytes: 16 << 10, table_reserve_bytes: 64 << 20, ..Sizes::default() };
    let writer = Store::builder().sizes(sizes).background(false).disk(Arc::new(watched)).open(DIR).unwrap();
    assert!(asked.load(Ordering::SeqCst) > 5);
    assert_eq!(x_of(&mut writer.online(&Features::list(["v:x"]).unwrap()).unwrap(), 0), (Some(2), true));
}

#[test]
fn a_table_that_may_not_be_written_is_built_anew_or_its_owner_is_told() {
    for may_remove in [true, false] {
        let disk = MemDisk::volatile();
        let (writer, reader) = writer_and_reader(&disk);
        // Killed, so that the table is still in use: who reads beside the next writer takes it for that writer's.
        let disk = disk.kill_image();
        drop((writer, reader));
        let is_first = AtomicBool::new(true);
        let (beside, handles): (_, Arc<Mutex<Vec<OnlineHandle>>>) = (disk.clone(), Arc::default());
        let opened_meanwhile = Arc::clone(&handles);
        let still = Arc::new(AtomicBool::new(true));
        let is_opening = Arc::clone(&still);
        let guarded = FaultyDisk::new(Arc::new(disk.clone()), move |operation, path| {
            if is_opening.load(Ordering::SeqCst) {
                let reader = builder(&beside).open_read_only(DIR).unwrap();
                let mut online = reader.online(&Features::list(["v:x"]).unwrap()).unwrap();
                assert_eq!(x_of(&mut online, 0).0, Some(1));
                opened_meanwhile.lock().unwrap().push(online);
            }
            let is_it = path == table_path() && is_first.load(Ordering::SeqCst);
            match operation {
                Operation::OpenWrite if is_it => Verdict::Fail(io::ErrorKind::PermissionDenied),
                Operation::Remove if is_it && !may_remove => Verdict::Fail(io::ErrorKind::PermissionDenied),
                Operation::Remove if is_it => {
                    is_first.store(false, Ordering::SeqCst);
                    Verdict::Proceed
                }
                _ => Verdict::Proceed,
            }
        });
        let sizes = Sizes { table_reserve_bytes: 64 << 20, ..Sizes::default() };
        let opened = Store::builder().sizes(sizes).background(false).disk(Arc::new(guarded)).open(DIR);
        still.store(false, Ordering::SeqCst);
        match opened {
            Ok(writer) => {
                assert!(may_remove);
                let mut online = writer.online(&Features::list(["v:x"]).unwrap()).unwrap();
                comes_out_of_the_table(&mut online, 0, 1);
                writer.write("v", &batch(0..3, 2, 2)).unwrap();
                let mut handles = handles.lock().unwrap();
                assert!(handles.len() > 10);
                handles
                    .iter_mut()
                    .for_each(|online| assert_eq!(x_of(online, 0).0, Some(2), "asked before it was open"));
            }
            Err(error) => {
                assert!(!may_remove, "{error}");
                let text = format!("{error} {:?}", error.way_out());
                assert!(text.contains("1-v@1") && text.contains("remove it"), "{text}");
            }
        }
    }
}

#[test]
fn a_table_that_cannot_be_closed_is_built_anew_and_keeps_no_store_from_closing() {
    for operation in [Operation::Allocate, Operation::SyncMap] {
        let inner = MemDisk::new();
        let is_failing = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&is_failing);
        let disk = FaultyDisk::new(Arc::new(inner.clone()), move |done, path| {
            let is_it = fails.load(Ordering::SeqCst) && done == operation && path == table_path();
            if is_it { Verdict::Fail(io::ErrorKind::StorageFull) } else { Verdict::Proceed }
        });
        let sizes = Sizes { table_reserve_bytes: 64 << 20, ..Sizes::default() };
        let writer = Store::builder().sizes(sizes).background(false).disk(Arc::new(disk)).open(DIR).unwrap();
        writer.apply(&definitions(1), ApplyOptions::default()).unwrap();
        writer.write("v", &batch(0..500, 1, 1)).unwrap();
        is_failing.store(true, Ordering::SeqCst);
        writer.close().unwrap();
        // Closed in order: after a power failure too.
        for image in [inner.kill_image(), inner.crash_image(CrashMode::DropAll)] {
            let reader = builder(&image).open_read_only(DIR).unwrap();
            assert_eq!(read(&reader, 499), (Status::Present, Value::Int64(1)), "{operation:?}");
            let writer = builder(&image).open(DIR).unwrap();
            let mut online = writer.online(&Features::list(["v:x"]).unwrap()).unwrap();
            assert_eq!(x_of(&mut online, 499), (Some(1), true), "{operation:?}");
        }
    }
}

#[test]
fn readers_that_wait_for_a_recovery_wait_at_the_same_time() {
    let disk = MemDisk::volatile();
    let (writer, reader) = writer_and_reader(&disk);
    // A page of HEAD that cannot be believed, and a writer that holds the store all the while.
    let head = disk.open(&Path::new(DIR).join("HEAD"), OpenMode::Write).unwrap();
    head.write_at(16 * 8, &[1_u64.to_le_bytes(), 5_u64.to_le_bytes()].concat()).unwrap();
    let ask = || {
        let features = Features::list(["v:x"]).unwrap();
        let answer = reader.get(&features, &[("id", Value::Int64(1))], &GetOptions::default());
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Locked);
    };
    let begun = Instant::now();
    ask();
    let one = begun.elapsed();
    let begun = Instant::now();
    std::thread::scope(|scope| (0..16).for_each(|_| drop(scope.spawn(ask))));
    let all = begun.elapsed();
    assert!(all < 6 * one, "one waits {one:?}, sixteen {all:?}");
    drop(writer);
}
