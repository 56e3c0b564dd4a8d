//! Moments that a campaign meets too seldom, each made on purpose.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use asof::definition::{Definitions, FeatureView};
use asof::disk::{CrashMode, Disk, FaultyDisk, MemDisk, OpenMode, Operation, Verdict};
use asof::options::{Durability, Sizes};
use asof::time::Timestamp;
use asof::value::Value;
use asof::{ApplyOptions, BulkOptions, ErrorKind, Features, GetOptions, ScanOptions, Store, StoreBuilder};

use super::image::{STORE, path};

pub fn builder(disk: &MemDisk) -> StoreBuilder {
    builder_on(Arc::new(disk.clone()))
}

pub fn builder_on(disk: Arc<dyn Disk>) -> StoreBuilder {
    let sizes = Sizes { segment_bytes: 64 << 10, table_reserve_bytes: 32 << 20, merge_fanout: 2, ..Sizes::default() };
    Store::builder().sizes(sizes).background(false).disk(disk)
}

pub fn apply(store: &Store) {
    let view = |name: &str| FeatureView::new(name).entity("thing").feature("x", asof::value::DataType::Int64);
    let definitions = Definitions::new("windows").entity("thing", [("id", asof::value::DataType::Int64)]);
    store.apply(&definitions.view(view("v")).view(view("w")), ApplyOptions::default()).unwrap();
}

pub fn batch(keys: std::ops::Range<i64>, at: i64, x: i64) -> RecordBatch {
    let count = usize::try_from(keys.end - keys.start).unwrap();
    RecordBatch::try_from_iter([
        ("id", Arc::new(keys.collect::<Int64Array>()) as ArrayRef),
        ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![at; count]))),
        ("x", Arc::new(Int64Array::from(vec![x; count]))),
    ])
    .unwrap()
}

/// A key's value, which table and history agree on.
pub fn x(store: &Store, key: i64) -> Option<i64> {
    let features = Features::list(["v:x"]).unwrap();
    let mut online = store.online(&features).unwrap();
    let online_key = online.key(&[("id", Value::Int64(key))]).unwrap();
    let latest = online.get(&online_key, Timestamp(i64::MAX)).unwrap().i64(0);
    let then = GetOptions { at: Some(Timestamp(i64::MAX)), ..GetOptions::default() };
    let answer = store.get(&features, &[("id", Value::Int64(key))], &then).unwrap();
    let as_of = if let Value::Int64(x) = answer[0].value { Some(x) } else { None };
    assert_eq!(latest, as_of, "key {key}: the latest value, and the value as of now");
    latest
}

pub fn file_of(disk: &MemDisk, folder: &str, ending: &str) -> PathBuf {
    let mut names = disk.list(&path(folder)).unwrap();
    names.sort();
    let name = names.into_iter().rfind(|name| name.ends_with(ending)).unwrap();
    path(folder).join(name)
}

