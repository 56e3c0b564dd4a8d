//! Damage: whatever bit it changed, it is not answered as truth.

use super::*;

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
    let mut old_cursor = reader.cursor(Need::SlotAndHeap);
    assert!(old_cursor.is_current());
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
            let mut new_cursor = reader.cursor(Need::SlotAndHeap);
            for number in 0..keys + 10 {
                let key = key_of(number);
                let hash = key_hash(99, &key);
                for way in 0..4 {
                    let found = match way {
                        0 => reader.lookup(hash, &key, Need::SlotAndHeap, &mut copy),
                        1 => cursor::lookup(&mut old_cursor, hash, &key, &mut copy),
                        2 => cursor::lookup(&mut new_cursor, hash, &key, &mut copy),
                        _ => cursor::lookup_by_steps(&mut old_cursor, hash, &key, &mut copy),
                    };
                    match (found, model.get(&key)) {
                        (Lookup::Hit, Some(row)) => assert_eq!(row_of(&copy, 3), *row, "word {at}, key {number}"),
                        (Lookup::Miss, None) => {}
                        (Lookup::Busy | Lookup::Untrusted, _) => refused += 1,
                        (found, row) => panic!("word {at}, key {number}: {found:?} where {row:?} is true"),
                    }
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

/// The numbers of rows after which the first shard grows for the first time, and after which it splits.
fn growths() -> [u64; 2] {
    let mut table = create(&disk(), mixed());
    let mut first = 0;
    for seq in 1.. {
        let epoch = table.inserter.shared.words()[LIVE_EPOCH].load(Ordering::Relaxed);
        upsert(&mut table, &key_of(seq), &row_without_text(seq)).unwrap();
        if first == 0 && table.inserter.shared.words()[LIVE_EPOCH].load(Ordering::Relaxed) > epoch {
            first = seq;
        }
        if table.inserter.shared.directory().unwrap().depth > 0 {
            return [first, seq];
        }
    }
    unreachable!("rows without end")
}

fn row_without_text(seq: u64) -> Row {
    Row { order: (0, None, seq), values: Some(vec![Value::Int64(seq as i64), Value::Null, Value::Null]) }
}

#[test]
fn a_shard_with_a_damaged_slot_does_not_grow_and_stays_as_it_was() {
    for rows in growths() {
        let mut table = create(&disk(), mixed());
        let mut model = HashMap::new();
        for seq in 1..rows {
            upsert(&mut table, &key_of(seq), &row_without_text(seq)).unwrap();
            apply(&mut model, &key_of(seq), &row_without_text(seq));
        }
        let (.., at) = slot_at(&table, &key_of(3));
        let damaged = &table.inserter.shared.words()[at + 2];
        let good = damaged.fetch_xor(1, Ordering::Relaxed);
        let error = upsert(&mut table, &key_of(rows), &row_without_text(rows)).unwrap_err();
        assert!(error.to_string().contains(&format!("the slot at word {at} is damaged")), "{error}");
        table.inserter.shared.words()[at + 2].store(good, Ordering::Relaxed);
        assert_is(&table.open_reader(), &model, rows + 10);
        let unused = |table: &Table| {
            let Storage { space, heap } = &*table.inserter.shared.storage();
            space.file_end - space.used_end + space.free_words() + heap.free_words()
        };
        let left = unused(&table);
        upsert(&mut table, &key_of(rows), &row_without_text(rows)).unwrap();
        assert!(left > unused(&table), "the space that the shard was to take was lost when it could not grow");
    }
}

#[test]
fn a_tag_that_was_lost_costs_no_row_its_place_in_a_shard_that_grows() {
    let [_, rows] = growths();
    let mut table = create(&disk(), mixed());
    let mut model = HashMap::new();
    for seq in 1..rows {
        upsert(&mut table, &key_of(seq), &row_without_text(seq)).unwrap();
        apply(&mut model, &key_of(seq), &row_without_text(seq));
    }
    let shard = table.inserter.shared.shard(0).unwrap();
    // Far from where the next key goes, whose insertion would look at the tags.
    let next = shard.home(key_hash(99, &key_of(rows)));
    let (_, slot, _) = (1..rows)
        .map(|seq| slot_at(&table, &key_of(seq)))
        .find(|(_, slot, _)| (slot / 16).abs_diff(next) > 20)
        .unwrap();
    let tags = table.inserter.shared.reader.tags(shard, slot / 16);
    let [low, high] = crate::latest::probe::with_tag(tags, slot % 16, 0);
    let words = table.inserter.shared.words();
    words[shard.tags_at(slot / 16)].store(low, Ordering::Relaxed);
    words[shard.tags_at(slot / 16) + 1].store(high, Ordering::Relaxed);
    upsert(&mut table, &key_of(rows), &row_without_text(rows)).unwrap();
    apply(&mut model, &key_of(rows), &row_without_text(rows));
    assert!(table.inserter.shared.directory().unwrap().depth > 0, "the shard was to split");
    assert_is(&table.open_reader(), &model, rows + 10);
    assert_eq!(table.stats().damage_count, 1);
}

#[test]
fn a_slot_that_is_torn_and_not_of_its_tag_stops_its_shard_from_growing() {
    for rows in growths() {
        let mut table = create(&disk(), mixed());
        for seq in 1..rows {
            upsert(&mut table, &key_of(seq), &row_without_text(seq)).unwrap();
        }
        let (.., at) = slot_at(&table, &key_of(3));
        table.inserter.may_be_torn = true;
        let words = &table.inserter.shared.words()[at..at + 16];
        words.iter().for_each(|word| word.store(0x0101_0101_0101_0101, Ordering::Relaxed));
        let error = upsert(&mut table, &key_of(rows), &row_without_text(rows)).unwrap_err();
        assert!(error.to_string().contains(&format!("the slot at word {at} is damaged")), "{error}");
    }
}

#[test]
fn a_slot_that_a_killed_writer_left_goes_with_its_shard_and_is_still_told_from_the_others() {
    for rows in growths() {
        let mut table = create(&disk(), mixed());
        let mut model = HashMap::new();
        for seq in 1..=rows {
            if seq == rows {
                let (.., at) = slot_at(&table, &key_of(3));
                table.inserter.may_be_torn = true;
                seqlock::enter(&table.inserter.shared.words()[at..at + 16]);
            }
            upsert(&mut table, &key_of(seq), &row_without_text(seq)).unwrap();
            apply(&mut model, &key_of(seq), &row_without_text(seq));
        }
        let reader = table.open_reader();
        let (key, mut copy) = (key_of(3), reader.slot_copy());
        assert_eq!(reader.lookup(key_hash(99, &key), &key, Need::Slot, &mut copy), Lookup::Busy);
        assert_eq!(upsert(&mut table, &key, &row_without_text(3)).unwrap(), Upsert::Replaced);
        assert_is(&table.open_reader(), &model, rows + 10);
        assert_eq!(table.stats().keys, model.len() as u64);
    }
}

/// Flips bits all over a table, then stores a late row of a key and has every shard grow: whatever the writer made of the damage, an
/// answer is right, or there is none.
#[test]
fn no_damaged_bit_is_written_on_as_truth() {
    let mut random = Random::new(9);
    let keys = 40;
    let (mut refused, mut failed) = (0, 0);
    for round in 0..3_000 {
        let disk = disk();
        let mut table = create(&disk, mixed());
        let mut model = HashMap::new();
        for seq in 1..60 {
            let (key, row) = (key_of(random.below(keys)), random_row(&mut random, seq));
            upsert(&mut table, &key, &row).unwrap();
            apply(&mut model, &key, &row);
        }
        table.commit(60, 3);
        table.clear_behind();
        let used = table.inserter.shared.storage().space.used_end;
        let reader = table.open_reader();
        let shard = table.inserter.shared.shard(0).unwrap();
        // What leads to slots and what stands at their heads is little beside what they hold.
        let at = match random.below(4) {
            0 => LIVE_DIRECTORY,
            1 => shard.start + random.below((shard.slot_at(0, 16) - shard.start) as u64) as usize,
            2 => shard.slot_at(random.below(shard.slots() as u64) as usize, reader.layout.slot_words),
            _ => HEADER_WORDS + random.below((used - HEADER_WORDS) as u64) as usize,
        };
        // Mostly one bit; sometimes a byte that says nothing any more.
        let change = match random.below(8) {
            0 => 0xff << (8 * random.below(8)),
            1 => 1,
            _ => 1 << random.below(64),
        };
        table.inserter.shared.words()[at].fetch_xor(change, Ordering::Relaxed);
        let mut is_given_up = false;
        for seq in 60..100 {
            // Late rows of keys that are there, and keys that are not.
            let key = key_of(if seq % 2 == 0 { random.below(keys) } else { 1_000 + seq });
            let row = Row { order: (-20, None, seq), values: None };
            apply(&mut model, &key, &row);
            if upsert(&mut table, &key, &row).is_err() {
                is_given_up = true;
                break;
            }
        }
        if is_given_up {
            assert!(table.stats().damage_count > 0, "round {round}, word {at}");
            failed += 1;
            continue;
        }
        let reader = table.open_reader();
        let mut copy = reader.slot_copy();
        for number in (0..keys).chain(1_060..1_100) {
            let key = key_of(number);
            match (reader.lookup(key_hash(99, &key), &key, Need::SlotAndHeap, &mut copy), model.get(&key)) {
                (Lookup::Hit, _) if copy.asks_history() => refused += 1,
                (Lookup::Hit, Some(row)) => {
                    assert_eq!(row_of(&copy, 3), *row, "round {round}, word {at}, change {change:#x}, key {number}");
                }
                (Lookup::Miss, None) => {}
                (Lookup::Busy | Lookup::Untrusted, _) => refused += 1,
                (found, row) => {
                    panic!(
                        "round {round}, word {at}, change {change:#x}, key {number}: {found:?} where {row:?} is true"
                    )
                }
            }
        }
    }
    assert!(refused > 100 && failed > 100, "the damage was hardly met: {refused}, {failed}");
}
