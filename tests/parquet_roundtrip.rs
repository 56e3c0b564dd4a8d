//! Scans and exports against rows kept in a vector, and exports imported into a second store: every
//! type, both layouts, views of all shapes.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{ArrayRef, RecordBatch};
use asof::definition::{Definitions, FeatureView, Source};
use asof::exchange::{ImportOptions, SourceOptions, open_source};
use asof::format::columns::array_from_values;
use asof::time::Timestamp;
use asof::value::{DataType, Value};
use asof::{
    ApplyOptions, BulkOptions, DeleteOptions, ErrorKind, ExportOptions, KnownAt, Partition, ScanOptions, Store,
};

const DAY_US: i64 = 86_400_000_000;

/// A row as it went in: values by the view's names for its columns.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    values: BTreeMap<String, Value>,
    /// Where it stands among the rows of its key: event time, created time, when it was written.
    order: (i64, Option<i64>, usize),
}

/// A view, its rows, and how a source calls its columns.
struct Model {
    definitions: Definitions,
    /// The view's name, the source's name, the type; join keys first.
    columns: Vec<(String, String, DataType)>,
    key_count: usize,
    event_time: Option<String>,
    created: Option<String>,
    rows: Vec<Row>,
}

/// A small generator of numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as i64) % sides
    }

    fn text(&mut self) -> String {
        let len = [0, 3, 30][self.roll(3) as usize];
        (0..len).map(|_| char::from(b'a' + self.roll(26) as u8)).collect()
    }

    fn value(&mut self, dtype: &DataType) -> Value {
        if self.roll(6) == 0 {
            return Value::Null;
        }
        let number = self.roll(2_000) - 1_000;
        match dtype {
            DataType::Bool => Value::Bool(number > 0),
            DataType::Int32 => Value::Int32(number as i32),
            DataType::Int64 => Value::Int64(number << 40),
            DataType::Float32 => Value::Float32(number as f32 / 8.0),
            DataType::Float64 => Value::Float64(number as f64 / 3.0),
            DataType::String => Value::String(self.text()),
            DataType::Bytes => Value::Bytes(self.text().into_bytes()),
            DataType::Timestamp => Value::Timestamp(number * DAY_US),
            DataType::Date => Value::Date(number as i32),
            DataType::Decimal { .. } => Value::Decimal(number.into()),
            DataType::Uuid => Value::Uuid([number as u8; 16]),
            DataType::Json => Value::Json(format!("{{\"n\":{number}}}")),
            DataType::List(element) => Value::List((0..self.roll(3)).map(|_| self.value(element)).collect()),
            DataType::Vector(len) => Value::Vector((0..*len).map(|i| i as f32 + number as f32).collect()),
        }
    }
}

