use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};

use arrow_schema::Schema;

use super::*;
use crate::error::{ErrorKind, Result};
use crate::format::accept::{LINE_COLUMN, Refusal};
use crate::format::columns::tests::{Random, every_type};
use crate::format::columns::{array_from_values, value_at};
use crate::text::to_json;
use crate::value::{DataType, Value};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("asof-exchange-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One column of every type, with nulls.
fn everything(rows: usize) -> (Vec<DataType>, RecordBatch) {
    let types = every_type();
    let mut random = Random(99);
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (i, dtype) in types.iter().enumerate() {
        let values: Vec<Value> = (0..rows).map(|_| random.maybe(dtype)).collect();
        fields.push(typed_field(&format!("c{i}"), dtype));
        columns.push(array_from_values(dtype, &values).unwrap());
    }
    (types, RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap())
}

fn typed(types: &[DataType]) -> SourceOptions {
    let columns = types.iter().enumerate().map(|(i, dtype)| (format!("c{i}"), dtype.clone())).collect();
    SourceOptions { columns, batch_rows: 70, ..SourceOptions::default() }
}

fn read(path: &Path, options: &SourceOptions) -> Result<Vec<RecordBatch>> {
    let mut reader = open_source(path, options)?;
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        batches.push(batch);
    }
    Ok(batches)
}

fn assert_same(types: &[DataType], batches: &[RecordBatch], expected: &RecordBatch) {
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), expected.num_rows());
    let mut row = 0;
    for batch in batches {
        for i in 0..batch.num_rows() {
            for (column, dtype) in types.iter().enumerate() {
                assert_eq!(
                    value_at(batch.column(column), dtype, i),
                    value_at(expected.column(column), dtype, row),
                    "{dtype} row {row}"
                );
            }
            row += 1;
        }
    }
}

#[test]
fn every_type_with_nulls_survives_parquet_arrow_csv_and_json_lines() {
    let folder = Folder::new();
    let (types, batch) = everything(200);
    for (name, compression) in [
        ("all.parquet", Compression::Snappy),
        ("all.pq", Compression::Zstd),
        ("all.arrow", Compression::Snappy),
        ("all.csv", Compression::Snappy),
    ] {
        let path = folder.0.join(name);
        let format = OutputFormat::of_path(&path).unwrap();
        let options = WriteOptions { format, compression, ..WriteOptions::default() };
        let mut writer = DatasetWriter::create(&path, &batch.schema(), &options).unwrap();
        writer.write(&batch.slice(0, 150)).unwrap();
        writer.write(&batch.slice(150, 50)).unwrap();
        assert!(!path.exists(), "the name comes last");
        assert_eq!(writer.finish().unwrap(), 200);
        assert_same(&types, &read(&path, &typed(&types)).unwrap(), &batch);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no other file is left");
        fs::remove_file(&path).unwrap();
    }

    let mut lines = String::new();
    for row in 0..200 {
        let cells = types.iter().enumerate();
        let object: serde_json::Map<_, _> = cells
            .map(|(i, dtype)| (format!("c{i}"), to_json(dtype, &value_at(batch.column(i), dtype, row))))
            .filter(|(_, value)| row == 0 || !value.is_null())
            .collect();
        lines += &format!("{}\n", serde_json::Value::Object(object));
    }
    let path = folder.file("all.jsonl", lines);
    let batches = read(&path, &typed(&types)).unwrap();
    let order: Vec<usize> = (0..types.len()).map(|i| batches[0].schema().index_of(&format!("c{i}")).unwrap()).collect();
    let batches: Vec<RecordBatch> = batches.iter().map(|batch| batch.project(&order).unwrap()).collect();
    assert_same(&types, &batches, &batch);
}

#[test]
fn an_arrow_stream_is_known_by_its_first_bytes() {
    let folder = Folder::new();
    let (types, batch) = everything(10);
    let mut bytes = Vec::new();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let path = folder.file("no-extension", &bytes);
    assert_same(&types, &read(&path, &SourceOptions::default()).unwrap(), &batch);
    let cut = folder.file("cut", &bytes[..bytes.len() / 2]);
    let error = read(&cut, &SourceOptions::default()).unwrap_err();
    assert!(error.to_string().contains("cut"), "{error}");
}

