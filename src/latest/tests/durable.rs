//! What a power failure leaves of a table, whatever was done to it since it was closed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::disk::{CrashMode, FaultyDisk, OpenMode, Operation, Verdict};
use crate::error::ErrorKind;

const KEYS: u64 = 400;

/// A table with rows that was closed, under a name that is durable.
fn closed(shape: TableShape) -> MemDisk {
    let disk = disk();
    create(&disk, shape).close().unwrap();
    for folder in ["", "store"] {
        disk.sync_dir(Path::new(folder)).unwrap();
    }
    disk
}

#[test]
fn after_a_power_failure_no_superblock_calls_a_table_clean_that_was_changed() {
    // The mark was once taken out of one superblock only. A crash while that one was written over left the other,
    // which called the table clean, and rows of it were not there.
    let disk = closed(mixed());
    let mut table = reopen(&disk, mixed());
    for round in 0..4 {
        upsert(&mut table, b"k", &Row { order: (round, None, 1), values: None }).unwrap();
        table.commit(round.unsigned_abs(), 0);
        for seed in 0..200 {
            let image = disk.crash_image(CrashMode::Random(seed));
            distrust(&image, mixed());
        }
    }
}

#[test]
fn a_table_that_was_changed_after_a_writer_was_killed_is_not_called_clean_by_the_medium() {
    // The first of two writers was killed before it had synced the mark away; the second took it for its work, and did not.
    let disk = closed(mixed());
    let killed: Arc<Mutex<Option<MemDisk>>> = Arc::default();
    let taken = Arc::clone(&killed);
    disk.on_operation(move |info| {
        if info.operation == Operation::SyncMap {
            taken.lock().unwrap().get_or_insert_with(|| info.disk.kill_image());
        }
    });
    let row = Row { order: (1, None, 1), values: None };
    upsert(&mut reopen(&disk, mixed()), b"k", &row).unwrap();
    let image = killed.lock().unwrap().take().unwrap();
    upsert(&mut reopen(&image, mixed()), b"k", &row).unwrap();
    distrust(&image.crash_image(CrashMode::DropAll), mixed());
}

