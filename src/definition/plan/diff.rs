//! The difference between two definitions of one name, in words.

use std::collections::BTreeMap;
use std::path::Path;

use super::Registered;
use crate::definition::{Entity, EventTime, Feature, FeatureService, FeatureView, Rules, Selection};
use crate::time::{Timestamp, format_duration_us};
use crate::value::DataType;

/// Collects `what old -> new`.
#[derive(Default)]
struct Changes(Vec<String>);

impl Changes {
    fn text(&mut self, what: &str, old: &str, new: &str) {
        if old != new {
            let show = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
            self.0.push(format!("{what} {} -> {}", show(old), show(new)));
        }
    }

    /// Long texts are not repeated.
    fn prose(&mut self, what: &str, old: &str, new: &str) {
        if old != new {
            self.0.push(format!("{what} changed"));
        }
    }

    fn duration(&mut self, what: &str, old_us: i64, new_us: i64) {
        let show = |us: i64| if us == 0 { String::new() } else { format_duration_us(us) };
        self.text(what, &show(old_us), &show(new_us));
    }

    fn map(&mut self, what: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
        for (key, value) in new {
            match old.get(key) {
                None => self.0.push(format!("{what} {key} = {value} added")),
                Some(before) => self.text(&format!("{what} {key}"), before, value),
            }
        }
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            self.0.push(format!("{what} {key} removed"));
        }
    }

    fn list(&mut self, what: &str, old: &[String], new: &[String]) {
        self.text(what, &old.join(", "), &new.join(", "));
    }
}

/// `origin string, hour timestamp`.
pub(super) fn columns_text(columns: &[(String, DataType)]) -> String {
    columns.iter().map(|(name, dtype)| format!("{name} {dtype}")).collect::<Vec<_>>().join(", ")
}

pub(super) fn entity_changes(old: &Entity, new: &Entity) -> Vec<String> {
    let mut changes = Changes::default();
    changes.text("join keys", &columns_text(&old.join_keys), &columns_text(&new.join_keys));
    changes.prose("description", &old.description, &new.description);
    changes.map("tag", &old.tags, &new.tags);
    changes.0
}

/// Changes that rows stored under this version cannot follow.
pub(super) fn incompatible_changes(old: &FeatureView, new: &FeatureView) -> Vec<String> {
    let mut changes = Changes::default();
    changes.text("kind", &old.kind.to_string(), &new.kind.to_string());
    changes.text("join keys", &columns_text(&old.join_keys), &columns_text(&new.join_keys));
    changes.text("event_id", &columns_text(&old.event_id), &columns_text(&new.event_id));
    match (&old.source.created_timestamp, &new.source.created_timestamp) {
        (None, Some(column)) => changes.0.push(format!("created_timestamp {column} declared")),
        (Some(column), None) => changes.0.push(format!("created_timestamp {column} removed")),
        _ => {}
    }
    for feature in &old.features {
        match new.features.iter().find(|other| other.name == feature.name) {
            None => changes.0.push(format!("feature {} removed", feature.name)),
            Some(other) => {
                let what = format!("feature {}", feature.name);
                changes.text(&what, &feature.dtype.to_string(), &other.dtype.to_string());
            }
        }
    }
    changes.0
}

/// Changes that make a new revision.
pub(super) fn view_changes(old: &FeatureView, new: &FeatureView) -> Vec<String> {
    let mut changes = Changes::default();
    changes.list("entities", &old.entities, &new.entities);
    changes.duration("ttl", old.ttl_us, new.ttl_us);
    changes.duration("retention", old.retention_us, new.retention_us);
    changes.duration("freshness_sla", old.freshness_sla_us, new.freshness_sla_us);
    changes.list("redis_keys", &redis_keys_texts(old), &redis_keys_texts(new));
    source_changes(&mut changes, old, new);
    changes.text("owner", &old.owner, &new.owner);
    changes.prose("description", &old.description, &new.description);
    changes.map("tag", &old.tags, &new.tags);
    for feature in &new.features {
        match old.features.iter().find(|other| other.name == feature.name) {
            None => changes.0.push(format!("feature {} added ({})", feature.name, feature.dtype)),
            Some(other) => feature_changes(&mut changes, other, feature),
        }
    }
    let kept_order = |view: &FeatureView, other: &FeatureView| -> Vec<String> {
        let shared = view.features.iter().filter(|feature| other.feature_index(&feature.name).is_some());
        shared.map(|feature| feature.name.clone()).collect()
    };
    if kept_order(old, new) != kept_order(new, old) {
        changes.0.push("features in another order".to_owned());
    } else if changes.0.is_empty() && old != new {
        // Whatever else differs makes a revision too.
        changes.0.push("definition changed".to_owned());
    }
    changes.0
}

pub(super) fn redis_keys_texts(view: &FeatureView) -> Vec<String> {
    view.redis_keys.iter().map(ToString::to_string).collect()
}

