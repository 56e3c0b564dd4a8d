//! The point-in-time corpus (tests/pit): what Feast's offline stores answered, against what asof answers.
//!
//! Each case runs with its rows in the log, in one segment of it and in many, in bulk-imported runs, and half and half, because the
//! answer must not depend on where a row lies. Compared as the corpus asks: a multiset of rows over
//! the set of columns, numbers by value, NaN equal to null, timestamps as UTC instants. And beyond
//! it: the spine's rows keep their order.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{Array, RecordBatch, RecordBatchIterator};
use arrow_schema::{DataType as ArrowType, TimeUnit};
use asof::definition::{Definitions, Entity, EventTime, Feature, FeatureService, FeatureView, Selection};
use asof::options::Sizes;
use asof::value::DataType;
use asof::{ApplyOptions, BadRows, BulkOptions, HistoricalRequest, Store, WriteOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value as Json;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pit")
}

fn read_parquet(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

fn feature_type(feast: &str) -> DataType {
    match feast {
        "Int32" | "INT32" => DataType::Int32,
        "Int64" | "INT64" => DataType::Int64,
        "Float32" => DataType::Float32,
        "Float64" => DataType::Float64,
        "Bool" => DataType::Bool,
        "String" | "STRING" => DataType::String,
        "Bytes" => DataType::Bytes,
        "UnixTimestamp" => DataType::Timestamp,
        "Array(Float64)" => DataType::List(Box::new(DataType::Float64)),
        "Array(Int64)" => DataType::List(Box::new(DataType::Int64)),
        "Array(String)" => DataType::List(Box::new(DataType::String)),
        other => panic!("the corpus has a type this test does not know: {other}"),
    }
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

fn strings(json: &Json) -> Vec<String> {
    json.as_array().unwrap().iter().map(|item| text(item).to_owned()).collect()
}

fn definitions(case: &Json) -> Definitions {
    let mut definitions = Definitions { project: "corpus".into(), ..Definitions::default() };
    for view in case["views"].as_array().unwrap() {
        let name = text(&view["name"]);
        if definitions.views.iter().any(|known| known.name == name) {
            continue; // The same view under a second alias.
        }
        let join_keys: Vec<(String, DataType)> = view["join_keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| (text(&key["name"]).to_owned(), feature_type(text(&key["type"]))))
            .collect();
        let mut entities = Vec::new();
        if !join_keys.is_empty() {
            entities.push(format!("entity_of_{name}"));
            let entity = Entity { join_keys: join_keys.clone(), ..Entity::default() };
            definitions.entities.insert(format!("entity_of_{name}"), entity);
        }
        let features = view["features"].as_array().unwrap().iter().map(|feature| Feature {
            name: text(&feature["name"]).to_owned(),
            dtype: feature_type(text(&feature["dtype"])),
            description: String::new(),
            rules: Default::default(),
            tags: BTreeMap::new(),
        });
        let mut built = FeatureView {
            name: name.to_owned(),
            version: 1,
            kind: Default::default(),
            entities,
            join_keys,
            features: features.collect(),
            ttl_us: view["ttl_seconds"].as_f64().map_or(0, |seconds| (seconds * 1e6).round() as i64),
            retention_us: 0,
            freshness_sla_us: 0,
            event_id: Vec::new(),
            redis_keys: Vec::new(),
            source: Default::default(),
            owner: String::new(),
            description: String::new(),
            tags: BTreeMap::new(),
        };
        built.source.event_timestamp = EventTime::Column(text(&view["timestamp_field"]).to_owned());
        built.source.created_timestamp = view["created_timestamp_column"].as_str().map(str::to_owned);
        for (column, feature) in view["field_mapping"].as_object().unwrap() {
            built.source.rename.insert(column.clone(), text(feature).to_owned());
        }
        definitions.views.push(built);
    }
    if let Some(selected) = case["feature_service"].as_array() {
        let features = selected.iter().map(|selection| {
            let label = text(&selection[0]);
            let view = case["views"]
                .as_array()
                .unwrap()
                .iter()
                .find(|view| view["alias"].as_str().unwrap_or(text(&view["name"])) == label)
                .unwrap();
            let join_keys = view["join_key_map"]
                .as_object()
                .map(|map| map.iter().map(|(key, column)| (key.clone(), text(column).to_owned())).collect());
            Selection {
                view: text(&view["name"]).parse().unwrap(),
                alias: view["alias"].as_str().map(str::to_owned),
                join_keys: join_keys.unwrap_or_default(),
                features: strings(&selection[1]),
            }
        });
        let service = FeatureService { features: features.collect(), ..FeatureService::default() };
        definitions.services.insert("service".into(), service);
    }
    definitions
}

/// Where a case's rows lie when it is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Placement {
    Log,
    Segments,
    Runs,
    Sealed,
    HalfAndHalf,
}

/// Among so many segments a batch is shared out, if it has as many rows.
const SEGMENTS: usize = 5;

fn load(store: &Store, view: &str, batches: &[RecordBatch], placement: Placement) {
    let bulk_options =
        BulkOptions { allow_future: true, bad_rows: BadRows::Quarantine, append: true, ..BulkOptions::default() };
    let write_options = WriteOptions { allow_future: true, bad_rows: BadRows::Quarantine, ..WriteOptions::default() };
    for batch in batches {
        let half = match placement {
            Placement::Log | Placement::Segments | Placement::Sealed => 0,
            Placement::Runs => batch.num_rows(),
            Placement::HalfAndHalf => batch.num_rows() / 2,
        };
        if half > 0 {
            let mut bulk = store.bulk_writer(view, bulk_options.clone()).unwrap();
            bulk.write(&batch.slice(0, half)).unwrap();
            bulk.commit().unwrap();
        }
        if half < batch.num_rows() {
            let parts = if placement == Placement::Segments { SEGMENTS } else { 1 };
            let part_rows = (batch.num_rows() - half).div_ceil(parts);
            for start in (half..batch.num_rows()).step_by(part_rows) {
                let part = batch.slice(start, part_rows.min(batch.num_rows() - start));
                store.write_with(view, &part, &write_options).unwrap();
            }
        }
    }
    if let Placement::Sealed = placement {
        store.seal().unwrap();
    }
}

fn run_case(folder: &Path, placement: Placement) -> Result<(), String> {
    let case: Json = serde_json::from_reader(File::open(folder.join("case.json")).unwrap()).unwrap();
    let mut builder = Store::builder();
    if placement == Placement::Segments {
        // Too small for two commits, and nobody seals them.
        builder = builder.sizes(Sizes { segment_bytes: 1 << 10, ..Sizes::default() }).background(false);
    }
    let store = builder.temporary().unwrap();
    store.apply(&definitions(&case), ApplyOptions::default()).map_err(|error| format!("apply: {error}"))?;
    let mut loaded = Vec::new();
    for view in case["views"].as_array().unwrap() {
        let name = text(&view["name"]);
        if !loaded.contains(&name) {
            loaded.push(name);
            load(&store, name, &read_parquet(&folder.join(text(&view["file"]))), placement);
        }
    }
    if placement == Placement::Segments {
        let summary = store.summary().unwrap();
        assert!(summary.log_segments as u64 >= summary.rows_in_log.min(3), "{summary:?}");
    }
    let spine = read_parquet(&folder.join(text(&case["spine"]["file"])));
    let mut request = match &case["features"] {
        Json::Null => HistoricalRequest::service("service"),
        features => HistoricalRequest::features(strings(features)).unwrap(),
    };
    request.timestamp_column = text(&case["spine"]["event_timestamp_column"]).to_owned();
    request.full_names = case["full_feature_names"].as_bool().unwrap();
    request.created_cutoff = case["filter_by_created_timestamp"].as_bool().unwrap();
    let reader = RecordBatchIterator::new(spine.clone().into_iter().map(Ok), spine[0].schema());
    let answer = store.get_historical_features(reader, &request).map_err(|error| format!("history: {error}"))?;
    let answer: Vec<RecordBatch> = answer.map(Result::unwrap).collect();

    let columns: Vec<String> = spine[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    let mine = rows(&answer, &columns);
    if mine != rows(&spine, &columns) {
        return Err("the spine's rows or their order changed".into());
    }
    let expected = read_parquet(&folder.join("expected.parquet"));
    let columns: Vec<String> = expected[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    let answered: Vec<String> = answer[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    if answered != columns {
        return Err(format!("columns {answered:?}, expected {columns:?}"));
    }
    let (mut mine, mut theirs) = (rows(&answer, &columns), rows(&expected, &columns));
    mine.sort();
    theirs.sort();
    if mine != theirs {
        let differing = mine.iter().zip(&theirs).find(|(left, right)| left != right);
        return Err(format!("{} rows, expected {}; first difference {differing:?}", mine.len(), theirs.len()));
    }
    Ok(())
}

fn rows(batches: &[RecordBatch], columns: &[String]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|name| cell(batch.column_by_name(name).unwrap(), row)).collect());
        }
    }
    rows
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "null".into()
    } else if value.fract() == 0.0 && value.abs() < 9e15 {
        format!("{}", value as i64)
    } else {
        format!("{value:?}")
    }
}

