//! `POST /features/batch`: features of entities, each as of its own moment.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde_json::value::RawValue;

use super::request::FeaturesRequest;
use crate::server::auth::Grant;
use crate::server::http::answer::aside;
use crate::server::http::guard;
use crate::server::http::joining::{Join, join, put_spine};
use crate::server::http::media::Media;
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;
use crate::server::http::spool::Spool;

/// Joins features to rows that have an `event_timestamp`.
pub(in crate::server::http) async fn batch(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    body: Body,
) -> Result<Response, Problem> {
    let body = shared.receive(&grant, body).await?;
    // It goes to the disk.
    let (asked, spool) = aside(true, || -> Result<_, Problem> {
        let (ask, rows) = serde_json::from_slice::<FeaturesRequest<Box<RawValue>>>(&body)?.split()?;
        guard::check_ask(&shared, &grant, &ask)?;
        let spool = Spool::new(&shared)?;
        put_spine(&spool, &rows)?;
        Ok((Join { ask, timestamp: None, created_cutoff: false, media: Media::Json }, spool))
    })?;
    join(shared, grant, asked, spool, Media::Json).await
}
