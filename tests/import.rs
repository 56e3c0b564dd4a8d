//! Files into a store: what is added, what is not, what is said about it.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, Mutex};

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Decimal256Array, Float64Array, Int32Array, Int64Array, ListViewArray, RecordBatch,
    RecordBatchIterator, RunArray, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampSecondArray,
};
use arrow_buffer::i256;
use arrow_schema::{DataType as ArrowType, Field, Schema};
use asof::definition::{Definitions, Feature, FeatureView, Source};
use asof::disk::{CrashMode, MemDisk, Operation};
use asof::exchange::{create_sink, typed_field};
use asof::format::columns::array_from_values;
use asof::options::Sizes;
use asof::value::{DataType, Value};
use asof::{
    ApplyOptions, BadRows, BulkOptions, Error, ExportOptions, Features, GetOptions, HistoricalRequest, ImportOptions,
    ImportReport, Partition, ScanOptions, Status, Store, TemporaryStore, value_at,
};

const TIME: i64 = 1_709_298_000_000_000;

fn weather() -> FeatureView {
    FeatureView::new("weather").entity("airport").with(Feature::new("temp", DataType::Float64).max("60"))
}

fn store_of(view: FeatureView) -> TemporaryStore {
    let store = Store::temporary().unwrap();
    apply(&store, view);
    store
}

fn apply(store: &Store, view: FeatureView) {
    let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
}

fn file(store: &TemporaryStore, name: &str, contents: &str) -> PathBuf {
    let path = store.path().with_file_name(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, contents).unwrap();
    path
}

/// Rows of airport, second after `TIME`, temperature.
fn batch(rows: &[(&str, i64, f64)]) -> RecordBatch {
    let times = rows.iter().map(|row| TIME + row.1 * 1_000_000);
    RecordBatch::try_from_iter([
        ("origin", Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()) as ArrayRef),
        ("event_timestamp", Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))),
        ("temp", Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Float64Array>())),
    ])
    .unwrap()
}

fn write_file(store: &TemporaryStore, name: &str, batch: &RecordBatch) -> PathBuf {
    let path = store.path().with_file_name(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut sink = create_sink(&path, &batch.schema(), Vec::new()).unwrap();
    sink.write(batch).unwrap();
    sink.finish().unwrap();
    path
}

fn import(store: &Store, paths: &[PathBuf]) -> ImportReport {
    store.import_files("weather", paths, &ImportOptions::default()).unwrap()
}

fn import_error(store: &TemporaryStore, path: &Path) -> String {
    let error: Error = store.import_files("weather", &[path.to_path_buf()], &ImportOptions::default()).unwrap_err();
    error.to_string().replace(&format!("{}/", store.path().parent().unwrap().display()), "")
}

/// (read, written, skipped, refused)
fn counts(report: &ImportReport) -> (u64, u64, u64, u64) {
    (report.rows_read, report.rows_written, report.rows_skipped, report.rows_refused)
}

/// How often the store has these rows, all in all: of each, given 50 times more, it takes those beyond what it has.
fn copies(store: &Store, rows: &RecordBatch) -> u64 {
    let mut bulk = store.bulk_writer("weather", BulkOptions::default()).unwrap();
    for _ in 0..50 {
        bulk.write(rows).unwrap();
    }
    let added = bulk.commit().unwrap().rows_written;
    50 * rows.num_rows() as u64 - added
}

fn temp(store: &Store, origin: &str, second: i64) -> Value {
    let options = GetOptions { at: Some(asof::time::Timestamp(TIME + second * 1_000_000)), ..GetOptions::default() };
    store.get(&Features::list(["weather:temp"]).unwrap(), &[("origin", origin.into())], &options).unwrap()[0]
        .value
        .clone()
}

#[test]
fn the_same_file_twice_adds_nothing_and_is_not_read_again_but_to_append() {
    let rows = batch(&[("JFK", 0, 39.0), ("LGA", 0, 41.5), ("JFK", 3_600, 40.0)]);
    for name in ["w.parquet", "w.csv", "w.tsv", "w.jsonl", "w.arrow"] {
        let mut store = store_of(weather());
        let path = [write_file(&store, name, &rows)];
        let first = import(&store, &path);
        assert_eq!(counts(&first), (3, 3, 0, 0), "{name}");
        assert_eq!(first.seq.map(|(first, last)| last - first), Some(2));
        let again = import(&store, &path);
        assert_eq!((counts(&again), again.files[0].was_imported, again.seq), ((0, 0, 0, 0), true, None), "{name}");
        store.reopen().unwrap();
        assert!(import(&store, &path).files[0].was_imported, "{name}: the ledger is durable");
        // Other options: the ledger does not speak of them, the rows are known all the same.
        let options = ImportOptions { allow_future: true, ..ImportOptions::default() };
        let other = store.import_files("weather", &path, &options).unwrap();
        assert_eq!((counts(&other), other.files[0].was_imported), ((3, 0, 3, 0), false), "{name}");
        assert_eq!(copies(&store, &rows), 3, "{name}");
        let append = ImportOptions { append: true, ..ImportOptions::default() };
        for _ in 0..2 {
            assert_eq!(counts(&store.import_files("weather", &path, &append).unwrap()), (3, 3, 0, 0), "{name}");
        }
        assert_eq!(temp(&store, "JFK", 3_599), Value::Float64(39.0));
        assert_eq!(temp(&store, "JFK", 3_600), Value::Float64(40.0));
    }
}

/// A file that is of another format by its name was taken for one imported before: an empty one for any other that is empty.
#[test]
fn the_same_bytes_in_another_format_are_another_file() {
    let store = store_of(weather());
    let csv = "origin,event_timestamp,temp\nJFK,2024-03-01T13:00:00Z,39\n";
    for (name, contents, renamed, other) in
        [("e.jsonl", "", "e.ndjson", "e.arrow"), ("w.csv", csv, "v.csv", "w.tsv"), ("x.csv", csv, "y.csv", "x.jsonl")]
    {
        import(&store, &[file(&store, name, contents)]);
        for same in [name, renamed] {
            assert!(import(&store, &[file(&store, same, contents)]).files[0].was_imported, "{name} as {same}");
        }
        assert!(import_error(&store, &file(&store, other, contents)).contains(other), "{name} as {other}");
    }
}

#[test]
fn a_file_that_grew_adds_what_it_gained_and_duplicates_as_often_as_it_holds_them() {
    let store = store_of(weather());
    let rows = [("JFK", 0, 39.0), ("JFK", 0, 39.0), ("LGA", 0, 1.0)];
    let path = [write_file(&store, "w.parquet", &batch(&rows))];
    assert_eq!(counts(&import(&store, &path)), (3, 3, 0, 0), "a file's own duplicates are kept");
    let grown = [("EWR", 9, 0.5), rows[0], ("JFK", 0, 39.0), rows[1], rows[2], ("JFK", 0, 39.5)];
    write_file(&store, "w.parquet", &batch(&grown));
    let report = import(&store, &path);
    assert_eq!(counts(&report), (6, 3, 3, 0), "a third JFK, EWR, and the correction");
    assert_eq!(report.files[0].rows_written, 3);
    assert_eq!(temp(&store, "JFK", 0), Value::Float64(39.5), "a correction of equal key and time is another row");
    // What was there before it does not come back.
    let path = [write_file(&store, "old.csv", &batch(&rows))];
    assert_eq!(counts(&import(&store, &path)), (3, 0, 3, 0));
    assert_eq!(temp(&store, "JFK", 0), Value::Float64(39.5));
    assert_eq!(copies(&store, &batch(&rows[1..])), 4);
}

#[test]
fn rows_that_were_written_count_as_stored_in_the_log_and_in_runs() {
    let store = store_of(weather());
    let rows = [("JFK", 0, 0.5), ("JFK", 1, -0.0), ("JFK", 2, 2.0), ("LGA", 0, 3.0)];
    store.write("weather", &batch(&rows[..1])).unwrap();
    store.seal().unwrap();
    store.write("weather", &batch(&rows[1..2])).unwrap();
    store.write("weather", &batch(&[("JFK", 2, 2.5), ("LGA", 0, 3.0)])).unwrap();
    store.delete("weather", &[("origin", "LGA".into())], &asof::DeleteOptions::default()).unwrap();
    let path = [write_file(&store, "w.jsonl", &batch(&rows))];
    assert_eq!(counts(&import(&store, &path)), (4, 1, 3, 0), "all but JFK's 2.0");
    store.compact().unwrap();
    let zero = [write_file(&store, "zero.jsonl", &batch(&[("JFK", 1, 0.0), ("JFK", 2, 2.0)]))];
    assert_eq!(counts(&import(&store, &zero)), (2, 1, 1, 0), "zero is not minus zero");
}

#[test]
fn several_files_add_what_they_would_one_after_the_other() {
    let store = store_of(weather());
    let one = batch(&[("JFK", 0, 1.0), ("JFK", 0, 1.0), ("LGA", 0, 1.0)]);
    let two = batch(&[("JFK", 0, 1.0), ("JFK", 0, 1.0), ("JFK", 0, 1.0), ("LGA", 0, 1.0), ("EWR", 5, 2.0)]);
    let folder = write_file(&store, "data/a.parquet", &one).parent().unwrap().to_path_buf();
    write_file(&store, "data/date=2024-03-01/b.csv", &two);
    write_file(&store, "data/date=2024-03-02/a-again.parquet", &one);
    let report = import(&store, std::slice::from_ref(&folder));
    assert_eq!(counts(&report), (8, 5, 3, 0));
    let files: Vec<_> =
        report.files.iter().map(|file| (file.was_imported, file.rows_written, file.rows_skipped)).collect();
    assert_eq!(files, [(false, 3, 0), (false, 2, 3), (true, 0, 0)], "the third is the first once more");
    write_file(&store, "data/c.arrow", &batch(&[("JFK", 0, 1.0), ("BOS", 0, 7.0)]));
    let report = import(&store, &[folder]);
    let read: Vec<_> = report.files.iter().map(|file| file.rows_read).collect();
    assert_eq!((counts(&report), read), ((2, 1, 1, 0), vec![0, 2, 0, 0]), "only the new file is read");
}

#[test]
fn one_bad_file_among_several_and_nothing_is_imported() {
    let store = store_of(weather());
    let good = write_file(&store, "good.parquet", &batch(&[("JFK", 0, 1.0)]));
    let cut = store.path().with_file_name("cut.parquet");
    let whole = fs::read(&good).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    for bad in [cut, file(&store, "bad.csv", "origin,event_timestamp,temp\nJFK,2024-03-01T13:00:00Z,warm\n")] {
        store.import_files("weather", &[good.clone(), bad], &ImportOptions::default()).unwrap_err();
        assert_eq!(temp(&store, "JFK", 0), Value::Null);
    }
    assert_eq!(counts(&import(&store, &[good])), (1, 1, 0, 0), "no ledger record was left either");
}

#[test]
fn what_is_wrong_is_said_with_file_row_column_and_types() {
    let store = store_of(weather());
    let head = "origin,event_timestamp,temp\n";
    let time = "2024-03-01T13:00:00Z";
    for (name, contents, expected) in [
        (
            "a.csv",
            format!("{head}JFK,{time},1\nJFK,{time},warm\n"),
            "a.csv: line 3: column temp: wants float64, got 'warm'",
        ),
        (
            "b.csv",
            format!("{head}JFK,{time},1\nJFK,{time},61\n"),
            "b.csv: view weather@1: temp: row 2: 61.0 is above max = 60.0",
        ),
        ("c.csv", format!("{head},{time},1\n"), "c.csv: view weather@1: origin: row 1: the join key is null"),
        (
            "d.csv",
            format!("{head}JFK,,1\n"),
            "d.csv: view weather@1: event_timestamp: row 1: the event timestamp is null",
        ),
        (
            "e.csv",
            format!("{head}JFK,2126-03-01T13:00:00Z,1\n"),
            "e.csv: view weather@1: event_timestamp: row 1: the event timestamp",
        ),
        ("f.csv", "origin,time\nJFK,1\n".to_owned(), "f.csv: view weather@1: missing columns: event_timestamp, temp"),
        (
            "g.jsonl",
            format!("{{\"origin\":\"JFK\",\"event_timestamp\":\"{time}\",\"temp\":true}}\n"),
            "g.jsonl: line 1: column temp:",
        ),
        ("h.jsonl", "{\n".to_owned(), "h.jsonl: line 1: not one JSON object"),
        ("i.csv", String::new(), "i.csv: line 1: the file is empty"),
        ("j.parquet", "PAR1 and no more".to_owned(), "j.parquet: cannot be read as Parquet"),
        ("k.txt", String::new(), "k.txt: the file's extension names no known format"),
    ] {
        let path = file(&store, name, &contents);
        let error = import_error(&store, &path);
        assert!(error.starts_with(expected), "{error}");
        // A row can be set aside, whoever found fault with it; a file cannot.
        let is_row = ["a.csv", "b.csv", "c.csv", "d.csv", "e.csv", "g.jsonl", "h.jsonl"].contains(&name);
        assert_eq!(
            error.ends_with("; mend the row, or set such rows aside with --bad-rows quarantine"),
            is_row,
            "{error}"
        );
    }
    let wrong = RecordBatch::try_from_iter([
        ("origin", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![TIME]))),
        ("temp", Arc::new(StringArray::from(vec!["1"]))),
    ]);
    let error = import_error(&store, &write_file(&store, "l.parquet", &wrong.unwrap()));
    assert!(
        error.starts_with("l.parquet: view weather@1: origin: ") && error.contains("string") && error.contains("Int64"),
        "{error}"
    );
    let error = import_error(&store, &store.path().with_file_name("none.csv"));
    assert!(error.starts_with("none.csv: no such file"), "{error}");
    let error = store.import_files("wether", &[], &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("no file is named"), "{error}");
    assert_eq!(temp(&store, "JFK", 0), Value::Null, "nothing of any was imported");
}

