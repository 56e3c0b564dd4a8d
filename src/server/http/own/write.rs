//! `POST /v1/write/{view}`: rows into the log; a body that is a file is imported.

use std::path::Path;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::api_key::Scope;
use crate::definition::{FeatureView, ViewRef};
use crate::error::{Error, nearest};
use crate::exchange::ImportOptions;
use crate::request::{BadRows, WriteOptions};
use crate::server::auth::Grant;
use crate::server::http::answer::{json_of, on_disk};
use crate::server::http::guard;
use crate::server::http::media::Media;
use crate::server::http::params::{Name, Params};
use crate::server::http::problem::Problem;
use crate::server::http::registered::InForce;
use crate::server::http::rows::rows_of_objects;
use crate::server::http::shared::{Shared, Turns};
use crate::server::http::spool::{BATCH_BYTES_MAX, Spool, receive, whole_bytes_max};
use crate::store::WriteReport;

/// The header with which a write is done once, however often it is sent.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Its longest: that of an API key stands before it.
const KEY_BYTES_MAX: usize = 200;
/// Rows that take so much memory wait for the disk without a turn.
const WAITING_BYTES_MAX: u64 = 1 << 20;

/// How it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::server::http) struct WriteQuery {
    /// Take event timestamps however far ahead of the clock.
    #[serde(default)]
    allow_future: bool,
    /// Import JSON Lines or Arrow as files are, past the log.
    #[serde(default)]
    import: bool,
    /// Of an import: add every row, those that are there already too.
    #[serde(default)]
    append: bool,
    /// Of an import: what to do with rows that cannot be read or stored.
    #[serde(default)]
    bad_rows: BadRowsOf,
    /// Who wrote it; shown by explain.
    source: Option<String>,
}

/// [`BadRows`], as a query says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BadRowsOf {
    /// Refuse all rows, naming the first of them.
    #[default]
    Fail,
    /// Write the others; set these aside with their reasons.
    Quarantine,
}

/// Rows of JSON, beside each other or by name, each as it is written.
fn rows_of_body(body: &[u8]) -> serde_json::Result<Vec<&RawValue>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        rows: Vec<&'a RawValue>,
    }
    match body.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice::<Named<'_>>(body).map(|named| named.rows),
        _ => serde_json::from_slice(body),
    }
}

/// Writes rows to a view, all of them or none.
pub(in crate::server::http) async fn write(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    Name(view): Name,
    Params(query): Params<WriteQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: ViewRef = view.parse()?;
    guard::check(&grant, Scope::Write, &wanted.name)?;
    // Before anything of the body is taken.
    let in_force = shared.definitions()?;
    let view = known_view(&in_force, &grant, &wanted)?.reference().to_string();
    let media = Media::of_body(&headers)?;
    let key = idempotency_key(&headers, &grant)?;
    let is_import = query.import || matches!(media, Media::Csv | Media::Parquet);
    check_query(&query, media, is_import, key.is_some())?;
    let options = WriteOptions {
        allow_future: query.allow_future,
        source: query.source.clone(),
        idempotency_key: key,
        ..WriteOptions::default()
    };
    if media == Media::Json {
        let body = shared.receive(&grant, body).await?;
        return on_disk(move || write_rows(&shared, &grant, &view, &options, &body)).await;
    }
    let spool = Spool::new(&shared)?;
    let path = spool.file(&format!("body.{}", media.extension()));
    let bytes_max = if is_import { shared.options.stream_bytes_max } else { shared.options.body_bytes_max as u64 };
    receive(body, &path, &shared.options, bytes_max).await.map_err(|problem| match problem.status {
        StatusCode::PAYLOAD_TOO_LARGE if !is_import => {
            Problem { detail: format!("{}; send it in parts, or import it: ?import=true", problem.detail), ..problem }
        }
        _ => problem,
    })?;
    let work = Arc::clone(&shared);
    if is_import {
        let by = Arc::clone(&grant);
        return shared
            .in_turn(Turns::Imports, by, move |_turn| import(&work, &grant, &view, query, (&spool, &path)))
            .await;
    }
    let by = Arc::clone(&grant);
    let write = move |turn| {
        let mut turn = Some(turn);
        // Many may wait for a sync of the disk together, if all that they keep is little.
        let read = |bytes| drop(turn.take_if(|_| bytes <= WAITING_BYTES_MAX));
        let report = work
            .store
            .write_file_within(&view, &path, &options, whole_bytes_max(&work.options), read)
            .map_err(|error| spool.problem(error))?;
        told(&report, &report.ignored)
    };
    shared.in_turn(Turns::Wholes, by, write).await
}

