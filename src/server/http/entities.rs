//! Entities as requests name them: in JSON an array of rows or an object of columns, in Arrow a batch.

use arrow_array::RecordBatch;
use serde_json::{Map, Value as Json};

use super::options::HttpOptions;
use crate::engine::get::Entity;
use crate::error::{Error, Result};
use crate::exchange::Cells;
use crate::store::JoinKey;
use crate::text::{from_json, parse_value};
use crate::value::{DataType, Value};

/// Most entities of a request.
pub(super) const ENTITIES_MAX: usize = 100_000;
/// Most values of an answer, which is put together in memory.
const VALUES_MAX: usize = 4_000_000;
/// Most names of one entity: no view has so many join keys.
const NAMES_MAX: usize = 100;

/// The entities of a request, each join key of the type that it is looked for by. What is no join key stays as it was given: the store says
/// that it is not asked for.
///
/// # Errors
/// It is neither rows nor columns; a column is longer than another; a value is none of its key's; there are too many.
pub(super) fn entities<'a>(json: &'a Json, keys: &[JoinKey]) -> Result<Vec<Entity<'a>>> {
    match json {
        Json::Array(rows) => {
            check_count(rows.len())?;
            rows.iter().enumerate().map(|(at, row)| entity_of_row(at, row, keys)).collect()
        }
        Json::Object(columns) => entities_of_columns(columns, keys),
        _ => Err(Error::invalid("entities are an array of objects, or an object of arrays")
            .remedy(r#"write [{"origin": "JFK"}, {"origin": "LGA"}], or {"origin": ["JFK", "LGA"]}"#)),
    }
}

/// Refuses more entities than a request may have.
pub(super) fn check_count(count: usize) -> Result<()> {
    if count <= ENTITIES_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!("at most {ENTITIES_MAX} entities can be asked for at once, not {count}"))
        .remedy("ask in parts, or for a point-in-time join: POST /v1/history"))
}

/// How many values an answer has.
///
/// # Errors
/// More than one may have.
pub(super) fn check_values(entities: usize, features: usize) -> Result<usize> {
    let values = entities.saturating_mul(features);
    if values <= VALUES_MAX {
        return Ok(values);
    }
    Err(Error::invalid(format!("{entities} entities by {features} features are more than {VALUES_MAX} values"))
        .remedy("ask in parts, or for a point-in-time join: POST /v1/history"))
}

/// How many bytes an answer has.
///
/// # Errors
/// More than one may have that is put together in memory.
pub(super) fn check_bytes(bytes: usize, options: &HttpOptions) -> Result<usize> {
    let bytes_max = options.held_bytes_max;
    if bytes <= bytes_max {
        return Ok(bytes);
    }
    Err(Error::invalid(format!("the answer has more than {bytes_max} bytes"))
        .remedy("ask for fewer entities at a time, or for a point-in-time join"))
}

/// Whether so many values take long enough for others to wait.
pub(super) fn is_much(values: usize) -> bool {
    values > 10_000
}

fn check_names(count: usize) -> Result<()> {
    if count <= NAMES_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!("an entity is named by its join keys, not by {count} columns")))
}

fn entity_of_row<'a>(at: usize, row: &'a Json, keys: &[JoinKey]) -> Result<Entity<'a>> {
    let Json::Object(row) = row else {
        return Err(Error::invalid("an entity is an object of its join keys").at(format!("entity {at}")));
    };
    check_names(row.len())?;
    row.iter().map(|(name, json)| Ok((name.as_str(), cell(name, at, json, keys)?))).collect()
}

fn entities_of_columns<'a>(columns: &'a Map<String, Json>, keys: &[JoinKey]) -> Result<Vec<Entity<'a>>> {
    check_names(columns.len())?;
    let mut given: Vec<(&str, &[Json])> = Vec::with_capacity(columns.len());
    for (name, column) in columns {
        let Json::Array(values) = column else {
            return Err(Error::invalid("a column of entities is an array").at(format!("join key {name}")));
        };
        given.push((name, values));
    }
    let count = given.first().map_or(0, |(_, values)| values.len());
    if let Some((name, values)) = given.iter().find(|(_, values)| values.len() != count) {
        let what =
            format!("all columns of entities are of one length: {} is {count}, this {}", given[0].0, values.len());
        return Err(Error::invalid(what).at(format!("join key {name}")));
    }
    check_count(count)?;
    let entity = |at: usize| given.iter().map(move |(name, values)| Ok((*name, cell(name, at, &values[at], keys)?)));
    (0..count).map(|at| entity(at).collect()).collect()
}

fn cell(name: &str, at: usize, json: &Json, keys: &[JoinKey]) -> Result<Value> {
    match keys.iter().find(|key| key.column == name) {
        Some(key) => key_value(&key.dtype, json).map_err(|error| error.at(format!("entity {at}: join key {name}"))),
        None => Ok(Value::Null),
    }
}

/// The entities of a batch, a row each.
///
/// # Errors
/// A column is not of its key's type, or has no text form; a join key is null; there are too many.
pub(super) fn entities_of_batch<'a>(batch: &'a RecordBatch, keys: &[JoinKey]) -> Result<Vec<Entity<'a>>> {
    check_names(batch.num_columns())?;
    check_count(batch.num_rows())?;
    let mut columns: Vec<(&str, Option<(&DataType, Cells)>)> = Vec::with_capacity(batch.num_columns());
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let key = keys.iter().find(|key| key.column == *field.name());
        let cells = key.map(|key| Ok::<_, Error>((&key.dtype, Cells::new(field, array)?))).transpose()?;
        columns.push((field.name(), cells));
    }
    let entity = |at: usize| {
        let cell = |(name, cells): &(&'a str, Option<(&DataType, Cells)>)| {
            let value = match cells {
                Some((dtype, cells)) => key_of_value(dtype, cells.value(at))
                    .map_err(|error| error.at(format!("entity {at}: join key {name}")))?,
                None => Value::Null,
            };
            Ok((*name, value))
        };
        columns.iter().map(cell).collect()
    };
    (0..batch.num_rows()).map(entity).collect()
}

/// [`key_value`] of a value that has a type.
fn key_of_value(dtype: &DataType, value: Value) -> Result<Value> {
    match (dtype, value) {
        (_, Value::Null) => Err(Error::invalid(NULL_KEY)),
        (DataType::Int64, Value::Int32(number)) => Ok(Value::Int64(number.into())),
        (DataType::Uuid, Value::String(text)) => Ok(parse_value(dtype, &text).unwrap_or(Value::String(text))),
        (_, value) => Ok(value),
    }
}

/// What is wrong with a join key that is null.
const NULL_KEY: &str = "a join key is null; an entity is looked for by a value";

/// A join key to be looked for. A number that is too large for its type matches nothing, as in the spine of a join, and so does a text that
/// is no uuid.
///
/// # Errors
/// It is null, or not of the type.
pub(super) fn key_value(dtype: &DataType, json: &Json) -> Result<Value> {
    let as_type = |dtype: &DataType| match json {
        Json::String(text) => parse_value(dtype, text),
        other => from_json(dtype, other),
    };
    match (dtype, json) {
        (_, Json::Null) => Err(Error::invalid(NULL_KEY)),
        (DataType::Uuid, Json::String(text)) => Ok(as_type(dtype).unwrap_or_else(|_| Value::String(text.clone()))),
        (DataType::Int32, _) => as_type(dtype).or_else(|error| as_type(&DataType::Int64).map_err(|_| error)),
        _ => as_type(dtype),
    }
}
