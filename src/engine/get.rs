//! One entity, as of any moment: value, status and event time of each feature.

use std::sync::Arc;

use super::as_of::{FoundRow, find_row};
use super::online::EntityKey;
use super::reads::{Reads, Sight};
use super::resolve::{Resolved, all_at_once, resolve};
use crate::error::{Error, Result, nearest};
use crate::join::pick::{AsOf, FieldView, Status, verdict};
use crate::key::{KEY_BYTES_MAX, KeySchema, as_component, key_hash};
use crate::request::{Features, KnownAt};
use crate::time::Timestamp;
use crate::value::{DataType, Value};

/// One feature's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureValue {
    /// The view as it was asked for: its name, with the version where one was written, or its alias in a service.
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

/// An entity as callers name it: each join key and its value.
pub type Entity<'a> = Vec<(&'a str, Value)>;

/// The answers for several entities, all of one state of knowledge.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// As of this instant.
    pub at: Timestamp,
    /// Of the rows up to this number.
    pub seq: u64,
    /// For each entity, the features in the order that they were asked for.
    pub rows: Vec<Vec<FeatureValue>>,
}

/// As of when, and known by when, to read entities.
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
        self: &Arc<Self>,
        features: &Features,
        entity: &[(&str, Value)],
        options: &GetOptions,
        now: Timestamp,
    ) -> Result<Vec<FeatureValue>> {
        if options.at.is_none() && options.known_at.is_none() {
            let mut online = self.online(features)?;
            let key = online.key(entity)?;
            return Ok(online.get(&key, now)?.to_vec());
        }
        let mut answers = self.get_as_of(features, &[entity], options, now, usize::MAX)?;
        Ok(answers.rows.swap_remove(0))
    }

    /// The features of several entities, all of one state of knowledge.
    ///
    /// # Errors
    /// As [`Reads::get`].
    pub fn get_many(
        self: &Arc<Self>,
        features: &Features,
        entities: &[Entity<'_>],
        options: &GetOptions,
        now: Timestamp,
    ) -> Result<Answers> {
        if options.at.is_none() && options.known_at.is_none() {
            let mut online = self.online(features)?;
            let keys: Vec<EntityKey> = entities.iter().map(|entity| online.key(entity)).collect::<Result<_>>()?;
            let mut rows = Vec::with_capacity(keys.len());
            let seq = online.get_batch(&keys, now, |_, row| rows.push(row.to_vec()))?;
            return Ok(Answers { at: now, seq, rows });
        }
        let entities: Vec<&[(&str, Value)]> = entities.iter().map(Vec::as_slice).collect();
        self.get_as_of(features, &entities, options, now, usize::MAX)
    }

    /// [`Reads::get_many`] of a moment that is not now, or of a state of knowledge, in values of so many bytes at most.
    ///
    /// # Errors
    /// As there; it has more.
    #[cfg(feature = "http")]
    pub(crate) fn get_many_within(
        self: &Arc<Self>,
        features: &Features,
        entities: &[Entity<'_>],
        options: &GetOptions,
        now: Timestamp,
        bytes_max: usize,
    ) -> Result<Answers> {
        let entities: Vec<&[(&str, Value)]> = entities.iter().map(Vec::as_slice).collect();
        self.get_as_of(features, &entities, options, now, bytes_max)
    }

    fn get_as_of(
        self: &Arc<Self>,
        features: &Features,
        entities: &[&[(&str, Value)]],
        options: &GetOptions,
        now: Timestamp,
        bytes_max: usize,
    ) -> Result<Answers> {
        let known_at = match &options.known_at {
            Some(known_at) => Some(self.resolve_known_at(known_at, now)?),
            None => None,
        };
        let at = options.at.unwrap_or(now);
        self.with_sight(|sight| {
            let definitions_at = if options.definitions_current { None } else { known_at };
            let selections = resolve(features, &sight.picture.state.definitions_at(definitions_at))?;
            let question = AsOf { known_at: known_at.unwrap_or(sight.seq).min(sight.seq), ..AsOf::new(at.0) };
            let (mut rows, mut bytes) = (Vec::with_capacity(entities.len()), 0);
            for entity in entities {
                let row = answer(sight, self.hash_seed(), &selections, entity, question)?;
                bytes += row.iter().map(|feature| feature.value.bytes()).sum::<usize>();
                if bytes > bytes_max {
                    return Err(Error::invalid(format!("the answer has more than {bytes_max} bytes"))
                        .remedy("ask for fewer entities at a time, or for a point-in-time join"));
                }
                rows.push(row);
            }
            Ok(Answers { at, seq: question.known_at, rows })
        })
    }
}

/// One entity's features as of the moment asked for.
fn answer(
    sight: &Sight,
    hash_seed: u64,
    selections: &[Resolved],
    entity: &[(&str, Value)],
    question: AsOf,
) -> Result<Vec<FeatureValue>> {
    check_keys(entity, selections.iter())?;
    let picture = &sight.picture;
    let mut answers = Vec::new();
    let mut key = Vec::new();
    for selected in selections {
        let view = picture.view(selected.view.id);
        let found = match encode_entity(&view.key_schema, entity, selected, &mut key)? {
            Some(key) => find_row(view, &picture.tail, key_hash(hash_seed, key), key, question)?,
            None => None,
        };
        for field in &selected.fields {
            let about = found.as_ref().map(|found| FieldView::of_row(&found.row(), field.ordinal));
            let status = verdict(about, question.at, selected.view.definition.ttl_us);
            let row = found.as_ref().filter(|_| status != Status::NotFound).map(FoundRow::row);
            let value = row.filter(|_| status == Status::Present).map(|row| row.value(&view.layout, field.ordinal));
            answers.push(FeatureValue {
                view: selected.label.clone(),
                feature: field.name.clone(),
                dtype: field.dtype.clone(),
                value: value.unwrap_or(Value::Null),
                status,
                event_ts: row.map(|row| Timestamp(row.head.event_ts)),
            });
        }
    }
    Ok(answers)
}

/// Encodes a view's entity key into `out`, each join key out of the caller's column for it; `None` where no stored key can be
/// equal, as in a spine. Where a service joins a view through another column than the view's own, that one alone counts: the
/// view's own may be another entity's.
pub(super) fn encode_entity<'o>(
    schema: &KeySchema,
    entity: &[(&str, Value)],
    selected: &Resolved,
    out: &'o mut Vec<u8>,
) -> Result<Option<&'o [u8]>> {
    let given =
        |name: &str| entity.iter().find(|(key, _)| *key == name).map_or(Value::Null, |(_, value)| value.clone());
    let mut values = Vec::with_capacity(selected.key_columns.len());
    let mut may_be_stored = true;
    for (column, (_, dtype)) in selected.key_columns.iter().zip(schema.columns()) {
        // Each is given: [`check_keys`] saw to it.
        values.push(as_component(given(column), dtype).unwrap_or_else(|| {
            may_be_stored = false;
            // In its place, so that the others are judged.
            if *dtype == DataType::Uuid { Value::Uuid([0; 16]) } else { Value::Int32(0) }
        }));
    }
    out.clear();
    schema.push(&values, out)?;
    Ok((may_be_stored && out.len() <= KEY_BYTES_MAX).then_some(out))
}

