//! The tables of feature services: `[services.X]` and what they select.

use std::ops::Range;

use toml::de::DeValue;

use super::reader::{Item, Reader, Value};
use crate::definition::mistake::{At, Mistake};
use crate::definition::{FeatureRef, FeatureService, Selection, ViewRef, selections_of};

const SERVICE_KEYS: &[&str] = &["features", "description", "owner", "tags"];
const SELECTION_KEYS: &[&str] = &["view", "as", "join_keys", "features"];

pub(super) fn read_service(reader: &mut Reader, item: &Item<'_>) -> FeatureService {
    let at = At::service(item.key);
    let mut service = FeatureService::default();
    let items = reader.table(&at, item, "a table with features");
    for item in &items {
        let item_at = at.key(item.key);
        match item.key {
            "features" => {
                service.features = read_selections(reader, &item_at, item.value);
            }
            "description" => service.description = reader.string(&item_at, item.value, "\"...\"").unwrap_or_default(),
            "owner" => service.owner = reader.string(&item_at, item.value, "\"ml@example.com\"").unwrap_or_default(),
            "tags" => service.tags = reader.texts(&item_at, item, "texts by name: { tier = \"gold\" }"),
            _ => reader.unknown_key(&item_at, item, &format!("[{at}]"), SERVICE_KEYS),
        }
    }
    if !items.iter().any(|item| item.key == "features") {
        reader.missing(&at.key("features"), item, &items, "features", "features = [\"view:feature\"]");
    }
    service
}

const EXPECTED: &str = "a list of \"view:feature\", \"view:*\" and { view = \"...\", as = \"...\", features = [..] }";

fn read_selections(reader: &mut Reader, at: &At, value: &Value<'_>) -> Vec<Selection> {
    let mut selections: Vec<Selection> = Vec::new();
    let DeValue::Array(elements) = value.get_ref() else {
        reader.wrong_type(at, value, EXPECTED);
        return selections;
    };
    // References are grouped over runs of strings; a table stands for itself.
    let mut run: Vec<(FeatureRef, Range<usize>)> = Vec::new();
    for element in elements.iter() {
        match element.get_ref() {
            DeValue::String(text) => match text.parse::<FeatureRef>() {
                Ok(reference) => run.push((reference, element.span())),
                Err(error) => reader.add(Mistake::from_error(at.key(text.as_ref()), &error).span(element.span())),
            },
            DeValue::Table(_) => {
                close_run(reader, at, &mut run, &mut selections);
                let at = at.key(selections.len().to_string());
                let item = Item { key: "selection", key_span: element.span(), value: element };
                selections.push(read_selection(reader, &at, &item));
            }
            _ => reader.wrong_type(at, element, EXPECTED),
        }
    }
    close_run(reader, at, &mut run, &mut selections);
    if selections.is_empty() && !elements.is_empty() && !reader.is_broken(at) {
        // Every element had a mistake of its own; that nothing is left is none.
        reader.silence(at);
    }
    selections
}

fn close_run(reader: &mut Reader, at: &At, run: &mut Vec<(FeatureRef, Range<usize>)>, selections: &mut Vec<Selection>) {
    let references: Vec<FeatureRef> = run.iter().map(|(reference, _)| reference.clone()).collect();
    let mut spans = run.drain(..).map(|(_, span)| span);
    for selection in selections_of(&references) {
        let at = at.key(selections.len().to_string());
        // One span for `view:*`, one for each feature otherwise.
        let names = if selection.features.is_empty() { vec![String::new()] } else { selection.features.clone() };
        for (name, span) in names.into_iter().zip(&mut spans) {
            reader.remember_span(at.key("view"), span.clone());
            reader.remember_repeated(at.key(name), span.clone());
            reader.remember_key_span(at.clone(), span);
        }
        selections.push(selection);
    }
}

fn read_selection(reader: &mut Reader, at: &At, item: &Item<'_>) -> Selection {
    let mut has_view = false;
    // A view that cannot be read stays nameless: its mistake is noted, and the checks of it are silent.
    let mut selection = Selection {
        view: ViewRef { name: String::new(), version: None },
        alias: None,
        join_keys: std::collections::BTreeMap::new(),
        features: Vec::new(),
    };
    reader.remember_key_span(at.clone(), item.key_span.clone());
    for item in reader.table(at, item, EXPECTED) {
        let at = at.key(item.key);
        match item.key {
            "view" => {
                has_view = true;
                if let Some(view) = reader.parsed(&at, item.value, "\"weather\"") {
                    selection.view = view;
                }
            }
            "as" => selection.alias = reader.string(&at, item.value, "\"destination\""),
            "join_keys" => {
                selection.join_keys = reader.texts(&at, &item, "join keys and spine columns: { origin = \"dest\" }");
            }
            "features" => selection.features = read_names(reader, &at, item.value),
            _ => reader.unknown_key(&at, &item, "this selection", SELECTION_KEYS),
        }
    }
    if !has_view {
        let mistake = Mistake::new(at.key("view"), "the selection does not say its view").span(item.key_span.clone());
        reader.add(mistake.remedy("add view = \"...\""));
    }
    selection
}

/// Names of features of the selection's view; `["*"]` is all, as when the key is left out.
fn read_names(reader: &mut Reader, at: &At, value: &Value<'_>) -> Vec<String> {
    let names = reader.strings(at, value, "[\"lat\", \"lon\"]");
    if names.is_empty() && !reader.is_broken(at) {
        let mistake = Mistake::new(at.clone(), "the selection lists no features").span(value.span());
        reader.add(mistake.remedy("leave `features` out to select all of the view's"));
    }
    if matches!(names.as_slice(), [(all, _)] if all == "*") {
        return Vec::new();
    }
    let selection = At(at.0[..at.0.len() - 1].to_vec());
    for (name, span) in &names {
        reader.remember_repeated(selection.key(name), span.clone());
    }
    names.into_iter().map(|(name, _)| name).collect()
}
