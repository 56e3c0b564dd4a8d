//! Columns that convert exactly, and what becomes of those that do not.

mod batches;
mod spine;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::*;
use arrow_buffer::i256;
use arrow_schema::{DataType as ArrowType, Field, Schema};

use super::*;
use crate::definition::{EventTime, Feature, FeatureView, Rules, Source, ViewKind};
use crate::format::columns::tests::{Random, every_type};
use crate::format::columns::{array_from_values, value_at};
use crate::time::Timestamp;
use crate::value::Value;

fn dtype(text: &str) -> DataType {
    text.parse().unwrap()
}

fn values(dtype: &DataType, array: &dyn Array) -> Vec<Value> {
    (0..array.len()).map(|row| value_at(array, dtype, row)).collect()
}

fn cast(array: &dyn Array, to: ArrowType) -> ArrayRef {
    arrow_cast::cast(array, &to).unwrap()
}

#[test]
fn canonical_columns_are_shared_and_every_layout_of_them_is_accepted() {
    for dtype in every_type() {
        let mut random = Random(42);
        let plain: Vec<Value> = (0..60).map(|_| random.maybe(&dtype)).collect();
        let canonical = array_from_values(&dtype, &plain).unwrap();
        let accepted = accept_column(&dtype, &canonical).unwrap();
        assert_eq!(&accepted, &canonical, "{dtype}");
        let (old, new) = (canonical.to_data(), accepted.to_data());
        if let (Some(old), Some(new)) = (old.buffers().first(), new.buffers().first())
            && !matches!(dtype, DataType::List(_))
        {
            assert_eq!(old.as_ptr(), new.as_ptr(), "{dtype} was copied");
        }
        assert_eq!(accept_column(&dtype, &canonical.slice(7, 20)).unwrap().as_ref(), canonical.slice(7, 20).as_ref());
        let nothing: ArrayRef = Arc::new(NullArray::new(3));
        assert_eq!(accept_column(&dtype, &nothing).unwrap().null_count(), 3);
        let keys = Int32Array::from_iter((0..60).map(|key| (key % 7 != 0).then_some(59 - key)));
        if !matches!(dtype, DataType::List(_) | DataType::Vector(_)) {
            let dictionary: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys.clone(), canonical.clone()));
            let accepted = accept_column(&dtype, &dictionary).unwrap();
            let looked_up = |key: Option<i32>| key.map_or(Value::Null, |key| plain[key as usize].clone());
            assert_eq!(values(&dtype, &accepted), keys.iter().map(looked_up).collect::<Vec<_>>(), "{dtype}");
            let ends = Int32Array::from_iter_values((1..=60).map(|end| end * 2));
            let runs: ArrayRef = Arc::new(RunArray::<Int32Type>::try_new(&ends, &canonical).unwrap());
            let accepted = accept_column(&dtype, &runs).unwrap();
            assert_eq!(values(&dtype, &accepted)[6..8], [plain[3].clone(), plain[3].clone()], "{dtype}");
        }
    }
}

