//! Many keys at once: each step of their lookups is done for a round of them before the next.

use super::{Answer, EntityKey, OnlineHandle, OnlineRow};
use crate::error::Result;
use crate::latest::{Begun, Cursor};
use crate::time::Timestamp;

/// Most lookups of a batch that are under way at once: each step is done for all of them before the next step of any, so
/// that nothing waits while memory is asked for. In slots of two lines, what they fetch takes a third of a first-level
/// cache of 32 KiB.
pub(super) const ROUND_KEYS_MAX: usize = 64;
/// So many keys however many views there are.
const ROUND_KEYS_MIN: usize = 8;
/// Any number of views, where another number would say how many.
const ANY: usize = 0;

impl Answer {
    /// The cursor of a table that may be asked, during a batch.
    #[inline(always)]
    fn batch_cursor(&mut self) -> Option<&mut Cursor> {
        self.cursor.as_mut().filter(|_| self.is_current)
    }

    /// Ends a lookup of a batch, as [`Answer::look_up`] does.
    #[inline(always)]
    fn finish(&mut self, (hash, key): (u64, &[u8]), begun: &Begun, seq: u64, now: i64) -> Option<bool> {
        let cursor = self.cursor.as_ref().filter(|_| self.is_current)?;
        let found = cursor.finish(hash, key, &mut self.copy, begun);
        self.take(found, seq, now)
    }
}

impl OnlineHandle {
    /// As [`OnlineHandle::get`] for many entities, of the rows committed when the call began: `visit` is given each
    /// key's position and answer, in order. The memory of many is fetched at once. Gives the number of the newest of those rows.
    ///
    /// # Errors
    /// As [`OnlineHandle::get`]; keys that were visited before stay visited.
    pub fn get_batch(
        &mut self,
        keys: &[EntityKey],
        now: Timestamp,
        visit: impl FnMut(usize, &OnlineRow<'_>),
    ) -> Result<u64> {
        match self.answers.len() {
            1 => self.get_batch_of::<1>(keys, now, visit),
            _ => self.get_batch_of::<ANY>(keys, now, visit),
        }
    }

    /// Has memory bring up what [`OnlineHandle::get`] of these keys will look at, as far as it knows where that is. Whatever stands in the
    /// way is for `get` to say.
    pub fn fetch(&mut self, keys: &[EntityKey]) {
        match self.reads.seq_and_edition() {
            Ok((_, edition)) if !self.is_outdated(edition) => {}
            _ => return,
        }
        for answer in &mut self.answers {
            answer.is_current = answer.cursor.as_mut().is_some_and(Cursor::is_current);
        }
        for keys in keys.chunks((ROUND_KEYS_MAX / self.answers.len().max(1)).max(ROUND_KEYS_MIN)) {
            if self.begin_each::<ANY>(keys).is_ok() {
                self.approach_each::<ANY>(keys);
            }
        }
    }

    /// A batch over `VIEWS` views, or any number.
    fn get_batch_of<const VIEWS: usize>(
        &mut self,
        keys: &[EntityKey],
        now: Timestamp,
        mut visit: impl FnMut(usize, &OnlineRow<'_>),
    ) -> Result<u64> {
        let (seq, edition) = self.reads.seq_and_edition()?;
        if self.is_outdated(edition) {
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
        Ok(seq)
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
}
