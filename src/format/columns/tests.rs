//! The row-at-a-time encoders of `format::row` and `key` are the naive twins of the columnar ones.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_buffer::BooleanBuffer;

use super::*;
use crate::format::row::{RowHead, RowKind, RowLayout, RowRef, push_image, push_record};
use crate::key::KeySchema;
use crate::value::{DataType, Value};

/// Deterministic noise.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> usize {
        usize::try_from(self.next() % n).unwrap()
    }

    fn text(&mut self) -> String {
        (0..self.below(30)).map(|_| ['a', '\u{e9}', '"', ',', '\n', ' '][self.below(6)]).collect()
    }

    /// A value of `dtype` that is not null, edges more often than chance has them.
    pub(crate) fn value(&mut self, dtype: &DataType) -> Value {
        let edge = self.below(4) == 0;
        let bits = self.next();
        match dtype {
            DataType::Bool => Value::Bool(bits & 1 == 1),
            DataType::Int32 => Value::Int32(if edge { i32::MIN } else { (bits >> 32) as u32 as i32 }),
            DataType::Int64 => Value::Int64(if edge { i64::MAX } else { bits as i64 }),
            DataType::Float32 => Value::Float32(if edge { f32::INFINITY } else { (bits >> 40) as f32 / 3.0 }),
            DataType::Float64 => Value::Float64(if edge { -0.0 } else { bits as f64 / 7e9 }),
            DataType::String => Value::String(if edge { String::new() } else { self.text() }),
            DataType::Bytes => Value::Bytes((0..self.below(20)).map(|_| self.next() as u8).collect()),
            DataType::Timestamp => Value::Timestamp((bits >> 14) as i64 - (1 << 48)),
            DataType::Date => Value::Date((bits >> 46) as i32 - (1 << 16)),
            DataType::Decimal { precision, .. } => {
                Value::Decimal(i128::from(bits >> 32) % 10_i128.pow(u32::from(*precision)) * if edge { -1 } else { 1 })
            }
            DataType::Uuid => Value::Uuid(std::array::from_fn(|_| self.next() as u8)),
            DataType::Json => Value::Json(serde_json::json!({ "k": self.text(), "n": bits >> 40 }).to_string()),
            DataType::List(element) => Value::List((0..self.below(4)).map(|_| self.maybe(element)).collect()),
            DataType::Vector(len) => Value::Vector((0..*len).map(|_| (self.next() >> 40) as f32 / 3.0).collect()),
        }
    }

    /// A value, or null one time in five.
    pub(crate) fn maybe(&mut self, dtype: &DataType) -> Value {
        if self.below(5) == 0 { Value::Null } else { self.value(dtype) }
    }
}

/// One of every type, lists of every scalar among them.
pub(crate) fn every_type() -> Vec<DataType> {
    let scalars = "bool int32 int64 float32 float64 string bytes timestamp date decimal(12,2) decimal(38,10) uuid json";
    let lists = scalars.split(' ').map(|scalar| format!("list<{scalar}>"));
    let all = scalars.split(' ').map(str::to_owned).chain(lists).chain(["vector<3>".into(), "vector<64>".into()]);
    all.map(|text| text.parse().unwrap()).collect()
}

fn columns_of(types: &[DataType], rows: &[Vec<Value>]) -> Vec<ArrayRef> {
    let column = |(i, dtype): (usize, &DataType)| {
        array_from_values(dtype, &rows.iter().map(|row: &Vec<Value>| row[i].clone()).collect::<Vec<_>>()).unwrap()
    };
    types.iter().enumerate().map(column).collect()
}

#[test]
fn columns_encode_to_the_bytes_that_rows_encode_to_and_come_back() {
    let types = every_type();
    let layout = RowLayout::new(types.clone());
    let key_schema = KeySchema::new(vec![("a".into(), DataType::String), ("b".into(), DataType::Int32)]);
    for (seed, count) in [(1, 1), (2, 255), (3, 700), (4, 0)] {
        let mut random = Random(seed * 7919);
        let rows: Vec<Vec<Value>> =
            (0..count).map(|_| types.iter().map(|dtype| random.maybe(dtype)).collect()).collect();
        let features = columns_of(&types, &rows);
        let keys: Vec<Vec<Value>> =
            (0..count).map(|_| vec![random.value(&DataType::String), random.value(&DataType::Int32)]).collect();
        let key_columns = columns_of(&[DataType::String, DataType::Int32], &keys);
        let encoded_keys = encode_keys(&key_schema, &key_columns, count).unwrap();
        let event_ts: Vec<i64> = (0..count).map(|_| random.next() as i64).collect();
        let created: Int64Array = (0..count).map(|row| (row % 3 != 0).then_some(row as i64)).collect();
        let deleted: BooleanBuffer = (0..count).map(|row| row % 11 == 5).collect();
        for deleted in [None, Some(&deleted)] {
            let mut expected = Vec::new();
            let mut starts = Vec::new();
            for row in 0..count {
                let is_deleted = deleted.is_some_and(|deleted| deleted.value(row));
                let mut image = Vec::new();
                let mut key = Vec::new();
                key_schema.encode(&keys[row], &mut key).unwrap();
                let kind = if is_deleted { RowKind::Delete } else { RowKind::Value };
                if !is_deleted {
                    push_image(&layout, &rows[row], &mut image).unwrap();
                }
                let head = RowHead {
                    created: (row % 3 != 0).then_some(row as i64),
                    event_id: &key,
                    ..RowHead::new(kind, event_ts[row])
                };
                starts.push(expected.len());
                let field_count = if is_deleted { 0 } else { types.len() };
                push_record(&head, &key, field_count, &image, &mut expected).unwrap();
            }
            let (mut records, mut offsets) = (Vec::new(), Vec::new());
            let columns = RowColumns {
                keys: &encoded_keys,
                event_ts: &event_ts,
                created: Some(&created),
                event_ids: Some(&encoded_keys),
                features: &features,
                deleted,
            };
            encode_records(&layout, &columns, &mut records, &mut offsets).unwrap();
            assert_eq!(offsets, starts);
            assert!(records == expected, "the bytes differ, seed {seed}");

            let parsed: Vec<RowRef<'_>> =
                offsets.iter().map(|at| RowRef::parse(&records[*at..], &layout).unwrap().0).collect();
            let all: Vec<usize> = (0..types.len()).collect();
            for (i, column) in decode_columns(&layout, &parsed, &all).unwrap().iter().enumerate() {
                assert_eq!(column.data_type(), &types[i].to_arrow());
                for (row, values) in rows.iter().enumerate() {
                    let is_deleted = deleted.is_some_and(|deleted| deleted.value(row));
                    let expected = if is_deleted { &Value::Null } else { &values[i] };
                    assert_eq!(&value_at(column, &types[i], row), expected, "{} row {row}", types[i]);
                }
            }
        }
    }
}

