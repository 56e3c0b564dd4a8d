use std::sync::Mutex;

use arrow_array::Array;
use arrow_array::cast::AsArray;

use super::*;

const FORMATS: [&str; 5] = ["parquet", "arrow", "csv", "tsv", "jsonl"];

/// Every type, with a null, its odd values and plain ones.
fn everything() -> RecordBatch {
    use Value::Null;
    let uuid = |byte| Value::Uuid([byte; 16]);
    batch(&[
        ("bool", "bool", vec![Value::Bool(true), Null, Value::Bool(false)]),
        ("int32", "int32", vec![Value::Int32(i32::MIN), Null, Value::Int32(7)]),
        ("int64", "int64", vec![Value::Int64(i64::MIN), Null, Value::Int64(i64::MAX)]),
        ("float32", "float32", vec![Value::Float32(0.1), Null, Value::Float32(f32::NEG_INFINITY)]),
        ("float64", "float64", vec![Value::Float64(-0.0), Null, Value::Float64(f64::INFINITY)]),
        (
            "string",
            "string",
            vec![Value::String(String::new()), Null, Value::String(" a,\"b\"\t\r\n'c' \u{e9}".into())],
        ),
        ("bytes", "bytes", vec![Value::Bytes(vec![]), Null, Value::Bytes(vec![0, 255, 10])]),
        ("at", "timestamp", vec![Value::Timestamp(-1), Null, Value::Timestamp(1_772_370_000_123_456)]),
        ("date", "date", vec![Value::Date(-1), Null, Value::Date(20_513)]),
        ("decimal", "decimal(38,3)", vec![Value::Decimal(-1), Null, Value::Decimal(10_i128.pow(38) - 1)]),
        ("uuid", "uuid", vec![uuid(0), Null, uuid(0xab)]),
        (
            "json",
            "json",
            vec![Value::Json("{\"a\":[1,null]}".into()), Null, Value::Json("12345678901234567890123".into())],
        ),
        ("list", "list<int64>", vec![Value::List(vec![]), Null, Value::List(vec![Value::Int64(1), Null])]),
        ("words", "list<string>", vec![Value::List(vec![Value::String("a,\"".into())]), Null, Value::List(vec![Null])]),
        ("docs", "list<json>", vec![long_documents(), Null, Value::List(vec![])]),
        ("vector", "vector<2>", vec![Value::Vector(vec![0.1, 2.0]), Null, Value::Vector(vec![f32::INFINITY, -0.0])]),
    ])
}

/// Documents whose numbers no parser may round.
fn long_documents() -> Value {
    let texts = ["12345678901234567890123", "{\"a\":1.10,\"b\":[\"]\",null]}", "\"x\""];
    Value::List(texts.map(|text| Value::Json(text.into())).into_iter().chain([Value::Null]).collect())
}

fn everything_typed() -> SourceOptions {
    let fields = everything().schema();
    let types =
        fields.fields().iter().map(|field| (field.name().clone(), super::super::cells::canonical_type(field).unwrap()));
    SourceOptions { column_types: Some(types.collect()), ..SourceOptions::default() }
}

#[test]
fn every_type_comes_back_from_every_format_with_its_nulls() {
    let folder = Folder::new();
    for format in FORMATS {
        let path = folder.path(&format!("all.{format}"));
        let report = write(&path, &[everything(), everything()]);
        assert_eq!(report, SinkReport { rows: 6, bytes: fs::metadata(&path).unwrap().len() }, "{format}");
        let back = read(&path, &everything_typed()).unwrap();
        let twice = arrow_select::concat::concat_batches(&everything().schema(), &[everything(), everything()]);
        assert_eq!(back, twice.unwrap(), "{format}");
    }
}