/// Keys first met far down a JSON Lines file were left out without a word; the index that pandas writes was refused.
#[test]
fn columns_are_named_as_ignored_wherever_they_are_met() {
    let store = store_of(weather());
    let row =
        |more: &str| format!("{{\"origin\":\"JFK\",\"event_timestamp\":\"2024-03-01T13:00:00Z\",\"temp\":39{more}}}\n");
    let late = row("").repeat(10_001) + &row(",\"late\":1") + &row(",\"late\":2,\"later\":3");
    let paths = [
        file(&store, "w.jsonl", &late),
        file(&store, "w.csv", ",Unnamed: 0,origin,event_timestamp,temp\n0,0,LGA,2024-03-01T13:00:00Z,40\n"),
    ];
    let report = store.import_files("weather", &paths, &ImportOptions::default()).unwrap();
    assert_eq!(report.ignored, ["late", "later", "Unnamed: 0.1", "Unnamed: 0"]);
    assert_eq!(temp(&store, "LGA", 0), Value::Float64(40.0));
}

#[test]
fn bad_rows_are_set_aside_with_their_reasons_and_the_others_imported() {
    let store = store_of(weather());
    let csv = "origin,event_timestamp,temp,note\n\
               JFK,2024-03-01T13:00:00Z,39,a\n\
               JFK,2024-03-01T14:00:00Z,warm,b\n\
               LGA,2024-03-01T13:00:00Z,99,c\n\
               LGA,2024-03-01T14:00:00Z,41,d\n\
               LGA\n\
               ,2024-03-01T14:00:00Z,42,e\n";
    let csv = file(&store, "w.csv", csv);
    let parquet = write_file(&store, "w.parquet", &batch(&[("EWR", 0, 1.0), ("EWR", 1, 70.0)]));
    let options = ImportOptions { bad_rows: BadRows::Quarantine, ..ImportOptions::default() };
    let report = store.import_files("weather", &[csv.clone(), parquet], &options).unwrap();
    assert_eq!(counts(&report), (8, 3, 0, 5));
    let by_file: Vec<_> =
        report.files.iter().map(|file| (file.rows_read, file.rows_written, file.rows_refused)).collect();
    assert_eq!(by_file, [(6, 2, 4), (2, 1, 1)]);
    assert_eq!((temp(&store, "LGA", 3_600), temp(&store, "EWR", 9)), (Value::Float64(41.0), Value::Float64(1.0)));
    assert_eq!(report.ignored, ["note"]);

    let path = report.quarantine.unwrap();
    assert_eq!(path.parent(), Some(store.path().join("quarantine").as_path()));
    assert!(path.to_string_lossy().ends_with("-weather.jsonl"), "{path:?}");
    let lines: Vec<serde_json::Value> =
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut found: Vec<_> = lines
        .iter()
        .map(|line| (line["row"].as_u64().unwrap(), line["reason"].as_str().unwrap(), line["values"]["temp"].clone()))
        .collect();
    found[..4].sort_by_key(|line| line.0);
    let (rows, rest): (Vec<u64>, Vec<(&str, serde_json::Value)>) =
        found.into_iter().map(|(row, reason, temp)| (row, (reason, temp))).unzip();
    assert_eq!(rows, [2, 3, 5, 6, 2], "{lines:?}");
    assert_eq!(rest[0], ("line 3: column temp: wants float64, got 'warm'", "warm".into()));
    assert_eq!(rest[1], ("column temp: 99.0 is above max = 60.0", 99.0.into()));
    assert!(rest[2].0.contains("the header has 4 columns, this row has 1"), "{}", rest[2].0);
    assert_eq!(rest[3], ("column origin: the join key is null", 42.0.into()));
    assert_eq!(rest[4], ("column temp: 70.0 is above max = 60.0", 70.0.into()));
    assert!(lines[0]["file"].as_str().unwrap().ends_with("w.csv"));

    // Once more: skipped. By another way: an error, and no file beside the first.
    assert!(store.import_files("weather", std::slice::from_ref(&csv), &options).unwrap().files[0].was_imported);
    import_error(&store, &csv);
    assert_eq!(fs::read_dir(store.path().join("quarantine")).unwrap().count(), 1);
    let good = file(&store, "good.csv", "origin,event_timestamp,temp\nBOS,2024-03-01T13:00:00Z,1\n");
    assert_eq!(store.import_files("weather", &[good], &options).unwrap().quarantine, None);
    assert_eq!(fs::read_dir(store.path().join("quarantine")).unwrap().count(), 1);
}

