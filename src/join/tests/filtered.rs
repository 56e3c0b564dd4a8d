//! Keys with many rows that a question does not see.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;

use super::fixtures::{Row, TestRun, hash_of};
use crate::disk::Random;
use crate::format::row::RowKind;
use crate::join::pick::{AsOf, Mark, pick};
use crate::join::source::{MARKS_READ, Source};
use crate::join::{Question, Scratch, SpineKeys, SpineTimes, Wanted};
use crate::value::{DataType, Value};

fn row(key: u8, mark: Mark) -> Row {
    let fields = vec![Some(Value::Int64(mark.seq.cast_signed()))];
    Row { key: vec![key], mark, kind: RowKind::Value, deadline: None, field_deadline: None, fields }
}

/// The seq of each spine row's winner, on this thread.
fn joined(runs: &[TestRun], spine: &[(u8, i64)], known_at: u64, created_cutoff: bool) -> Vec<Option<u64>> {
    let sources: Vec<Source<'_>> = runs.iter().map(|run| Source::Run(run.as_run())).collect();
    let keys: Vec<[u8; 1]> = spine.iter().map(|(key, _)| [*key]).collect();
    let keys = SpineKeys::from_hashed(keys.iter().map(|key| (hash_of(key), Some(&key[..]))));
    let times = SpineTimes { values: spine.iter().map(|(_, at)| *at).collect(), nulls: None };
    let question = Question { known_at, created_cutoff, ..Question::new(&sources) };
    let wanted = [Wanted { field: 0, data_type: DataType::Int64 }];
    let columns = Scratch::default().join(&keys, &times, &question, &wanted, 1).unwrap();
    let seqs = columns[0].as_primitive::<Int64Type>();
    (0..seqs.len()).map(|row| seqs.is_valid(row).then(|| seqs.value(row).cast_unsigned())).collect()
}

#[test]
fn winners_among_many_rows_are_those_that_the_pick_finds() {
    // Keys 0 and 3 share a hash. Of each many rows were created late, never, or out of order; seqs are in no order of time.
    let mut random = Random::new(5);
    let mut roll = move |sides: u64| random.below(sides).cast_signed();
    const ROWS: u64 = 6_000;
    let rows: Vec<Row> = (1..=ROWS)
        .map(|seq| {
            let created = [None, Some(2_000), Some(2_001), Some(roll(12_000))][roll(4) as usize];
            row([0, 1, 3][roll(3) as usize], Mark { event_ts: roll(1_500), created, seq })
        })
        .collect();
    let mut marks: [Vec<Mark>; 7] = Default::default();
    rows.iter().for_each(|row| marks[usize::from(row.key[0])].push(row.mark));
    marks.iter_mut().for_each(|marks| marks.sort());
    let (old, new) = rows.split_at(4_500);
    let runs = [TestRun::new(old.to_vec(), &[DataType::Int64]), TestRun::new(new.to_vec(), &[DataType::Int64])];
    let spine: Vec<(u8, i64)> = (0..1_500).map(|_| ([0, 1, 3, 6][roll(4) as usize], roll(1_600) - 20)).collect();
    for (known_at, created_cutoff) in [(u64::MAX, true), (50, false), (5_000, true), (50, true), (0, true)] {
        let found = joined(&runs, &spine, known_at, created_cutoff);
        for (&(key, at), found) in spine.iter().zip(found) {
            let (marks, question) = (&marks[usize::from(key)], AsOf { at, known_at, created_cutoff });
            let expected = pick(marks.as_slice(), question).map(|index| marks[index].seq);
            assert_eq!(found, expected, "key {key}, {question:?}");
        }
    }
}

#[test]
fn rows_that_are_not_in_sight_are_gone_by_once_and_not_for_every_spine_row() {
    // Every spine row went by all of them: a back-fill that was loaded at once made a join quadratic.
    let rows: Vec<Row> = (1..=20_000)
        .map(|seq| row(1, Mark { event_ts: seq, created: Some(i64::MAX - 1), seq: seq.cast_unsigned() }))
        .collect();
    let runs = [TestRun::new(rows, &[DataType::Int64])];
    let spine: Vec<(u8, i64)> = (0..5_000).map(|n| (1, n * 7_919 % 20_000)).collect();
    for (known_at, created_cutoff) in [(u64::MAX, true), (1, false)] {
        MARKS_READ.set(0);
        let found = joined(&runs, &spine, known_at, created_cutoff);
        let expected = spine.iter().map(|(_, at)| (!created_cutoff && *at > 0).then_some(1));
        assert!(found.into_iter().eq(expected));
        let most = 20_000 + 5_000 * 400;
        assert!(MARKS_READ.get() < most, "{} places in row order were read, at most {most}", MARKS_READ.get());
    }
}