#[test]
fn a_slice_of_a_column_encodes_as_its_own_rows() {
    let types = every_type();
    let layout = RowLayout::new(types.clone());
    let mut random = Random(5);
    let rows: Vec<Vec<Value>> = (0..40).map(|_| types.iter().map(|dtype| random.maybe(dtype)).collect()).collect();
    let sliced: Vec<ArrayRef> = columns_of(&types, &rows).iter().map(|column| column.slice(13, 9)).collect();
    let none = encode_keys(&KeySchema::new(vec![]), &[], 9).unwrap();
    let encode = |features: &[ArrayRef]| {
        let columns =
            RowColumns { keys: &none, event_ts: &[0; 9], created: None, event_ids: None, features, deleted: None };
        let (mut records, mut offsets) = (Vec::new(), Vec::new());
        encode_records(&layout, &columns, &mut records, &mut offsets).unwrap();
        records
    };
    assert!(encode(&sliced) == encode(&columns_of(&types, &rows[13..22])));
}

#[test]
fn keys_encode_as_one_key_does_for_every_shape() {
    let shapes: [&[&str]; 6] = [
        &[],
        &["int64"],
        &["string"],
        &["bytes", "string"],
        &["bool", "uuid", "date", "timestamp", "int32", "int64"],
        &["string", "int64", "bytes"],
    ];
    for shape in shapes {
        let types: Vec<DataType> = shape.iter().map(|text| text.parse().unwrap()).collect();
        let schema = KeySchema::new(types.iter().enumerate().map(|(i, t)| (format!("k{i}"), t.clone())).collect());
        let mut random = Random(11);
        let rows: Vec<Vec<Value>> = (0..50).map(|_| types.iter().map(|dtype| random.value(dtype)).collect()).collect();
        let encoded = encode_keys(&schema, &columns_of(&types, &rows), rows.len()).unwrap();
        assert_eq!(encoded.len(), rows.len());
        for (row, key) in rows.iter().zip(encoded.iter()) {
            let mut expected = Vec::new();
            schema.encode(row, &mut expected).unwrap();
            assert_eq!(key, expected, "{shape:?}");
        }
    }
}

#[test]
fn a_null_or_overlong_key_names_its_row() {
    let schema = KeySchema::new(vec![("origin".into(), DataType::String)]);
    let column = array_from_values(&DataType::String, &["JFK".into(), Value::Null]).unwrap();
    let error = encode_keys(&schema, &[column], 2).unwrap_err();
    assert_eq!(error.to_string(), "origin: row 1: the join key is null");
    let column = array_from_values(&DataType::String, &[Value::String("x".repeat(5_000))]).unwrap();
    assert!(
        encode_keys(&schema, &[column], 1).unwrap_err().to_string().starts_with("row 0: the entity key takes 5000")
    );
}

#[test]
fn nan_is_canonical_in_records() {
    let layout = RowLayout::new([DataType::Float64, DataType::Vector(1)]);
    let odd = f64::from_bits(0xfff8_0000_0000_0001);
    let odd32 = f32::from_bits(0xffc0_0001);
    let none = encode_keys(&KeySchema::new(vec![]), &[], 1).unwrap();
    let encode = |wide: f64, narrow: f32| {
        let features = [
            array_from_values(&DataType::Float64, &[Value::Float64(wide)]).unwrap(),
            array_from_values(&DataType::Vector(1), &[Value::Vector(vec![narrow])]).unwrap(),
        ];
        assert!(features[0].as_primitive::<arrow_array::types::Float64Type>().value(0).is_nan());
        let columns = RowColumns {
            keys: &none,
            event_ts: &[0],
            created: None,
            event_ids: None,
            features: &features,
            deleted: None,
        };
        let (mut records, mut offsets) = (Vec::new(), Vec::new());
        encode_records(&layout, &columns, &mut records, &mut offsets).unwrap();
        records
    };
    assert_eq!(encode(odd, odd32), encode(f64::NAN, f32::NAN));
}
