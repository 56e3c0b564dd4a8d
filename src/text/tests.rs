//! One table of text forms, and what errors say.

use super::*;
use serde_json::json;

fn dtype(text: &str) -> DataType {
    text.parse().unwrap()
}

#[test]
fn every_type_has_one_text_and_one_json_form_and_reads_both_back() {
    let uuid = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0, 1, 2, 3, 4, 5, 6, 0xff];
    let table: Vec<(&str, Value, &str, Json)> = vec![
        ("bool", Value::Bool(true), "true", json!(true)),
        ("int32", Value::Int32(i32::MIN), "-2147483648", json!(i32::MIN)),
        ("int64", Value::Int64(i64::MAX), "9223372036854775807", json!(i64::MAX)),
        ("int64", Value::Int64(i64::MIN), "-9223372036854775808", json!(i64::MIN)),
        ("float32", Value::Float32(0.1), "0.1", json!(0.1)),
        ("float32", Value::Float32(f32::MAX), "3.4028235e+38", json!(3.4028235e38)),
        ("float32", Value::Float32(f32::from_bits(1)), "1e-45", json!(1e-45)),
        ("float32", Value::Float32(f32::NEG_INFINITY), "-Infinity", json!("-Infinity")),
        ("float64", Value::Float64(71.6), "71.6", json!(71.6)),
        ("float64", Value::Float64(5.0), "5.0", json!(5.0)),
        ("float64", Value::Float64(-0.0), "-0.0", json!(-0.0)),
        ("float64", Value::Float64(f64::MIN_POSITIVE), "2.2250738585072014e-308", json!(f64::MIN_POSITIVE)),
        ("float64", Value::Float64(f64::INFINITY), "Infinity", json!("Infinity")),
        ("string", Value::String(" a,\"b\"\n".into()), " a,\"b\"\n", json!(" a,\"b\"\n")),
        ("string", Value::String(String::new()), "", json!("")),
        ("bytes", Value::Bytes(vec![0, 255, 7]), "AP8H", json!("AP8H")),
        ("bytes", Value::Bytes(vec![1]), "AQ==", json!("AQ==")),
        ("timestamp", Value::Timestamp(-1), "1969-12-31T23:59:59.999999Z", json!("1969-12-31T23:59:59.999999Z")),
        ("timestamp", Value::Timestamp(i64::MAX), "9223372036854775807us", json!("9223372036854775807us")),
        ("date", Value::Date(20_513), "2026-03-01", json!("2026-03-01")),
        ("date", Value::Date(-1), "1969-12-31", json!("1969-12-31")),
        ("date", Value::Date(i32::MAX), "2147483647d", json!("2147483647d")),
        ("date", Value::Date(10_000_000), "+29349-01-26", json!("+29349-01-26")),
        ("decimal(12,2)", Value::Decimal(-5), "-0.05", json!("-0.05")),
        ("decimal(12,2)", Value::Decimal(1_200), "12.00", json!("12.00")),
        (
            "decimal(38,0)",
            Value::Decimal(10_i128.pow(38) - 1),
            "99999999999999999999999999999999999999",
            json!("9".repeat(38)),
        ),
        ("decimal(4,4)", Value::Decimal(-1), "-0.0001", json!("-0.0001")),
        (
            "uuid",
            Value::Uuid(uuid),
            "01234567-89ab-cdef-0001-0203040506ff",
            json!("01234567-89ab-cdef-0001-0203040506ff"),
        ),
        ("json", Value::Json("{\"a\":[1,null]}".into()), "{\"a\":[1,null]}", json!({"a": [1, null]})),
        ("list<int64>", Value::List(vec![Value::Int64(1), Value::Null]), "[1,null]", json!([1, null])),
        ("list<decimal(4,2)>", Value::List(vec![Value::Decimal(150)]), "[\"1.50\"]", json!(["1.50"])),
        ("list<string>", Value::List(vec![]), "[]", json!([])),
        ("list<json>", Value::List(vec![Value::Json("{}".into())]), "[{}]", json!([{}])),
        ("list<date>", Value::List(vec![Value::Date(0)]), "[\"1970-01-01\"]", json!(["1970-01-01"])),
        ("vector<2>", Value::Vector(vec![0.1, f32::INFINITY]), "[0.1,\"Infinity\"]", json!([0.1, "Infinity"])),
    ];
    for (name, value, text, json) in table {
        let dtype = dtype(name);
        assert_eq!(format_value(&dtype, &value), text, "{name}");
        assert_eq!(to_json(&dtype, &value), json, "{name}");
        assert_eq!(parse_value(&dtype, text).unwrap(), value, "{name} from text {text}");
        assert_eq!(from_json(&dtype, &json).unwrap(), value, "{name} from JSON {json}");
        assert_eq!(parse_json_text(&dtype, &json.to_string()).unwrap(), value, "{name} from JSON text {json}");
        assert_eq!(format_value(&dtype, &Value::Null), "");
        assert_eq!(to_json(&dtype, &Value::Null), Json::Null);
        assert_eq!(from_json(&dtype, &Json::Null).unwrap(), Value::Null);
    }
    assert_eq!(format_value(&DataType::Float64, &Value::Float64(f64::NAN)), "NaN");
    assert!(matches!(from_json(&DataType::Float32, &json!("NaN")), Ok(Value::Float32(v)) if v.is_nan()));
}

