//! Errors in Feast's forms.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

use crate::error::Error;
use crate::server::http::body::Unread;
use crate::server::http::problem::{Problem, answer_of, status_of};
use crate::server::http::request_log::Why;

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::server::http) struct Refusal {
    status: StatusCode,
    body: Json,
    /// In so many seconds it may be tried again.
    retry_after: Option<u64>,
}

impl Refusal {
    /// An error that Feast's client makes an exception of its own of: JSON, as a JSON string.
    pub(super) fn exception(status: StatusCode, class: &str, message: &str) -> Refusal {
        // In the order and with the spaces of Python's.
        let [class, message] = [class, message].map(|text| Json::from(text).to_string());
        let body = format!("{{\"module\": \"feast.errors\", \"class\": {class}, \"message\": {message}}}");
        Refusal { status, body: body.into(), retry_after: None }
    }

    /// A mistake of the caller's, in words.
    pub(super) fn mistake(message: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, body: Json::String(message.into()), retry_after: None }
    }

    /// A body that is not of the form that it should be: each fault with its place.
    pub(super) fn faults(faults: Vec<Json>) -> Refusal {
        Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, body: json!({ "detail": faults }), retry_after: None }
    }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Refusal {
        Problem::from(unread).into()
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal { status: status_of(error.kind()), body: Json::String(error.to_string()), retry_after: None }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        Refusal { status: problem.status, body: json!({ "detail": problem.detail }), retry_after: problem.retry_after }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let json = self.body.to_string();
        let mut response = answer_of(self.status, json.clone(), self.retry_after);
        response.extensions_mut().insert(Why(json.into()));
        response
    }
}
