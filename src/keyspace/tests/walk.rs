//! Keys that are walked over while they change, and built again out of the pieces and the rows since.

use super::*;
use crate::format::checkpoint::{BlockHeader, BlockKind, Header, Place};
use crate::keyspace::{Restoring, Step};

/// Rows with their numbers, as a log has them.
#[derive(Default)]
struct Log(Vec<(u64, Vec<u8>)>);

impl Log {
    fn push(&mut self, records: &[u8]) {
        let (layout, mut rest) = (layout(), records);
        while !rest.is_empty() {
            let (_, after) = RowRef::parse(rest, &layout).unwrap();
            self.0.push((self.last() + 1, rest[..rest.len() - after.len()].to_vec()));
            rest = after;
        }
    }

    /// All rows, from the first on.
    fn replay(&self, seed: u64) -> Keyspace {
        self.go_on(Restoring::new(seed))
    }

    /// The rows that are not in the blocks.
    fn go_on(&self, mut restoring: Restoring) -> Keyspace {
        let (layout, first) = (layout(), restoring.first_seq());
        for (seq, record) in self.0.iter().filter(|(seq, _)| *seq > first) {
            let (row, _) = RowRef::parse(record, &layout).unwrap();
            let (key, change) = read_change(&row, &layout).unwrap();
            restoring.row(*seq, key, change, row.head.event_ts);
        }
        restoring.finish()
    }

    fn last(&self) -> u64 {
        self.0.last().map_or(0, |(seq, _)| *seq)
    }
}

/// The blocks of a checkpoint.
#[derive(Default)]
struct Blocks {
    first: u64,
    /// Once that is known.
    last: u64,
    blocks: Vec<(BlockHeader, Vec<u8>)>,
}

impl Blocks {
    fn push(&mut self, kind: BlockKind, step: Step, seq: u64) {
        let header = BlockHeader { kind, len: 0, seq, end: step.end, records_crc: 0 };
        self.blocks.push((header, step.records));
    }

    fn restore(&self, last: u64, log: &Log, seed: u64) -> Keyspace {
        let mut restoring = Restoring::new(seed);
        self.blocks.iter().for_each(|(header, records)| restoring.block(header, records).unwrap());
        restoring.end_blocks(&header(self.first, last)).unwrap();
        log.go_on(restoring)
    }
}

/// Names of keys, with one cursor in a keyspace of seed 3.
const SAME_CURSOR: [u32; 2] = [870_742, 31_702_019];