/// Values that have no text form, or none in their range, once failed the import that should have set their rows aside.
#[test]
fn bad_rows_with_values_that_have_no_text_form_are_set_aside_too() {
    let view = weather().feature("seen", DataType::Timestamp).feature("runs", DataType::Int64);
    let view = view.feature("debt", "decimal(38,10)".parse().unwrap()).feature("parts", "list<int64>".parse().unwrap());
    let store = store_of(view);
    let (now, far) = (TIME / 1_000_000, i64::MAX / 1_000);
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2, 3]), &Int64Array::from(vec![7, 8])).unwrap();
    let item = Arc::new(Field::new("item", ArrowType::Int64, true));
    let elements: ArrayRef = Arc::new(Int64Array::from(vec![4, 5, 6]));
    let parts = ListViewArray::new(item, vec![0, 1, 2].into(), vec![1, 2, 0].into(), elements, None);
    let columns: [(&str, ArrayRef); 7] = [
        ("origin", Arc::new(StringArray::from(vec![Some("JFK"), Some("LGA"), None]))),
        ("event_timestamp", Arc::new(TimestampSecondArray::from(vec![now, far, now]))),
        ("seen", Arc::new(TimestampMillisecondArray::from(vec![Some(1), None, Some(i64::MAX)]))),
        ("temp", Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]))),
        ("debt", Arc::new(Decimal256Array::from_iter_values([1, 2, 3].map(i256::from)))),
        ("runs", Arc::new(runs)),
        ("parts", Arc::new(parts)),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let path = write_file(&store, "bad.arrow", &rows);
    let options = ImportOptions { bad_rows: BadRows::Quarantine, ..ImportOptions::default() };
    let report = store.import_files("weather", &[path], &options).unwrap();
    assert_eq!(counts(&report), (3, 1, 0, 2));
    let text = fs::read_to_string(report.quarantine.unwrap()).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines.iter().map(|line| line["values"].clone()).collect::<Vec<_>>(),
        [
            serde_json::json!({ "origin": "LGA", "event_timestamp": far.to_string(), "seen": null, "temp": 2.0,
                "debt": "0.0000000002", "runs": "7", "parts": "[5, 6]" }),
            serde_json::json!({ "origin": null, "event_timestamp": "2024-03-01T13:00:00Z", "seen": i64::MAX.to_string(),
                "temp": 3.0, "debt": "0.0000000003", "runs": "8", "parts": "[]" }),
        ]
    );
    assert!(lines[0]["reason"].as_str().unwrap().starts_with("column event_timestamp: wants timestamp"), "{text}");
}

#[test]
fn columns_are_found_as_the_source_says() {
    let mut source = Source::default()
        .event_timestamp("when")
        .created_timestamp("recorded")
        .rename("ORIGIN", "origin")
        .rename("TEMP_F", "temp");
    source.delimiter = Some(';');
    source.timestamp_format = Some("%d/%m/%Y %H:%M".into());
    let store = store_of(weather().source(source));
    let csv =
        "ORIGIN;when;recorded;TEMP_F;temp\nJFK;01/03/2024 13:00;01/03/2024 13:05;39;7\nJFK;01/03/2024 13:00;;1;7\n";
    let path = file(&store, "w.csv", csv);
    let report = import(&store, &[path]);
    assert_eq!((counts(&report), report.ignored.clone()), ((2, 2, 0, 0), vec!["temp".to_owned()]));
    assert_eq!(temp(&store, "JFK", 0), Value::Float64(39.0), "an absent created comes first");
    let json = "{\"ORIGIN\":\"LGA\",\"when\":\"01/03/2024 13:00\",\"TEMP_F\":5,\"other\":[1]}\n\
                {\"ORIGIN\":\"EWR\",\"when\":\"01/03/2024 13:00\",\"recorded\":\"01/03/2024 13:01\"}\n";
    let report = import(&store, &[file(&store, "w.jsonl", json)]);
    assert_eq!((counts(&report), report.ignored.clone()), ((2, 2, 0, 0), vec!["other".to_owned()]));
    assert_eq!((temp(&store, "LGA", 0), temp(&store, "EWR", 0)), (Value::Float64(5.0), Value::Null));
}

#[test]
fn a_constant_event_time_and_the_paths_of_all_views() {
    let project = Store::temporary().unwrap();
    let source = Source::file("data/w.csv").constant_event_time(asof::time::Timestamp(0));
    apply(&project, weather().source(source));
    file(&project, "data/w.csv", "origin,temp\nJFK,39\n");
    let mut reports = Vec::new();
    let mut import_all = || {
        let folder = project.path().with_file_name("");
        let done = |view, report: ImportReport| reports.push((view, counts(&report)));
        project.import_all(&folder, &ImportOptions::default(), done)
    };
    import_all().unwrap();
    assert_eq!(temp(&project, "JFK", 0), Value::Float64(39.0));
    fs::remove_file(project.path().with_file_name("data/w.csv")).unwrap();
    let error = import_all().unwrap_err();
    assert_eq!(reports, [("weather".to_owned(), (1, 1, 0, 0))]);
    assert!(error.to_string().starts_with("view weather: ") && error.to_string().contains("no such file"), "{error}");
}

#[test]
fn writers_of_the_same_rows_at_the_same_time_store_them_once() {
    let rows: Vec<(&str, i64, f64)> = (0..200).map(|i| ("JFK", i, 0.5)).collect();
    for round in 0..12 {
        let store = store_of(weather());
        let barrier = Barrier::new(3);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut bulk = store.bulk_writer("weather", BulkOptions::default()).unwrap();
                    bulk.write(&batch(&rows)).unwrap();
                    barrier.wait();
                    bulk.commit().unwrap();
                });
            }
            scope.spawn(|| {
                barrier.wait();
                for row in rows.iter().take(3) {
                    store.write("weather", &batch(&[("LGA", row.1, 1.0)])).unwrap();
                }
            });
        });
        assert_eq!(copies(&store, &batch(&rows)), 200, "round {round}");
    }
}

#[test]
fn imports_that_are_under_way_together_share_what_one_may_hold_in_memory() {
    let disk = MemDisk::new();
    let pieces = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&pieces);
    disk.on_operation(move |info| {
        let name = info.path.to_string_lossy();
        let is_piece = name.contains("scratch-") && name.ends_with(".arrow");
        *counted.lock().unwrap() += usize::from(is_piece && info.operation == Operation::Create);
    });
    let sizes = Sizes { import_bytes_max: Some(2 << 20), table_reserve_bytes: 64 << 20, ..Sizes::default() };
    let store = Store::builder().sizes(sizes).background(false).disk(Arc::new(disk)).open("/imports").unwrap();
    apply(&store, weather());
    let rows: Vec<_> = (0..35_000).map(|second| ("JFK", second, 1.0)).collect();
    let begin = |first: i64| {
        let mut writer = store.bulk_writer("weather", BulkOptions::default()).unwrap();
        let rows: Vec<_> = rows.iter().map(|(origin, second, temp)| (*origin, second + first, *temp)).collect();
        writer.write(&batch(&rows)).unwrap();
        writer
    };
    // One that is begun and left alone stops nobody.
    let idle = begin(0);
    for round in 1..=3 {
        let report = begin(round * 100_000).commit().unwrap();
        assert_eq!(counts(&report), (35_000, 35_000, 0, 0));
    }
    assert!(*pieces.lock().unwrap() > 0, "each holds a share of its own");
    drop(idle);
    *pieces.lock().unwrap() = 0;
    for round in 4..=6 {
        assert_eq!(counts(&begin(round * 100_000).commit().unwrap()), (35_000, 35_000, 0, 0));
    }
    assert_eq!(*pieces.lock().unwrap(), 0, "one alone, and what was held for others is free again");
    assert_eq!(store.views().unwrap()[0].rows_in_runs, 210_000);
}

#[test]
fn writes_that_land_while_an_imports_table_is_filled_are_in_it() {
    let view = FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64);
    for round in 0..2 {
        let store = store_of(view.clone());
        // Many rows of many keys, so that filling takes its time; and those that are written meanwhile.
        let names: Vec<String> = (0..70_000).map(|i| format!("airport {i}")).collect();
        let imported: Vec<(&str, i64, f64)> = names.iter().map(|name| (name.as_str(), 10, 0.5)).collect();
        store.write("weather", &batch(&imported[..100])).unwrap();
        let is_done = std::sync::atomic::AtomicBool::new(false);
        let written = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                // Late rows, newer ones, and keys that nobody else has; the last of each is the greatest.
                let mut written = 0_usize;
                while !is_done.load(std::sync::atomic::Ordering::SeqCst) {
                    let own = format!("own {written}");
                    let second = i64::try_from(written).unwrap();
                    let rows = [(names[written % 70_000].as_str(), 20, 1.5), (own.as_str(), second, 2.5)];
                    store.write("weather", &batch(&rows)).unwrap();
                    written += 1;
                }
                written
            });
            let mut bulk = store.bulk_writer("weather", BulkOptions::default()).unwrap();
            bulk.write(&batch(&imported)).unwrap();
            bulk.commit().unwrap();
            is_done.store(true, std::sync::atomic::Ordering::SeqCst);
            writer.join().unwrap()
        });
        assert!(written > 0);
        let mut online = store.online(&Features::list(["weather:temp"]).unwrap()).unwrap();
        let mut from_table = 0;
        for i in (0..70_000 + written).filter(|i| i % 13 == 0 || *i < 2_000 || *i >= 69_000) {
            let (name, expected) = match i.checked_sub(70_000) {
                Some(own) => (format!("own {own}"), 2.5),
                None => (names[i].clone(), if i < written { 1.5 } else { 0.5 }),
            };
            let key = online.key(&[("origin", name.as_str().into())]).unwrap();
            let row = online.get(&key, asof::time::Timestamp(i64::MAX)).unwrap();
            assert_eq!(row.f64(0), Some(expected), "round {round}: {name} of {written} written");
            from_table += usize::from(row.is_from_latest_table(0));
        }
        assert!(from_table > 5_000, "{from_table} answers out of the table");
    }
}