#[test]
fn equal_rows_make_equal_files() {
    let folder = Folder::new();
    for format in FORMATS {
        let metadata = || vec![("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        let digests: Vec<String> = ["x", "y"]
            .iter()
            .map(|name| {
                let path = folder.path(&format!("{name}.{format}"));
                let mut sink = create_sink(&path, &everything().schema(), metadata()).unwrap();
                sink.write(&everything()).unwrap();
                sink.finish().unwrap();
                file_digest(&path).unwrap()
            })
            .collect();
        assert_eq!(digests[0], digests[1], "{format}");
        assert_eq!(digests[0].len(), 32);
    }
}

#[test]
fn a_digest_is_of_the_contents_alone() {
    let folder = Folder::new();
    let long = vec![b'x'; (1 << 20) + 7];
    assert_eq!(file_digest(&folder.file("a", "")).unwrap(), "99aa06d3014798d86001c324468d497f");
    assert_eq!(file_digest(&folder.file("b", &long)).unwrap(), file_digest(&folder.file("c", &long)).unwrap());
    assert_ne!(file_digest(&folder.file("d", &long[1..])).unwrap(), file_digest(&folder.path("c")).unwrap());
}

#[test]
fn csv_is_written_with_null_as_nothing_and_the_empty_string_in_quotes() {
    let folder = Folder::new();
    let path = folder.path("a.csv");
    write(
        &path,
        &[batch(&[
            ("key", "string", vec![Value::String(String::new()), Value::Null, Value::String("a\"b\nc".into())]),
            ("x", "float64", vec![Value::Float64(f64::NAN), Value::Float64(5.0), Value::Null]),
        ])],
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "key,x\n\"\",NaN\n,5.0\n\"a\"\"b\nc\",\n");
}

#[test]
fn json_lines_write_every_column_of_every_row() {
    let folder = Folder::new();
    let path = folder.path("a.jsonl");
    write(
        &path,
        &[batch(&[
            ("a \"b\"", "string", vec![Value::Null, Value::String("x\n".into())]),
            ("doc", "json", vec![Value::Json("{\n \"n\": 1.10}".into()), Value::Json("1.10".into())]),
        ])],
    );
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, "{\"a \\\"b\\\"\":null,\"doc\":{  \"n\": 1.10}}\n{\"a \\\"b\\\"\":\"x\\n\",\"doc\":1.10}\n");
}

#[test]
fn a_csv_with_mark_windows_line_ends_and_blank_lines_reads_like_any() {
    let folder = Folder::new();
    let path = folder.file("a.csv", "\u{feff}k,v\r\n\r\na,1\r\nb,\r\n");
    let wanted = batch(&[
        ("k", "string", vec![Value::String("a".into()), Value::String("b".into())]),
        ("v", "int64", vec![Value::Int64(1), Value::Null]),
    ]);
    assert_eq!(read(&path, &SourceOptions::default()).unwrap(), wanted);
}

#[test]
fn types_are_guessed_where_none_are_given() {
    let folder = Folder::new();
    let csv = folder.file("a.csv", "id,zip,x,on,at,day\n1,01234,1,true,2026-03-01T13:00:00Z,2026-03-01\n2,9,.5,,,\n");
    let guess = |options: &SourceOptions, path: &Path| -> Vec<String> {
        let schema = read(path, options).unwrap().schema();
        let types = schema.fields().iter();
        types.map(|f| super::super::cells::canonical_type(f).unwrap().to_string()).collect()
    };
    assert_eq!(guess(&SourceOptions::default(), &csv), ["int64", "string", "float64", "bool", "timestamp", "string"]);
    let strings = SourceOptions { infer_types: false, ..typed(&[("x", "float32")]) };
    assert_eq!(guess(&strings, &csv), ["string", "string", "float32", "string", "string", "string"]);
    let json = folder.file("a.jsonl", "{\"id\":1,\"at\":\"2026-03-01T13:00:00Z\"}\n\n{\"x\":[1],\"id\":2.5}\n");
    assert_eq!(guess(&SourceOptions::default(), &json), ["float64", "timestamp", "json"]);
}

/// A column was once typed by its first 10,000 rows, and the first row that did not fit failed the whole history.
#[test]
fn a_type_is_that_of_all_rows_in_all_files() {
    let folder = Folder::new();
    let shown = |path: &Path| {
        let rows = read(path, &SourceOptions::default()).unwrap();
        let fields = rows.schema();
        let fields = fields.fields().iter();
        let types: Vec<String> =
            fields.map(|f| format!("{} {}", f.name(), super::super::cells::canonical_type(f).unwrap())).collect();
        (types, rows)
    };
    let numbers: String = (0..10_000).map(|i| format!("{i},{i}\n")).collect();
    let (types, rows) = shown(&folder.file("a.csv", format!("note,n\n{numbers}n/a,1\n")));
    assert_eq!(types, ["note string", "n int64"]);
    assert_eq!(rows.column(0).as_string::<i32>().value(10_000), "n/a");
    let numbers = "{\"a\":1}\n".repeat(10_000);
    let (types, rows) = shown(&folder.file("a.jsonl", numbers + "{\"b\":true,\"a\":1.5}\n"));
    assert_eq!(types, ["a float64", "b bool"]);
    assert_eq!(rows.column(1).null_count(), 10_000);
    folder.file("csv/1.csv", "k,v\na,1\n");
    folder.file("csv/2.csv", "v,k\n2.5,7\n");
    assert_eq!(shown(&folder.path("csv")).0, ["k string", "v float64"]);
    folder.file("json/1.jsonl", "{\"k\":1}\n");
    folder.file("json/2.jsonl", "{\"late\":\"x\",\"k\":[1]}\n");
    assert_eq!(shown(&folder.path("json")).0, ["k json", "late string"]);
}

#[test]
fn only_the_columns_asked_for_are_read() {
    let folder = Folder::new();
    for format in FORMATS {
        let path = folder.path(&format!("all.{format}"));
        write(&path, &[everything()]);
        let wanted = ["uuid", "bool", "absent"].map(str::to_owned).to_vec();
        let options = SourceOptions { projection: Some(wanted), ..everything_typed() };
        let back = read(&path, &options).unwrap();
        let names: Vec<&str> = back.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["bool", "uuid"], "{format}");
        assert_eq!(back.column(1), everything().column_by_name("uuid").unwrap());
    }
}

