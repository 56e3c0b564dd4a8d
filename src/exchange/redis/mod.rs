//! Latest values into a Redis, and back out of one: [`Store::export_redis`](crate::Store::export_redis),
//! [`Store::import_redis`](crate::Store::import_redis).
//!
//! Two layouts. `plain`: a hash for each entity of a view, called and written as asof's own server does. `feast`: a hash for each
//! entity, with the features of all views over the same join keys, in the bytes that Feast writes and reads.

mod checkpoint;
mod export;
mod feast;
mod import;
mod incoming;
mod plain;
mod taking;
mod target;
mod url;

#[cfg(test)]
#[cfg(feature = "resp")]
mod tests;

pub use export::{RedisExportOptions, RedisExportReport};
pub use import::{RedisImportOptions, RedisImportReport};
pub use url::RedisUrl;

use crate::definition::ViewRef;
use crate::engine::entities::EntityView;
use crate::error::{Error, Result, nearest};

/// How entities lie in a Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RedisLayout {
    /// `weather:JFK` is a hash whose fields are features, in their text forms.
    #[default]
    Plain,
    /// As Feast's Redis store has it.
    Feast {
        /// Feast's name of the project, which ends every key.
        project: String,
    },
}

impl RedisLayout {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            RedisLayout::Plain => "plain",
            RedisLayout::Feast { .. } => "feast",
        }
    }
}

/// The places of the views that are named, or of all; to Feast a view has one version, the newest where none is named.
fn selected(views: &[EntityView], named: &[String], layout: &RedisLayout) -> Result<Vec<usize>> {
    let has_versions = *layout == RedisLayout::Plain;
    if named.is_empty() {
        let all = views.iter().enumerate().filter(|(_, view)| has_versions || view.is_newest);
        return Ok(all.map(|(place, _)| place).collect());
    }
    let mut places: Vec<usize> = Vec::new();
    for name in named {
        let wanted: ViewRef = name.parse()?;
        let is_wanted = |view: &EntityView| match wanted.version {
            Some(version) => view.definition().version == version,
            None => view.is_newest,
        };
        let found = views.iter().position(|view| view.definition().name == wanted.name && is_wanted(view));
        let place = found.ok_or_else(|| {
            let error = Error::not_found(format!("there is no view {name}"));
            let known = views.iter().map(|view| view.definition().name.as_str());
            match nearest(&wanted.name, known) {
                Some(near) => error.remedy(format!("did you mean {near}?")),
                None => error.remedy("asof show lists the views"),
            }
        })?;
        let same_name = |&other: &usize| views[other].definition().name == wanted.name;
        if !has_versions && places.iter().any(|other| *other != place && same_name(other)) {
            return Err(Error::invalid(format!("two versions of {} are named", wanted.name))
                .remedy("to Feast a view has one version: name one"));
        }
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places.sort_unstable();
    Ok(places)
}
