//! The naive twin: rows in a vector, sorted by comparing them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::*;

use crate::disk::{Disk, MemDisk, OpenMode, Random};
use crate::format::columns::value_at;
use crate::format::row::{FieldState, RowHead, RowKind, RowRef, push_image, push_record, set_field_state};
use crate::history::*;
use crate::key::{KeySchema, key_hash};
use crate::value::{DataType, Value};

pub const SEED: u64 = 77;

/// A row as the model knows it.
#[derive(Clone, Debug)]
pub struct ModelRow {
    pub key: Vec<u8>,
    pub event_ts: i64,
    pub created: Option<i64>,
    pub seq: u64,
    pub kind: RowKind,
    pub deadline: Option<i64>,
    pub field_deadlines: Vec<u8>,
    pub event_id: Vec<u8>,
    /// `None` is absent.
    pub fields: Vec<Option<Value>>,
}

impl ModelRow {
    fn order(&self, hash: fn(&[u8]) -> u64) -> (u64, &[u8], i64, Option<i64>, u64) {
        (hash(&self.key), &self.key, self.event_ts, self.created, self.seq)
    }

    pub fn state(&self, field: usize) -> FieldState {
        match self.fields.get(field) {
            _ if self.kind != RowKind::Value => FieldState::Absent,
            None | Some(Some(Value::Null)) => FieldState::Null,
            Some(None) => FieldState::Absent,
            Some(Some(_)) => FieldState::Value,
        }
    }
}

pub fn all_types() -> Vec<(String, DataType)> {
    let types = "bool int32 int64 float32 float64 string bytes timestamp date decimal(12,2) uuid json list<int64> list<string> list<bool> vector<3>";
    types.split(' ').enumerate().map(|(i, text)| (format!("f{i}"), text.parse().unwrap())).collect()
}

pub fn everything(keys: &[DataType], field_count: usize, created: bool) -> RunSchema {
    let columns = keys.iter().enumerate().map(|(i, t)| (format!("k{i}"), t.clone())).collect();
    RunSchema::new("everything@1", KeySchema::new(columns), all_types()[..field_count].to_vec(), created)
}

pub fn random_value(data_type: &DataType, random: &mut Random) -> Value {
    let n = random.below(1_000).cast_signed() - 500;
    let small = i32::try_from(n).unwrap();
    let text = "x".repeat(usize::try_from(random.below(40)).unwrap()) + &n.to_string();
    match data_type {
        DataType::Bool => Value::Bool(n > 0),
        DataType::Int32 => Value::Int32(small),
        DataType::Int64 => Value::Int64(n * 1_000_000_007),
        DataType::Float32 => Value::Float32(small as f32 / 3.0),
        DataType::Float64 => Value::Float64(f64::from(small) / 7.0),
        DataType::String => Value::String(text),
        DataType::Bytes => Value::Bytes(text.into_bytes()),
        DataType::Timestamp => Value::Timestamp(n),
        DataType::Date => Value::Date(small),
        DataType::Decimal { .. } => Value::Decimal(i128::from(n)),
        DataType::Uuid => Value::Uuid([u8::try_from(n & 0xff).unwrap(); 16]),
        DataType::Json => Value::Json(format!("[{n}]")),
        DataType::List(element) => Value::List(
            (0..random.below(4))
                .map(|_| if random.below(4) == 0 { Value::Null } else { random_value(element, random) })
                .collect(),
        ),
        DataType::Vector(len) => Value::Vector((0..*len).map(|i| small as f32 + i as f32).collect()),
    }
}

/// Rows of `schema` over `key_count` keys, numbered from `first_seq`, with everything a row can have.
pub fn random_rows(
    schema: &RunSchema,
    count: usize,
    key_count: u64,
    first_seq: u64,
    plain: bool,
    random: &mut Random,
) -> Vec<ModelRow> {
    (first_seq..first_seq + count as u64)
        .map(|seq| {
            let number = random.below(key_count).cast_signed();
            let values: Vec<Value> = schema
                .keys()
                .columns()
                .iter()
                .map(|(_, data_type)| match data_type {
                    DataType::String => Value::String(format!("key-{number}")),
                    DataType::Int64 => Value::Int64(number),
                    DataType::Bool => Value::Bool(number % 2 == 0),
                    DataType::Uuid => Value::Uuid([u8::try_from(number % 256).unwrap(); 16]),
                    DataType::Date => Value::Date(i32::try_from(number).unwrap()),
                    _ => Value::Bytes(number.to_string().into_bytes()),
                })
                .collect();
            let mut key = Vec::new();
            schema.keys().encode(&values, &mut key).unwrap();
            let kind = if !plain && random.below(10) == 0 { RowKind::Delete } else { RowKind::Value };
            let fields = schema
                .fields()
                .iter()
                .map(|(_, data_type)| match random.below(8) {
                    0 => Some(Value::Null),
                    1 if !plain => None,
                    _ => Some(random_value(data_type, random)),
                })
                .collect();
            ModelRow {
                key,
                event_ts: random.below(20).cast_signed(),
                created: (schema.declares_created() && random.below(3) > 0).then(|| random.below(5).cast_signed()),
                seq,
                kind,
                deadline: (!plain && random.below(20) == 0).then(|| random.below(50).cast_signed()),
                field_deadlines: if !plain && random.below(20) == 0 { vec![1; 10] } else { Vec::new() },
                event_id: if !plain && random.below(5) == 0 { b"event".to_vec() } else { Vec::new() },
                fields: if kind == RowKind::Value { fields } else { Vec::new() },
            }
        })
        .collect()
}

