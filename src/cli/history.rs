//! `asof history`: a training set out of a spine.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::json;

use super::args::History;
use super::context::Context;
use super::failure::Failure;
use super::inputs;
use super::output::{Sheet, human_bytes, human_count};
use super::progress::Meter;
use crate::error::{Error, Result};
use crate::exchange::{
    InferProgress, Progress, Source, SourceOptions, create_sink, open_source, reads_file, spine_options,
};
use crate::request::HistoricalRequest;
use crate::store::Store;

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
    refuse_own_spine(spine, out)?;
    let meter = Meter::new(format!("{}: types of its columns", spine.display()));
    let source = open_spine(store, spine, request, Arc::new(meter.of_bytes()))?;
    drop(meter);
    let meter = Meter::new(spine.display().to_string());
    join_and_tell(store, source, request, out, &meter.of_bytes())
}

/// A training set that took its spine's place, or became a part of it, could be made once.
fn refuse_own_spine(spine: &Path, out: &Path) -> Result<()> {
    if !reads_file(spine, out)? {
        return Ok(());
    }
    let (what, remedy) = match spine.is_dir() {
        true => ("the training set would be a part of its spine", "name a file outside of that folder: --out"),
        false => ("the training set would take the place of its spine", "name another file: --out"),
    };
    Err(Error::refused(what).at(out.display()).remedy(remedy))
}

/// A spine, and how many of its bytes were read.
type Spine = (Box<Source>, Arc<AtomicU64>);

/// Opens the spine; `inferring` hears of how far a text file was read for its types.
fn open_spine(store: &Store, spine: &Path, request: &HistoricalRequest, inferring: InferProgress) -> Result<Spine> {
    // The spine is read ahead of the join by a chunk of rows: what counts is how far it was read when those were written.
    let read = Arc::new(AtomicU64::new(0));
    let reading = Arc::clone(&read);
    let progress: Progress = Arc::new(move |_rows, bytes| reading.store(bytes, Ordering::Relaxed));
    let source_options =
        SourceOptions { progress: Some(progress), inferring: Some(inferring), ..spine_options(store, request) };
    let source = open_source(spine, &source_options)?;
    if arrow_array::RecordBatchReader::schema(&*source).fields().is_empty() {
        let error = Error::invalid("the spine has no columns: no rows, or nothing in them").at(spine.display());
        return Err(error.remedy(format!("write rows with {} and the join keys", request.timestamp_column)));
    }
    Ok((source, read))
}

