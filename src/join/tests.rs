//! The join against nested loops.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use proptest::prelude::*;

use super::pick::{AsOf, Mark, Status, pick_descending};
use super::source::{Index, OptionalTimes, Run, RunFile, Slot, Source, Tail, slot};
use super::*;
use crate::error::Result;
use crate::format::row::{FieldState, RowKind, encode_value};
use crate::key::KeySchema;
use crate::value::{DataType, Value};

/// A row as a test states it.
#[derive(Clone, Debug)]
struct Row {
    key: Vec<u8>,
    mark: Mark,
    kind: RowKind,
    deadline: Option<i64>,
    field_deadline: Option<i64>,
    /// `None` is an absent field; one entry per field.
    fields: Vec<Option<Value>>,
}

/// Few hashes, so that keys collide, and far apart, so that they fall into different buckets.
fn hash_of(key: &[u8]) -> u64 {
    u64::from(key.first().copied().unwrap_or(0) % 3) * (u64::MAX / 3)
}

fn encoded(data_type: &DataType, value: &Value) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    (!value.is_null()).then(|| encode_value(data_type, value, &mut bytes).unwrap())?;
    Some(bytes)
}

fn array_of(data_type: &DataType, values: impl IntoIterator<Item = Value>) -> ArrayRef {
    let cells: Vec<Option<Vec<u8>>> = values.into_iter().map(|value| encoded(data_type, &value)).collect();
    let cells: Vec<Option<&[u8]>> = cells.iter().map(Option::as_deref).collect();
    array_from_encoded(data_type, &cells).unwrap()
}

/// A run in memory.
struct TestRun {
    rows: Vec<Row>,
    slots: Vec<Slot>,
    scale: u64,
    event_ts: Vec<i64>,
    seq: Vec<u64>,
    created: Vec<i64>,
    created_nulls: NullBuffer,
    kind: Vec<u8>,
    deadline: Vec<i64>,
    deadline_nulls: NullBuffer,
    columns: Vec<ArrayRef>,
}

const SEQ_BASE: u64 = 1;

impl TestRun {
    fn new(mut rows: Vec<Row>, types: &[DataType]) -> TestRun {
        rows.sort_by(|a, b| (hash_of(&a.key), &a.key, a.mark).cmp(&(hash_of(&b.key), &b.key, b.mark)));
        let entities: Vec<&[Row]> = rows.chunk_by(|a, b| a.key == b.key).collect();
        let scale = entities.len() as u64 * 10 / 7 + 1;
        let (mut slots, mut next, mut start) = (Vec::new(), 0, 0);
        for entity in entities {
            let hash = hash_of(&entity[0].key);
            let at = next.max(((u128::from(hash) * u128::from(scale)) >> 64) as usize);
            slots.resize(slots.len().max(at + 1), [0, 0]);
            slots[at] = slot(hash, start, entity.len() as u32);
            (next, start) = (at + 1, start + entity.len() as u32);
        }
        let value = |row: &Row, field: usize| row.fields[field].clone().unwrap_or(Value::Null);
        let columns = types
            .iter()
            .enumerate()
            .map(|(field, data_type)| array_of(data_type, rows.iter().map(|row| value(row, field))))
            .collect();
        TestRun {
            slots,
            scale,
            event_ts: rows.iter().map(|row| row.mark.event_ts).collect(),
            seq: rows.iter().map(|row| row.mark.seq - SEQ_BASE).collect(),
            created: rows.iter().map(|row| row.mark.created.unwrap_or(0)).collect(),
            created_nulls: rows.iter().map(|row| row.mark.created.is_some()).collect::<Vec<_>>().into(),
            kind: rows.iter().map(|row| row.kind as u8).collect(),
            deadline: rows.iter().map(|row| row.deadline.unwrap_or(0)).collect(),
            deadline_nulls: rows.iter().map(|row| row.deadline.is_some()).collect::<Vec<_>>().into(),
            columns,
            rows,
        }
    }