#[test]
fn a_table_that_is_not_changed_is_opened_and_closed_without_a_sync() {
    let disk = closed(mixed());
    let syncs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&syncs);
    disk.on_operation(move |info| {
        if matches!(info.operation, Operation::Sync | Operation::SyncMap) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    for seq in 5..9 {
        let mut table = reopen(&disk, mixed());
        table.clear_behind();
        table.commit(seq, seq);
        table.close().unwrap();
    }
    assert_eq!((syncs.load(Ordering::Relaxed), reopen(&disk, mixed()).applied()), (0, (8, 8)));
    let mut table = reopen(&disk, mixed());
    for seq in 9..99 {
        upsert(&mut table, b"k", &Row { order: (1, None, seq), values: None }).unwrap();
    }
    assert_eq!(syncs.load(Ordering::Relaxed), 1, "before the first change");
    table.close().unwrap();
    assert_eq!(syncs.load(Ordering::Relaxed), 3, "the rows, and then the mark");
}

#[test]
fn a_table_whose_mark_cannot_be_synced_away_takes_no_row_until_it_can() {
    let disk = closed(mixed());
    let mut table = reopen(&failing_syncs(&disk, 2), mixed());
    let row = Row { order: (1, None, 1), values: None };
    table.make_ready(&[key_hash(99, b"k")]);
    assert!(upsert(&mut table, b"k", &row).is_err() && table.is_behind());
    let mut copy = table.open_reader().slot_copy();
    assert_eq!(table.open_reader().lookup(key_hash(99, b"k"), b"k", Need::Slot, &mut copy), Lookup::Miss);
    upsert(&mut table, b"k", &row).unwrap();
    distrust(&disk.crash_image(CrashMode::DropAll), mixed());
}

/// A copy of a closed table may have holes, where nothing but zeros was: on a full disk a store into one ended the process.
#[test]
fn a_table_has_all_its_space_before_its_first_change() {
    let disk = closed(mixed());
    let full = full_once(&disk);
    let rows_of = |disk: &MemDisk| {
        let file = disk.open(Path::new(PATH), OpenMode::Read).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        bytes.split_off(HEADER_WORDS * 8)
    };
    let before = rows_of(&disk);
    let mut table = reopen(&full, mixed());
    let row = Row { order: (1, None, 1), values: None };
    let error = upsert(&mut table, b"k", &row).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(table.is_behind() && rows_of(&disk) == before, "nothing but the header changes");
    upsert(&mut table, b"k", &row).unwrap();
    assert!(rows_of(&disk) != before);
}

/// The first time that space is asked for, there is none.
fn full_once(disk: &MemDisk) -> FaultyDisk {
    let verdict = Verdict::Fail(std::io::ErrorKind::StorageFull);
    FaultyDisk::at(Arc::new(disk.clone()), verdict, 0, 1, |operation, _| operation == Operation::Allocate)
}

#[test]
fn a_table_that_cannot_be_made_leaves_no_file_and_takes_no_other_ones_name() {
    let disk = disk();
    let (full, path) = (full_once(&disk), Path::new(PATH));
    let make = || Table::create(&full, path, mixed(), &OPTIONS);
    assert_eq!(make().unwrap_err().kind(), ErrorKind::NoSpace);
    assert!(!disk.exists(path).unwrap(), "on a full disk, what it holds is missing");
    make().unwrap().close().unwrap();
    make().unwrap_err();
    assert!(disk.exists(path).unwrap(), "the one that has the name stays");
}

/// Syncs of mappings fail so many times.
fn failing_syncs(disk: &MemDisk, count: u64) -> FaultyDisk {
    let verdict = Verdict::Fail(std::io::ErrorKind::Other);
    FaultyDisk::at(Arc::new(disk.clone()), verdict, 0, count, |operation, _| operation == Operation::SyncMap)
}

#[test]
fn what_a_killed_writer_left_and_a_sync_could_not_write_is_believed_by_nobody() {
    // A system tells of it once. What the killed writer had changed was called clean by the close after that, and was not there after a
    // power failure.
    let disk = closed(mixed());
    let row = |seq| Row { order: (1, None, seq), values: None };
    upsert(&mut reopen(&disk, mixed()), b"killed", &row(1)).unwrap();
    let disk = disk.kill_image();
    let mut table = reopen(&failing_syncs(&disk, 1), mixed());
    table.make_ready(&[key_hash(99, b"k")]);
    for seq in 2..5 {
        assert!(upsert(&mut table, b"k", &row(seq)).is_err(), "row {seq}");
    }
    assert!(table.close().is_err());
    distrust(&disk, mixed());
}

#[test]
fn a_file_that_is_retired_is_so_after_a_power_failure() {
    let disk = closed(mixed());
    Table::retire_file(&disk, Path::new(PATH)).unwrap();
    for seed in 0..50 {
        assert!(distrust(&disk.crash_image(CrashMode::Random(seed)), mixed()).contains("to take its place"));
    }
}

#[test]
fn a_table_that_is_retired_is_so_after_a_power_failure() {
    // It may have rows that the log lost. It was not changed, so that the medium still called it clean.
    let disk = closed(mixed());
    reopen(&disk, mixed()).retire();
    for seed in 0..50 {
        assert!(distrust(&disk.crash_image(CrashMode::Random(seed)), mixed()).contains("took its place"));
    }
}

/// Lives of a table: opened, changed or not, closed or killed. How many images of a power failure were believed, how many were not, and the
/// first that was and is not what was closed. `is_skipped`: syncs before the first change are left out.
fn live(seed: u64, is_skipped: bool) -> (u64, u64, Option<String>) {
    let mut random = Random::new(seed);
    let mut disk = closed(mixed());
    // What was closed, by applied seq.
    let mut closed: BTreeMap<u64, HashMap<Vec<u8>, Row>> = BTreeMap::from([(0, HashMap::new())]);
    let mut model = HashMap::new();
    let (mut believed, mut doubted, mut wrong) = (0, 0, None);
    let mut seq = 0;
    for _ in 0..8 {
        let is_closing = Arc::new(AtomicBool::new(false));
        let closing = Arc::clone(&is_closing);
        let under = FaultyDisk::new(Arc::new(disk.clone()), move |operation, _| {
            let is_left_out = is_skipped && operation == Operation::SyncMap && !closing.load(Ordering::Relaxed);
            if is_left_out { Verdict::Skip } else { Verdict::Proceed }
        });
        let images: Arc<Mutex<Vec<MemDisk>>> = Arc::default();
        let (taken, seeds) = (Arc::clone(&images), AtomicU64::new(random.bits()));
        disk.on_operation(move |info| {
            let mode = CrashMode::Random(seeds.fetch_add(1, Ordering::Relaxed));
            taken.lock().unwrap().push(info.disk.crash_image(mode));
        });
        let mut judge = |closed: &BTreeMap<u64, HashMap<Vec<u8>, Row>>, disk: &MemDisk, random: &mut Random| {
            let mut images = std::mem::take(&mut *images.lock().unwrap());
            images.extend((0..4).map(|_| disk.crash_image(CrashMode::Random(random.bits()))));
            for image in images {
                match Table::open(&image, Path::new(PATH), mixed(), &OPTIONS, 0).unwrap() {
                    Opened::NeedsRebuild(_) => doubted += 1,
                    Opened::Trusted(table) => {
                        believed += 1;
                        let found = differs(table, closed, &image);
                        wrong = wrong.take().or(found);
                    }
                }
            }
        };
        let mut table = reopen(&under, mixed());
        judge(&closed, &disk, &mut random);
        let changes = random.below(2) == 0;
        for _ in 0..random.below(4) {
            seq += 1;
            match random.below(if changes { 4 } else { 1 }) {
                0 => {}
                1 => {
                    // So many that shards grow.
                    let keys = 0..20 * random.below(10);
                    let hashes: Vec<u64> = keys.map(|_| key_hash(99, &key_of(random.below(2 * KEYS)))).collect();
                    table.make_ready(&hashes);
                }
                2 => {
                    seq += 1;
                    let (key, row) = (key_of(random.below(KEYS)), random_row(&mut random, seq));
                    store(&mixed().row, &key, &row, |hash, row, seq| {
                        let mut parts = table.parts(2).unwrap();
                        let part = parts.iter_mut().find(|part| part.hashes().contains(&hash)).unwrap();
                        part.upsert(hash, row, seq).unwrap();
                    });
                    apply(&mut model, &key, &row);
                }
                _ => {
                    for _ in 0..random.below(60) {
                        seq += 1;
                        let (key, row) = (key_of(random.below(KEYS)), random_row(&mut random, seq));
                        upsert(&mut table, &key, &row).unwrap();
                        apply(&mut model, &key, &row);
                    }
                }
            }
            table.clear_behind();
            table.commit(seq, seq);
            judge(&closed, &disk, &mut random);
        }
        if random.below(4) == 0 {
            drop(table);
            disk = disk.kill_image();
            continue;
        }
        is_closing.store(true, Ordering::Relaxed);
        table.clear_behind();
        table.commit(seq, seq);
        closed.insert(seq, model.clone());
        table.close().unwrap();
        judge(&closed, &disk, &mut random);
    }
    (believed, doubted, wrong)
}

/// What a table that was believed has other than what was closed with its applied seq; also once it is written to.
fn differs(mut table: Table, closed: &BTreeMap<u64, HashMap<Vec<u8>, Row>>, disk: &MemDisk) -> Option<String> {
    let (applied_seq, _) = table.applied();
    let Some(model) = closed.get(&applied_seq) else { return Some(format!("closed with {applied_seq} by nobody")) };
    let mut model = model.clone();
    if let Some(what) = first_difference(&table.open_reader(), &model) {
        return Some(format!("closed with {applied_seq}: {what}"));
    }
    // What is free is free.
    let mut random = Random::new(applied_seq);
    for seq in 1_000_000..1_000_100 {
        let (key, row) = (key_of(random.below(2 * KEYS)), random_row(&mut random, seq));
        if upsert(&mut table, &key, &row).is_err() {
            return Some("it takes no row".to_owned());
        }
        apply(&mut model, &key, &row);
    }
    table.close().unwrap();
    first_difference(&reopen(disk, mixed()).open_reader(), &model).map(|what| format!("written to: {what}"))
}

fn first_difference(reader: &TableReader, model: &HashMap<Vec<u8>, Row>) -> Option<String> {
    let mut copy = reader.slot_copy();
    (0..2 * KEYS).map(key_of).find_map(|key| {
        let found = reader.lookup(key_hash(99, &key), &key, Need::SlotAndHeap, &mut copy);
        let is_same = match model.get(&key) {
            Some(row) => found == Lookup::Hit && row_of(&copy, 3) == *row,
            None => found == Lookup::Miss,
        };
        (!is_same).then(|| format!("key {key:?} is {found:?}"))
    })
}

#[test]
fn a_table_that_is_believed_after_a_power_failure_is_what_was_closed() {
    let (mut believed, mut doubted) = (0, 0);
    for seed in 0..lives(12) {
        let (yes, no, wrong) = live(seed, false);
        assert_eq!(wrong, None, "life {seed}");
        (believed, doubted) = (believed + yes, doubted + no);
    }
    println!("{believed} images believed, {doubted} not");
    assert!(believed > 100 && doubted > 100, "{believed} images believed, {doubted} not");
}

#[test]
fn a_mark_that_is_not_synced_away_before_the_first_change_is_noticed() {
    let wrong = (0..lives(12)).find_map(|seed| live(seed, true).2);
    println!("{wrong:?}");
    assert!(wrong.is_some());
}

/// `ASOF_TABLE_LIVES` makes them more.
fn lives(count: u64) -> u64 {
    std::env::var("ASOF_TABLE_LIVES").ok().and_then(|text| text.parse().ok()).map_or(count, |more: u64| more.max(count))
}
