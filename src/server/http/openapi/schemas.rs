//! What several paths take or answer.

use serde_json::{Value as Json, json};

use super::operation::{PROBLEM, REFUSAL, schema_of};
use crate::server::http::media::Media;

/// Schemas that the document names.
pub(super) fn named() -> [(&'static str, utoipa::openapi::RefOr<utoipa::openapi::Schema>); 2] {
    [(PROBLEM, schema_of(problem())), (REFUSAL, schema_of(refusal()))]
}

fn problem() -> Json {
    json!({
        "type": "object",
        "description": "An error: what is wrong; where; what to do about it.",
        "required": ["detail"],
        "properties": {
            "detail": { "type": "string" },
            "kind": { "type": "string", "description": "A word for programs, such as not_found." },
        },
        "example": { "detail": "there is no feature view wether; did you mean weather?", "kind": "not_found" },
    })
}

fn refusal() -> Json {
    json!({
        "description": "An error as Feast's feature server tells it: a message as a JSON string, or an object with detail.",
        "oneOf": [
            { "type": "string" },
            { "type": "object", "required": ["detail"], "properties": { "detail": {} } },
        ],
    })
}

/// A value of any type.
pub(super) fn any() -> Json {
    json!({ "description": "A value in the JSON form of its type; null where there is none." })
}

/// An object of any kind.
pub(super) fn object(description: &str) -> Json {
    json!({ "type": "object", "description": description })
}

/// An array of these.
pub(super) fn list(items: Json) -> Json {
    json!({ "type": "array", "items": items })
}

/// Text, of which this is an example.
pub(super) fn text(example: &str) -> Json {
    json!({ "type": "string", "example": example })
}

/// An instant.
pub(super) fn instant() -> Json {
    text("2013-03-01T12:00:00Z")
}

/// True or false.
pub(super) fn boolean() -> Json {
    json!({ "type": "boolean" })
}

/// What was known when.
pub(super) fn known_at() -> Json {
    json!({
        "description": "Only what was committed by then: a seq, a time or the name of a snapshot.",
        "oneOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }],
        "example": "first_model",
    })
}

/// [`known_at`], in a query.
pub(super) fn known_at_text() -> Json {
    text("first_model")
}

/// Whose definitions.
pub(super) fn definitions() -> Json {
    json!({ "type": "string", "enum": ["current"], "description": "With known_at: the definitions of today." })
}

/// References of features.
pub(super) fn features() -> Json {
    json!({
        "type": "array",
        "items": { "type": "string" },
        "description": "References: weather:temp, weather@2:temp, weather:*.",
        "maxItems": 1000,
        "example": ["weather:temp"],
    })
}

/// What became of a feature.
pub(super) fn status() -> Json {
    json!({ "type": "string", "enum": ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"] })
}

/// An instant, or null.
pub(super) fn instant_or_null() -> Json {
    json!({ "type": ["string", "null"] })
}

/// Bytes, and nothing that JSON could say of them.
pub(super) fn bytes(description: &str) -> Json {
    json!({ "type": "string", "contentMediaType": "application/octet-stream", "description": description })
}

/// Forms of rows other than JSON, each with what it is.
pub(super) fn files() -> [(&'static str, Json); 4] {
    [Media::JsonLines, Media::Csv, Media::Parquet, Media::Arrow].map(|media| {
        let what = match media {
            Media::JsonLines => "An object a line.",
            Media::Csv => "Columns with a header.",
            Media::Parquet => "A Parquet file.",
            _ => "An Arrow IPC stream.",
        };
        (media.name(), bytes(what))
    })
}
