//! Prepared online reads: names resolved once, then a hash, a probe and a checked copy for each key.

use std::sync::Arc;

use super::as_of::find_row;
use super::get::{FeatureValue, check_keys, entity_values};
use super::picture::{Picture, table_shape};
use super::reads::{Reads, Sight};
use super::resolve::{Resolved, resolve};
use super::winner::{Winner, is_current, judge};
use crate::error::{Error, Result};
use crate::format::row::RowLayout;
use crate::join::pick::{AsOf, Status};
use crate::key::key_hash;
use crate::latest::{LOOKUPS_MAX, Lookup, Need, SlotCopy, SlotLayout, TableReader};
use crate::request::Features;
use crate::time::Timestamp;
use crate::value::{DataType, Value};

/// Features that were resolved once, to be read for many keys. Clone one for each thread: a handle holds
/// the memory that its answers are copied into.
#[derive(Debug)]
pub struct OnlineHandle {
    reads: Arc<Reads>,
    features: Features,
    prepared: Arc<Prepared>,
    /// Of view `v` and key `i` of a batch: `v * LOOKUPS_MAX + i`. One key alone is key 0.
    copies: Vec<SlotCopy>,
    winners: Vec<Winner>,
    /// A table has been replaced, or was and is there now.
    is_stale: bool,
}

/// What a request came to at one state of the definitions.
#[derive(Debug)]
struct Prepared {
    picture: Arc<Picture>,
    generation: u64,
    selections: Vec<Selection>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Selection {
    resolved: Resolved,
    need: Need,
    ttl_us: i64,
}

#[derive(Debug)]
struct Field {
    selection: usize,
    ordinal: usize,
    name: String,
    dtype: DataType,
}

/// An entity's keys, encoded and hashed for the views of one handle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityKey {
    bytes: Vec<u8>,
    /// By view: hash, end of its key in `bytes`.
    parts: Vec<(u64, usize)>,
}

impl EntityKey {
    #[inline]
    fn part(&self, index: usize) -> (u64, &[u8]) {
        let (hash, end) = self.parts[index];
        let start = if index == 0 { 0 } else { self.parts[index - 1].1 };
        (hash, &self.bytes[start..end])
    }
}

/// One entity's answer, borrowed from the handle that gave it.
#[derive(Clone, Copy, Debug)]
pub struct OnlineRow<'a> {
    prepared: &'a Prepared,
    copies: &'a [SlotCopy],
    winners: &'a [Winner],
    now: i64,
}

impl Selection {
    /// The table to ask, when it has every row.
    #[inline]
    fn table<'a>(&self, picture: &'a Picture) -> Option<&'a TableReader> {
        picture.view(self.resolved.view.id).table.as_ref().filter(|table| is_current(table))
    }
}

impl Reads {
    /// Resolves features for reading them now, many times.
    ///
    /// # Errors
    /// Views, features, services that are not there.
    pub fn online(self: &Arc<Self>, features: &Features) -> Result<OnlineHandle> {
        let prepared = Prepared::new(self, features)?;
        // What was asked for then stays what is answered, whatever becomes of a service or a newer version.
        let features =
            Features::List(prepared.selections.iter().map(|selection| selection.resolved.pinned()).collect());
        let (copies, winners) = prepared.room(self);
        let (reads, prepared) = (Arc::clone(self), Arc::new(prepared));
        Ok(OnlineHandle { reads, features, prepared, copies, winners, is_stale: false })
    }
}

impl Prepared {
    fn new(reads: &Reads, features: &Features) -> Result<Prepared> {
        let Sight { picture, .. } = reads.sight()?;
        let resolved = resolve(features, &picture.state.definitions_at(None))?;
        let mut fields = Vec::new();
        let mut selections = Vec::with_capacity(resolved.len());
        for (selection, resolved) in resolved.into_iter().enumerate() {
            let is_variable = resolved.fields.iter().any(|field| field.dtype.is_variable());
            fields.extend(resolved.fields.iter().map(|field| Field {
                selection,
                ordinal: field.ordinal,
                name: field.name.clone(),
                dtype: field.dtype.clone(),
            }));
            let need = if is_variable { Need::SlotAndHeap } else { Need::Slot };
            selections.push(Selection { ttl_us: resolved.view.definition.ttl_us, need, resolved });
        }
        let generation = picture.state.generation();
        Ok(Prepared { picture, generation, selections, fields })
    }

    /// Memory for the answers to a batch of keys.
    fn room(&self, reads: &Reads) -> (Vec<SlotCopy>, Vec<Winner>) {
        let (mut copies, mut winners) = (Vec::new(), Vec::new());
        for selection in &self.selections {
            let view = self.picture.view(selection.resolved.view.id);
            let copy = SlotCopy::new(Arc::new(SlotLayout::new(table_shape(view, &reads.identity))));
            copies.extend(std::iter::repeat_n(copy, LOOKUPS_MAX));
            winners.extend((0..LOOKUPS_MAX).map(|_| Winner::Nothing));
        }
        (copies, winners)
    }
}

