//! `POST /get-features`: features of entities now, row by row.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde_json::Value as Json;

use super::request::FeaturesRequest;
use super::row::{push_statuses, push_values};
use crate::server::auth::Grant;
use crate::server::http::answer::{aside, is_long, json_answer};
use crate::server::http::entities::entities;
use crate::server::http::json::{push_each, push_string};
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;

/// Features of entities: each with its join keys as they were given.
pub(in crate::server::http) async fn get_features(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    body: Body,
) -> Result<Response, Problem> {
    let body = shared.receive(&grant, body).await?;
    let json = aside(is_long(&body), || {
        let (ask, rows) = serde_json::from_slice::<FeaturesRequest<Json>>(&body)?.split()?;
        let rows = Json::Array(rows);
        aside(!ask.is_of_now(), || {
            shared.read(&grant, &ask, |reading| {
                let entities = entities(&rows, &reading.asked.join_keys)?;
                let names = reading.asked.names(ask.full_names)?;
                let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
                let (mut results, mut statuses) = (b"{\"results\":[".to_vec(), Vec::new());
                reading.each(&entities, |at, row| {
                    if at > 0 {
                        results.push(b',');
                        statuses.push(b',');
                    }
                    results.push(b'{');
                    push_each(rows[at].as_object().into_iter().flatten(), &mut results, |(name, key), out| {
                        push_string(name, out);
                        out.push(b':');
                        // Into memory nothing fails.
                        let _ = serde_json::to_writer(out, key);
                    });
                    if !results.ends_with(b"{") {
                        results.push(b',');
                    }
                    push_values(names, &row, &mut results);
                    results.push(b'}');
                    statuses.push(b'{');
                    push_statuses(names, &row, &mut statuses);
                    statuses.push(b'}');
                    results.len() + statuses.len()
                })?;
                results.extend_from_slice(b"],\"statuses\":[");
                results.append(&mut statuses);
                results.extend_from_slice(b"]}");
                Ok(results)
            })
        })
    })?;
    Ok(json_answer(json))
}