#[test]
fn reading_is_wider_than_writing_where_nothing_is_lost() {
    let table = [
        ("bool", "True", Value::Bool(true)),
        ("int32", " 12.0 ", Value::Int32(12)),
        ("int64", "+7", Value::Int64(7)),
        ("float64", "inf", Value::Float64(f64::INFINITY)),
        ("bytes", "AQ", Value::Bytes(vec![1])),
        ("timestamp", "1970-01-01 05:30:00+05:30", Value::Timestamp(0)),
        ("decimal(5,1)", "1.50e1", Value::Decimal(150)),
        ("decimal(5,1)", ".5", Value::Decimal(5)),
        (
            "uuid",
            "00000000000000000000000000000ABC",
            Value::Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa, 0xbc]),
        ),
    ];
    for (name, text, value) in table {
        assert_eq!(parse_value(&dtype(name), text).unwrap(), value, "{name} {text}");
    }
    let exact = parse_json_text(&dtype("decimal(30,10)"), "12345678901234567890.0123456789").unwrap();
    assert_eq!(exact, Value::Decimal(123_456_789_012_345_678_900_123_456_789));
    assert_eq!(from_json(&dtype("decimal(5,2)"), &json!(0.1)).unwrap(), Value::Decimal(10));
}

#[test]
fn errors_say_what_was_expected_and_what_came() {
    for (name, text) in [
        ("bool", "1"),
        ("int32", "2147483648"),
        ("int64", "1.5"),
        ("int64", "1."),
        ("float32", "1e39"),
        ("float64", "1e999"),
        ("float64", ""),
        ("bytes", "?"),
        ("timestamp", "yesterday"),
        ("date", "2026-02-30"),
        ("decimal(4,2)", "1.005"),
        ("decimal(4,2)", "100"),
        ("decimal(4,2)", "-"),
        ("uuid", "01234567-89ab-cdef-0001-0203040506f"),
        ("uuid", "0123456-789ab-cdef-0001-0203040506ff"),
        ("json", "{"),
        ("list<int32>", "[1,2"),
        ("list<int32>", "null"),
        ("vector<2>", "[1]"),
        ("vector<2>", "[1,null]"),
    ] {
        let error = parse_value(&dtype(name), text).unwrap_err().to_string();
        assert!(error.contains(&format!("wants {name}")), "{name} {text}: {error}");
    }
    for (name, json) in [
        ("int64", json!("12")),
        ("int64", json!(1.5)),
        ("int32", json!(3_000_000_000_u32)),
        ("float64", json!("12")),
        ("string", json!(1)),
        ("bool", json!(0)),
        ("timestamp", json!(0)),
        ("decimal(30,20)", json!(0.123_456_789_012_345_67)),
    ] {
        let error = from_json(&dtype(name), &json).unwrap_err().to_string();
        assert!(error.contains(&format!("wants {name}")), "{name} {json}: {error}");
    }
    let error = from_json(&dtype("list<int32>"), &json!([1, "x"])).unwrap_err().to_string();
    assert_eq!(error, "element 1: wants int32, got '\"x\"'");
}