fn header(first_seq: u64, last_seq: u64) -> Header {
    Header {
        uuid: [0; 16],
        first_seq,
        last_seq,
        commit_at_us: 0,
        forgotten_at_us: i64::MIN,
        file_bytes: 0,
        block_count: 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn what_is_walked_while_it_changes_is_built_again_as_it_is(
        seed: u64,
        fields_max in 0..4_usize,
        bytes_max in prop_oneof![1..60_usize, 100..400_usize],
        idle in 1..8_u64,
    ) {
        let mut random = Random::new(seed);
        let mut keyspace = Keyspace::new(seed);
        keyspace.packed_limits = PackedLimits { fields_max, bytes_max: 20 };
        let (mut model, mut log, mut blocks) = (Model::default(), Log::default(), Blocks::default());
        let (mut now, mut is_walking) = (0, false);
        for ticket in 1..100 {
            now += random.below(3) as i64;
            if random.below(3) == 0 {
                while keyspace.remove_expired(now).is_some() {}
            }
            if !is_walking && random.below(idle) == 0 {
                blocks = Blocks { first: log.last(), ..Blocks::default() };
                keyspace.begin_walk();
                is_walking = true;
            }
            for _ in 0..random.below(3) {
                if is_walking && random.below(6) == 0 {
                    if let Some(step) = keyspace.walk_again_on(bytes_max).unwrap() {
                        blocks.push(BlockKind::Again, step, log.last());
                    }
                } else if is_walking {
                    match keyspace.walk_on(bytes_max).unwrap() {
                        Some(step) => blocks.push(BlockKind::Walked, step, log.last()),
                        None if keyspace.to_walk_again() > 0 => {}
                        None => {
                            keyspace.end_walk();
                            is_walking = false;
                            // At once: what comes later hides what is wrong now.
                            let restored = blocks.restore(log.last(), &log, seed);
                            for later in [now, now + 5, now + 100] {
                                prop_assert_eq!(at(&restored, later), model.at(later));
                            }
                            prop_assert_eq!(restored.differs_from(log.replay(seed).summary()), None);
                            check_deadlines(&restored);
                        }
                    }
                }
            }
            let last = log.last();
            keyspace.begin(ticket, now);
            let before = model.clone();
            for _ in 0..random.below(4) {
                super::step(&mut random, &mut keyspace, &mut model, now);
                if random.below(60) == 0 {
                    keyspace.truncate(0);
                    model.0.retain(|(database, _), _| *database != 0);
                }
            }
            if random.below(3) == 0 {
                keyspace.undo();
                model = before;
            } else {
                log.push(&keyspace.take_records().unwrap().0);
                keyspace.keep();
            }
            prop_assert_eq!(at(&keyspace, now), model.at(now));
            // And with rows that the blocks know nothing of.
            if !is_walking && !blocks.blocks.is_empty() && blocks.last == 0 {
                blocks.last = last;
                prop_assert_eq!(at(&blocks.restore(last, &log, seed), now), model.at(now));
            }
        }
    }
}

/// It came back with its deadline, and went once more.
#[test]
fn a_field_that_went_before_its_part_was_walked_does_not_come_back_with_the_rows_before() {
    let (mut keyspace, mut log, mut blocks) = (Keyspace::new(3), Log::default(), Blocks::default());
    keyspace.packed_limits.fields_max = 0;
    let key = (0, &b"h"[..]);
    let mut fields = [b"f", b"g"];
    fields.sort_by_key(|field| keyspace.cursor(*field));
    let [_, goes] = fields;
    let mut group = |keyspace: &mut Keyspace, change: &dyn Fn(&mut Keyspace)| {
        keyspace.begin(1, 0);
        change(keyspace);
        log.push(&keyspace.take_records().unwrap().0);
        keyspace.keep();
        log.last()
    };
    blocks.first = group(&mut keyspace, &|keyspace| {
        fields.iter().for_each(|field| assert!(keyspace.set_field(key, *field, b"1")));
    });
    keyspace.begin_walk();
    blocks.push(BlockKind::Walked, keyspace.walk_on(1).unwrap().unwrap(), blocks.first);
    let seq = group(&mut keyspace, &|keyspace| {
        keyspace.set_field(key, goes, b"2");
        keyspace.set_field_deadline(key, goes, Some(5));
    });
    assert!(keyspace.remove_expired(5).is_some());
    while let Some(step) = keyspace.walk_on(1).unwrap() {
        blocks.push(BlockKind::Walked, step, seq);
    }
    assert_eq!(keyspace.to_walk_again(), 0, "it was in parts all the time");
    let restored = blocks.restore(seq, &log, 3);
    assert_eq!((at(&restored, 5), restored.next_deadline()), (at(&keyspace, 5), None));
    assert_eq!(at(&log.replay(3), 5), at(&keyspace, 5));
}

/// A place in a hash does not say of which of two keys with one cursor it is.
#[test]
fn a_key_with_the_cursor_of_a_hash_that_is_walked_in_parts_is_written_once_more() {
    let (mut keyspace, mut log, mut blocks) = (Keyspace::new(3), Log::default(), Blocks::default());
    keyspace.packed_limits.fields_max = 0;
    let [name, other] = SAME_CURSOR.map(u32::to_le_bytes);
    assert_eq!(keyspace.cursor(&name), keyspace.cursor(&other));
    let mut group = |keyspace: &mut Keyspace, change: &dyn Fn(&mut Keyspace)| {
        keyspace.begin(1, 0);
        change(keyspace);
        log.push(&keyspace.take_records().unwrap().0);
        keyspace.keep();
        log.last()
    };
    blocks.first = group(&mut keyspace, &|keyspace| {
        [b"f", b"g"].iter().for_each(|field| assert!(keyspace.set_field((0, &name), *field, b"1")));
    });
    keyspace.begin_walk();
    blocks.push(BlockKind::Walked, keyspace.walk_on(1).unwrap().unwrap(), blocks.first);
    let mut seq = group(&mut keyspace, &|keyspace| assert!(keyspace.set_string((0, &other), b"v".to_vec(), None)));
    while let Some(step) = keyspace.walk_on(1).unwrap() {
        blocks.push(BlockKind::Walked, step, seq);
    }
    seq = group(&mut keyspace, &|keyspace| assert!(keyspace.set_field((0, &name), b"h", b"1")));
    let (kind, step) = keyspace.last_of_walk().unwrap();
    blocks.push(kind, step, seq);
    assert_eq!(at(&blocks.restore(seq, &log, 3), 0), at(&keyspace, 0));
}

/// The fields of a command are undone by a copy of the whole hash where it is small, and one by one where it is walked in parts.
#[test]
fn fields_that_one_command_set_and_that_were_undone_are_walked_as_they_were() {
    for fields_max in [0, 100] {
        let (mut keyspace, mut log, mut blocks) = (Keyspace::new(3), Log::default(), Blocks::default());
        keyspace.packed_limits.fields_max = fields_max;
        let key = (0, &b"h"[..]);
        let names: Vec<[u8; 1]> = (0..20).map(|number| [number]).collect();
        let pairs = |value: &'static [u8]| names.iter().map(move |name| (&name[..], value));
        let mut group = |keyspace: &mut Keyspace, value: &'static [u8], is_kept: bool| {
            keyspace.begin(1, 0);
            keyspace.set_fields(key, pairs(value));
            let records = keyspace.take_records().unwrap().0;
            if is_kept {
                log.push(&records);
                keyspace.keep();
            } else {
                keyspace.undo();
            }
            log.last()
        };
        blocks.first = group(&mut keyspace, b"1", true);
        keyspace.begin_walk();
        let (mut seq, mut round) = (blocks.first, 0);
        while let Some(step) = keyspace.walk_on(30).unwrap() {
            blocks.push(BlockKind::Walked, step, seq);
            group(&mut keyspace, b"never", false);
            round += 1;
            if round == 3 {
                seq = group(&mut keyspace, b"2", true);
            }
        }
        assert_eq!(at(&blocks.restore(seq, &log, 3), 0), at(&keyspace, 0));
        assert!(keyspace.to_walk_again() == 0 && (round > 3 || fields_max > 0), "{round} pieces");
    }
}

