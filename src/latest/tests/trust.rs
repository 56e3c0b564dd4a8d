//! Which tables are believed: files that lose their name, and what is to be built anew.

use super::*;
use crate::disk::OpenMode;

/// A table that has all its rows.
fn current() -> (MemDisk, Table) {
    let disk = disk();
    let mut table = create(&disk, mixed());
    table.clear_behind();
    (disk, table)
}

#[test]
fn a_retired_table_tells_its_readers() {
    let disk = disk();
    let table = create(&disk, mixed());
    let reader = table.open_reader();
    table.retire();
    assert_eq!(reader.state().unwrap().behind, crate::format::table::BEHIND_RETIRED);
    assert!(distrust(&disk, mixed()).contains("took its place"));
}

#[test]
fn a_table_whose_file_lost_its_name_is_never_current_again() {
    let (disk, mut table) = current();
    table.commit(1, 1);
    let reader = table.open_reader();
    assert!(reader.is_current());
    Table::retire_file(&disk, Path::new(PATH)).unwrap();
    // Whoever still has it may believe that it has every row: those that another table gets it has not.
    table.mark_behind();
    table.clear_behind();
    table.commit(2, 2);
    assert!(reader.is_retired() && table.is_behind() && table.applied() == (1, 1));
    table.close().unwrap();
    assert!(reader.is_retired());
    assert!(distrust(&disk, mixed()).contains("took its place"));
}

#[test]
fn a_table_that_was_to_lose_its_name_when_its_writer_was_killed_is_not_opened() {
    let (disk, table) = current();
    table.close().unwrap();
    drop(reopen(&disk, mixed()));
    Table::retire_file(&disk, Path::new(PATH)).unwrap();
    assert!(distrust(&disk, mixed()).contains("to take its place"));
}

#[test]
fn a_reader_has_the_file_that_it_judged_whatever_bears_its_name_by_then() {
    // The path was opened twice: once to be judged, once to be mapped. A shorter file in between was read beyond its end.
    let (disk, mut table) = current();
    let row = Row { order: (1, None, 1), values: None };
    upsert(&mut table, b"k", &row).unwrap();
    table.commit(1, 1);
    table.close().unwrap();
    let file = disk.open(Path::new(PATH), OpenMode::Read).unwrap();
    disk.remove(Path::new(PATH)).unwrap();
    disk.open(Path::new(PATH), OpenMode::Create).unwrap();
    let beside = Beside::Nobody { committed_seq: 1 };
    let Opened::Trusted(reader) = TableReader::of_file(&disk, &file, mixed(), &OPTIONS, beside).unwrap() else {
        panic!("the file is sound");
    };
    let mut copy = reader.slot_copy();
    assert_eq!(reader.lookup(key_hash(99, b"k"), b"k", Need::SlotAndHeap, &mut copy), Lookup::Hit);
}

#[test]
fn a_reader_believes_a_closed_table_of_a_closed_store_that_has_as_many_rows_and_no_other() {
    let (disk, mut table) = current();
    table.commit(5, 1);
    let believed = |beside| match TableReader::open(&disk, Path::new(PATH), mixed(), &OPTIONS, beside).unwrap() {
        Opened::Trusted(_) => true,
        Opened::NeedsRebuild(_) => false,
    };
    let nobody = |committed_seq| Beside::Nobody { committed_seq };
    assert!(believed(Beside::Writer) && believed(nobody(5)) && !believed(nobody(4)) && !believed(nobody(6)));
    table.close().unwrap();
    assert!(!believed(Beside::Writer) && believed(nobody(5)) && !believed(nobody(4)) && !believed(nobody(6)));
}

#[test]
fn a_table_is_worn_once_a_quarter_of_it_was_lost_to_kills_or_damage_was_met() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let text = |seq: u64| {
        let values = vec![Value::Null, Value::String("z".repeat(2_000)), Value::Null];
        Row { order: (seq as i64, None, seq), values: Some(values) }
    };
    let mut seq = 0;
    let mut kills = 0;
    while !table.stats().is_worn() {
        assert!(table.stats().lost_bytes * 4 <= table.stats().file_bytes && kills < 100);
        // Blocks that were freed are told of by nobody after a kill.
        for key in 0..40_u64 {
            for _ in 0..3 {
                seq += 1;
                upsert(&mut table, &key.to_le_bytes(), &text(seq)).unwrap();
            }
        }
        table.clear_behind();
        table.commit(seq, seq);
        drop(table);
        kills += 1;
        table = reopen(&disk, mixed());
    }
    assert!(kills > 0 && table.stats().lost_bytes * 4 > table.stats().file_bytes);

    let disk = self::disk();
    let mut table = create(&disk, mixed());
    upsert(&mut table, b"k", &text(1)).unwrap();
    let (.., at) = slot_at(&table, b"k");
    assert!(!table.stats().is_worn());
    table.inserter.shared.words()[at + 1].fetch_xor(1 << 40, Ordering::Relaxed);
    upsert(&mut table, b"k", &text(2)).unwrap();
    assert!(table.stats().is_worn());
}

#[test]
fn a_folder_under_the_name_of_a_table_is_none_and_is_left_alone() {
    let disk = disk();
    disk.create_dir(Path::new(PATH)).unwrap();
    Table::retire_file(&disk, Path::new(PATH)).unwrap();
    assert!(Table::open(&disk, Path::new(PATH), mixed(), &OPTIONS, 0).is_err() && disk.list(Path::new(PATH)).is_ok());
}

/// Each of many views reserved 64 GiB of addresses, of which a process on some boards has 512.
#[test]
fn a_table_takes_fewer_addresses_where_there_are_not_so_many() {
    let disk = MemDisk::volatile();
    disk.create_dir(Path::new("store")).unwrap();
    // What is in memory is mapped no larger than it first was.
    let scarce = TableOptions { reserve_bytes: 1 << 30, ..OPTIONS };
    Table::create(&disk, Path::new(PATH), mixed(), &scarce).unwrap().close().unwrap();
    let options = TableOptions { reserve_bytes: 64 << 30, ..OPTIONS };
    assert!(matches!(Table::open(&disk, Path::new(PATH), mixed(), &options, 0), Ok(Opened::Trusted(_))));
    let too_much = TableOptions { reserve_bytes: 1 << 30, ..OPTIONS };
    let small = MemDisk::volatile();
    small.create_dir(Path::new("store")).unwrap();
    create(&small, mixed()).close().unwrap();
    assert!(Table::open(&small, Path::new(PATH), mixed(), &too_much, 0).is_err(), "there are not even so many");
}