pub fn read(disk: &MemDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn an_opening_that_fails_closes_nothing_and_leaves_the_store_as_it_was() {
    let disk = MemDisk::new();
    let store = builder(&disk).open(STORE).unwrap();
    apply(&store);
    let mut shown = 0;
    for round in 0..4 {
        shown = store.write("v", &batch(0..9, round, round)).unwrap().first_seq + 8;
        if round == 1 {
            store.seal().unwrap();
        }
    }
    let killed = disk.kill_image();
    store.close().unwrap();
    let closed = disk.kill_image();
    let mut failed = [0, 0];
    for (is_closed, base) in [(false, killed), (true, closed)] {
        for number in 0.. {
            let image = base.kill_image();
            let kind = io::ErrorKind::Other;
            let faulty = FaultyDisk::at(Arc::new(image.clone()), Verdict::Fail(kind), number, 1, |_, _| true);
            let opened = builder_on(Arc::new(faulty)).open(STORE);
            if number > 500 {
                panic!("an opening has no end");
            }
            let Err(error) = opened else {
                // What can fail without harm does: a table that cannot be built. Past the last, nothing fails.
                if number > 60 {
                    break;
                }
                continue;
            };
            failed[usize::from(is_closed)] += 1;
            assert_eq!(error.kind(), ErrorKind::Io, "operation {number}: {error}");
            // The word that says of a HEAD that it was closed: set by nobody since.
            let head = read(&image, &path("HEAD"));
            let before = read(&base, &path("HEAD"));
            let says_closed = |head: &[u8]| head[16 * 8] == 1;
            assert!(!says_closed(&head) || says_closed(&before) && head == before, "operation {number} of {is_closed}");
            // Neither the next process nor the one after a power failure misses anything.
            for image in [image.kill_image(), image.crash_image(CrashMode::Random(number))] {
                let store = builder(&image).open(STORE).unwrap();
                assert!((0..9).all(|key| x(&store, key) == Some(3)), "operation {number} of {is_closed}");
                let next = store.write("v", &batch(9..10, 9, 9)).unwrap().first_seq;
                assert!(next > shown, "operation {number}: number {next} after {shown}");
                store.close().unwrap();
                let closed = Arc::new(image.kill_image());
                assert!(Store::builder().disk(closed).check(STORE, &mut |_| ()).unwrap().is_sound());
            }
        }
    }
    assert!(failed.iter().all(|failed| *failed > 5), "{failed:?} openings failed");
}

#[test]
fn a_views_folder_that_a_killed_process_made_is_durable_when_the_next_one_uses_it() {
    let disk = MemDisk::new();
    let store = builder(&disk).open(STORE).unwrap();
    apply(&store);
    let import = |store: &Store| {
        let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
        bulk.write(&batch(0..9, 1, 1)).unwrap();
        bulk.commit().unwrap();
    };
    let killed: Arc<Mutex<Option<MemDisk>>> = Arc::default();
    let taken = Arc::clone(&killed);
    disk.on_operation(move |info| {
        let is_made = info.disk.list(&path("history")).is_ok_and(|names| !names.is_empty());
        if info.operation == Operation::SyncDir && info.path == path("history") && is_made {
            taken.lock().unwrap().get_or_insert_with(|| info.disk.kill_image());
        }
    });
    import(&store);
    let image = killed.lock().unwrap().take().unwrap();
    import(&builder(&image).open(STORE).unwrap());
    let image = image.crash_image(CrashMode::DropAll);
    let store = builder(&image).open(STORE).unwrap();
    assert_eq!(x(&store, 3), Some(1));
}

#[test]
fn an_interval_passes_and_rows_are_durable_without_another_write() {
    let open = |every: Duration| {
        let disk = MemDisk::new();
        let store = builder(&disk).durability(Durability::Interval(every)).background(true).open(STORE).unwrap();
        apply(&store);
        store.write("v", &batch(0..9, 1, 1)).unwrap();
        (disk, store)
    };
    let is_durable = |disk: &MemDisk| {
        let store = builder(&disk.crash_image(CrashMode::DropAll)).open(STORE).unwrap();
        x(&store, 3) == Some(1)
    };
    let (disk, store) = open(Duration::from_secs(3_600));
    // The thread syncs once when it begins.
    let is_left = (2..20).any(|round| {
        store.write("v", &batch(0..9, round, 1)).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let image = disk.crash_image(CrashMode::DropAll);
        let store = builder(&image).open(STORE).unwrap();
        let then = GetOptions { at: Some(Timestamp(round)), ..GetOptions::default() };
        let answer = store.get(&Features::list(["v:x"]).unwrap(), &[("id", Value::Int64(3))], &then).unwrap();
        answer[0].event_ts != Some(Timestamp(round))
    });
    assert!(is_left, "nobody syncs before the interval is over");
    let (disk, _store) = open(Duration::from_millis(30));
    let began = Instant::now();
    while !is_durable(&disk) {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody syncs after the interval");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_table_that_has_rows_which_the_log_lost_is_not_believed() {
    // The last group is gone without a trace, or is rubbish; its writer was killed, or had closed the store.
    for (rubbish, is_closed) in [(0, false), (0xa5, false), (0, true), (0xa5, true)] {
        let disk = MemDisk::new();
        let store = builder(&disk).durability(Durability::Os).open(STORE).unwrap();
        apply(&store);
        store.write("v", &batch(0..9, 1, 1)).unwrap();
        let log = file_of(&disk, "log", ".log");
        let end = |disk: &MemDisk| read(disk, &log).iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512 + 512;
        let before = end(&disk);
        store.write("v", &batch(0..9, 2, 2)).unwrap();
        if is_closed {
            store.close().unwrap();
        }
        let image = disk.kill_image();
        let after = end(&image);
        assert!(after > before);
        // Nothing else bears witness that it was there.
        image.remove(&path("HEAD")).unwrap();
        let file = image.open(&log, OpenMode::Write).unwrap();
        file.write_at(before as u64, &vec![rubbish; after - before]).unwrap();
        let store = builder(&image).open(STORE).unwrap();
        assert!((0..9).all(|key| x(&store, key) == Some(1)), "{rubbish} {is_closed}");
        store.write("v", &batch(0..9, 3, 3)).unwrap();
        assert!((0..9).all(|key| x(&store, key) == Some(3)), "{rubbish} {is_closed}");
    }
}

#[test]
fn a_table_that_was_being_filled_with_rows_which_the_log_lost_is_not_believed() {
    for rubbish in [0, 0xa5] {
        let disk = MemDisk::new();
        let store = builder(&disk).durability(Durability::Os).open(STORE).unwrap();
        apply(&store);
        store.write("v", &batch(0..9, 1, 1)).unwrap();
        let log = file_of(&disk, "log", ".log");
        let end = |disk: &MemDisk| read(disk, &log).iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512 + 512;
        let before = end(&disk);
        // Killed while the table grows, with some rows of a group in it that it does not count yet.
        let killed: Arc<Mutex<Vec<MemDisk>>> = Arc::default();
        let taken = Arc::clone(&killed);
        disk.on_operation(move |info| {
            if info.operation == Operation::Allocate && info.path.starts_with(path("latest")) {
                taken.lock().unwrap().push(info.disk.kill_image());
            }
        });
        store.write("v", &batch(0..600, 2, 2)).unwrap();
        assert_eq!(file_of(&disk, "log", ".log"), log);
        let image = killed.lock().unwrap().pop().unwrap();
        image.remove(&path("HEAD")).unwrap();
        let file = image.open(&log, OpenMode::Write).unwrap();
        file.write_at(before as u64, &vec![rubbish; end(&image) - before]).unwrap();
        let store = builder(&image).open(STORE).unwrap();
        assert!((0..9).all(|key| x(&store, key) == Some(1)), "{rubbish}");
        // Numbers have gone beyond those of the rows that were lost.
        store.write("v", &batch(1_000..1_001, 3, 3)).unwrap();
        assert!((0..9).all(|key| x(&store, key) == Some(1)), "{rubbish}");
        assert!((9..600).all(|key| x(&store, key).is_none()), "{rubbish}");
    }
}

#[test]
fn after_a_panic_within_a_commit_no_more_is_written_and_no_number_comes_twice() {
    let is_armed = Arc::new(AtomicBool::new(false));
    let disk = MemDisk::new();
    let armed = Arc::clone(&is_armed);
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, path| {
        let is_log = path.extension().is_some_and(|ending| ending == "log");
        assert!(operation != Operation::Sync || !is_log || !armed.load(Ordering::SeqCst), "a panic within a commit");
        Verdict::Proceed
    });
    let store = builder_on(Arc::new(faulty)).durability(Durability::Fsync).open(STORE).unwrap();
    apply(&store);
    let shown = store.write("v", &batch(0..9, 1, 1)).unwrap().first_seq + 8;
    is_armed.store(true, Ordering::SeqCst);
    super::quiet_panics_within_checks();
    super::image::IS_CHECKING.set(true);
    catch_unwind(AssertUnwindSafe(|| store.write("v", &batch(0..9, 2, 2)))).unwrap_err();
    super::image::IS_CHECKING.set(false);
    is_armed.store(false, Ordering::SeqCst);
    let error = store.write("v", &batch(0..9, 3, 3)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    assert!((0..9).all(|key| x(&store, key) == Some(1)), "reads go on");
    assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Poisoned);
    drop(store);
    let store = builder(&disk).open(STORE).unwrap();
    assert!((0..9).all(|key| matches!(x(&store, key), Some(1 | 2))), "acknowledged rows are lost");
    let next = store.write("v", &batch(0..9, 4, 4)).unwrap().first_seq;
    assert!(next > shown, "number {next} is given, and numbers up to {shown} were");
}

/// Files of runs that a view has on the disk.
fn run_files(disk: &MemDisk, view: &str) -> Vec<String> {
    let folder = path("history").join(view);
    let mut names = disk.list(&folder).unwrap_or_default();
    names.retain(|name| !name.starts_with("commits-"));
    names.sort();
    names
}

#[test]
fn runs_that_are_built_and_not_committed_are_gone_at_once() {
    let is_run = |path: &Path| path.extension().is_some_and(|ending| ending == "idx");
    let fails: Arc<Mutex<Option<(Operation, &'static str)>>> = Arc::default();
    let disk = MemDisk::new();
    let failing = Arc::clone(&fails);
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, path| {
        let is_it =
            |(wanted, ending): &(Operation, &str)| operation == *wanted && path.to_string_lossy().ends_with(ending);
        let is_it = failing.lock().unwrap().as_ref().is_some_and(is_it);
        if is_it { Verdict::Fail(io::ErrorKind::StorageFull) } else { Verdict::Proceed }
    });
    let store = builder_on(Arc::new(faulty)).durability(Durability::Os).open(STORE).unwrap();
    apply(&store);
    let import = |at: i64| {
        let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
        bulk.write(&batch(0..50, at, at)).unwrap();
        bulk.commit()
    };
    import(1).unwrap();
    let before = run_files(&disk, "1-v@1");
    assert!(before.iter().any(|name| is_run(Path::new(name))), "{before:?}");
    // While a file is written, and while it is synced.
    for fault in [(Operation::Create, ".idx"), (Operation::Sync, ".idx"), (Operation::Write, ".arrow")] {
        *fails.lock().unwrap() = Some(fault);
        assert_eq!(import(2).unwrap_err().kind(), ErrorKind::NoSpace);
        *fails.lock().unwrap() = None;
        assert_eq!(run_files(&disk, "1-v@1"), before, "an import that fails at {fault:?}");
    }
    // Two views are sealed: the second fails, and what the first one's rows became is not committed.
    store.write("v", &batch(0..9, 3, 3)).unwrap();
    store.write("w", &batch(0..9, 3, 3)).unwrap();
    *fails.lock().unwrap() = Some((Operation::CreateDir, "-w@1"));
    assert_eq!(store.seal().unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(run_files(&disk, "1-v@1"), before, "a seal that fails");
    *fails.lock().unwrap() = None;
    assert!(store.seal().unwrap());
    let before = run_files(&disk, "1-v@1");
    *fails.lock().unwrap() = Some((Operation::Sync, ".idx"));
    assert_eq!(store.compact().unwrap_err().kind(), ErrorKind::NoSpace);
    *fails.lock().unwrap() = None;
    assert_eq!(run_files(&disk, "1-v@1"), before, "a merge that fails");
    store.compact().unwrap();
    assert!((0..9).all(|key| x(&store, key) == Some(3)));
    // The log cannot be synced: an import is not committed, and nothing more is.
    store.write("v", &batch(0..9, 4, 4)).unwrap();
    let before = run_files(&disk, "1-v@1");
    *fails.lock().unwrap() = Some((Operation::Sync, ".log"));
    assert_eq!(import(5).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(run_files(&disk, "1-v@1"), before, "an import whose commit fails");
    *fails.lock().unwrap() = None;
    // The registry's outcome is open: what it may name stays until the next open looks.
    drop(store);
    let store = builder(&disk.kill_image()).open(STORE).unwrap();
    assert!((0..9).all(|key| x(&store, key) == Some(4)));
}

#[test]
fn an_import_that_fails_while_it_strikes_out_rows_written_meanwhile_leaves_nothing_and_can_be_done_again() {
    // Others write some of an import's rows once it has compared its own with what is stored: at its commit they are
    // struck out of what it built. What that asks of the disk fails, one operation after the other.
    let mut failed = 0;
    for number in 0.. {
        let disk = MemDisk::new();
        let is_armed = Arc::new(AtomicBool::new(false));
        let meeting = Arc::new(Barrier::new(2));
        let seen = Arc::new(AtomicU64::new(0));
        let (armed, met, count) = (Arc::clone(&is_armed), Arc::clone(&meeting), Arc::clone(&seen));
        let runs_begun = AtomicU64::new(0);
        let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, file: &Path| {
            if !armed.load(Ordering::SeqCst) || !file.starts_with(path("history").join("1-v@1")) {
                return Verdict::Proceed;
            }
            let begins_run = operation == Operation::Create && file.extension().is_some_and(|end| end == "arrow");
            if begins_run && runs_begun.fetch_add(1, Ordering::SeqCst) == 0 {
                // Rows are compared before they are written. Others write now.
                met.wait();
                met.wait();
            }
            let strikes_out = runs_begun.load(Ordering::SeqCst) > 1;
            let fails = strikes_out && count.fetch_add(1, Ordering::SeqCst) == number;
            if fails { Verdict::Fail(io::ErrorKind::StorageFull) } else { Verdict::Proceed }
        });
        let store = builder_on(Arc::new(faulty)).open(STORE).unwrap();
        apply(&store);
        store.write("v", &batch(0..9, 1, 1)).unwrap();
        store.seal().unwrap();
        let before = run_files(&disk, "1-v@1");
        let import = || {
            let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
            bulk.write(&batch(0..50, 2, 2)).unwrap();
            bulk.commit().map(|report| (report.rows_written, report.rows_skipped))
        };
        let rows = || {
            let killed = Arc::new(disk.kill_image());
            Store::builder().disk(killed).check(STORE, &mut |_| ()).unwrap().rows
        };
        is_armed.store(true, Ordering::SeqCst);
        let imported = std::thread::scope(|scope| {
            let importing = scope.spawn(import);
            meeting.wait();
            store.write("v", &batch(0..10, 2, 2)).unwrap();
            meeting.wait();
            importing.join().unwrap()
        });
        is_armed.store(false, Ordering::SeqCst);
        if let Err(error) = &imported {
            failed += 1;
            assert_eq!(error.kind(), ErrorKind::NoSpace, "operation {number}: {error}");
            assert!(error.to_string().contains("1-v@1"), "operation {number}: {error}");
            assert_eq!(run_files(&disk, "1-v@1"), before, "operation {number}");
            assert_eq!(rows(), 9 + 10, "operation {number}: nothing was added");
            assert_eq!((x(&store, 3), x(&store, 30)), (Some(2), None), "operation {number}");
        }
        // Files that could not be removed after the commit are nobody's fault.
        assert_eq!(imported.or_else(|_| import()).unwrap(), (40, 10), "operation {number}: ten are struck out");
        assert_eq!(rows(), 9 + 10 + 40, "operation {number}");
        assert!((0..50).all(|key| x(&store, key) == Some(2)), "operation {number}");
        store.write("v", &batch(0..9, 3, 3)).unwrap();
        drop(store);
        let image = disk.crash_image(CrashMode::DropAll);
        let store = builder(&image).open(STORE).unwrap();
        assert!((0..50).all(|key| x(&store, key) == Some(if key < 9 { 3 } else { 2 })), "operation {number}");
        assert_eq!(
            run_files(&image, "1-v@1").len(),
            before.len() + 2,
            "operation {number}: what was built first is gone"
        );
        if seen.load(Ordering::SeqCst) <= number {
            break;
        }
    }
    assert!(failed > 5, "{failed} operations failed");
}

#[test]
fn a_close_that_failed_is_never_said_to_have_worked() {
    type Fault = fn(Operation, &Path) -> bool;
    // A latest table that cannot be closed is built anew, and nothing failed: see `tests/readers.rs`.
    let faults: [(&str, Fault); 2] = [
        ("the log", |operation, path| operation == Operation::Sync && path.starts_with(STORE)),
        ("HEAD", |operation, path| operation == Operation::SyncMap && path.ends_with("HEAD")),
    ];
    for (name, fault) in faults {
        let disk = MemDisk::new();
        let fails = Arc::new(Mutex::new(false));
        let failing = Arc::clone(&fails);
        let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |operation, path| {
            let is_it = *failing.lock().unwrap() && fault(operation, path);
            if is_it { Verdict::Fail(io::ErrorKind::Other) } else { Verdict::Proceed }
        });
        let store = builder_on(Arc::new(faulty)).durability(Durability::Os).open(STORE).unwrap();
        apply(&store);
        store.write("v", &batch(0..9, 1, 1)).unwrap();
        *fails.lock().unwrap() = true;
        assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Io, "{name}");
        *fails.lock().unwrap() = false;
        let again = store.close().unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Poisoned, "{name}: {again}");
        // Tables that were closed take no more rows.
        assert_eq!(store.write("v", &batch(0..9, 2, 2)).unwrap_err().kind(), ErrorKind::Poisoned, "{name}");
        assert_eq!(x(&store, 3), Some(1), "{name}: reads go on");
        drop(store);
        let store = builder(&disk.kill_image()).open(STORE).unwrap();
        assert_eq!(x(&store, 3), Some(1), "{name}");
        store.close().unwrap();
        store.close().unwrap();
    }
}

