//! Text and JSON forms of values of every type, and of times, durations, types and references.
#![no_main]

use asof::definition::{FeatureRef, ViewRef};
use asof::request::KnownAt;
use asof::text::{TimestampFormat, format_value, from_json, parse_value, to_json};
use asof::time::{Timestamp, format_duration_us, parse_duration_us};
use asof::value::{DataType, Value};
use asof_fuzz::all_types;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for data_type in all_types() {
        if let Ok(value) = parse_value(&data_type, text) {
            let written = format_value(&data_type, &value);
            let again = parse_value(&data_type, &written);
            let again = again.unwrap_or_else(|error| panic!("{data_type} {value:?} is written {written:?}: {error}"));
            assert_same(&value, &again);
            through_json(&data_type, &value);
        }
        if let Ok(json) = serde_json::from_str(text)
            && let Ok(value) = from_json(&data_type, &json)
        {
            through_json(&data_type, &value);
        }
    }
    if let Ok(data_type) = text.parse::<DataType>() {
        assert_eq!(data_type.to_string().parse::<DataType>().expect("a type as printed"), data_type);
        data_type.to_arrow();
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        assert_eq!(instant.to_string().parse::<Timestamp>().expect("an instant as printed"), instant);
    }
    if let Ok(us) = parse_duration_us(text) {
        assert_eq!(parse_duration_us(&format_duration_us(us)).expect("a duration as printed"), us);
    }
    if let Ok(reference) = text.parse::<ViewRef>() {
        assert_eq!(reference.to_string().parse::<ViewRef>().expect("a reference as printed"), reference);
    }
    if let Ok(reference) = text.parse::<FeatureRef>() {
        assert_eq!(reference.to_string().parse::<FeatureRef>().expect("a reference as printed"), reference);
    }
    let _ = text.parse::<KnownAt>();
    if let Some((format, text)) = text.split_once('|') {
        let _ = TimestampFormat::new(format).and_then(|format| format.parse(text));
    }
});

fn through_json(data_type: &DataType, value: &Value) {
    let json = to_json(data_type, value);
    let again = from_json(data_type, &json);
    let again = again.unwrap_or_else(|error| panic!("{data_type} {value:?} is written {json}: {error}"));
    assert_same(value, &again);
}

/// Equal, save for the bits of NaN and the spelling of documents.
fn assert_same(left: &Value, right: &Value) {
    match (left, right) {
        (Value::Json(_), Value::Json(_) | Value::Null) => {}
        (Value::Float32(a), Value::Float32(b)) if a.is_nan() && b.is_nan() => {}
        (Value::Float64(a), Value::Float64(b)) if a.is_nan() && b.is_nan() => {}
        (Value::List(a), Value::List(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert_same(a, b));
        }
        (Value::Vector(a), Value::Vector(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert_same(&Value::Float32(*a), &Value::Float32(*b)));
        }
        _ => assert_eq!(left, right),
    }
}
