//! All paths: what each takes, and who does it. What is not in the table is not there.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use super::feast::{self, Refusal};
use super::guard;
use super::shared::Shared;
use crate::api_key::Scope;

/// A path, the scope that it takes, and what it does by method. No scope: it is open, and says nothing of what the store holds.
type Route = (&'static str, Option<Scope>, MethodRouter<Arc<Shared>>);

fn table() -> Vec<Route> {
    vec![
        ("/health", None, get(feast::health)),
        ("/get-online-features", Some(Scope::Read), post(feast::get_online_features)),
        ("/push", Some(Scope::Write), post(feast::push)),
        ("/write-to-online-store", Some(Scope::Write), post(feast::write_to_online_store)),
    ]
}

/// The service of all paths.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    for (path, scope, mut methods) in table() {
        if let Some(scope) = scope {
            methods = methods.layer(from_fn_with_state((Arc::clone(shared), scope), guard::admit));
        }
        router = router.route(path, methods);
    }
    router
        .fallback(|| async { Refusal::detail(StatusCode::NOT_FOUND, "Not Found") })
        .method_not_allowed_fallback(|| async { Refusal::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .with_state(Arc::clone(shared))
}
