//! Errors in Feast's forms.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

use crate::error::{Error, ErrorKind};
use crate::server::http::body::Unread;

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::server::http) struct Refusal {
    status: StatusCode,
    body: Json,
}

impl Refusal {
    /// An error that Feast's client makes an exception of its own of: JSON, as a JSON string.
    pub(super) fn exception(status: StatusCode, class: &str, message: &str) -> Refusal {
        // In the order and with the spaces of Python's.
        let [class, message] = [class, message].map(|text| Json::from(text).to_string());
        let body = format!("{{\"module\": \"feast.errors\", \"class\": {class}, \"message\": {message}}}");
        Refusal { status, body: body.into() }
    }

    /// A mistake of the caller's, in words.
    pub(super) fn mistake(message: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, body: Json::String(message.into()) }
    }

    /// What the framework beneath Feast says: no such path, no such method.
    pub(in crate::server::http) fn detail(status: StatusCode, message: &str) -> Refusal {
        Refusal { status, body: json!({ "detail": message }) }
    }

    /// A body that is not of the form that it should be: each fault with its place.
    pub(super) fn faults(faults: Vec<Json>) -> Refusal {
        Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, body: json!({ "detail": faults }) }
    }
}

impl From<Unread> for Refusal {
    fn from((status, why): Unread) -> Refusal {
        Refusal::detail(status, &why)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let status = match error.kind() {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Refused => StatusCode::CONFLICT,
            ErrorKind::Locked | ErrorKind::Poisoned => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            ErrorKind::Damaged | ErrorKind::NewerFormat | ErrorKind::Io => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal { status, body: Json::String(error.to_string()) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, "application/json")], self.body.to_string()).into_response()
    }
}
