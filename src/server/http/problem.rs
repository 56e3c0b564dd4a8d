//! Errors in asof's own form: `{"detail": "what; where; what to do", "kind": "invalid"}`.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::body::Unread;
use super::request_log::Why;
use crate::error::{Error, ErrorKind};

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub status: StatusCode,
    pub kind: Option<&'static str>,
    pub detail: String,
    /// In so many seconds it may be tried again.
    pub retry_after: Option<u64>,
}

impl Problem {
    /// As the framework beneath Feast says it: without a kind.
    pub(super) fn bare(status: StatusCode, detail: &str) -> Problem {
        Problem { status, kind: None, detail: detail.to_owned(), retry_after: None }
    }

    /// What HTTP itself has a word for: no key, too long.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        let kind = match status {
            StatusCode::UNAUTHORIZED => "unauthorized",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::REQUEST_TIMEOUT => "too_slow",
            StatusCode::NOT_ACCEPTABLE => "not_acceptable",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
            StatusCode::BAD_REQUEST => "invalid",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "internal",
        };
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Problem { status, kind: Some(kind), detail: detail.into(), retry_after }
    }

    /// A key asked more often than it may.
    pub(super) fn too_many(key: &str, wait: Duration) -> Problem {
        let detail = format!("the key {key} asks more often than it may; ask again in {wait:.1?}");
        // To the full second, as the header has it.
        let retry_after = Some(wait.as_secs() + 1);
        Problem { status: StatusCode::TOO_MANY_REQUESTS, kind: Some("too_many"), detail, retry_after }
    }

    /// A query that cannot be read.
    pub(super) fn of_query(error: &QueryRejection) -> Problem {
        Problem::mistake(format!("the query is not what this path takes: {}", error.body_text()))
    }

    /// There is no time left.
    pub(super) fn stopping() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server stops")
    }

    /// A mistake of the caller's, in words.
    pub(super) fn mistake(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }
}

/// The status of an error of the store.
pub(super) fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Refused => StatusCode::CONFLICT,
        ErrorKind::Locked | ErrorKind::Poisoned => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Damaged | ErrorKind::NewerFormat | ErrorKind::Io => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let kind = match error.kind() {
            ErrorKind::Invalid => "invalid",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Refused => "refused",
            ErrorKind::Locked => "locked",
            ErrorKind::Poisoned => "poisoned",
            ErrorKind::NoSpace => "no_space",
            ErrorKind::Damaged => "damaged",
            ErrorKind::NewerFormat => "newer_format",
            ErrorKind::Io => "io",
        };
        Problem { status: status_of(error.kind()), kind: Some(kind), detail: error.to_string(), retry_after: None }
    }
}

impl From<Unread> for Problem {
    fn from((status, why): Unread) -> Problem {
        Problem::new(status, why)
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Problem {
        Problem::mistake(format!("the body is not what this path takes: {error}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = match self.kind {
            Some(kind) => json!({ "detail": self.detail, "kind": kind }),
            None => json!({ "detail": self.detail }),
        };
        let mut response = answer_of(self.status, body.to_string(), self.retry_after);
        response.extensions_mut().insert(Why(self.detail.into()));
        response
    }
}

/// An error as an answer of JSON.
pub(super) fn answer_of(status: StatusCode, json: String, retry_after: Option<u64>) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], json).into_response();
    let headers = response.headers_mut();
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
