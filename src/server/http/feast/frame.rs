//! Rows as Feast's clients send them: a data frame, column by column.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::refusal::Refusal;
use super::request::Columns;
use crate::definition::{EventTime, FeatureView};
use crate::store::Row;
use crate::text::{from_json, parse_value};
use crate::time::Timestamp;
use crate::value::{DataType, Value};

/// The rows of a view that a frame has. Columns that the view does not know are left out, as in an import.
///
/// # Errors
/// A column is missing or of another length; a value is none of its feature's, by column and row.
pub(super) fn rows_of(frame: &Columns, view: &FeatureView) -> Result<Vec<Row>, Refusal> {
    let count = frame.0.first().map_or(0, |(_, values)| values.len());
    if let Some((name, values)) = frame.0.iter().find(|(_, values)| values.len() != count) {
        let message = format!("All arrays must be of the same length: {name} has {}, not {count}", values.len());
        return Err(Refusal::mistake(message));
    }
    let source = &view.source;
    let given: HashMap<&str, &[Json]> =
        frame.0.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect();
    // By its own name, or by that of the source's column.
    let column = |name: &str| {
        let renamed = || source.rename.iter().find(|(_, own)| *own == name).map(|(column, _)| column.as_str());
        given.get(name).or_else(|| given.get(renamed()?)).copied()
    };
    let features = view.features.iter().map(|feature| (feature.name.as_str(), &feature.dtype));
    let columns: Vec<(&str, &DataType, Option<&[Json]>)> = view
        .join_keys
        .iter()
        .chain(&view.event_id)
        .map(|(name, dtype)| (name.as_str(), dtype))
        .chain(features)
        .map(|(name, dtype)| (name, dtype, column(name)))
        .collect();
    let missing: Vec<String> =
        columns.iter().filter(|(_, _, values)| values.is_none()).map(|(name, ..)| format!("'{name}'")).collect();
    if !missing.is_empty() {
        return Err(Refusal::mistake(format!("\"[{}] not in index\"", missing.join(", "))));
    }
    let event_times = match &source.event_timestamp {
        EventTime::Constant(at) => Times::Constant(Timestamp(*at)),
        EventTime::Column(name) => Times::Column(
            name,
            given
                .get(name.as_str())
                .copied()
                .ok_or_else(|| Refusal::mistake(format!("'Field \"{name}\" does not exist in schema'")))?,
        ),
    };
    let created = source.created_timestamp.as_deref().and_then(|name| Some((name, *given.get(name)?)));

    let mut rows = Vec::with_capacity(count);
    for at in 0..count {
        let mut row = Row::new().at(match event_times {
            Times::Constant(instant) => instant,
            Times::Column(name, values) => instant(name, at, &values[at])?
                .ok_or_else(|| Refusal::mistake(format!("{name}: row {at}: a row needs the time when it was true")))?,
        });
        if let Some((name, values)) = created
            && let Some(created) = instant(name, at, &values[at])?
        {
            row = row.created(created);
        }
        for (name, dtype, values) in &columns {
            let json = &values.unwrap_or_default()[at];
            row = row.set(*name, value(name, at, dtype, json)?);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Where event times come from.
#[derive(Clone, Copy)]
enum Times<'a> {
    Constant(Timestamp),
    Column(&'a str, &'a [Json]),
}

fn instant(name: &str, at: usize, json: &Json) -> Result<Option<Timestamp>, Refusal> {
    match value(name, at, &DataType::Timestamp, json)? {
        Value::Timestamp(micros) => Ok(Some(Timestamp(micros))),
        _ => Ok(None),
    }
}

fn value(name: &str, at: usize, dtype: &DataType, json: &Json) -> Result<Value, Refusal> {
    let value = match (dtype, json) {
        // As join keys of a request may be.
        (DataType::Int32 | DataType::Int64 | DataType::Bool, Json::String(text)) => parse_value(dtype, text),
        (_, json) => from_json(dtype, json),
    };
    value.map_err(|error| Refusal::from(error.at(format!("{name}: row {at}"))))
}