fn csv_cells(text: &str) -> Vec<Vec<Option<String>>> {
    let folder = Folder::new();
    let path = folder.file("x.csv", text);
    let batches = read(&path, &SourceOptions::default()).unwrap();
    let mut rows = Vec::new();
    for batch in batches {
        let cell = |column: &ArrayRef, row| match value_at(column, &DataType::String, row) {
            Value::String(text) => Some(text),
            _ => None,
        };
        let width = batch.num_columns() - 1;
        rows.extend(
            (0..batch.num_rows())
                .map(|row| batch.columns()[..width].iter().map(|column| cell(column, row)).collect::<Vec<_>>()),
        );
    }
    rows
}

#[test]
fn csv_tells_an_empty_field_from_an_empty_string() {
    let some = |text: &str| Some(text.to_owned());
    for (text, rows) in [
        ("a,b\n,\"\"\n", vec![vec![None, some("")]]),
        ("\u{feff}a,b\r\n1,\"x\"\"y\"\r\n\r\n\"p,q\",", vec![vec![some("1"), some("x\"y")], vec![some("p,q"), None]]),
        ("a,b\n\"two\nlines\",z\n", vec![vec![some("two\nlines"), some("z")]]),
        ("a\n\nx\n", vec![vec![None], vec![some("x")]]),
        ("a,b\n", vec![]),
    ] {
        assert_eq!(csv_cells(text), rows, "{text:?}");
    }
}

#[test]
fn text_files_name_file_line_column_and_the_text_that_offends() {
    let folder = Folder::new();
    let options = SourceOptions {
        columns: [("n".to_owned(), DataType::Int32), ("t".to_owned(), DataType::Timestamp)].into(),
        ..SourceOptions::default()
    };
    for (name, content, parts) in [
        ("a.csv", "n,s\n1,\"two\nlines\"\nx,y\n", vec!["a.csv", "line 4: column n", "wants int32", "'x'"]),
        ("b.csv", "n,s\n1\n", vec!["b.csv", "line 2", "1 fields, the header has 2"]),
        ("c.csv", "n,s\n1,\"open\n", vec!["c.csv", "line 2", "a quoted field that does not end"]),
        ("d.csv", "", vec!["d.csv", "the file is empty"]),
        ("e.csv", "n,s\n1,\"x\"y\n", vec!["e.csv", "line 2", "text after a closing quote"]),
        ("f.jsonl", "{\"n\":1}\n\n{\"n\":\n", vec!["f.jsonl", "line 3", "no JSON object"]),
        ("g.jsonl", "{\"n\":1}\n{\"n\":\"x\"}\n", vec!["g.jsonl", "line 2: column n", "wants int32", "'\"x\"'"]),
        ("h.jsonl", "[1]\n", vec!["h.jsonl", "line 1", "[1]"]),
        ("i.csv", "t\nyesterday\n", vec!["i.csv", "line 2: column t", "wants timestamp", "'yesterday'"]),
        ("j.txt", "x", vec!["j.txt", "no known format"]),
    ] {
        let path = folder.file(name, content);
        let error = read(&path, &options).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{name}: {error}");
        }
    }
    let missing = open_source(&folder.0.join("none.csv"), &options).unwrap_err();
    assert!(missing.is_missing_file());
}

#[test]
fn delimiter_and_timestamp_format_are_followed() {
    let folder = Folder::new();
    let path = folder.file("x.csv", "t;n\n02.01.1970;7\n");
    let options = SourceOptions {
        columns: [("t".to_owned(), DataType::Timestamp)].into(),
        delimiter: Some(';'),
        timestamp_format: Some("%d.%m.%Y".into()),
        ..SourceOptions::default()
    };
    let batches = read(&path, &options).unwrap();
    assert_eq!(value_at(batches[0].column(0), &DataType::Timestamp, 0), Value::Timestamp(86_400_000_000));
    assert_eq!(value_at(batches[0].column(1), &DataType::String, 0), "7".into());
}

