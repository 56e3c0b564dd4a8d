//! Opening a store beside another who does, again and again, and where somebody left things in its folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use asof::disk::{CrashMode, Disk, FaultyDisk, MemDisk, OpenMode, Operation, Verdict};
use asof::options::Durability;
use asof::{BulkOptions, ErrorKind, Problem, Severity, Store};

use super::image::{STORE, path};
use super::windows::{apply, batch, builder, builder_on, read, x};

/// A store of two views, one of them with nine rows in the log.
fn store_of_nine_rows() -> (MemDisk, Store) {
    let disk = MemDisk::new();
    let store = builder(&disk).open(STORE).unwrap();
    apply(&store);
    store.write("v", &batch(0..9, 1, 1)).unwrap();
    (disk, store)
}

/// What a check finds of a store as it stands, whoever has it open.
fn problems(disk: &MemDisk) -> Vec<Problem> {
    Store::builder().disk(Arc::new(disk.kill_image())).check(STORE, &mut |_| ()).unwrap().problems
}

fn segments(disk: &MemDisk) -> usize {
    disk.list(&path("log")).unwrap().len()
}

/// Whether there was a store was once asked before the lock was taken, and not again: whoever waited for the lock made
/// a new store on top of the one that another had made meanwhile.
#[test]
fn of_two_processes_that_make_one_store_the_second_finds_what_the_first_made() {
    let mut made_by_other = 0;
    for number in 0.. {
        let disk = MemDisk::new();
        let (others, seen) = (disk.clone(), AtomicU64::new(0));
        let other_made: Arc<Mutex<Option<ErrorKind>>> = Arc::default();
        let outcome = Arc::clone(&other_made);
        let between = FaultyDisk::new(Arc::new(disk.clone()), move |_, _| {
            if seen.fetch_add(1, Ordering::SeqCst) == number {
                match builder(&others).open(STORE) {
                    Ok(store) => {
                        apply(&store);
                        store.write("v", &batch(0..9, 1, 1)).unwrap();
                        store.close().unwrap();
                    }
                    Err(error) => *outcome.lock().unwrap() = Some(error.kind()),
                }
            }
            Verdict::Proceed
        });
        let store = builder_on(Arc::new(between)).open(STORE).unwrap();
        if let Some(kind) = *other_made.lock().unwrap() {
            // From here on the first one has the lock.
            assert_eq!(kind, ErrorKind::Locked, "before operation {number}");
            break;
        }
        made_by_other += 1;
        assert_eq!(x(&store, 3), Some(1), "before operation {number}: an acknowledged row is gone");
    }
    assert!(made_by_other > 1, "before {made_by_other} operations of the first the second made the store");
}

/// LOCK's lock was once the only one: a file of that name that took its place let a second writer in.
#[test]
fn a_store_whose_lock_file_was_removed_has_one_writer_all_the_same() {
    let (disk, store) = store_of_nine_rows();
    disk.remove(&path("LOCK")).unwrap();
    for round in 2..4 {
        let error = builder(&disk).open(STORE).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(!error.to_string().contains("LOCK"), "nobody is told of a file to remove: {error}");
        store.write("v", &batch(0..9, round, round)).unwrap();
        store.seal().unwrap();
    }
    store.close().unwrap();
    drop(store);
    let store = builder(&disk).open(STORE).unwrap();
    assert_eq!(x(&store, 3), Some(3));
}