#[test]
fn an_import_cut_short_anywhere_is_made_up_for_by_importing_again() {
    let rows: Vec<(&str, i64, f64)> =
        (0..30).map(|i| ("JFK", i / 2, f64::from(u8::try_from(i % 2).unwrap()))).collect();
    let outside = store_of(weather());
    let one = write_file(&outside, "one.parquet", &batch(&rows[..20]));
    let two = write_file(&outside, "two.csv", &batch(&rows[10..]));
    let files = [one, two];
    let disk = MemDisk::new();
    let open = |disk: &MemDisk| Store::builder().disk(Arc::new(disk.clone())).open("/store").unwrap();
    let store = open(&disk);
    apply(&store, weather());
    store.write("weather", &batch(&rows[5..8])).unwrap();
    let images: Arc<Mutex<Vec<MemDisk>>> = Arc::default();
    let taken = Arc::clone(&images);
    disk.on_operation(move |info| {
        let modes = [CrashMode::DropAll, CrashMode::KeepAll, CrashMode::Random(info.number)];
        taken.lock().unwrap().extend(modes.map(|mode| info.disk.crash_image(mode)));
    });
    let report = store.import_files("weather", &files, &ImportOptions::default()).unwrap();
    assert_eq!(counts(&report), (40, 27, 13, 0));
    store.close().unwrap();
    let images = std::mem::take(&mut *images.lock().unwrap());
    assert!(images.len() > 50, "{} images", images.len());
    let mut found = [0, 0];
    for (number, image) in images.into_iter().enumerate() {
        let store = open(&image);
        let report = store.import_files("weather", &files, &ImportOptions::default()).unwrap();
        let is_whole = report.files.iter().all(|file| file.was_imported);
        assert!(is_whole || report.files.iter().all(|file| !file.was_imported), "image {number}: {report:?}");
        assert_eq!(report.rows_written, if is_whole { 0 } else { 27 }, "image {number}");
        found[usize::from(is_whole)] += 1;
        assert_eq!(copies(&store, &batch(&rows)), 30, "image {number}");
    }
    assert!(found[0] > 10 && found[1] > 3, "some before the commit, some after it: {found:?}");
}

#[test]
fn a_status_is_told_from_a_null() {
    let store = store_of(weather());
    let path = file(&store, "w.csv", "origin,event_timestamp,temp\nJFK,2024-03-01T13:00:00Z,\n");
    import(&store, &[path]);
    let answer = store
        .get(&Features::list(["weather:temp"]).unwrap(), &[("origin", "JFK".into())], &GetOptions::default())
        .unwrap();
    assert_eq!(answer[0].status, Status::NullValue);
}

/// Every type, with a null, its odd values and plain ones.
fn every_type() -> Vec<(&'static str, Vec<Value>)> {
    use Value::Null;
    let text = |text: &str| Value::String(text.to_owned());
    let json = |text: &str| Value::Json(text.to_owned());
    vec![
        ("bool", vec![Value::Bool(true), Null, Value::Bool(false)]),
        ("int32", vec![Value::Int32(i32::MIN), Null, Value::Int32(7)]),
        ("int64", vec![Value::Int64(i64::MIN), Null, Value::Int64(i64::MAX)]),
        ("float32", vec![Value::Float32(0.1), Null, Value::Float32(f32::NEG_INFINITY)]),
        ("float64", vec![Value::Float64(-0.0), Null, Value::Float64(f64::INFINITY)]),
        ("string", vec![text(""), Null, text(" a,\"b\"\t\r\n'c' \u{e9}")]),
        ("bytes", vec![Value::Bytes(vec![]), Null, Value::Bytes(vec![0, 255, 10])]),
        ("timestamp", vec![Value::Timestamp(-1), Null, Value::Timestamp(TIME + 123_456)]),
        ("date", vec![Value::Date(-1), Null, Value::Date(20_513)]),
        ("decimal(38,3)", vec![Value::Decimal(-1), Null, Value::Decimal(10_i128.pow(38) - 1)]),
        ("uuid", vec![Value::Uuid([0; 16]), Null, Value::Uuid([0xab; 16])]),
        ("json", vec![json("{\"a\":[1,null]}"), Null, json("12345678901234567890123")]),
        ("list<int64>", vec![Value::List(vec![]), Null, Value::List(vec![Value::Int64(1), Null])]),
        ("list<string>", vec![Value::List(vec![text("a,\"")]), Null, Value::List(vec![Null])]),
        ("list<timestamp>", vec![Value::List(vec![Value::Timestamp(TIME)]), Null, Value::List(vec![])]),
        ("vector<2>", vec![Value::Vector(vec![0.1, 2.0]), Null, Value::Vector(vec![f32::INFINITY, -0.0])]),
    ]
}

/// Every type that keys may have.
fn every_key() -> Vec<(&'static str, Vec<Value>)> {
    let is_key = |(dtype, _): &(&str, Vec<Value>)| {
        ["bool", "int32", "int64", "string", "bytes", "timestamp", "date", "uuid"].contains(dtype)
    };
    let mut keys: Vec<_> = every_type().into_iter().filter(is_key).collect();
    keys.iter_mut().for_each(|(_, values)| values[1] = values[2].clone());
    // What tells the second key from the third.
    keys[2].1[1] = Value::Int64(0);
    keys
}

#[test]
fn every_type_comes_in_from_every_format_and_out_of_every_read() {
    let dtype = |text: &str| text.parse::<DataType>().unwrap();
    let (keys, features) = (every_key(), every_type());
    let name = |prefix: &str, dtype: &str| format!("{prefix}_{}", dtype.replace(|c: char| !c.is_alphanumeric(), "_"));
    let mut view = FeatureView::new("v").entity("thing");
    for (text, _) in &features {
        view = view.feature(name("f", text), dtype(text));
    }
    let join_keys = keys.iter().map(|(text, _)| (name("k", text), dtype(text)));
    let definitions = Definitions::new("types").entity("thing", join_keys).view(view);
    let columns = keys.iter().map(|column| ("k", column)).chain(features.iter().map(|column| ("f", column)));
    let mut fields = vec![typed_field("event_timestamp", &DataType::Timestamp)];
    let times = [0, 1, 2].map(|second| Value::Timestamp(TIME + second * 1_000_000));
    let mut arrays = vec![array_from_values(&DataType::Timestamp, &times).unwrap()];
    for (prefix, (text, values)) in columns {
        fields.push(typed_field(&name(prefix, text), &dtype(text)));
        arrays.push(array_from_values(&dtype(text), values).unwrap());
    }
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    for file in ["a.parquet", "a.arrow", "a.csv", "a.tsv", "a.jsonl"] {
        let mut store = Store::temporary().unwrap();
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        let path = write_file(&store, file, &rows);
        let report = store.import_files("v", &[path], &ImportOptions::default()).unwrap();
        assert_eq!(counts(&report), (3, 3, 0, 0), "{file}");
        let again = store.write("v", &rows);
        assert_eq!(again.unwrap().rows, 3);
        let skipped = ImportOptions { allow_future: true, ..ImportOptions::default() };
        let twice = [write_file(&store, file, &rows)];
        assert_eq!(counts(&store.import_files("v", &twice, &skipped).unwrap()), (3, 0, 3, 0), "{file}: equal to both");
        store.reopen().unwrap();

        for (row, time) in times.iter().enumerate() {
            let entity: Vec<(String, Value)> =
                keys.iter().map(|(text, values)| (name("k", text), values[row].clone())).collect();
            let entity: Vec<(&str, Value)> = entity.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
            let answer = store.get(&Features::list(["v:*"]).unwrap(), &entity, &GetOptions::default()).unwrap();
            for ((text, values), answer) in features.iter().zip(&answer) {
                assert_eq!(answer.value, values[row], "{file}: {text} of row {row}, get");
                assert_eq!(answer.event_ts.map(|at| Value::Timestamp(at.0)).as_ref(), Some(time));
            }
        }
        let request = HistoricalRequest::features(["v:*"]).unwrap();
        let spine = rows.project(&(0..=keys.len()).collect::<Vec<_>>()).unwrap();
        let spine = RecordBatchIterator::new([Ok(spine.clone())], spine.schema());
        let joined = store.get_historical_features(spine, &request).unwrap().next().unwrap().unwrap();
        for (text, values) in &features {
            let column = joined.column_by_name(&name("f", text)).unwrap();
            let found: Vec<Value> = (0..3).map(|row| value_at(column, &dtype(text), row)).collect();
            assert_eq!(&found, values, "{file}: {text}, history");
        }
        let mut scanned = 0;
        for batch in store.scan("v", &ScanOptions::default()).unwrap() {
            let batch = batch.unwrap();
            let numbers = batch.column_by_name("k_int64").unwrap();
            for at in 0..batch.num_rows() {
                let number = value_at(numbers, &DataType::Int64, at);
                let row = keys[2].1.iter().position(|key| *key == number).unwrap();
                for (prefix, (text, values)) in
                    keys.iter().map(|column| ("k", column)).chain(features.iter().map(|column| ("f", column)))
                {
                    let column = batch.column_by_name(&name(prefix, text)).unwrap();
                    assert_eq!(value_at(column, &dtype(text), at), values[row], "{file}: {text} of row {row}, scan");
                }
                scanned += 1;
            }
        }
        assert_eq!(scanned, 6, "{file}");
    }
}

