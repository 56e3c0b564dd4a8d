//! `GET /features/{name}` and `/features/{name}/lineage`: what a feature is, and what it comes from and goes into.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use crate::api_key::Scope;
use crate::definition::{Feature, FeatureRef};
use crate::engine::summary::ViewSummary;
use crate::error::{Error, nearest};
use crate::server::auth::Grant;
use crate::server::http::answer::{aside, json_of};
use crate::server::http::guard;
use crate::server::http::own::{find_view, may_read};
use crate::server::http::params::Name;
use crate::server::http::problem::Problem;
use crate::server::http::shared::Shared;

/// A feature: its type and rules, its view, who answers for it.
pub(in crate::server::http) async fn feature(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    Name(name): Name,
) -> Result<Response, Problem> {
    let views = readable(&shared, &grant)?;
    let (view, feature) = find(&views, &grant, &name)?;
    json_of(&json!({
        "name": format!("{}:{}", view.name, feature.name),
        "feature": feature,
        "view": view.view,
        "revision": view.revision,
        "kind": view.kind,
        "entities": view.entities,
        "join_keys": view.join_keys,
        "ttl_us": view.ttl_us,
        "freshness_sla_us": view.freshness_sla_us,
        "event_max": view.event_max,
        "owner": view.owner,
        "description": view.description,
        "tags": view.tags,
    }))
}

/// What a feature's rows come from, and the services that it goes into.
pub(in crate::server::http) async fn lineage(
    State(shared): State<Arc<Shared>>,
    Extension(grant): Extension<Arc<Grant>>,
    Name(name): Name,
) -> Result<Response, Problem> {
    let views = readable(&shared, &grant)?;
    let (view, feature) = find(&views, &grant, &name)?;
    let newest = find_view(&views, &view.name.parse()?)?;
    let mut services = shared.store.services()?;
    services.retain(|service| {
        service.features.iter().all(|selection| may_read(&grant, &selection.view.name))
            && service.features.iter().any(|selection| {
                let version = selection.view.version.unwrap_or(newest.version);
                selection.view.name == view.name
                    && version == view.version
                    && (selection.features.is_empty() || selection.features.contains(&feature.name))
            })
    });
    let services: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    json_of(&json!({
        "name": format!("{}:{}", view.name, feature.name),
        "source": view.source,
        "event_timestamp": view.event_timestamp,
        "created_timestamp": view.created_timestamp,
        "view": view.view,
        "revision": view.revision,
        "entities": view.entities,
        "rows": view.rows,
        "newest_seq": view.newest_seq,
        "newest_ingested_at": view.newest_ingested_at,
        "services": services,
    }))
}

fn readable(shared: &Shared, grant: &Grant) -> Result<Vec<ViewSummary>, Error> {
    let mut views = aside(true, || shared.store.views())?;
    views.retain(|view| may_read(grant, &view.name));
    Ok(views)
}

/// A feature by its reference, or by its name where one view alone has it.
fn find<'a>(views: &'a [ViewSummary], grant: &Grant, name: &str) -> Result<(&'a ViewSummary, &'a Feature), Problem> {
    if name.contains(':') {
        let reference: FeatureRef = name.parse()?;
        guard::check(grant, Scope::Read, &reference.view.name)?;
        let view = find_view(views, &reference.view)?;
        let found = view.features.iter().find(|feature| feature.name == reference.feature);
        let found = found.ok_or_else(|| {
            let error = Error::not_found(format!("feature view {} has no feature {}", view.view, reference.feature));
            match nearest(&reference.feature, view.features.iter().map(|feature| feature.name.as_str())) {
                Some(near) => error.remedy(format!("did you mean {}:{near}?", view.name)),
                None => error.remedy(format!("GET /v1/views/{} lists its features", view.view)),
            }
        })?;
        return Ok((view, found));
    }
    let is_newest =
        |view: &&ViewSummary| views.iter().all(|other| other.name != view.name || other.version <= view.version);
    let all =
        || views.iter().filter(is_newest).flat_map(|view| view.features.iter().map(move |feature| (view, feature)));
    let found: Vec<(&ViewSummary, &Feature)> = all().filter(|(_, feature)| feature.name == name).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let error = Error::not_found(format!("no feature view has a feature {name}"));
            Err(match nearest(name, all().map(|(_, feature)| feature.name.as_str())) {
                Some(near) => error.remedy(format!("did you mean {near}?")),
                None => error.remedy("GET /v1/views lists them"),
            }
            .into())
        }
        several => {
            let names: Vec<String> = several.iter().map(|(view, _)| format!("{}:{name}", view.name)).collect();
            let error = Error::invalid(format!("several feature views have a feature {name}"));
            Err(error.remedy(format!("name one: {}", names.join(", "))).into())
        }
    }
}
