//! Rows come back as they were written, and no damaged byte makes one panic.

use super::*;

fn everything() -> (RowLayout, Vec<Value>) {
    let list = |t: DataType| DataType::List(Box::new(t));
    let pairs = vec![
        (DataType::Bool, Value::Bool(true)),
        (DataType::Int32, Value::Int32(-1)),
        (DataType::String, Value::String("a string of more than twelve bytes".into())),
        (DataType::Int64, Value::Int64(i64::MIN)),
        (DataType::Float32, Value::Float32(1.5)),
        (DataType::Float64, Value::Null),
        (DataType::String, Value::String("short".into())),
        (DataType::Bytes, Value::Bytes(vec![0; 13])),
        (DataType::Timestamp, Value::Timestamp(7)),
        (DataType::Date, Value::Date(-1)),
        (DataType::Decimal { precision: 12, scale: 2 }, Value::Decimal(-123)),
        (DataType::Uuid, Value::Uuid([3; 16])),
        (DataType::Json, Value::Json("{\"a\":[1,2,3,4]}".into())),
        (list(DataType::Int64), Value::List(vec![Value::Int64(1), Value::Null])),
        (list(DataType::String), Value::List(vec![Value::Null, "x".into(), "".into()])),
        (list(DataType::Bool), Value::List(vec![])),
        (DataType::Vector(3), Value::Vector(vec![1.0, 2.0, 3.0])),
    ];
    let (types, values): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    (RowLayout::new(types), values)
}

#[test]
fn a_row_of_every_type_comes_back() {
    let (layout, values) = everything();
    let (mut image, mut record) = (Vec::new(), Vec::new());
    push_image(&layout, &values, &mut image).unwrap();
    let head = RowHead {
        created: Some(5),
        deadline: Some(6),
        field_deadlines: &[1; 20],
        event_id: b"e1",
        ..RowHead::new(RowKind::Value, 99)
    };
    push_record(&head, b"key", values.len(), &image, &mut record).unwrap();
    record.extend(b"next");
    let (row, rest) = RowRef::parse(&record, &layout).unwrap();
    assert_eq!(rest, b"next");
    assert_eq!((row.head, row.key), (head, b"key".as_slice()));
    let read: Vec<Value> = (0..values.len()).map(|field| row.value(&layout, field)).collect();
    assert_eq!(read, values);
    assert_eq!(row.state(5), FieldState::Null);
}

#[test]
fn a_row_older_than_a_feature_reads_it_as_null() {
    let old = RowLayout::new([DataType::Int32]);
    let new = RowLayout::new([DataType::Int32, DataType::String]);
    let (mut image, mut record) = (Vec::new(), Vec::new());
    push_image(&old, &[Value::Int32(4)], &mut image).unwrap();
    push_record(&RowHead::new(RowKind::Value, 0), b"", 1, &image, &mut record).unwrap();
    let (row, _) = RowRef::parse(&record, &new).unwrap();
    assert_eq!((row.value(&new, 0), row.state(1)), (Value::Int32(4), FieldState::Null));
}

#[test]
fn no_damaged_byte_makes_a_row_panic() {
    let (layout, values) = everything();
    let (mut image, mut record) = (Vec::new(), Vec::new());
    push_image(&layout, &values, &mut image).unwrap();
    push_record(&RowHead::new(RowKind::Value, 0), b"k", values.len(), &image, &mut record).unwrap();
    for at in 0..record.len() {
        for bit in 0..8 {
            let mut damaged = record.clone();
            damaged[at] ^= 1 << bit;
            if let Ok((row, _)) = RowRef::parse(&damaged, &layout) {
                for field in 0..layout.field_count() {
                    row.value(&layout, field);
                }
            }
        }
        assert!(RowRef::parse(&record[..at], &layout).is_err(), "a row cut at {at} was taken");
    }
}