    /// What is optional in a run stands in it only where a row needs it, as on disk.
    fn as_run(&self) -> Run<'_> {
        let seqs = || self.rows.iter().map(|row| row.mark.seq);
        let has = |test: fn(&Row) -> bool| self.rows.iter().any(test);
        Run {
            index: Index { slots: &self.slots, hash_min: 0, hash_max: u64::MAX, shift: 0, scale: self.scale },
            event_ts: &self.event_ts,
            seq: &self.seq,
            seq_base: SEQ_BASE,
            created: has(|row| row.mark.created.is_some())
                .then_some(OptionalTimes { values: &self.created, nulls: Some(&self.created_nulls) }),
            kind: has(|row| row.kind != RowKind::Value).then_some(&self.kind),
            deadline: has(|row| row.deadline.is_some())
                .then_some(OptionalTimes { values: &self.deadline, nulls: Some(&self.deadline_nulls) }),
            event_ts_range: (
                self.event_ts.iter().copied().min().unwrap_or(0),
                self.event_ts.iter().copied().max().unwrap_or(0),
            ),
            seq_range: (seqs().min().unwrap_or(0), seqs().max().unwrap_or(0)),
            has_field_marks: has(|row| row.field_deadline.is_some() || row.fields.iter().any(Option::is_none)),
            file: self,
        }
    }
}

impl RunFile for TestRun {
    fn key_equals(&self, row: u32, key: &[u8]) -> bool {
        self.rows[row as usize].key == key
    }

    fn column(&self, field: usize) -> Result<Option<ArrayRef>> {
        Ok(self.columns.get(field).cloned())
    }

    fn is_absent(&self, row: u32, field: usize) -> bool {
        self.rows[row as usize].fields[field].is_none()
    }

    fn field_deadline(&self, row: u32, _: usize) -> Option<i64> {
        self.rows[row as usize].field_deadline
    }
}

/// A tail in memory: rows in row order, and their encoded fields.
struct TestTail {
    rows: Vec<Row>,
    cells: Vec<Vec<(FieldState, Vec<u8>)>>,
}

impl TestTail {
    fn new(mut rows: Vec<Row>, types: &[DataType]) -> TestTail {
        rows.sort_by_key(|row| row.mark);
        let cell = |(value, data_type): (&Option<Value>, &DataType)| match value {
            None => (FieldState::Absent, Vec::new()),
            Some(value) => {
                encoded(data_type, value).map_or((FieldState::Null, Vec::new()), |bytes| (FieldState::Value, bytes))
            }
        };
        let cells = rows.iter().map(|row| row.fields.iter().zip(types).map(cell).collect()).collect();
        TestTail { rows, cells }
    }
}

impl Tail for TestTail {
    fn winner(&self, hash: u64, key: &[u8], question: AsOf) -> Option<(Mark, u32)> {
        let rows = self
            .rows
            .iter()
            .zip(0..self.rows.len() as u32)
            .rev()
            .filter(|(row, _)| hash_of(&row.key) == hash && row.key == key);
        pick_descending(rows.map(|(row, number)| (row.mark, number)), question)
    }

    fn kind(&self, row: u32) -> RowKind {
        self.rows[row as usize].kind
    }

    fn mark(&self, row: u32) -> Mark {
        self.rows[row as usize].mark
    }

    fn deadline(&self, row: u32) -> Option<i64> {
        self.rows[row as usize].deadline
    }

    fn field(&self, row: u32, field: usize) -> (FieldState, &[u8]) {
        let (state, bytes) = &self.cells[row as usize][field];
        (*state, bytes)
    }

    fn field_deadline(&self, row: u32, _: usize) -> Option<i64> {
        self.rows[row as usize].field_deadline
    }

