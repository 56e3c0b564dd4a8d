//! Columns of a spine: keys that match what is equal, times of every unit.

use super::*;
use arrow_array::types::{Int8Type, Int32Type};

fn key(dtype: &DataType, column: impl Array + 'static) -> Vec<Value> {
    let column: ArrayRef = Arc::new(column);
    values(dtype, &accept_spine_key(dtype, &column).unwrap())
}

#[test]
fn spine_keys_widen_and_what_cannot_match_is_null() {
    let keys = Int64Array::from(vec![Some(5), Some(1 << 40), None]);
    assert_eq!(key(&DataType::Int32, keys), [Value::Int32(5), Value::Null, Value::Null]);
    assert_eq!(key(&DataType::Int64, Int8Array::from(vec![5])), [Value::Int64(5)]);
    let large = UInt64Array::from(vec![1, u64::MAX]);
    assert_eq!(key(&DataType::Int64, large), [Value::Int64(1), Value::Null]);
    let strings: ArrayRef = Arc::new(StringArray::from(vec!["5"]));
    let error = accept_spine_key(&DataType::Int64, &strings).unwrap_err().to_string();
    assert_eq!(error, "wants int64, got Utf8");
}

#[test]
fn float_keys_match_the_integer_they_are_exactly_and_no_other() {
    // What pandas makes of integers beside a null. Those from 2^53 on matched nothing once, equal or not.
    let floats = Float64Array::from(vec![
        Some(2.0),
        Some(2.5),
        None,
        Some(9_007_199_254_740_994.0),
        Some(-9_223_372_036_854_775_808.0),
        Some(9_223_372_036_854_775_808.0),
        Some(f64::NAN),
    ]);
    let integers = [Some(2), None, None, Some(9_007_199_254_740_994), Some(i64::MIN), None, None];
    let integers = integers.map(|value| value.map_or(Value::Null, Value::Int64));
    assert_eq!(key(&DataType::Int64, floats.clone()), integers);
    let narrow = key(&DataType::Int32, floats);
    assert_eq!((&narrow[0], narrow.iter().filter(|value| **value == Value::Null).count()), (&Value::Int32(2), 6));
}

#[test]
fn text_keys_are_taken_in_every_layout() {
    let words = ["JFK", "", "LGA"];
    let expected = words.map(|word| Value::String(word.into()));
    let dictionary: DictionaryArray<Int8Type> = words.into_iter().collect();
    assert_eq!(key(&DataType::String, dictionary), expected);
    assert_eq!(key(&DataType::String, LargeStringArray::from(words.to_vec())), expected);
    assert_eq!(key(&DataType::String, StringViewArray::from(words.to_vec())), expected);
}

#[test]
fn spine_times_of_every_unit_and_layout_become_microseconds() {
    let read = |array: ArrayRef| accept_spine_timestamp(&array, 1);
    let one = |array: ArrayRef| read(array).unwrap().value(0);
    let nanos = Arc::new(TimestampNanosecondArray::from(vec![Some(-1), None]));
    assert_eq!(read(nanos).unwrap(), Int64Array::from(vec![Some(-1), None]));
    assert_eq!(one(Arc::new(TimestampNanosecondArray::from(vec![1_999]))), 1);
    assert_eq!(one(Arc::new(TimestampMillisecondArray::from(vec![-3]).with_timezone("+05:00"))), -3_000);
    assert_eq!(one(Arc::new(TimestampSecondArray::from(vec![2]))), 2_000_000);
    assert_eq!(one(Arc::new(Date32Array::from(vec![1]))), crate::time::MICROS_PER_DAY);
    let texts = [Some("1970-01-01 00:00:01"), None];
    let expected = Int64Array::from(vec![Some(1_000_000), None]);
    assert_eq!(read(Arc::new(StringArray::from(texts.to_vec()))).unwrap(), expected);
    // As pandas hands on a column of categories.
    assert_eq!(read(Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>())).unwrap(), expected);
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![1, 2]), &StringArray::from(texts.to_vec()));
    assert_eq!(read(Arc::new(runs.unwrap())).unwrap(), expected);
    let error = read(Arc::new(Int64Array::from(vec![1]))).unwrap_err().to_string();
    assert_eq!(error, "wants timestamp, got Int64; write the column as a timestamp type, or as text (RFC 3339)");
}

#[test]
fn a_time_that_cannot_be_read_is_named_by_the_spines_row() {
    let error = |array: ArrayRef| accept_spine_timestamp(&array, 11).unwrap_err().to_string();
    let text = error(Arc::new(StringArray::from(vec!["1970-01-01", "then"])));
    assert!(text.starts_with("row 12: 'then' is no timestamp"), "{text}");
    let seconds = error(Arc::new(TimestampSecondArray::from(vec![0, 1, i64::MAX])));
    assert!(seconds.starts_with("row 13: wants timestamp"), "{seconds}");
}