fn cell(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "null".into();
    }
    match array.data_type() {
        ArrowType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        ArrowType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        ArrowType::Float32 => number(array.as_primitive::<Float32Type>().value(row).into()),
        ArrowType::Float64 => number(array.as_primitive::<Float64Type>().value(row)),
        ArrowType::Boolean => array.as_boolean().value(row).to_string(),
        ArrowType::Utf8 => format!("{:?}", array.as_string::<i32>().value(row)),
        ArrowType::Binary => format!("{:?}", array.as_binary::<i32>().value(row)),
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            format!("@{}", array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => {
            format!("@{}", array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1000))
        }
        ArrowType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let cells: Vec<String> = (0..items.len()).map(|item| cell(&items, item)).collect();
            format!("[{}]", cells.join(","))
        }
        other => panic!("the corpus has a column type this test does not know: {other}"),
    }
}

fn run_corpus(placement: Placement) {
    let index: Json = serde_json::from_reader(File::open(corpus().join("index.json")).unwrap()).unwrap();
    let cases = index.as_array().unwrap();
    assert_eq!(cases.len(), 53, "the corpus has 53 cases");
    let mut failed = Vec::new();
    let mut run = 0;
    for case in cases {
        let folder = corpus().join(text(&case["dir"]));
        let on_demand = text(&case["dir"]) == "50_odfv_pandas";
        if on_demand {
            continue; // Its Python function waits for on-demand features.
        }
        run += 1;
        if let Err(why) = run_case(&folder, placement) {
            failed.push(format!("{}: {why}", text(&case["dir"])));
        }
    }
    assert_eq!(run, 52);
    assert!(failed.is_empty(), "{placement:?}: {} of {run} cases differ:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn the_corpus_is_answered_out_of_the_log() {
    run_corpus(Placement::Log);
}

#[test]
fn the_corpus_is_answered_out_of_many_segments_of_the_log() {
    run_corpus(Placement::Segments);
}

#[test]
fn the_corpus_is_answered_out_of_imported_runs() {
    run_corpus(Placement::Runs);
}

#[test]
fn the_corpus_is_answered_out_of_sealed_runs() {
    run_corpus(Placement::Sealed);
}

#[test]
fn the_corpus_is_answered_out_of_runs_and_log_together() {
    run_corpus(Placement::HalfAndHalf);
}