#[test]
fn an_export_comes_back_whole_deletes_and_all_and_once() {
    let store = store_of(weather());
    store.write("weather", &batch(&[("JFK", 0, 39.0), ("LGA", 86_400, 41.5), ("JFK", 90_000, 40.0)])).unwrap();
    let at = Some(asof::time::Timestamp(TIME + 7_200_000_000));
    store
        .delete("weather", &[("origin", "JFK".into())], &asof::DeleteOptions { at, ..asof::DeleteOptions::default() })
        .unwrap();
    let folder = store.path().with_file_name("export");
    let options = ExportOptions { partition: Partition::Date, ..ExportOptions::default() };
    assert_eq!(store.export("weather", &folder, &options).unwrap().rows, 4);
    let other = store_of(weather());
    let report = import(&other, std::slice::from_ref(&folder));
    assert_eq!((counts(&report), report.files.len(), report.ignored.len()), ((4, 4, 0, 0), 2, 0));
    for store in [&store, &other] {
        assert_eq!(temp(store, "JFK", 7_199), Value::Float64(39.0));
        assert_eq!(temp(store, "JFK", 7_200), Value::Null, "deleted");
        assert_eq!(temp(store, "JFK", 90_000), Value::Float64(40.0));
    }
    // The rows where they came from: known, the delete too.
    assert_eq!(counts(&import(&store, std::slice::from_ref(&folder))), (4, 0, 4, 0));
    assert_eq!(counts(&import(&other, &[folder])), (0, 0, 0, 0));
}

/// Two exports of a view into one folder once wrote through the same temporary names, each over the other's half.
#[test]
fn of_two_exports_into_one_folder_at_the_same_time_one_is_whole_and_the_other_is_refused() {
    let store = store_of(weather());
    let rows: Vec<(&str, i64, f64)> = (0..20_000).map(|second| ("JFK", second, 1.0)).collect();
    store.write("weather", &batch(&rows)).unwrap();
    for round in 0..8 {
        let folder = store.path().with_file_name(format!("out-{round}"));
        let partition = if round % 2 == 0 { Partition::None } else { Partition::Date };
        let options = ExportOptions { partition, ..ExportOptions::default() };
        let start = Barrier::new(2);
        let results: Vec<_> = std::thread::scope(|scope| {
            let export = || {
                start.wait();
                store.export("weather", &folder, &options)
            };
            let threads = [scope.spawn(export), scope.spawn(export)];
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (whole, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!((whole.len(), refused.len()), (1, 1), "{whole:?} {refused:?}");
        assert_eq!(whole[0].as_ref().unwrap().rows, 20_000);
        let why = refused[0].as_ref().unwrap_err().to_string();
        assert!(why.contains("the folder is not empty"), "{why}");
        let names: Vec<_> =
            fs::read_dir(folder.join("weather")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["v1"]);
        let back = store_of(weather());
        let path = folder.join("weather/v1");
        assert_eq!(counts(&back.import_files("weather", &[path], &ImportOptions::default()).unwrap()).1, 20_000);
    }
}

/// Sources with one of their clocks in the event id, as `ts`, and two rows of each.
fn with_a_clock_in_the_event_id() -> [(Source, &'static str); 3] {
    [
        (
            Source::default().event_timestamp("ts"),
            "origin,ts,temp\nJFK,2024-03-01T13:00:00Z,1\nJFK,2024-03-01T14:00:00Z,2\n",
        ),
        (
            Source::default().event_timestamp("at").created_timestamp("ts"),
            "origin,at,ts,temp\nJFK,2024-03-01T13:00:00Z,2024-03-01T13:01:00Z,1\nJFK,2024-03-01T13:00:00Z,2024-03-01T13:02:00Z,2\n",
        ),
        (
            Source::default().constant_event_time(asof::time::Timestamp(TIME)).created_timestamp("ts"),
            "origin,ts,temp\nJFK,2024-03-01T13:01:00Z,1\nJFK,2024-03-01T13:02:00Z,2\n",
        ),
    ]
}

#[test]
fn a_version_is_copied_where_a_clock_is_in_the_event_id() {
    for (source, csv) in with_a_clock_in_the_event_id() {
        let view = || weather().source(source.clone()).event_id("ts", DataType::Timestamp);
        let store = store_of(view());
        import(&store, &[file(&store, "w.csv", csv)]);
        let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(view());
        store.apply(&definitions.view(view().version(2)), ApplyOptions::default()).unwrap();
        assert_eq!(store.import_version("weather@2", 1).unwrap().rows_written, 2, "{csv}");
        assert_eq!(store.import_version("weather@2", 1).unwrap().rows_written, 0, "{csv}");
        let rows = |view: &str| -> Vec<ArrayRef> {
            let scan = store.scan(view, &ScanOptions::default()).unwrap();
            scan.flat_map(|batch| batch.unwrap().columns().to_vec()).collect()
        };
        assert_eq!(rows("weather@1"), rows("weather@2"), "{csv}");
    }
}

/// Where a clock may be in the event id, the column stands once in an export, and serves for both when it comes back.
#[test]
fn an_export_comes_back_where_a_clock_is_in_the_event_id() {
    for (source, csv) in with_a_clock_in_the_event_id() {
        let view = || weather().source(source.clone()).event_id("ts", DataType::Timestamp);
        let store = store_of(view());
        assert_eq!(counts(&import(&store, &[file(&store, "w.csv", csv)])), (2, 2, 0, 0), "{csv}");
        let folder = store.path().with_file_name("out");
        store.export("weather", &folder, &ExportOptions::default()).unwrap();
        let back = store_of(view());
        assert_eq!(counts(&import(&back, &[folder])), (2, 2, 0, 0), "{csv}");
        let rows = |store: &Store| -> Vec<RecordBatch> {
            store.scan("weather", &ScanOptions::default()).unwrap().map(Result::unwrap).collect()
        };
        let columns = |rows: &[RecordBatch]| rows.iter().flat_map(|batch| batch.columns().to_vec()).collect::<Vec<_>>();
        assert_eq!(columns(&rows(&store)), columns(&rows(&back)), "{csv}");
    }
}

/// The delete came back with an event id, which it was stored without: as one more row, after those that were written over it.
#[test]
fn a_delete_is_known_where_a_clock_is_in_the_event_id() {
    let view = || weather().source(Source::default().event_timestamp("ts")).event_id("ts", DataType::Timestamp);
    let store = store_of(view());
    let first = file(&store, "1.csv", "origin,ts,temp\nJFK,2024-03-01T13:00:00Z,1\n");
    let again = file(&store, "2.csv", "origin,ts,temp\nJFK,2024-03-01T14:00:00Z,2\n");
    import(&store, &[first]);
    let at = Some(asof::time::Timestamp(TIME + 3_600_000_000));
    let delete = asof::DeleteOptions { at, ..asof::DeleteOptions::default() };
    store.delete("weather", &[("origin", "JFK".into())], &delete).unwrap();
    import(&store, &[again]);
    assert_eq!(temp(&store, "JFK", 3_600), Value::Float64(2.0), "written over the delete");
    let folder = store.path().with_file_name("out");
    store.export("weather", &folder, &ExportOptions::default()).unwrap();
    assert_eq!(counts(&import(&store, std::slice::from_ref(&folder))), (3, 0, 3, 0));
    assert_eq!(temp(&store, "JFK", 3_600), Value::Float64(2.0), "hidden by the delete that came back");
    // A store that has the delete with its event id knows it without.
    let back = store_of(view());
    assert_eq!(counts(&import(&back, std::slice::from_ref(&folder))), (3, 3, 0, 0));
    back.delete("weather", &[("origin", "JFK".into())], &delete).unwrap();
    let again = back.path().with_file_name("again");
    back.export("weather", &again, &ExportOptions::default()).unwrap();
    assert_eq!(counts(&import(&back, &[again])), (4, 0, 4, 0));
    assert_eq!(temp(&back, "JFK", 3_600), Value::Null, "deleted once more");
}

#[test]
fn an_imported_row_says_which_file_it_came_from() {
    let store = store_of(weather());
    let one = file(&store, "one.csv", "origin,event_timestamp,temp\nJFK,2024-03-01T13:00:00Z,1\n");
    let two = file(
        &store,
        "two.csv",
        "origin,event_timestamp,temp\nLGA,2024-03-01T13:00:00Z,1\nEWR,2024-03-01T13:00:00Z,1\n",
    );
    let options = ImportOptions { source: Some("nightly".into()), ..ImportOptions::default() };
    store.import_files("weather", &[one.clone(), two.clone()], &options).unwrap();
    store.compact().unwrap();
    for (origin, path) in [("JFK", one), ("LGA", two.clone()), ("EWR", two)] {
        let told = store.explain("weather:temp", &[("origin", origin.into())], &GetOptions::default()).unwrap();
        let row = told.row.unwrap();
        let provenance = row.provenance.unwrap();
        assert_eq!(provenance.source.as_deref(), Some("nightly"), "{origin}");
        assert_eq!(provenance.by, Some(path.to_string_lossy().into_owned()), "{origin}");
    }
}

/// It failed for the column of the new feature, so that a folder of files could not be imported again.
#[test]
fn a_file_of_before_a_feature_was_added_is_known_unless_it_has_the_feature() {
    let with = |features: &[&str]| {
        let add = |view: FeatureView, name: &&str| view.with(Feature::new(*name, DataType::Float64).min("0"));
        features.iter().fold(weather(), add)
    };
    let csv = "origin,event_timestamp,temp,rain,note\nJFK,2024-03-01T13:00:00Z,39,5,a\n";
    for (name, contents) in [("w.csv", Some(csv)), ("w.parquet", None), ("w.jsonl", None)] {
        let mut store = store_of(weather());
        let path = match contents {
            Some(contents) => [file(&store, name, contents)],
            None => [write_file(&store, name, &batch(&[("JFK", 0, 39.0)]))],
        };
        assert_eq!(counts(&import(&store, &path)), (1, 1, 0, 0), "{name}");
        // Two at once, and one more; the store is opened anew in between.
        apply(&store, with(&["wind", "haze"]));
        let again = import(&store, &path);
        assert_eq!((again.rows_written, again.seq), (0, None), "{name}");
        assert_eq!(again.files[0].was_imported, name != "w.jsonl", "{name}: any row of JSON Lines may have it");
        assert_eq!(again.ignored, if name == "w.csv" { vec!["rain", "note"] } else { vec![] }, "{name}");
        store.reopen().unwrap();
        apply(&store, with(&["wind", "haze", "snow"]));
        assert_eq!(import(&store, &path).rows_written, 0, "{name}");
        // Asked to append, it is an import of rows without the feature.
        let append = ImportOptions { append: true, ..ImportOptions::default() };
        let appended = store.import_files("weather", &path, &append);
        if name == "w.jsonl" {
            assert_eq!(counts(&appended.unwrap()), (1, 1, 0, 0));
        } else {
            let error = appended.unwrap_err().to_string();
            assert!(error.contains("missing columns: wind, haze, snow; the columns there are: origin,"), "{error}");
            assert!(error.contains("give it a column of nulls"), "{error}");
        }
        // Never seen before, it may be a mistake.
        if name == "w.csv" {
            let error = import_error(&store, &file(&store, "x.csv", &csv.replace("39", "40")));
            assert!(error.contains("missing columns: wind, haze, snow"), "{error}");
        }
    }

    // It has the feature, by its name or one like it.
    let store = store_of(weather());
    let path = [file(&store, "w.csv", csv)];
    import(&store, &path);
    apply(&store, with(&["rains"]));
    let error = import_error(&store, &path[0]);
    assert!(error.contains("did you mean source = { rename = { rain = \"rains\" } } in the view?"), "{error}");
    let store = store_of(weather());
    let path = [file(&store, "w.csv", csv)];
    import(&store, &path);
    apply(&store, with(&["rain"]));
    assert_eq!(counts(&import(&store, &path)), (1, 1, 0, 0));
    // What else is asked of the rows is another import.
    let store = store_of(weather());
    let path = [file(&store, "w.csv", csv)];
    import(&store, &path);
    let mut colder = with(&["wind"]);
    colder.features[0] = Feature::new("temp", DataType::Float64).max("38");
    apply(&store, colder);
    let error = import_error(&store, &path[0]);
    assert!(error.contains("missing column: wind"), "{error}");
}

#[test]
fn a_file_of_before_a_feature_was_added_is_known_to_the_process_that_holds_the_store_too() {
    // A temporary store serves nobody; one in its folder does, and goes with it.
    let folder = Store::temporary().unwrap();
    let dir = folder.path().with_file_name("held");
    let holder = Store::builder().open(&dir).unwrap();
    let other = Store::builder().open_or_forward(&dir).unwrap();
    apply(&other, weather());
    let path = [file(&folder, "w.csv", "origin,event_timestamp,temp\nJFK,2024-03-01T13:00:00Z,39\n")];
    assert_eq!(import(&other, &path).rows_written, 1);
    apply(&other, weather().feature("wind", DataType::Float64));
    for store in [&holder, &other] {
        assert!(import(store, &path).files[0].was_imported);
    }
}

/// Which file the row of an airport came from.
fn came_from(store: &Store, origin: &str) -> Option<String> {
    let told = store.explain("weather:temp", &[("origin", origin.into())], &GetOptions::default()).unwrap();
    told.row.unwrap().provenance.unwrap().by
}

#[test]
fn a_file_that_two_import_at_once_is_in_the_ledger_as_the_first_imported_it() {
    let store = store_of(weather());
    let mut both = ["first.csv", "second.csv"].map(|name| {
        let mut bulk = store.bulk_writer("weather", BulkOptions::default()).unwrap();
        assert!(!bulk.was_imported("digest").unwrap());
        bulk.begin_file(name).unwrap();
        bulk.write(&batch(&[("JFK", 0, 1.0), ("LGA", 0, 2.0)])).unwrap();
        bulk.end_file("digest", 0).unwrap();
        Some(bulk)
    });
    let written = [0, 1].map(|i| both[i].take().unwrap().commit().unwrap().rows_written);
    assert_eq!(written, [2, 0]);
    assert_eq!(came_from(&store, "LGA").as_deref(), Some("first.csv"));
}

#[test]
fn an_appended_file_is_in_the_ledger_and_keeps_nobody_from_importing_it() {
    let mut store = store_of(weather());
    let path = file(&store, "w.csv", "origin,event_timestamp,temp\nJFK,2024-03-01T13:00:00Z,1\n");
    let append = ImportOptions { append: true, ..ImportOptions::default() };
    for _ in 0..2 {
        let report = store.import_files("weather", std::slice::from_ref(&path), &append).unwrap();
        assert_eq!((counts(&report), report.files[0].was_imported), ((1, 1, 0, 0), false));
    }
    assert_eq!(came_from(&store, "JFK"), Some(path.to_string_lossy().into_owned()));
    let report = import(&store, std::slice::from_ref(&path));
    assert_eq!((counts(&report), report.files[0].was_imported), ((1, 0, 1, 0), false), "its rows are looked for");
    store.reopen().unwrap();
    assert!(import(&store, &[path]).files[0].was_imported);
}

#[test]
fn rows_that_an_import_had_counted_as_known_are_not_counted_again_when_others_write_meanwhile() {
    let rows: Vec<(&str, i64, f64)> = (0..200).map(|i| ("JFK", i, 0.5)).collect();
    for round in 0..6 {
        let store = store_of(weather());
        store.write("weather", &batch(&rows)).unwrap();
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for second in 0.. {
                    if is_done.load(std::sync::atomic::Ordering::SeqCst) {
                        break;
                    }
                    store.write("weather", &batch(&[("LGA", second, 1.0)])).unwrap();
                }
            });
            let mut bulk = store.bulk_writer("weather", BulkOptions::default()).unwrap();
            bulk.write(&batch(&rows)).unwrap();
            bulk.write(&batch(&rows)).unwrap();
            let report = bulk.commit().unwrap();
            is_done.store(true, std::sync::atomic::Ordering::SeqCst);
            assert_eq!((report.rows_written, report.rows_skipped), (200, 200), "round {round}");
        });
        assert_eq!(copies(&store, &batch(&rows)), 400, "round {round}");
    }
}

