//! Prepared online reads: names resolved once, then a hash, a probe and a checked copy for each key.

mod key;
mod row;

use std::sync::Arc;

pub use key::EntityKey;
pub use row::OnlineRow;

use key::views_id;

use super::as_of::find_row;
use super::get::{check_keys, entity_values};
use super::picture::{Picture, ViewPicture, table_shape};
use super::reads::{Reads, Sight};
use super::resolve::{Resolved, resolve};
use super::winner::{Winner, judge};
use crate::error::{Error, Result};
use crate::join::pick::AsOf;
use crate::latest::{Begun, Cursor, Lookup, Need, SlotCopy, SlotLayout, WordField, WordRun};
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
    /// One for each view.
    answers: Vec<Answer>,
    /// Of a batch: the lookups of key `i` in view `v` are at `i % IN_FLIGHT * views + v`.
    begun: Vec<Begun>,
    /// A table has been replaced, or was and is there now.
    is_stale: bool,
}

/// Keys of a batch between the step of a lookup that one is at and the next step. Enough to hide a wait for memory
/// behind the work of other keys, and not more reads than a processor has under way at once.
const STEP_KEYS: usize = 14;
/// Keys of a batch whose lookups have begun. A power of two.
const IN_FLIGHT: usize = 32;
const _: () = assert!(IN_FLIGHT > 2 * STEP_KEYS && IN_FLIGHT.is_power_of_two());

/// What one view answers for the key at hand.
#[derive(Debug)]
struct Answer {
    /// Of the view's latest table, if it has one.
    cursor: Option<Cursor>,
    ttl_us: i64,
    /// Whether the table may be asked, during a batch.
    is_current: bool,
    winner: Winner,
    copy: SlotCopy,
}

/// What a request came to at one state of the definitions.
#[derive(Debug)]
struct Prepared {
    picture: Arc<Picture>,
    generation: u64,
    /// Of the keys that are made for these features.
    views_id: u64,
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
    ordinal: usize,
    name: String,
}

impl Answer {
    /// The cursor of a table that may be asked, during a batch.
    #[inline(always)]
    fn batch_cursor(&mut self) -> Option<&mut Cursor> {
        self.cursor.as_mut().filter(|_| self.is_current)
    }

    /// Takes what a lookup found for the answer; `false` when log and runs must be asked.
    #[inline(always)]
    fn take(&mut self, found: Lookup, sight: (u64, i64)) -> bool {
        let Some(winner) = judge(found, &self.copy, sight, self.ttl_us) else { return false };
        self.winner = winner;
        true
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
        let (answers, begun) = prepared.room(self);
        let (reads, prepared) = (Arc::clone(self), Arc::new(prepared));
        Ok(OnlineHandle { reads, features, prepared, answers, begun, is_stale: false })
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
        let views_id = views_id(&reads.identity, selections.iter().map(|selection| &selection.resolved));
        Ok(Prepared { picture, generation, views_id, selections, fields, f64s })
    }

    /// Memory for the answers to one key, and for the lookups of a batch.
    fn room(&self, reads: &Reads) -> (Vec<Answer>, Vec<Begun>) {
        let answers = self.selections.iter().map(|selection| {
            let layout = SlotLayout::new(table_shape(&selection.view, &reads.identity));
            Answer {
                cursor: selection.view.table.as_ref().map(|table| table.cursor(selection.need)),
                ttl_us: selection.ttl_us,
                is_current: false,
                winner: Winner::Nothing,
                copy: SlotCopy::new(Arc::new(layout)),
            }
        });
        (answers.collect(), vec![Begun::default(); self.selections.len() * IN_FLIGHT])
    }
}

impl Prepared {
    /// The winner that log and runs have for a key of the view at `index`; `is_stale` becomes true where the view may
    /// have another table by now: the answers of this call lie in what was prepared for the one before.
    #[cold]
    fn ask_history(
        &self,
        reads: &Reads,
        index: usize,
        key: &EntityKey,
        (seq, now): (u64, i64),
        is_stale: &mut bool,
    ) -> Result<Winner> {
        let (hash, key) = key.part(index);
        let question = AsOf { known_at: seq, ..AsOf::new(now) };
        let view_id = self.selections[index].resolved.view.id;
        let (picture, found) = reads.with_sight(|sight| {
            let view = sight.picture.view(view_id);
            let found = find_row(view, &sight.picture.tail, hash, key, question)?;
            Ok((Arc::clone(&sight.picture), found))
        })?;
        *is_stale |= !Arc::ptr_eq(&picture, &self.picture);
        Ok(found.map_or(Winner::Nothing, |found| Winner::Found(Box::new(found))))
    }
}

impl Clone for OnlineHandle {
    fn clone(&self) -> Self {
        let (answers, begun) = self.prepared.room(&self.reads);
        let (reads, prepared) = (Arc::clone(&self.reads), Arc::clone(&self.prepared));
        OnlineHandle { reads, features: self.features.clone(), prepared, answers, begun, is_stale: self.is_stale }
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
        let Prepared { selections, views_id, .. } = &*self.prepared;
        check_keys(entity, selections.iter().map(|selection| &selection.resolved))?;
        let (mut key, mut bytes) = (EntityKey::new(*views_id), Vec::new());
        for (index, Selection { resolved, view, .. }) in selections.iter().enumerate() {
            bytes.clear();
            view.key_schema.encode(&entity_values(entity, resolved, &view.key_schema)?, &mut bytes)?;
            key.push(index, self.reads.hash_seed(), &bytes);
        }
        Ok(key)
    }

