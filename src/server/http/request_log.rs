//! Every request has an id, by which its answer and what the log says of it are found; and the log tells how it ended.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use tracing::Instrument as _;

/// The header of requests and answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a request.
const ID_BYTES_MAX: usize = 128;

/// Of an answer that is an error: what it says, for the log.
#[derive(Clone, Debug)]
pub(super) struct Why(pub Arc<str>);

/// Of an answer: the key that was shown, by name, for the log.
#[derive(Clone, Debug)]
pub(super) struct By(pub Arc<str>);

/// Answers with the request's id, and tells of the request when its answer begins: of each from the level info on, of those that the server
/// failed always. Paths are told, which may name an entity; queries and bodies never.
pub(super) async fn told(request: Request, answer: impl AsyncFnOnce(Request) -> Response) -> Response {
    let id = request.headers().get(REQUEST_ID).filter(|id| is_id(id.as_bytes())).cloned().unwrap_or_else(new_id);
    let (began, method, uri) = (Instant::now(), request.method().clone(), request.uri().clone());
    let tells_all = tracing::enabled!(tracing::Level::INFO);
    let mut response = match tells_all {
        true => {
            let span = tracing::info_span!("request", request_id = text(&id));
            let left = Left { method: &method, path: uri.path(), id: text(&id), began };
            let response = answer(request).instrument(span).await;
            std::mem::forget(left);
            response
        }
        false => answer(request).await,
    };
    let status = response.status();
    // Of a server that is full every request would tell.
    let is_failure = status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE;
    if is_failure || tells_all {
        let (path, id) = (uri.path(), text(&id));
        let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (why, by) = (response.extensions().get::<Why>(), response.extensions().get::<By>());
        let (why, by) = (why.map(|why| &*why.0), by.map(|by| &*by.0));
        let status = status.as_u16();
        match is_failure {
            true => tracing::warn!(request_id = id, %method, path, status, took_us, key = by, why, "a request failed"),
            false => tracing::info!(request_id = id, %method, path, status, took_us, key = by, why, "request"),
        }
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Tells of a request whose caller left before there was an answer.
struct Left<'a> {
    method: &'a Method,
    path: &'a str,
    id: &'a str,
    began: Instant,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        let Left { method, path, id, .. } = *self;
        let took_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(request_id = id, %method, path, took_us, "a request was left before its answer");
    }
}

fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}

/// Whether a caller's id can stand in a log as it is.
fn is_id(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.iter().all(is_plain)
}

/// One that no other request has, of this process or another.
fn new_id() -> HeaderValue {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = PROCESS.get_or_init(|| RandomState::new().hash_one(std::process::id()));
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut text = [b'-'; 33];
    push_hex(*process, &mut text[..16]);
    push_hex(number, &mut text[17..]);
    // All of it is digits.
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from(number))
}

/// The last digits of a number, as many as there is room for.
fn push_hex(number: u64, digits: &mut [u8]) {
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_callers_are_plain_and_those_of_this_process_differ() {
        for (id, is) in [
            ("4bf92f3577b34da6a3ce929d0e0e4736", true),
            ("a/b:c.d-e_f+g=", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
        ] {
            assert_eq!(is_id(id.as_bytes()), is, "{id}");
        }
        assert!(!is_id(&[b'a'; ID_BYTES_MAX + 1]) && !is_id(b"a\n") && !is_id(&[0xe4]));
        assert_ne!(new_id(), new_id());
        assert!(is_id(new_id().as_bytes()));
        let mut digits = [0; 6];
        push_hex(0x00c0_ffee, &mut digits);
        assert_eq!(&digits, b"c0ffee");
    }
}
