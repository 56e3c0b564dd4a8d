//! Who gets to a route: what a request shows is held against what the route takes. Whoever shows nothing that opens it gets no further.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::ask::Ask;
use super::metrics::RouteRequests;
use super::problem::Problem;
use super::request_log::By;
use super::shared::Shared;
use crate::api_key::Scope;
use crate::definition::Selection;
use crate::error::Error;
use crate::request::{Features, KnownAt};
use crate::server::auth::Grant;
use crate::store::Resolution;

/// As whom a key is shown that names nobody.
const ANYBODY: &[u8] = b"default";

/// The scope of reads.
pub(super) const READ: Scope = Scope::Read;

/// What a route is about.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub shared: Arc<Shared>,
    /// What it takes; `None`: it is open to everybody.
    pub scope: Option<Scope>,
    pub requests: Arc<RouteRequests>,
}

/// Lets a request through whose key has the scope; what it may do goes with it. Each is counted, with the time that it took.
pub(super) async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let counted = gate.count();
    let response = match gate.scope.map(|scope| granted(&gate.shared, scope, &request)) {
        Some(Err(problem)) => problem.into_response(),
        Some(Ok(grant)) => {
            let by = by(&grant);
            request.extensions_mut().insert(grant);
            signed(next.run(request).await, by)
        }
        None => next.run(request).await,
    };
    counted.end(response)
}

/// The key that a request showed, for the log.
pub(super) fn by(grant: &Grant) -> Option<By> {
    grant.key.as_ref().map(|_| By(Arc::clone(&grant.name)))
}

/// An answer that says who asked.
pub(super) fn signed(mut response: Response, by: Option<By>) -> Response {
    if let Some(by) = by {
        response.extensions_mut().insert(by);
    }
    response
}

impl Gate {
    /// Counts a request from here on.
    pub(super) fn count(&self) -> Counted<'_> {
        Counted { requests: &self.requests, began: Instant::now(), status: CLIENT_GONE }
    }
}

/// A request that is counted however it ends.
pub(super) struct Counted<'a> {
    requests: &'a RouteRequests,
    began: Instant,
    status: u16,
}

/// As which a request counts whose client left before its answer.
const CLIENT_GONE: u16 = 499;

impl Counted<'_> {
    /// With its answer.
    pub(super) fn end(mut self, response: Response) -> Response {
        self.status = response.status().as_u16();
        response
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.requests.observe(self.status, self.began.elapsed());
    }
}