#[test]
fn a_new_version_takes_over_what_it_shares_with_an_older_one() {
    let old = FeatureView::new("weather")
        .entity("airport")
        .feature("temp", DataType::Float64)
        .feature("gusts", DataType::Int64)
        .feature("note", DataType::String)
        .source(Source::default().event_timestamp("when").rename("t", "temp"));
    let new = FeatureView::new("weather")
        .version(2)
        .entity("airport")
        .feature("wind", DataType::Float64)
        .feature("temp", DataType::Float64)
        .feature("gusts", DataType::Float64)
        .source(Source::default().rename("wind_mph", "wind"));
    let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(old).view(new);
    let store = Store::temporary().unwrap();
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let csv = "origin,when,t,gusts,note\n\
               JFK,2024-03-01T13:00:00Z,39,7,a\n\
               JFK,2024-03-01T13:00:00Z,40,8,corrected\n\
               LGA,2024-03-01T13:00:00Z,,,\n";
    let path = [file(&store, "w.csv", csv)];
    store.import_files("weather@1", &path, &ImportOptions::default()).unwrap();
    let at = Some(asof::time::Timestamp(TIME + 60_000_000));
    let delete = asof::DeleteOptions { at, ..asof::DeleteOptions::default() };
    store.delete("weather@1", &[("origin", "JFK".into())], &delete).unwrap();

    let report = store.import_version("weather@2", 1).unwrap();
    assert_eq!((counts(&report), report.ignored.clone()), ((4, 4, 0, 0), vec!["note".to_owned()]));
    let read = |origin: &str, second: i64| -> Vec<(Status, Value)> {
        let at = Some(asof::time::Timestamp(TIME + second * 1_000_000));
        let features = Features::list(["weather@2:temp", "weather@2:gusts", "weather@2:wind"]).unwrap();
        let options = GetOptions { at, ..GetOptions::default() };
        let answer = store.get(&features, &[("origin", origin.into())], &options).unwrap();
        answer.into_iter().map(|value| (value.status, value.value)).collect()
    };
    let null = (Status::NullValue, Value::Null);
    let present = |value| (Status::Present, Value::Float64(value));
    assert_eq!(read("JFK", 0), [present(40.0), present(8.0), null.clone()], "the later of two rows still wins");
    assert_eq!(read("JFK", 60)[0].0, Status::NotFound, "the delete came too");
    assert_eq!(read("LGA", 60), [null.clone(), null.clone(), null]);
    assert_eq!(counts(&store.import_version("weather@2", 1).unwrap()), (4, 0, 4, 0));

    let error = store.import_version("weather@2", 2).unwrap_err();
    assert!(error.to_string().starts_with("weather@2 cannot be copied into itself"), "{error}");
    let error = store.import_version("weather@2", 7).unwrap_err();
    assert!(error.to_string().contains("weather@7"), "{error}");
}