/// The rows as the log would have them, collected into columns.
pub fn collect(schema: &RunSchema, rows: &[ModelRow]) -> UnsortedRows {
    let mut collector = RowCollector::new(schema, SEED);
    for row in rows {
        let mut image = Vec::new();
        if row.kind == RowKind::Value {
            let values: Vec<Value> = row.fields.iter().map(|field| field.clone().unwrap_or(Value::Null)).collect();
            push_image(schema.layout(), &values, &mut image).unwrap();
            for (field, _) in row.fields.iter().enumerate().filter(|(_, value)| value.is_none()) {
                set_field_state(&mut image, field, FieldState::Absent);
            }
        }
        let head = RowHead {
            kind: row.kind,
            event_ts: row.event_ts,
            created: row.created,
            deadline: row.deadline,
            field_deadlines: &row.field_deadlines,
            event_id: &row.event_id,
        };
        let mut record = Vec::new();
        push_record(&head, &row.key, row.fields.len(), &image, &mut record).unwrap();
        collector.push(row.seq, &RowRef::parse(&record, schema.layout()).unwrap().0).unwrap();
    }
    collector.finish().unwrap()
}

pub fn scratch() -> &'static Path {
    Path::new("scratch")
}

/// A folder of runs under test.
pub struct Folder {
    pub disk: MemDisk,
    next: AtomicU64,
    pub file_bytes: u64,
}

pub fn dir() -> &'static Path {
    Path::new("history/1-everything@1")
}

impl Folder {
    pub fn new(file_bytes: u64) -> Folder {
        let disk = MemDisk::volatile();
        for folder in [Path::new("history"), dir(), scratch()] {
            disk.create_dir(folder).unwrap();
        }
        Folder { disk, next: AtomicU64::new(1), file_bytes }
    }

    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        self.disk.map(path).unwrap().to_vec()
    }

    pub fn replace(&self, path: &Path, bytes: &[u8]) {
        self.disk.remove(path).unwrap();
        self.disk.open(path, OpenMode::Create).unwrap().write_at(0, bytes).unwrap();
    }

    pub fn with_output<T>(&self, work: impl FnOnce(&RunOutput<'_>) -> T) -> T {
        let next_id = || self.next.fetch_add(1, Ordering::Relaxed);
        work(&RunOutput {
            disk: &self.disk,
            dir: dir(),
            next_id: &next_id,
            file_bytes: self.file_bytes,
            threads: 2,
            is_durable: true,
        })
    }

    pub fn seal(&self, schema: &RunSchema, rows: &[UnsortedRows]) -> Vec<RunFileMeta> {
        self.with_output(|output| seal(schema, rows, output)).unwrap()
    }

    pub fn open(&self, schema: &RunSchema, files: &[RunFileMeta], seq_base: u64) -> Vec<RunFile> {
        files
            .iter()
            .map(|file| {
                let run =
                    RunFile::open(&self.disk, dir(), file.id, schema, seq_base, Some(file.index_checksum)).unwrap();
                assert_eq!(run.row_count() as u64, file.rows);
                run
            })
            .collect()
    }
}

pub fn hash(key: &[u8]) -> u64 {
    key_hash(SEED, key)
}

/// Compares the files of one run, in order, with the model's rows.
pub fn assert_holds(schema: &RunSchema, files: &[RunFile], rows: &[ModelRow], hash: fn(&[u8]) -> u64) {
    let mut rows = rows.to_vec();
    rows.sort_by(|left, right| left.order(hash).cmp(&right.order(hash)));
    let mut expected = rows.iter();
    for file in files {
        file.verify_all().unwrap();
        let mut cursor = RunCursor::new(file).unwrap();
        let mut at = 0;
        while let Some((key_hash, key, range)) = cursor.current() {
            assert_eq!(range.start, at, "keys follow each other");
            at = range.end;
            assert_eq!(file.find(key_hash, key).unwrap(), Some(range.clone()));
            for i in range {
                let row = expected.next().expect("the run has more rows than the model");
                assert_eq!((key_hash, key), (hash(&row.key), row.key.as_slice()));
                assert_eq!((file.event_ts()[i], file.seq_base() + file.seq()[i]), (row.event_ts, row.seq));
                let created = file
                    .created()
                    .and_then(|(values, nulls)| nulls.is_none_or(|nulls| nulls.is_valid(i)).then(|| values[i]));
                assert_eq!(created, row.created);
                assert_eq!(file.kind(i).unwrap(), row.kind);
                let instant = file.own_column(RunColumn::Deadline).unwrap().and_then(|array| {
                    array.is_valid(i).then(|| array.as_primitive::<TimestampMicrosecondType>().value(i))
                });
                assert_eq!(instant, row.deadline);
                for (column, bytes) in
                    [(RunColumn::FieldDeadlines, &row.field_deadlines), (RunColumn::EventId, &row.event_id)]
                {
                    let found = file.own_column(column).unwrap();
                    let found = found.filter(|array| array.is_valid(i)).map(|array| array.as_binary::<i32>().value(i));
                    assert_eq!(found.unwrap_or_default(), bytes);
                }
                for (field, (_, data_type)) in schema.fields().iter().enumerate() {
                    assert_eq!(file.field_state(i, field).unwrap(), row.state(field), "field {field} of {row:?}");
                    if row.state(field) == FieldState::Value {
                        let value = value_at(file.column(field).unwrap().unwrap(), data_type, i);
                        assert_eq!(Some(Some(value)), row.fields.get(field).cloned());
                    }
                }
            }
            cursor.advance().unwrap();
        }
        assert_eq!(at, file.row_count());
    }
    assert!(expected.next().is_none(), "the run lacks rows");
}
