//! What the store holds: of views, what the key may read; of the whole, for keys of all views. Sizes and times of files are read
//! from the disk.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::api_key::Scope;
use crate::definition::ViewRef;
use crate::engine::summary::{EntitySummary, RunSummary, ServiceSummary, SnapshotSummary, ViewSummary};
use crate::error::{Error, nearest};
use crate::server::auth::Grant;
use crate::server::http::answer::{aside, json_of, on_disk};
use crate::server::http::guard;
use crate::server::http::params::{Name, Params};
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;

type Answer = Result<Response, Problem>;
type Asker = (State<Arc<Shared>>, Extension<Arc<Grant>>);

/// Whether a key opens a view for reading.
pub(in crate::server::http) fn may_read(grant: &Grant, view: &str) -> bool {
    grant.access.may(Scope::Read, Some(view))
}

/// The name of a view that is written with its version.
fn name_of(view: &str) -> &str {
    view.split_once('@').map_or(view, |(name, _)| name)
}

/// Feature views, with their sizes and how fresh they are.
pub(in crate::server::http) async fn views((State(shared), Extension(grant)): Asker) -> Answer {
    let mut views = aside(true, || shared.store.views())?;
    views.retain(|view| may_read(&grant, &view.name));
    json_of(&views)
}

/// One of them.
pub(in crate::server::http) async fn view((State(shared), Extension(grant)): Asker, Name(name): Name) -> Answer {
    let wanted: ViewRef = name.parse()?;
    guard::check(&grant, Scope::Read, &wanted.name)?;
    let mut views = aside(true, || shared.store.views())?;
    views.retain(|view| may_read(&grant, &view.name));
    json_of(find_view(&views, &wanted)?)
}

/// The view of this name; its newest version where none is named.
///
/// # Errors
/// There is none.
pub(in crate::server::http) fn find_view<'a>(
    views: &'a [ViewSummary],
    wanted: &ViewRef,
) -> Result<&'a ViewSummary, Error> {
    let named = views.iter().filter(|view| view.name == wanted.name);
    let found = match wanted.version {
        Some(version) => named.into_iter().find(|view| view.version == version),
        None => named.max_by_key(|view| view.version),
    };
    found.ok_or_else(|| {
        let error = Error::not_found(format!("there is no feature view {wanted}"));
        let versions: Vec<&str> =
            views.iter().filter(|view| view.name == wanted.name).map(|view| view.view.as_str()).collect();
        if !versions.is_empty() {
            return error.remedy(format!("there is {}", versions.join(", ")));
        }
        match nearest(&wanted.name, views.iter().map(|view| view.name.as_str())) {
            Some(near) => error.remedy(format!("did you mean {near}?")),
            None => error.remedy("GET /v1/views lists them"),
        }
    })
}

/// Feature services whose views may all be read.
pub(in crate::server::http) async fn services((State(shared), Extension(grant)): Asker) -> Answer {
    let mut services: Vec<ServiceSummary> = shared.store.services()?;
    services.retain(|service| service.features.iter().all(|selection| may_read(&grant, &selection.view.name)));
    json_of(&services)
}

/// Entities, and the views about them.
pub(in crate::server::http) async fn entities((State(shared), Extension(grant)): Asker) -> Answer {
    let mut entities: Vec<EntitySummary> = shared.store.entities()?;
    for entity in &mut entities {
        entity.views.retain(|view| may_read(&grant, name_of(view)));
    }
    entities.retain(|entity| !entity.views.is_empty() || grant.access.may(Scope::Read, None));
    json_of(&entities)
}

/// Files of history.
pub(in crate::server::http) async fn runs((State(shared), Extension(grant)): Asker) -> Answer {
    let mut runs: Vec<RunSummary> = aside(true, || shared.store.runs())?;
    runs.retain(|run| may_read(&grant, name_of(&run.view)));
    json_of(&runs)
}

/// The store as a whole.
pub(in crate::server::http) async fn stats((State(shared), Extension(grant)): Asker) -> Answer {
    guard::check_all(&grant, Scope::Read)?;
    json_of(&aside(true, || shared.store.summary())?)
}

/// Named states of knowledge.
pub(in crate::server::http) async fn snapshots((State(shared), Extension(grant)): Asker) -> Answer {
    guard::check_all(&grant, Scope::Read)?;
    json_of(&shared.store.snapshots()?)
}

/// What says nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::server::http) struct Nothing {}

/// Names the state of knowledge of now, and tells of it as the list does. No other state: what asks for one is refused, for a name stays.
pub(in crate::server::http) async fn snapshot(
    (State(shared), Extension(grant)): Asker,
    Name(name): Name,
    Params(Nothing {}): Params<Nothing>,
    body: Body,
) -> Answer {
    if !shared.receive(&grant, body).await?.is_empty() {
        return Err(Problem::mistake("a snapshot is of now, and has no body"));
    }
    on_disk(move || {
        let made = shared.store.snapshot(&name)?;
        json_of(&SnapshotSummary::from(&made))
    })
    .await
}
