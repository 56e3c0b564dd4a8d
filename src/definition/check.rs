//! The rules that definitions obey, whether they come from a file or from code.

use std::collections::{BTreeMap, BTreeSet};

use super::bounds::{Bound, is_above, is_listable, is_ordered, parse_bound};
use super::builder::join_keys_of;
use super::mistake::{At, Mistake, Mistakes};
use super::{
    Definitions, Entity, EventTime, FEATURES_MAX, Feature, FeatureService, FeatureView, RESERVED_COLUMNS, Selection,
    Source, ViewKind, ViewRef, check_name,
};
use crate::error::Result;
use crate::value::DataType;

impl Definitions {
    /// Checks everything that one definition says about another, and every name and rule.
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
    for (name, service) in &definitions.services {
        check_service(&mut found, name, service, definitions);
    }
    found
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

fn check_view(found: &mut Vec<Mistake>, at: &At, view: &FeatureView, entities: &BTreeMap<String, Entity>) {
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

fn check_feature(found: &mut Vec<Mistake>, at: &At, feature: &Feature, view: &FeatureView) {
    let name = &feature.name;
    check_column(found, at.clone(), "feature", name);
    if view.join_keys.iter().any(|(column, _)| column == name) {
        found.push(
            Mistake::new(at.clone(), format!("feature {name} is a join key of the view as well"))
                .on_key()
                .remedy("leave it out: join keys are in every answer"),
        );
    }
    for (role, column) in [
        (
            "event",
            match &view.source.event_timestamp {
                EventTime::Column(column) => Some(column),
                EventTime::Constant(_) => None,
            },
        ),
        ("created", view.source.created_timestamp.as_ref()),
    ] {
        if column == Some(name) && !RESERVED_COLUMNS.contains(&name.as_str()) {
            found.push(
                Mistake::new(at.clone(), format!("feature {name} is the source's {role} timestamp as well"))
                    .on_key()
                    .remedy("leave it out: timestamps are kept beside the features"),
            );
        }
    }
    check_rules(found, at, feature);
}

fn check_rules(found: &mut Vec<Mistake>, at: &At, feature: &Feature) {
    let mut bound = |key: &str, text: Option<&String>| -> Option<Bound> {
        let text = text?;
        if !is_ordered(&feature.dtype) {
            found.push(
                Mistake::new(at.key(key), format!("{key} does not apply to {}", feature.dtype))
                    .remedy("it is for numbers, decimals, timestamps and dates"),
            );
            return None;
        }
        match parse_bound(&feature.dtype, text) {
            Ok(bound) => Some(bound),
            Err(error) => {
                found.push(Mistake::from_error(at.key(key), &error));
                None
            }
        }
    };
    let rules = &feature.rules;
    let (min, max) = (bound("min", rules.min.as_ref()), bound("max", rules.max.as_ref()));
    if let (Some(min), Some(max), Some(min_text), Some(max_text)) = (&min, &max, &rules.min, &rules.max)
        && is_above(min, max)
    {
        found.push(
            Mistake::new(at.key("min"), format!("min {min_text} is above max {max_text}"))
                .remedy("no value could pass"),
        );
    }
    if rules.one_of.is_empty() {
        return;
    }
    if !is_listable(&feature.dtype) {
        let mistake = Mistake::new(at.key("one_of"), format!("one_of does not apply to {}", feature.dtype));
        found.push(mistake.remedy("it is for scalar types"));
        return;
    }
    for value in &rules.one_of {
        match parse_bound(&feature.dtype, value) {
            Err(error) => found.push(Mistake::from_error(at.key("one_of").key(value), &error)),
            Ok(bound) => {
                let is_below = min.as_ref().is_some_and(|min| is_above(min, &bound));
                if is_below || max.as_ref().is_some_and(|max| is_above(&bound, max)) {
                    let what = format!("one_of lists {value}, which min and max refuse");
                    found.push(Mistake::new(at.key("one_of").key(value), what));
                }
            }
        }
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

fn check_source(found: &mut Vec<Mistake>, at: &At, source: &Source, view: &FeatureView) {
    if let EventTime::Column(column) = &source.event_timestamp {
        if column.is_empty() {
            found.push(
                Mistake::new(at.key("event_timestamp"), "event_timestamp is empty")
                    .remedy("name a column, or write one instant for all rows: \"1970-01-01T00:00:00Z\""),
            );
        }
        if source.created_timestamp.as_ref() == Some(column) {
            found.push(
                Mistake::new(at.key("created_timestamp"), format!("column {column} is the event timestamp already"))
                    .remedy("leave created_timestamp out unless the source has a second clock"),
            );
        }
        if view.join_keys.iter().any(|(key, _)| key == column) {
            found.push(Mistake::new(at.key("event_timestamp"), format!("column {column} is a join key of the view")));
        }
    }
    if let Some(push) = &source.push {
        check_named(found, at.key("push"), "push source", push, false);
    }
    if let Some(delimiter) = source.delimiter
        && (!delimiter.is_ascii() || matches!(delimiter, '"' | '\n' | '\r' | '\0'))
    {
        let mistake =
            Mistake::new(at.key("delimiter"), format!("'{}' cannot be a delimiter", delimiter.escape_default()));
        found.push(mistake.remedy("use one ASCII character, such as \";\" or \"\\t\""));
    }
    if let Some(format) = &source.timestamp_format
        && (format.is_empty()
            || chrono::format::StrftimeItems::new(format).any(|item| item == chrono::format::Item::Error))
    {
        found.push(
            Mistake::new(at.key("timestamp_format"), format!("'{format}' is no timestamp format"))
                .remedy("write it as in strftime: \"%d/%m/%Y %H:%M\""),
        );
    }
}

fn check_rename(found: &mut Vec<Mistake>, at: &At, source: &Source, view: &FeatureView) {
    let targets: Vec<&str> = (view.features.iter().map(|feature| feature.name.as_str()))
        .chain(view.join_keys.iter().chain(&view.event_id).map(|(column, _)| column.as_str()))
        .collect();
    let mut filled_by: BTreeMap<&str, &str> = BTreeMap::new();
    for (column, target) in &source.rename {
        if !targets.contains(&target.as_str()) {
            found.push(
                Mistake::new(at.key(column), format!("the view has no feature or join key '{target}'"))
                    .refers_to(&view.name)
                    .suggest(target, "names", &targets),
            );
        } else if let Some(other) = filled_by.insert(target, column) {
            let what = format!("columns {other} and {column} are both renamed to {target}");
            found.push(Mistake::new(at.key(column), what));
        }
    }
}

fn check_service(found: &mut Vec<Mistake>, name: &str, service: &FeatureService, definitions: &Definitions) {
    let at = At::service(name);
    check_named(found, at.clone(), "service", name, true);
    if service.features.is_empty() {
        found.push(
            Mistake::new(at.key("features"), format!("service {name} selects no features"))
                .remedy("as in features = [\"weather:temp\"]"),
        );
    }
    // A column of the answer is known by its label and feature: the same pair twice is ambiguous.
    let mut columns: BTreeMap<(String, String), ViewRef> = BTreeMap::new();
    for (i, selection) in service.features.iter().enumerate() {
        let at = at.key("features").key(i.to_string());
        let Some(view) = find_selected(found, &at, selection, definitions) else { continue };
        let selected = check_selection(found, &at, selection, view, definitions);
        for feature in selected {
            let column = (selection.label().to_owned(), feature.clone());
            match columns.insert(column, selection.view.clone()) {
                None => {}
                Some(first) if first == selection.view => found.push(
                    Mistake::new(
                        at.key(&feature),
                        format!("service {name} lists {}:{feature} twice", selection.label()),
                    )
                    .remedy(format!(
                        "leave one out, or give one another name: {{ view = \"{first}\", as = \"...\", features = [..] }}"
                    )),
                ),
                Some(first) => found.push(
                    Mistake::new(
                        at.key(&feature),
                        format!(
                            "service {name} has {}:{feature} both from {first} and from {}",
                            selection.label(),
                            selection.view
                        ),
                    )
                    .remedy("tell them apart with { view = \"...\", as = \"...\" }"),
                ),
            }
        }
    }
}

/// The view of a selection, or a mistake that names the nearest one.
fn find_selected<'a>(
    found: &mut Vec<Mistake>,
    at: &At,
    selection: &Selection,
    definitions: &'a Definitions,
) -> Option<&'a FeatureView> {
    let wanted = &selection.view;
    let view = definitions.find_view(wanted);
    if view.is_none() {
        let versions: Vec<String> =
            definitions.views.iter().filter(|view| view.name == wanted.name).map(|v| v.version.to_string()).collect();
        let mistake = Mistake::new(at.key("view"), format!("there is no view '{wanted}'")).refers_to(&wanted.name);
        found.push(if versions.is_empty() {
            let mut names: Vec<&str> = definitions.views.iter().map(|view| view.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            mistake.suggest(&wanted.name, "views", &names)
        } else {
            mistake.remedy(format!("{} has version {}", wanted.name, versions.join(", ")))
        });
    }
    view
}

/// Checks a selection against its view and returns the features it selects.
fn check_selection(
    found: &mut Vec<Mistake>,
    at: &At,
    selection: &Selection,
    view: &FeatureView,
    definitions: &Definitions,
) -> Vec<String> {
    if let Some(alias) = &selection.alias {
        check_named(found, at.key("as"), "selection", alias, false);
    }
    let join_keys: Vec<&str> = view.join_keys.iter().map(|(column, _)| column.as_str()).collect();
    let has_all_keys = view.entities.iter().all(|name| definitions.entities.contains_key(name));
    for (join_key, column) in selection.join_keys.iter().filter(|_| has_all_keys) {
        let at = at.key("join_keys").key(join_key);
        if !join_keys.contains(&join_key.as_str()) {
            let mistake = Mistake::new(at, format!("view {} has no join key '{join_key}'", selection.view)).on_key();
            found.push(mistake.refers_to(&view.name).suggest(join_key, "join keys", &join_keys));
        } else if column.is_empty() {
            found.push(Mistake::new(at, "a spine column has no empty name"));
        }
    }
    let names: Vec<&str> = view.features.iter().map(|feature| feature.name.as_str()).collect();
    if selection.features.is_empty() {
        return names.into_iter().map(str::to_owned).collect();
    }
    let mut selected = Vec::new();
    for name in &selection.features {
        if names.contains(&name.as_str()) {
            selected.push(name.clone());
        } else {
            let mistake = Mistake::new(at.key(name), format!("view {} has no feature '{name}'", selection.view));
            found.push(mistake.refers_to(&view.name).suggest(name, "features", &names));
        }
    }
    selected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Feature, FeatureView};

    fn weather() -> FeatureView {
        FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64)
    }

    fn flights() -> Definitions {
        Definitions::new("flights").entity("airport", [("origin", DataType::String)])
    }

    fn refusal(definitions: &Definitions) -> String {
        definitions.check().unwrap_err().to_string()
    }

    #[test]
    fn definitions_built_in_code_equal_those_of_the_file() {
        let text = "[project]\nname = \"flights\"\n[entities.airport]\njoin_keys = { origin = \"string\" }\n\
                    [views.weather]\nentities = [\"airport\"]\nttl = \"3h\"\nfeatures.temp = { dtype = \"float64\", min = 0 }\n\
                    [services.model]\nfeatures = [\"weather:temp\"]";
        let view = FeatureView::new("weather")
            .entity("airport")
            .ttl(std::time::Duration::from_secs(3 * 3_600))
            .with(Feature::new("temp", DataType::Float64).min("0"));
        // The view may come before its entity.
        let built = Definitions::new("flights")
            .view(view)
            .entity("airport", [("origin", DataType::String)])
            .service("model", FeatureService::new(["weather:temp"]).unwrap());
        built.check().unwrap();
        assert_eq!(built, Definitions::parse(text, "asof.toml").unwrap());
    }

    #[test]
    fn mistakes_in_code_name_the_path() {
        let service = FeatureService::new(["weather:tmp"]).unwrap();
        let definitions = flights().view(weather().feature("_x", DataType::Bool)).service("model", service);
        assert_eq!(
            refusal(&definitions),
            "views.weather.features._x: '_x' is no feature name; names that begin with _ are reserved\n\
             services.model.features.0.tmp: view weather has no feature 'tmp'; did you mean temp?"
        );
    }

    #[test]
    fn what_a_file_cannot_say_is_checked_too() {
        let twice = flights().view(weather()).view(weather());
        assert_eq!(refusal(&twice), "views.weather: view weather@1 is defined twice");
        let doubled = flights().view(weather().feature("temp", DataType::Bool));
        assert_eq!(refusal(&doubled), "views.weather.features.temp: feature temp is defined twice");
        let zero = flights().view(weather().version(0));
        assert!(refusal(&zero).contains("versions start at 1"), "{}", refusal(&zero));
        let mut foreign = flights().view(weather());
        foreign.views[0].join_keys.clear();
        assert!(refusal(&foreign).contains("join_keys are not those of the view's entities"));
        let mut negative = flights().view(weather());
        negative.views[0].ttl_us = -1;
        assert_eq!(refusal(&negative), "views.weather.ttl: ttl is negative");
    }

    #[test]
    fn the_newest_version_answers_where_none_is_named() {
        let definitions = flights().view(weather().version(2)).view(weather());
        let version = |text: &str| definitions.find_view(&text.parse().unwrap()).map(|view| view.version);
        assert_eq!((version("weather"), version("weather@1"), version("weather@3")), (Some(2), Some(1), None));
    }
}
