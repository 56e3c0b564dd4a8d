//! Prepared online reads: names resolved once, then a hash, a probe and a checked copy for each key.

mod row;

use std::sync::Arc;

pub use row::OnlineRow;

use super::as_of::find_row;
use super::get::{check_keys, entity_values};
use super::picture::{Picture, ViewPicture, table_shape};
use super::reads::{Reads, Sight};
use super::resolve::{Resolved, resolve};
use super::winner::{Winner, is_current, judge};
use crate::error::{Error, Result};
use crate::join::pick::AsOf;
use crate::key::key_hash;
use crate::latest::{LOOKUPS_MAX, Lookup, Need, SlotCopy, SlotLayout, TableReader, WordField, WordRun};
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
    /// All fields, where they are float64 that stand side by side in one slot.
    f64s: Option<WordRun>,
}

#[derive(Debug)]
struct Selection {
    resolved: Resolved,
    view: Arc<ViewPicture>,
    need: Need,
    ttl_us: i64,
}

#[derive(Debug)]
struct Field {
    /// Where it lies in a slot, when it takes eight bytes.
    word: Option<WordField>,
    dtype: DataType,
    selection: usize,
    /// Where winner and copy of the selection lie, for key 0.
    at: usize,
    ordinal: usize,
    name: String,
}

/// An entity's keys, encoded and hashed for the views of one handle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityKey {
    bytes: Vec<u8>,
    /// Of the first view, which mostly is the only one: hash, end of its key in `bytes`.
    first: (u64, usize),
    /// The same of the others.
    others: Vec<(u64, usize)>,
    /// How many views.
    parts: usize,
}

impl EntityKey {
    #[inline]
    fn part(&self, index: usize) -> (u64, &[u8]) {
        if index == 0 {
            return (self.first.0, &self.bytes[..self.first.1]);
        }
        let (hash, end) = self.others[index - 1];
        let start = if index == 1 { self.first.1 } else { self.others[index - 2].1 };
        (hash, &self.bytes[start..end])
    }

    fn push(&mut self, hash: u64) {
        let part = (hash, self.bytes.len());
        if self.parts == 0 {
            self.first = part;
        } else {
            self.others.push(part);
        }
        self.parts += 1;
    }
}

impl Selection {
    /// The table to ask, when it has every row.
    #[inline]
    fn table(&self) -> Option<&TableReader> {
        self.view.table.as_ref().filter(|table| is_current(table))
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
        let mut f64s = None;
        for (selection, resolved) in resolved.into_iter().enumerate() {
            let view = Arc::clone(picture.view(resolved.view.id));
            let layout = SlotLayout::new(table_shape(&view, &reads.identity));
            let is_variable = resolved.fields.iter().any(|field| field.dtype.is_variable());
            fields.extend(resolved.fields.iter().map(|field| Field {
                selection,
                at: selection * LOOKUPS_MAX,
                ordinal: field.ordinal,
                word: layout.word_field(field.ordinal),
                name: field.name.clone(),
                dtype: field.dtype.clone(),
            }));
            if resolved.fields.iter().all(|field| field.dtype == DataType::Float64) {
                f64s = layout.word_run(resolved.fields.iter().map(|field| field.ordinal));
            }
            let need = if is_variable { Need::SlotAndHeap } else { Need::Slot };
            selections.push(Selection { ttl_us: resolved.view.definition.ttl_us, view, need, resolved });
        }
        let generation = picture.state.generation();
        let f64s = f64s.filter(|_| selections.len() == 1);
        Ok(Prepared { picture, generation, selections, fields, f64s })
    }

    /// Memory for the answers to a batch of keys.
    fn room(&self, reads: &Reads) -> (Vec<SlotCopy>, Vec<Winner>) {
        let (mut copies, mut winners) = (Vec::new(), Vec::new());
        for selection in &self.selections {
            let layout = SlotLayout::new(table_shape(&selection.view, &reads.identity));
            let copy = SlotCopy::new(Arc::new(layout));
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
        let selections = &self.prepared.selections;
        check_keys(entity, selections.iter().map(|selection| &selection.resolved))?;
        for Selection { resolved, view, .. } in selections {
            let start = key.bytes.len();
            view.key_schema.encode(&entity_values(entity, resolved, &view.key_schema)?, &mut key.bytes)?;
            key.push(key_hash(self.reads.hash_seed(), &key.bytes[start..]));
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
            if let Some(table) = selection.table() {
                let copy = &mut self.copies[at];
                winner = judge(table.lookup(hash, bytes, selection.need, copy), copy, (seq, now.0), selection.ttl_us);
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
        if let Some(table) = selection.table() {
            let copies = &mut self.copies[from..from + keys.len()];
            table.lookup_many(|i| keys[i].part(index), selection.need, copies, &mut found[..keys.len()]);
        }
        let ttl_us = selection.ttl_us;
        for (i, key) in keys.iter().enumerate() {
            self.winners[from + i] = match judge(found[i], &self.copies[from + i], (seq, now), ttl_us) {
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
        if key.parts == self.prepared.selections.len() {
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
        Ok(found.map_or(Winner::Nothing, |found| Winner::Found(Box::new(found))))
    }

    #[inline]
    fn row(&self, i: usize, now: Timestamp) -> OnlineRow<'_> {
        let (copies, winners) = (&self.copies[i..], &self.winners[i..]);
        let slot: &[u8] = match (winners.first(), copies.first()) {
            (Some(Winner::Slot { is_in_force: true }), Some(copy)) if self.prepared.selections.len() == 1 => {
                copy.slot_bytes()
            }
            _ => &[],
        };
        OnlineRow { prepared: &self.prepared, copies, winners, now: now.0, slot }
    }
}