/// Only a seal of rows that came after them once removed them: a store that takes imports alone kept them for ever.
#[test]
fn empty_segments_that_power_failures_left_go_when_the_log_is_sealed_rows_or_none() {
    for rows_are_logged in [false, true] {
        let mut disk = MemDisk::new();
        let mut shown = 0;
        for round in 1..7 {
            let store = builder(&disk).durability(Durability::Os).open(STORE).unwrap();
            if round == 1 {
                apply(&store);
                let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
                bulk.write(&batch(0..9, 1, 1)).unwrap();
                bulk.commit().unwrap();
                if rows_are_logged {
                    store.write("w", &batch(0..9, 1, 1)).unwrap();
                    store.snapshot("synced").unwrap();
                }
            }
            // Rows that the power failure takes: their numbers were shown.
            let lost = store.write("v", &batch(0..9, 2, 2)).unwrap();
            assert!(lost.first_seq > shown, "number {} is given, and numbers up to {shown} were", lost.first_seq);
            shown = lost.first_seq + 8;
            disk = disk.crash_image(CrashMode::DropAll);
        }
        let store = builder(&disk).open(STORE).unwrap();
        assert!(segments(&disk) > 5, "{}", segments(&disk));
        let reader = builder(&disk).open_read_only(STORE).unwrap();
        assert_eq!(store.seal().unwrap(), rows_are_logged, "whether there was a row");
        assert_eq!(segments(&disk), 1);
        assert!(!store.seal().unwrap());
        let next = store.write("v", &batch(9..10, 3, 3)).unwrap().first_seq;
        assert!(next > shown, "number {next} is given, and numbers up to {shown} were");
        assert_eq!((x(&reader, 3), x(&reader, 9)), (Some(1), Some(3)), "read beside it");
        for image in [disk.kill_image(), disk.crash_image(CrashMode::DropAll)] {
            let store = builder(&image).open(STORE).unwrap();
            assert_eq!(x(&store, 3), Some(1));
            assert!(store.write("v", &batch(0..9, 4, 4)).unwrap().first_seq > next);
            store.close().unwrap();
            assert_eq!(problems(&image), []);
        }
    }
}

/// What lies below a folder: files and folders.
fn below(disk: &MemDisk, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in disk.list(folder).unwrap_or_default() {
        let path = folder.join(name);
        found.extend(below(disk, &path));
        found.push(path);
    }
    found
}

fn put(disk: &MemDisk, name: &str) {
    let path = path(name);
    if name.ends_with('/') {
        disk.create_dir(&path).unwrap();
    } else {
        disk.open(&path, OpenMode::Create).unwrap().write_at(0, b"mine").unwrap();
    }
}

/// A folder among the latest tables, or one named like a run's file, once made the store unopenable for writing; a file was removed.
#[test]
fn what_somebody_put_into_the_folders_of_a_store_is_left_alone_and_in_nobodys_way() {
    let (disk, store) = store_of_nine_rows();
    store.seal().unwrap();
    store.close().unwrap();
    drop(store);
    let theirs = [
        "latest/notes/",
        "latest/notes/1-v@1",
        "latest/notes.txt",
        "latest/3-weather@1/",
        "history/notes.txt",
        "history/commits-0000000099/",
        "history/commits-of-mine",
        "history/old.tmp",
        "history/1-v@1/old.arrow/",
        "history/1-v@1/0000000099.arrow/",
        "history/1-v@1/copy of 0000000001.arrow",
        "history/1-v@1/scratch-1",
        "quarantine/0000000099-v.jsonl.tmp/",
        "quarantine/99-v.jsonl.tmp",
        "quarantine/notes.tmp",
        "log/notes.txt",
        "log/1.log",
        "log/copy of 0000000000000001.log",
        "log/old/",
        "notes.tmp",
        "LOCK.tmp",
        "registry.redb.new/",
    ];
    theirs.iter().for_each(|name| put(&disk, name));
    let is_told = |disk: &MemDisk| {
        let problems = problems(disk);
        let told = |name: &&&str| problems.iter().any(|found| found.file == Path::new(name.trim_end_matches('/')));
        // What lies in a folder of theirs is told of with the folder.
        assert_eq!(theirs.iter().filter(told).count(), theirs.len() - 1, "{problems:?}");
        assert!(problems.iter().all(|found| found.severity == Severity::Leftover), "{problems:?}");
        assert!(problems.iter().all(|found| found.remedy.contains("elsewhere")), "{problems:?}");
    };
    is_told(&disk);
    let before = below(&disk, Path::new(STORE));
    let store = builder(&disk).open(STORE).unwrap();
    assert_eq!(x(&store, 3), Some(1));
    store.write("v", &batch(0..9, 2, 2)).unwrap();
    store.close().unwrap();
    let after = below(&disk, Path::new(STORE));
    assert_eq!(before.iter().filter(|path| !after.contains(path)).collect::<Vec<_>>(), Vec::<&PathBuf>::new());
    is_told(&disk);
}

