//! What a writer that was killed left, and what the next one makes of it.

use super::*;

#[test]
fn a_writer_killed_inside_a_slot_stops_nobody_and_replay_mends_it() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let old = Row {
        order: (9, None, 1),
        values: Some(vec![Value::Int64(1), "a string that lies in the heap".into(), Value::Null]),
    };
    upsert(&mut table, b"k", &old).unwrap();
    upsert(&mut table, b"other", &old).unwrap();
    table.clear_behind();
    table.commit(1, 1);
    let (.., at) = slot_at(&table, b"k");
    let words = table.inserter.shared.words();
    seqlock::enter(&words[at..]);
    words[at + 1].store(2, Ordering::Relaxed);
    let reader = table.open_reader();
    let mut copy = reader.slot_copy();
    assert_eq!(reader.lookup(key_hash(99, b"k"), b"k", Need::SlotAndHeap, &mut copy), Lookup::Busy);
    assert_eq!(reader.lookup(key_hash(99, b"other"), b"other", Need::SlotAndHeap, &mut copy), Lookup::Hit);
    drop(table);

    let mut table = reopen(&disk, mixed());
    assert_eq!(table.applied().0, 1);
    // Growth while the slot is torn keeps it torn.
    for number in 0..2_000 {
        upsert(&mut table, &key_of(number), &old).unwrap();
    }
    assert_eq!(reader.lookup(key_hash(99, b"k"), b"k", Need::SlotAndHeap, &mut copy), Lookup::Busy);
    let new = Row { order: (10, None, 2), values: None };
    assert_eq!(upsert(&mut table, b"k", &new).unwrap(), Upsert::Replaced);
    assert_eq!(reader.lookup(key_hash(99, b"k"), b"k", Need::SlotAndHeap, &mut copy), Lookup::Hit);
    assert_eq!(row_of(&copy, 3), new);
    assert!(!copy.asks_history());
}

#[test]
fn a_writer_killed_between_tag_and_check_word_is_mended_by_replay() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let row = Row { order: (9, None, 1), values: None };
    upsert(&mut table, b"k", &row).unwrap();
    let (shard, slot, _) = slot_at(&table, b"k");
    let check = &table.inserter.shared.words()[shard.check_at(slot / 16)];
    check.store(check.load(Ordering::Relaxed) ^ 1, Ordering::Relaxed);
    let reader = table.open_reader();
    let mut copy = reader.slot_copy();
    let hash = key_hash(99, b"k");
    assert_eq!(reader.lookup(hash, b"k", Need::Slot, &mut copy), Lookup::Hit, "a sound slot needs no check word");
    let absent = (0..).map(|i: u64| i.to_le_bytes()).find(|key| {
        let hash = key_hash(99, key);
        shard.home(hash) == slot / 16 && tag_of(hash) != tag_of(key_hash(99, b"k"))
    });
    let absent = absent.unwrap();
    assert_eq!(reader.lookup(key_hash(99, &absent), &absent, Need::Slot, &mut copy), Lookup::Busy);
    drop(table);
    let mut table = reopen(&disk, mixed());
    assert_eq!(upsert(&mut table, b"k", &row).unwrap(), Upsert::Older);
    assert_eq!(reader.lookup(key_hash(99, &absent), &absent, Need::Slot, &mut copy), Lookup::Miss);
}

#[test]
fn a_slot_that_asks_history_still_does_after_a_writer_was_killed_inside_it() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let row = |event_ts, seq| Row { order: (event_ts, None, seq), values: None };
    upsert(&mut table, b"k", &row(9, 1)).unwrap();
    let (.., at) = slot_at(&table, b"k");
    let words = table.inserter.shared.words();
    words[at + 2].store(7, Ordering::Relaxed);
    // The row of time 9 is lost, and history alone knows of it.
    upsert(&mut table, b"k", &row(5, 2)).unwrap();
    seqlock::enter(&table.inserter.shared.words()[at..]);
    drop(table);
    let mut table = reopen(&disk, mixed());
    assert_eq!(upsert(&mut table, b"k", &row(6, 3)).unwrap(), Upsert::Replaced);
    let reader = table.open_reader();
    let mut copy = reader.slot_copy();
    assert_eq!(reader.lookup(key_hash(99, b"k"), b"k", Need::Slot, &mut copy), Lookup::Hit);
    assert!(copy.asks_history(), "the lost row may have been greater");
}

#[test]
fn a_table_that_is_behind_does_not_count_what_it_lacks() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    table.clear_behind();
    table.commit(5, 50);
    // An import's rows are committed; commits after it go into the table, the import's rows do not yet.
    table.mark_behind();
    table.commit(9, 90);
    assert_eq!(table.applied(), (5, 50));
    table.clear_behind();
    table.commit(10, 100);
    assert_eq!(table.applied(), (10, 100));
}

#[test]
fn parts_too_take_what_a_killed_writer_left_for_that_and_for_no_damage() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let row = |seq| Row { order: (1, None, seq), values: None };
    upsert(&mut table, b"k", &row(1)).unwrap();
    table.clear_behind();
    let (.., at) = slot_at(&table, b"k");
    seqlock::enter(&table.inserter.shared.words()[at..]);
    drop(table);
    let mut table = reopen(&disk, mixed());
    store(&mixed().row, b"k", &row(2), |hash, row, seq| {
        let mut parts = table.parts(2).unwrap();
        let part = parts.iter_mut().find(|part| part.hashes().contains(&hash)).unwrap();
        assert_eq!(part.upsert(hash, row, seq).unwrap(), Upsert::Replaced);
    });
    let mut copy = table.open_reader().slot_copy();
    assert_eq!(table.open_reader().lookup(key_hash(99, b"k"), b"k", Need::Slot, &mut copy), Lookup::Hit);
    assert!(!copy.asks_history() && table.stats().damage_count == 0);
}
