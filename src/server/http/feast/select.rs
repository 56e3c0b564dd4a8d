//! Which features a request of `/get-online-features` asks for, in Feast's words where there are none such.

use axum::http::StatusCode;

use super::refusal::Refusal;
use super::request::OnlineRequest;
use crate::api_key::Scope;
use crate::definition::{FeatureRef, FeatureService, FeatureView, Selection, selections_of};
use crate::server::auth::Grant;
use crate::server::http::ask::{check_length, check_references};
use crate::server::http::guard;
use crate::server::http::registered::InForce;

/// Features of one view that a request asks for next to each other.
pub(super) struct Part<'a> {
    pub selection: Selection,
    pub view: &'a FeatureView,
    /// For each join key of the view, the column of the request that holds it.
    pub key_columns: Vec<String>,
    /// Its places among all features of the answer.
    pub columns: std::ops::Range<usize>,
}

/// What a request asks for.
pub(super) struct Selected<'a> {
    pub parts: Vec<Part<'a>>,
    /// What the features are called in the answer.
    pub names: Vec<String>,
}

pub(super) fn select<'a>(
    request: &OnlineRequest,
    in_force: &'a InForce,
    grant: &Grant,
    project: &str,
) -> Result<Selected<'a>, Refusal> {
    let unknown = |class, what: &str, name: &str| {
        let message = format!("Feature {what} {name} does not exist in project {project}");
        Refusal::exception(StatusCode::NOT_FOUND, class, &message)
    };
    let selections = match (&request.feature_service, &request.features) {
        (Some(name), _) => {
            check_length("feature service", name)?;
            let service = in_force.definitions.services.get(name);
            // A key of some views is not told which others there are.
            let may_read = |service: &&FeatureService| {
                service.features.iter().all(|selection| grant.access.may(Scope::Read, Some(&selection.view.name)))
            };
            if !grant.access.is_of_all_views() && service.filter(may_read).is_none() {
                let what = format!("of all that the service {name} reads");
                return Err(guard::not_permitted(grant, Scope::Read, &what).into());
            }
            let service = service.ok_or_else(|| unknown("FeatureServiceNotFoundException", "service", name))?;
            service.features.clone()
        }
        (None, Some(features)) if !features.is_empty() => {
            check_references(features)?;
            let references: Result<Vec<FeatureRef>, Refusal> = features.iter().map(|text| reference(text)).collect();
            selections_of(&references?)
        }
        _ => return Err(Refusal::mistake("No features specified for retrieval")),
    };
    let (mut parts, mut names) = (Vec::with_capacity(selections.len()), Vec::new());
    for mut selection in selections {
        let name = selection.view.to_string();
        guard::check(grant, Scope::Read, &selection.view.name)?;
        let view = in_force.view(&selection.view);
        let view = view.ok_or_else(|| unknown("FeatureViewNotFoundException", "view", &name))?;
        if selection.features.is_empty() {
            selection.features = view.features.iter().map(|feature| feature.name.clone()).collect();
        }
        if let Some(feature) = selection.features.iter().find(|feature| view.feature_index(feature).is_none()) {
            return Err(Refusal::mistake(format!("'Feature {feature} not found in projection {name}'")));
        }
        let (first, label) = (names.len(), selection.label());
        names.extend(selection.features.iter().map(|feature| match request.full_feature_names.0 {
            true => format!("{label}__{feature}"),
            false => feature.clone(),
        }));
        let columns = view.join_keys.iter().map(|(name, _)| selection.join_keys.get(name).unwrap_or(name).clone());
        parts.push(Part { key_columns: columns.collect(), columns: first..names.len(), selection, view });
    }
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let mut twice: Vec<&str> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    twice.dedup();
    if !twice.is_empty() {
        let message = format!(
            "Duplicate features named {} found.\nTo resolve this collision, either use the full feature name by setting \
             'full_feature_names=True', or ensure that the features in question have different names.",
            twice.join(", ")
        );
        return Err(Refusal::exception(StatusCode::BAD_REQUEST, "FeatureNameCollisionError", &message));
    }
    Ok(Selected { parts, names })
}

/// A feature reference in Feast's form, or asof's: `view:feature`, `view@2:feature`, `view@v2:feature`.
fn reference(text: &str) -> Result<FeatureRef, Refusal> {
    let asofs = match text.split_once("@v") {
        Some((view, rest)) if rest.starts_with(|digit: char| digit.is_ascii_digit()) => format!("{view}@{rest}"),
        _ => text.to_owned(),
    };
    asofs.parse().map_err(|_| {
        Refusal::mistake(format!(
            "Invalid feature reference '{text}'. Expected format: '<feature_view>:<feature>' or '<feature_view>@<version>:<feature>'"
        ))
    })
}