#[test]
fn a_folder_in_the_place_of_a_latest_table_leaves_the_answers_to_log_and_runs() {
    let (disk, store) = store_of_nine_rows();
    store.close().unwrap();
    drop(store);
    disk.remove(&path("latest/1-v@1")).unwrap();
    put(&disk, "latest/1-v@1/");
    assert!(problems(&disk).iter().any(|found| found.file == Path::new("latest/1-v@1")));
    let store = builder(&disk).open(STORE).unwrap();
    store.write("v", &batch(0..5, 2, 2)).unwrap();
    let reader = builder(&disk).open_read_only(STORE).unwrap();
    assert_eq!((x(&store, 3), x(&store, 7), x(&reader, 3), x(&reader, 7)), (Some(2), Some(1), Some(2), Some(1)));
    store.close().unwrap();
    drop(store);
    disk.remove_dir(&path("latest/1-v@1")).unwrap();
    let store = builder(&disk).open(STORE).unwrap();
    assert_eq!(x(&store, 3), Some(2));
    store.close().unwrap();
    assert_eq!(problems(&disk), []);
}

/// `check` said so of what lay in `history/` and `latest/`, and the next open removed only what lay in views' folders; what was
/// to be renamed in the store's own folder it took for somebody else's.
#[test]
fn what_a_crash_left_is_removed_at_the_next_open_as_a_check_says() {
    let (disk, store) = store_of_nine_rows();
    store.seal().unwrap();
    store.close().unwrap();
    drop(store);
    let before = below(&disk, Path::new(STORE));
    let left = [
        "history/commits-0000000099",
        "history/commits-0000000099.tmp",
        "history/1-v@1/0000000099.arrow",
        "history/1-v@1/0000000099.idx",
        "history/1-v@1/scratch-98/",
        "history/1-v@1/scratch-98/piece",
        "latest/99-gone@1",
        "HEAD.tmp",
        "MANIFEST.tmp",
        "STORE.tmp",
        "registry.redb.new",
    ];
    left.iter().for_each(|name| put(&disk, name));
    let problems_before = problems(&disk);
    assert_eq!(problems_before.len(), left.len() - 1, "{problems_before:?}");
    assert!(problems_before.iter().all(|found| found.remedy.contains("it is removed when")), "{problems_before:?}");
    builder(&disk).open(STORE).unwrap().close().unwrap();
    assert_eq!(below(&disk, Path::new(STORE)), before);
    assert_eq!(problems(&disk), []);
}

#[test]
fn a_seal_that_fails_leaves_no_file_of_the_times_of_commits() {
    let disk = MemDisk::new();
    let fails_after: Arc<Mutex<Option<u64>>> = Arc::default();
    let left = Arc::clone(&fails_after);
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), move |_, file: &Path| {
        let mut left = left.lock().unwrap();
        let Some(before) = left.filter(|_| file.starts_with(path("history"))) else { return Verdict::Proceed };
        *left = before.checked_sub(1);
        if before == 0 { Verdict::Fail(io::ErrorKind::StorageFull) } else { Verdict::Proceed }
    });
    let store = builder_on(Arc::new(faulty)).open(STORE).unwrap();
    apply(&store);
    store.write("v", &batch(0..9, 1, 1)).unwrap();
    store.seal().unwrap();
    let before = below(&disk, &path("history"));
    store.write("v", &batch(0..9, 2, 2)).unwrap();
    let mut failed = 0;
    let seal_failing_at = |number: u64| {
        *fails_after.lock().unwrap() = Some(number);
        let sealed = store.seal();
        fails_after.lock().unwrap().take();
        sealed
    };
    while let Err(error) = seal_failing_at(failed) {
        assert_eq!(error.kind(), ErrorKind::NoSpace, "operation {failed}: {error}");
        assert_eq!(below(&disk, &path("history")), before, "operation {failed}");
        failed += 1;
    }
    assert!(failed > 12, "{failed} seals failed");
    assert_eq!(x(&store, 3), Some(2));
}

