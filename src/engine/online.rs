//! Prepared online reads: names resolved once, then a hash, a probe and a checked copy for each key.

mod batch;
mod key;
mod prepared;
mod row;

use std::sync::Arc;

pub use key::EntityKey;
pub use row::OnlineRow;

use prepared::{Prepared, Selection};

use super::get::{check_keys, encode_entity};
use super::reads::{Edition, Reads};
use super::winner::{Winner, judge};
use crate::error::{Error, Result};
use crate::join::pick::{AsOf, is_outside_max_age};
use crate::latest::{Begun, Cursor, Found, Lookup, SlotCopy};
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

impl Answer {
    /// Looks up the only key, or one of a few; `None` when log and runs must be asked, else as [`Answer::take`].
    #[inline(always)]
    fn look_up(&mut self, (hash, key): (u64, &[u8]), seq: u64, now: i64) -> Option<bool> {
        let found = self.cursor.as_mut()?.lookup(hash, key, &mut self.copy);
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
        let floor = self.cursor.as_ref().and_then(Cursor::floor);
        self.winner = judge(found, &self.copy, as_of, self.ttl_us, floor)?;
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

    /// What tells the state of the store that it was prepared for last from every other: it holds the files of that, and memory.
    #[cfg(feature = "http")]
    pub(crate) fn holds(&self) -> usize {
        Arc::as_ptr(&self.prepared.picture).addr()
    }

    /// Whether that is how the store is now.
    #[cfg(feature = "http")]
    pub(crate) fn is_of_newest(&self) -> bool {
        Arc::ptr_eq(&self.prepared.picture, &self.reads.picture())
    }

    /// Encodes an entity's join keys, for this handle and its clones.
    ///
    /// # Errors
    /// A join key is missing, null, unknown or of another type. Integers are of one type, whatever their width, and a string can be
    /// a uuid's text: what the view's own type does not hold finds nothing, nor does a key longer than any
    /// that is stored.
    pub fn key(&self, entity: &[(&str, Value)]) -> Result<EntityKey> {
        let Prepared { selections, views_id, .. } = &*self.prepared;
        check_keys(entity, selections.iter().map(|selection| &selection.resolved))?;
        let (mut key, mut bytes) = (EntityKey::new(*views_id), Vec::new());
        for (index, Selection { resolved, view, .. }) in selections.iter().enumerate() {
            let encoded = encode_entity(&view.key_schema, entity, resolved, &mut bytes)?;
            key.push(index, self.reads.hash_seed(), encoded.unwrap_or(view.key_schema.never_stored()));
        }
        Ok(key)
    }

    /// [`OnlineHandle::key`] of a key that is encoded already, for a handle of one view.
    ///
    /// # Panics
    /// The handle is of no view, or of several.
    pub fn encoded_key(&self, encoded: &[u8]) -> EntityKey {
        assert_eq!(self.prepared.selections.len(), 1, "one view has one key");
        let mut key = EntityKey::new(self.prepared.views_id);
        key.push(0, self.reads.hash_seed(), encoded);
        key
    }

    /// The features of one entity at `now`: of the rows committed when the call began, over all views alike.
    ///
    /// # Errors
    /// The key was made for other features; a feature was dropped since; a run that had to be read is damaged. `Poisoned`: the store
    /// was closed.
    #[inline(always)]
    pub fn get(&mut self, key: &EntityKey, now: Timestamp) -> Result<OnlineRow<'_>> {
        let (seq, edition) = self.reads.seq_and_edition()?;
        let is_in_force = match self.answers.as_mut_slice() {
            [answer] if !self.is_stale && self.prepared.serves(edition, key) => {
                match answer.look_up(key.first(), seq, now.0) {
                    Some(is_in_force) => is_in_force,
                    None => self.ask_history(0, key, seq, now)?,
                }
            }
            _ => self.get_of_any(key, (seq, edition), now)?,
        };
        let slot = if is_in_force { self.answers[0].copy.slot_words() } else { &[] };
        Ok(OnlineRow { handle: self, now: now.0, slot })
    }

    /// [`OnlineHandle::get`] for any number of views, and where they must be prepared again first. Whether the answer is
    /// values in force that lie in one copy.
    #[inline(never)]
    fn get_of_any(&mut self, key: &EntityKey, (seq, edition): (u64, Edition), now: Timestamp) -> Result<bool> {
        if self.is_outdated(edition) {
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

    /// Whether what was prepared is not of the edition that a request's first step gave.
    #[inline(always)]
    fn is_outdated(&self, edition: Edition) -> bool {
        self.is_stale || edition != self.prepared.edition
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
