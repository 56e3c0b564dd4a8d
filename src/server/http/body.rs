//! A request's body, within the bounds of length and time that the server has.

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::options::HttpOptions;

/// Why there is no body.
pub(super) type Unread = (StatusCode, String);

/// Reads all of it.
///
/// # Errors
/// It is too long, took too long, or ended before its end.
pub(super) async fn read(body: Body, options: &HttpOptions) -> Result<Bytes, Unread> {
    let all = Limited::new(body, options.body_bytes_max).collect();
    match tokio::time::timeout(options.body_time, all).await {
        Ok(Ok(all)) => Ok(all.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err((StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {} bytes", options.body_bytes_max)))
        }
        Ok(Err(error)) => Err((StatusCode::BAD_REQUEST, format!("the body could not be read: {error}"))),
        Err(_) => {
            let seconds = options.body_time.as_secs_f64();
            Err((StatusCode::REQUEST_TIMEOUT, format!("the body was not there after {seconds} seconds")))
        }
    }
}