/// What could fail came after the new segment was made once: each opening that failed left one, of 64 MiB.
#[test]
fn openings_that_fail_leave_no_segment_behind() {
    let disk = MemDisk::new();
    let store = builder(&disk).open(STORE).unwrap();
    apply(&store);
    store.write("v", &batch(0..9, 1, 1)).unwrap();
    let killed = disk.kill_image();
    let orphan = path("history/commits-0000000099");
    killed.open(&orphan, OpenMode::Create).unwrap();
    let before = segments(&killed);
    for _ in 0..5 {
        let kind = io::ErrorKind::PermissionDenied;
        let faulty = FaultyDisk::at(Arc::new(killed.clone()), Verdict::Fail(kind), 0, 1, move |operation, _| {
            operation == Operation::Remove
        });
        let error = builder_on(Arc::new(faulty)).open(STORE).map(drop).unwrap_err();
        assert!(error.to_string().contains("commits-0000000099"), "{error}");
        assert_eq!(segments(&killed), before);
        assert_eq!(x(&builder(&killed).open_read_only(STORE).unwrap(), 3), Some(1));
    }
    assert_eq!(x(&builder(&killed).open(STORE).unwrap(), 3), Some(1));
    assert!(!killed.exists(&orphan).unwrap());
}

/// The killed store of nine rows, and the last number it gave.
fn killed_with_nine_rows() -> (MemDisk, u64) {
    let (disk, store) = store_of_nine_rows();
    let shown = store.write("v", &batch(0..9, 2, 2)).unwrap().first_seq + 8;
    (disk.kill_image(), shown)
}

/// Asks `rule` about what an opening does in `latest/` once HEAD tells of it: the log has its new segment then.
fn once_begun(disk: &MemDisk, rule: impl Fn(Operation) -> Verdict + Send + Sync + 'static) -> Arc<dyn Disk> {
    let has_begun = AtomicBool::new(false);
    Arc::new(FaultyDisk::new(Arc::new(disk.clone()), move |operation, file: &Path| {
        has_begun.fetch_or(operation == Operation::SyncMap && file == path("HEAD"), Ordering::SeqCst);
        let is_asked = has_begun.load(Ordering::SeqCst) && file.starts_with(path("latest"));
        if is_asked { rule(operation) } else { Verdict::Proceed }
    }))
}

/// Each once made a segment after that of the one before, until the disk was full.
#[test]
fn openings_that_fail_or_are_killed_one_after_another_leave_one_segment() {
    for is_killed in [false, true] {
        let (mut disk, shown) = killed_with_nine_rows();
        let before = segments(&disk);
        for round in 0..5 {
            let (killed, seen) = (disk.clone(), Arc::new(Mutex::new(None)));
            let last = Arc::clone(&seen);
            let opened = builder_on(once_begun(&disk, move |operation| match operation {
                Operation::OpenWrite if is_killed => {
                    last.lock().unwrap().get_or_insert_with(|| killed.kill_image());
                    Verdict::Proceed
                }
                Operation::OpenWrite | Operation::Remove => Verdict::Fail(io::ErrorKind::Other),
                _ => Verdict::Proceed,
            }))
            .open(STORE);
            assert_eq!(opened.is_ok(), is_killed, "round {round}");
            drop(opened);
            disk = seen.lock().unwrap().take().unwrap_or(disk);
            assert_eq!(segments(&disk), before + 1, "round {round}, killed: {is_killed}");
            assert_eq!(x(&builder(&disk).open_read_only(STORE).unwrap(), 3), Some(2), "round {round}");
            for image in [disk.kill_image(), disk.crash_image(CrashMode::DropAll)] {
                let store = builder(&image).open(STORE).unwrap();
                assert_eq!(x(&store, 3), Some(2), "round {round}");
                let next = store.write("v", &batch(0..9, 3, 3)).unwrap().first_seq;
                assert!(next > shown, "number {next} is given, and numbers up to {shown} were");
                store.close().unwrap();
                assert_eq!(problems(&image), []);
            }
        }
    }
}