    fn has_field_marks(&self) -> bool {
        self.rows.iter().any(|row| row.field_deadline.is_some() || row.fields.iter().any(Option::is_none))
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The contract in words, without any of the join's code: status, value and event time of one field.
fn oracle(
    rows: &[Row],
    truncates: &[Mark],
    key: Option<&[u8]>,
    as_of: AsOf,
    ttl_us: i64,
    field: usize,
) -> (Status, Value, Option<i64>) {
    let in_sight = |mark: &Mark| {
        mark.event_ts <= as_of.at
            && mark.seq <= as_of.known_at
            && (!as_of.created_cutoff || mark.created.is_some_and(|created| created <= as_of.at))
    };
    let none = (Status::NotFound, Value::Null, None);
    let winner =
        rows.iter().filter(|row| Some(row.key.as_slice()) == key && in_sight(&row.mark)).max_by_key(|row| row.mark);
    let Some(row) = winner else { return none };
    if truncates.iter().any(|truncate| in_sight(truncate) && *truncate > row.mark) || row.kind != RowKind::Value {
        return none;
    }
    let gone = [row.deadline, row.field_deadline].iter().flatten().any(|deadline| *deadline <= as_of.at);
    match &row.fields[field] {
        None => none,
        Some(_) if gone => none,
        Some(_) if ttl_us > 0 && i128::from(as_of.at) - i128::from(row.mark.event_ts) > i128::from(ttl_us) => {
            (Status::OutsideMaxAge, Value::Null, Some(row.mark.event_ts))
        }
        Some(Value::Null) => (Status::NullValue, Value::Null, Some(row.mark.event_ts)),
        Some(value) => (Status::Present, value.clone(), Some(row.mark.event_ts)),
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

const SOURCES: usize = 5;

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
        let tails: Vec<TestTail> = (0..1).map(|place| TestTail::new(of(place), &types)).collect();
        let runs: Vec<TestRun> = (1..SOURCES).map(|place| TestRun::new(of(place), &types)).collect();
        let mut sources: Vec<Source<'_>> = runs.iter().map(|run| Source::Run(run.as_run())).collect();
        sources.insert(1, Source::Tail(&tails[0]));
        let keys = SpineKeys::from_hashed(
            case.spine.iter().map(|(key, _)| (hash_of(key.as_deref().unwrap_or_default()), key.as_deref())),
        );
        let times = SpineTimes {
            values: case.spine.iter().map(|(_, at)| at.unwrap_or(0)).collect(),
            nulls: Some(case.spine.iter().map(|(_, at)| at.is_some()).collect::<Vec<_>>().into()),
        };
        let Case { known_at, created_cutoff, ttl_us, threads, .. } = case;
        let question = Question {
            sources: &sources, truncates: &case.truncates, known_at, created_cutoff, ttl_us, keep_expired: true,
        };
        let wanted: Vec<Wanted> =
            types.iter().cloned().enumerate().map(|(field, data_type)| Wanted { field, data_type }).collect();
        let mut scratch = Scratch::default();
        // Twice: what the first chunk left in the scratch must not show.
        for _ in 0..2 {
            let columns = scratch.join(&keys, &times, &question, &wanted, threads).unwrap();
            for wanted in &wanted {
                let statuses = status::statuses(&scratch.resolution, &sources, &times, wanted, ttl_us).unwrap();
                for (row, (key, at)) in case.spine.iter().enumerate() {
                    let as_of = AsOf { at: at.unwrap_or(0), known_at, created_cutoff };
                    let key = key.as_deref().filter(|_| at.is_some());
                    let expected = oracle(&case.rows, &case.truncates, key, as_of, ttl_us, wanted.field);
                    let value = value_at(&wanted.data_type, &columns[wanted.field], row);
                    prop_assert_eq!((statuses.status[row], value, statuses.event_ts[row]), expected, "spine row {}", row);
                }
            }
        }
    }
}

/// A few values of every type.
fn samples() -> Vec<(DataType, Vec<Value>)> {
    let list = |element: DataType| DataType::List(Box::new(element));
    let text = |n: i32| Value::String(format!("text number {n} {}", "x".repeat(n as usize)));
    let each = |make: &dyn Fn(i32) -> Value| (1..7).map(make).collect::<Vec<_>>();
    vec![
        (DataType::Bool, each(&|n| Value::Bool(n % 2 == 0))),
        (DataType::Int32, each(&Value::Int32)),
        (DataType::Int64, each(&|n| Value::Int64(i64::from(n) << 40))),
        (DataType::Float32, each(&|n| Value::Float32(n as f32 / 3.0))),
        (DataType::Float64, each(&|n| Value::Float64(f64::from(n) / 3.0))),
        (DataType::String, each(&text)),
        (DataType::Bytes, each(&|n| Value::Bytes(vec![n as u8; n as usize - 1]))),
        (DataType::Timestamp, each(&|n| Value::Timestamp(i64::from(n) << 50))),
        (DataType::Date, each(&Value::Date)),
        (DataType::Decimal { precision: 30, scale: 3 }, each(&|n| Value::Decimal(i128::from(n) << 80))),
        (DataType::Uuid, each(&|n| Value::Uuid([n as u8; 16]))),
        (DataType::Json, each(&|n| Value::Json(format!("[{n}]")))),
        (list(DataType::Int64), each(&|n| Value::List(vec![Value::Int64(3), Value::Null][..n as usize % 3].to_vec()))),
        (list(DataType::String), each(&|n| Value::List(vec![text(n), Value::Null, text(2)]))),
        (list(DataType::Bool), each(&|n| Value::List(vec![Value::Bool(n > 3), Value::Null]))),
        (list(DataType::Decimal { precision: 9, scale: 2 }), each(&|n| Value::List(vec![Value::Decimal(n.into())]))),
        (DataType::Vector(3), each(&|n| Value::Vector(vec![n as f32, 0.5, -1.0]))),
    ]
}

#[test]
fn every_type_is_gathered_from_runs_and_tails_into_the_spines_order() {
    let samples = samples();
    let types: Vec<DataType> = samples.iter().map(|(data_type, _)| data_type.clone()).collect();
    let row = |n: usize| Row {
        key: vec![n as u8],
        mark: Mark { event_ts: 10, created: None, seq: n as u64 + 1 },
        kind: RowKind::Value,
        deadline: None,
        field_deadline: None,
        fields: samples.iter().map(|(_, values)| Some(if n == 4 { Value::Null } else { values[n].clone() })).collect(),
    };
    let runs = [TestRun::new(vec![row(0), row(3), row(4)], &types), TestRun::new(vec![row(1)], &types)];
    let tail = TestTail::new(vec![row(2), row(5)], &types);
    let sources = [Source::Run(runs[0].as_run()), Source::Tail(&tail), Source::Run(runs[1].as_run())];
    // The last two match nothing: an unknown key, and an instant before all rows.
    let spine: Vec<(u8, i64)> = vec![(5, 10), (0, 10), (4, 10), (1, 11), (3, 99), (0, 12), (2, 10), (77, 10), (1, 9)];
    let bytes: Vec<[u8; 1]> = spine.iter().map(|(key, _)| [*key]).collect();
    let keys = SpineKeys::from_hashed(bytes.iter().map(|key| (hash_of(key), Some(key.as_slice()))));
    let times = SpineTimes { values: spine.iter().map(|(_, at)| *at).collect(), nulls: None };
    let question = Question {
        sources: &sources,
        truncates: &[],
        known_at: u64::MAX,
        created_cutoff: false,
        ttl_us: 0,
        keep_expired: false,
    };
    let wanted: Vec<Wanted> =
        types.iter().cloned().enumerate().map(|(field, data_type)| Wanted { field, data_type }).collect();
    for threads in [1, 2] {
        let columns = Scratch::default().join(&keys, &times, &question, &wanted, threads).unwrap();
        for ((data_type, values), column) in samples.iter().zip(&columns) {
            let expected = spine.iter().map(|&(key, at)| match key {
                4 | 77 => Value::Null,
                _ if at < 10 => Value::Null,
                _ => values[usize::from(key)].clone(),
            });
            assert_eq!(column.data_type(), &data_type.to_arrow());
            assert_eq!(column, &array_of(data_type, expected), "{data_type}");
        }
    }
}

#[test]
fn a_slice_of_a_column_is_gathered_from_its_own_beginning() {
    for (data_type, values) in samples() {
        let mut run = TestRun::new(
            (0..2)
                .map(|n| Row {
                    key: vec![n],
                    mark: Mark { event_ts: 0, created: None, seq: 1 },
                    kind: RowKind::Value,
                    deadline: None,
                    field_deadline: None,
                    fields: vec![Some(Value::Null)],
                })
                .collect(),
            std::slice::from_ref(&data_type),
        );
        run.columns = vec![array_of(&data_type, values.clone()).slice(3, 2)];
        let sources = [Source::Run(run.as_run())];
        let keys = SpineKeys::from_hashed(
            [1, 0].map(|key| (hash_of(&[key]), Some(if key == 1 { b"\x01" as &[u8] } else { b"\x00" }))),
        );
        let times = SpineTimes { values: vec![5, 5].into(), nulls: None };
        let question = Question {
            sources: &sources,
            truncates: &[],
            known_at: u64::MAX,
            created_cutoff: false,
            ttl_us: 0,
            keep_expired: false,
        };
        let wanted = [Wanted { field: 0, data_type: data_type.clone() }];
        let columns = Scratch::default().join(&keys, &times, &question, &wanted, 1).unwrap();
        assert_eq!(&columns[0], &array_of(&data_type, [values[4].clone(), values[3].clone()]), "{data_type}");
    }
}

#[test]
fn a_field_that_no_run_knows_is_null() {
    let wanted = Wanted { field: 9, data_type: DataType::Float64 };
    let row = Row {
        key: vec![0],
        mark: Mark { event_ts: 0, created: None, seq: 1 },
        kind: RowKind::Value,
        deadline: None,
        field_deadline: None,
        fields: vec![Some(Value::Int64(1))],
    };
    let run = TestRun::new(vec![row], &[DataType::Int64]);
    let sources = [Source::Run(run.as_run())];
    let keys = SpineKeys::from_hashed([(0, Some(b"\x00".as_slice()))]);
    let times = SpineTimes { values: vec![5].into(), nulls: None };
    let question = Question {
        sources: &sources,
        truncates: &[],
        known_at: u64::MAX,
        created_cutoff: false,
        ttl_us: 0,
        keep_expired: true,
    };
    let mut scratch = Scratch::default();
    let columns = scratch.join(&keys, &times, &question, std::slice::from_ref(&wanted), 1).unwrap();
    assert_eq!((columns[0].len(), columns[0].null_count()), (1, 1));
    let statuses = status::statuses(&scratch.resolution, &sources, &times, &wanted, 0).unwrap();
    assert_eq!((statuses.status[0], statuses.event_ts[0]), (Status::NullValue, Some(0)));
}

#[test]
fn a_column_of_another_type_is_damage() {
    let mut run = TestRun::new(Vec::new(), &[]);
    run.columns = vec![array_of(&DataType::Int64, [Value::Int64(1)])];
    let (slots, event_ts, seq) = ([slot(0, 0, 1)], [0], [0]);
    let base = run.as_run();
    let index = Index { slots: &slots, hash_min: 0, hash_max: 0, shift: 63, scale: 1 };
    let sources = [Source::Run(Run { index, event_ts: &event_ts, seq: &seq, ..base })];
    let mut keys = SpineKeys::from_hashed([(0, Some(b"\x00".as_slice()))]);
    keys.hash_is_key = true;
    let times = SpineTimes { values: vec![5].into(), nulls: None };
    let question = Question {
        sources: &sources,
        truncates: &[],
        known_at: u64::MAX,
        created_cutoff: false,
        ttl_us: 0,
        keep_expired: false,
    };
    let wanted = [Wanted { field: 0, data_type: DataType::Float64 }];
    let error = Scratch::default().join(&keys, &times, &question, &wanted, 1).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Damaged);
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
    let question = Question {
        sources: &sources,
        truncates: &[],
        known_at: u64::MAX,
        created_cutoff: false,
        ttl_us: 0,
        keep_expired: false,
    };
    let wanted = [Wanted { field: 0, data_type: DataType::Int64 }];
    let columns = Scratch::default().join(&keys, &times, &question, &wanted, 3).unwrap();
    for (row, (key, at)) in spine.iter().enumerate() {
        let (_, expected, _) = oracle(&rows, &[], Some(key), AsOf::new(*at), 0, 0);
        assert_eq!(value_at(&types[0], &columns[0], row), expected, "spine row {row}");
        // The online path asks the same rows one key at a time.
        let single = run.rows_of(hash_of(key), key).and_then(|rows| {
            pick::pick(&rows, AsOf::new(*at))
                .map(|index| value_at(&types[0], &run.file.column(0).unwrap().unwrap(), rows.row(index)))
        });
        assert_eq!(single.unwrap_or(Value::Null), expected);
    }
}

/// Undoes xxh3-64 of eight bytes: whoever can be undone maps no two inputs to one output.
fn undo_xxh3_of_8_bytes(hash: u64) -> u64 {
    fn inverse(odd: u64) -> u64 {
        (0..6).fold(odd, |guess, _| guess.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(guess))))
    }
    const PRIME: u64 = 0x9fb2_1c65_1e98_df25;
    let mut h = hash ^ hash >> 28 ^ hash >> 56;
    h = h.wrapping_mul(inverse(PRIME));
    // h ^= (h >> 35) + 8 left bits 35 and up alone.
    h ^= (h >> 35).wrapping_add(8);
    h = h.wrapping_mul(inverse(PRIME));
    // x ^ rotl(x, 49) ^ rotl(x, 24) is a polynomial p in the rotation; p^63 undoes it, as p^64 is 1.
    let forward = |x: u64| x ^ x.rotate_left(49) ^ x.rotate_left(24);
    (0..63).fold(h, |x, _| forward(x))
}