/// A reader that had read nothing of a segment yet, because it was new, took it for the next one to read, though a run had its rows by then.
#[test]
fn a_segment_that_was_sealed_before_a_reader_came_to_it_is_not_read() {
    let disk = MemDisk::new();
    // Segments stay for as long as it takes to remove them.
    let stays = |operation, path: &Path| match operation == Operation::Remove
        && path.starts_with(Path::new(STORE).join("log"))
    {
        true => Verdict::Skip,
        false => Verdict::Proceed,
    };
    let store = builder_on(Arc::new(FaultyDisk::new(Arc::new(disk.clone()), stays))).open(STORE).unwrap();
    apply(&store);
    store.write("v", &batch(0..9, 1, 1)).unwrap();
    store.seal().unwrap();
    let reader = builder(&disk).open_read_only(STORE).unwrap();
    let rows =
        || -> usize { reader.scan("v", &ScanOptions::default()).unwrap().map(|batch| batch.unwrap().num_rows()).sum() };
    assert_eq!(rows(), 9);
    store.write("v", &batch(0..9, 2, 2)).unwrap();
    store.seal().unwrap();
    assert_eq!(rows(), 18);
    store.write("v", &batch(0..9, 3, 3)).unwrap();
    assert_eq!((rows(), x(&reader, 3)), (27, Some(3)));
}
