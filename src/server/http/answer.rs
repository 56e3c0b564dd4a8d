//! What answers have in common.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::problem::Problem;

/// JSON that is written already. It ends its line, for whoever reads it in a terminal.
pub(super) fn json_answer(mut json: Vec<u8>) -> Response {
    json.push(b'\n');
    ([(header::CONTENT_TYPE, "application/json")], Body::from(json)).into_response()
}

/// Anything as JSON.
///
/// # Errors
/// It is nothing that JSON has.
pub(super) fn json_of(value: &impl Serialize) -> Result<Response, Problem> {
    let json = serde_json::to_vec(value);
    json.map(json_answer).map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// Whether to read and answer a body takes long enough for others to wait.
pub(super) fn is_long(body: &[u8]) -> bool {
    body.len() > 32 << 10
}

/// Does what takes long, such as everything of a long body, with its thread left to others.
pub(super) fn aside<T>(takes_long: bool, work: impl FnOnce() -> T) -> T {
    if takes_long { tokio::task::block_in_place(work) } else { work() }
}

/// Does what waits for the disk on a thread that may wait.
///
/// # Errors
/// Those of `work`; 500 where it panicked, of which the log tells.
pub(super) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed within the server"))
    })
}
