//! Definitions as they were at a seq: which revision of each view, service and entity was in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::records::{EntityRecord, ServiceRecord, ViewRecord};
use crate::definition::ViewRef;
use crate::error::{Error, Result, nearest};

/// What was defined at a seq. Cheap to make and to keep: it shares the registry's records.
#[derive(Clone, Debug)]
pub struct DefinitionsView {
    /// `None`: now.
    seq: Option<u64>,
    /// By name and version.
    views: BTreeMap<String, BTreeMap<u32, Slot<ViewRecord>>>,
    services: BTreeMap<String, Slot<ServiceRecord>>,
    entities: BTreeMap<String, Slot<EntityRecord>>,
    /// Features that a view version was given after the seq, and when: by reference and name.
    later_features: BTreeMap<(String, String), u64>,
}

/// The story of one name up to a seq.
#[derive(Clone, Debug)]
enum Slot<R> {
    InForce(Arc<R>),
    /// The last revision up to the seq dropped it, at this seq.
    Dropped(u64),
    /// Its first revision came later, at this seq.
    Later(u64),
}

impl<R> Slot<R> {
    fn in_force(&self) -> Option<&Arc<R>> {
        match self {
            Slot::InForce(record) => Some(record),
            Slot::Dropped(_) | Slot::Later(_) => None,
        }
    }

    /// Carries the story on by one revision, given oldest first.
    fn follow(slot: Option<Slot<R>>, record: &Arc<R>, at: u64, is_dropped: bool, seq: Option<u64>) -> Slot<R> {
        match (seq.is_none_or(|seq| at <= seq), is_dropped) {
            (true, true) => Slot::Dropped(at),
            (true, false) => Slot::InForce(Arc::clone(record)),
            (false, _) => slot.unwrap_or(Slot::Later(at)),
        }
    }
}