impl Clone for OnlineHandle {
    fn clone(&self) -> Self {
        let (copies, winners) = self.prepared.room(&self.reads);
        let (reads, prepared) = (Arc::clone(&self.reads), Arc::clone(&self.prepared));
        OnlineHandle { reads, features: self.features.clone(), prepared, copies, winners, is_stale: self.is_stale }
    }
}

impl OnlineHandle {
    /// The features that an answer holds, in order: view (or its alias), feature, type.
    pub fn features(&self) -> impl ExactSizeIterator<Item = (&str, &str, &DataType)> {
        self.prepared.fields.iter().map(|field| {
            let label = self.prepared.selections[field.selection].resolved.label.as_str();
            (label, field.name.as_str(), &field.dtype)
        })
    }

    /// Encodes an entity's join keys, for this handle and its clones.
    ///
    /// # Errors
    /// A join key is missing, null, unknown or of another type.
    pub fn key(&self, entity: &[(&str, Value)]) -> Result<EntityKey> {
        let mut key = EntityKey::default();
        let selected = self.prepared.selections.iter().map(|selection| &selection.resolved);
        check_keys(entity, selected.clone())?;
        for resolved in selected {
            let view = self.prepared.picture.view(resolved.view.id);
            let start = key.bytes.len();
            view.key_schema.encode(&entity_values(entity, resolved, &view.key_schema)?, &mut key.bytes)?;
            key.parts.push((key_hash(self.reads.hash_seed(), &key.bytes[start..]), key.bytes.len()));
        }
        Ok(key)
    }

    /// The features of one entity at `now`: of the rows committed when the call began, over all views alike.
    ///
    /// # Errors
    /// The key is one of other views; a feature was dropped since; a run that had to be read is damaged.
    #[inline]
    pub fn get(&mut self, key: &EntityKey, now: Timestamp) -> Result<OnlineRow<'_>> {
        let seq = self.begin()?;
        self.check_key(key)?;
        for index in 0..self.prepared.selections.len() {
            let (hash, bytes) = key.part(index);
            let selection = &self.prepared.selections[index];
            let at = index * LOOKUPS_MAX;
            let mut winner = None;
            if let Some(table) = selection.table(&self.prepared.picture) {
                let copy = &mut self.copies[at];
                winner = judge(table.lookup(hash, bytes, selection.need, copy), copy, seq, now.0);
            }
            self.winners[at] = match winner {
                Some(winner) => winner,
                None => self.ask_history(index, (hash, bytes), (seq, now.0))?,
            };
        }
        Ok(self.row(0, now))
    }

    /// As [`OnlineHandle::get`] for many entities, of the rows committed when the call began: `visit` is given each
    /// key's position and answer, in order. Memory is fetched ahead for 32 keys at a time.
    ///
    /// # Errors
    /// As [`OnlineHandle::get`]; keys that were visited before stay visited.
    pub fn get_batch(
        &mut self,
        keys: &[EntityKey],
        now: Timestamp,
        mut visit: impl FnMut(usize, &OnlineRow<'_>),
    ) -> Result<()> {
        let seq = self.begin()?;
        for (chunk, keys) in keys.chunks(LOOKUPS_MAX).enumerate() {
            keys.iter().try_for_each(|key| self.check_key(key))?;
            for index in 0..self.prepared.selections.len() {
                self.look_up(index, keys, (seq, now.0))?;
            }
            for i in 0..keys.len() {
                visit(chunk * LOOKUPS_MAX + i, &self.row(i, now));
            }
        }
        Ok(())
    }

    /// The winners of one view for up to [`LOOKUPS_MAX`] keys.
    fn look_up(&mut self, index: usize, keys: &[EntityKey], (seq, now): (u64, i64)) -> Result<()> {
        let mut found = [Lookup::Busy; LOOKUPS_MAX];
        let from = index * LOOKUPS_MAX;
        let selection = &self.prepared.selections[index];
        if let Some(table) = selection.table(&self.prepared.picture) {
            let copies = &mut self.copies[from..from + keys.len()];
            table.lookup_many(|i| keys[i].part(index), selection.need, copies, &mut found[..keys.len()]);
        }
        for (i, key) in keys.iter().enumerate() {
            self.winners[from + i] = match judge(found[i], &self.copies[from + i], seq, now) {
                Some(winner) => winner,
                None => self.ask_history(index, key.part(index), (seq, now))?,
            };
        }
        Ok(())
    }

    /// A request's first step: the seq it sees, and definitions and files at least as new.
    #[inline]
    fn begin(&mut self) -> Result<u64> {
        let seq = self.reads.committed_seq()?;
        if self.is_stale || self.reads.generation() != self.prepared.generation {
            self.prepare_again()?;
        }
        Ok(seq)
    }

    #[inline]
    fn check_key(&self, key: &EntityKey) -> Result<()> {
        if key.parts.len() == self.prepared.selections.len() {
            return Ok(());
        }
        Err(Error::invalid("the entity key was made for other features").remedy("make it with this handle's key()"))
    }

    #[cold]
    fn prepare_again(&mut self) -> Result<()> {
        let prepared = Prepared::new(&self.reads, &self.features)?;
        (self.copies, self.winners) = prepared.room(&self.reads);
        self.prepared = Arc::new(prepared);
        self.is_stale = false;
        Ok(())
    }

    #[cold]
    fn ask_history(&mut self, index: usize, (hash, key): (u64, &[u8]), (seq, now): (u64, i64)) -> Result<Winner> {
        let question = AsOf { known_at: seq, ..AsOf::new(now) };
        let view_id = self.prepared.selections[index].resolved.view.id;
        let (picture, found) = self.reads.with_sight(|sight| {
            let view = sight.picture.view(view_id);
            let found = find_row(view, &sight.picture.tail, hash, key, question)?;
            Ok((Arc::clone(&sight.picture), found))
        })?;
        // Its table may be another by now: answers of this call lie in what was prepared for the one before.
        self.is_stale |= !Arc::ptr_eq(&picture, &self.prepared.picture);
        Ok(found.map_or(Winner::Nothing, Winner::Found))
    }

    fn row(&self, i: usize, now: Timestamp) -> OnlineRow<'_> {
        OnlineRow { prepared: &self.prepared, copies: &self.copies[i..], winners: &self.winners[i..], now: now.0 }
    }
}

