//! `POST /get-features`: features of entities now, row by row.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value as Json;

use super::row::{push_statuses, push_values};
use crate::server::auth::Grant;
use crate::server::http::answer::{json_answer, unless_few};
use crate::server::http::ask::{Ask, DefinitionsOf, KnownAtText};
use crate::server::http::asked::names_of;
use crate::server::http::body;
use crate::server::http::entities::entities;
use crate::server::http::json::{push_each, push_string};
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GetFeaturesRequest {
    entity_rows: Vec<Json>,
    #[serde(default)]
    feature_refs: Vec<String>,
    feature_service: Option<String>,
    #[serde(default)]
    full_feature_names: bool,
    known_at: Option<KnownAtText>,
    definitions: Option<DefinitionsOf>,
}

/// Features of entities: each with its join keys as they were given.
pub(in crate::server::http) async fn get_features(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    body: Body,
) -> Result<Response, Problem> {
    let body = body::read(body, &shared.options).await?;
    let request: GetFeaturesRequest = serde_json::from_slice(&body)?;
    let asked = (None, request.known_at.as_ref(), request.definitions);
    let ask = Ask::new(request.feature_refs, request.feature_service, asked, request.full_feature_names)?;
    let rows = Json::Array(request.entity_rows);
    let read = || {
        shared.read(&grant, &ask, |reading| {
            let entities = entities(&rows, &reading.asked.join_keys)?;
            let names = names_of(reading.asked, ask.full_names)?;
            let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
            let (mut results, mut statuses) = (b"{\"results\":[".to_vec(), Vec::new());
            reading.each(&entities, |at, row| {
                if at > 0 {
                    results.push(b',');
                    statuses.push(b',');
                }
                results.push(b'{');
                push_each(rows[at].as_object().into_iter().flatten(), &mut results, |(name, key), out| {
                    push_string(name, out);
                    out.push(b':');
                    // Into memory nothing fails.
                    let _ = serde_json::to_writer(out, key);
                });
                if !results.ends_with(b"{") {
                    results.push(b',');
                }
                push_values(&names, &row, &mut results);
                results.push(b'}');
                statuses.push(b'{');
                push_statuses(&names, &row, &mut statuses);
                statuses.push(b'}');
            })?;
            results.extend_from_slice(b"],\"statuses\":[");
            results.append(&mut statuses);
            results.extend_from_slice(b"]}");
            Ok(results)
        })
    };
    let json = match ask.is_of_now() {
        true => unless_few(&rows, read)?,
        false => tokio::task::block_in_place(read)?,
    };
    Ok(json_answer(json))
}
