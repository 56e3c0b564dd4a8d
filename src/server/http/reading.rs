//! What a request's names stand for, and its answers, read now or as of another moment.

use super::answer::aside;
use super::ask::Ask;
use super::entities::{check_bytes, check_values, is_much};
use super::guard;
use super::metrics::ServedColumns;
use super::names::Asked;
use super::options::HttpOptions;
use super::problem::Problem;
use super::shared::Shared;
use crate::engine::get::{Entity, FeatureValue, GetOptions};
use crate::engine::online::{EntityKey, OnlineHandle, OnlineRow};
use crate::error::Result;
use crate::join::pick::Status;
use crate::server::auth::Grant;
use crate::store::Store;
use crate::time::Timestamp;
use crate::value::Value;

/// What became of a feature, and when its row was true.
pub(super) type Told = (Status, Option<Timestamp>);

/// One entity's answer, however it was read.
#[derive(Clone, Copy, Debug)]
pub(super) enum AnswerRow<'a> {
    /// Out of the latest values; what became of each feature is asked of them once.
    Now(&'a OnlineRow<'a>, &'a [Told]),
    /// As of the moment that was asked for.
    Then(&'a [FeatureValue]),
}

impl<'a> AnswerRow<'a> {
    /// One out of the latest values, of so many features, which is counted.
    pub(super) fn now(row: &'a OnlineRow<'a>, count: usize, told: &'a mut Vec<Told>, served: &ServedColumns) -> Self {
        told.clear();
        told.extend((0..count).map(|feature| row.status(feature)));
        served.count(told);
        AnswerRow::Now(row, told)
    }

    /// What became of a feature, and when its row was true.
    pub(super) fn status(&self, feature: usize) -> Told {
        match self {
            AnswerRow::Now(_, told) => told[feature],
            AnswerRow::Then(row) => (row[feature].status, row[feature].event_ts),
        }
    }

    /// A feature's value, null unless it is present.
    pub(super) fn value(&self, feature: usize) -> Value {
        match self {
            _ if self.status(feature).0 != Status::Present => Value::Null,
            AnswerRow::Now(row, _) => row.value(feature),
            AnswerRow::Then(row) => row[feature].value.clone(),
        }
    }
}

/// Where answers come from.
#[derive(Debug)]
enum Source<'a> {
    Now(&'a mut OnlineHandle, &'a ServedColumns),
    Then(&'a GetOptions),
}

/// Features that may be read.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub asked: &'a Asked,
    store: &'a Store,
    options: &'a HttpOptions,
    source: Source<'a>,
}

/// The state of knowledge that answers are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub at: Timestamp,
    pub seq: u64,
}

impl Reading<'_> {
    /// Reads the features of all these entities; `visit` is given each one's position and answer, in order, and gives how many bytes the
    /// answer has so far.
    ///
    /// # Errors
    /// Join keys that are missing or unknown; a damaged run; an answer that is too long.
    pub(super) fn each(
        self,
        entities: &[Entity<'_>],
        mut visit: impl FnMut(usize, AnswerRow<'_>) -> usize,
    ) -> Result<Moment> {
        let values = check_values(entities.len(), self.asked.columns.len())?;
        let within = self.options;
        aside(is_much(values), || match self.source {
            Source::Now(handle, served) => {
                let keys: Vec<EntityKey> = entities.iter().map(|entity| handle.key(entity)).collect::<Result<_>>()?;
                let now = self.store.now();
                let count = self.asked.columns.len();
                let (mut told, mut length) = (Vec::with_capacity(count), Ok(0));
                let seq = handle.get_batch(&keys, now, |at, row| {
                    if length.is_ok() {
                        length = check_bytes(visit(at, AnswerRow::now(row, count, &mut told, served)), within);
                    }
                })?;
                length.map(|_| Moment { at: now, seq })
            }
            Source::Then(options) => {
                let (features, bytes_max) = (&self.asked.features, within.held_bytes_max);
                let answers = self.store.get_many_within(features, entities, options, bytes_max)?;
                for (at, row) in answers.rows.iter().enumerate() {
                    check_bytes(visit(at, AnswerRow::Then(row)), within)?;
                }
                Ok(Moment { at: answers.at, seq: answers.seq })
            }
        })
    }
}

impl Shared {
    /// Finds what is asked for, and lets `read` read it if the key may.
    ///
    /// # Errors
    /// Features that are not there, or not for this key; those of `read`.
    pub(super) fn read<T>(
        &self,
        grant: &Grant,
        ask: &Ask,
        read: impl FnOnce(Reading<'_>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let store = &self.store;
        guard::check_ask(self, grant, ask)?;
        if ask.is_of_now() {
            let kind = (store.definitions_revision()?, &*ask.kind());
            let check = |resolved: &Asked| guard::check_resolved(grant, resolved);
            return self.pool.with(
                self,
                kind,
                || ask.features.clone(),
                check,
                |prepared| {
                    read(Reading {
                        asked: &prepared.asked,
                        store,
                        options: &self.options,
                        source: Source::Now(&mut prepared.handle, &prepared.served),
                    })
                },
            )?;
        }
        let asked = Asked::new(store.resolve(&ask.features, &ask.options)?);
        guard::check_resolved(grant, &asked)?;
        read(Reading { asked: &asked, store, options: &self.options, source: Source::Then(&ask.options) })
    }
}
