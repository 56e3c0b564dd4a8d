//! What answers have in common.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value as Json;

use super::entities::ENTITIES_AT_ONCE;
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
    json.map(json_answer)
        .map_err(|error| Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// Does `read` here; with its thread left to others where it is of many entities.
pub(super) fn unless_few<T>(entities: &Json, read: impl FnOnce() -> T) -> T {
    let count = match entities {
        Json::Array(rows) => rows.len(),
        Json::Object(columns) => {
            columns.values().map(|column| column.as_array().map_or(0, Vec::len)).max().unwrap_or(0)
        }
        _ => 0,
    };
    if count > ENTITIES_AT_ONCE { tokio::task::block_in_place(read) } else { read() }
}