/// [`join`]; `tell` hears of how many bytes of the spine rows were written, and of how many bytes there are.
fn join_and_tell(
    store: &Store,
    (source, read): Spine,
    request: &HistoricalRequest,
    out: &Path,
    tell: &dyn Fn(u64, u64),
) -> Result<Joined> {
    let bytes_total = source.bytes_total();
    let training_set = store.get_historical_features(*source, request)?;
    let schema = training_set.schema();
    let known_at_seq = training_set.known_at_seq();
    let mut metadata: Vec<(String, String)> = schema.metadata().clone().into_iter().collect();
    // Equal input gives equal bytes: the map has no order of its own.
    metadata.sort();
    let mut sink = create_sink(out, &schema, metadata)?;
    for batch in training_set {
        sink.write(&batch?)?;
        tell(read.load(Ordering::Relaxed).min(bytes_total), bytes_total);
    }
    let written = sink.finish()?;
    tell(bytes_total, bytes_total);
    Ok(Joined { rows: written.rows, columns: schema.fields().len(), bytes: written.bytes, known_at_seq })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::ApplyOptions;
    use crate::definition::{Definitions, FeatureView};
    use crate::request::Features;
    use crate::value::DataType;

    #[test]
    fn progress_is_of_what_was_joined_goes_up_to_all_of_the_spine_and_not_beyond() {
        let store = Store::temporary().unwrap();
        let view = FeatureView::new("weather").entity("airport");
        let view = view.feature("temp", DataType::Float64).feature("visib", DataType::Float64);
        let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(view);
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        let folder = store.path().with_file_name("spine");
        std::fs::create_dir(&folder).unwrap();
        // More rows than a chunk of the join has; as text in two files, and as Parquet.
        let rows = "JFK,2024-03-01T13:00:00Z,1\n".repeat(700_000);
        let text = format!("origin,event_timestamp,label\n{rows}");
        std::fs::write(folder.join("1.csv"), &text).unwrap();
        std::fs::write(folder.join("2.csv"), &text).unwrap();
        let parquet = store.path().with_file_name("spine.parquet");
        let again = store.path().with_file_name("again.parquet");
        for (spine, feature, out) in [(&folder, "weather:temp", &parquet), (&parquet, "weather:visib", &again)] {
            let request = HistoricalRequest::new(Features::list([feature]).unwrap());
            let told = RefCell::new(Vec::new());
            let tell = |bytes, bytes_total| told.borrow_mut().push((bytes, bytes_total));
            let looked = Arc::new(AtomicU64::new(0));
            let looking = Arc::clone(&looked);
            let inferring = move |bytes: u64, _: u64| {
                assert!(looking.swap(bytes, Ordering::Relaxed) <= bytes);
            };
            let source = open_spine(&store, spine, &request, Arc::new(inferring)).unwrap();
            assert_eq!(looked.load(Ordering::Relaxed) > 2 * text.len() as u64 - 300_000, spine.is_dir());
            let joined = join_and_tell(&store, source, &request, out, &tell).unwrap();
            assert_eq!(joined.rows, 1_400_000);
            let told = told.take();
            let total = if spine.is_dir() { 2 * text.len() as u64 } else { spine.metadata().unwrap().len() };
            assert!(told.len() >= 3, "{told:?}: chunk by chunk");
            // Equal rows take so few bytes in Parquet that they are read at once.
            assert!(told[0].0 < total || !spine.is_dir(), "{told:?}: not before it was joined");
            assert!(
                told.is_sorted() && told.iter().all(|(bytes, of)| bytes <= of && *of == total),
                "{told:?} of {total}"
            );
            assert_eq!(told.last(), Some(&(total, total)));
        }
    }

    /// What a join does not ask for has to come out as it went in: order numbers were once rounded to float64, versions
    /// lost a zero, and a number too large for a float64 failed the whole history.
    #[test]
    fn columns_that_only_pass_through_a_join_say_what_they_said() {
        let store = Store::temporary().unwrap();
        let view = FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64);
        let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(view);
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        let header = "origin,event_timestamp,order_id,large,version,code,huge,local,label,target,delayed";
        let rows = [
            "1,2024-03-01T13:00:00Z,17446744073709551615,9007199254740993,1.10,007,1e400,2024-03-01 13:00:00,1,0.5,true",
            "2,2024-03-01T13:00:00Z,5,0.5,1.9,12,1,2024-03-01T13:00:00+01:00,0,-1.25e-7,false",
        ];
        let csv = store.path().with_file_name("spine.csv");
        std::fs::write(&csv, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
        let request = HistoricalRequest::new(Features::list(["weather:temp"]).unwrap());
        let out = store.path().with_file_name("out.csv");
        join(&store, &csv, &request, &out).unwrap();
        let wanted = format!("{header},temp\n{},\n{},\n", rows[0], rows[1]);
        assert_eq!(std::fs::read_to_string(&out).unwrap(), wanted);
        // What models learn from stays numbers.
        let parquet = store.path().with_file_name("out.parquet");
        join(&store, &csv, &request, &parquet).unwrap();
        let schema =
            arrow_array::RecordBatchReader::schema(&*open_source(&parquet, &SourceOptions::default()).unwrap());
        let types = ["order_id", "label", "target", "delayed"]
            .map(|name| schema.field_with_name(name).unwrap().data_type().to_string());
        assert_eq!(types, ["Utf8", "Int64", "Float64", "Boolean"]);

        let lines = [
            r#"{"origin":"1","event_timestamp":"2024-03-01T13:00:00Z","order_id":17446744073709551615,"version":1.10,"label":1,"extra":{"n":1.10},"mixed":1,"score":"NaN"}"#,
            r#"{"origin":"2","event_timestamp":"2024-03-01T13:00:00Z","order_id":5,"version":1.9,"label":0,"extra":[12345678901234567890123],"mixed":"1","score":0.5}"#,
        ];
        let jsonl = store.path().with_file_name("spine.jsonl");
        std::fs::write(&jsonl, format!("{}\n{}\n", lines[0], lines[1])).unwrap();
        let out = store.path().with_file_name("out.jsonl");
        join(&store, &jsonl, &request, &out).unwrap();
        let wanted: String =
            lines.iter().map(|line| format!("{},\"temp\":null}}\n", &line[..line.len() - 1])).collect();
        assert_eq!(std::fs::read_to_string(&out).unwrap(), wanted);

        // A column that the join asks for and that is not there is said to be missing, not taken to be null.
        std::fs::write(&jsonl, "{\"event_timestamp\":\"2024-03-01T13:00:00Z\"}\n").unwrap();
        let Err(error) = join(&store, &jsonl, &request, &out) else { panic!("joined without a key") };
        assert!(error.to_string().contains("origin"), "{error}");
    }
}
