//! What every request comes to first. Reads of now, which a server is asked for thousands of times a second, are answered from here; all else
//! goes through the router and its layers, which cost more than such a read does.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody as _};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use tower_http::compression::Compression;
use tower_service::Service;

use super::guard::{self, Gate};
use super::params::Params;
use super::problem::Problem;
use super::routes::{self, COMPRESSED_BYTES_MIN, is_worth_compressing};
use super::shared::Shared;
use super::{feast, own, platform, request_log};
use crate::server::auth::Grant;

/// Where requests arrive.
#[derive(Debug)]
pub(super) struct Front {
    shared: Arc<Shared>,
    router: Router,
    /// Of the reads that are answered from here, in the order of [`Read::ALL`].
    gates: [Gate; Read::ALL.len()],
}

/// A read of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Online,
    Get,
    GetFeatures,
    GetOnlineFeatures,
}

impl Read {
    const ALL: [Read; 4] = [Read::Online, Read::Get, Read::GetFeatures, Read::GetOnlineFeatures];

    /// As the table of routes has it.
    fn route(self) -> &'static str {
        match self {
            Read::Online => "/features/online/{entity_id}",
            Read::Get => "/v1/get",
            Read::GetFeatures => "/get-features",
            Read::GetOnlineFeatures => "/get-online-features",
        }
    }

    /// The read that a request is, if it is one. A path that is not plain, and a body that is packed, are for the router to read.
    fn of(request: &Request) -> Option<Read> {
        let path = request.uri().path();
        if *request.method() == Method::GET {
            let entity_id = entity_id(path)?;
            let is_plain = !entity_id.is_empty() && !entity_id.contains(['/', '%']);
            return is_plain.then_some(Read::Online);
        }
        if *request.method() != Method::POST || request.headers().contains_key(header::CONTENT_ENCODING) {
            return None;
        }
        Read::ALL.into_iter().find(|read| read.route() == path)
    }
}

fn entity_id(path: &str) -> Option<&str> {
    path.strip_prefix("/features/online/")
}

impl Front {
    pub(super) fn new(shared: Arc<Shared>) -> Front {
        let (router, gates) = routes::router(&shared);
        let gate = |read: Read| {
            let gate = gates.iter().find(|(path, _)| *path == read.route());
            gate.map(|(_, gate)| gate.clone()).unwrap_or_else(|| unreachable!("{} is a route", read.route()))
        };
        Front { gates: Read::ALL.map(gate), shared, router }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request) -> Response {
        request_log::told(request, async |request| match Read::of(&request) {
            Some(read) => self.read(read, request).await,
            // What is seldom has its room elsewhere: the state of a read, which is moved about, stays small.
            None => match Box::pin(self.router.clone().call(request)).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        })
        .await
    }

    async fn read(&self, read: Read, request: Request) -> Response {
        let counted = self.gates[read as usize].count();
        let grant = match guard::granted(&self.shared, guard::READ, &request) {
            Ok(grant) => grant,
            Err(problem) => return counted.end(problem.into_response()),
        };
        let by = guard::by(&grant);
        let (parts, body) = request.into_parts();
        let accepts = parts.headers.get(header::ACCEPT_ENCODING).cloned();
        let shared = || State(Arc::clone(&self.shared));
        let response = match read {
            Read::Online => self.online(&grant, &parts.uri),
            Read::GetOnlineFeatures => Box::pin(feast::get_online_features(shared(), Extension(grant), body)).await,
            Read::GetFeatures => {
                Box::pin(platform::get_features(shared(), Extension(grant), body)).await.into_response()
            }
            Read::Get => match Query::try_from_uri(&parts.uri) {
                Ok(Query(query)) => {
                    let got = own::get(shared(), Extension(grant), Params(query), parts.headers, body);
                    Box::pin(got).await.into_response()
                }
                Err(error) => Problem::of_query(&error).into_response(),
            },
        };
        counted.end(guard::signed(packed(accepts, response).await, by))
    }

    /// One entity, which is named in the path.
    fn online(&self, grant: &Grant, uri: &Uri) -> Response {
        let query = match uri.query().and_then(platform::OnlineQuery::of_plain) {
            Some(query) => Ok(query),
            None => Query::try_from_uri(uri).map(|Query(query)| query),
        };
        match query {
            Ok(query) => {
                let entity_id = entity_id(uri.path()).unwrap_or_default();
                platform::online_of(&self.shared, grant, entity_id, query).into_response()
            }
            Err(error) => Problem::of_query(&error).into_response(),
        }
    }
}

/// A long answer as its peer may have it.
async fn packed(accepts: Option<HeaderValue>, response: Response) -> Response {
    let Some(accepts) = accepts else { return response };
    if response.body().size_hint().exact().is_none_or(|bytes| bytes < COMPRESSED_BYTES_MIN) {
        return response;
    }
    let mut request = Request::new(Body::empty());
    *request.headers_mut() = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accepts)]);
    let mut packing = Compression::new(Ready(Some(response)))
        .quality(tower_http::CompressionLevel::Fastest)
        .compress_when(is_worth_compressing());
    match Box::pin(packing.call(request)).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// An answer that is there, for whoever asks first.
struct Ready(Option<Response>);

impl Service<Request> for Ready {
    type Response = Response;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        std::future::ready(Ok(self.0.take().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_of_now_are_told_from_all_else() {
        let read = |method: &str, path: &str, packed: bool| {
            let mut request = Request::builder().method(method).uri(path);
            if packed {
                request = request.header(header::CONTENT_ENCODING, "gzip");
            }
            Read::of(&request.body(Body::empty()).unwrap())
        };
        for (method, path, packed, is) in [
            ("GET", "/features/online/77?service=s", false, Some(Read::Online)),
            ("GET", "/features/online/77?service=s", true, Some(Read::Online)),
            ("GET", "/features/online/a%2Fb", false, None),
            ("GET", "/features/online/a/b", false, None),
            ("GET", "/features/online/", false, None),
            ("HEAD", "/features/online/77", false, None),
            ("POST", "/features/online/77", false, None),
            ("POST", "/v1/get?at=x", false, Some(Read::Get)),
            ("POST", "/v1/get", true, None),
            ("GET", "/v1/get", false, None),
            ("POST", "/v1/get/", false, None),
            ("POST", "/get-features", false, Some(Read::GetFeatures)),
            ("POST", "/get-online-features", false, Some(Read::GetOnlineFeatures)),
            ("POST", "/push", false, None),
        ] {
            assert_eq!(read(method, path, packed), is, "{method} {path}");
        }
    }
}
