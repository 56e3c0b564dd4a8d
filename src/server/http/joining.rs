//! Point-in-time joins: a spine out of a file, the training set into another, and that as the answer.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{RecordBatch, RecordBatchReader as _};
use arrow_ipc::writer::StreamWriter;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::value::RawValue;

use super::ask::Ask;
use super::guard;
use super::media::Media;
use super::problem::Problem;
use super::shared::{Shared, Turns};
use super::spool::{BATCH_BYTES_MAX, FileBody, Spool};
use crate::error::{Error, Result};
use crate::exchange::{Source, SourceOptions, create_sink, open_source, spine_options};
use crate::format::columns::value_bytes;
use crate::request::HistoricalRequest;
use crate::server::auth::Grant;

/// In answers: the number of the newest row that was known.
const KNOWN_AT_SEQ: HeaderName = HeaderName::from_static("asof-known-at-seq");

/// A join that is asked for.
#[derive(Debug)]
pub(super) struct Join {
    pub ask: Ask,
    /// The spine's column of times; `event_timestamp` when absent.
    pub timestamp: Option<String>,
    pub created_cutoff: bool,
    /// What the answer is to be.
    pub media: Media,
}

/// The file of a spool that a spine of this form is put into.
pub(super) fn spine_name(media: Media) -> String {
    format!("body.{}", media.extension())
}

/// Says that nobody waits for an answer any more, once it is dropped.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Joins the spine that lies in the spool, of this form; the answer takes the spool with it. So many joins as there are cores are done at a
/// time, and one whose caller is gone ends.
///
/// # Errors
/// Those of the join; what the key may not read.
pub(super) async fn join(
    shared: Arc<Shared>,
    grant: Arc<Grant>,
    join: Join,
    spool: Spool,
    spine: Media,
) -> Result<Response, Problem> {
    let is_vain = Arc::new(AtomicBool::new(false));
    let _waiting = Waiting(Arc::clone(&is_vain));
    let work = Arc::clone(&shared);
    let by = Arc::clone(&grant);
    shared.in_turn(Turns::Joins, by, move |_turn| answer(&work, &grant, join, spool, spine, &is_vain)).await
}

fn answer(
    shared: &Shared,
    grant: &Grant,
    join: Join,
    spool: Spool,
    spine: Media,
    is_vain: &AtomicBool,
) -> Result<Response, Problem> {
    let options = &join.ask.options;
    let resolved = shared.store.resolve(&join.ask.features, options)?;
    guard::check_resolved(grant, &resolved)?;
    let mut request = HistoricalRequest {
        known_at: options.known_at.clone(),
        definitions_current: options.definitions_current,
        created_cutoff: join.created_cutoff,
        full_names: join.ask.full_names,
        ..HistoricalRequest::new(resolved.features)
    };
    if let Some(timestamp) = join.timestamp {
        request.timestamp_column = timestamp;
    }
    let media = join.media;
    let answer = spool.file(&format!("answer.{}", media.extension()));
    let go_on = || match is_vain.load(Ordering::Relaxed) || shared.has_no_time() {
        true => Err(Error::refused("the join was given up: its caller is gone, or the server stops")),
        false => Ok(()),
    };
    let body = spool.file(&spine_name(spine));
    let written = write_answer(shared, &request, &body, &answer, media, &go_on);
    let known_at_seq = written.map_err(|error| match shared.has_no_time() {
        true => Problem::stopping(),
        false => spool.problem(error),
    })?;
    // Whoever takes the answer may take long for it.
    spool.remove(&body);
    let mut body = FileBody::new(spool, &answer, shared.options.stream_time)?;
    if media == Media::Json {
        body = body.into_array(format!("{{\"known_at_seq\":{known_at_seq},\"rows\":[").into_bytes(), b"]}\n");
    }
    let mut response = ([(header::CONTENT_TYPE, media.name())], Body::new(body)).into_response();
    response.headers_mut().insert(KNOWN_AT_SEQ, HeaderValue::from(known_at_seq));
    Ok(response)
}

fn write_answer(
    shared: &Shared,
    request: &HistoricalRequest,
    spine: &Path,
    answer: &Path,
    media: Media,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<u64> {
    let decoded_bytes_max = Some(BATCH_BYTES_MAX);
    let options = SourceOptions { decoded_bytes_max, ..spine_options(&shared.store, request) };
    let source: Source = *open_source(spine, &options)?;
    if source.schema().fields().is_empty() {
        let error = Error::invalid("the spine has no columns: no rows, or nothing in them");
        return Err(error.remedy(format!("send rows with {} and the join keys", request.timestamp_column)));
    }
    let training_set = shared.store.get_historical_features(source, request)?;
    let (schema, known_at_seq) = (training_set.schema(), training_set.known_at_seq());
    let (bytes_max, mut bytes) = (shared.options.answer_bytes_max, 0_u64);
    let batches = training_set.map(|batch| {
        go_on()?;
        let batch = batch?;
        bytes = batch.columns().iter().map(|column| value_bytes(column)).fold(bytes, u64::saturating_add);
        if bytes > bytes_max {
            let what = format!("the answer has more than {bytes_max} bytes");
            return Err(Error::invalid(what).remedy("send the spine in parts"));
        }
        Ok(batch)
    });
    match media {
        Media::Arrow => write_stream(answer, &schema, batches)?,
        _ => {
            let mut metadata: Vec<(String, String)> = schema.metadata().clone().into_iter().collect();
            // Equal input gives equal bytes: the map has no order of its own.
            metadata.sort();
            let mut sink = create_sink(answer, &schema, metadata)?;
            for batch in batches {
                sink.write(&batch?)?;
            }
            sink.finish()?;
        }
    }
    Ok(known_at_seq)
}

/// Writes an Arrow IPC stream.
fn write_stream(
    path: &Path,
    schema: &arrow_schema::SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<()> {
    let failed = |error| Error::of_reader(error, "the answer cannot be written");
    let of_disk = |error| Error::io("write", path, error);
    let file = File::create_new(path).map_err(of_disk)?;
    let mut writer = StreamWriter::try_new(BufWriter::new(file), schema).map_err(failed)?;
    for batch in batches {
        writer.write(&batch?).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    writer.into_inner().map_err(failed)?.flush().map_err(of_disk)
}

/// Puts rows of JSON into a spool as a spine: as they are written, for read into values their numbers would lose digits and their
/// columns their order.
///
/// # Errors
/// The disk refuses.
pub(super) fn put_spine(spool: &Spool, rows: &[Box<RawValue>]) -> Result<()> {
    let path = spool.file(&spine_name(Media::Json));
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create_new(&path)?);
        for row in rows {
            // Within JSON a line end can only stand between tokens.
            file.write_all(row.get().replace(['\n', '\r'], " ").as_bytes())?;
            file.write_all(b"\n")?;
        }
        file.flush()
    };
    write().map_err(|error| Error::io("write", &path, error))
}
