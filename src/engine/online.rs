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
use crate::join::pick::{AsOf, is_outside_max_age};
use crate::latest::{Begun, Cursor, Found, Lookup, Need, SlotCopy, SlotLayout, WordField, WordRun};
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
    /// Of a batch: the lookup of its round's key `i` in view `v` is at `i * views + v`.
    begun: Vec<Begun>,
    /// A table has been replaced, or was and is there now.
    is_stale: bool,
}

/// Most lookups of a batch that are under way at once: each step is done for all of them before the next step of any, so
/// that nothing waits while memory is asked for. In slots of two lines, what they fetch takes a third of a first-level
/// cache of 32 KiB.
const ROUND_KEYS_MAX: usize = 64;
/// So many keys however many views there are.
const ROUND_KEYS_MIN: usize = 8;
/// Any number of views, where another number would say how many.
const ANY: usize = 0;

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

    /// Looks up the only key, or one of a few; `None` when log and runs must be asked, else as [`Answer::take`].
    #[inline(always)]
    fn look_up(&mut self, (hash, key): (u64, &[u8]), seq: u64, now: i64) -> Option<bool> {
        let found = self.cursor.as_mut()?.lookup(hash, key, &mut self.copy);
        self.take(found, seq, now)
    }

    /// Ends a lookup of a batch, as [`Answer::look_up`] does.
    #[inline(always)]
    fn finish(&mut self, (hash, key): (u64, &[u8]), begun: &Begun, seq: u64, now: i64) -> Option<bool> {
        let cursor = self.cursor.as_ref().filter(|_| self.is_current)?;
        let found = cursor.finish(hash, key, &mut self.copy, begun);
        self.take(found, seq, now)
    }

    /// Takes what a lookup found for the answer; whether that is values in force that lie in the copy, or `None` when log
    /// and runs must be asked.
    #[inline(always)]
    fn take(&mut self, found: Found, seq: u64, now: i64) -> Option<bool> {
        let (row_seq, event_ts) = self.copy.seq_and_event_ts();
        // What most rows are.
        if found == Found::Plain && row_seq <= seq && event_ts <= now {
            let is_in_force = !is_outside_max_age(event_ts, now, self.ttl_us);
            match &mut self.winner {
                // As the answer before it: nothing is to be dropped.
                Winner::Slot { is_in_force: before } => *before = is_in_force,
                winner => *winner = Winner::Slot { is_in_force },
            }
            return Some(is_in_force);
        }
        self.take_judged(found.lookup(), seq, now)
    }

    #[inline(never)]
    fn take_judged(&mut self, found: Lookup, seq: u64, now: i64) -> Option<bool> {
        let as_of = AsOf { known_at: seq, ..AsOf::new(now) };
        self.winner = judge(found, &self.copy, as_of, self.ttl_us)?;
        Some(self.is_slot_in_force())
    }

    /// Whether the answer is values in force that lie in the copy.
    fn is_slot_in_force(&self) -> bool {
        matches!(self.winner, Winner::Slot { is_in_force: true })
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
        (answers.collect(), vec![Begun::default(); self.selections.len() * ROUND_KEYS_MAX])
    }
}

impl Prepared {
    /// Whether it is of this generation, and the key made for its features.
    #[inline(always)]
    fn serves(&self, generation: u64, key: &EntityKey) -> bool {
        generation == self.generation && key.views_id == self.views_id
    }

    /// The winner that log and runs have for a key of the view at `index`; `is_stale` becomes true where the view may
    /// have another table by now: the answers of this call lie in what was prepared for the one before.
    #[cold]
    fn ask_history(
        &self,
        reads: &Reads,
        index: usize,
        key: &EntityKey,
        as_of: AsOf,
        is_stale: &mut bool,
    ) -> Result<Winner> {
        let (hash, key) = key.part(index);
        let view_id = self.selections[index].resolved.view.id;
        let (picture, found) = reads.with_sight(|sight| {
            let view = sight.picture.view(view_id);
            let found = find_row(view, &sight.picture.tail, hash, key, as_of)?;
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
            view.key_schema.encode(&entity_values(entity, resolved)?, &mut bytes)?;
            key.push(index, self.reads.hash_seed(), &bytes);
        }
        Ok(key)
    }

    /// The features of one entity at `now`: of the rows committed when the call began, over all views alike.
    ///
    /// # Errors
    /// The key was made for other features; a feature was dropped since; a run that had to be read is damaged.
    #[inline(always)]
    pub fn get(&mut self, key: &EntityKey, now: Timestamp) -> Result<OnlineRow<'_>> {
        let (seq, generation) = self.reads.seq_and_generation()?;
        let is_in_force = match self.answers.as_mut_slice() {
            [answer] if !self.is_stale && self.prepared.serves(generation, key) => {
                match answer.look_up(key.first(), seq, now.0) {
                    Some(is_in_force) => is_in_force,
                    None => self.ask_history(0, key, seq, now)?,
                }
            }
            _ => self.get_of_any(key, (seq, generation), now)?,
        };
        let slot = if is_in_force { self.answers[0].copy.slot_words() } else { &[] };
        Ok(OnlineRow { handle: self, now: now.0, slot })
    }