#[test]
fn a_large_parquet_file_is_decoded_by_two_threads_in_order() {
    let folder = Folder::new();
    let path = folder.path("large.parquet");
    let rows = 250_000;
    let ints: Vec<Value> = (0..rows).map(Value::Int64).collect();
    let texts: Vec<Value> = (0..rows).map(|i| Value::String(format!("text {i}"))).collect();
    let large = batch(&[("a", "int64", ints.clone()), ("t", "string", texts), ("b", "int64", ints)]);
    write(&path, std::slice::from_ref(&large));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress: Progress = {
        let seen = seen.clone();
        Arc::new(move |rows, bytes| seen.lock().unwrap().push((rows, bytes)))
    };
    let options = SourceOptions { batch_rows: 100_000, progress: Some(progress), ..SourceOptions::default() };
    assert_eq!(read(&path, &options).unwrap(), large);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().map(|(rows, _)| *rows).collect::<Vec<_>>(), [100_000, 200_000, 250_000]);
    assert!(seen[2].1 > 1_000_000, "{seen:?}");
}

#[test]
fn a_folder_reads_as_one_source_in_the_order_of_paths() {
    let folder = Folder::new();
    folder.file("day=2/part-0.csv", "v,k\n,c\n");
    folder.file("day=1/part-1.csv", "k,v\nb,2\n");
    folder.file("day=1/part-0.csv", "k,v\na,1\n");
    folder.file("day=1/notes.txt", "no data");
    folder.file("_tmp/part-0.csv", "broken");
    folder.file(".part-9.csv", "broken");
    let mut source = open_source(&folder.0, &SourceOptions::default()).unwrap();
    let mut seen = Vec::new();
    while let Some(batch) = source.next_batch().unwrap() {
        let origin = source.origin();
        let keys = arrow_array::cast::AsArray::as_string::<i32>(batch.column(0)).value(0).to_owned();
        seen.push(format!("{keys} {}:{}", origin.file().strip_prefix(&folder.0).unwrap().display(), origin.row(0)));
    }
    assert_eq!(seen, ["a day=1/part-0.csv:1", "b day=1/part-1.csv:1", "c day=2/part-0.csv:1"]);
    assert_eq!(source.rows(), 3);
}

