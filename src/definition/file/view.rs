//! The tables of feature views: `[views.X]`, its features and its source.

use std::path::PathBuf;

use toml::de::DeValue;

use super::reader::{Item, Reader, Value};
use crate::definition::mistake::{At, Mistake};
use crate::definition::{EventTime, Feature, FeatureView, Rules, Source, ViewKind};
use crate::error::nearest;
use crate::redis_key::KeyTemplate;
use crate::time::Timestamp;
use crate::value::DataType;

const VIEW_KEYS: &[&str] = &[
    "kind",
    "entities",
    "ttl",
    "retention",
    "freshness_sla",
    "event_id",
    "redis_keys",
    "source",
    "features",
    "owner",
    "description",
    "tags",
];
const SOURCE_KEYS: &[&str] =
    &["path", "event_timestamp", "created_timestamp", "rename", "push", "delimiter", "timestamp_format"];
const FEATURE_KEYS: &[&str] = &["dtype", "description", "not_null", "min", "max", "one_of", "tags"];
/// Kinds that a later release knows.
const LATER_KINDS: &[&str] = &["aggregate", "on_demand"];

pub(super) fn read_view(reader: &mut Reader, at: &At, item: &Item<'_>, name: &str, version: u32) -> FeatureView {
    let mut view = FeatureView::new(name).version(version);
    reader.remember(at, item);
    let items = reader.table(at, item, "a table with entities and features");
    // event_id takes its types from the features, so it is read after them.
    let (event_id, others): (Vec<_>, Vec<_>) = items.iter().partition(|item| item.key == "event_id");
    for item in others {
        let at = at.key(item.key);
        match item.key {
            "kind" => view.kind = read_kind(reader, &at, item.value, !event_id.is_empty()),
            "entities" => {
                for (entity, span) in reader.strings(&at, item.value, "[\"airport\"]; [] is one key for the store") {
                    reader.remember_span(at.key(&entity), span);
                    view.entities.push(entity);
                }
            }
            "ttl" => view.ttl_us = reader.duration_us(&at, item.value).unwrap_or_default(),
            "retention" => view.retention_us = reader.duration_us(&at, item.value).unwrap_or_default(),
            "freshness_sla" => view.freshness_sla_us = reader.duration_us(&at, item.value).unwrap_or_default(),
            "redis_keys" => view.redis_keys = read_redis_keys(reader, &at, item.value),
            "source" => view.source = read_source(reader, &at, item),
            "features" => {
                for feature in reader.table(&at, item, "a table of names and types: [views.NAME.features]") {
                    let read = read_feature(reader, &at.key(feature.key), &feature);
                    view.features.push(read);
                }
            }
            "owner" => view.owner = reader.string(&at, item.value, "\"ops@example.com\"").unwrap_or_default(),
            "description" => view.description = reader.string(&at, item.value, "\"...\"").unwrap_or_default(),
            "tags" => view.tags = reader.texts(&at, item, "texts by name: { tier = \"gold\" }"),
            key if looks_like_a_feature(item.value) && nearest(key, VIEW_KEYS.iter().copied()).is_none() => {
                let view_at = At::view(name, version);
                let mistake = Mistake::new(at, format!("unknown key '{key}' in [{view_at}]"));
                let remedy = format!("a feature goes under [{}]", view_at.key("features"));
                reader.add(mistake.span(item.key_span.clone()).remedy(remedy));
            }
            _ => reader.unknown_key(&at, item, &format!("[{}]", At::view(name, version)), VIEW_KEYS),
        }
    }
    for item in event_id {
        view.event_id = read_event_id(reader, &at.key("event_id"), item, &view.features);
    }
    if !items.iter().any(|item| item.key == "entities") {
        reader.missing(
            &at.key("entities"),
            item,
            &items,
            "entities",
            "entities = [\"...\"], or [] for one key for the store",
        );
    }
    if reader.is_broken(&at.key("entities")) || reader.is_broken(&at.key("features")) {
        reader.unreadable(name);
    }
    view
}

/// Whether a value would do as a feature's: a type, or a table with one.
fn looks_like_a_feature(value: &Value<'_>) -> bool {
    match value.get_ref() {
        DeValue::String(text) => text.parse::<DataType>().is_ok(),
        DeValue::Table(table) => table.contains_key("dtype"),
        _ => false,
    }
}

