//! `POST /v1/history`: a point-in-time join. The spine comes in, and the training set goes out, as JSON, JSON Lines, CSV, Parquet or
//! Arrow, of any length.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatchReader as _;
use arrow_ipc::writer::StreamWriter;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::exchange::{Source, create_sink, open_source, spine_options};
use crate::request::HistoricalRequest;
use crate::server::auth::Grant;
use crate::server::http::ask::{Ask, DefinitionsOf, KnownAtText, references};
use crate::server::http::asked::check;
use crate::server::http::media::Media;
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;
use crate::server::http::spool::{FileBody, Spool, receive};
use crate::server::http::{body, options::HttpOptions};

/// In answers: the number of the newest row that was known.
const KNOWN_AT_SEQ: HeaderName = HeaderName::from_static("asof-known-at-seq");

/// What is asked for, beside a spine that is not JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::server::http) struct HistoryQuery {
    features: Option<String>,
    service: Option<String>,
    timestamp: Option<String>,
    known_at: Option<KnownAtText>,
    definitions: Option<DefinitionsOf>,
    created_cutoff: Option<bool>,
    full_names: Option<bool>,
}

/// What is asked for, with the spine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryRequest {
    #[serde(default)]
    features: Vec<String>,
    service: Option<String>,
    spine: Vec<Json>,
    timestamp: Option<String>,
    known_at: Option<KnownAtText>,
    definitions: Option<DefinitionsOf>,
    #[serde(default)]
    created_cutoff: bool,
    #[serde(default)]
    full_names: bool,
}

/// Joins features to the rows of a spine.
pub(in crate::server::http) async fn history(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    Query(query): Query<HistoryQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let media = Media::of_body(&headers)?;
    let answer = Media::of_answer(&headers, media)?;
    let spool = Spool::new(&shared.options)?;
    let spine = spool.file(&format!("body.{}", media.extension()));
    let asked = match media {
        Media::Json => of_json(body, &query, &spine, &shared.options).await?,
        _ => {
            receive(body, &spine, &shared.options).await?;
            Asked {
                ask: Ask::new(
                    references(query.features.as_deref().unwrap_or_default()),
                    query.service,
                    (None, query.known_at.as_ref(), query.definitions),
                    query.full_names.unwrap_or_default(),
                )?,
                timestamp: query.timestamp,
                created_cutoff: query.created_cutoff.unwrap_or_default(),
            }
        }
    };
    let joined = tokio::task::spawn_blocking(move || join(&shared, &grant, asked, (spool, &spine), answer));
    joined.await.unwrap_or_else(|_| Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the join failed")))
}

/// A join that is asked for.
pub(in crate::server::http) struct Asked {
    pub ask: Ask,
    pub timestamp: Option<String>,
    pub created_cutoff: bool,
}

async fn of_json(body: Body, query: &HistoryQuery, spine: &Path, options: &HttpOptions) -> Result<Asked, Problem> {
    let HistoryQuery { features, service, timestamp, known_at, definitions, created_cutoff, full_names } = query;
    let given = [features.is_some(), service.is_some(), timestamp.is_some(), known_at.is_some()];
    let given = given.into_iter().chain([definitions.is_some(), created_cutoff.is_some(), full_names.is_some()]);
    if given.into_iter().any(|is_given| is_given) {
        return Err(Problem::mistake("with a body of JSON, the body says what is asked for, and not the query"));
    }
    let body = body::read(body, options).await?;
    let request: HistoryRequest = serde_json::from_slice(&body)?;
    write_lines(&request.spine, spine)?;
    let known = (None, request.known_at.as_ref(), request.definitions);
    Ok(Asked {
        ask: Ask::new(request.features, request.service, known, request.full_names)?,
        timestamp: request.timestamp,
        created_cutoff: request.created_cutoff,
    })
}

/// Rows of JSON as a file of lines.
pub(in crate::server::http) fn write_lines(rows: &[Json], path: &Path) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create_new(path)?);
        for row in rows {
            serde_json::to_writer(&mut file, row)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    };
    write().map_err(|error| Error::io("write", path, error))
}

/// Joins a spine that lies in a file; the answer takes the spool with it.
pub(in crate::server::http) fn join(
    shared: &Shared,
    grant: &Grant,
    asked: Asked,
    (spool, spine): (Spool, &Path),
    media: Media,
) -> Result<Response, Problem> {
    let options = &asked.ask.options;
    let resolved = shared.store.resolve(&asked.ask.features()?, options)?;
    check(&resolved, grant)?;
    let mut request = HistoricalRequest {
        known_at: options.known_at.clone(),
        definitions_current: options.definitions_current,
        created_cutoff: asked.created_cutoff,
        full_names: asked.ask.full_names,
        ..HistoricalRequest::new(resolved.features)
    };
    if let Some(timestamp) = asked.timestamp {
        request.timestamp_column = timestamp;
    }
    let answer = spool.file(&format!("answer.{}", media.extension()));
    let written = write_answer(shared, &request, spine, &answer, media);
    let known_at_seq = written.map_err(|error| spool.problem(error))?;
    let mut body = FileBody::new(spool, &answer)?;
    if media == Media::Json {
        body = body.as_array(format!("{{\"known_at_seq\":{known_at_seq},\"rows\":[").into_bytes(), b"]}\n");
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
) -> Result<u64> {
    let source: Source = *open_source(spine, &spine_options(&shared.store, request))?;
    if source.schema().fields().is_empty() {
        let error = Error::invalid("the spine has no columns: no rows, or nothing in them");
        return Err(error.remedy(format!("send rows with {} and the join keys", request.timestamp_column)));
    }
    let training_set = shared.store.get_historical_features(source, request)?;
    let (schema, known_at_seq) = (training_set.schema(), training_set.known_at_seq());
    if media == Media::Arrow {
        let failed = |error| Error::of_reader(error, "the answer cannot be written");
        let file = File::create_new(answer).map_err(|error| Error::io("create", answer, error))?;
        let mut writer = StreamWriter::try_new(BufWriter::new(file), &schema).map_err(failed)?;
        for batch in training_set {
            writer.write(&batch?).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
        writer.into_inner().map_err(failed)?.flush().map_err(|error| Error::io("write", answer, error))?;
        return Ok(known_at_seq);
    }
    let mut metadata: Vec<(String, String)> = schema.metadata().clone().into_iter().collect();
    // Equal input gives equal bytes: the map has no order of its own.
    metadata.sort();
    let mut sink = create_sink(answer, &schema, metadata)?;
    for batch in training_set {
        sink.write(&batch?)?;
    }
    sink.finish()?;
    Ok(known_at_seq)
}
