//! `POST /v1/get`: features of entities, now or as of any moment, each with its status and event time; as JSON or as Arrow.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value as Json;

use super::get_arrow::answer_in_arrow;
use crate::engine::get::Entity;
use crate::exchange::{SourceOptions, open_source};
use crate::server::auth::Grant;
use crate::server::http::answer::{aside, is_long, json_answer};
use crate::server::http::ask::{Ask, DefinitionsOf, KnownAtText, When, references};
use crate::server::http::entities::{entities, entities_of_batch};
use crate::server::http::guard;
use crate::server::http::json::{Times, push_each, push_quoted, push_string, push_time, push_value};
use crate::server::http::media::Media;
use crate::server::http::params::Params;
use crate::server::http::problem::Problem;
use crate::server::http::reading::Reading;
use crate::server::http::shared::{Shared, Turns};
use crate::server::http::spool::{Spool, receive, whole_bytes_max};

/// The forms of bodies and answers.
const FORMS: [Media; 2] = [Media::Json, Media::Arrow];

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GetRequest {
    #[serde(default)]
    features: Vec<String>,
    service: Option<String>,
    entities: Json,
    at: Option<String>,
    known_at: Option<KnownAtText>,
    definitions: Option<DefinitionsOf>,
    #[serde(default)]
    full_names: bool,
}

/// What is asked for, beside entities that come as Arrow.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::server::http) struct GetQuery {
    features: Option<String>,
    service: Option<String>,
    at: Option<String>,
    known_at: Option<KnownAtText>,
    definitions: Option<DefinitionsOf>,
    full_names: Option<bool>,
}

/// Features of entities.
pub(in crate::server::http) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    Params(query): Params<GetQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let given = Media::of_body(&headers)?;
    if !FORMS.contains(&given) {
        let [json, arrow] = FORMS.map(Media::name);
        let why = format!("a body of {} is not read here, but {json} or {arrow}", given.name());
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let wanted = Media::of_answer(&headers, given, &FORMS)?;
    let answer = match wanted {
        Media::Arrow => answer_in_arrow,
        _ => answer_in_json,
    };
    if given == Media::Arrow {
        return of_arrow(&shared, &grant, query, body, answer).await;
    }
    if query != GetQuery::default() {
        return Err(Problem::mistake("with a body of JSON, the body says what is asked for, and not the query"));
    }
    let body = shared.receive(&grant, body).await?;
    aside(is_long(&body), || {
        let request: GetRequest = serde_json::from_slice(&body)?;
        let (at, known_at) = (request.at.as_deref(), request.known_at.as_ref());
        let when = When { at, known_at, definitions: request.definitions };
        let ask = Ask::new(&request.features, request.service, when, request.full_names)?;
        aside(!ask.is_of_now(), || {
            shared.read(&grant, &ask, |reading| {
                let entities = entities(&request.entities, &reading.asked.join_keys)?;
                answer(reading, &entities, ask.full_names)
            })
        })
    })
}

/// Entities as Arrow. They go through a file, for it is read as files from anywhere are.
async fn of_arrow(
    shared: &Arc<Shared>,
    grant: &Arc<Grant>,
    query: GetQuery,
    body: Body,
    answer: fn(Reading<'_>, &[Entity<'_>], bool) -> Result<Response, Problem>,
) -> Result<Response, Problem> {
    let features = references(query.features.as_deref().unwrap_or_default());
    let when = When { at: query.at.as_deref(), known_at: query.known_at.as_ref(), definitions: query.definitions };
    let ask = Ask::new(&features, query.service, when, query.full_names.unwrap_or_default())?;
    // Before anything of the body is taken.
    guard::check_ask(shared, grant, &ask)?;
    let spool = Spool::new(shared)?;
    let path = spool.file("body.arrows");
    receive(body, &path, &shared.options, shared.options.body_bytes_max as u64).await?;
    let (work, by) = (Arc::clone(shared), Arc::clone(grant));
    let read = move |_turn| {
        let decoded_bytes_max = Some(whole_bytes_max(&work.options));
        let options = SourceOptions { decoded_bytes_max, is_read_whole: true, ..SourceOptions::default() };
        let read = open_source(&path, &options).and_then(|mut source| source.read_all());
        let batch = read.map_err(|error| spool.problem(error))?;
        work.read(&by, &ask, |reading| {
            let entities = entities_of_batch(&batch, &reading.asked.join_keys)?;
            answer(reading, &entities, ask.full_names)
        })
    };
    shared.in_turn(Turns::Wholes, Arc::clone(grant), read).await
}

fn answer_in_json(reading: Reading<'_>, entities: &[Entity<'_>], full_names: bool) -> Result<Response, Problem> {
    let names = reading.asked.names(full_names)?;
    let columns = &reading.asked.columns;
    let mut out = Vec::with_capacity(256 + 64 * names.len() * (entities.len() + 1));
    out.extend_from_slice(b"{\"columns\":[");
    push_each(names.plain.iter().zip(columns), &mut out, |(name, column), out| {
        let dtype = column.dtype.to_string();
        let parts = [("name", name), ("view", &column.view), ("feature", &column.feature), ("dtype", &dtype)];
        out.push(b'{');
        push_each(parts, out, |(part, text), out| {
            push_quoted(part, out);
            out.push(b':');
            push_string(text, out);
        });
        out.push(b'}');
    });
    out.extend_from_slice(b"],\"rows\":[");
    let mut times = Times::default();
    let moment = reading.each(entities, |at, row| {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"values\":[");
        push_each(0..names.len(), &mut out, |feature, out| push_value(&row, feature, row.status(feature).0, out));
        out.extend_from_slice(b"],\"statuses\":[");
        push_each(0..names.len(), &mut out, |feature, out| push_quoted(row.status(feature).0.name(), out));
        out.extend_from_slice(b"],\"event_timestamps\":[");
        push_each(0..names.len(), &mut out, |feature, out| times.push_or_null(row.status(feature).1, out));
        out.extend_from_slice(b"]}");
        out.len()
    })?;
    out.extend_from_slice(b"],\"at\":");
    push_time(moment.at, &mut out);
    out.extend_from_slice(format!(",\"seq\":{}}}", moment.seq).as_bytes());
    Ok(json_answer(out))
}
