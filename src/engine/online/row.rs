//! One entity's answer, read feature by feature or all at once.

use super::super::entities::{EntityField, EntityRow};
use super::super::get::FeatureValue;
use super::super::winner::Winner;
use super::prepared::Field;
use super::{Answer, OnlineHandle};
use crate::join::pick::Status;
use crate::latest::SlotCopy;
use crate::time::Timestamp;
use crate::value::{DataType, Value};

/// One entity's answer, borrowed from the handle that gave it.
#[derive(Clone, Copy, Debug)]
pub struct OnlineRow<'a> {
    pub(super) handle: &'a OnlineHandle,
    pub(super) now: i64,
    /// The words of the one slot that all features come out of; empty where they do not, or are not in force.
    pub(super) slot: &'a [[u8; 8]],
}

impl<'a> OnlineRow<'a> {
    /// How many features there are.
    pub fn len(&self) -> usize {
        self.handle.prepared.fields.len()
    }

    /// Whether no feature was asked for.
    pub fn is_empty(&self) -> bool {
        self.handle.prepared.fields.is_empty()
    }

    #[inline]
    fn field(&self, index: usize) -> (&'a Field, &'a Winner, &'a SlotCopy, i64) {
        let field = &self.handle.prepared.fields[index];
        let Answer { copy, winner, .. } = &self.handle.answers[field.selection];
        (field, winner, copy, self.handle.prepared.selections[field.selection].ttl_us)
    }

    /// The value of a field that takes eight bytes, where its status is PRESENT.
    #[inline(always)]
    fn word(&self, field: &Field) -> Option<[u8; 8]> {
        match field.word {
            Some(word) if !self.slot.is_empty() => word.value(self.slot.as_flattened()),
            _ => self.word_of_any(field),
        }
    }

    #[inline(never)]
    fn word_of_any(self, field: &Field) -> Option<[u8; 8]> {
        let Answer { copy, winner, .. } = &self.handle.answers[field.selection];
        match (winner, field.word) {
            (Winner::Slot { is_in_force: true }, Some(word)) => word.value(copy.slot_bytes()),
            (Winner::Slot { .. }, _) => None,
            (Winner::Nothing | Winner::Found(_), _) => self.word_of_found(field),
        }
    }

    #[cold]
    fn word_of_found(self, field: &Field) -> Option<[u8; 8]> {
        let Answer { copy, winner, .. } = &self.handle.answers[field.selection];
        let ttl_us = self.handle.prepared.selections[field.selection].ttl_us;
        if winner.status(copy, field.ordinal, self.now, ttl_us).0 != Status::Present {
            return None;
        }
        winner.field_bytes(copy, field.ordinal)?.try_into().ok()
    }

    /// Whether a feature's answer came out of the latest table, rather than out of log and runs.
    ///
    /// # Panics
    /// There are not so many features.
    pub fn is_from_latest_table(&self, index: usize) -> bool {
        matches!(self.field(index).1, Winner::Slot { .. })
    }

    /// What became of a feature, and when its row was true unless the status is NOT_FOUND.
    ///
    /// # Panics
    /// There are not so many features.
    #[inline]
    pub fn status(&self, index: usize) -> (Status, Option<Timestamp>) {
        let (field, winner, copy, ttl_us) = self.field(index);
        winner.status(copy, field.ordinal, self.now, ttl_us)
    }

    /// A feature's value; null unless its status is PRESENT.
    ///
    /// # Panics
    /// There are not so many features.
    pub fn value(&self, index: usize) -> Value {
        let (field, winner, copy, ttl_us) = self.field(index);
        match winner.status(copy, field.ordinal, self.now, ttl_us).0 {
            Status::Present => winner.value(copy, field.ordinal),
            _ => Value::Null,
        }
    }

    /// A float64 feature's value; `None` unless it is one and its status is PRESENT.
    ///
    /// # Panics
    /// There are not so many features.
    #[inline(always)]
    pub fn f64(&self, index: usize) -> Option<f64> {
        let field = &self.handle.prepared.fields[index];
        let word = if matches!(field.dtype, DataType::Float64) { self.word(field) } else { None };
        word.map(f64::from_le_bytes)
    }

