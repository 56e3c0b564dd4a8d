//! The join against nested loops.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use proptest::prelude::*;

use super::fixtures::{Row, TestRun, TestTail, hash_of};
use crate::format::row::RowKind;
use crate::join::pick::{AsOf, Mark, pick};
use crate::join::source::Source;
use crate::join::{Question, Scratch, SpineKeys, SpineTimes, Wanted};
use crate::value::{DataType, Value};

/// The contract in words, without any of the join's code: the value of one field, null unless it is PRESENT.
fn oracle(rows: &[Row], truncates: &[Mark], key: Option<&[u8]>, as_of: AsOf, ttl_us: i64, field: usize) -> Value {
    let in_sight = |mark: &Mark| {
        mark.event_ts <= as_of.at
            && mark.seq <= as_of.known_at
            && (!as_of.created_cutoff || mark.created.is_some_and(|created| created <= as_of.at))
    };
    let winner =
        rows.iter().filter(|row| Some(row.key.as_slice()) == key && in_sight(&row.mark)).max_by_key(|row| row.mark);
    let Some(row) = winner else { return Value::Null };
    if truncates.iter().any(|truncate| in_sight(truncate) && *truncate > row.mark) || row.kind != RowKind::Value {
        return Value::Null;
    }
    let gone = [row.deadline, row.field_deadline].iter().flatten().any(|deadline| *deadline <= as_of.at);
    match &row.fields[field] {
        None => Value::Null,
        Some(_) if gone => Value::Null,
        Some(_) if ttl_us > 0 && i128::from(as_of.at) - i128::from(row.mark.event_ts) > i128::from(ttl_us) => {
            Value::Null
        }
        Some(value) => value.clone(),
    }
}

/// Everything one random case holds.
#[derive(Clone, Debug)]
struct Case {
    rows: Vec<Row>,
    /// Which source holds each row.
    places: Vec<usize>,
    truncates: Vec<Mark>,
    spine: Vec<(Option<Vec<u8>>, Option<i64>)>,
    known_at: u64,
    created_cutoff: bool,
    ttl_us: i64,
    threads: usize,
}

const SOURCES: usize = 6;
/// The first of them.
const TAILS: usize = 2;

fn types() -> Vec<DataType> {
    vec![DataType::Int64, DataType::String]
}

