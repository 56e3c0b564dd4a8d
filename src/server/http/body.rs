//! A request's body, within the bounds of length and time that the server has, and of memory for all of them.

use std::ops::Deref;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::options::HttpOptions;

/// Why there is no body.
pub(super) type Unread = (StatusCode, String);

/// What bodies hold in memory is counted in units of so many bytes. One that is shorter is not.
pub(super) const BODY_UNIT_BYTES: usize = 16 << 10;

/// A body, and its place among those that are held.
#[derive(Debug)]
pub(super) struct Received {
    bytes: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads all of it.
///
/// # Errors
/// It is too long, took too long, or ended before its end; others hold too much.
pub(super) async fn read(body: Body, options: &HttpOptions, places: &Arc<Semaphore>) -> Result<Received, Unread> {
    match tokio::time::timeout(options.body_time, read_all(body, options.body_bytes_max, places)).await {
        Ok(read) => read,
        Err(_) => {
            let seconds = options.body_time.as_secs_f64();
            Err((StatusCode::REQUEST_TIMEOUT, format!("the body was not there after {seconds} seconds")))
        }
    }
}

async fn read_all(mut body: Body, bytes_max: usize, places: &Arc<Semaphore>) -> Result<Received, Unread> {
    let mut place: Option<OwnedSemaphorePermit> = None;
    let mut first = Bytes::new();
    let mut all: Vec<u8> = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| (StatusCode::BAD_REQUEST, format!("the body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > bytes_max {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {bytes_max} bytes")));
        }
        let wanted = length / BODY_UNIT_BYTES;
        let held = place.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if wanted > held {
            let more = u32::try_from(wanted - held).unwrap_or(u32::MAX);
            let Ok(more) = Arc::clone(places).try_acquire_many_owned(more) else {
                let why = "requests hold as much memory as they may; ask again";
                return Err((StatusCode::SERVICE_UNAVAILABLE, why.to_owned()));
            };
            match &mut place {
                Some(place) => place.merge(more),
                none => *none = Some(more),
            }
        }
        // Mostly a body comes at once, and is not copied.
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    let bytes = if all.is_empty() { first } else { all.into() };
    Ok(Received { bytes, _place: place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_its_place_among_all_until_it_is_done_with() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let places = Arc::new(Semaphore::new(4));
        let options = HttpOptions { body_bytes_max: 8 * BODY_UNIT_BYTES, ..HttpOptions::default() };
        let read = |bytes: usize| runtime.block_on(read(Body::from(vec![b'x'; bytes]), &options, &places));
        let (short, long) = (read(BODY_UNIT_BYTES - 1).unwrap(), read(3 * BODY_UNIT_BYTES).unwrap());
        assert_eq!((short.len(), long.len(), places.available_permits()), (BODY_UNIT_BYTES - 1, long.len(), 1));
        assert_eq!(read(2 * BODY_UNIT_BYTES).unwrap_err().0, StatusCode::SERVICE_UNAVAILABLE);
        drop(long);
        assert_eq!(read(2 * BODY_UNIT_BYTES).unwrap().len(), 2 * BODY_UNIT_BYTES);
        assert_eq!(read(9 * BODY_UNIT_BYTES).unwrap_err().0, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(places.available_permits(), 4);
    }
}