    /// All features at once, where each is a float64 whose status is PRESENT: a model's input. `false` where one is
    /// not; what `out` holds then says nothing, and [`OnlineRow::f64`] and [`OnlineRow::status`] tell them apart.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # use asof::{ApplyOptions, Features, Store, time::Timestamp};
    /// # let store = Store::temporary()?;
    /// # let view = FeatureView::new("ride").entity("driver").ttl(std::time::Duration::from_micros(10));
    /// # let view = view.feature("rate", DataType::Float64).feature("trips", DataType::Float64);
    /// # let definitions = Definitions::new("rides").entity("driver", [("id", DataType::Int64)]).view(view);
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// # let batch = RecordBatch::try_from_iter([
    /// #     ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
    /// #     ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![0, 0]))),
    /// #     ("rate", Arc::new(Float64Array::from(vec![0.5, 0.25]))),
    /// #     ("trips", Arc::new(Float64Array::from(vec![Some(7.0), None]))),
    /// # ])?;
    /// # store.write("ride", &batch)?;
    /// let mut online = store.online(&Features::list(["ride:rate", "ride:trips"])?)?;
    /// let (one, two) = (online.key(&[("id", 1_i64.into())])?, online.key(&[("id", 2_i64.into())])?);
    /// let mut input = [0.0; 2];
    /// assert!(online.get(&one, Timestamp(10))?.read_f64(&mut input));
    /// assert_eq!(input, [0.5, 7.0]);
    /// assert!(!online.get(&two, Timestamp(10))?.read_f64(&mut input), "one of them is null");
    /// assert!(!online.get(&one, Timestamp(11))?.read_f64(&mut input), "older than the view's TTL");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// `out` is not as long as there are features.
    #[inline(always)]
    pub fn read_f64(&self, out: &mut [f64]) -> bool {
        self.handle.prepared.f64s.as_ref().is_some_and(|run| run.read(self.slot, out)) || self.read_each_f64(out)
    }

    #[inline(never)]
    fn read_each_f64(self, out: &mut [f64]) -> bool {
        assert_eq!(out.len(), self.len(), "room for every feature");
        out.iter_mut().enumerate().all(|(index, out)| self.f64(index).map(|value| *out = value).is_some())
    }

    /// An int64 feature's value; `None` unless it is one and its status is PRESENT.
    ///
    /// # Panics
    /// There are not so many features.
    #[inline(always)]
    pub fn i64(&self, index: usize) -> Option<i64> {
        let field = &self.handle.prepared.fields[index];
        let word = if matches!(field.dtype, DataType::Int64) { self.word(field) } else { None };
        word.map(i64::from_le_bytes)
    }

    /// A string feature's value, not copied; `None` unless it is one and its status is PRESENT.
    ///
    /// # Panics
    /// There are not so many features.
    pub fn str(&self, index: usize) -> Option<&str> {
        let (field, winner, copy, ttl_us) = self.field(index);
        if field.dtype != DataType::String || winner.status(copy, field.ordinal, self.now, ttl_us).0 != Status::Present
        {
            return None;
        }
        std::str::from_utf8(winner.field_bytes(copy, field.ordinal)?).ok()
    }

    /// A feature's type.
    ///
    /// # Panics
    /// There are not so many features.
    pub fn dtype(&self, index: usize) -> &'a DataType {
        &self.handle.prepared.fields[index].dtype
    }

    /// From when on the row is gone that features are of which were asked for by one view, microseconds since 1970; `None`: it stays,
    /// or there is none.
    pub fn deadline(&self) -> Option<i64> {
        match self.handle.answers.first().map(|answer| &answer.winner) {
            Some(Winner::Found(found)) => found.row().head.deadline,
            // Rows with deadlines are not answered out of a table.
            Some(Winner::Nothing | Winner::Slot { .. }) | None => None,
        }
    }

    /// From when on a feature is gone, as [`OnlineRow::deadline`].
    ///
    /// # Panics
    /// There are not so many features.
    pub fn field_deadline(&self, index: usize) -> Option<i64> {
        let (field, winner, ..) = self.field(index);
        match winner {
            Winner::Found(found) => found.row().field_deadline(field.ordinal),
            Winner::Nothing | Winner::Slot { .. } => None,
        }
    }

    /// When the row was true of which a feature has a value or is null.
    pub fn event_time(&self) -> Option<Timestamp> {
        let statuses = (0..self.len()).map(|feature| self.status(feature));
        statuses.filter(|(status, _)| matches!(status, Status::Present | Status::NullValue)).find_map(|(_, at)| at)
    }

    /// The answer of a handle of one view as a row; `None`: nothing of it is there.
    pub fn to_entity_row(&self) -> Option<EntityRow> {
        let event_ts = self.event_time()?.micros();
        let fields = (0..self.len()).map(|feature| {
            let value = match self.status(feature).0 {
                Status::Present => Some(self.value(feature)),
                Status::NullValue => Some(Value::Null),
                Status::NotFound | Status::OutsideMaxAge => None,
            };
            EntityField { deadline: self.field_deadline(feature).filter(|_| value.is_some()), value }
        });
        Some(EntityRow { event_ts, deadline: self.deadline(), fields: fields.collect() })
    }

    /// All of it: value, status, event time of each feature.
    pub fn to_vec(&self) -> Vec<FeatureValue> {
        let fields = self.handle.prepared.fields.iter().enumerate();
        let values = fields.map(|(index, field)| {
            let (status, event_ts) = self.status(index);
            FeatureValue {
                view: self.handle.prepared.selections[field.selection].resolved.label.clone(),
                feature: field.name.clone(),
                dtype: field.dtype.clone(),
                value: self.value(index),
                status,
                event_ts,
            }
        });
        values.collect()
    }
}
