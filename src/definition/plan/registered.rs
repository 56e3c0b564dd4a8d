//! What a registry holds, as planning needs it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::definition::{Definitions, Entity, FeatureService, FeatureView, ViewRef};
use crate::value::DataType;

/// What a registry holds. The registry fills it, the plan compares it with what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Registered {
    /// The project the store belongs to; empty for a new store.
    pub project: String,
    /// The id the next view version gets. Ids are never given twice, whatever is dropped.
    pub next_view_id: u32,
    /// Entities by name.
    pub entities: BTreeMap<String, Entity>,
    /// View versions, in the order they were registered.
    pub views: Vec<RegisteredView>,
    /// Services by name.
    pub services: BTreeMap<String, RegisteredService>,
}

/// One version of a view as it is registered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegisteredView {
    /// One for each name and version, for ever.
    pub id: u32,
    /// Counts compatible changes, from 1.
    pub revision: u32,
    /// Its newest revision.
    pub definition: FeatureView,
    /// Its fields in the order they were added: the position is the ordinal rows are stored by.
    pub fields: Vec<(String, DataType)>,
}

/// A service as it is registered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegisteredService {
    /// Counts changes, from 1.
    pub revision: u32,
    /// Its newest revision.
    pub definition: FeatureService,
}

impl Registered {
    /// A view by name and version.
    pub fn view(&self, name: &str, version: u32) -> Option<&RegisteredView> {
        self.views.iter().find(|view| view.definition.name == name && view.definition.version == version)
    }

    /// A view by reference; without a version, the newest.
    pub fn find_view(&self, wanted: &ViewRef) -> Option<&RegisteredView> {
        match wanted.version {
            Some(version) => self.view(&wanted.name, version),
            None => {
                let versions = self.views.iter().filter(|view| view.definition.name == wanted.name);
                versions.max_by_key(|view| view.definition.version)
            }
        }
    }

    /// The newest revision of everything, as definitions.
    pub(super) fn definitions(&self) -> Definitions {
        let services = self.services.iter().map(|(name, service)| (name.clone(), service.definition.clone()));
        Definitions {
            project: self.project.clone(),
            entities: self.entities.clone(),
            views: self.views.iter().map(|view| view.definition.clone()).collect(),
            services: services.collect(),
            ..Definitions::default()
        }
    }

    pub(super) fn add_view(&mut self, view: &FeatureView) {
        let fields = view.features.iter().map(|feature| (feature.name.clone(), feature.dtype.clone())).collect();
        self.views.push(RegisteredView { id: self.next_view_id, revision: 1, definition: view.clone(), fields });
        self.next_view_id += 1;
    }

    /// Takes over a compatible change: new features are numbered after all there ever were.
    pub(super) fn revise_view(&mut self, view: &FeatureView) {
        let known = self
            .views
            .iter_mut()
            .find(|known| known.definition.name == view.name && known.definition.version == view.version);
        let Some(known) = known else { return };
        if known.definition == *view {
            return;
        }
        for feature in &view.features {
            if !known.fields.iter().any(|(name, _)| *name == feature.name) {
                known.fields.push((feature.name.clone(), feature.dtype.clone()));
            }
        }
        known.definition = view.clone();
        known.revision += 1;
    }

    pub(super) fn put_service(&mut self, name: &str, service: &FeatureService) {
        match self.services.get_mut(name) {
            Some(known) if known.definition == *service => {}
            Some(known) => {
                known.definition = service.clone();
                known.revision += 1;
            }
            None => {
                let first = RegisteredService { revision: 1, definition: service.clone() };
                self.services.insert(name.to_owned(), first);
            }
        }
    }
}