fn read_kind(reader: &mut Reader, at: &At, value: &Value<'_>, has_event_id: bool) -> ViewKind {
    // Only to keep the checks from repeating a mistake: a view with an event_id was meant as an event view.
    let meant = if has_event_id { ViewKind::Event } else { ViewKind::State };
    let Some(text) = reader.string(at, value, "\"state\" or \"event\"") else { return meant };
    match text.as_str() {
        "state" => ViewKind::State,
        "event" => ViewKind::Event,
        later if LATER_KINDS.contains(&later) => {
            let mistake = Mistake::new(at.clone(), format!("this release does not know views of kind {later} yet"));
            reader.add(mistake.span(value.span()).remedy("the kinds are state, event"));
            meant
        }
        unknown => {
            let mistake = Mistake::new(at.clone(), format!("'{unknown}' is no kind of view")).span(value.span());
            reader.add(mistake.suggest(unknown, "kinds", &["state", "event"]));
            meant
        }
    }
}

fn read_feature(reader: &mut Reader, at: &At, item: &Item<'_>) -> Feature {
    let mut feature = Feature::new(item.key, DataType::String);
    let example = "\"float64\" or { dtype = \"float64\", min = 0 }";
    match item.value.get_ref() {
        DeValue::String(_) => {
            feature.dtype = reader.parsed(at, item.value, example).unwrap_or(DataType::String);
        }
        DeValue::Table(_) => {
            let items = reader.table(at, item, example);
            // Noted under the feature itself: without its type its rules cannot be judged.
            let dtype = match items.iter().find(|item| item.key == "dtype") {
                Some(dtype) => reader.parsed(at, dtype.value, "\"float64\""),
                None => {
                    reader.missing(at, item, &items, "dtype", "dtype = \"float64\"");
                    None
                }
            };
            let is_judged = |key: &str| dtype.is_some() || !["min", "max", "one_of"].contains(&key);
            feature.dtype = dtype.clone().unwrap_or(DataType::String);
            for item in items.iter().filter(|item| is_judged(item.key)) {
                read_feature_item(reader, &at.key(item.key), item, &mut feature);
            }
        }
        _ => reader.wrong_type(at, item.value, example),
    }
    feature
}

fn read_feature_item(reader: &mut Reader, at: &At, item: &Item<'_>, feature: &mut Feature) {
    let rules: &mut Rules = &mut feature.rules;
    match item.key {
        "dtype" => {}
        "description" => feature.description = reader.string(at, item.value, "\"...\"").unwrap_or_default(),
        "not_null" => rules.not_null = reader.boolean(at, item.value).unwrap_or_default(),
        "min" => rules.min = read_bound(reader, at, item.value, &feature.dtype),
        "max" => rules.max = read_bound(reader, at, item.value, &feature.dtype),
        "one_of" => {
            let DeValue::Array(elements) = item.value.get_ref() else {
                return reader.wrong_type(at, item.value, "a list of values, as in [\"a\", \"b\"]");
            };
            if elements.is_empty() {
                let mistake = Mistake::new(at.clone(), "one_of is empty").span(item.value.span());
                return reader.add(mistake.remedy("list the values allowed, or leave it out to allow all"));
            }
            for element in elements.iter() {
                if let Some(value) = read_bound(reader, at, element, &feature.dtype) {
                    reader.remember_span(at.key(&value), element.span());
                    rules.one_of.push(value);
                }
            }
        }
        "tags" => feature.tags = reader.texts(at, item, "texts by name: { tier = \"gold\" }"),
        _ => reader.unknown_key(at, item, &format!("feature {}", feature.name), FEATURE_KEYS),
    }
}

/// A rule's value in the feature's text form: TOML numbers, booleans and times are taken as they
/// are written, and a string is the text form itself.
fn read_bound(reader: &mut Reader, at: &At, value: &Value<'_>, dtype: &DataType) -> Option<String> {
    let text = match (value.get_ref(), dtype) {
        (DeValue::String(text), _) => text.to_string(),
        (DeValue::Integer(number), dtype) if is_number(dtype) => {
            match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => number.to_string(),
                Err(_) => number.to_string(),
            }
        }
        (DeValue::Float(number), dtype) if is_number(dtype) => {
            number.as_str().trim_start_matches('+').replace("inf", "Infinity")
        }
        (DeValue::Boolean(value), DataType::Bool) => value.to_string(),
        (DeValue::Datetime(time), DataType::Timestamp | DataType::Date) => time.to_string(),
        _ => {
            reader.wrong_type(at, value, &format!("a value of the feature's type, {dtype}"));
            return None;
        }
    };
    Some(text)
}

