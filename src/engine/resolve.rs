//! From names to records: which view revisions and fields a request is about.

use std::sync::Arc;

use crate::definition::Selection;
use crate::error::{Error, ErrorKind, Result, nearest};
use crate::registry::DefinitionsView;
use crate::registry::records::ViewRecord;
use crate::request::{Features, no_features};
use crate::value::DataType;

/// A selection whose view and features were found.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The name its columns carry in full names.
    pub label: String,
    /// The view revision that answers.
    pub view: Arc<ViewRecord>,
    /// For each join key, in key order, the caller's column that holds it.
    pub key_columns: Vec<String>,
    /// What is selected, in order.
    pub fields: Vec<ResolvedField>,
}

/// A selected feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedField {
    /// Its name.
    pub name: String,
    /// Its position among all fields the view version ever had.
    pub ordinal: usize,
    /// Its type.
    pub dtype: DataType,
}

impl Resolved {
    /// The same, naming what was found: this version, these features.
    pub fn pinned(&self) -> Selection {
        let definition = &self.view.definition;
        let keys = definition.join_keys.iter().zip(&self.key_columns);
        Selection {
            view: definition.reference(),
            alias: Some(self.label.clone()),
            join_keys: keys.map(|((name, _), column)| (name.clone(), column.clone())).collect(),
            features: self.fields.iter().map(|field| field.name.clone()).collect(),
        }
    }
}

/// Finds what a request names, in the definitions given.
///
/// # Errors
/// `NotFound`, naming everything that is unknown at once.
pub fn resolve(features: &Features, definitions: &DefinitionsView) -> Result<Vec<Resolved>> {
    let (resolved, unknown) = resolve_known(features, definitions);
    all_at_once(unknown)?;
    Ok(resolved)
}

/// What a request names that is there, and an error for everything that is unknown.
pub(super) fn resolve_known(features: &Features, definitions: &DefinitionsView) -> (Vec<Resolved>, Vec<Error>) {
    let mut resolved = Vec::new();
    let mut unknown: Vec<Error> = Vec::new();
    let selections: &[Selection] = match features {
        Features::List(selections) => selections,
        Features::Service(name) => match definitions.service(name) {
            Ok(service) => service.definition.as_ref().map_or(&[][..], |definition| &definition.features),
            Err(error) => {
                unknown.push(error);
                &[]
            }
        },
    };
    if selections.is_empty() && unknown.is_empty() {
        unknown.push(no_features());
    }
    for selection in selections {
        match resolve_one(selection, definitions, &mut unknown) {
            Ok(one) => resolved.push(one),
            Err(error) => unknown.push(error),
        }
    }
    (resolved, unknown)
}

/// One error that says all of these; of their kind where they have one.
pub(super) fn all_at_once(mut errors: Vec<Error>) -> Result<()> {
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.swap_remove(0)),
        _ => {
            let kind = errors[0].kind();
            let is_same = errors.iter().all(|error| error.kind() == kind);
            let all: Vec<String> = errors.iter().map(Error::to_string).collect();
            Err(Error::new(if is_same { kind } else { ErrorKind::Invalid }, all.join("\n  ")))
        }
    }
}

fn resolve_one(selection: &Selection, definitions: &DefinitionsView, unknown: &mut Vec<Error>) -> Result<Resolved> {
    let view = definitions.view(&selection.view)?;
    let definition = &view.definition;
    let names: Vec<&str> = match selection.features.as_slice() {
        [] => definition.features.iter().map(|feature| feature.name.as_str()).collect(),
        named => named.iter().map(String::as_str).collect(),
    };
    let mut fields = Vec::new();
    for name in names {
        let known = definition.feature_index(name).and_then(|_| view.ordinal(name));
        match known {
            Some(ordinal) => {
                fields.push(ResolvedField {
                    name: name.to_owned(),
                    ordinal,
                    dtype: view.fields[ordinal].dtype.clone(),
                });
            }
            None => {
                if let Some(at) = definitions.later_feature(view, name) {
                    let what = format!("feature {}:{name} was first applied at seq {at}", selection.view);
                    unknown.push(definitions.came_later(&what, at));
                    continue;
                }
                let error = Error::not_found(format!("feature view {} has no feature {name}", selection.view));
                let names = definition.features.iter().map(|feature| feature.name.as_str());
                unknown.push(match nearest(name, names) {
                    Some(near) => error.remedy(format!("did you mean {}:{near}?", selection.view)),
                    None => error.remedy(format!("asof show {} lists its features", selection.view)),
                });
            }
        }
    }
    for key in selection.join_keys.keys() {
        if !definition.join_keys.iter().any(|(name, _)| name == key) {
            unknown.push(Error::not_found(format!("feature view {} has no join key {key}", selection.view)));
        }
    }
    let key_columns =
        definition.join_keys.iter().map(|(name, _)| selection.join_keys.get(name).unwrap_or(name).clone());
    Ok(Resolved { label: selection.label(), view: Arc::clone(view), key_columns: key_columns.collect(), fields })
}
