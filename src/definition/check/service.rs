//! Feature services: what they select must be there, and be told apart.

use std::collections::BTreeMap;

use super::check_named;
use crate::definition::mistake::{At, Mistake};
use crate::definition::{Definitions, FeatureService, FeatureView, Selection, ViewRef};
use crate::key::common_type;
use crate::value::DataType;

pub(super) fn check_service(found: &mut Vec<Mistake>, name: &str, service: &FeatureService, definitions: &Definitions) {
    let at = At::service(name);
    check_named(found, at.clone(), "service", name, true);
    if service.features.is_empty() {
        found.push(
            Mistake::new(at.key("features"), format!("service {name} selects no features"))
                .remedy("as in features = [\"weather:temp\"]"),
        );
    }
    // The caller's columns: the type that holds all that is read out of them, and who was the first to read what.
    let mut keys: BTreeMap<&str, (&DataType, &DataType, String)> = BTreeMap::new();
    // A column of the answer is known by its label and feature: the same pair twice is ambiguous.
    let mut columns: BTreeMap<(String, String), ViewRef> = BTreeMap::new();
    for (i, selection) in service.features.iter().enumerate() {
        let at = at.key("features").key(i.to_string());
        let Some(view) = find_selected(found, &at, selection, definitions) else { continue };
        let selected = check_selection(found, &at, selection, view, definitions);
        for (join_key, dtype) in &view.join_keys {
            let column = selection.join_keys.get(join_key).unwrap_or(join_key);
            let (common, first, label) = keys.entry(column).or_insert((dtype, dtype, selection.label()));
            match common_type(common, dtype) {
                Some(wider) => *common = wider,
                None => {
                    let what = format!(
                        "service {name} reads the join key {column} as {first} for {label} and as {dtype} for {}",
                        selection.label()
                    );
                    let remedy =
                        format!("join one of them through another column: join_keys = {{ {join_key} = \"...\" }}");
                    found.push(Mistake::new(at.clone(), what).remedy(remedy));
                }
            }
        }
        for feature in selected {
            let column = (selection.label(), feature.clone());
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

/// The view of a selection, or a mistake that names the nearest one. A version that is pinned and not defined here may be one that the
/// registry keeps: the plan looks for it.
fn find_selected<'a>(
    found: &mut Vec<Mistake>,
    at: &At,
    selection: &Selection,
    definitions: &'a Definitions,
) -> Option<&'a FeatureView> {
    let wanted = &selection.view;
    let view = definitions.find_view(wanted);
    if view.is_none() && wanted.version.is_none() {
        let mistake = Mistake::new(at.key("view"), format!("there is no view '{wanted}'")).refers_to(&wanted.name);
        let mut names: Vec<&str> = definitions.views.iter().map(|view| view.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        found.push(mistake.suggest(&wanted.name, "views", &names));
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
