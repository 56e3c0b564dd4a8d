//! The table against a map in memory: the same random rows, then kills, damage and readers at work.

mod ahead;
mod cursor;
mod damage;
mod durable;
mod killed;
mod marking;
mod trust;
mod walk;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::insert::Storage;
use super::*;
use crate::disk::{Disk, MemDisk, Random};
use crate::format::row::{FieldState, RowHead, RowKind, RowLayout, RowRef, push_image};
use crate::format::table::{
    HEADER_WORDS, LIVE_DIRECTORY, LIVE_EPOCH, LIVE_STATE, SUPERBLOCK_WORDS, SUPERBLOCKS_AT, Shard, Superblock, tag_of,
};
use crate::key::key_hash;
use crate::value::{DataType, Value};

const PATH: &str = "store/latest";
const OPTIONS: TableOptions = TableOptions { expected_keys: 0, reserve_bytes: 256 << 20, floor: None };

fn disk() -> MemDisk {
    let disk = MemDisk::new();
    disk.create_dir(Path::new("store")).unwrap();
    disk
}

fn shape(types: &[DataType]) -> TableShape {
    TableShape {
        row: RowLayout::new(types.iter().cloned()),
        key_bytes: None,
        has_created: true,
        store_uuid: [7; 16],
        hash_seed: 99,
    }
}

fn mixed() -> TableShape {
    shape(&[DataType::Int64, DataType::String, DataType::Float64])
}

fn create(disk: &dyn Disk, shape: TableShape) -> Table {
    Table::create(disk, Path::new(PATH), shape, &OPTIONS).unwrap()
}

fn reopen(disk: &dyn Disk, shape: TableShape) -> Table {
    match Table::open(disk, Path::new(PATH), shape, &OPTIONS, 0).unwrap() {
        Opened::Trusted(table) => table,
        Opened::NeedsRebuild(reason) => panic!("not trusted: {reason}"),
    }
}

