//! Values of every type, gathered.

use arrow_array::Array;

use super::fixtures::{Row, TestRun, TestTail, array_of, hash_of};
use crate::format::row::RowKind;
use crate::join::pick::Mark;
use crate::join::source::{Index, Run, Source, slot};
use crate::join::{Question, Scratch, SpineKeys, SpineTimes, Wanted};
use crate::value::{DataType, Value};

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
    let question = Question::new(&sources);
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
        let question = Question::new(&sources);
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
    let question = Question::new(&sources);
    let columns = Scratch::default().join(&keys, &times, &question, &[wanted], 1).unwrap();
    assert_eq!((columns[0].len(), columns[0].null_count()), (1, 1));
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
    let question = Question::new(&sources);
    let wanted = [Wanted { field: 0, data_type: DataType::Float64 }];
    let error = Scratch::default().join(&keys, &times, &question, &wanted, 1).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Damaged);
}