impl Model {
    /// A batch of these rows as the source would deliver it.
    fn batch(&self, rows: &[Row]) -> RecordBatch {
        let columns = self.columns.iter().map(|(name, source, dtype)| {
            let values: Vec<Value> = rows.iter().map(|row| row.values[name].clone()).collect();
            (source.clone(), array_from_values(dtype, &values).unwrap() as ArrayRef, true)
        });
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    /// New rows over few keys and days, so that many share both.
    fn roll(&mut self, dice: &mut Dice, count: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        for _ in 0..count {
            let mut values = BTreeMap::new();
            for (at, (name, _, dtype)) in self.columns.iter().enumerate() {
                let is_key = at < self.key_count;
                let value = match dtype {
                    DataType::Int64 if is_key => Value::Int64(dice.roll(4)),
                    DataType::String if is_key => Value::String(["", "x", "yy"][dice.roll(3) as usize].into()),
                    _ if Some(name) == self.event_time.as_ref() => {
                        Value::Timestamp((dice.roll(4) - 2) * DAY_US + dice.roll(3))
                    }
                    DataType::Int32 if name == "event_number" => Value::Int32(dice.roll(5) as i32),
                    _ if name == "text_id" => Value::String(["", "x"][dice.roll(2) as usize].into()),
                    _ => dice.value(dtype),
                };
                values.insert(name.clone(), value);
            }
            rows.push(self.row(values, self.rows.len() + rows.len()));
        }
        self.rows.extend(rows.clone());
        rows
    }

    fn row(&self, mut values: BTreeMap<String, Value>, number: usize) -> Row {
        let time = |name: &Option<String>| match name.as_ref().and_then(|name| values.get(name)) {
            Some(Value::Timestamp(us)) => Some(*us),
            _ => None,
        };
        let order = (time(&self.event_time).unwrap_or(7), time(&self.created), number);
        values.insert("_deleted".into(), Value::Bool(false));
        if self.event_time.is_none() {
            values.insert("event_timestamp".into(), Value::Timestamp(7));
        }
        Row { values, order }
    }

    fn key(&self, row: &Row) -> Vec<String> {
        self.columns[..self.key_count].iter().map(|(name, _, _)| format!("{:?}", row.values[name])).collect()
    }

    fn open(&self) -> asof::TemporaryStore {
        let store = Store::temporary().unwrap();
        store.apply(&self.definitions, ApplyOptions::default()).unwrap();
        store
    }

    fn expected(&self) -> Vec<BTreeMap<String, Value>> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|row| (self.key(row), row.order));
        rows.into_iter().map(|row| row.values.clone()).collect()
    }

    /// The scanned rows, sorted by key alone: their order within a key is the scan's.
    fn scanned(&self, store: &Store, options: &ScanOptions) -> Vec<BTreeMap<String, Value>> {
        let mut rows = Vec::new();
        for batch in store.scan("v", options).unwrap() {
            rows.extend(self.values(&batch.unwrap()));
        }
        let keys = |row: &BTreeMap<String, Value>| -> Vec<String> {
            self.columns[..self.key_count].iter().map(|(name, _, _)| format!("{:?}", row[name])).collect()
        };
        rows.sort_by_key(keys);
        rows
    }

    fn values(&self, batch: &RecordBatch) -> Vec<BTreeMap<String, Value>> {
        let schema = batch.schema();
        let dtype_of = |name: &str| match self.columns.iter().find(|(known, _, _)| known == name) {
            Some((_, _, dtype)) => dtype.clone(),
            None if name == "_deleted" => DataType::Bool,
            None => DataType::Timestamp,
        };
        (0..batch.num_rows())
            .map(|row| {
                let cells = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
                    (field.name().clone(), asof::value_at(column, &dtype_of(field.name()), row))
                });
                cells.collect()
            })
            .collect()
    }
}

/// Every type, both clocks, an event id beside the features and one among them, and a source whose names are crossed.
fn every_type() -> Model {
    let types = "bool int32 int64 float32 float64 string bytes timestamp date decimal(10,3) uuid json list<string> list<json> list<decimal(5,1)> vector<3>";
    let mut view = FeatureView::new("v")
        .entity("pair")
        .event_id("event_number", DataType::Int32)
        .event_id("f1", DataType::Int32)
        .feature("a", DataType::Int64)
        .feature("b", DataType::Int64);
    let mut columns: Vec<(String, String, DataType)> = vec![
        ("number".into(), "number".into(), DataType::Int64),
        ("text".into(), "text".into(), DataType::String),
        ("happened".into(), "happened".into(), DataType::Timestamp),
        ("seen".into(), "seen".into(), DataType::Timestamp),
        ("event_number".into(), "event_number".into(), DataType::Int32),
        ("a".into(), "b".into(), DataType::Int64),
        ("b".into(), "a".into(), DataType::Int64),
    ];
    for (at, text) in types.split(' ').enumerate() {
        let dtype: DataType = text.parse().unwrap();
        view = view.feature(format!("f{at}"), dtype.clone());
        let source = if at == 5 { "elsewhere".to_owned() } else { format!("f{at}") };
        columns.push((format!("f{at}"), source, dtype));
    }
    view = view.source(
        Source::default()
            .event_timestamp("happened")
            .created_timestamp("seen")
            .rename("a", "b")
            .rename("b", "a")
            .rename("elsewhere", "f5"),
    );
    let definitions =
        Definitions::new("test").entity("pair", [("number", DataType::Int64), ("text", DataType::String)]).view(view);
    Model {
        definitions,
        columns,
        key_count: 2,
        event_time: Some("happened".into()),
        created: Some("seen".into()),
        rows: Vec::new(),
    }
}

