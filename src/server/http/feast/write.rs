//! `POST /push` and `POST /write-to-online-store`: rows into the log, from which training and serving read alike.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::frame::rows_of;
use super::refusal::Refusal;
use super::request::{push_request, write_request};
use crate::api_key::Scope;
use crate::definition::{FeatureView, ViewRef};
use crate::server::auth::Grant;
use crate::server::http::guard;
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;
use crate::store::Row;

/// Where rows can be sent. There is one log, and both read it: all three are the same.
const DESTINATIONS: [&str; 3] = ["online", "offline", "online_and_offline"];

/// Writes rows to the views that a push source feeds.
pub(in crate::server::http) async fn push(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    body: Body,
) -> Response {
    match write_rows(shared, grant, body, rows_of_push).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Writes rows to a view.
pub(in crate::server::http) async fn write_to_online_store(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    body: Body,
) -> Response {
    match write_rows(shared, grant, body, rows_of_write).await {
        Ok(()) => ([(header::CONTENT_TYPE, "application/json")], "null").into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// What is to be written to each view, by its reference.
type Batches = Vec<(String, Vec<Row>)>;

async fn write_rows(
    shared: Arc<Shared>,
    grant: Arc<Grant>,
    body: Body,
    batches: fn(&Shared, &Grant, &[u8]) -> Result<Batches, Refusal>,
) -> Result<(), Refusal> {
    let body = shared.receive(&grant, body).await?;
    // It waits for the disk.
    let written = tokio::task::spawn_blocking(move || {
        let batches = batches(&shared, &grant, &body)?;
        // Of several views each is a commit of its own: what would be refused is found before the first.
        if batches.len() > 1 {
            for (view, rows) in &batches {
                shared.store.check_rows(view, rows)?;
            }
        }
        for (view, rows) in batches {
            shared.store.write_rows(&view, rows)?;
        }
        Ok(())
    });
    written.await.unwrap_or_else(|_| Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the write failed").into()))
}

fn rows_of_push(shared: &Shared, grant: &Grant, body: &[u8]) -> Result<Batches, Refusal> {
    let request = push_request(body)?;
    if !DESTINATIONS.contains(&request.to.as_str()) {
        let known = DESTINATIONS.map(|name| format!("'{name}'")).join(", ");
        let message = format!("{} is not a supported push format. Please specify one of these [{known}].", request.to);
        return Err(Refusal::mistake(message));
    }
    let in_force = shared.definitions()?;
    let source = &request.push_source_name;
    let mut views: Vec<&FeatureView> = in_force.newest().filter(|view| push_name(view) == source).collect();
    views.sort_unstable_by_key(|view| &view.name);
    // Whether there is one is told to who may write to all there are.
    if views.is_empty() && !grant.access.is_of_all_views() {
        return Err(guard::not_permitted(grant, Scope::Write, &format!("of all that {source} feeds")).into());
    }
    if views.is_empty() {
        let message = format!("Unable to find push source '{source}'.");
        return Err(Refusal::exception(StatusCode::UNPROCESSABLE_ENTITY, "PushSourceNotFoundException", &message));
    }
    let batch = |view: &FeatureView| {
        if !grant.access.may(Scope::Write, Some(&view.name)) {
            return Err(guard::not_permitted(grant, Scope::Write, &format!("of all that {source} feeds")).into());
        }
        Ok((view.reference().to_string(), rows_of(&request.df, view)?))
    };
    views.into_iter().map(batch).collect()
}

fn rows_of_write(shared: &Shared, grant: &Grant, body: &[u8]) -> Result<Batches, Refusal> {
    let request = write_request(body)?;
    let in_force = shared.definitions()?;
    let name = &request.feature_view_name;
    let wanted = name.parse::<ViewRef>().ok();
    guard::check(grant, Scope::Write, wanted.as_ref().map_or(name, |view| &view.name))?;
    let view = wanted.and_then(|view| in_force.view(&view)).ok_or_else(|| {
        let message = format!("Can't recognize feast object with a name {name}");
        Refusal::exception(StatusCode::NOT_FOUND, "FeastObjectNotFoundException", &message)
    })?;
    Ok(vec![(view.reference().to_string(), rows_of(&request.df, view)?)])
}

/// What the push source of a view is called.
fn push_name(view: &FeatureView) -> &str {
    view.source.push.as_deref().unwrap_or(&view.name)
}