fn distrust(disk: &dyn Disk, shape: TableShape) -> String {
    match Table::open(disk, Path::new(PATH), shape, &OPTIONS, 0).unwrap() {
        Opened::Trusted(_) => panic!("trusted"),
        Opened::NeedsRebuild(reason) => reason,
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    order: RowOrder,
    values: Option<Vec<Value>>,
}

fn upsert(table: &mut Table, key: &[u8], row: &Row) -> crate::Result<Upsert> {
    let layout = table.inserter.shared.reader.layout.shape.row.clone();
    store(&layout, key, row, |hash, row, seq| table.upsert(hash, row, seq))
}

/// Hands a row, encoded, to what stores it.
fn store<T>(layout: &RowLayout, key: &[u8], row: &Row, storing: impl FnOnce(u64, &RowRef<'_>, u64) -> T) -> T {
    let mut image = Vec::new();
    let kind = if row.values.is_some() { RowKind::Value } else { RowKind::Delete };
    if let Some(values) = &row.values {
        push_image(layout, values, &mut image).unwrap();
    }
    let head = RowHead { created: row.order.1, ..RowHead::new(kind, row.order.0) };
    let row_ref = RowRef { head, key, field_count: layout.field_count(), image: &image };
    storing(key_hash(99, key), &row_ref, row.order.2)
}

fn row_of(copy: &SlotCopy, fields: usize) -> Row {
    let values = (copy.kind() == Some(RowKind::Value)).then(|| (0..fields).map(|i| copy.value(i).unwrap()).collect());
    Row { order: copy.order(), values }
}

fn key_of(number: u64) -> Vec<u8> {
    match number % 5 {
        0 => format!("a key too long for sixteen inline bytes {number}").into_bytes(),
        1 => number.to_le_bytes().repeat(2),
        _ => format!("k{number}").into_bytes(),
    }
}

fn random_row(random: &mut Random, seq: u64) -> Row {
    let created = if random.below(2) == 0 { None } else { Some(random.below(3) as i64) };
    let order = (random.below(40) as i64 - 20, created, seq);
    if random.below(10) == 0 {
        return Row { order, values: None };
    }
    let text = match random.below(4) {
        0 => Value::Null,
        1 => Value::String("short".into()),
        _ => Value::String("x".repeat(13 + random.below(300) as usize) + &seq.to_string()),
    };
    Row { order, values: Some(vec![Value::Int64(seq as i64), text, Value::Float64(seq as f64)]) }
}

fn apply(model: &mut HashMap<Vec<u8>, Row>, key: &[u8], row: &Row) {
    match model.get(key) {
        Some(old) if old.order >= row.order => {}
        _ => drop(model.insert(key.to_vec(), row.clone())),
    }
}

fn assert_is(reader: &TableReader, model: &HashMap<Vec<u8>, Row>, keys: u64) {
    let mut copy = reader.slot_copy();
    for number in 0..keys {
        let key = key_of(number);
        let found = reader.lookup(key_hash(99, &key), &key, Need::SlotAndHeap, &mut copy);
        match model.get(&key) {
            Some(row) => {
                assert_eq!(found, Lookup::Hit, "key {number}");
                assert_eq!(row_of(&copy, 3), *row, "key {number}");
            }
            None => assert_eq!(found, Lookup::Miss, "key {number}"),
        }
    }
}

#[test]
fn the_table_holds_the_greatest_row_of_every_key_through_growth_close_and_kill() {
    for seed in 0..3 {
        let disk = disk();
        let mut random = Random::new(seed);
        let mut table = create(&disk, mixed());
        let mut model = HashMap::new();
        let keys = 40_000;
        let mut seq = 0;
        for round in 0..4 {
            let from = seq;
            let mut suffix = Vec::new();
            for _ in 0..25_000 {
                seq += 1;
                let key = key_of(random.below(keys));
                let row = random_row(&mut random, seq);
                upsert(&mut table, &key, &row).unwrap();
                apply(&mut model, &key, &row);
                suffix.push((key, row));
            }
            assert_is(&table.open_reader(), &model, keys + 100);
            assert_eq!(table.stats().keys, model.len() as u64);
            if round % 2 == 0 {
                table.clear_behind();
                table.commit(seq, seq * 10);
                table.close().unwrap();
                table = reopen(&disk, mixed());
                assert!(!table.is_behind());
                assert_eq!(table.applied(), (seq, seq * 10));
            } else {
                // Killed before the commit: what is there already is replayed over it.
                drop(table);
                table = reopen(&disk, mixed());
                assert!(table.is_behind());
                assert_eq!(table.applied().0, from);
                for (key, row) in &suffix {
                    assert_eq!(upsert(&mut table, key, row).unwrap(), Upsert::Older);
                }
            }
            assert_is(&table.open_reader(), &model, keys + 100);
            assert_eq!(table.stats().damage_count, 0);
        }
        let directory = table.inserter.shared.directory().unwrap();
        assert!(directory.depth >= 1, "the test wants shards that split");
    }
}

#[test]
fn freed_space_serves_again() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let mut random = Random::new(6);
    let mut fill = |table: &mut Table, from: u64| {
        for seq in from..from + 20_000 {
            let text = Value::String("y".repeat(100 + random.below(900) as usize));
            let row = Row { order: (seq as i64, None, seq), values: Some(vec![Value::Null, text, Value::Null]) };
            upsert(table, &key_of(random.below(200)), &row).unwrap();
        }
    };
    fill(&mut table, 1);
    let size = table.stats().file_bytes;
    fill(&mut table, 100_000);
    assert!(table.stats().file_bytes <= size * 3 / 2, "{size} grew to {}", table.stats().file_bytes);
    let before = table.stats();
    table.close().unwrap();
    let table = reopen(&disk, mixed());
    let after = table.stats();
    assert!(after.free_bytes + 4_096 >= before.free_bytes && after.lost_bytes == 0, "{before:?} {after:?}");
}

#[test]
fn rows_with_deadlines_are_left_to_history() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let head = RowHead { deadline: Some(5), ..RowHead::new(RowKind::Value, 1) };
    let mut image = Vec::new();
    push_image(&mixed().row, &[Value::Int64(1), Value::Null, Value::Null], &mut image).unwrap();
    let hash = key_hash(99, b"k");
    table.upsert(hash, &RowRef { head, key: b"k", field_count: 3, image: &image }, 1).unwrap();
    let reader = table.open_reader();
    let mut copy = reader.slot_copy();
    assert_eq!(reader.lookup(hash, b"k", Need::Slot, &mut copy), Lookup::Hit);
    assert!(copy.asks_history());
    upsert(&mut table, b"k", &Row { order: (2, None, 2), values: None }).unwrap();
    assert_eq!(reader.lookup(hash, b"k", Need::Slot, &mut copy), Lookup::Hit);
    assert!(!copy.asks_history() && copy.kind() == Some(RowKind::Delete));
}