/// (type, foreign column, its values in text form or null)
fn accepted_layouts() -> Vec<(&'static str, ArrayRef, Vec<Option<&'static str>>)> {
    let strings: ArrayRef = Arc::new(StringArray::from(vec![Some("a long enough string"), None, Some("")]));
    let binary = cast(&strings, ArrowType::Binary);
    let text = vec![Some("a long enough string"), None, Some("")];
    let base64 = vec![Some("YSBsb25nIGVub3VnaCBzdHJpbmc="), None, Some("")];
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<types::Int64Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]));
    let item = |t: ArrowType| Arc::new(Field::new("element", t, true));
    let floats: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(vec![Some(vec![Some(0.5), Some(1.5)]), None]));
    let uuid_text = "01234567-89ab-cdef-0123-456789abcdef";
    let upper: ArrayRef = Arc::new(StringArray::from(vec![uuid_text.to_uppercase().replace('-', "")]));
    let uuid_binary: ArrayRef = Arc::new(BinaryArray::from(vec![&[0u8; 16][..]]));
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![Some(1_999), Some(-1), None]));
    let zoned: ArrayRef = Arc::new(TimestampSecondArray::from(vec![60]).with_timezone("+05:30"));
    let wide = Decimal256Array::from(vec![i256::from_i128(15), i256::from_i128(10).checked_pow(40).unwrap()]);
    let fixed: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<types::Int32Type, _, _>(
        vec![Some(vec![Some(1), Some(2)]), None],
        2,
    ));
    vec![
        ("bool", Arc::new(BooleanArray::from(vec![true])), vec![Some("true")]),
        ("int32", Arc::new(Int8Array::from(vec![-8])), vec![Some("-8")]),
        ("int32", Arc::new(UInt16Array::from(vec![65_535])), vec![Some("65535")]),
        ("int32", Arc::new(Int64Array::from(vec![Some(i64::from(i32::MIN)), None])), vec![Some("-2147483648"), None]),
        ("int32", Arc::new(Float64Array::from(vec![Some(3.0), None])), vec![Some("3"), None]),
        ("int64", Arc::new(UInt64Array::from(vec![7])), vec![Some("7")]),
        ("int64", Arc::new(Float32Array::from(vec![-2.0])), vec![Some("-2")]),
        ("int64", Arc::new(Decimal128Array::from(vec![700]).with_precision_and_scale(9, 2).unwrap()), vec![Some("7")]),
        ("float64", Arc::new(Int64Array::from(vec![1 << 60])), vec![Some("1.152921504606847e+18")]),
        ("float64", Arc::new(Float32Array::from(vec![0.5])), vec![Some("0.5")]),
        ("float32", Arc::new(Float64Array::from(vec![0.1, f64::INFINITY])), vec![Some("0.1"), Some("Infinity")]),
        ("float32", Arc::new(Int64Array::from(vec![16_777_217])), vec![Some("16777216.0")]),
        ("string", cast(&strings, ArrowType::LargeUtf8), text.clone()),
        ("string", cast(&strings, ArrowType::Utf8View), text.clone()),
        ("string", binary.clone(), text),
        ("bytes", cast(&binary, ArrowType::LargeBinary), base64.clone()),
        ("bytes", cast(&binary, ArrowType::BinaryView), base64),
        ("bytes", uuid_binary.clone(), vec![Some("AAAAAAAAAAAAAAAAAAAAAA==")]),
        ("bytes", cast(&uuid_binary, ArrowType::FixedSizeBinary(16)), vec![Some("AAAAAAAAAAAAAAAAAAAAAA==")]),
        ("timestamp", nanos, vec![Some("1970-01-01T00:00:00.000001Z"), Some("1969-12-31T23:59:59.999999Z"), None]),
        ("timestamp", zoned, vec![Some("1970-01-01T00:01:00Z")]),
        ("timestamp", Arc::new(TimestampMillisecondArray::from(vec![1])), vec![Some("1970-01-01T00:00:00.001Z")]),
        ("timestamp", Arc::new(TimestampMicrosecondArray::from(vec![1])), vec![Some("1970-01-01T00:00:00.000001Z")]),
        ("timestamp", Arc::new(Date32Array::from(vec![1])), vec![Some("1970-01-02T00:00:00Z")]),
        ("date", Arc::new(Date64Array::from(vec![-86_400_000])), vec![Some("1969-12-31")]),
        ("date", Arc::new(TimestampSecondArray::from(vec![86_400])), vec![Some("1970-01-02")]),
        ("decimal(5,2)", Arc::new(Int8Array::from(vec![-3])), vec![Some("-3.00")]),
        (
            "decimal(5,2)",
            Arc::new(Decimal128Array::from(vec![15]).with_precision_and_scale(5, 1).unwrap()),
            vec![Some("1.50")],
        ),
        (
            "decimal(5,2)",
            Arc::new(Decimal32Array::from(vec![1_500]).with_precision_and_scale(9, 3).unwrap()),
            vec![Some("1.50")],
        ),
        ("decimal(5,0)", Arc::new(wide.slice(1, 1).with_precision_and_scale(76, 38).unwrap()), vec![Some("100")]),
        ("uuid", upper, vec![Some(uuid_text)]),
        ("uuid", uuid_binary, vec![Some("00000000-0000-0000-0000-000000000000")]),
        ("json", Arc::new(LargeStringArray::from(vec!["{\"a\":1}"])), vec![Some("{\"a\":1}")]),
        ("list<int32>", list.clone(), vec![Some("[1,null]"), None, Some("[]")]),
        (
            "list<int64>",
            cast(&list, ArrowType::LargeList(item(ArrowType::Int64))),
            vec![Some("[1,null]"), None, Some("[]")],
        ),
        ("list<float64>", fixed.clone(), vec![Some("[1.0,2.0]"), None]),
        ("vector<2>", floats, vec![Some("[0.5,1.5]"), None]),
        ("vector<2>", fixed.clone(), vec![Some("[1.0,2.0]"), None]),
    ]
}

