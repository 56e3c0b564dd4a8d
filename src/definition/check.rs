//! The rules that definitions obey, whether they come from a file or from code.

mod feature;
mod service;
mod source;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeSet;

use service::check_service;
use view::check_view;

use super::mistake::{At, Mistake, Mistakes};
use super::{Definitions, Entity, FeatureService, FeatureView, RESERVED_COLUMNS, ViewRef, check_name};
use crate::error::Result;
use crate::redis_key::clashes;
use crate::value::DataType;

impl Definitions {
    /// Checks everything that one definition says about another, and every name and rule. A version that a service pins need not be
    /// defined: the registry may keep it, and [`plan`](super::plan()) looks for it.
    ///
    /// [`Definitions::from_file`] has done this already; call it on definitions built in code.
    ///
    /// # Errors
    /// `Invalid`, with a [`Mistakes`] as its source that holds every mistake found.
    pub fn check(&self) -> Result<()> {
        let list = mistakes(self);
        if list.is_empty() { Ok(()) } else { Err(Mistakes::in_code(list).into_error()) }
    }

    /// A view by name; without a version, the newest.
    pub fn find_view(&self, wanted: &ViewRef) -> Option<&FeatureView> {
        self.views
            .iter()
            .filter(|view| view.name == wanted.name && wanted.version.is_none_or(|version| view.version == version))
            .max_by_key(|view| view.version)
    }
}

/// Every mistake in `definitions`, each at the path where it stands.
pub(super) fn mistakes(definitions: &Definitions) -> Vec<Mistake> {
    let mut found = Vec::new();
    check_named(&mut found, At::root().key("project").key("name"), "project", &definitions.project, false);
    for (name, entity) in &definitions.entities {
        check_entity(&mut found, name, entity);
    }
    let mut seen = BTreeSet::new();
    for view in &definitions.views {
        let at = At::view(&view.name, view.version);
        if !seen.insert((&view.name, view.version)) {
            found.push(Mistake::new(at.clone(), format!("view {} is defined twice", view.reference())).on_key());
        }
        check_view(&mut found, &at, view, &definitions.entities);
    }
    check_redis_keys(&mut found, &definitions.views);
    for (name, service) in &definitions.services {
        found.extend(service_mistakes(name, service, definitions));
    }
    found
}

/// Every mistake in what a service of these definitions selects.
pub(super) fn service_mistakes(name: &str, service: &FeatureService, definitions: &Definitions) -> Vec<Mistake> {
    let mut found = Vec::new();
    check_service(&mut found, name, service, definitions);
    found
}

/// A key of the Redis protocol names one thing at most.
fn check_redis_keys(found: &mut Vec<Mistake>, views: &[FeatureView]) {
    for clash in clashes(views) {
        let view = &views[clash.view];
        let at = At::view(&view.name, view.version).key("redis_keys").key(clash.template.as_str());
        found.push(Mistake::new(at, clash.to_string()).remedy(clash.way_out()));
    }
}

fn check_named(found: &mut Vec<Mistake>, at: At, what: &str, name: &str, is_key: bool) {
    if let Err(error) = check_name(what, name) {
        let mistake = Mistake::from_error(at, &error);
        found.push(if is_key { mistake.on_key() } else { mistake });
    }
}

/// A column of the store's own making: its name must leave room for asof's.
fn check_column(found: &mut Vec<Mistake>, at: At, what: &str, name: &str) {
    if RESERVED_COLUMNS.contains(&name) {
        let mistake = Mistake::new(at, format!("'{name}' is a reserved column name")).on_key();
        found.push(mistake.remedy(format!("name the {what} otherwise; source.rename maps columns to other names")));
        return;
    }
    check_named(found, at, what, name, true);
}

fn check_key_type(found: &mut Vec<Mistake>, at: At, what: &str, name: &str, dtype: &DataType) {
    if !dtype.is_join_key() {
        found.push(
            Mistake::new(at, format!("{what} {name} cannot be {dtype}"))
                .remedy("use bool, int32, int64, string, bytes, uuid, date or timestamp"),
        );
    }
}

fn check_entity(found: &mut Vec<Mistake>, name: &str, entity: &Entity) {
    let at = At::entity(name);
    check_named(found, at.clone(), "entity", name, true);
    let keys_at = at.key("join_keys");
    if entity.join_keys.is_empty() {
        found.push(
            Mistake::new(keys_at.clone(), format!("entity {name} has no join keys"))
                .remedy("name the columns that identify it, as in join_keys = { id = \"int64\" }"),
        );
    }
    let mut seen = BTreeSet::new();
    for (column, dtype) in &entity.join_keys {
        if !seen.insert(column) {
            found.push(Mistake::new(keys_at.key(column), format!("join key {column} is listed twice")));
        }
        check_column(found, keys_at.key(column), "join key", column);
        check_key_type(found, keys_at.key(column), "join key", column, dtype);
    }
}