#[test]
fn a_row_older_than_a_feature_reads_it_as_null() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let mut image = Vec::new();
    push_image(&RowLayout::new([DataType::Int64]), &[Value::Int64(4)], &mut image).unwrap();
    let hash = key_hash(99, b"k");
    let row = RowRef { head: RowHead::new(RowKind::Value, 1), key: b"k", field_count: 1, image: &image };
    table.upsert(hash, &row, 1).unwrap();
    let reader = table.open_reader();
    let mut copy = reader.slot_copy();
    assert_eq!(reader.lookup(hash, b"k", Need::Slot, &mut copy), Lookup::Hit);
    assert_eq!(
        (copy.value(0), copy.state(1), copy.state(2)),
        (Some(Value::Int64(4)), FieldState::Null, FieldState::Null)
    );
}

/// Where the slot of a key lies.
fn slot_at(table: &Table, key: &[u8]) -> (Shard, usize, usize) {
    let reader = table.open_reader();
    let hash = key_hash(99, key);
    let shard = table.inserter.shared.shard(hash).unwrap();
    let mut copy = reader.slot_copy();
    for slot in 0..shard.slots() {
        let at = shard.slot_at(slot, reader.layout.slot_words);
        if reader.read_slot(at, hash, key, Need::Slot, &mut copy) == Lookup::Hit {
            return (shard, slot, at);
        }
    }
    panic!("no slot of the key");
}

#[test]
fn a_table_is_trusted_only_with_a_sound_superblock_of_this_store_and_shape() {
    let disk = disk();
    let path = Path::new(PATH);
    assert_eq!(distrust(&disk, mixed()), "there is no file");
    create(&disk, mixed()).close().unwrap();
    drop(reopen(&disk, mixed()));
    assert!(distrust(&disk, TableShape { store_uuid: [8; 16], ..mixed() }).contains("another store"));
    assert!(distrust(&disk, shape(&[DataType::Int64])).contains("another store or layout"));
    let file = disk.open(path, crate::disk::OpenMode::Write).unwrap();
    let mut block = [0; 1024];
    file.read_at(0, &mut block).unwrap();
    // One damaged superblock leaves the older one.
    file.write_at(512 + 100, &[block[612] ^ 1]).unwrap();
    drop(reopen(&disk, mixed()));
    file.write_at(100, &[1, 2, 3]).unwrap();
    file.write_at(512 + 100, &[1, 2, 3]).unwrap();
    assert_eq!(distrust(&disk, mixed()), "neither superblock is sound");
}

/// Found by fuzzing: words lost became bytes by an overflow.
#[test]
fn a_superblock_with_impossible_counts_does_not_make_a_table_panic() {
    let disk = disk();
    create(&disk, mixed()).close().unwrap();
    let file = disk.open(Path::new(PATH), crate::disk::OpenMode::Write).unwrap();
    for (slot, at) in SUPERBLOCKS_AT.iter().enumerate().take(2) {
        let at = *at as u64 * 8;
        let mut bytes = [0; SUPERBLOCK_WORDS * 8];
        file.read_at(at, &mut bytes).unwrap();
        let mut words = [0; SUPERBLOCK_WORDS];
        words.iter_mut().zip(bytes.as_chunks().0).for_each(|(word, bytes)| *word = u64::from_le_bytes(*bytes));
        let block = Superblock::decode(&words, slot).unwrap();
        let wrong = Superblock { lost_words: u64::MAX, free_words: u64::MAX, free_list_words: 0, ..block };
        file.write_at(at, &wrong.encode(slot).map(u64::to_le_bytes).concat()).unwrap();
    }
    assert_eq!(reopen(&disk, mixed()).stats().lost_bytes, u64::MAX);
}