    /// [`OnlineHandle::get`] for any number of views, and where they must be prepared again first. Whether the answer is
    /// values in force that lie in one copy.
    #[inline(never)]
    fn get_of_any(&mut self, key: &EntityKey, (seq, generation): (u64, u64), now: Timestamp) -> Result<bool> {
        if self.is_outdated(generation) {
            self.prepare_again()?;
        }
        self.check_key(key)?;
        for index in 0..self.answers.len() {
            if self.answers[index].look_up(key.part(index), seq, now.0).is_none() {
                self.ask_history(index, key, seq, now)?;
            }
        }
        Ok(matches!(self.answers.as_slice(), [answer] if answer.is_slot_in_force()))
    }

    /// Takes what log and runs have for the view at `index`; none of it lies in a slot.
    #[cold]
    fn ask_history(&mut self, index: usize, key: &EntityKey, seq: u64, now: Timestamp) -> Result<bool> {
        let as_of = AsOf { known_at: seq, ..AsOf::new(now.0) };
        let winner = self.prepared.ask_history(&self.reads, index, key, as_of, &mut self.is_stale)?;
        self.answers[index].winner = winner;
        Ok(false)
    }

    /// As [`OnlineHandle::get`] for many entities, of the rows committed when the call began: `visit` is given each
    /// key's position and answer, in order. The memory of many is fetched at once.
    ///
    /// # Errors
    /// As [`OnlineHandle::get`]; keys that were visited before stay visited.
    pub fn get_batch(
        &mut self,
        keys: &[EntityKey],
        now: Timestamp,
        visit: impl FnMut(usize, &OnlineRow<'_>),
    ) -> Result<()> {
        match self.answers.len() {
            1 => self.get_batch_of::<1>(keys, now, visit),
            _ => self.get_batch_of::<ANY>(keys, now, visit),
        }
    }

    /// A batch over `VIEWS` views, or any number.
    fn get_batch_of<const VIEWS: usize>(
        &mut self,
        keys: &[EntityKey],
        now: Timestamp,
        mut visit: impl FnMut(usize, &OnlineRow<'_>),
    ) -> Result<()> {
        let (seq, generation) = self.reads.seq_and_generation()?;
        if self.is_outdated(generation) {
            self.prepare_again()?;
        }
        for answer in &mut self.answers {
            answer.is_current = answer.cursor.as_mut().is_some_and(Cursor::is_current);
        }
        // As few rounds as can be, of about one length: in a short one little is under way.
        let most = (ROUND_KEYS_MAX / self.answers.len().max(1)).max(ROUND_KEYS_MIN);
        let rounds = keys.len().div_ceil(most).max(1);
        let round_keys = keys.len().div_ceil(rounds).max(1);
        for (round, keys) in keys.chunks(round_keys).enumerate() {
            self.begin_each::<VIEWS>(keys)?;
            self.approach_each::<VIEWS>(keys);
            for (i, key) in keys.iter().enumerate() {
                for index in 0..self.views::<VIEWS>() {
                    let begun = self.begun[i * self.views::<VIEWS>() + index];
                    let answer = &mut self.answers[index];
                    if answer.finish(key.part(index), &begun, seq, now.0).is_none() {
                        self.ask_history(index, key, seq, now)?;
                    }
                }
                visit(round * round_keys + i, &self.row(now));
            }
        }
        Ok(())
    }

    /// The first steps of a round's lookups.
    #[inline(always)]
    fn begin_each<const VIEWS: usize>(&mut self, keys: &[EntityKey]) -> Result<()> {
        for (i, key) in keys.iter().enumerate() {
            self.check_key(key)?;
            for (index, (answer, begun)) in self.under_way::<VIEWS>(i) {
                if let Some(cursor) = answer.batch_cursor() {
                    *begun = cursor.begin(key.part(index).0);
                }
            }
        }
        Ok(())
    }

    /// Their second steps.
    #[inline(always)]
    fn approach_each<const VIEWS: usize>(&mut self, keys: &[EntityKey]) {
        for (i, key) in keys.iter().enumerate() {
            for (index, (answer, begun)) in self.under_way::<VIEWS>(i) {
                if let Some(cursor) = answer.batch_cursor() {
                    cursor.approach(key.part(index).0, begun);
                }
            }
        }
    }

    /// How many views there are: where `VIEWS` says it, a number that the compiler knows.
    #[inline(always)]
    fn views<const VIEWS: usize>(&self) -> usize {
        if VIEWS == ANY { self.answers.len() } else { VIEWS }
    }

    /// For each view, its number and what it knows of key `i` of a round.
    #[inline(always)]
    fn under_way<const VIEWS: usize>(&mut self, i: usize) -> impl Iterator<Item = (usize, (&mut Answer, &mut Begun))> {
        let views = self.views::<VIEWS>();
        let begun = &mut self.begun[i * views..];
        self.answers[..views].iter_mut().zip(begun).enumerate()
    }

    /// Whether what was prepared is not of the generation that a request's first step gave.
    #[inline(always)]
    fn is_outdated(&self, generation: u64) -> bool {
        self.is_stale || generation != self.prepared.generation
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
        let slot: &[[u8; 8]] = match self.answers.as_slice() {
            [answer] if answer.is_slot_in_force() => answer.copy.slot_words(),
            _ => &[],
        };
        OnlineRow { handle: self, now: now.0, slot }
    }
}