fn is_number(dtype: &DataType) -> bool {
    matches!(
        dtype,
        DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64 | DataType::Decimal { .. }
    )
}

fn read_event_id(reader: &mut Reader, at: &At, item: &Item<'_>, features: &[Feature]) -> Vec<(String, DataType)> {
    if let DeValue::Table(_) = item.value.get_ref() {
        let columns = reader.table(at, item, "columns and their types");
        return columns
            .iter()
            .map(|column| {
                let dtype = reader.parsed(&at.key(column.key), column.value, "\"int64\"");
                (column.key.to_owned(), dtype.unwrap_or(DataType::String))
            })
            .collect();
    }
    let mut columns = Vec::new();
    for (column, span) in reader.strings(at, item.value, "[\"flight\"], or types as in { flight = \"int32\" }") {
        let dtype = features.iter().find(|feature| feature.name == column).map(|feature| feature.dtype.clone());
        reader.remember_span(at.key(&column), span);
        columns.push((column, dtype.unwrap_or(DataType::String)));
    }
    columns
}

/// One template, or a list of them.
fn read_redis_keys(reader: &mut Reader, at: &At, value: &Value<'_>) -> Vec<KeyTemplate> {
    let texts = match value.get_ref() {
        DeValue::String(text) => vec![(text.to_string(), value.span())],
        _ => reader.strings(at, value, "[\"user:{user_id}:features\"]"),
    };
    let mut templates = Vec::with_capacity(texts.len());
    for (text, span) in texts {
        let at = at.key(&text);
        match text.parse() {
            Ok(template) => {
                reader.remember_repeated(at, span);
                templates.push(template);
            }
            Err(error) => reader.add(Mistake::from_error(at, &error).span(span)),
        }
    }
    templates
}

fn read_source(reader: &mut Reader, at: &At, item: &Item<'_>) -> Source {
    let mut source = Source::default();
    for item in reader.table(at, item, "a table: { path = \"data/weather.parquet\" }") {
        let at = at.key(item.key);
        match item.key {
            "path" => source.path = reader.non_empty(&at, item.value, "\"data/weather.parquet\"").map(PathBuf::from),
            "event_timestamp" => {
                if let Some(time) = read_event_time(reader, &at, item.value) {
                    source.event_timestamp = time;
                }
            }
            "created_timestamp" => source.created_timestamp = reader.non_empty(&at, item.value, "\"created\""),
            "rename" => {
                source.rename = reader.texts(&at, &item, "source columns and names: { temperature = \"temp\" }");
            }
            "push" => source.push = reader.string(&at, item.value, "\"weather_push\""),
            "delimiter" => {
                let text = reader.string(&at, item.value, "\";\"").unwrap_or_default();
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some(delimiter), None) => source.delimiter = Some(delimiter),
                    _ if reader.is_broken(&at) => {}
                    _ => {
                        let mistake = Mistake::new(at, format!("'{text}' cannot be a delimiter"));
                        reader.add(mistake.span(item.value.span()).remedy("use one ASCII character, such as \";\""));
                    }
                }
            }
            "timestamp_format" => source.timestamp_format = reader.string(&at, item.value, "\"%d/%m/%Y %H:%M\""),
            _ => reader.unknown_key(&at, &item, "source", SOURCE_KEYS),
        }
    }
    source
}

/// A text that starts with a digit is an instant, any other names a column.
fn read_event_time(reader: &mut Reader, at: &At, value: &Value<'_>) -> Option<EventTime> {
    let text = match value.get_ref() {
        DeValue::Datetime(time) => time.to_string(),
        _ => reader.string(at, value, "\"event_timestamp\"")?,
    };
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(EventTime::Column(text));
    }
    match text.parse::<Timestamp>() {
        Ok(instant) => Some(EventTime::Constant(instant.micros())),
        Err(_) => {
            let mistake = Mistake::new(at.clone(), format!("'{text}' is neither a column nor an instant"));
            reader.add(mistake.span(value.span()).remedy("write an instant as \"1970-01-01T00:00:00Z\""));
            None
        }
    }
}