#[test]
fn foreign_layouts_convert_exactly() {
    for (name, array, expected) in accepted_layouts() {
        let dtype = dtype(name);
        let from = array.data_type().to_string();
        let accepted = accept_column(&dtype, &array).unwrap_or_else(|error| panic!("{from} to {name}: {error}"));
        assert_eq!(accepted.data_type(), &dtype.to_arrow(), "{from} to {name}");
        let texts: Vec<Option<String>> = values(&dtype, &accepted)
            .iter()
            .map(|value| (!value.is_null()).then(|| crate::text::format_value(&dtype, value)))
            .collect();
        assert_eq!(texts, expected.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>(), "{from} to {name}");
    }
}

#[test]
fn what_does_not_convert_exactly_names_row_and_both_types() {
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<types::Int64Type, _, _>(vec![
        Some(vec![Some(1)]),
        Some(vec![Some(1 << 40)]),
    ]));
    let short: ArrayRef = Arc::new(ListArray::from_iter_primitive::<types::Float32Type, _, _>(vec![
        Some(vec![Some(1.0), Some(2.0)]),
        Some(vec![Some(1.0)]),
    ]));
    let hole: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<types::Float32Type, _, _>(
        vec![None, Some(vec![Some(1.0), None])],
        2,
    ));
    let decimals = Decimal128Array::from(vec![100, 105]).with_precision_and_scale(9, 2).unwrap();
    let table: Vec<(&str, ArrayRef, &str)> = vec![
        ("int32", Arc::new(Int64Array::from(vec![1, 1 << 31])), "row 1: wants int32, got Int64 2147483648"),
        (
            "int64",
            Arc::new(UInt64Array::from(vec![0, u64::MAX])),
            "row 1: wants int64, got UInt64 18446744073709551615",
        ),
        ("int64", Arc::new(Float64Array::from(vec![1.0, 1.5])), "row 1: wants int64, got Float64 1.5"),
        ("int64", Arc::new(Float64Array::from(vec![0.0, f64::NAN])), "row 1: wants int64, got Float64 NaN"),
        ("int64", Arc::new(Float64Array::from(vec![0.0, 1e19])), "row 1: wants int64, got Float64 1e19"),
        (
            "float64",
            Arc::new(Int64Array::from(vec![1, i64::MAX])),
            "row 1: wants float64, got Int64 9223372036854775807",
        ),
        ("float32", Arc::new(Float64Array::from(vec![1.0, 1e300])), "row 1: wants float32, got Float64 1e300"),
        ("decimal(5,1)", Arc::new(decimals.clone()), "row 1: wants decimal(5,1), got Decimal128(9, 2) 1.05"),
        ("int32", Arc::new(decimals), "row 1: wants int32, got Decimal128(9, 2) 1.05"),
        ("decimal(3,2)", Arc::new(Int32Array::from(vec![9, 10])), "row 1: wants decimal(3,2), got Int32 10"),
        (
            "timestamp",
            Arc::new(TimestampSecondArray::from(vec![0, i64::MAX / 10])),
            "row 1: wants timestamp, got Timestamp(s)",
        ),
        (
            "date",
            Arc::new(TimestampSecondArray::from(vec![0, 1])),
            "row 1: wants date, got Timestamp(s) 1970-01-01T00:00:01",
        ),
        ("uuid", Arc::new(StringArray::from(vec![None, Some("x")])), "row 1: wants uuid, got 'x'"),
        ("json", Arc::new(StringArray::from(vec!["1", "{"])), "row 1: wants json, got '{'"),
        (
            "string",
            Arc::new(BinaryArray::from(vec![&b"a"[..], &[0xff]])),
            "row 1: wants string, got bytes that are not UTF-8",
        ),
        ("list<int32>", list, "row 1: wants list<int32>, element 0: wants int32, got Int64 1099511627776"),
        ("vector<2>", short, "row 1: wants vector<2>, got 1 elements"),
        ("vector<2>", hole, "row 1: wants vector<2>, element 1 is null"),
        ("int64", Arc::new(StringArray::from(vec![None, Some("12")])), "row 1: wants int64, got Utf8"),
        ("bool", Arc::new(Int64Array::from(vec![1])), "row 0: wants bool, got Int64"),
        ("string", Arc::new(Int64Array::from(vec![1])), "row 0: wants string, got Int64"),
        ("bytes", Arc::new(StringArray::from(vec!["YQ=="])), "row 0: wants bytes, got Utf8"),
        ("float64", Arc::new(BooleanArray::from(vec![true])), "row 0: wants float64, got Boolean"),
        ("timestamp", Arc::new(Int64Array::from(vec![1])), "row 0: wants timestamp, got Int64"),
        ("list<int32>", Arc::new(Int64Array::from(vec![1])), "row 0: wants list<int32>, got Int64"),
    ];
    for (name, array, message) in table {
        let error = accept_column(&dtype(name), &array).unwrap_err().to_string();
        assert!(error.starts_with(message), "{name}: {error}");
    }
}

