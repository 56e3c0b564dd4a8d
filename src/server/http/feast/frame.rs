//! Rows as Feast's clients send them: a data frame, column by column.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::refusal::Refusal;
use super::request::Columns;
use crate::definition::{EventTime, FeatureView};
use crate::server::http::rows::{Cell, RowReader};
use crate::store::Row;

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
    let given: HashMap<&str, &[Json]> =
        frame.0.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect();
    let reader = RowReader::new(view);
    reader.check_count(count)?;
    let is_missing = |(name, renamed, _): &&(&str, Option<&str>, _)| {
        !given.contains_key(name) && renamed.is_none_or(|column| !given.contains_key(column))
    };
    let missing: Vec<String> = reader.columns.iter().filter(is_missing).map(|(name, ..)| format!("'{name}'")).collect();
    if !missing.is_empty() {
        return Err(Refusal::mistake(format!("\"[{}] not in index\"", missing.join(", "))));
    }
    if let EventTime::Column(name) = &view.source.event_timestamp
        && !given.contains_key(name.as_str())
    {
        return Err(Refusal::mistake(format!("'Field \"{name}\" does not exist in schema'")));
    }
    let row = |at: usize| reader.read(at, |name| given.get(name)?.get(at).map(Cell::Read));
    Ok((0..count).map(row).collect::<crate::Result<_>>()?)
}
