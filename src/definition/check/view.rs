//! Feature views: their entities, times, features and event id.

use std::collections::{BTreeMap, BTreeSet};

use super::feature::check_feature;
use super::source::{check_rename, check_source};
use super::{check_column, check_key_type, check_named};
use crate::definition::builder::join_keys_of;
use crate::definition::mistake::{At, Mistake};
use crate::definition::{Entity, FEATURES_MAX, FeatureView, ViewKind};
use crate::value::DataType;

pub(super) fn check_view(found: &mut Vec<Mistake>, at: &At, view: &FeatureView, entities: &BTreeMap<String, Entity>) {
    check_named(found, at.clone(), "view", &view.name, true);
    if view.version == 0 {
        found.push(Mistake::new(at.clone(), format!("view {} has version 0", view.name)).remedy("versions start at 1"));
    }
    check_entities_of(found, &at.key("entities"), view, entities);
    for (key, us) in [("ttl", view.ttl_us), ("retention", view.retention_us), ("freshness_sla", view.freshness_sla_us)]
    {
        if us < 0 {
            found.push(Mistake::new(at.key(key), format!("{key} is negative")));
        }
    }
    if view.features.is_empty() {
        found.push(
            Mistake::new(at.key("features"), format!("view {} has no features", view.reference_text()))
                .remedy(format!("add them under [{}]", at.key("features"))),
        );
    }
    if view.features.len() > FEATURES_MAX {
        found.push(Mistake::new(
            at.key("features"),
            format!("view {} has {} features, at most {FEATURES_MAX}", view.reference_text(), view.features.len()),
        ));
    }
    let mut seen = BTreeSet::new();
    for feature in &view.features {
        let at = at.key("features").key(&feature.name);
        if !seen.insert(&feature.name) {
            found.push(Mistake::new(at.clone(), format!("feature {} is defined twice", feature.name)).on_key());
        }
        check_feature(found, &at, feature, view);
    }
    check_event_id(found, &at.key("event_id"), view);
    check_source(found, &at.key("source"), &view.source, view);
    // Without an entity some join keys are unknown, and what names them is no mistake of its own.
    if view.entities.iter().all(|name| entities.contains_key(name)) {
        check_rename(found, &at.key("source").key("rename"), &view.source, view);
        for template in &view.redis_keys {
            if let Err(error) = template.places(&view.join_keys) {
                found.push(Mistake::from_error(at.key("redis_keys").key(template.as_str()), &error));
            }
        }
    }
}

fn check_entities_of(found: &mut Vec<Mistake>, at: &At, view: &FeatureView, entities: &BTreeMap<String, Entity>) {
    let names: Vec<&str> = entities.keys().map(String::as_str).collect();
    let mut seen_keys: BTreeMap<&str, (&str, &DataType)> = BTreeMap::new();
    for (i, name) in view.entities.iter().enumerate() {
        let at = at.key(name);
        let Some(entity) = entities.get(name) else {
            let mistake = Mistake::new(at, format!("there is no entity '{name}'")).refers_to(name);
            found.push(mistake.suggest(name, "entities", &names));
            continue;
        };
        if view.entities[..i].contains(name) {
            found.push(Mistake::new(at, format!("entity {name} is listed twice")));
            continue;
        }
        for (column, dtype) in &entity.join_keys {
            match seen_keys.get(column.as_str()) {
                Some((other, known)) if *known != dtype => found.push(
                    Mistake::new(
                        at.clone(),
                        format!("join key {column} is {known} in entity {other} and {dtype} in entity {name}"),
                    )
                    .remedy("give them one type, or rename the column in one entity"),
                ),
                Some(_) => {}
                None => {
                    seen_keys.insert(column, (name, dtype));
                }
            }
        }
    }
    if view.join_keys != join_keys_of(&view.entities, entities) {
        let names = view.entities.join(", ");
        found.push(Mistake::new(at.clone(), format!("join_keys are not those of the view's entities ({names})")));
    }
}

fn check_event_id(found: &mut Vec<Mistake>, at: &At, view: &FeatureView) {
    if view.kind == ViewKind::State && !view.event_id.is_empty() {
        found.push(
            Mistake::new(at.clone(), "event_id is for views of kind event")
                .remedy("add kind = \"event\"; in a state view an equal key and time is a correction already"),
        );
    }
    let mut seen = BTreeSet::new();
    for (column, dtype) in &view.event_id {
        let at = at.key(column);
        if !seen.insert(column) {
            found.push(Mistake::new(at.clone(), format!("event_id lists {column} twice")));
        }
        check_column(found, at.clone(), "event_id column", column);
        check_key_type(found, at.clone(), "event_id column", column, dtype);
        if view.join_keys.iter().any(|(key, _)| key == column) {
            let mistake = Mistake::new(at, format!("event_id column {column} is a join key already"));
            found.push(mistake.remedy("leave it out: events are told apart within a key"));
        } else if let Some(feature) = view.features.iter().find(|feature| feature.name == *column)
            && feature.dtype != *dtype
        {
            found.push(Mistake::new(
                at,
                format!("event_id column {column} is {dtype} here and {} as a feature", feature.dtype),
            ));
        }
    }
}