/// Nothing that was imported into it at the constant could ever win over a row that was copied with a later time, whichever way
/// it came.
#[test]
fn rows_with_times_of_their_own_are_not_copied_to_a_constant_event_time() {
    let view = |version: u32, source: Source| {
        let view = FeatureView::new("weather").version(version).entity("airport").feature("temp", DataType::Float64);
        view.source(source)
    };
    let constant = |at: i64| Source::default().constant_event_time(asof::time::Timestamp(at));
    let definitions = Definitions::new("flights")
        .entity("airport", [("origin", DataType::String)])
        .view(view(1, Source::default()))
        .view(view(2, constant(TIME)))
        .view(view(3, constant(TIME)))
        .view(view(4, constant(0)));
    let store = Store::temporary().unwrap();
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let csv = file(&store, "w.csv", "origin,temp\nJFK,39\n");
    store.import_files("weather@2", &[csv], &ImportOptions::default()).unwrap();
    for (to, from, times) in [
        ("weather@2", 1, "those of weather@1 have times of their own"),
        ("weather@4", 2, "those of weather@2 are of 2024-03-01T13:00:00Z"),
    ] {
        let error = store.import_version(to, from).unwrap_err();
        assert_eq!(error.kind(), asof::ErrorKind::Refused);
        assert!(error.to_string().contains(&format!("every row of {to} is of ")), "{error}");
        assert!(error.to_string().contains(times), "{error}");
    }
    for (to, from) in [("weather@3", 2), ("weather@1", 2)] {
        assert_eq!(counts(&store.import_version(to, from).unwrap()), (1, 1, 0, 0), "to {to}");
    }

    // Beside the row of the constant, one of a time of its own, and a delete.
    store.write("weather@1", &batch(&[("JFK", 60, 40.0)])).unwrap();
    let at = Some(asof::time::Timestamp(TIME + 120_000_000));
    let delete = asof::DeleteOptions { at, ..asof::DeleteOptions::default() };
    store.delete("weather@1", &[("origin", "LGA".into())], &delete).unwrap();
    let folder = store.path().with_file_name("out");
    store.export("weather@1", &folder, &ExportOptions::default()).unwrap();
    let reason = "of 2024-03-01T13:01:00Z in weather@1, and every row of weather@2 is of 2024-03-01T13:00:00Z";
    let error = store.import_files("weather@2", std::slice::from_ref(&folder), &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().contains(reason), "an export of the other version: {error}");
    // What the old version's source says today does not concern the rows that it has.
    let today = Definitions::new("flights")
        .entity("airport", [("origin", DataType::String)])
        .view(view(1, constant(TIME)))
        .view(view(2, constant(TIME)));
    store.apply(&today, ApplyOptions::default()).unwrap();
    let error = store.import_version("weather@2", 1).unwrap_err();
    assert!(error.to_string().contains("view weather@1: origin=JFK at 2024-03-01T13:01:00Z: "), "{error}");
    assert!(error.to_string().contains(reason), "{error}");
    let quarantine = ImportOptions { bad_rows: BadRows::Quarantine, ..ImportOptions::default() };
    let report = store.import_files("weather@2", &[folder], &quarantine).unwrap();
    assert_eq!(counts(&report), (3, 1, 1, 1), "the delete was written, the row of the constant is there");
}

/// The keys of the first 10,000 rows were looked at, and those of later rows ignored: files without any of the features, and files with
/// misspelt ones, were rows of nulls.
#[test]
fn a_long_json_lines_file_is_refused_for_what_a_short_one_is() {
    let with = |more: &str| format!("{{\"origin\":\"A0\",\"event_timestamp\":\"2026-02-01T00:00:00Z\"{more}}}\n");
    let long = |first: &str, last: &str| with(first).repeat(10_000) + &with(last);
    let other_keys: String = (0..300).map(|id| format!(",\"k{id}\":1")).collect();
    let view = || FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64);
    let view = || view().feature("visib", DataType::Int64);
    let renamed = Source { rename: [("warmth".to_owned(), "temp".to_owned())].into(), ..Source::default() };
    for (source, lines, refused) in [
        (Source::default(), long(",\"temperature\":0.5,\"visibility\":9", ""), "missing columns: temp, visib; "),
        (Source::default(), long(",\"visib\":9", ",\"tmep\":1"), "rename = { tmep = \"temp\" }"),
        (Source::default(), long(",\"visib\":9", &format!("{other_keys},\"tmep\":1")), "missing column: temp; "),
        (renamed, long(",\"visib\":9", ",\"temp\":1"), "the key 'temp' is first met too far down"),
    ] {
        // A temporary store serves nobody; one in its folder does, and goes with it.
        let folder = Store::temporary().unwrap();
        let dir = folder.path().with_file_name("held");
        let holder = Store::builder().open(&dir).unwrap();
        let other = Store::builder().open_or_forward(&dir).unwrap();
        let good = file(&folder, "rows/a.jsonl", &with(",\"temp\":1,\"visib\":2"));
        let bad = file(&folder, "rows/b.jsonl", &lines);
        let rows = folder.path().with_file_name("rows");
        apply(&holder, view().source(Source { path: Some(rows.clone()), ..source }));
        let quarantine = ImportOptions { bad_rows: BadRows::Quarantine, ..ImportOptions::default() };
        for (store, options) in [(&holder, &ImportOptions::default()), (&other, &quarantine)] {
            for result in [
                store.import_files("weather", std::slice::from_ref(&bad), options).map(|_| ()),
                store.import_files("weather", &[good.clone(), bad.clone()], options).map(|_| ()),
                store.import_files("weather", std::slice::from_ref(&rows), options).map(|_| ()),
                store.import_all(&dir, options, |_, _| {}),
            ] {
                let text = result.unwrap_err().to_string();
                assert!(text.contains("rows/b.jsonl: view weather@1: ") && text.contains(refused), "{text}");
            }
        }
        let report = import(&holder, &[good]);
        assert_eq!(counts(&report), (1, 1, 0, 0), "{refused}: a row was written");
        let set_aside = fs::read_dir(dir.join("quarantine")).map_or(0, |files| files.count());
        assert_eq!(set_aside, 0, "{refused}: a file of bad rows was left");
    }
    // A file of before a feature was added says nothing of it, and a row may speak of one late.
    for last in ["", ",\"note\":\"x\"", ",\"temp\":1"] {
        let store = store_of(view());
        let path = [file(&store, "w.jsonl", &long(",\"visib\":9", last))];
        assert_eq!(import(&store, &path).rows_written, 10_001, "{last}");
    }
}

/// Rows without a join key or a time are set aside, and a long file that begins with them was said to have no such column.
#[test]
fn rows_that_lack_a_key_are_set_aside_however_many_there_are_before_one_that_has_it() {
    let quarantine = ImportOptions { bad_rows: BadRows::Quarantine, ..ImportOptions::default() };
    let row = "{\"origin\":\"A0\",\"event_timestamp\":\"2026-02-01T00:00:00Z\",\"temp\":1}\n";
    for (key, without) in [
        ("event_timestamp", "{\"origin\":\"A0\",\"temp\":1}\n"),
        ("origin", "{\"event_timestamp\":\"2026-02-01T00:00:00Z\",\"temp\":1}\n"),
    ] {
        for count in [99, 10_000] {
            let store = store_of(weather());
            let path = [file(&store, "w.jsonl", &(without.repeat(count) + row))];
            let report = store.import_files("weather", &path, &quarantine).unwrap();
            let count = count as u64;
            assert_eq!(counts(&report), (count + 1, 1, 0, count), "without {key}");
        }
        // Where no row has it, the whole file is at fault.
        let store = store_of(weather());
        let path = [file(&store, "w.jsonl", &without.repeat(10_001))];
        let text = store.import_files("weather", &path, &quarantine).unwrap_err().to_string();
        assert!(text.contains(&format!("missing column: {key}; ")), "{text}");
        let set_aside = fs::read_dir(store.path().join("quarantine")).map_or(0, |files| files.count());
        assert_eq!(set_aside, 0, "without {key}: a file of bad rows was left");
    }
}

#[test]
fn a_delete_far_down_a_json_lines_file_is_a_delete() {
    let read = |store: &Store, id: i64, day: i64| {
        let at = Some(asof::time::Timestamp(day * 86_400_000_000));
        let options = GetOptions { at, ..GetOptions::default() };
        store.get(&Features::list(["v:x"]).unwrap(), &[("id", id.into())], &options).unwrap()[0].status
    };
    let constant = || Source::default().constant_event_time(asof::time::Timestamp(0));
    let (there, gone) = (Status::Present, Status::NotFound);
    // With a constant event time it was a value of nulls, and the file was said to have a column _deleted that nobody knows.
    for (source, times, statuses) in [
        (Source::default(), ["1970-01-01T00:00:00Z", "1970-01-03T00:00:00Z"], [there, gone]),
        (constant(), ["", "1970-01-03T00:00:00Z"], [there, gone]),
        (constant(), ["", ""], [gone, gone]),
    ] {
        let store = Store::temporary().unwrap();
        let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64).source(source);
        let definitions = Definitions::new("deletes").entity("thing", [("id", DataType::Int64)]).view(view);
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        let [time, delete_time] = times.map(|time| match time {
            "" => String::new(),
            time => format!("\"event_timestamp\":\"{time}\","),
        });
        let mut lines: String = (0..10_050).map(|id| format!("{{\"id\":{id},{time}\"x\":1}}\n")).collect();
        lines += &format!("{{\"id\":7,{delete_time}\"_deleted\":true}}\n");
        let path = file(&store, "rows.jsonl", &lines);
        let report = store.import_files("v", &[path], &ImportOptions::default()).unwrap();
        assert_eq!((report.rows_written, report.ignored), (10_051, vec![]), "{times:?}");
        assert_eq!([read(&store, 7, 1), read(&store, 7, 4)], statuses, "{times:?}");
        assert_eq!(read(&store, 8, 4), there, "{times:?}");
    }
}