#[test]
fn xxh3_of_eight_bytes_can_be_undone_so_equal_hashes_are_equal_keys() {
    for seed in [0, 1, 0x1234_5678_9abc_def0] {
        // What undoing leaves is the halves swapped and xored with a constant of the seed.
        let constant = undo_xxh3_of_8_bytes(crate::key::key_hash(seed, &0_u64.to_le_bytes()));
        for n in 0..10_000_u64 {
            let key = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let undone = undo_xxh3_of_8_bytes(crate::key::key_hash(seed, &key.to_le_bytes()));
            assert_eq!((undone ^ constant).rotate_left(32), key, "seed {seed}");
        }
    }
}

#[test]
fn spine_keys_are_widened_and_what_does_not_fit_matches_nothing() {
    use arrow_array::{DictionaryArray, Float64Array, Int64Array, LargeStringArray, StringArray, UInt64Array};
    let schema = |data_type| KeySchema::new(vec![("id".into(), data_type)]);
    let encode = |data_type, column: ArrayRef| SpineKeys::encode(&schema(data_type), &[column], 3, 1, 1);
    let reference = encode(DataType::Int64, Arc::new(Int64Array::from(vec![1, 2, 3]))).unwrap();
    let small = encode(DataType::Int64, Arc::new(arrow_array::Int8Array::from(vec![1, 2, 3]))).unwrap();
    assert_eq!(small.hashes, reference.hashes);
    let large = UInt64Array::from(vec![1, u64::MAX, 3]);
    let large = encode(DataType::Int64, Arc::new(large)).unwrap();
    assert_eq!(large.hashes[2], reference.hashes[2]);
    assert!(large.nulls.as_ref().is_some_and(|nulls| nulls.is_null(1) && nulls.null_count() == 1));
    let floats = encode(DataType::Int32, Arc::new(Float64Array::from(vec![Some(2.0), Some(2.5), None]))).unwrap();
    assert_eq!(floats.key(0), 2_i32.to_le_bytes());
    assert_eq!(floats.nulls.as_ref().map(NullBuffer::null_count), Some(2));

    let words = ["JFK", "", "LGA"];
    let plain = encode(DataType::String, Arc::new(StringArray::from(words.to_vec()))).unwrap();
    assert_eq!((plain.key(0), plain.key(1)), (b"JFK".as_slice(), b"".as_slice()));
    let dictionary: DictionaryArray<arrow_array::types::Int8Type> = words.into_iter().collect();
    for column in [Arc::new(LargeStringArray::from(words.to_vec())) as ArrayRef, Arc::new(dictionary)] {
        assert_eq!(encode(DataType::String, column).unwrap().hashes, plain.hashes);
    }
    let error = encode(DataType::Int64, Arc::new(StringArray::from(words.to_vec()))).unwrap_err();
    assert!(error.to_string().contains("id wants int64, got Utf8"), "{error}");
}