#[test]
fn a_cut_or_garbled_file_is_an_error_and_never_a_shorter_answer() {
    let folder = Folder::new();
    let (_, batch) = everything(300);
    for name in ["x.parquet", "x.arrow"] {
        let path = folder.0.join(name);
        let options = WriteOptions { format: OutputFormat::of_path(&path).unwrap(), ..WriteOptions::default() };
        let mut writer = DatasetWriter::create(&path, &batch.schema(), &options).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let bytes = fs::read(&path).unwrap();
        for len in [0, 3, 11, bytes.len() / 2, bytes.len() - 1] {
            let cut = folder.file(name, &bytes[..len]);
            let error = read(&cut, &SourceOptions::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{name} cut at {len}: {error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

#[test]
fn row_groups_come_in_file_order_whatever_the_threads_and_progress_is_told() {
    let folder = Folder::new();
    let path = folder.0.join("x.parquet");
    let numbers = |from: i64, to: i64| {
        let column = array_from_values(&DataType::Int64, &(from..to).map(Value::Int64).collect::<Vec<_>>()).unwrap();
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    };
    let file = fs::File::create(&path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, numbers(0, 0).schema(), None).unwrap();
    for group in 0..7 {
        writer.write(&numbers(group * 1_000, (group + 1) * 1_000)).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    for threads in [1, 2, 3, 20] {
        let seen = Arc::new(Mutex::new(Progress::default()));
        let hook = seen.clone();
        let options = SourceOptions {
            threads,
            batch_rows: 300,
            progress: Some(Arc::new(move |progress| *hook.lock().unwrap() = progress)),
            ..SourceOptions::default()
        };
        let mut next = 0;
        for batch in read(&path, &options).unwrap() {
            for row in 0..batch.num_rows() {
                assert_eq!(value_at(batch.column(0), &DataType::Int64, row), Value::Int64(next));
                next += 1;
            }
        }
        assert_eq!(next, 7_000);
        let seen = *seen.lock().unwrap();
        assert_eq!(seen.rows, 7_000);
        assert!(seen.bytes > 0 && seen.bytes <= fs::metadata(&path).unwrap().len());
    }
    // A reader that is dropped early leaves no thread waiting on it.
    let mut reader = open_source(&path, &SourceOptions { batch_rows: 1, ..SourceOptions::default() }).unwrap();
    assert!(reader.next_batch().unwrap().is_some());
}

#[test]
fn metadata_is_kept_and_a_dropped_writer_leaves_nothing() {
    let folder = Folder::new();
    let (_, batch) = everything(3);
    for name in ["x.parquet", "x.arrow"] {
        let path = folder.0.join(name);
        let options = WriteOptions {
            format: OutputFormat::of_path(&path).unwrap(),
            metadata: [("asof.known_at".to_owned(), "17".to_owned())].into(),
            ..WriteOptions::default()
        };
        let mut abandoned = DatasetWriter::create(&path, &batch.schema(), &options).unwrap();
        abandoned.write(&batch).unwrap();
        drop(abandoned);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
        let writer = DatasetWriter::create(&path, &batch.schema(), &options).unwrap();
        writer.finish().unwrap();
        let reader = open_source(&path, &SourceOptions::default()).unwrap();
        let schema = arrow_array::RecordBatchReader::schema(&reader);
        assert_eq!(schema.metadata().get("asof.known_at").map(String::as_str), Some("17"), "{name}");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn an_export_by_date_lies_in_a_folder_a_day_and_reads_back() {
    let folder = Folder::new();
    let day = 86_400_000_000;
    let times = TimestampMicrosecondArray::from(vec![0, day, -1, day + 5, 0]).with_timezone("UTC");
    let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e"]));
    let batch =
        RecordBatch::try_from_iter([("name", names), ("event_timestamp", Arc::new(times) as ArrayRef)]).unwrap();
    let by_date = Partitioning::Date("event_timestamp".into());
    let create = || {
        PartitionedWriter::create(&folder.0, "weather", 1, &batch.schema(), by_date.clone(), WriteOptions::default())
    };
    let mut writer = create().unwrap();
    writer.write(&batch).unwrap();
    assert_eq!(writer.finish().unwrap(), (5, 3));
    let files = expand_source(&folder.0).unwrap();
    let relative: Vec<_> = files.iter().map(|file| file.strip_prefix(&folder.0).unwrap().to_str().unwrap()).collect();
    assert_eq!(
        relative,
        ["1969-12-31", "1970-01-01", "1970-01-02"].map(|date| format!("weather/v1/date={date}/part-00000.parquet"))
    );
    let names: Vec<Value> = files
        .iter()
        .flat_map(|file| read(file, &SourceOptions::default()).unwrap())
        .flat_map(|batch| (0..batch.num_rows()).map(move |row| value_at(batch.column(0), &DataType::String, row)))
        .collect();
    assert_eq!(names, ["c", "a", "e", "b", "d"].map(Value::from));
    assert_eq!(create().err().unwrap().kind(), ErrorKind::Refused);
}

#[test]
fn quarantine_lines_hold_file_row_reason_and_the_row_in_text_forms() {
    let folder = Folder::new();
    let path = folder.file("bad.csv", "name,n\nx,1\n\"\",oops\n");
    let batches = read(&path, &SourceOptions::default()).unwrap();
    let refusal = |row, column: &str| Refusal { row, column: Some(column.into()), reason: "wants int32".into() };
    let mut writer = QuarantineWriter::create(&folder.0.join("quarantine"), 12, "weather").unwrap();
    writer.push(Path::new("bad.csv"), 0, &batches[0], &[refusal(1, "n")]).unwrap();
    let typed = RecordBatch::try_from_iter([
        ("when", array_from_values(&DataType::Timestamp, &[Value::Timestamp(0), Value::Null]).unwrap()),
        ("n", array_from_values(&DataType::Int64, &[Value::Null, Value::Int64(7)]).unwrap()),
    ]);
    writer.push(Path::new("bad.parquet"), 100, &typed.unwrap(), &[refusal(0, "n"), refusal(1, "when")]).unwrap();
    let written = writer.finish().unwrap().unwrap();
    assert_eq!(written.file_name().unwrap(), "12-weather.jsonl");
    assert_eq!(
        fs::read_to_string(written).unwrap(),
        concat!(
            r#"{"file":"bad.csv","reason":"n: wants int32","row":3,"values":{"n":"oops","name":""}}"#,
            "\n",
            r#"{"file":"bad.parquet","reason":"n: wants int32","row":100,"values":{"n":null,"when":"1970-01-01T00:00:00Z"}}"#,
            "\n",
            r#"{"file":"bad.parquet","reason":"when: wants int32","row":101,"values":{"n":7,"when":null}}"#,
            "\n",
        )
    );
    let none = QuarantineWriter::create(&folder.0.join("quarantine"), 13, "weather").unwrap();
    assert_eq!(none.finish().unwrap(), None);
    assert_eq!(fs::read_dir(folder.0.join("quarantine")).unwrap().count(), 1);
    assert_eq!(batches[0].schema().field(2).name(), LINE_COLUMN);
}

#[test]
fn the_digest_is_of_the_content_alone() {
    let folder = Folder::new();
    let (left, right, other) = (folder.file("a", "same"), folder.file("b", "same"), folder.file("c", "other"));
    assert_eq!(content_digest(&left).unwrap(), content_digest(&right).unwrap());
    assert_ne!(content_digest(&left).unwrap(), content_digest(&other).unwrap());
    assert_eq!(content_digest(&left).unwrap(), xxhash_rust::xxh3::xxh3_128(b"same"));
}

/// Prints rows per second from Parquet to row records.
#[test]
#[ignore = "a measurement"]
fn speed_of_parquet_to_records() {
    use crate::format::columns::{RowColumns, encode_keys, encode_records};
    use crate::format::row::RowLayout;
    let folder = Folder::new();
    let path = folder.0.join("x.parquet");
    let rows = 100_000;
    let mut random = Random(1);
    let ids: Vec<Value> = (0..rows).map(|_| random.value(&DataType::Int64)).collect();
    let ids = array_from_values(&DataType::Int64, &ids).unwrap();
    let mut columns = vec![("id".to_owned(), ids)];
    for i in 0..10 {
        let floats: Vec<Value> = (0..rows).map(|_| random.value(&DataType::Float64)).collect();
        columns.push((format!("f{i}"), array_from_values(&DataType::Float64, &floats).unwrap()));
    }
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = DatasetWriter::create(&path, &batch.schema(), &WriteOptions::default()).unwrap();
    (0..30).for_each(|_| writer.write(&batch).unwrap());
    let total = writer.finish().unwrap();
    let layout = RowLayout::new(vec![DataType::Float64; 10]);
    let schema = crate::key::KeySchema::new(vec![("id".into(), DataType::Int64)]);
    let start = std::time::Instant::now();
    let mut reader = open_source(&path, &SourceOptions::default()).unwrap();
    let (mut records, mut offsets) = (Vec::new(), Vec::new());
    while let Some(batch) = reader.next_batch().unwrap() {
        records.clear();
        offsets.clear();
        let keys = encode_keys(&schema, &batch.columns()[..1], batch.num_rows()).unwrap();
        let event_ts = vec![0; batch.num_rows()];
        let features = &batch.columns()[1..];
        let columns =
            RowColumns { keys: &keys, event_ts: &event_ts, created: None, event_ids: None, features, deleted: None };
        encode_records(&layout, &columns, &mut records, &mut offsets).unwrap();
    }
    println!("Parquet to records: {:.2} M rows/s", total as f64 / start.elapsed().as_secs_f64() / 1e6);
}
