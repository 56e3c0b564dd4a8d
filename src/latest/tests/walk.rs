//! Every slot, one after the other; and slots of a kind that only a later release knows.

use super::*;
use crate::latest::layout::{FLAGS, KIND};

type Walked = Vec<(usize, std::result::Result<(u64, Vec<u8>, u64), &'static str>)>;

fn walked(table: &Table) -> (Walked, bool) {
    let mut walked = Vec::new();
    let stayed = table
        .open_reader()
        .walk(true, |at, slot| walked.push((at, slot.map(|row| (row.hash, row.key.to_vec(), row.seq)))));
    (walked, stayed)
}

#[test]
fn a_walk_comes_to_every_row_once() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let (mut random, mut model) = (Random::new(3), HashMap::new());
    for seq in 1..60_000 {
        let (key, row) = (key_of(random.below(40_000)), random_row(&mut random, seq));
        upsert(&mut table, &key, &row).unwrap();
        apply(&mut model, &key, &row);
    }
    let (walked, stayed) = walked(&table);
    assert!(stayed && table.inserter.shared.directory().unwrap().depth > 0, "the test wants several shards");
    let mut rows: Vec<_> = walked.into_iter().map(|(at, row)| row.unwrap_or_else(|e| panic!("{at}: {e}"))).collect();
    let mut expected: Vec<_> = model.iter().map(|(key, row)| (key_hash(99, key), key.clone(), row.order.2)).collect();
    rows.sort();
    expected.sort();
    assert_eq!(rows.len(), expected.len());
    assert!(rows == expected, "the walk came to other rows");
}

#[test]
fn a_walk_of_a_table_that_grows_meanwhile_says_so() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    let row = |seq| Row { order: (1, None, seq), values: None };
    upsert(&mut table, b"first", &row(1)).unwrap();
    let reader = table.open_reader();
    let mut seq = 1;
    let stayed = reader.walk(false, |_, _| {
        for _ in 0..1_000 {
            seq += 1;
            upsert(&mut table, &key_of(seq), &row(seq)).unwrap();
        }
    });
    assert!(seq > 1 && !stayed, "a thousand rows are more than the first shard has room for");
}

#[test]
fn what_is_being_written_to_is_passed_over_but_in_a_table_at_rest() {
    let disk = disk();
    let mut table = create(&disk, mixed());
    upsert(&mut table, b"key", &Row { order: (1, None, 1), values: None }).unwrap();
    let (shard, slot, at) = slot_at(&table, b"key");
    let words = table.inserter.shared.words();
    let told = |at_rest: bool| {
        let mut told = Vec::new();
        table.open_reader().walk(at_rest, |place, slot| told.extend(slot.err().map(|what| (place, what))));
        told
    };
    assert_eq!(told(true), []);
    words[at].fetch_xor(1, Ordering::Relaxed);
    assert_eq!(told(true), [(at, "a slot looks as if it were being written to")]);
    assert_eq!(told(false), []);
    words[at].fetch_xor(1, Ordering::Relaxed);
    let tags = shard.tags_at(slot / 16);
    words[tags + 1].fetch_xor(1 << 40, Ordering::Relaxed);
    assert_eq!(told(true)[0], (tags, "the tags of a group have another check word"));
    words[tags + 1].fetch_xor(1 << 40, Ordering::Relaxed);
    words[shard.start].fetch_xor(1, Ordering::Relaxed);
    let directory = table.inserter.shared.directory().unwrap();
    assert_eq!(told(false), [(directory.start, "a directory entry and its shard differ")]);
}

/// A later release may store kinds and flags that this one does not know, under checksums that are right.
#[test]
fn a_slot_that_this_release_does_not_understand_is_never_an_answer() {
    for (place, byte) in [(KIND, 0), (KIND, 9), (KIND, 0xff), (FLAGS, 0x10), (FLAGS, 0x80)] {
        let disk = disk();
        let mut table = create(&disk, mixed());
        let row = |event_ts, seq| Row {
            order: (event_ts, None, seq),
            values: Some(vec![Value::Int64(7), Value::String("short".into()), Value::Null]),
        };
        upsert(&mut table, b"k", &row(9, 1)).unwrap();
        upsert(&mut table, b"other", &row(9, 2)).unwrap();
        table.commit(2, 2);
        table.clear_behind();
        let (.., at) = slot_at(&table, b"k");
        let words = table.inserter.shared.words();
        let mut copy = table.open_reader().slot_copy();
        for (copied, word) in copy.words.iter_mut().zip(&words[at..]) {
            *copied = word.load(Ordering::Relaxed).to_le_bytes();
        }
        copy.words.as_flattened_mut()[place] = byte;
        words[at + place / 8].store(u64::from_le_bytes(copy.words[place / 8]), Ordering::Relaxed);
        words[at].store(copy.checksum(at) << 32 | 4, Ordering::Relaxed);

        let (found, stayed) = walked(&table);
        let wrong: Vec<_> = found.iter().filter_map(|(at, row)| row.as_ref().err().map(|what| (*at, *what))).collect();
        let what = "a slot is of a kind, or has flags, that this release does not know";
        assert!(stayed && wrong == [(at, what)], "byte {place} of {byte}: {wrong:?}");

        let (reader, hash) = (table.open_reader(), key_hash(99, b"k"));
        for need in [Need::Slot, Need::SlotAndHeap] {
            let mut cursor = reader.cursor(need);
            assert!(cursor.is_current());
            let answers = [
                reader.lookup(hash, b"k", need, &mut copy),
                cursor::lookup(&mut cursor, hash, b"k", &mut copy),
                cursor::lookup_by_steps(&mut cursor, hash, b"k", &mut copy),
            ];
            assert_eq!(answers, [Lookup::Untrusted; 3], "byte {place} of {byte}, {need:?}");
            assert_eq!(reader.lookup(key_hash(99, b"other"), b"other", need, &mut copy), Lookup::Hit);
        }

        // A row that is written after it may be a lesser one than what could not be read.
        upsert(&mut table, b"k", &row(5, 3)).unwrap();
        assert_eq!(reader.lookup(hash, b"k", Need::Slot, &mut copy), Lookup::Hit);
        assert!(copy.asks_history() && copy.seq() == 3, "byte {place} of {byte}");
        assert_eq!(table.stats().damage_count, 1);
    }
}
