//! `POST /v1/get`: features of entities, now or as of any moment, each with its status and event time.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::engine::get::Entity;
use crate::server::auth::Grant;
use crate::server::http::answer::{aside, is_long, json_answer};
use crate::server::http::ask::{Ask, DefinitionsOf, KnownAtText, When};
use crate::server::http::entities::entities;
use crate::server::http::json::{push_each, push_quoted, push_string, push_time, push_time_or_null, push_value};
use crate::server::http::problem::Problem;
use crate::server::http::reading::{Reading, names_of};
use crate::server::http::shared::Shared;

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

/// Features of entities.
pub(in crate::server::http) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    body: Body,
) -> Result<Response, Problem> {
    let body = shared.receive(&grant, body).await?;
    let json = aside(is_long(&body), || {
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
    })?;
    Ok(json_answer(json))
}

fn answer(reading: Reading<'_>, entities: &[Entity<'_>], full_names: bool) -> Result<Vec<u8>, Problem> {
    let names = names_of(reading.asked, full_names)?;
    let columns = &reading.asked.columns;
    let mut out = Vec::with_capacity(256 + 64 * names.len() * (entities.len() + 1));
    out.extend_from_slice(b"{\"columns\":[");
    push_each(names.iter().zip(columns), &mut out, |(name, column), out| {
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
    let moment = reading.each(entities, |at, row| {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"values\":[");
        push_each(0..names.len(), &mut out, |feature, out| push_value(&row, feature, row.status(feature).0, out));
        out.extend_from_slice(b"],\"statuses\":[");
        push_each(0..names.len(), &mut out, |feature, out| push_quoted(row.status(feature).0.name(), out));
        out.extend_from_slice(b"],\"event_timestamps\":[");
        push_each(0..names.len(), &mut out, |feature, out| push_time_or_null(row.status(feature).1, out));
        out.extend_from_slice(b"]}");
    })?;
    out.extend_from_slice(b"],\"at\":");
    push_time(moment.at, &mut out);
    out.extend_from_slice(format!(",\"seq\":{}}}", moment.seq).as_bytes());
    Ok(out)
}
