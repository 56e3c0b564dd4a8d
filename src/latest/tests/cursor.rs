//! Lookups in three steps, and what may happen between them.

use super::*;
use crate::format::table::{BEHIND_NOT, LIVE_BEHIND, LIVE_EPOCH};
use crate::latest::{Found, KEY_INLINE_BYTES};

/// One lookup from its first step to its last.
pub(super) fn lookup(cursor: &mut Cursor, hash: u64, key: &[u8], copy: &mut SlotCopy) -> Lookup {
    cursor.lookup(hash, key, copy).lookup()
}

/// One lookup in the steps of a batch.
pub(super) fn lookup_by_steps(cursor: &mut Cursor, hash: u64, key: &[u8], copy: &mut SlotCopy) -> Lookup {
    let mut begun = cursor.begin(hash);
    cursor.approach(hash, &mut begun);
    cursor.finish(hash, key, copy, &begun).lookup()
}

#[test]
fn lookups_step_by_step_answer_as_whole_ones_do() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let mut random = Random::new(5);
    for seq in 1..5_000 {
        let row = random_row(&mut random, seq);
        upsert(&mut table, &key_of(random.below(3_000)), &row).unwrap();
    }
    let reader = table.open_reader();
    let keys: Vec<Vec<u8>> = (0..4_001).map(|_| key_of(random.below(6_000))).collect();
    let hashes: Vec<u64> = keys.iter().map(|key| key_hash(99, key)).collect();
    let (mut copy, mut single) = (reader.slot_copy(), reader.slot_copy());
    let mut cursor = reader.cursor(Need::SlotAndHeap);
    let mut begun: Vec<Begun> = hashes.iter().map(|hash| cursor.begin(*hash)).collect();
    // Every lookup under way at once, then each step by itself: what lies between two steps changes nothing.
    hashes.iter().zip(&mut begun).for_each(|(hash, begun)| cursor.approach(*hash, begun));
    let mut hits = 0;
    for ((hash, key), begun) in hashes.iter().zip(&keys).zip(&begun) {
        let found = reader.lookup(*hash, key, Need::SlotAndHeap, &mut single);
        let by_steps = cursor.finish(*hash, key, &mut copy, begun);
        assert_eq!(by_steps.lookup(), found);
        if by_steps == Found::Plain {
            assert_eq!(copy.seq_and_event_ts(), (copy.seq(), copy.event_ts()));
            assert!(copy.kind() == Some(RowKind::Value) && !copy.asks_history());
        }
        if found == Lookup::Hit {
            hits += 1;
            assert_eq!(row_of(&copy, 3), row_of(&single, 3));
        }
    }
    assert!((1_000..4_000).contains(&hits), "{hits} of 4001");
}

#[test]
fn a_cursor_follows_a_table_that_grows_under_its_lookups() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let reader = table.open_reader();
    let (mut cursor, mut copy) = (reader.cursor(Need::SlotAndHeap), reader.slot_copy());
    assert!(!cursor.is_current(), "a new table lacks rows");
    table.commit(1, 1);
    table.clear_behind();
    let mut random = Random::new(8);
    let mut rows = Vec::new();
    for number in 0..3_000 {
        let (hash, key) = (key_hash(99, &key_of(number)), key_of(number));
        // Begun before its row is there, and before the shards split that others need.
        let mut begun = cursor.begin(hash);
        cursor.approach(hash, &mut begun);
        let row = random_row(&mut random, number + 1);
        upsert(&mut table, &key, &row).unwrap();
        assert_eq!(cursor.finish(hash, &key, &mut copy, &begun).lookup(), Lookup::Hit);
        assert_eq!(row_of(&copy, 3), row);
        rows.push((hash, key, row, begun));
    }
    for (hash, key, row, begun) in &rows {
        assert_eq!(cursor.finish(*hash, key, &mut copy, begun).lookup(), Lookup::Hit);
        assert_eq!(row_of(&copy, 3), *row);
        assert_eq!(lookup(&mut cursor, *hash, key, &mut copy), Lookup::Hit);
        assert_eq!(row_of(&copy, 3), *row);
    }
    table.commit(3_000, 2);
    assert!(cursor.is_current());
    table.mark_behind();
    assert!(!cursor.is_current(), "marked behind, and still asked");
    assert_eq!(lookup(&mut cursor, rows[0].0, &rows[0].1, &mut copy), Lookup::Busy);
}

#[test]
fn a_lookup_begun_before_a_shard_moved_looks_again() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    upsert(&mut table, b"k", &Row { order: (1, None, 1), values: None }).unwrap();
    let reader = table.open_reader();
    let hash = key_hash(99, b"k");
    let mut cursor = reader.cursor(Need::Slot);
    let mut begun = cursor.begin(hash);
    cursor.approach(hash, &mut begun);
    for number in 0..500 {
        upsert(&mut table, &key_of(number), &Row { order: (1, None, 1), values: None }).unwrap();
    }
    upsert(&mut table, b"k", &Row { order: (2, None, 2), values: None }).unwrap();
    let mut copy = reader.slot_copy();
    assert_eq!(cursor.finish(hash, b"k", &mut copy, &begun).lookup(), Lookup::Hit);
    assert_eq!(copy.seq(), 2, "the shard that was left holds the older row");
}