/// No entity, one instant for all rows.
fn one_key() -> Model {
    let view = FeatureView::new("v")
        .feature("x", DataType::Float64)
        .source(Source::default().constant_event_time(Timestamp(7)));
    Model {
        definitions: Definitions::new("test").view(view),
        columns: vec![("x".into(), "x".into(), DataType::Float64)],
        key_count: 0,
        event_time: None,
        created: None,
        rows: Vec::new(),
    }
}

/// An event id that may be the empty text.
fn text_ids() -> Model {
    let view = FeatureView::new("v").event_id("text_id", DataType::String).feature("x", DataType::Int32);
    Model {
        definitions: Definitions::new("test").view(view),
        columns: vec![
            ("event_timestamp".into(), "event_timestamp".into(), DataType::Timestamp),
            ("text_id".into(), "text_id".into(), DataType::String),
            ("x".into(), "x".into(), DataType::Int32),
        ],
        key_count: 0,
        event_time: Some("event_timestamp".into()),
        created: None,
        rows: Vec::new(),
    }
}

/// Rows in runs, in merged runs and in the log, and deletes among them.
fn fill(model: &mut Model, store: &Store, dice: &mut Dice) {
    for round in 0..8 {
        let mut rows = model.roll(dice, 40);
        for row in &mut rows {
            // The event id is never null, and stands among the features too.
            if let Some(id) = row.values.get_mut("f1").filter(|id| **id == Value::Null) {
                *id = Value::Int32(-1);
            }
        }
        let from = model.rows.len() - rows.len();
        model.rows[from..].clone_from_slice(&rows);
        let batch = model.batch(&rows);
        if round % 3 == 0 {
            let mut bulk = store.bulk_writer("v", BulkOptions { append: true, ..BulkOptions::default() }).unwrap();
            bulk.write(&batch).unwrap();
            bulk.commit().unwrap();
        } else {
            store.write("v", &batch).unwrap();
        }
        let victim = rows[0].clone();
        let entity: Vec<(&str, Value)> = model.columns[..model.key_count]
            .iter()
            .map(|(name, _, _)| (name.as_str(), victim.values[name].clone()))
            .collect();
        let at = Timestamp(if model.event_time.is_some() { (dice.roll(4) - 2) * DAY_US } else { 9 });
        let report = store.delete("v", &entity, &DeleteOptions { at: Some(at), ..DeleteOptions::default() }).unwrap();
        let mut values: BTreeMap<String, Value> =
            model.columns.iter().map(|(name, _, _)| (name.clone(), Value::Null)).collect();
        values.extend(entity.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        values.insert(model.event_time.clone().unwrap_or("event_timestamp".into()), Value::Timestamp(at.0));
        if let Some(created) = &model.created {
            values.insert(created.clone(), Value::Timestamp(report.created.unwrap().0));
        }
        values.insert("_deleted".into(), Value::Bool(true));
        let order = (at.0, report.created.map(Timestamp::micros), model.rows.len());
        model.rows.push(Row { values, order });
        match round {
            3 => {
                store.seal().unwrap();
            }
            5 => store.compact().unwrap(),
            _ => {}
        }
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("asof-roundtrip-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn import(store: &Store, folder: &Path) {
    let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
    let mut source = open_source(folder, &SourceOptions { batch_rows: 50, ..SourceOptions::default() }).unwrap();
    while let Some(batch) = source.next_batch().unwrap() {
        bulk.write(&batch).unwrap();
    }
    let report = bulk.commit().unwrap();
    assert!(report.ignored.is_empty(), "{:?}", report.ignored);
}

#[test]
fn an_export_imported_elsewhere_gives_the_same_rows() {
    for (seed, mut model) in [(1, every_type()), (2, one_key()), (8, text_ids())] {
        let store = model.open();
        fill(&mut model, &store, &mut Dice(seed));
        assert_eq!(model.scanned(&store, &ScanOptions::default()), model.expected());
        for partition in [Partition::None, Partition::Date] {
            let folder = Folder::new();
            let options = ExportOptions { partition, ..ExportOptions::default() };
            let report = store.export("v", &folder.0, &options).unwrap();
            assert_eq!((report.rows, &report.folder), (model.rows.len() as u64, &folder.0.join("v/v1")));
            for imports_files in [false, true] {
                let other = model.open();
                if imports_files {
                    let folder = std::slice::from_ref(&report.folder);
                    let imported = other.import_files("v", folder, &ImportOptions::default()).unwrap();
                    assert_eq!(imported.rows_written, report.rows);
                } else {
                    import(&other, &report.folder);
                }
                assert_eq!(model.scanned(&other, &ScanOptions::default()), model.expected(), "{partition:?}");
            }
            let name =
                if partition == Partition::Date { "date=1970-01-01/part-00000.parquet" } else { "part-00000.parquet" };
            assert!(report.folder.join(name).exists(), "{name}");
        }
    }
}

#[test]
fn a_scan_goes_into_another_store_as_it_is() {
    let mut model = every_type();
    let store = model.open();
    fill(&mut model, &store, &mut Dice(3));
    let other = model.open();
    for batch in store.scan("v", &ScanOptions { batch_rows: 7, ..ScanOptions::default() }).unwrap() {
        other.write("v", &batch.unwrap()).unwrap();
    }
    assert_eq!(model.scanned(&other, &ScanOptions::default()), model.expected());
}

#[test]
fn an_export_takes_the_days_and_the_knowledge_that_were_asked_for() {
    let mut model = every_type();
    let store = model.open();
    fill(&mut model, &store, &mut Dice(4));
    let snapshot = store.snapshot("then").unwrap();
    let known = model.expected();
    model.roll(&mut Dice(5), 10);
    let late: Vec<Row> = model.rows[model.rows.len() - 10..].to_vec();
    let mut late = late;
    late.iter_mut().for_each(|row| {
        row.values.insert("f1".into(), Value::Int32(0));
    });
    store.write("v", &model.batch(&late)).unwrap();
    let folder = Folder::new();
    let options = ExportOptions {
        known_at: Some(KnownAt::Snapshot("then".into())),
        from: Some(Timestamp(0)),
        to: Some(Timestamp(DAY_US)),
        partition: Partition::Date,
        ..ExportOptions::default()
    };
    let report = store.export("v", &folder.0, &options).unwrap();
    assert_eq!(report.known_at_seq, snapshot.seq);
    let days: Vec<String> = std::fs::read_dir(&report.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(days, ["date=1970-01-01"]);
    let in_range =
        |row: &&BTreeMap<String, Value>| matches!(row["happened"], Value::Timestamp(us) if (0..DAY_US).contains(&us));
    let other = model.open();
    import(&other, &report.folder);
    assert_eq!(
        model.scanned(&other, &ScanOptions::default()),
        known.iter().filter(in_range).cloned().collect::<Vec<_>>()
    );
}

#[test]
fn an_export_leaves_what_is_there_alone_and_says_the_way_out() {
    let model = one_key();
    let store = model.open();
    let folder = Folder::new();
    let options = ExportOptions::default();
    assert_eq!(store.export("v", &folder.0, &options).unwrap().files, 1, "no rows are a file without rows");
    let error = store.export("v", &folder.0, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("v/v1: the folder is not empty; export into another folder"), "{error}");
    assert_eq!(store.export("w", &folder.0, &options).unwrap_err().kind(), ErrorKind::NotFound);
    let file = folder.0.join("a_file");
    std::fs::write(&file, "x").unwrap();
    assert_eq!(store.export("v", &file, &options).unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn what_cannot_be_scanned_is_named() {
    let store = every_type().open();
    let failure = |view: &str, options: ScanOptions| store.scan(view, &options).unwrap_err().to_string();
    assert!(failure("vv", ScanOptions::default()).contains("did you mean v?"));
    assert!(failure("v:a", ScanOptions::default()).contains("'v:a' is no view name"));
    let backwards = ScanOptions { from: Some(Timestamp(5)), to: Some(Timestamp(5)), ..ScanOptions::default() };
    assert!(failure("v", backwards).contains("there is no time from 1970-01-01T00:00:00.000005Z on and before"));
    let entity = |entity: &[(&str, Value)]| ScanOptions {
        entity: Some(entity.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()),
        ..ScanOptions::default()
    };
    let wrong = failure("v", entity(&[("numbr", Value::Int64(1)), ("text", "x".into())]));
    assert!(wrong.contains("has no join key numbr; did you mean number?"), "{wrong}");
    let missing = failure("v", entity(&[("number", Value::Int64(1))]));
    assert!(missing.contains("the join key text (string) is missing; give it as text=VALUE"), "{missing}");
    let mistyped = failure("v", entity(&[("number", "one".into()), ("text", "x".into())]));
    assert!(mistyped.contains("number") && mistyped.contains("int64"), "{mistyped}");
    let later = ScanOptions { known_at: Some(KnownAt::Seq(1_000)), ..ScanOptions::default() };
    assert!(failure("v", later).contains("is not known yet"));
}

#[test]
fn a_scan_that_is_dropped_half_way_leaves_nobody_waiting() {
    let mut model = every_type();
    let store = model.open();
    fill(&mut model, &store, &mut Dice(6));
    let mut scan = store.scan("v", &ScanOptions { batch_rows: 1, ..ScanOptions::default() }).unwrap();
    scan.next().unwrap().unwrap();
    drop(scan);
    // Its thread holds no lock either: the writer goes on.
    store.write("v", &model.batch(&model.rows[..1])).unwrap();
    store.close().unwrap();
}

#[test]
fn summaries_say_what_there_is() {
    let mut model = every_type();
    let store = model.open();
    let empty = &store.views().unwrap()[0];
    assert_eq!((empty.rows, empty.entity_count, empty.event_max, empty.newest_seq), (0, Some(0), None, None));
    fill(&mut model, &store, &mut Dice(7));
    let view = &store.views().unwrap()[0];
    let times: Vec<i64> = model.rows.iter().map(|row| row.order.0).collect();
    assert_eq!(view.rows, model.rows.len() as u64);
    assert_eq!(view.rows, view.rows_in_runs + view.rows_in_log);
    assert_eq!(view.event_min, times.iter().min().copied().map(Timestamp));
    assert_eq!(view.event_max, times.iter().max().copied().map(Timestamp));
    let summary = store.summary().unwrap();
    assert_eq!(view.newest_seq, Some(summary.seq));
    assert!(view.newest_ingested_at.is_some());
    assert_eq!((summary.views, summary.rows, summary.format_version), (1, view.rows, 1));
    assert!(summary.log_bytes > 0 && summary.history_bytes == view.history_bytes && view.history_bytes > 0);
    let runs = store.runs().unwrap();
    assert_eq!(runs.iter().map(|run| run.rows).sum::<u64>(), view.rows_in_runs);
    for run in &runs {
        assert!(store.path().join(&run.file).exists(), "{}", run.file.display());
    }
    store.compact().unwrap();
    store.compact().unwrap();
    let sealed = &store.views().unwrap()[0];
    assert_eq!((sealed.rows, sealed.rows_in_log), (view.rows, 0));
    let mut keys: Vec<Vec<String>> = model.rows.iter().map(|row| model.key(row)).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(sealed.entity_count, Some(keys.len() as u64), "in {} runs", sealed.runs);
    store.snapshot("then").unwrap();
    assert_eq!(store.snapshots().unwrap()[0].seq, summary.seq);
    assert_eq!(store.entities().unwrap()[0].views, ["v"]);
    assert!(store.services().unwrap().is_empty());
    let json = serde_json::to_value(view).unwrap();
    assert_eq!(json["join_keys"][0], serde_json::json!({ "name": "number", "dtype": "int64" }));
    assert_eq!(json["event_min"], view.event_min.unwrap().to_string());
}