#[test]
fn composite_spine_keys_are_encoded_as_rows_are() {
    use arrow_array::{Int32Array, StringArray};
    let schema = KeySchema::new(vec![("carrier".into(), DataType::String), ("flight".into(), DataType::Int32)]);
    let columns: [ArrayRef; 2] =
        [Arc::new(StringArray::from(vec![Some("UA"), None])), Arc::new(Int32Array::from(vec![7, 8]))];
    let keys = SpineKeys::encode(&schema, &columns, 2, 5, 2).unwrap();
    let mut expected = Vec::new();
    schema.encode(&["UA".into(), 7.into()], &mut expected).unwrap();
    assert_eq!((keys.key(0), keys.hashes[0]), (expected.as_slice(), crate::key::key_hash(5, &expected)));
    assert!(keys.nulls.as_ref().is_some_and(|nulls| nulls.is_valid(0) && nulls.is_null(1)));
    // A view without entities has one key for all rows.
    let all = SpineKeys::encode(&KeySchema::new(Vec::new()), &[], 2, 5, 1).unwrap();
    assert_eq!((all.len(), all.key(1), all.nulls.is_none()), (2, b"".as_slice(), true));
}

#[test]
fn spine_times_of_every_unit_become_microseconds() {
    use arrow_array::{
        Date32Array, Int64Array, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };
    let read = |array: &dyn Array| SpineTimes::from_array(array).map(|times| times.values[0]);
    assert_eq!(read(&TimestampNanosecondArray::from(vec![-1])).unwrap(), -1);
    assert_eq!(read(&TimestampNanosecondArray::from(vec![1_999])).unwrap(), 1);
    assert_eq!(read(&TimestampMillisecondArray::from(vec![-3]).with_timezone("+05:00")).unwrap(), -3_000);
    assert_eq!(read(&TimestampSecondArray::from(vec![2])).unwrap(), 2_000_000);
    assert_eq!(read(&Date32Array::from(vec![1])).unwrap(), crate::time::MICROS_PER_DAY);
    let error = read(&TimestampSecondArray::from(vec![i64::MAX])).unwrap_err().to_string();
    assert!(error.contains("row 0") && error.contains("out of range"), "{error}");
    assert!(read(&Int64Array::from(vec![1])).is_err());
}