#[test]
fn the_short_path_finds_keys_that_ran_over_into_the_next_groups() {
    let disk = disk();
    let options = TableOptions { expected_keys: 20_000, ..OPTIONS };
    let mut table = Table::create(&disk, Path::new(PATH), mixed(), &options).unwrap();
    let keys: Vec<Vec<u8>> = (0..20_000).map(key_of).collect();
    let values = vec![Value::Int64(1), Value::Null, Value::Null];
    for key in &keys {
        upsert(&mut table, key, &Row { order: (1, None, 1), values: Some(values.clone()) }).unwrap();
    }
    table.commit(1, 1);
    table.clear_behind();
    let reader = table.open_reader();
    let (mut cursor, mut copy) = (reader.cursor(Need::Slot), reader.slot_copy());
    let (mut short, mut all) = (0, 0);
    // A long key lies in the heap: such a slot does not answer at once.
    for key in keys.iter().filter(|key| key.len() <= KEY_INLINE_BYTES) {
        let hash = key_hash(99, key);
        all += 1;
        short += usize::from(cursor.lookup(hash, key, &mut copy) == Found::Plain);
    }
    // One in twenty of a full table is not in its own group. What is left has a key of the same tag before it.
    assert!(all > 10_000 && short * 100 > all * 96, "the short path served {short} of {all}");
}

/// A table of one key that was begun to be looked up, grew since, and holds a newer row of it; and the shard that the key lay in.
fn grown_under_a_lookup(disk: &MemDisk) -> (Table, Cursor, Begun, Shard) {
    let mut table = create(disk, mixed());
    upsert(&mut table, b"k", &Row { order: (1, None, 1), values: None }).unwrap();
    table.commit(1, 1);
    table.clear_behind();
    let hash = key_hash(99, b"k");
    let left = table.inserter.shared.shard(hash).unwrap();
    let mut cursor = table.open_reader().cursor(Need::Slot);
    assert!(cursor.is_current());
    let mut begun = cursor.begin(hash);
    cursor.approach(hash, &mut begun);
    table.inserter.make_room(hash, 0).unwrap();
    upsert(&mut table, b"k", &Row { order: (2, None, 2), values: None }).unwrap();
    assert_ne!(table.inserter.shared.shard(hash).unwrap(), left);
    (table, cursor, begun, left)
}

#[test]
fn a_lookup_begun_before_a_shard_moved_is_not_fooled_by_a_writer_that_was_killed_before_it_said_so() {
    let disk = disk();
    let (table, cursor, begun, _) = grown_under_a_lookup(&disk);
    // Killed before the epoch was raised: its last act is undone.
    let epoch = &table.inserter.shared.words()[LIVE_EPOCH];
    epoch.store(epoch.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    drop(table);
    let table = reopen(&disk, mixed());
    let mut copy = table.open_reader().slot_copy();
    assert_eq!(cursor.finish(key_hash(99, b"k"), b"k", &mut copy, &begun).lookup(), Lookup::Hit);
    assert_eq!(copy.seq(), 2, "the shard that was left holds the older row");
}

#[test]
fn a_damaged_directory_leads_to_no_older_row_in_a_shard_that_was_left() {
    let disk = disk();
    let (table, mut cursor, _, left) = grown_under_a_lookup(&disk);
    let hash = key_hash(99, b"k");
    let shared = &table.inserter.shared;
    shared.words()[shared.directory().unwrap().entry_at(hash)].store(left.encode(), Ordering::Relaxed);
    let mut copy = table.open_reader().slot_copy();
    for lookup in [lookup, lookup_by_steps] {
        assert_ne!(lookup(&mut cursor, hash, b"k", &mut copy), Lookup::Hit, "of seq {}", copy.seq());
    }
}

#[test]
fn a_table_seen_behind_is_not_believed_current_for_one_damaged_bit() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    table.commit(1, 1);
    let mut cursor = table.open_reader().cursor(Need::Slot);
    assert!(!cursor.is_current());
    table.inserter.shared.words()[LIVE_BEHIND].store(BEHIND_NOT, Ordering::Relaxed);
    assert!(!cursor.is_current(), "its check word says otherwise");
}

#[test]
fn every_byte_of_a_key_counts_whatever_its_length() {
    let fixed = [4, 8, 16, 20].map(|len| (len, Some(usize::from(len))));
    for (len, key_bytes) in (1..=16).map(|len| (len, None)).chain(fixed) {
        let disk = disk();
        let mut table = create(&disk, TableShape { key_bytes, ..mixed() });
        let key: Vec<u8> = (1..=len).collect();
        let values = vec![Value::Int64(1), Value::Null, Value::Null];
        upsert(&mut table, &key, &Row { order: (1, None, 1), values: Some(values) }).unwrap();
        table.commit(1, 1);
        table.clear_behind();
        let (reader, hash) = (table.open_reader(), key_hash(99, &key));
        let mut copy = reader.slot_copy();
        assert_eq!(reader.lookup(hash, &key, Need::Slot, &mut copy), Lookup::Hit);
        assert!(copy.may_be_key(hash, &key) && !copy.may_be_key(hash, &key[1..]));
        for at in 0..key.len() {
            // Of the same hash, so that it is looked for where the key is.
            let mut other = key.clone();
            other[at] ^= 1;
            for need in [Need::Slot, Need::SlotAndHeap] {
                let mut cursor = reader.cursor(need);
                // The first lookup asks whether the table is current, and takes the long way.
                assert_eq!(cursor.lookup(hash, &key, &mut copy), Found::Other(Lookup::Hit));
                assert_eq!(cursor.lookup(hash, &key, &mut copy), Found::Plain, "{len}, {key_bytes:?}, {need:?}");
                assert!(!copy.may_be_key(hash, &other), "byte {at} of {len}");
                assert_eq!(lookup(&mut cursor, hash, &other, &mut copy), Lookup::Miss, "byte {at} of {len}");
                assert_eq!(lookup_by_steps(&mut cursor, hash, &other, &mut copy), Lookup::Miss, "byte {at} of {len}");
            }
        }
    }
}