#[test]
fn nan_becomes_the_one_nan() {
    let odd: ArrayRef = Arc::new(Float64Array::from(vec![f64::from_bits(0xfff8_0000_0000_0001), 1.0]));
    let accepted = accept_column(&DataType::Float64, &odd).unwrap();
    assert_eq!(accepted.as_primitive::<Float64Type>().value(0).to_bits(), f64::NAN.to_bits());
}

fn rules(dtype_text: &str, rules: Rules, texts: &[Option<&str>]) -> Vec<(usize, String)> {
    let dtype = dtype(dtype_text);
    let values: Vec<Value> = texts
        .iter()
        .map(|text| text.map_or(Value::Null, |text| crate::text::parse_value(&dtype, text).unwrap()))
        .collect();
    let mut refused = Vec::new();
    let column = array_from_values(&dtype, &values).unwrap();
    CompiledRules::new(&dtype, &rules).unwrap().check(&column, |_| false, &mut refused);
    refused.into_iter().map(|refusal| (refusal.row, refusal.reason)).collect()
}

#[test]
fn rules_refuse_rows_and_say_the_bound() {
    let bounds = |min: Option<&str>, max: Option<&str>| Rules {
        min: min.map(str::to_owned),
        max: max.map(str::to_owned),
        ..Rules::default()
    };
    assert_eq!(
        rules("float64", bounds(Some("0"), None), &[Some("0"), None, Some("-1"), Some("NaN")]),
        [(2, "-1.0 is below min = 0.0".to_owned()), (3, "NaN is below min = 0.0".to_owned())]
    );
    assert_eq!(
        rules("decimal(9,2)", bounds(Some("1.5"), Some("2")), &[Some("1.50"), Some("2.01")]),
        [(1, "2.01 is not within min = 1.50 and max = 2.00".to_owned())]
    );
    assert_eq!(rules("date", bounds(None, Some("2026-01-01")), &[Some("2026-01-02")]).len(), 1);
    let not_null = Rules { not_null: true, ..Rules::default() };
    assert_eq!(rules("int32", not_null, &[Some("1"), None]), [(1, "null, and the rule is not_null".to_owned())]);
    let one_of = Rules { one_of: vec!["a".into(), "b".into()], ..Rules::default() };
    assert_eq!(
        rules("string", one_of, &[Some("b"), Some("c"), None]),
        [(1, "'c' is none of one_of = a, b".to_owned())]
    );
    assert!(CompiledRules::new(&DataType::Int32, &bounds(Some("x"), None)).is_err());
    // What has no order for a definition has none for a row.
    for dtype in [DataType::Uuid, DataType::String] {
        let error = CompiledRules::new(&dtype, &bounds(Some("x"), None)).unwrap_err().to_string();
        assert_eq!(error, format!("rule min: {dtype} has no order"));
    }
}