#[test]
fn a_timestamp_format_holds_for_csv_and_json_lines() {
    let folder = Folder::new();
    let csv = folder.file("a.csv", "at\n02.01.1970 00:00\n");
    let json = folder.file("a.jsonl", "{\"at\":\"02.01.1970 00:00\"}\n");
    let options = SourceOptions { timestamp_format: Some("%d.%m.%Y %H:%M".into()), ..typed(&[("at", "timestamp")]) };
    for path in [csv, json] {
        let wanted = column(&DataType::Timestamp, &[Value::Timestamp(86_400_000_000)]);
        assert_eq!(read(&path, &options).unwrap().column(0), &wanted);
    }
}

#[test]
fn a_column_that_is_left_as_it_is_written_says_in_which_form() {
    let folder = Folder::new();
    let csv = folder.file("rows/a.csv", "at,b\n01/02,1\n,2\n\"\",3\n");
    let json = folder.file("rows/b.jsonl", "{\"at\":\"x\",\"b\":1}\n{\"at\":null}\n{\"at\":[1, 2]}\n");
    let options = SourceOptions { as_written: vec!["at".into()], ..SourceOptions::default() };
    for (path, form, texts) in
        [(csv, "text", [Some("01/02"), None, Some("")]), (json, "json", [Some("\"x\""), None, Some("[1, 2]")])]
    {
        let rows = read(&path, &options).unwrap();
        let wanted: ArrayRef = Arc::new(arrow_array::StringArray::from(texts.to_vec()));
        assert_eq!((rows.column(0), rows.schema().field(0).metadata()["asof.text"].as_str()), (&wanted, form));
    }
    let error = folder.text_of(&read(&folder.path("rows"), &options).unwrap_err());
    assert_eq!(error, "rows/b.jsonl: column 'at' is written otherwise than in the first file");
}

proptest::proptest! {
    /// The text formats keep any string apart from any other and from null, in one column and in two.
    #[test]
    fn any_string_and_null_come_back(
        cells in proptest::collection::vec(proptest::option::of("[a,\t\"\r\n \u{feff}0\\\\{]{0,5}"), 0..12),
        columns in 1..3_usize,
    ) {
        let folder = Folder::new();
        let values: Vec<Value> = cells.into_iter().map(Value::from).collect();
        let columns: Vec<(&str, &str, Vec<Value>)> =
            ["\u{feff}a", "b"].iter().take(columns).map(|name| (*name, "string", values.clone())).collect();
        let rows = batch(&columns);
        for format in ["csv", "tsv", "jsonl"] {
            let path = folder.path(&format!("a.{format}"));
            write(&path, std::slice::from_ref(&rows));
            // A JSON Lines file without rows has no columns but those it is said to have.
            let options = SourceOptions { infer_types: false, ..typed(&[("\u{feff}a", "string"), ("b", "string")]) };
            let back = read(&path, &options).unwrap();
            proptest::prop_assert_eq!(back.column(0), rows.column(0), "{}", format);
            let last = rows.num_columns() - 1;
            proptest::prop_assert_eq!(back.column(last), rows.column(last), "{}", format);
        }
    }
}
