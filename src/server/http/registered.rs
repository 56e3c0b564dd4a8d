//! The definitions in force, kept until another revision is.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::definition::{Definitions, FeatureView, ViewRef};
use crate::error::Result;
use crate::store::Store;
use crate::value::DataType;

/// The definitions of one revision, by the names that requests use.
#[derive(Debug, Default)]
pub(super) struct InForce {
    pub revision: u64,
    pub definitions: Definitions,
    /// By name: its place among the views, newest version first.
    views: HashMap<String, Vec<usize>>,
    /// Join keys of all entities.
    join_keys: HashMap<String, DataType>,
}

impl InForce {
    fn new(revision: u64, definitions: Definitions) -> InForce {
        let mut views: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, view) in definitions.views.iter().enumerate() {
            views.entry(view.name.clone()).or_default().push(at);
        }
        for versions in views.values_mut() {
            versions.sort_by_key(|at| std::cmp::Reverse(definitions.views[*at].version));
        }
        let join_keys = definitions.entities.values().flat_map(|entity| entity.join_keys.iter().cloned()).collect();
        InForce { revision, definitions, views, join_keys }
    }

    /// All views, each of its newest version.
    pub(super) fn newest(&self) -> impl Iterator<Item = &FeatureView> {
        self.views.values().filter_map(|versions| Some(&self.definitions.views[*versions.first()?]))
    }

    /// Whether there is a view of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.views.contains_key(name)
    }

    /// A view, of its newest version unless one is named.
    pub(super) fn view(&self, wanted: &ViewRef) -> Option<&FeatureView> {
        let versions = self.views.get(&wanted.name)?;
        let mut versions = versions.iter().map(|at| &self.definitions.views[*at]);
        versions.find(|view| wanted.version.is_none_or(|version| version == view.version))
    }

    /// The join key that a request means which calls a column so: by its own name, or by that of the only entity with it.
    pub(super) fn join_key<'a>(&'a self, column: &'a str) -> Option<(&'a str, &'a DataType)> {
        if let Some((name, dtype)) = self.join_keys.get_key_value(column) {
            return Some((name, dtype));
        }
        match self.definitions.entities.get(column)?.join_keys.as_slice() {
            [(name, dtype)] => Some((name, dtype)),
            _ => None,
        }
    }
}

/// Those that were looked at last.
#[derive(Debug, Default)]
pub(super) struct Registered(RwLock<Option<Arc<InForce>>>);

impl Registered {
    pub(super) fn now(&self, store: &Store) -> Result<Arc<InForce>> {
        let revision = store.definitions_revision()?;
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(held) = held.filter(|held| held.revision == revision) {
            return Ok(held);
        }
        let (revision, definitions) = store.definitions()?;
        let held = Arc::new(InForce::new(revision, definitions));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&held));
        Ok(held)
    }
}
