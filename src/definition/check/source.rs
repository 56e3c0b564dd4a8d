//! Where rows come from, and how columns are called there.

use std::collections::BTreeMap;

use super::check_named;
use crate::definition::mistake::{At, Mistake};
use crate::definition::{EVENT_TIMESTAMP_COLUMN, EventTime, FeatureView, Source};
use crate::text::fault_of_format;
use crate::value::DataType;

pub(super) fn check_source(found: &mut Vec<Mistake>, at: &At, source: &Source, view: &FeatureView) {
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
    }
    if let (EventTime::Constant(_), Some(EVENT_TIMESTAMP_COLUMN)) =
        (&source.event_timestamp, source.created_timestamp.as_deref())
    {
        found.push(
            Mistake::new(
                at.key("created_timestamp"),
                format!("column {EVENT_TIMESTAMP_COLUMN} is the event timestamp's"),
            )
            .remedy("exports call the constant event time so; name the source's column otherwise"),
        );
    }
    for (clock, column) in clocks(source) {
        if view.join_keys.iter().any(|(key, _)| key == column) {
            found.push(
                Mistake::new(at.key(clock), format!("column {column} is a join key of the view"))
                    .remedy("a row's times are kept beside its key; give the source a column for each"),
            );
        }
        if let Some((_, dtype)) = view.event_id.iter().find(|(id, _)| id == column)
            && *dtype != DataType::Timestamp
        {
            found.push(
                Mistake::new(at.key(clock), format!("column {column} is {dtype} in the view's event_id"))
                    .remedy("make it timestamp there: a column has one type"),
            );
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
    if let Some(fault) = source.timestamp_format.as_deref().and_then(fault_of_format) {
        found.push(Mistake::new(at.key("timestamp_format"), fault).remedy(
            "write it as in strftime, with the year and all that is below it: \"%d/%m/%Y %H:%M\", \"%Y-%m-%d %I:%M %p\", \"%Y-%m-%d %H:%M %z\"",
        ));
    }
}

/// The columns of the source's clocks, by their keys in the file.
fn clocks(source: &Source) -> impl Iterator<Item = (&'static str, &String)> {
    let event = match &source.event_timestamp {
        EventTime::Column(column) => Some(("event_timestamp", column)),
        EventTime::Constant(_) => None,
    };
    event.into_iter().chain(source.created_timestamp.as_ref().map(|column| ("created_timestamp", column)))
}

pub(super) fn check_rename(found: &mut Vec<Mistake>, at: &At, source: &Source, view: &FeatureView) {
    let targets: Vec<&str> = (view.features.iter().map(|feature| feature.name.as_str()))
        .chain(view.join_keys.iter().chain(&view.event_id).map(|(column, _)| column.as_str()))
        .collect();
    let mut filled_by: BTreeMap<&str, &str> = BTreeMap::new();
    for (column, target) in &source.rename {
        // Clocks go by the source's own names, and a column that is renamed is no longer called as it was.
        if let Some((clock, name)) = clocks(source).find(|(_, name)| [column, target].contains(name)) {
            found.push(
                Mistake::new(at.key(column), format!("{name} is the source's {clock}"))
                    .remedy("leave it out of rename: timestamps are kept beside the features"),
            );
            continue;
        }
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