fn case() -> impl Strategy<Value = Case> {
    let instant = || prop_oneof![9 => -6..7_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let key = || (0..7_u8).prop_map(|key| vec![key]);
    let kind = prop_oneof![6 => Just(RowKind::Value), 1 => Just(RowKind::Delete)];
    let field = |n: i64| {
        prop_oneof![
            6 => Just(Some((Value::Int64(n), Value::String(format!("{n:>20}"))))),
            1 => Just(Some((Value::Null, Value::Null))),
            1 => Just(None),
        ]
    };
    let row = (
        key(),
        instant(),
        prop::option::of(-6..7_i64),
        kind,
        prop::option::weighted(0.2, -6..7_i64),
        prop::option::weighted(0.1, -6..7_i64),
        field(0),
        0..SOURCES,
    );
    let rows = prop::collection::vec(row, 0..60);
    let spine =
        prop::collection::vec((prop::option::weighted(0.9, key()), prop::option::weighted(0.9, instant())), 0..40);
    let truncates = prop_oneof![3 => Just(0_usize), 1 => 1..3_usize];
    let known_at = prop_oneof![Just(u64::MAX), 0..70_u64];
    let ttl_us = prop_oneof![Just(0), 1..6_i64, Just(i64::MAX)];
    (rows, spine, truncates, known_at, any::<bool>(), ttl_us, 1..4_usize, any::<[bool; 3]>()).prop_map(
        |(rows, spine, truncates, known_at, created_cutoff, ttl_us, threads, [deletes, deadlines, absents])| {
            let mut case = Case {
                rows: Vec::new(),
                places: Vec::new(),
                truncates: Vec::new(),
                spine,
                known_at,
                created_cutoff,
                ttl_us,
                threads,
            };
            for ((key, event_ts, created, kind, deadline, field_deadline, fields, place), seq) in
                rows.into_iter().zip(1_u64..)
            {
                let mark = Mark { event_ts, created, seq };
                if case.truncates.len() < truncates && seq % 7 == 0 {
                    case.truncates.push(mark);
                    continue;
                }
                let n = seq as i64;
                // Fields tell rows apart by seq; whole kinds of trouble are left out of some cases, which then take
                // the paths for runs without them.
                let fields = match fields {
                    Some((Value::Null, _)) => vec![Some(Value::Null), Some(Value::String("beside a null".into()))],
                    None if absents => vec![None, Some(Value::String("beside an absent one".into()))],
                    _ => vec![Some(Value::Int64(n)), Some(Value::String(format!("{n:>20}")))],
                };
                case.rows.push(Row {
                    key,
                    mark,
                    kind: if deletes { kind } else { RowKind::Value },
                    deadline: deadline.filter(|_| deadlines),
                    field_deadline: field_deadline.filter(|_| absents),
                    fields,
                });
                case.places.push(place);
            }
            case.truncates.sort();
            case
        },
    )
}

fn value_at(data_type: &DataType, column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match data_type {
        DataType::Int64 => Value::Int64(column.as_primitive::<arrow_array::types::Int64Type>().value(row)),
        DataType::String => Value::String(column.as_string::<i32>().value(row).to_owned()),
        _ => unreachable!("the cases have no other fields"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_join_answers_what_nested_loops_answer(case in case()) {
        let types = types();
        let of = |place: usize| -> Vec<Row> {
            case.rows.iter().zip(&case.places).filter(|(_, at)| **at == place).map(|(row, _)| row.clone()).collect()
        };
        let tails: Vec<TestTail> = (0..TAILS).map(|place| TestTail::new(of(place), &types)).collect();
        let runs: Vec<TestRun> = (TAILS..SOURCES).map(|place| TestRun::new(of(place), &types)).collect();
        let mut sources: Vec<Source<'_>> = runs.iter().map(|run| Source::Run(run.as_run())).collect();
        sources.insert(1, Source::Tail(&tails[0]));
        sources.push(Source::Tail(&tails[1]));
        let keys = SpineKeys::from_hashed(
            case.spine.iter().map(|(key, _)| (hash_of(key.as_deref().unwrap_or_default()), key.as_deref())),
        );
        let times = SpineTimes {
            values: case.spine.iter().map(|(_, at)| at.unwrap_or(0)).collect(),
            nulls: Some(case.spine.iter().map(|(_, at)| at.is_some()).collect::<Vec<_>>().into()),
        };
        let Case { known_at, created_cutoff, ttl_us, threads, .. } = case;
        let question = Question {
            sources: &sources, truncates: &case.truncates, known_at, created_cutoff, ttl_us,
        };
        let wanted: Vec<Wanted> =
            types.iter().cloned().enumerate().map(|(field, data_type)| Wanted { field, data_type }).collect();
        let mut scratch = Scratch::default();
        // Twice: what the first chunk left in the scratch must not show.
        for _ in 0..2 {
            let columns = scratch.join(&keys, &times, &question, &wanted, threads).unwrap();
            for wanted in &wanted {
                for (row, (key, at)) in case.spine.iter().enumerate() {
                    let as_of = AsOf { at: at.unwrap_or(0), known_at, created_cutoff };
                    let key = key.as_deref().filter(|_| at.is_some());
                    let expected = oracle(&case.rows, &case.truncates, key, as_of, ttl_us, wanted.field);
                    let value = value_at(&wanted.data_type, &columns[wanted.field], row);
                    prop_assert_eq!(value, expected, "spine row {}", row);
                }
            }
        }
    }
}

#[test]
fn many_rows_over_many_blocks_and_uneven_entities_agree_with_the_pick() {
    // Entity n has n*n % 97 rows; the spine is longer than several blocks and than one group.
    let types = [DataType::Int64];
    let mut rows = Vec::new();
    for entity in 0..60_u64 {
        for n in 0..entity * entity % 97 {
            rows.push(Row {
                key: entity.to_le_bytes().to_vec(),
                mark: Mark { event_ts: (n * 7 % 50) as i64, created: None, seq: rows.len() as u64 + 1 },
                kind: RowKind::Value,
                deadline: None,
                field_deadline: None,
                fields: vec![Some(Value::Int64(rows.len() as i64))],
            });
        }
    }
    let run = TestRun::new(rows.clone(), &types);
    let run = run.as_run();
    let sources = [Source::Run(run)];
    let spine: Vec<([u8; 8], i64)> =
        (0..3_000_u64).map(|i| ((i * 31 % 63).to_le_bytes(), (i % 53) as i64 - 1)).collect();
    let keys = SpineKeys::from_hashed(spine.iter().map(|(key, _)| (hash_of(key), Some(key.as_slice()))));
    let times = SpineTimes { values: spine.iter().map(|(_, at)| *at).collect(), nulls: None };
    let question = Question::new(&sources);
    let wanted = [Wanted { field: 0, data_type: DataType::Int64 }];
    let columns = Scratch::default().join(&keys, &times, &question, &wanted, 3).unwrap();
    for (row, (key, at)) in spine.iter().enumerate() {
        let expected = oracle(&rows, &[], Some(key), AsOf::new(*at), 0, 0);
        assert_eq!(value_at(&types[0], &columns[0], row), expected, "spine row {row}");
        // The online path asks the same rows one key at a time.
        let single = run.rows_of(hash_of(key), key).and_then(|rows| {
            pick(&rows, AsOf::new(*at))
                .map(|index| value_at(&types[0], &run.file.column(0).unwrap().unwrap(), rows.row(index)))
        });
        assert_eq!(single.unwrap_or(Value::Null), expected);
    }
}