fn source_changes(changes: &mut Changes, old: &FeatureView, new: &FeatureView) {
    let (old, new) = (&old.source, &new.source);
    let path =
        |path: &Option<std::path::PathBuf>| path.as_deref().map(Path::to_string_lossy).unwrap_or_default().into_owned();
    let time = |time: &EventTime| match time {
        EventTime::Column(column) => column.clone(),
        EventTime::Constant(us) => Timestamp(*us).to_string(),
    };
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let character = |c: Option<char>| c.map(|c| format!("{c:?}")).unwrap_or_default();
    changes.text("source path", &path(&old.path), &path(&new.path));
    changes.text("event_timestamp", &time(&old.event_timestamp), &time(&new.event_timestamp));
    changes.text("created_timestamp", &optional(&old.created_timestamp), &optional(&new.created_timestamp));
    changes.map("rename", &old.rename, &new.rename);
    changes.text("push", &optional(&old.push), &optional(&new.push));
    changes.text("delimiter", &character(old.delimiter), &character(new.delimiter));
    changes.text("timestamp_format", &optional(&old.timestamp_format), &optional(&new.timestamp_format));
}

fn feature_changes(changes: &mut Changes, old: &Feature, new: &Feature) {
    let name = &new.name;
    let Rules { not_null, min, max, one_of } = &new.rules;
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    if old.rules.not_null != *not_null {
        changes.0.push(format!("feature {name}: not_null {} -> {not_null}", old.rules.not_null));
    }
    changes.text(&format!("feature {name}: min"), &optional(&old.rules.min), &optional(min));
    changes.text(&format!("feature {name}: max"), &optional(&old.rules.max), &optional(max));
    changes.list(&format!("feature {name}: one_of"), &old.rules.one_of, one_of);
    changes.prose(&format!("feature {name}: description"), &old.description, &new.description);
    changes.map(&format!("feature {name}: tag"), &old.tags, &new.tags);
}

/// What a service selects, as references: `weather:temp`, `airport:* as destination`.
pub(super) fn selected_texts(service: &FeatureService) -> Vec<String> {
    let mut texts = Vec::new();
    for selection in &service.features {
        let mut suffix = selection.alias.as_ref().map(|alias| format!(" as {alias}")).unwrap_or_default();
        for (join_key, column) in &selection.join_keys {
            suffix.push_str(&format!(" on {join_key} = {column}"));
        }
        if selection.features.is_empty() {
            texts.push(format!("{}:*{suffix}", selection.view));
        }
        texts.extend(selection.features.iter().map(|feature| format!("{}:{feature}{suffix}", selection.view)));
    }
    texts
}

/// What a selection without a version means from now on, where that is another version than before: which, what its
/// features are then, and how to stay.
pub(super) fn moved_texts(selection: &Selection, before: &Registered, after: &Registered) -> Vec<String> {
    let (Some(old), Some(new)) = (before.find_view(&selection.view), after.find_view(&selection.view)) else {
        return Vec::new();
    };
    if old.id == new.id {
        return Vec::new();
    }
    let (name, version) = (&selection.view.name, new.definition.version);
    let mut meaning = format!("{name} now means {name}@{version}");
    if before.view(name, version).is_none() {
        meaning.push_str(", which has no rows yet");
    }
    if after.view(name, old.definition.version).is_some() {
        meaning.push_str(&format!(" (write {name}@{} to stay with that one)", old.definition.version));
    }
    let mut texts = vec![meaning];
    let selects = |feature: &&Feature| selection.features.is_empty() || selection.features.contains(&feature.name);
    for feature in new.definition.features.iter().filter(selects) {
        let what = format!("{name}:{}", feature.name);
        match old.definition.features.iter().find(|other| other.name == feature.name) {
            None => texts.push(format!("{what} added ({})", feature.dtype)),
            Some(other) if other.dtype != feature.dtype => {
                texts.push(format!("{what} {} -> {}", other.dtype, feature.dtype));
            }
            Some(_) => {}
        }
    }
    let gone = old.definition.features.iter().filter(|feature| new.definition.feature_index(&feature.name).is_none());
    // What a service names must be there, or the plan is refused.
    texts.extend(gone.filter(|_| selection.features.is_empty()).map(|feature| format!("{name}:{} gone", feature.name)));
    texts
}

pub(super) fn service_changes(old: &FeatureService, new: &FeatureService) -> Vec<String> {
    let mut changes = Changes::default();
    let (before, after) = (selected_texts(old), selected_texts(new));
    let added = after.iter().filter(|text| !before.contains(text)).map(|text| format!("{text} added"));
    let removed = before.iter().filter(|text| !after.contains(text)).map(|text| format!("{text} removed"));
    changes.0.extend(added.chain(removed));
    changes.text("owner", &old.owner, &new.owner);
    changes.prose("description", &old.description, &new.description);
    changes.map("tag", &old.tags, &new.tags);
    if changes.0.is_empty() && old != new {
        changes.0.push("features in another order".to_owned());
    }
    changes.0
}
