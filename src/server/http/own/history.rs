//! `POST /v1/history`: a point-in-time join. The spine comes in, and the training set goes out, as JSON, JSON Lines, CSV, Parquet or
//! Arrow, of any length.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::server::auth::Grant;
use crate::server::http::answer::aside;
use crate::server::http::ask::{Ask, DefinitionsOf, KnownAtText, When, references};
use crate::server::http::guard;
use crate::server::http::joining::{Join, join, put_spine, spine_name};
use crate::server::http::media::{ALL, Media};
use crate::server::http::params::Params;
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;
use crate::server::http::spool::{Spool, receive};

/// What is asked for, beside a spine that is not JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::server::http) struct HistoryQuery {
    features: Option<String>,
    service: Option<String>,
    timestamp: Option<String>,
    known_at: Option<KnownAtText>,
    definitions: Option<DefinitionsOf>,
    created_cutoff: Option<bool>,
    full_names: Option<bool>,
}

/// What is asked for, with the spine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryRequest {
    #[serde(default)]
    features: Vec<String>,
    service: Option<String>,
    spine: Vec<Box<RawValue>>,
    timestamp: Option<String>,
    known_at: Option<KnownAtText>,
    definitions: Option<DefinitionsOf>,
    #[serde(default)]
    created_cutoff: bool,
    #[serde(default)]
    full_names: bool,
}

/// Joins features to the rows of a spine.
pub(in crate::server::http) async fn history(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    Params(query): Params<HistoryQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let spine = Media::of_body(&headers)?;
    let media = Media::of_answer(&headers, spine, &ALL)?;
    let (asked, spool) = match spine {
        Media::Json => of_json(&shared, &grant, &query, media, body).await?,
        _ => {
            let features = references(query.features.as_deref().unwrap_or_default());
            let when = When { at: None, known_at: query.known_at.as_ref(), definitions: query.definitions };
            let ask = Ask::new(&features, query.service, when, query.full_names.unwrap_or_default())?;
            // Before anything of the body is taken.
            aside(true, || {
                guard::check_ask(&shared, &grant, &ask)?;
                guard::check_resolved(&grant, &shared.store.resolve(&ask.features, &ask.options)?)
            })?;
            let spool = Spool::new(&shared)?;
            receive(body, &spool.file(&spine_name(spine)), &shared.options, shared.options.stream_bytes_max).await?;
            shared.check_still(&grant)?;
            let created_cutoff = query.created_cutoff.unwrap_or_default();
            (Join { ask, timestamp: query.timestamp, created_cutoff, media }, spool)
        }
    };
    join(shared, grant, asked, spool, spine).await
}

async fn of_json(
    shared: &Shared,
    grant: &Grant,
    query: &HistoryQuery,
    media: Media,
    body: Body,
) -> Result<(Join, Spool), Problem> {
    let HistoryQuery { features, service, timestamp, known_at, definitions, created_cutoff, full_names } = query;
    let given = [features.is_some(), service.is_some(), timestamp.is_some(), known_at.is_some()];
    let given = given.into_iter().chain([definitions.is_some(), created_cutoff.is_some(), full_names.is_some()]);
    if given.into_iter().any(|is_given| is_given) {
        return Err(Problem::mistake("with a body of JSON, the body says what is asked for, and not the query"));
    }
    let body = shared.receive(grant, body).await?;
    // It goes to the disk.
    aside(true, || {
        let request: HistoryRequest = serde_json::from_slice(&body)?;
        let when = When { at: None, known_at: request.known_at.as_ref(), definitions: request.definitions };
        let ask = Ask::new(&request.features, request.service, when, request.full_names)?;
        guard::check_ask(shared, grant, &ask)?;
        let spool = Spool::new(shared)?;
        put_spine(&spool, &request.spine)?;
        let (timestamp, created_cutoff) = (request.timestamp, request.created_cutoff);
        Ok((Join { ask, timestamp, created_cutoff, media }, spool))
    })
}
