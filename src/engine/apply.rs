//! Definitions into the registry: what is registered, as planning wants it, and a plan's outcome as
//! registry records.

use std::sync::Arc;

use crate::definition::{Registered, RegisteredService, RegisteredView};
use crate::error::Result;
use crate::registry::records::{EntityRecord, FieldRecord, ProjectRecord, ServiceRecord, ViewRecord};
use crate::registry::{Change, RegistryState};

/// What the registry holds now, as planning wants it.
pub fn registered(state: &RegistryState) -> Registered {
    let definitions = state.definitions_at(None);
    let mut views: Vec<RegisteredView> = definitions
        .views()
        .map(|view| RegisteredView {
            id: view.id,
            revision: view.revision,
            definition: view.definition.clone(),
            fields: view.fields.iter().map(|field| (field.name.clone(), field.dtype.clone())).collect(),
        })
        .collect();
    views.sort_by_key(|view| view.id);
    Registered {
        project: state.project().name.clone(),
        next_view_id: state.meta().next_view_id,
        entities: definitions
            .entities()
            .filter_map(|entity| Some((entity.name.clone(), entity.definition.clone()?)))
            .collect(),
        views,
        services: definitions
            .services()
            .filter_map(|service| {
                let registered =
                    RegisteredService { revision: service.revision, definition: service.definition.clone()? };
                Some((service.name.clone(), registered))
            })
            .collect(),
    }
}

/// Writes what differs between the registry and a plan's outcome, in force from `seq` on.
///
/// # Errors
/// A record cannot be written as JSON.
pub fn record_outcome(change: &mut Change<'_>, outcome: &Registered, seq: u64, now_us: i64) -> Result<()> {
    let before = change.before();
    let current = registered(before);
    if before.project().name != outcome.project {
        change.put(&ProjectRecord { name: outcome.project.clone() })?;
    }
    for (name, entity) in &outcome.entities {
        if current.entities.get(name) != Some(entity) {
            put_entity(change, name, Some(entity.clone()), seq, now_us)?;
        }
    }
    for name in current.entities.keys().filter(|name| !outcome.entities.contains_key(*name)) {
        put_entity(change, name, None, seq, now_us)?;
    }
    for view in &outcome.views {
        let known = current.views.iter().find(|known| known.id == view.id);
        if known == Some(view) {
            continue;
        }
        let before = before.view(view.id);
        let known_fields = before.map_or(&[][..], |record| &record.fields);
        let fields = view.fields.iter().enumerate().map(|(ordinal, (name, dtype))| FieldRecord {
            name: name.clone(),
            dtype: dtype.clone(),
            added_seq: known_fields.get(ordinal).map_or(seq, |field| field.added_seq),
        });
        change.put(&ViewRecord {
            id: view.id,
            revision: before.map_or(1, |record| record.revision + 1),
            seq,
            applied_at_us: now_us,
            first_seq: before.map_or(seq, |record| record.first_seq),
            dropped_seq: None,
            fields: fields.collect(),
            definition: view.definition.clone(),
        })?;
    }
    for view in current.views.iter().filter(|view| !outcome.views.iter().any(|kept| kept.id == view.id)) {
        if let Some(record) = before.view(view.id) {
            let mut last = ViewRecord::clone(record);
            last.revision += 1;
            last.seq = seq;
            last.applied_at_us = now_us;
            last.dropped_seq = Some(seq);
            change.put(&last)?;
        }
    }
    for (name, service) in &outcome.services {
        if current.services.get(name).map(|known| &known.definition) != Some(&service.definition) {
            put_service(change, name, Some(service.definition.clone()), seq, now_us)?;
        }
    }
    for name in current.services.keys().filter(|name| !outcome.services.contains_key(*name)) {
        put_service(change, name, None, seq, now_us)?;
    }
    let meta = change.meta();
    meta.next_view_id = outcome.next_view_id;
    meta.definitions_revision += 1;
    Ok(())
}

fn put_entity(
    change: &mut Change<'_>,
    name: &str,
    definition: Option<crate::definition::Entity>,
    seq: u64,
    now_us: i64,
) -> Result<()> {
    let revision = change.before().entity(name).map_or(1, |record: &Arc<EntityRecord>| record.revision + 1);
    change.put(&EntityRecord { name: name.to_owned(), revision, seq, applied_at_us: now_us, definition })
}

fn put_service(
    change: &mut Change<'_>,
    name: &str,
    definition: Option<crate::definition::FeatureService>,
    seq: u64,
    now_us: i64,
) -> Result<()> {
    let revision = change.before().service(name).map_or(1, |record: &Arc<ServiceRecord>| record.revision + 1);
    change.put(&ServiceRecord { name: name.to_owned(), revision, seq, applied_at_us: now_us, definition })
}