#[test]
fn parts_filled_by_threads_hold_what_one_writer_would() {
    let disk = disk();
    let options = TableOptions { expected_keys: 60_000, ..OPTIONS };
    let mut table = Table::create(&disk, Path::new(PATH), mixed(), &options).unwrap();
    let mut random = Random::new(11);
    let rows: Vec<_> = (1..80_000_u64)
        .map(|seq| {
            let key = key_of(random.below(60_000));
            (key_hash(99, &key), key, random_row(&mut random, seq))
        })
        .collect();
    let mut model = HashMap::new();
    for (_, key, row) in &rows {
        apply(&mut model, key, row);
    }
    let layout = mixed().row;
    let parts = table.parts(2).unwrap();
    assert_eq!(parts.len(), 2);
    std::thread::scope(|scope| {
        for mut part in parts {
            let (rows, layout) = (&rows, &layout);
            scope.spawn(move || {
                let mut image = Vec::new();
                let mine = part.hashes();
                for (hash, key, row) in rows.iter().filter(|(hash, ..)| mine.contains(hash)) {
                    image.clear();
                    let kind = if row.values.is_some() { RowKind::Value } else { RowKind::Delete };
                    if let Some(values) = &row.values {
                        push_image(layout, values, &mut image).unwrap();
                    }
                    let head = RowHead { created: row.order.1, ..RowHead::new(kind, row.order.0) };
                    part.upsert(*hash, &RowRef { head, key, field_count: 3, image: &image }, row.order.2).unwrap();
                }
            });
        }
    });
    table.commit(80_000, 0);
    table.clear_behind();
    assert_is(&table.open_reader(), &model, 60_100);
    assert_eq!(table.stats().keys, model.len() as u64);
}

#[test]
fn readers_beside_a_writer_see_only_whole_rows_that_never_go_back() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let keys = 3_000;
    let text = |key: u64, n: u64| format!("{key}:{n}:{}", "z".repeat((n % 90) as usize));
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2_u64)
        .map(|seed| {
            let (reader, stop) = (table.open_reader(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut random = Random::new(seed);
                let mut copy = reader.slot_copy();
                let mut last = vec![0; keys as usize];
                let mut hits = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let number = random.below(keys);
                    let key = key_of(number);
                    match reader.lookup(key_hash(99, &key), &key, Need::SlotAndHeap, &mut copy) {
                        Lookup::Hit => {
                            let n = copy.seq();
                            let row = row_of(&copy, 3);
                            let wanted = vec![
                                Value::Int64((number * n) as i64),
                                Value::String(text(number, n)),
                                Value::Float64(n as f64),
                            ];
                            assert_eq!(row.values, Some(wanted));
                            assert!(n >= last[number as usize], "key {number} went back");
                            last[number as usize] = n;
                            hits += 1;
                        }
                        Lookup::Miss => assert_eq!(last[number as usize], 0, "key {number} vanished"),
                        Lookup::Busy => {}
                        Lookup::Untrusted => panic!("key {number}: a sound table was not trusted"),
                    }
                }
                hits
            })
        })
        .collect();
    let mut random = Random::new(77);
    for n in 1..200_000 {
        // More keys as time goes by, so that shards grow and split under the readers.
        let number = random.below((n / 20 + 1).min(keys * 8));
        let values = vec![Value::Int64((number * n) as i64), Value::String(text(number, n)), Value::Float64(n as f64)];
        upsert(&mut table, &key_of(number), &Row { order: (n as i64, None, n), values: Some(values) }).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.join().unwrap() > 0, "a reader never hit");
    }
}

#[test]
fn a_disk_that_gives_no_more_space_marks_the_table_and_harms_no_row() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    table.clear_behind();
    disk.fail_after(disk.operations());
    let row =
        Row { order: (1, None, 1), values: Some(vec![Value::Int64(1), "x".repeat(500).as_str().into(), Value::Null]) };
    let stored = (0..10_000).take_while(|&number| upsert(&mut table, &key_of(number), &row).is_ok()).count() as u64;
    assert!(stored > 50 && stored < 10_000, "{stored}");
    assert!(table.is_behind());
    let model = (0..stored).map(|number| (key_of(number), row.clone())).collect();
    assert_is(&table.open_reader(), &model, stored + 10);
}