    /// The features of one entity at `now`: of the rows committed when the call began, over all views alike.
    ///
    /// # Errors
    /// The key was made for other features; a feature was dropped since; a run that had to be read is damaged.
    #[inline]
    pub fn get(&mut self, key: &EntityKey, now: Timestamp) -> Result<OnlineRow<'_>> {
        let sight = (self.begin()?, now.0);
        self.check_key(key)?;
        for (index, answer) in self.answers.iter_mut().enumerate() {
            let (hash, bytes) = key.part(index);
            let found = match &mut answer.cursor {
                Some(cursor) => cursor.lookup_current(hash, bytes, &mut answer.copy),
                None => Lookup::Busy,
            };
            if !answer.take(found, sight) {
                answer.winner = self.prepared.ask_history(&self.reads, index, key, sight, &mut self.is_stale)?;
            }
        }
        Ok(self.row(now))
    }

    /// As [`OnlineHandle::get`] for many entities, of the rows committed when the call began: `visit` is given each
    /// key's position and answer, in order. While one is answered, the memory of the next ones is fetched.
    ///
    /// # Errors
    /// As [`OnlineHandle::get`]; keys that were visited before stay visited.
    pub fn get_batch(
        &mut self,
        keys: &[EntityKey],
        now: Timestamp,
        mut visit: impl FnMut(usize, &OnlineRow<'_>),
    ) -> Result<()> {
        let sight = (self.begin()?, now.0);
        for answer in &mut self.answers {
            answer.is_current = answer.cursor.as_mut().is_some_and(Cursor::is_current);
        }
        let not_beyond = |i: usize| keys.get(i).map(|key| (i, key));
        for step in 0..keys.len() + 2 * STEP_KEYS {
            if let Some((i, key)) = not_beyond(step) {
                self.check_key(key)?;
                self.begin_lookups(i, key);
            }
            if let Some((i, key)) = step.checked_sub(STEP_KEYS).and_then(not_beyond) {
                self.approach_lookups(i, key);
            }
            if let Some((i, key)) = step.checked_sub(2 * STEP_KEYS).and_then(not_beyond) {
                self.finish_lookups(i, key, sight)?;
                visit(i, &self.row(now));
            }
        }
        Ok(())
    }

    /// For each view, its number and what it knows of key `i` of a batch.
    #[inline(always)]
    fn of_batch(&mut self, i: usize) -> impl Iterator<Item = (usize, (&mut Answer, &mut Begun))> {
        let begun = &mut self.begun[i % IN_FLIGHT * self.answers.len()..];
        self.answers.iter_mut().zip(begun).enumerate()
    }

    #[inline(always)]
    fn begin_lookups(&mut self, i: usize, key: &EntityKey) {
        for (index, (answer, begun)) in self.of_batch(i) {
            if let Some(cursor) = answer.batch_cursor() {
                *begun = cursor.begin(key.part(index).0);
            }
        }
    }

    #[inline(always)]
    fn approach_lookups(&mut self, i: usize, key: &EntityKey) {
        for (index, (answer, begun)) in self.of_batch(i) {
            if let Some(cursor) = answer.batch_cursor() {
                cursor.approach(key.part(index).0, begun);
            }
        }
    }

    #[inline(always)]
    fn finish_lookups(&mut self, i: usize, key: &EntityKey, sight: (u64, i64)) -> Result<()> {
        let begun = &self.begun[i % IN_FLIGHT * self.answers.len()..];
        for (index, (answer, begun)) in self.answers.iter_mut().zip(begun).enumerate() {
            let (hash, bytes) = key.part(index);
            let found = match &answer.cursor {
                Some(cursor) if answer.is_current => cursor.finish(hash, bytes, &mut answer.copy, begun),
                _ => Lookup::Busy,
            };
            if !answer.take(found, sight) {
                answer.winner = self.prepared.ask_history(&self.reads, index, key, sight, &mut self.is_stale)?;
            }
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
        if key.views_id == self.prepared.views_id {
            return Ok(());
        }
        Err(Error::invalid("the entity key was made for other features").remedy("make it with this handle's key()"))
    }

    #[cold]
    fn prepare_again(&mut self) -> Result<()> {
        let prepared = Prepared::new(&self.reads, &self.features)?;
        (self.answers, self.begun) = prepared.room(&self.reads);
        self.prepared = Arc::new(prepared);
        self.is_stale = false;
        Ok(())
    }

    #[inline]
    fn row(&self, now: Timestamp) -> OnlineRow<'_> {
        let slot: &[u8] = match self.answers.as_slice() {
            [Answer { copy, winner: Winner::Slot { is_in_force: true }, .. }] => copy.slot_bytes(),
            _ => &[],
        };
        OnlineRow { prepared: &self.prepared, answers: &self.answers, now: now.0, slot }
    }
}