/// The opening failed once. A process that reads may have opened the table meanwhile, as that of the writer which HEAD tells of.
#[test]
fn a_table_that_can_be_neither_opened_nor_retired_goes_and_nobody_answers_from_it() {
    let (disk, _) = killed_with_nine_rows();
    // That there is none cannot be found out, either.
    disk.remove(&path("latest/2-w@1")).unwrap();
    let (beside, readers) = (disk.clone(), Arc::new(Mutex::new(Vec::new())));
    let reading = Arc::clone(&readers);
    let store = builder_on(once_begun(&disk, move |operation| {
        if operation != Operation::OpenWrite {
            return Verdict::Proceed;
        }
        let reader = builder(&beside).open_read_only(STORE).unwrap();
        assert_eq!(x(&reader, 3), Some(2));
        reading.lock().unwrap().push(reader);
        Verdict::Fail(io::ErrorKind::Other)
    }));
    let store = store.open(STORE).unwrap();
    store.write("v", &batch(0..9, 3, 3)).unwrap();
    assert_eq!(x(&store, 3), Some(3));
    for reader in &*readers.lock().unwrap() {
        assert_eq!(x(reader, 3), Some(3), "read beside it");
    }
    assert!(!readers.lock().unwrap().is_empty());
    store.close().unwrap();
    drop(store);
    assert_eq!(x(&builder(&disk).open(STORE).unwrap(), 3), Some(3));
}

/// It was opened to read once, and the first commit failed after HEAD had told of a writer.
#[test]
fn a_log_that_a_writer_may_not_write_to_is_found_so_before_head_tells_of_it() {
    for is_closed in [false, true] {
        let (disk, store) = store_of_nine_rows();
        let disk = if is_closed { disk } else { disk.kill_image() };
        store.close().unwrap();
        drop(store);
        let faulty: Arc<dyn Disk> = Arc::new(FaultyDisk::new(Arc::new(disk.clone()), |operation, file: &Path| {
            match operation == Operation::OpenWrite && file.extension().is_some_and(|ending| ending == "log") {
                true => Verdict::Fail(io::ErrorKind::PermissionDenied),
                false => Verdict::Proceed,
            }
        }));
        let before = read(&disk, &path("HEAD"));
        let error = builder_on(Arc::clone(&faulty)).open(STORE).map(drop).unwrap_err().to_string();
        assert!(error.contains(".log: OpenWrite") && error.contains("ls -ld"), "{error}");
        assert!(read(&disk, &path("HEAD")) == before, "HEAD was written to, of a store closed: {is_closed}");
        assert_eq!(x(&builder_on(faulty).open_read_only(STORE).unwrap(), 3), Some(1));
        assert_eq!(x(&builder(&disk).open(STORE).unwrap(), 3), Some(1));
    }
}

#[test]
fn a_store_whose_first_opening_was_cut_short_anywhere_misses_nothing() {
    let disk = MemDisk::new();
    let images: Arc<Mutex<Vec<MemDisk>>> = Arc::default();
    let taken = Arc::clone(&images);
    disk.on_operation(move |info| taken.lock().unwrap().push(info.disk.kill_image()));
    drop(builder(&disk).open(STORE).unwrap());
    let images = std::mem::take(&mut *images.lock().unwrap());
    let mut checked = 0;
    for (moment, image) in images.into_iter().enumerate() {
        let Ok(report) = Store::builder().disk(Arc::new(image)).check(STORE, &mut |_| ()) else { continue };
        let damage = |problem: &&asof::Problem| problem.severity == Severity::Damage;
        assert_eq!(report.problems.iter().find(damage), None, "moment {moment}");
        checked += 1;
    }
    assert!(checked > 5, "{checked}");
}