/// What no import is has no use for what an import is told.
fn check_query(query: &WriteQuery, media: Media, is_import: bool, has_key: bool) -> Result<(), Problem> {
    let why = match query {
        WriteQuery { import: true, .. } if media == Media::Json => {
            "a body of JSON is not imported; send JSON Lines, CSV, Parquet or Arrow"
        }
        WriteQuery { append: true, .. } if !is_import => "append is of imports; a write adds every row",
        WriteQuery { bad_rows: BadRowsOf::Quarantine, .. } if !is_import => {
            "bad_rows=quarantine is of imports: send JSON Lines, CSV, Parquet or Arrow, with import=true"
        }
        _ if is_import && has_key => {
            "an Idempotency-Key is of a write; an import without append is known by its content, and is done once anyway"
        }
        _ => return Ok(()),
    };
    Err(Problem::mistake(why))
}

/// The key of a write that is done once. Each API key has its own.
fn idempotency_key(headers: &HeaderMap, grant: &Grant) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(first) = given.next() else { return Ok(None) };
    let text = first.to_str().ok().map(str::trim).filter(|text| (1..=KEY_BYTES_MAX).contains(&text.len()));
    match (text, given.next()) {
        (Some(text), None) => Ok(Some(format!("{}/{text}", grant.key.as_deref().unwrap_or_default()))),
        _ => Err(Problem::mistake(format!(
            "an Idempotency-Key is given once, as 1 to {KEY_BYTES_MAX} characters of ASCII, such as a random UUID"
        ))),
    }
}

/// Imports a file.
fn import(
    shared: &Shared,
    grant: &Grant,
    view: &str,
    query: WriteQuery,
    (spool, path): (&Spool, &Path),
) -> Result<Response, Problem> {
    let WriteQuery { allow_future, append, bad_rows, source, .. } = query;
    let bad_rows = match bad_rows {
        BadRowsOf::Fail => BadRows::Fail,
        BadRowsOf::Quarantine => BadRows::Quarantine,
    };
    let by = if grant.key.is_some() { format!(" by {}", grant.name) } else { String::new() };
    let called = Some(format!("POST /v1/write/{view}{by}"));
    let options = ImportOptions {
        allow_future,
        append,
        bad_rows,
        source,
        called,
        decoded_bytes_max: Some(BATCH_BYTES_MAX),
        ..ImportOptions::default()
    };
    let report = shared.store.import_files(view, &[path.to_owned()], &options);
    let report = report.map_err(|error| spool.problem(error))?;
    json_of(&json!({
        "rows": report.rows_written,
        "rows_read": report.rows_read,
        "rows_skipped": report.rows_skipped,
        "rows_refused": report.rows_refused,
        "quarantine": report.quarantine.as_deref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy()),
        "was_imported": report.files.iter().all(|file| file.was_imported),
        "ignored": report.ignored,
    }))
}

fn known_view<'a>(in_force: &'a InForce, grant: &Grant, wanted: &ViewRef) -> Result<&'a FeatureView, Error> {
    in_force.view(wanted).ok_or_else(|| {
        let error = Error::not_found(format!("there is no feature view {wanted}"));
        let others = in_force.newest().map(|view| view.name.as_str());
        match nearest(&wanted.name, others.filter(|name| grant.access.may(Scope::Write, Some(name)))) {
            Some(near) if near != wanted.name => error.remedy(format!("did you mean {near}?")),
            _ => error.remedy("GET /v1/views lists them"),
        }
    })
}

fn write_rows(
    shared: &Shared,
    grant: &Grant,
    view: &str,
    options: &WriteOptions,
    body: &[u8],
) -> Result<Response, Problem> {
    let objects = rows_of_body(body)
        .map_err(|error| Problem::mistake(format!("rows are an array of objects, or {{\"rows\": [...]}}: {error}")))?;
    let in_force = shared.definitions()?;
    let (rows, ignored) = rows_of_objects(known_view(&in_force, grant, &view.parse()?)?, &objects)?;
    let report = shared.store.write_rows_with(view, rows, options)?;
    told(&report, &ignored)
}

fn told(report: &WriteReport, ignored: &[String]) -> Result<Response, Problem> {
    json_of(&json!({
        "rows": report.rows,
        "first_seq": report.first_seq,
        "ignored": ignored,
        "was_written_before": report.was_written_before,
    }))
}