impl<'a> OnlineRow<'a> {
    /// How many features there are.
    pub fn len(&self) -> usize {
        self.prepared.fields.len()
    }

    /// Whether no feature was asked for.
    pub fn is_empty(&self) -> bool {
        self.prepared.fields.is_empty()
    }

    #[inline]
    fn field(&self, index: usize) -> (&'a Field, &'a Winner, &'a SlotCopy, i64) {
        let field = &self.prepared.fields[index];
        let at = field.selection * LOOKUPS_MAX;
        (field, &self.winners[at], &self.copies[at], self.prepared.selections[field.selection].ttl_us)
    }

    /// Whether a feature's answer came out of the latest table, rather than out of log and runs.
    ///
    /// # Panics
    /// There are not so many features.
    pub fn is_from_latest_table(&self, index: usize) -> bool {
        matches!(self.field(index).1, Winner::Slot)
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
            Status::Present => winner.value(copy, self.layout(field), field.ordinal),
            _ => Value::Null,
        }
    }

    /// A float64 feature's value; `None` unless it is one and its status is PRESENT.
    ///
    /// # Panics
    /// There are not so many features.
    #[inline]
    pub fn f64(&self, index: usize) -> Option<f64> {
        let (field, winner, copy, ttl_us) = self.field(index);
        if field.dtype != DataType::Float64 || winner.status(copy, field.ordinal, self.now, ttl_us).0 != Status::Present
        {
            return None;
        }
        let bytes = winner.field_bytes(copy, self.layout(field), field.ordinal)?;
        bytes.try_into().ok().map(f64::from_le_bytes)
    }

    /// An int64 feature's value; `None` unless it is one and its status is PRESENT.
    ///
    /// # Panics
    /// There are not so many features.
    #[inline]
    pub fn i64(&self, index: usize) -> Option<i64> {
        let (field, winner, copy, ttl_us) = self.field(index);
        if field.dtype != DataType::Int64 || winner.status(copy, field.ordinal, self.now, ttl_us).0 != Status::Present {
            return None;
        }
        let bytes = winner.field_bytes(copy, self.layout(field), field.ordinal)?;
        bytes.try_into().ok().map(i64::from_le_bytes)
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
        std::str::from_utf8(winner.field_bytes(copy, self.layout(field), field.ordinal)?).ok()
    }

    /// All of it: value, status, event time of each feature.
    pub fn to_vec(&self) -> Vec<FeatureValue> {
        let fields = self.prepared.fields.iter().enumerate();
        let values = fields.map(|(index, field)| {
            let (status, event_ts) = self.status(index);
            FeatureValue {
                view: self.prepared.selections[field.selection].resolved.label.clone(),
                feature: field.name.clone(),
                dtype: field.dtype.clone(),
                value: self.value(index),
                status,
                event_ts,
            }
        });
        values.collect()
    }

    #[inline]
    fn layout(&self, field: &Field) -> &'a RowLayout {
        &self.prepared.picture.view(self.prepared.selections[field.selection].resolved.view.id).layout
    }
}
