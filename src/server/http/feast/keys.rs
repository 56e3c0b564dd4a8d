//! The entities that a request of `/get-online-features` names, column by column.

use serde_json::Value as Json;

use super::refusal::Refusal;
use super::request::Columns;
use super::select::{Part, Selected};
use crate::key::common_type;
use crate::server::http::entities::{check_count, key_value};
use crate::server::http::registered::InForce;
use crate::text::json_text;
use crate::value::{DataType, Value};

/// The entities of a request.
pub(super) struct Keys {
    pub count: usize,
    /// Columns that hold join keys, by what they are called in the answer, in the request's order.
    pub columns: Vec<(String, Vec<KeyCell>)>,
}

/// A join key: as it is looked for, and as it is answered.
pub(super) struct KeyCell {
    pub value: Value,
    pub json: String,
}

impl Keys {
    pub(super) fn read(
        given: &Columns,
        selected: &Selected<'_>,
        in_force: &InForce,
        may_read: &dyn Fn(&str) -> bool,
    ) -> Result<Keys, Refusal> {
        let count = given.0.first().map_or(0, |(_, values)| values.len());
        if given.0.iter().any(|(_, values)| values.len() != count) {
            return Err(Refusal::mistake("All entity rows must have the same columns."));
        }
        check_count(count)?;
        let mut columns: Vec<(String, Vec<KeyCell>)> = Vec::with_capacity(given.0.len());
        for (name, values) in &given.0 {
            // What is no join key is data of the request, which no feature takes.
            let Some((name, dtype)) = key_of_column(name, selected, in_force, may_read) else { continue };
            if columns.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::mistake(format!("the join key {name} is given by two columns")));
            }
            let cells = values.iter().map(|value| cell(&name, &dtype, value)).collect::<Result<_, _>>()?;
            columns.push((name, cells));
        }
        let keys = Keys { count, columns };
        keys.check(selected)?;
        Ok(keys)
    }

    /// Refuses a request that gives nothing of what a view is looked up by.
    fn check(&self, selected: &Selected<'_>) -> Result<(), Refusal> {
        let is_left_out = |part: &&Part<'_>| !part.key_columns.iter().any(|column| self.column(column).is_some());
        let left_out: Vec<&str> = selected
            .parts
            .iter()
            .filter(|part| self.count == 0 || !part.key_columns.is_empty())
            .filter(|part| self.count == 0 || is_left_out(part))
            .flat_map(|part| part.key_columns.iter().map(String::as_str))
            .collect();
        if left_out.is_empty() && self.count > 0 {
            return Ok(());
        }
        let mut missing: Vec<String> = left_out.iter().map(|name| format!("'{name}'")).collect();
        missing.sort_unstable();
        missing.dedup();
        let given: Vec<String> = self.columns.iter().map(|(name, _)| format!("'{name}'")).collect();
        let (missing, given) = (missing.join(", "), given.join(", "));
        Err(Refusal::mistake(format!(
            "\"Missing join key values for keys: [{missing}]. No values provided for keys: [{missing}]. Provided join_key_values: [{given}]\""
        )))
    }

    pub(super) fn column(&self, name: &str) -> Option<&[KeyCell]> {
        self.columns.iter().find(|(column, _)| column == name).map(|(_, cells)| cells.as_slice())
    }

    pub(super) fn has_all_of(&self, part: &Part<'_>) -> bool {
        part.key_columns.iter().all(|column| self.column(column).is_some())
    }
}

/// The join key that a column holds, and its type: one that the features are looked up by, or another of the project, which is answered
/// as it was given: of a view that may be read.
fn key_of_column(
    name: &str,
    selected: &Selected<'_>,
    in_force: &InForce,
    may_read: &dyn Fn(&str) -> bool,
) -> Option<(String, DataType)> {
    let taken = |column: &str| {
        let keys = selected.parts.iter().flat_map(|part| part.key_columns.iter().zip(&part.view.join_keys));
        let types = keys.filter(|(key, _)| *key == column).map(|(_, (_, dtype))| dtype);
        types.cloned().reduce(|known, other| common_type(&known, &other).cloned().unwrap_or(known))
    };
    if let Some(dtype) = taken(name) {
        return Some((name.to_owned(), dtype));
    }
    let (key, dtype) = in_force.join_key(name)?;
    // Of what others call their entities nothing is told.
    in_force.newest().find(|view| may_read(&view.name) && view.join_keys.iter().any(|(known, _)| known == key))?;
    Some((key.to_owned(), taken(key).unwrap_or_else(|| dtype.clone())))
}

fn cell(column: &str, dtype: &DataType, json: &Json) -> Result<KeyCell, Refusal> {
    let value = key_value(dtype, json).map_err(|error| Refusal::from(error.at(format!("join key {column}"))))?;
    Ok(KeyCell { json: json_text(value_type(dtype, &value), &value), value })
}

/// The type that a value of a key is written as: one that is too large for its key's is the wider one's.
fn value_type<'a>(dtype: &'a DataType, value: &Value) -> &'a DataType {
    if matches!(value, Value::Int64(_)) { &DataType::Int64 } else { dtype }
}