fn parse_as(format: &str, text: &str) -> Result<i64> {
    TimestampFormat::new(format)?.parse(text)
}

#[test]
fn a_timestamp_format_reads_zoned_naive_and_date_only_text() {
    let day_us = 86_400_000_000;
    for (format, text, us) in [
        ("%d.%m.%Y %H:%M", "02.01.1970 00:00", day_us),
        ("%Y-%m-%d %H:%M:%S %z", "1970-01-02 05:30:00 +0530", day_us),
        ("%m/%d/%Y", "01/02/1970", day_us),
        ("%s", "86400", day_us),
    ] {
        assert_eq!(parse_as(format, text).unwrap(), us, "{format}");
    }
    assert!(parse_as("%Y", "1970-01-02").is_err());
}

/// What a format leaves out of a time of day was left out of the instant with all that it did say: 5 o'clock was midnight.
#[test]
fn hours_are_kept_where_a_format_names_no_minutes() {
    let hour_us = 3_600_000_000;
    for (format, text, hours) in [
        ("%Y-%m-%d %H", "1970-01-01 05", 5),
        ("%Y-%m-%d %H %z", "1970-01-01 05 -0200", 7),
        ("%Y-%m-%d %I %p", "1970-01-01 05 PM", 17),
        ("%Y-%m-%d %z", "1970-01-01 -0200", 2),
    ] {
        assert_eq!(parse_as(format, text).unwrap(), hours * hour_us, "{format}");
    }
    for (format, text) in [("%Y-%m-%d %I:%M", "1970-01-01 09:30"), ("%Y-%m-%d %M", "1970-01-01 09"), ("%H:%M", "09:30")]
    {
        let error = parse_as(format, text).unwrap_err().to_string();
        assert_eq!(error, format!("wants timestamp in the format '{format}', got '{text}'"));
    }
}

/// Names of zones were passed over, and EST taken for UTC.
#[test]
fn of_the_names_of_zones_those_of_utc_are_read() {
    let format = "%Y-%m-%d %H:%M:%S %Z";
    for name in ["UTC", "GMT", "Z"] {
        assert_eq!(parse_as(format, &format!("1970-01-02 00:00:00 {name}")).unwrap(), 86_400_000_000);
    }
    for text in ["1970-01-02 00:00:00 EST", "1970-01-02 00:00:00 ", "1970-01-02 00:00:00 +0000"] {
        let error = parse_as(format, text).unwrap_err().to_string();
        assert!(error.contains("UTC alone is known; %z reads offsets"), "{error}");
    }
    assert_eq!(parse_as("%Y-%m-%d %%Z", "1970-01-02 %Z").unwrap(), 86_400_000_000, "a percent sign and a letter");
}

#[test]
fn a_format_that_says_enough_has_no_fault() {
    for format in [
        "%d/%m/%Y",
        "%Y-%m-%d %H",
        "%Y-%m-%d %I:%M %p",
        "%Y-%m-%dT%H:%M:%S%.f%#z",
        "%s",
        "%s%.3f",
        "%c",
        "%+",
        "%G-W%V-%u",
        "%j of %Y, %H:%M",
        "%y%m%d",
        "%Y-%m-%d %H:%M:%S %Z",
    ] {
        assert_eq!(fault_of_format(format), None, "{format}");
    }
}

#[test]
fn a_year_is_written_in_four_digits() {
    let timestamp = |text: &str| parse_value(&DataType::Timestamp, text);
    for text in ["13-01-02", "13-01-02 05:00", "13-01-02 05:00:00+00:00", "113-01-02"] {
        assert!(timestamp(text).is_err(), "{text}");
    }
    assert!(parse_value(&DataType::Date, "13-01-02").is_err());
    assert!(parse_as("%Y-%m-%d", "13-01-02").is_err());
    let of = |text: &str| timestamp(text).unwrap();
    assert_eq!(of("0013-01-02"), of("0013-01-02T00:00:00Z"));
    assert_eq!(parse_as("%y-%m-%d", "70-01-02").unwrap(), 86_400_000_000);
}