/// Status of a weather row on the days 1 and 4.
fn on_both_days(store: &Store, origin: &str) -> [Status; 2] {
    [1, 4].map(|day| {
        let at = Some(asof::time::Timestamp(day * 86_400_000_000));
        let options = GetOptions { at, ..GetOptions::default() };
        let features = Features::list(["weather:temp"]).unwrap();
        store.get(&features, &[("origin", origin.into())], &options).unwrap()[0].status
    })
}

fn always_true() -> FeatureView {
    weather().source(Source::default().constant_event_time(asof::time::Timestamp(0)))
}

const THIRD_DAY_US: i64 = 2 * 86_400_000_000;

/// The same rows as one file of each format: origin, event timestamp where the file has them, temperature, whether deleted.
fn deletes_and_values(store: &TemporaryStore, times: Option<[Option<i64>; 4]>) -> Vec<PathBuf> {
    let mut columns = vec![("origin", Arc::new(StringArray::from(vec!["JFK", "JFK", "LGA", "EWR"])) as ArrayRef)];
    if let Some(times) = times {
        let times = TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC");
        columns.push(("event_timestamp", Arc::new(times)));
    }
    columns.push(("temp", Arc::new(Float64Array::from(vec![Some(1.0), None, Some(2.0), Some(3.0)]))));
    columns.push(("_deleted", Arc::new(BooleanArray::from(vec![Some(false), Some(true), None, Some(false)]))));
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    ["w.parquet", "w.csv", "w.jsonl", "w.arrow"].map(|name| write_file(store, name, &rows)).to_vec()
}

/// JSON Lines without event timestamps were refused for the column that they do not have.
#[test]
fn deletes_of_a_constant_event_time_need_no_other_in_any_format() {
    for times in [None, Some([None; 4])] {
        let files = store_of(always_true());
        for path in deletes_and_values(&files, times) {
            let store = store_of(always_true());
            let report = import(&store, std::slice::from_ref(&path));
            assert_eq!((counts(&report), report.ignored), ((4, 4, 0, 0), vec![]), "{}", path.display());
            for (origin, status) in [("JFK", Status::NotFound), ("LGA", Status::Present), ("EWR", Status::Present)] {
                assert_eq!(on_both_days(&store, origin), [status; 2], "{} {origin}", path.display());
            }
        }
    }
}

/// They were stored at the time of the file where it had deletes as well: no later import could win over them.
#[test]
fn values_of_a_constant_event_time_are_of_no_other() {
    let files = store_of(always_true());
    let mut stores = Vec::new();
    for path in deletes_and_values(&files, Some([Some(THIRD_DAY_US); 4])) {
        let store = store_of(always_true());
        import(&store, std::slice::from_ref(&path));
        stores.push((path.display().to_string(), store));
    }
    let batches = asof::exchange::open_source(&files.path().with_file_name("w.arrow"), &Default::default()).unwrap();
    let store = store_of(always_true());
    batches.for_each(|batch| drop(store.write("weather", &batch.unwrap()).unwrap()));
    stores.push(("a batch".to_owned(), store));
    for (from, store) in &stores {
        assert_eq!(
            on_both_days(store, "JFK"),
            [Status::Present, Status::NotFound],
            "{from}: a delete has its own time"
        );
        assert_eq!(on_both_days(store, "LGA"), [Status::Present; 2], "{from}");
        import(store, &[file(&files, "later.csv", "origin,temp\nLGA,7\n")]);
        assert_eq!(temp(store, "LGA", 0), Value::Float64(7.0), "{from}: the later import wins");
    }
}

/// A column of times of text files was read for the deletes, and a value beside what is no time was a bad row.
#[test]
fn values_of_a_constant_event_time_have_any_column_of_times() {
    let csv = |rows: &str| ("w.csv", format!("origin,event_timestamp,temp,_deleted\n{rows}"));
    let values = [
        ("w.csv", "origin,event_timestamp,temp\nJFK,01/02/2024,1\nLGA,1709298000,2\n".to_owned()),
        csv("JFK,01/02/2024,1,false\nLGA,1709298000,2,\n"),
        (
            "w.jsonl",
            "{\"origin\":\"JFK\",\"event_timestamp\":\"01/02/2024\",\"temp\":1}\n\
             {\"origin\":\"LGA\",\"event_timestamp\":1709298000,\"temp\":2}\n"
                .to_owned(),
        ),
        (
            "w.jsonl",
            "{\"origin\":\"JFK\",\"event_timestamp\":\"01/02/2024\",\"temp\":1,\"_deleted\":false}\n\
             {\"origin\":\"LGA\",\"event_timestamp\":[1709298000],\"temp\":2}\n"
                .to_owned(),
        ),
    ];
    for (name, text) in &values {
        let ignored = if text.contains("_deleted") { vec![] } else { vec!["event_timestamp".to_owned()] };
        for bad_rows in [BadRows::Fail, BadRows::Quarantine] {
            let store = store_of(always_true());
            let options = ImportOptions { bad_rows, ..ImportOptions::default() };
            let report = store.import_files("weather", &[file(&store, name, text)], &options).unwrap();
            assert_eq!((counts(&report), report.ignored), ((2, 2, 0, 0), ignored.clone()), "{bad_rows:?}: {text}");
            assert_eq!(on_both_days(&store, "LGA"), [Status::Present; 2], "{text}");
        }
    }

    // A delete is of the time that stands there. What is set aside stands there as it was written.
    let quarantine = ImportOptions { bad_rows: BadRows::Quarantine, ..ImportOptions::default() };
    for ((name, text), [first, second]) in [
        (csv("JFK,1,1,\nJFK,01/02/2024,,true\nLGA,5,99,\n"), ["\"01/02/2024\"", "\"5\""]),
        (
            (
                "w.jsonl",
                "{\"origin\":\"JFK\",\"event_timestamp\":1,\"temp\":1}\n\
                 {\"origin\":\"JFK\",\"event_timestamp\":\"01/02/2024\",\"_deleted\":true}\n\
                 {\"origin\":\"LGA\",\"event_timestamp\":5,\"temp\":99}\n"
                    .to_owned(),
            ),
            ["\"01/02/2024\"", "5"],
        ),
    ] {
        let store = store_of(always_true());
        let path = file(&store, name, &text);
        let error = import_error(&store, &path);
        assert!(error.contains("event_timestamp: ") && error.contains("01/02/2024"), "{error}");
        let report = store.import_files("weather", &[path], &quarantine).unwrap();
        assert_eq!(counts(&report), (3, 1, 0, 2), "{text}");
        let set_aside = fs::read_to_string(report.quarantine.unwrap()).unwrap();
        let times: Vec<&str> =
            set_aside.lines().map(|line| line.split("\"event_timestamp\":").nth(1).unwrap()).collect();
        assert!(times[0].starts_with(&format!("{first},")), "{set_aside}");
        assert!(times[1].starts_with(&format!("{second},")), "{set_aside}");

        let source = Source { timestamp_format: Some("%d/%m/%Y".to_owned()), ..always_true().source };
        let store = store_of(weather().source(source));
        let text = text.replace("01/02/2024", "03/01/1970");
        let report = store.import_files("weather", &[file(&store, name, &text)], &quarantine).unwrap();
        assert_eq!(counts(&report), (3, 2, 0, 1), "{text}");
        assert_eq!(on_both_days(&store, "JFK"), [Status::Present, Status::NotFound], "{text}");
    }
}

/// What was stored before the source was said to have no times stays of its time.
#[test]
fn an_export_of_a_constant_event_time_comes_back_as_it_was() {
    let store = store_of(weather());
    store.write("weather", &batch(&[("JFK", 0, 39.0), ("LGA", 0, 40.0)])).unwrap();
    apply(&store, always_true());
    import(&store, &[file(&store, "w.csv", "origin,temp\nEWR,7\nLGA,8\n")]);
    let delete = asof::DeleteOptions { at: Some(asof::time::Timestamp(TIME)), ..asof::DeleteOptions::default() };
    store.delete("weather", &[("origin", "EWR".into())], &delete).unwrap();
    let folder = store.path().with_file_name("out");
    store.export("weather", &folder, &ExportOptions::default()).unwrap();
    let back = store_of(always_true());
    assert_eq!(counts(&import(&back, &[folder])), (5, 5, 0, 0));
    let rows = |store: &Store| -> Vec<String> {
        let scan = store.scan("weather", &ScanOptions::default()).unwrap().map(Result::unwrap);
        let rows = scan.flat_map(|batch| (0..batch.num_rows()).map(move |row| batch.slice(row, 1)));
        let mut rows: Vec<String> = rows.map(|row| format!("{:?}", row.columns())).collect();
        // Each store has an order of its own.
        rows.sort();
        rows
    };
    assert_eq!(rows(&store), rows(&back));
}

/// A column that no row of the file has was said to be ignored.
#[test]
fn a_json_lines_file_with_deletes_has_no_other_columns_than_its_own() {
    let store = store_of(weather().source(Source::default().event_timestamp("ts")));
    let lines = "{\"origin\":\"JFK\",\"ts\":\"2024-03-01T13:00:00Z\",\"temp\":1,\"_deleted\":false}\n\
                 {\"origin\":\"JFK\",\"ts\":\"2024-03-01T14:00:00Z\",\"_deleted\":true}\n";
    let report = import(&store, &[file(&store, "w.jsonl", lines)]);
    assert_eq!((counts(&report), report.ignored), ((2, 2, 0, 0), vec![]));
}
