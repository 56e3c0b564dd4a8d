//! Golden messages of Feast, and what is none.

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn decimal() -> DataType {
    DataType::Decimal { precision: 5, scale: 2 }
}

fn list(element: DataType) -> DataType {
    DataType::List(Box::new(element))
}

/// What Feast 0.67 makes of these values, byte by byte.
#[test]
fn values_are_those_that_feast_writes_and_come_back() {
    let uuid = || Value::Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let text = |text: &str| Value::String(text.to_owned());
    let may = Value::Timestamp(1_777_593_600_000_000);
    for (dtype, value, message) in [
        (DataType::Bytes, Value::Bytes(vec![0, 255]), "0a0200ff"),
        (DataType::String, text("\u{e9}"), "1202c3a9"),
        (DataType::String, text(""), "1200"),
        (DataType::Int32, Value::Int32(-5), "18fbffffffffffffffff01"),
        (DataType::Int64, Value::Int64(9_007_199_254_740_993), "208180808080808010"),
        (DataType::Int64, Value::Int64(0), "2000"),
        (DataType::Float64, Value::Float64(1.5), "29000000000000f83f"),
        (DataType::Float32, Value::Float32(0.5), "350000003f"),
        (DataType::Bool, Value::Bool(true), "3801"),
        (DataType::Bool, Value::Bool(false), "3800"),
        (DataType::Timestamp, may.clone(), "4080dacfcf06"),
        (DataType::Date, Value::Date(20_574), "4080dacfcf06"),
        (DataType::Json, Value::Json("{\"x\":1}".to_owned()), "8202077b2278223a317d"),
        (DataType::Uuid, uuid(), "a2022430303030303030302d303030302d303030302d303030302d303030303030303030303031"),
        (decimal(), Value::Decimal(125), "e20204312e3235"),
        (list(DataType::Bytes), Value::List(vec![Value::Bytes(b"a".to_vec())]), "5a030a0161"),
        (list(DataType::String), Value::List(vec![text("a"), text("")]), "62050a01610a00"),
        (list(DataType::String), Value::List(Vec::new()), "6200"),
        (list(DataType::Int32), Value::List(vec![Value::Int32(1), Value::Int32(-1)]), "6a0d0a0b01ffffffffffffffffff01"),
        (list(DataType::Int64), Value::List(vec![Value::Int64(1), Value::Int64(-1)]), "720d0a0b01ffffffffffffffffff01"),
        (list(DataType::Float64), Value::List(vec![Value::Float64(1.5)]), "7a0a0a08000000000000f83f"),
        (list(DataType::Float32), Value::List(vec![Value::Float32(0.5)]), "8201060a040000003f"),
        (DataType::Vector(1), Value::Vector(vec![0.5]), "8201060a040000003f"),
        (list(DataType::Bool), Value::List(vec![Value::Bool(true), Value::Bool(false)]), "8a01040a020100"),
        (list(DataType::Timestamp), Value::List(vec![may]), "9201070a0580dacfcf06"),
        (list(DataType::Json), Value::List(vec![Value::Json("{\"x\":1}".to_owned())]), "8a02090a077b2278223a317d"),
        (
            list(DataType::Uuid),
            Value::List(vec![uuid()]),
            "b202260a2430303030303030302d303030302d303030302d303030302d303030303030303030303031",
        ),
        (list(decimal()), Value::List(vec![Value::Decimal(125)]), "ea02060a04312e3235"),
        (DataType::String, Value::Null, ""),
        (DataType::Timestamp, Value::Null, "4080808080808080808001"),
        (DataType::Date, Value::Null, "4080808080808080808001"),
        (list(DataType::Timestamp), Value::List(vec![Value::Null]), "92010c0a0a80808080808080808001"),
    ] {
        assert_eq!(encode(&dtype, &value).map(|message| hex(&message)).as_deref(), Some(message), "{dtype}");
        assert_eq!(decode(&dtype, &bytes(message)), Ok(value), "{dtype}");
    }
}

#[test]
fn what_feast_has_no_form_for_is_null_or_said_to_be() {
    assert_eq!(encode(&DataType::Float64, &Value::Float64(f64::NAN)), Some(Vec::new()));
    let with_null = |value: Value| Value::List(vec![value, Value::Null]);
    assert_eq!(encode(&list(DataType::Int64), &with_null(Value::Int64(1))), None);
    assert_eq!(encode(&list(DataType::String), &with_null(Value::String("a".to_owned()))), None);
    let floats = encode(&list(DataType::Float64), &with_null(Value::Float64(1.0))).unwrap();
    let Ok(Value::List(floats)) = decode(&list(DataType::Float64), &floats) else { panic!("no list") };
    assert!(matches!(floats[..], [Value::Float64(1.0), Value::Float64(nan)] if nan.is_nan()));
    // Fractions of a second go, downward before 1970 too.
    let instant = encode(&DataType::Timestamp, &Value::Timestamp(-1)).unwrap();
    assert_eq!(decode(&DataType::Timestamp, &instant), Ok(Value::Timestamp(-1_000_000)));
}

#[test]
fn messages_of_other_types_and_none_are_refused() {
    for (dtype, message) in [
        (DataType::Int64, "1202c3a9"),
        (DataType::String, "2000"),
        (DataType::Int32, "2080808080808080808001"),
        (DataType::Int64, "20ff"),
        (DataType::String, "1202ffff"),
        (DataType::Uuid, "120161"),
        (DataType::Date, "4001"),
        (DataType::Vector(2), "8201060a040000003f"),
        (list(DataType::Int64), "6a0d0a0b01ffffffffffffffffff01"),
        (list(DataType::Float64), "7a090a07000000000000f8"),
    ] {
        assert!(decode(&dtype, &bytes(message)).is_err(), "{dtype} {message}");
    }
    // An int32 of Feast's is an int64 of asof's, and the other way round where it fits; a list may lie unpacked.
    assert_eq!(decode(&DataType::Int64, &bytes("1801")), Ok(Value::Int64(1)));
    assert_eq!(decode(&DataType::Int32, &bytes("2001")), Ok(Value::Int32(1)));
    let unpacked = Value::List(vec![Value::Int64(1), Value::Int64(2)]);
    assert_eq!(decode(&list(DataType::Int64), &bytes("720408010802")), Ok(unpacked));
}

#[test]
fn join_keys_are_of_their_types() {
    for (dtype, value) in [
        (DataType::String, Value::String("x".to_owned())),
        (DataType::Int32, Value::Int32(-7)),
        (DataType::Int64, Value::Int64(1001)),
        (DataType::Bytes, Value::Bytes(vec![0, 255])),
        (DataType::Timestamp, Value::Timestamp(1_700_000_000_000_000)),
        (DataType::Uuid, Value::Uuid([7; 16])),
    ] {
        let key = of_join_key(&value).unwrap();
        assert_eq!(to_join_key(&dtype, &key), Some(value), "{dtype}");
    }
    assert_eq!(of_join_key(&Value::Timestamp(1)), None, "keys of one second would be one");
    assert_eq!(of_join_key(&Value::Bool(true)), None);
    assert_eq!(to_join_key(&DataType::Int64, &(4, vec![1, 2])), None);
    assert_eq!(to_join_key(&DataType::Int64, &(2, b"7".to_vec())), None);
}