#[test]
fn a_walk_comes_to_its_end_however_many_keys_take_over_others_meanwhile() {
    let mut keyspace = Keyspace::new(3);
    let name = |number: u32| number.to_le_bytes();
    for number in 0..2_000 {
        keyspace.set_string((0, &name(number)), vec![b'v'; 100], None);
    }
    keyspace.begin_walk();
    let (mut pieces, mut again) = (0, 0);
    while let Some((kind, step)) = keyspace.next_of_walk(4_096).unwrap() {
        assert!(step.records.len() < 8_192);
        (pieces, again) = (pieces + 1, again + usize::from(kind == BlockKind::Again));
        // More than a piece has room for.
        for number in (0..2_000).step_by(2) {
            keyspace.copy((0, &name(number + 1)), (0, &name(number)));
        }
        assert!(pieces < 1_000, "it goes on for ever");
    }
    assert!(again > 10 && again * 3 <= pieces * 2 + 3, "{again} of {pieces}");
    let (kind, step) = keyspace.last_of_walk().unwrap();
    assert!(
        kind == BlockKind::Again && usize::from(step.end.database) == DATABASES_KEPT && keyspace.to_walk_again() == 0
    );
}

/// All keys in one piece each, nothing coming between.
fn restored(keyspace: &Keyspace, bytes_max: usize) -> (Keyspace, usize) {
    let mut blocks = Blocks::default();
    keyspace.begin_walk();
    while let Some(step) = keyspace.walk_on(bytes_max).unwrap() {
        blocks.push(BlockKind::Walked, step, 0);
    }
    keyspace.end_walk();
    (blocks.restore(0, &Log::default(), keyspace.seed), blocks.blocks.len())
}