/// Refuses keys that no selected view is joined through, and keys that are left out: all of them at once.
pub(super) fn check_keys<'a>(
    entity: &[(&str, Value)],
    selections: impl Iterator<Item = &'a Resolved> + Clone,
) -> Result<()> {
    let columns =
        || selections.clone().flat_map(|selected| selected.key_columns.iter().map(move |key| (selected, key)));
    let known = || columns().map(|(_, column)| column.as_str());
    let unknown = entity.iter().map(|(name, _)| *name).filter(|name| !known().any(|known| known == *name));
    let unknown = unknown.map(|name| {
        let error = Error::invalid(format!("no view that is asked for has a join key {name}"));
        match nearest(name, known()) {
            Some(near) => error.remedy(format!("did you mean {near}?")),
            None => {
                let mut names: Vec<&str> = known().collect();
                names.sort_unstable();
                names.dedup();
                error.remedy(if names.is_empty() {
                    "there is none: give none".to_owned()
                } else {
                    format!("there is {}", names.join(", "))
                })
            }
        }
    });
    let missing = columns().filter(|(_, column)| entity.iter().all(|(name, _)| name != column));
    let missing = missing.map(|(selected, column)| {
        Error::invalid(format!("{} needs the join key {column}", selected.label))
            .remedy(format!("give it as {column}=VALUE"))
    });
    all_at_once(unknown.chain(missing).collect())
}
