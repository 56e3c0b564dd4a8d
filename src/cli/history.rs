//! `asof history`: a training set out of a spine.

use std::path::Path;
use std::time::Instant;

use arrow_array::RecordBatchReader;
use serde_json::json;

use super::args::History;
use super::context::Context;
use super::failure::Failure;
use super::inputs;
use super::output::{Sheet, human_bytes, human_count};
use super::progress::Meter;
use crate::engine::get::GetOptions;
use crate::error::Result;
use crate::exchange::{SourceOptions, create_sink, open_source};
use crate::request::HistoricalRequest;
use crate::store::Store;
use crate::value::DataType;

pub(super) fn run(args: &History, context: &mut Context) -> Result<(), Failure> {
    let request = HistoricalRequest {
        timestamp_column: args.timestamp.clone(),
        known_at: inputs::known_at(&args.known)?,
        definitions_current: inputs::definitions_current(&args.known),
        created_cutoff: args.created_cutoff,
        full_names: args.full_names,
        ..HistoricalRequest::new(inputs::features(&args.which)?)
    };
    let store = context.project()?.open_for_reading()?;
    let started = Instant::now();
    let joined = join(&store, &args.spine, &request, &args.out)?;
    let mut sheet = Sheet::new(["out", "rows", "columns", "bytes", "known_at_seq"]);
    sheet.push([
        json!(args.out.to_string_lossy()),
        json!(joined.rows),
        json!(joined.columns),
        json!(joined.bytes),
        json!(joined.known_at_seq),
    ]);
    let sentence = format!("{}: {joined} in {:.2} s", args.out.display(), started.elapsed().as_secs_f64());
    context.report(&sentence, &sheet)
}

/// What a join wrote.
pub(super) struct Joined {
    pub rows: u64,
    pub columns: usize,
    pub bytes: u64,
    pub known_at_seq: u64,
}

impl std::fmt::Display for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Joined { rows, columns, bytes, known_at_seq } = self;
        let (rows, bytes) = (human_count(*rows), human_bytes(*bytes));
        write!(f, "{rows} rows, {columns} columns, {bytes}, known at seq {known_at_seq}")
    }
}

/// Joins the rows of the file `spine` into the file `out`.
pub(super) fn join(store: &Store, spine: &Path, request: &HistoricalRequest, out: &Path) -> Result<Joined> {
    let options =
        GetOptions { at: None, known_at: request.known_at.clone(), definitions_current: request.definitions_current };
    // Text files do not say what their columns are; the join keys do. Digits that are a string key stay one.
    let mut types = vec![(request.timestamp_column.clone(), DataType::Timestamp)];
    for key in store.join_keys(&request.features, &options)? {
        if types.iter().all(|(name, _)| *name != key.column) {
            types.push((key.column, key.dtype));
        }
    }
    // A type given for a column that is not there would make it one of nulls.
    let found = open_source(spine, &SourceOptions::default())?.schema();
    types.retain(|(name, _)| found.index_of(name).is_ok());
    let bytes = std::fs::metadata(spine).map_or(0, |metadata| metadata.len());
    let meter = Meter::new(spine.display().to_string());
    let source_options =
        SourceOptions { column_types: Some(types), progress: Some(meter.of_source(bytes)), ..SourceOptions::default() };
    let source = open_source(spine, &source_options)?;
    let training_set = store.get_historical_features(*source, request)?;
    let schema = training_set.schema();
    let known_at_seq = training_set.known_at_seq();
    let mut metadata: Vec<(String, String)> = schema.metadata().clone().into_iter().collect();
    // Equal input gives equal bytes: the map has no order of its own.
    metadata.sort();
    let mut sink = create_sink(out, &schema, metadata)?;
    for batch in training_set {
        sink.write(&batch?)?;
    }
    let written = sink.finish()?;
    Ok(Joined { rows: written.rows, columns: schema.fields().len(), bytes: written.bytes, known_at_seq })
}
