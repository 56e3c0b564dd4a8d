//! `GET /health` and `GET /ready`: whether the server is alive, and whether it can do what it is there for. Both are open to everybody, and
//! say nothing of what the store holds.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answer::json_of;
use super::problem::Problem;
use super::shared::Shared;

/// Alive.
pub(super) async fn health() -> StatusCode {
    StatusCode::OK
}

/// The store is open, and its log takes writes.
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    shared.store.check_writable().map_err(|error| {
        tracing::warn!(%error, "not ready");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes; the server's log says why")
    })?;
    json_of(&json!({ "status": "ready" }))
}
