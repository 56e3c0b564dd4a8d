//! All paths: what each takes, and who does it. What is not in the table is not there.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::decompression::RequestDecompressionLayer;

use super::feast;
use super::guard::{self, Gate};
use super::health::{health, ready};
use super::media::Media;
use super::metrics::{RouteRequests, metrics};
use super::openapi;
use super::own;
use super::platform;
use super::problem::Problem;
use super::shared::Shared;
use crate::api_key::Scope;

/// What requests count as whose path or method is not in the table.
const OTHER_PATHS: &str = "other";
/// Answers that are shorter go as they are.
pub(super) const COMPRESSED_BYTES_MIN: u64 = 4 << 10;

/// A path, the scope that it takes, and what it does by method. No scope: it is open, and says nothing of what the store holds.
type Route = (&'static str, Option<Scope>, MethodRouter<Arc<Shared>>);

fn table() -> Vec<Route> {
    vec![
        ("/health", None, get(health)),
        ("/ready", None, get(ready)),
        ("/metrics", Some(Scope::Read), get(metrics)),
        ("/openapi.json", None, get(openapi::openapi)),
        ("/docs", None, get(openapi::docs)),
        ("/get-online-features", Some(Scope::Read), post(feast::get_online_features)),
        ("/push", Some(Scope::Write), post(feast::push)),
        ("/write-to-online-store", Some(Scope::Write), post(feast::write_to_online_store)),
        ("/materialize", Some(Scope::Write), post(feast::materialize)),
        ("/materialize-incremental", Some(Scope::Write), post(feast::materialize_incremental)),
        ("/get-features", Some(Scope::Read), post(platform::get_features)),
        ("/feature-views", Some(Scope::Read), get(own::views)),
        ("/features", Some(Scope::Admin), post(platform::register)),
        ("/features/{name}", Some(Scope::Read), get(platform::feature)),
        ("/features/{name}/lineage", Some(Scope::Read), get(platform::lineage)),
        ("/features/online/{entity_id}", Some(Scope::Read), get(platform::online)),
        ("/v1/get", Some(Scope::Read), post(own::get)),
        ("/features/batch", Some(Scope::Read), post(platform::batch)),
        ("/v1/history", Some(Scope::Read), post(own::history)),
        ("/v1/write/{view}", Some(Scope::Write), post(own::write)),
        ("/v1/views", Some(Scope::Read), get(own::views)),
        ("/v1/views/{view}", Some(Scope::Read), get(own::view)),
        ("/v1/services", Some(Scope::Read), get(own::services)),
        ("/v1/entities", Some(Scope::Read), get(own::entities)),
        ("/v1/runs", Some(Scope::Read), get(own::runs)),
        ("/v1/stats", Some(Scope::Read), get(own::stats)),
        ("/v1/snapshots", Some(Scope::Read), get(own::snapshots)),
        ("/v1/snapshots/{name}", Some(Scope::Admin), post(own::snapshot)),
        ("/v1/explain", Some(Scope::Read), get(own::explain)),
    ]
}

/// The service of all paths, and what each is about.
pub(super) fn router(shared: &Arc<Shared>) -> (Router, Vec<(&'static str, Gate)>) {
    let (mut router, mut gates) = (Router::new(), Vec::new());
    for (path, scope, mut methods) in table() {
        let gate = Gate { shared: Arc::clone(shared), scope, requests: shared.requests.of_route(path) };
        gates.push((path, gate.clone()));
        methods = methods.layer(from_fn_with_state(gate, guard::admit));
        router = router.route(path, methods);
    }
    let unknown = shared.requests.of_route(OTHER_PATHS);
    let mistaken = Arc::clone(&unknown);
    let router = router
        .fallback(move || async move { counted(&unknown, StatusCode::NOT_FOUND, "Not Found") })
        .method_not_allowed_fallback(move || async move {
            counted(&mistaken, StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        })
        .with_state(Arc::clone(shared))
        // Bounds are those of what comes out of a body, however short it is on its way.
        .layer(RequestDecompressionLayer::new())
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(is_worth_compressing()));
    (router, gates)
}

/// An answer where there is nothing.
fn counted(requests: &RouteRequests, status: StatusCode, detail: &str) -> Problem {
    requests.observe(status.as_u16(), Duration::ZERO);
    Problem::bare(status, detail)
}

/// A short answer is there sooner as it is, and of what is compressed already nothing is gained.
pub(super) fn is_worth_compressing() -> impl Predicate {
    let [parquet, arrow] = [Media::Parquet, Media::Arrow].map(|media| NotForContentType::new(media.name()));
    SizeAbove::new(COMPRESSED_BYTES_MIN).and(parquet).and(arrow)
}

/// The scope that each path takes.
#[cfg(test)]
pub(super) fn scopes() -> Vec<(&'static str, Option<Scope>)> {
    table().into_iter().map(|(path, scope, _)| (path, scope)).collect()
}
