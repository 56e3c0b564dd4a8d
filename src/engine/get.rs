//! One entity, as of any moment: value, status and event time of each feature.

use super::as_of::{FoundRow, find_row};
use super::reads::{Reads, Sight};
use super::resolve::{Resolved, resolve};
use crate::error::{Error, Result, nearest};
use crate::format::row::FieldState;
use crate::join::pick::{AsOf, FieldView, Status, verdict};
use crate::key::key_hash;
use crate::request::{Features, KnownAt};
use crate::time::Timestamp;
use crate::value::{DataType, Value};

/// One feature's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureValue {
    /// The view's name, or its alias in a service.
    pub view: String,
    /// The feature's name.
    pub feature: String,
    /// Its type.
    pub dtype: DataType,
    /// The value; null unless the status is PRESENT.
    pub value: Value,
    /// What became of it.
    pub status: Status,
    /// When the winning row was true; `None` for NOT_FOUND.
    pub event_ts: Option<Timestamp>,
}

/// As of when, and known by when, to read one entity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GetOptions {
    /// As of this instant; now when absent.
    pub at: Option<Timestamp>,
    /// Only what was committed by then.
    pub known_at: Option<KnownAt>,
    /// With `known_at`: today's definitions instead of those of then.
    pub definitions_current: bool,
}

impl Reads {
    /// The features of one entity, given by its join keys. Keys that no selected view has are an error.
    ///
    /// # Errors
    /// Views, features, services, join keys that are not there; a key of the wrong type; a damaged run.
    pub fn get(
        &self,
        features: &Features,
        entity: &[(&str, Value)],
        options: &GetOptions,
        now: Timestamp,
    ) -> Result<Vec<FeatureValue>> {
        let Sight { seq: committed, picture } = &self.sight()?;
        let known_at = match &options.known_at {
            Some(known_at) => Some(self.resolve_known_at(known_at, now)?),
            None => None,
        };
        let definitions_at = if options.definitions_current { None } else { known_at };
        let selections = resolve(features, &picture.state.definitions_at(definitions_at))?;
        check_keys(entity, &selections)?;
        let at = options.at.unwrap_or(now).0;
        let question = AsOf { known_at: known_at.unwrap_or(*committed).min(*committed), ..AsOf::new(at) };
        let mut answers = Vec::new();
        for selected in &selections {
            let view = picture.view(selected.view.id);
            let values = selected.key_columns.iter().zip(view.key_schema.columns()).map(|(column, (name, _))| {
                // A key is found under the caller's column of a service, or under its own name.
                let given =
                    entity.iter().find(|(key, _)| key == column).or_else(|| entity.iter().find(|(key, _)| key == name));
                given.map(|(_, value)| value.clone()).ok_or_else(|| {
                    Error::invalid(format!("{} needs the join key {column}", selected.label))
                        .remedy(format!("give it as {column}=VALUE"))
                })
            });
            let values = values.collect::<Result<Vec<Value>>>()?;
            let mut key = Vec::new();
            view.key_schema.encode(&values, &mut key)?;
            let row = find_row(view, &picture.tail, key_hash(self.hash_seed(), &key), &key, question)?;
            let ttl_us = selected.view.definition.ttl_us;
            for field in &selected.fields {
                let (status, value, event_ts) = answer(row.as_ref(), view.layout.as_ref(), field.ordinal, at, ttl_us);
                answers.push(FeatureValue {
                    view: selected.label.clone(),
                    feature: field.name.clone(),
                    dtype: field.dtype.clone(),
                    value,
                    status,
                    event_ts,
                });
            }
        }
        Ok(answers)
    }
}

fn answer(
    row: Option<&FoundRow>,
    layout: &crate::format::row::RowLayout,
    field: usize,
    at: i64,
    ttl_us: i64,
) -> (Status, Value, Option<Timestamp>) {
    let Some(found) = row else { return (Status::NotFound, Value::Null, None) };
    let row = found.row();
    let state = row.state(field);
    let view = FieldView {
        kind: row.head.kind,
        event_ts: row.head.event_ts,
        row_deadline: row.head.deadline,
        field_deadline: row.field_deadline(field),
        state,
    };
    let status = verdict(Some(view), at, ttl_us);
    let value =
        if status == Status::Present && state == FieldState::Value { row.value(layout, field) } else { Value::Null };
    let event_ts = (status != Status::NotFound).then_some(Timestamp(row.head.event_ts));
    (status, value, event_ts)
}

fn check_keys(entity: &[(&str, Value)], selections: &[Resolved]) -> Result<()> {
    let known = || {
        selections.iter().flat_map(|selected| {
            let names = selected.view.definition.join_keys.iter().map(|(name, _)| name.as_str());
            names.chain(selected.key_columns.iter().map(String::as_str))
        })
    };
    for (name, _) in entity {
        if !known().any(|known| known == *name) {
            let error = Error::invalid(format!("no view that is asked for has a join key {name}"));
            return Err(match nearest(name, known()) {
                Some(near) => error.remedy(format!("did you mean {near}?")),
                None => error,
            });
        }
    }
    Ok(())
}