/// The key went with what was its last field for a moment, and came back without the deadline.
#[test]
fn a_hash_keeps_its_deadline_whatever_its_fields_do_while_it_is_walked_in_parts() {
    // For one of both orders of the fields the first part has the one that goes.
    for (goes, stays) in [(b"f", b"g"), (b"g", b"f")] {
        let (mut keyspace, mut log, mut blocks) = (Keyspace::new(3), Log::default(), Blocks::default());
        keyspace.packed_limits.fields_max = 0;
        let key = (0, &b"h"[..]);
        let mut group = |keyspace: &mut Keyspace, change: &dyn Fn(&mut Keyspace)| {
            keyspace.begin(1, 0);
            change(keyspace);
            log.push(&keyspace.take_records().unwrap().0);
            keyspace.keep();
            log.last()
        };
        let mut seq = group(&mut keyspace, &|keyspace| {
            keyspace.set_field(key, goes, b"1");
            keyspace.set_field(key, stays, b"1");
            keyspace.set_deadline(key, Some(100));
        });
        blocks.first = seq;
        keyspace.begin_walk();
        blocks.push(BlockKind::Walked, keyspace.walk_on(1).unwrap().unwrap(), seq);
        group(&mut keyspace, &|keyspace| assert!(keyspace.remove_field(key, goes)));
        group(&mut keyspace, &|keyspace| assert!(keyspace.set_field(key, goes, b"2")));
        seq = group(&mut keyspace, &|keyspace| assert!(keyspace.remove_field(key, stays)));
        while let Some(step) = keyspace.walk_on(1).unwrap() {
            blocks.push(BlockKind::Walked, step, seq);
        }
        assert_eq!(keyspace.to_walk_again(), 0, "it was in parts all the time");
        assert_eq!(at(&blocks.restore(seq, &log, 3), 0), at(&keyspace, 0));
    }
}

#[test]
fn what_keys_are_comes_back_whatever_it_is() {
    let mut keyspace = Keyspace::new(3);
    keyspace.set_string((0, b""), Vec::new(), Some(i64::MIN));
    keyspace.set_string((15, b"long"), vec![7; 40_000_000], Some(9));
    keyspace.set_string((1, b"parts"), b"ab".to_vec(), None);
    keyspace.write_string((1, b"parts"), 1, b"c");
    for i in 0..3_000_u32 {
        keyspace.set_field((2, b"h"), &i.to_le_bytes(), &[b'v'; 100]);
        keyspace.set_field_deadline((2, b"h"), &i.to_le_bytes(), (i % 3 == 0).then(|| i64::from(i)));
    }
    keyspace.set_deadline((2, b"h"), Some(5_000));
    let (found, _) = restored(&keyspace, 1_000);
    for now in [i64::MIN, 8, 2_000, 5_001] {
        assert!(at(&found, now) == at(&keyspace, now), "{now}");
    }
    let is_in_parts = |name| match &found.get((1, name), 0).unwrap().value {
        KeyValue::String(string) => string.is_in_parts,
        KeyValue::Hash(_) => false,
    };
    assert!(is_in_parts(b"parts"), "OBJECT ENCODING tells it");
    check_deadlines(&found);
}

#[test]
fn a_piece_is_no_longer_than_was_asked_or_one_key_and_a_large_hash_takes_many() {
    let mut keyspace = Keyspace::new(3);
    for i in 0..2_000_u32 {
        keyspace.set_string((0, &i.to_le_bytes()), vec![b'v'; 100], None);
        keyspace.set_field((1, b"h"), &i.to_le_bytes(), &[b'v'; 100]);
    }
    keyspace.begin_walk();
    let (mut pieces, mut end) = (0, Place::default());
    while let Some(step) = keyspace.walk_on(4_096).unwrap() {
        assert!(step.records.len() < 8_192 && step.end > end, "{} bytes up to {:?}", step.records.len(), step.end);
        (pieces, end) = (pieces + 1, step.end);
    }
    assert!(pieces > 80, "{pieces}");
}