/// What the key of a request may do, if it has the scope.
pub(super) fn granted(shared: &Shared, scope: Scope, request: &Request) -> Result<Arc<Grant>, Problem> {
    let authenticator = &shared.options.authenticator;
    if !authenticator.is_required() && is_of_another_site(request, shared.options.address.ip().is_loopback()) {
        let why = "a page of another site gets nothing from a server that asks for no key (asof key create makes one)";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    let grant = match shown(request) {
        Some(key) if authenticator.is_required() => authenticator.admit(ANYBODY, key),
        _ => authenticator.unasked(),
    };
    let grant = grant.ok_or_else(|| {
        let why = "show a key of this store: Authorization: Bearer KEY (asof key create makes one)";
        Problem::new(StatusCode::UNAUTHORIZED, why)
    })?;
    if let Some(Err(wait)) = grant.key.as_deref().map(|key| shared.rates.take(key)) {
        return Err(Problem::too_many(&grant.name, wait));
    }
    if grant.access.has(scope) { Ok(grant) } else { Err(not_permitted(&grant, scope, "")) }
}

/// The key in `Authorization: Bearer KEY`.
fn shown(request: &Request) -> Option<&[u8]> {
    let (scheme, key) = request.headers().get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

/// Refuses what a key may not do with a view that the request names.
///
/// # Errors
/// 403, in words.
pub(super) fn check(grant: &Grant, scope: Scope, view: &str) -> Result<(), Problem> {
    if grant.access.may(scope, Some(view)) { Ok(()) } else { Err(not_permitted(grant, scope, view)) }
}

/// Refuses what is over all views at once to a key of some.
///
/// # Errors
/// 403, in words.
pub(super) fn check_all(grant: &Grant, scope: Scope) -> Result<(), Problem> {
    if grant.access.may(scope, None) { Ok(()) } else { Err(not_permitted(grant, scope, "of all views")) }
}

/// Refuses to read views that a request led to, however it named them.
///
/// # Errors
/// 403, in words that do not name them.
pub(super) fn check_resolved(grant: &Grant, resolved: &Resolution) -> Result<(), Problem> {
    let may_read = |view: &String| grant.access.may(Scope::Read, Some(view));
    if resolved.views.iter().all(may_read) { Ok(()) } else { Err(not_permitted(grant, Scope::Read, "of all of it")) }
}

/// Refuses a key of some views what is about others before anything is looked for: what is not found is told with what there is.
///
/// # Errors
/// 403; 404 where a view of the key's, or a snapshot, is not there.
pub(super) fn check_ask(shared: &Shared, grant: &Grant, ask: &Ask) -> Result<(), Problem> {
    if grant.access.is_of_all_views() {
        return Ok(());
    }
    if let Some(KnownAt::Snapshot(name)) = &ask.options.known_at
        && shared.store.snapshots()?.iter().all(|snapshot| snapshot.name != *name)
    {
        return Err(Error::not_found(format!("there is no snapshot {name}")).into());
    }
    match &ask.features {
        Features::List(selections) => {
            let in_force = shared.definitions()?;
            for Selection { view, .. } in selections {
                check(grant, Scope::Read, &view.name)?;
                if !in_force.has(&view.name) {
                    return Err(Error::not_found(format!("there is no feature view {view}")).into());
                }
            }
            Ok(())
        }
        Features::Service(name) => {
            let refused = || not_permitted(grant, Scope::Read, &format!("of all that the service {name} reads"));
            let resolved = shared.store.resolve(&ask.features, &ask.options);
            resolved.ok().filter(|resolved| check_resolved(grant, resolved).is_ok()).map(drop).ok_or_else(refused)
        }
    }
}

/// What a key would have to open.
pub(super) fn not_permitted(grant: &Grant, scope: Scope, what: &str) -> Problem {
    let why = format!("the key {} does not open this: it takes {} {what}", grant.name, scope.name());
    Problem::new(StatusCode::FORBIDDEN, why.trim_end())
}

/// Whether a page of another site may have sent a request: browsers say where it is from, and which name they found the server by. Where
/// no key is asked for, being on this machine, or within its network, is what lets anybody in, and such a page is not. A server that other
/// machines reach is called as they may call it.
fn is_of_another_site(request: &Request, is_local: bool) -> bool {
    // What is no text is no name of this machine either.
    let text = |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or_default();
    let is_elsewhere = text(header::ORIGIN)
        .is_some_and(|origin| origin.split_once("://").is_none_or(|(_, authority)| authority != host));
    is_elsewhere || (is_local && !is_name_of_this_machine(host))
}

/// Whether a `Host` cannot be the name of another site that leads here.
fn is_name_of_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.is_empty() || name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_told_from_programs_of_this_machine() {
        for (host, origin, is_elsewhere) in [
            ("127.0.0.1:6566", "", false),
            ("localhost:6566", "", false),
            ("[::1]:6566", "", false),
            ("", "", false),
            ("127.0.0.1:6566", "http://127.0.0.1:6566", false),
            ("127.0.0.1:6566", "http://127.0.0.1:8080", true),
            ("127.0.0.1:6566", "https://example.com", true),
            ("127.0.0.1:6566", "null", true),
            ("rebound.example.com:6566", "", true),
            ("localhost.example.com", "", true),
            ("127.0.0.1:6566", "http://\u{e4}.example.com", true),
            ("\u{e4}", "", true),
        ] {
            let mut request = Request::builder().header(header::HOST, host.as_bytes());
            if !origin.is_empty() {
                request = request.header(header::ORIGIN, origin.as_bytes());
            }
            let request = request.body(axum::body::Body::empty()).unwrap();
            assert_eq!(is_of_another_site(&request, true), is_elsewhere, "{host} {origin}");
        }
    }
}
