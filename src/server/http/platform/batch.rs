//! `POST /features/batch`: features of entities, each as of its own moment.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::server::auth::Grant;
use crate::server::http::ask::{Ask, DefinitionsOf, KnownAtText};
use crate::server::http::body;
use crate::server::http::media::Media;
use crate::server::http::own::{Asked, join, write_lines};
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;
use crate::server::http::spool::Spool;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchRequest {
    entity_rows: Vec<Json>,
    #[serde(default)]
    feature_refs: Vec<String>,
    feature_service: Option<String>,
    #[serde(default)]
    full_feature_names: bool,
    known_at: Option<KnownAtText>,
    definitions: Option<DefinitionsOf>,
}

/// Joins features to rows that have an `event_timestamp`.
pub(in crate::server::http) async fn batch(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    body: Body,
) -> Result<Response, Problem> {
    let body = body::read(body, &shared.options).await?;
    let request: BatchRequest = serde_json::from_slice(&body)?;
    let known = (None, request.known_at.as_ref(), request.definitions);
    let ask = Ask::new(request.feature_refs, request.feature_service, known, request.full_feature_names)?;
    let joined = tokio::task::spawn_blocking(move || {
        let spool = Spool::new(&shared.options)?;
        let spine = spool.file("body.jsonl");
        write_lines(&request.entity_rows, &spine)?;
        let asked = Asked { ask, timestamp: None, created_cutoff: false };
        join(&shared, &grant, asked, (spool, &spine), Media::Json)
    });
    joined.await.unwrap_or_else(|_| Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the join failed")))
}