impl DefinitionsView {
    pub(super) fn new<'a>(
        seq: Option<u64>,
        views: impl Iterator<Item = &'a Arc<ViewRecord>>,
        services: impl Iterator<Item = &'a Arc<ServiceRecord>>,
        entities: impl Iterator<Item = &'a Arc<EntityRecord>>,
    ) -> DefinitionsView {
        let mut out = DefinitionsView {
            seq,
            views: BTreeMap::new(),
            services: BTreeMap::new(),
            entities: BTreeMap::new(),
            later_features: BTreeMap::new(),
        };
        for view in views {
            for field in view.fields.iter().filter(|field| seq.is_some_and(|seq| field.added_seq > seq)) {
                let feature = (view.definition.reference().to_string(), field.name.clone());
                out.later_features.entry(feature).or_insert(field.added_seq);
            }
            let versions = out.views.entry(view.definition.name.clone()).or_default();
            let version = view.definition.version;
            let slot = Slot::follow(versions.remove(&version), view, view.seq, view.is_dropped(), seq);
            versions.insert(version, slot);
        }
        for service in services {
            let slot = out.services.remove(&service.name);
            let slot = Slot::follow(slot, service, service.seq, service.definition.is_none(), seq);
            out.services.insert(service.name.clone(), slot);
        }
        for entity in entities {
            let slot = out.entities.remove(&entity.name);
            let slot = Slot::follow(slot, entity, entity.seq, entity.definition.is_none(), seq);
            out.entities.insert(entity.name.clone(), slot);
        }
        out
    }

    /// The seq these definitions were in force at; `None` means now.
    pub fn seq(&self) -> Option<u64> {
        self.seq
    }

    /// The revision in force of a view by name, of its newest version unless one is named.
    ///
    /// # Errors
    /// `NotFound`: the name is unknown (with the nearest one), came later (with its first seq) or was dropped.
    pub fn view(&self, wanted: &ViewRef) -> Result<&Arc<ViewRecord>> {
        let Some(versions) = self.views.get(&wanted.name) else {
            return Err(unknown("feature view", &wanted.name, self.view_names()));
        };
        let slot = match wanted.version {
            Some(version) => versions.get(&version).ok_or_else(|| {
                let known: Vec<String> = versions.keys().map(|version| format!("{}@{version}", wanted.name)).collect();
                Error::not_found(format!("there is no feature view {wanted}"))
                    .remedy(format!("there is {}", known.join(", ")))
            })?,
            // Without a version in force, the story of the oldest one says most: it came first.
            None => versions
                .values()
                .rev()
                .find(|slot| slot.in_force().is_some())
                .or_else(|| versions.values().next())
                .ok_or_else(|| unknown("feature view", &wanted.name, self.view_names()))?,
        };
        self.resolve("feature view", wanted, slot)
    }

    /// The seq at which a view was given a feature that it did not have yet.
    pub fn later_feature(&self, view: &ViewRecord, name: &str) -> Option<u64> {
        self.later_features.get(&(view.definition.reference().to_string(), name.to_owned())).copied()
    }

    /// The revision in force of a service.
    ///
    /// # Errors
    /// As [`DefinitionsView::view`].
    pub fn service(&self, name: &str) -> Result<&Arc<ServiceRecord>> {
        let slot = self.services.get(name).ok_or_else(|| {
            let known = self.services().map(|service| service.name.as_str());
            unknown("feature service", name, known)
        })?;
        self.resolve("feature service", name, slot)
    }

    /// The revision in force of an entity.
    ///
    /// # Errors
    /// As [`DefinitionsView::view`].
    pub fn entity(&self, name: &str) -> Result<&Arc<EntityRecord>> {
        let slot = self
            .entities
            .get(name)
            .ok_or_else(|| unknown("entity", name, self.entities().map(|entity| entity.name.as_str())))?;
        self.resolve("entity", name, slot)
    }

    /// The revisions in force of all view versions, by name, then version.
    pub fn views(&self) -> impl Iterator<Item = &Arc<ViewRecord>> {
        self.views.values().flat_map(BTreeMap::values).filter_map(Slot::in_force)
    }

    /// The revisions in force of all services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Arc<ServiceRecord>> {
        self.services.values().filter_map(Slot::in_force)
    }

    /// The revisions in force of all entities, by name.
    pub fn entities(&self) -> impl Iterator<Item = &Arc<EntityRecord>> {
        self.entities.values().filter_map(Slot::in_force)
    }

    /// The error for what came at seq `at`, after that of these definitions.
    pub fn came_later(&self, what: &str, at: u64) -> Error {
        let seq = self.seq.map(|seq| seq.to_string()).unwrap_or_default();
        Error::not_found(format!("{what}, after seq {seq}"))
            .remedy(format!("ask with a known_at from seq {at} on, or with --definitions current"))
    }

    fn view_names(&self) -> impl Iterator<Item = &str> {
        self.views
            .iter()
            .filter(|(_, versions)| versions.values().any(|slot| slot.in_force().is_some()))
            .map(|(name, _)| name.as_str())
    }

    fn resolve<'a, R>(&self, what: &str, name: impl std::fmt::Display, slot: &'a Slot<R>) -> Result<&'a Arc<R>> {
        match slot {
            Slot::InForce(record) => Ok(record),
            Slot::Dropped(at) => Err(Error::not_found(format!("{what} {name} was dropped at seq {at}"))
                .remedy("apply it again, or ask with a known_at before that seq")),
            Slot::Later(at) => Err(self.came_later(&format!("{what} {name} was first applied at seq {at}"), *at)),
        }
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    const NAMES_SHOWN_MAX: usize = 12;
    let known: Vec<&str> = known.collect();
    let error = Error::not_found(format!("there is no {what} {name}"));
    match nearest(name, known.iter().copied()) {
        Some(near) => error.remedy(format!("did you mean {near}?")),
        None if known.is_empty() => error.remedy("none is applied; see asof apply"),
        None if known.len() > NAMES_SHOWN_MAX => error.remedy("asof show lists what there is"),
        None => error.remedy(format!("there is {}", known.join(", "))),
    }
}
