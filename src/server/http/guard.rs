//! Who gets to a route: what a request shows is held against what the route takes. Whoever shows nothing that opens it gets no further.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;
use super::shared::Shared;
use crate::api_key::Scope;
use crate::server::auth::Grant;

/// As whom a key is shown that names nobody.
const ANYBODY: &[u8] = b"default";

/// Lets a request through whose key has the scope; what it may do goes with it.
pub(super) async fn admit(
    State((shared, scope)): State<(Arc<Shared>, Scope)>,
    mut request: Request,
    next: Next,
) -> Response {
    let authenticator = &shared.options.authenticator;
    let grant = match shown(&request) {
        Some(key) if authenticator.is_required() => authenticator.admit(ANYBODY, key),
        _ => authenticator.unasked(),
    };
    let Some(grant) = grant else {
        let why = "show a key of this store: Authorization: Bearer KEY (asof key create makes one)";
        let mut response = Problem::new(StatusCode::UNAUTHORIZED, why).into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    };
    if !grant.access.has(scope) {
        return not_permitted(&grant, scope, None).into_response();
    }
    request.extensions_mut().insert(grant);
    next.run(request).await
}

/// The key in `Authorization: Bearer KEY`.
fn shown(request: &Request) -> Option<&[u8]> {
    let (scheme, key) = request.headers().get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

/// Refuses what a key may not do with a view.
///
/// # Errors
/// 403, in words.
pub(super) fn check(grant: &Grant, scope: Scope, view: &str) -> Result<(), Problem> {
    if grant.access.may(scope, Some(view)) { Ok(()) } else { Err(not_permitted(grant, scope, Some(view))) }
}

/// Refuses what is over all views at once to a key of some.
///
/// # Errors
/// 403, in words.
pub(super) fn check_all(grant: &Grant, scope: Scope) -> Result<(), Problem> {
    if grant.access.may(scope, None) { Ok(()) } else { Err(not_permitted(grant, scope, Some("of all views"))) }
}

fn not_permitted(grant: &Grant, scope: Scope, view: Option<&str>) -> Problem {
    let of = view.map(|view| format!(" {view}")).unwrap_or_default();
    Problem::new(
        StatusCode::FORBIDDEN,
        format!("the key {} does not open this: it takes {}{of}", grant.name, scope.name()),
    )
}
