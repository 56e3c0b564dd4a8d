//! What a killed writer leaves and what damage does: neither is answered as truth.

use super::*;

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

/// Flips bits all over a table and asks for every key: an answer is right or there is none.
#[test]
fn no_damaged_bit_is_answered_as_truth() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let mut model = HashMap::new();
    let mut random = Random::new(8);
    let keys = 60;
    for seq in 1..150 {
        let key = key_of(random.below(keys));
        let row = random_row(&mut random, seq);
        upsert(&mut table, &key, &row).unwrap();
        apply(&mut model, &key, &row);
    }
    table.commit(150, 3);
    table.clear_behind();
    let reader = table.open_reader();
    let live = reader.state().unwrap();
    let used = {
        let Storage { space, .. } = &*table.inserter.shared.storage();
        space.used_end
    };
    let words = table.inserter.shared.words();
    let mut copy = reader.slot_copy();
    let mut refused = 0;
    for at in (LIVE_DIRECTORY..LIVE_DIRECTORY + 1).chain(LIVE_STATE..LIVE_STATE + 4).chain(HEADER_WORDS..used) {
        let good = words[at].load(Ordering::Relaxed);
        // An unused word is tried less often: there are many.
        let flips = if good == 0 { 1 } else { 4 };
        for _ in 0..flips {
            words[at].store(good ^ 1 << random.below(64), Ordering::Relaxed);
            if let Some(state) = reader.state() {
                assert_eq!(state, live, "word {at}");
            }
            for number in 0..keys + 10 {
                let key = key_of(number);
                let found = reader.lookup(key_hash(99, &key), &key, Need::SlotAndHeap, &mut copy);
                match (found, model.get(&key)) {
                    (Lookup::Hit, Some(row)) => assert_eq!(row_of(&copy, 3), *row, "word {at}, key {number}"),
                    (Lookup::Miss, None) => {}
                    (Lookup::Busy | Lookup::Untrusted, _) => refused += 1,
                    (found, row) => panic!("word {at}, key {number}: {found:?} where {row:?} is true"),
                }
            }
            words[at].store(good, Ordering::Relaxed);
        }
    }
    assert!(refused > 1_000, "the damage was hardly met: {refused}");
    assert_is(&reader, &model, keys + 10);
}

#[test]
fn a_damaged_slot_written_over_asks_history_for_ever() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    upsert(&mut table, b"k", &Row { order: (9, None, 1), values: None }).unwrap();
    let (.., at) = slot_at(&table, b"k");
    let words = table.inserter.shared.words();
    words[at + 2].store(7, Ordering::Relaxed);
    for (event_ts, seq) in [(5, 2), (6, 3)] {
        upsert(&mut table, b"k", &Row { order: (event_ts, None, seq), values: None }).unwrap();
        let reader = table.open_reader();
        let mut copy = reader.slot_copy();
        assert_eq!(reader.lookup(key_hash(99, b"k"), b"k", Need::Slot, &mut copy), Lookup::Hit);
        assert!(copy.asks_history(), "the lost row may have been greater");
    }
    assert_eq!(table.stats().damage_count, 1);
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
fn a_table_that_was_opened_twice_since_it_was_closed_is_not_called_clean_by_the_medium() {
    // The first of the two was killed before it had synced the mark away; the second took it for its work, and did not.
    let disk = disk();
    let shape = shape(&[DataType::Int64]);
    create(&disk, shape.clone()).close().unwrap();
    for folder in ["", "store"] {
        disk.sync_dir(Path::new(folder)).unwrap();
    }
    let killed: Arc<std::sync::Mutex<Option<MemDisk>>> = Arc::default();
    let taken = Arc::clone(&killed);
    disk.on_operation(move |info| {
        if info.operation == crate::disk::Operation::SyncMap {
            taken.lock().unwrap().get_or_insert_with(|| info.disk.kill_image());
        }
    });
    drop(reopen(&disk, shape.clone()));
    let image = killed.lock().unwrap().take().unwrap();
    drop(reopen(&image, shape.clone()));
    distrust(&image.crash_image(crate::disk::CrashMode::DropAll), shape);
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