/// Seconds before 1970, and fractions of one, were no times.
#[test]
fn seconds_are_any_number_of_them() {
    for (text, us) in [
        ("0", 0),
        ("-1", -1_000_000),
        ("1577836801.5", 1_577_836_801_500_000),
        ("-0.25", -250_000),
        ("1.0000019", 1_000_001),
        ("-1.0000019", -1_000_002),
        ("-1.0000010", -1_000_001),
        (" 7.000 ", 7_000_000),
    ] {
        assert_eq!(parse_as("%s", text).unwrap(), us, "{text}");
    }
    for text in [
        "",
        "-",
        ".",
        "1.",
        ".5",
        "1.-5",
        "1.5.5",
        "1e9",
        "x",
        "9223372036855",
        "99999999999999999999",
        "-9223372036855",
    ] {
        let error = parse_as("%s", text).unwrap_err().to_string();
        assert_eq!(error, format!("wants seconds since 1970, got '{text}'"));
    }
}

/// Beyond 2^53 integers with a fraction or an exponent went through a float, which holds every second of them or fewer.
#[test]
fn integers_keep_every_digit_however_they_are_written() {
    let exact = 9_007_199_254_740_993_i64;
    for text in [
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740993e0",
        "9.007199254740993e15",
        "9007199254740993.00E+0",
    ] {
        for value in [parse_value(&DataType::Int64, text), parse_json_text(&DataType::Int64, text)] {
            assert_eq!(value.unwrap(), Value::Int64(exact), "{text}");
        }
        let list = parse_json_text(&dtype("list<int64>"), &format!("[{text}, null]")).unwrap();
        assert_eq!(list, Value::List(vec![Value::Int64(exact), Value::Null]), "{text}");
    }
    for text in ["9007199254740993e-1", "1e19", "1e", "e3", "1e3x"] {
        assert!(parse_value(&DataType::Int64, text).is_err(), "{text}");
    }
    // A document that was read already no longer says it: what a float may have rounded is none of ours.
    assert_eq!(from_json(&DataType::Int64, &json!(1e3)).unwrap(), Value::Int64(1_000));
    assert!(from_json(&DataType::Int64, &json!(9_007_199_254_740_992.0)).is_err());
    assert!(parse_value(&DataType::Int32, "1e10").is_err());
}

#[test]
fn documents_and_decimals_in_lists_keep_every_digit() {
    let documents = dtype("list<json>");
    let text = "[12345678901234567890123,{\"a\":1.10},null]";
    let value = parse_json_text(&documents, text).unwrap();
    let json = |text: &str| Value::Json(text.to_owned());
    assert_eq!(value, Value::List(vec![json("12345678901234567890123"), json("{\"a\":1.10}"), Value::Null]));
    assert_eq!(json_text(&documents, &value), text);
    assert_eq!(format_value(&documents, &value), text);
    let pretty = Value::List(vec![json("{\n  \"a\": 1.10\r\n}"), json("no json")]);
    assert_eq!(json_text(&documents, &pretty), "[{   \"a\": 1.10  },\"no json\"]");
    let decimals = dtype("list<decimal(38,2)>");
    let value = parse_json_text(&decimals, "[123456789012345678901234567890.25, \"1.5\"]").unwrap();
    assert_eq!(
        value,
        Value::List(vec![Value::Decimal(12_345_678_901_234_567_890_123_456_789_025), Value::Decimal(150)])
    );
    let error = parse_json_text(&decimals, "[1, \"x\"]").unwrap_err().to_string();
    assert!(error.starts_with("element 1: "), "{error}");
    for bad in ["[1", "{}", "1", "\"[]\""] {
        assert!(parse_json_text(&documents, bad).is_err(), "{bad}");
    }
}
