//! `POST /v1/write/{view}`: rows into the log; a body that is a file is imported.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value as Json, json};

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
use crate::server::http::shared::Shared;
use crate::server::http::spool::{Spool, receive};

/// How it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::server::http) struct WriteQuery {
    /// Take event timestamps however far ahead of the clock.
    #[serde(default)]
    allow_future: bool,
    /// Of a file: add every row, those that are there already too.
    #[serde(default)]
    append: bool,
    /// Of a file: what to do with rows that cannot be read or stored.
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

/// Rows of JSON.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Rows {
    Bare(Vec<Json>),
    Named { rows: Vec<Json> },
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
    if media == Media::Json {
        let body = shared.receive(&grant, body).await?;
        return on_disk(move || write_rows(&shared, &grant, &view, query, &body)).await;
    }
    let spool = Spool::new(&shared)?;
    let path = spool.file(&format!("body.{}", media.extension()));
    receive(body, &path, &shared.options).await?;
    shared.check_still(&grant)?;
    let work = Arc::clone(&shared);
    let import = move || {
        let WriteQuery { allow_future, append, bad_rows, source } = query;
        let bad_rows = match bad_rows {
            BadRowsOf::Fail => BadRows::Fail,
            BadRowsOf::Quarantine => BadRows::Quarantine,
        };
        let options = ImportOptions { allow_future, append, bad_rows, source, ..ImportOptions::default() };
        let report = work.store.import_files(&view, &[path], &options);
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
    };
    shared.in_turn(import).await
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
    query: WriteQuery,
    body: &Bytes,
) -> Result<Response, Problem> {
    let (Rows::Bare(objects) | Rows::Named { rows: objects }) = serde_json::from_slice(body)
        .map_err(|error| Problem::mistake(format!("rows are an array of objects, or {{\"rows\": [...]}}: {error}")))?;
    let in_force = shared.definitions()?;
    let (rows, ignored) = rows_of_objects(known_view(&in_force, grant, &view.parse()?)?, &objects)?;
    let options = WriteOptions { allow_future: query.allow_future, source: query.source, ..WriteOptions::default() };
    let report = shared.store.write_rows_with(view, rows, &options)?;
    json_of(&json!({ "rows": report.rows, "first_seq": report.first_seq, "ignored": ignored }))
}
