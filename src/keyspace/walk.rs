//! A walk over all keys while they change, piece by piece, each piece as of the number of its own moment.
//!
//! Nobody waits for the walk but between two groups, for one piece; nothing is copied for it, and nothing kept of what changes. So a key is
//! written as it was when its piece was, and the rows with greater numbers go on top of it ([`Restoring`](super::Restoring)). That is
//! enough for every row but one that takes over another key: that key may have been written as it was later. Where the key that took it over
//! was walked before, it is therefore written once more. The same goes for a large hash that was replaced while it was walked in parts.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

use super::hash::Hash;
use super::key::{Key, KeyValue};
use super::record::Records;
use super::table::{CURSOR_MAX, Cursor, cursor};
use super::{DATABASES_KEPT, Keyspace};
use crate::error::Result;
use crate::format::checkpoint::{BlockKind, Place};
use crate::format::keyspace::{Change, KeyName};

const DATABASES_LAST: u8 = crate::format::keyspace::DATABASES_KEPT - 1;
/// Fields of a hash by which its size is judged.
const SAMPLES: usize = 16;
/// So many keys may wait to be written once more.
const AGAIN_MAX: usize = 64;
/// Pieces of such keys that may follow one another: the walk gets on, however many keys take over others meanwhile.
const AGAIN_PIECES_MAX: usize = 2;

/// How far a walk is.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// All keys before it were written.
    at: Place,
    /// The hash at that place, of which the fields before it were.
    in_parts: Option<Box<[u8]>>,
    /// Keys that are to be written once more.
    again: BTreeSet<(u8, Box<[u8]>)>,
    /// How many pieces of such keys came one after the other.
    again_pieces: usize,
}

/// A piece of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Records that make the keys what they are, to be replayed in this order.
    pub records: Vec<u8>,
    /// All keys before this place were written.
    pub end: Place,
}

impl Walk {
    /// The hash that is walked in parts is another now, or none: it is written once more, and the walk goes on behind it.
    fn leave_parts(&mut self) {
        if let Some(name) = self.in_parts.take() {
            self.again.insert((self.at.database, name));
            self.at = after(self.at.database, next(self.at.key));
        }
    }

    /// Whether it is the turn of keys that are to be written once more.
    fn turns_back(&mut self) -> bool {
        let turns_back = self.again.len() >= AGAIN_MAX && self.again_pieces < AGAIN_PIECES_MAX;
        self.again_pieces = if turns_back { self.again_pieces + 1 } else { 0 };
        turns_back
    }
}

impl Keyspace {
    /// Begins a walk, in place of one that was begun before.
    pub fn begin_walk(&self) {
        *self.walk() = Some(Walk::default());
    }

    /// Ends the walk, wherever it is.
    pub fn end_walk(&self) {
        *self.walk() = None;
    }

    /// How many keys are to be written once more so far.
    #[cfg(test)]
    pub(super) fn to_walk_again(&self) -> usize {
        self.walk().as_ref().map_or(0, |walk| walk.again.len())
    }

    /// The next piece but for the last, of about so many bytes, and which keys it has: those that come next, or those that are to be written
    /// once more where many wait; `None`: [`Keyspace::last_of_walk`] is left. Not within a group.
    ///
    /// # Errors
    /// A key has a name that no record can say.
    pub fn next_of_walk(&self, bytes_max: usize) -> Result<Option<(BlockKind, Step)>> {
        let turns_back = self.walk().as_mut().is_some_and(Walk::turns_back);
        if turns_back && let Some(step) = self.walk_again_on(bytes_max)? {
            return Ok(Some((BlockKind::Again, step)));
        }
        Ok(self.walk_on(bytes_max)?.map(|step| (BlockKind::Walked, step)))
    }

    /// The last piece: all keys that are to be written once more still, behind all others. Not within a group.
    ///
    /// # Errors
    /// A key has a name that no record can say.
    pub fn last_of_walk(&self) -> Result<(BlockKind, Step)> {
        let nothing = || Step { records: Vec::new(), end: after(DATABASES_LAST, 0) };
        Ok((BlockKind::Again, self.walk_again_on(usize::MAX)?.unwrap_or_else(nothing)))
    }

    /// The next piece of the walk, of about so many bytes or one key, and at most about so many of a large hash; `None`: there is none.
    /// Not within a group.
    ///
    /// # Errors
    /// A key has a name that no record can say.
    pub(super) fn walk_on(&self, bytes_max: usize) -> Result<Option<Step>> {
        let mut walk = self.walk();
        let Some(walk) = walk.as_mut().filter(|walk| usize::from(walk.at.database) < DATABASES_KEPT) else {
            return Ok(None);
        };
        let mut records = records();
        while records.bytes() == 0 && usize::from(walk.at.database) < DATABASES_KEPT {
            match walk.in_parts.take() {
                Some(name) => self.walk_part(walk, name, bytes_max, &mut records),
                None => self.walk_keys(walk, bytes_max, &mut records),
            }
        }
        Ok(Some(Step { records: records.take()?.0, end: walk.at }))
    }

    /// Keys that were walked before and are to be written once more, each after a delete of what it was, up to about so many bytes; `None`:
    /// there are none. Not within a group.
    ///
    /// # Errors
    /// A key has a name that no record can say.
    pub(super) fn walk_again_on(&self, bytes_max: usize) -> Result<Option<Step>> {
        let mut walk = self.walk();
        let Some(walk) = walk.as_mut().filter(|walk| !walk.again.is_empty()) else { return Ok(None) };
        let mut records = records();
        while records.bytes() < bytes_max
            && let Some((database, name)) = walk.again.pop_first()
        {
            records.push((database, &name), Change::Delete);
            if let Some(key) = self.databases[usize::from(database)].keys.get(&name) {
                push_key(database, key, &mut records);
            }
        }
        Ok(Some(Step { records: records.take()?.0, end: walk.at }))
    }

    fn walk(&self) -> MutexGuard<'_, Option<Walk>> {
        self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn walk_keys(&self, walk: &mut Walk, bytes_max: usize, records: &mut Records) {
        let Place { database, key: from, .. } = walk.at;
        let keys = &self.databases[usize::from(database)].keys;
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut end = keys.scan_until(from, |key| {
            bytes += key.memory_bytes(SAMPLES);
            found.push(key);
            bytes >= bytes_max
        });
        let is_large = |key: &&Key| has_parts(key) && key.memory_bytes(SAMPLES) > bytes_max;
        if let Some(large) = found.iter().position(is_large) {
            let at = self.cursor(&found[large].name);
            let is_alone = found.iter().filter(|key| self.cursor(&key.name) == at).count() == 1;
            // With another of its cursor it could not be told which of them a place is of: they go whole, together.
            if is_alone && large == 0 {
                walk.in_parts = Some(found[0].name.clone());
                walk.at = Place { database, key: at, field: 0 };
                return;
            }
            if is_alone {
                found.truncate(large);
                end = at;
            }
        }
        found.iter().for_each(|key| push_key(database, key, records));
        walk.at = after(database, end);
    }

    /// Some fields of the hash that is walked in parts, and with the first the key's deadline.
    fn walk_part(&self, walk: &mut Walk, name: Box<[u8]>, bytes_max: usize, records: &mut Records) {
        let Place { database, key: at, field: from } = walk.at;
        let place = (database, &*name);
        let key = self.databases[usize::from(database)].keys.get(&name);
        let Some((key, KeyValue::Hash(hash))) = key.map(|key| (key, &key.value)) else {
            unreachable!("whoever replaces or removes the key ends the walk in parts");
        };
        let (mut fields, mut bytes) = (Vec::new(), 0);
        let end = hash.scan_until(from, |field, value| {
            bytes += field.len() + value.len() + 2 * size_of::<usize>();
            records.push_field(place, field, value);
            fields.push(field);
            bytes >= bytes_max
        });
        for field in fields {
            if let Some(deadline) = hash.deadline(field) {
                records.push(place, Change::SetFieldDeadline(field, Some(deadline)));
            }
        }
        if from == 0 && key.deadline.is_some() {
            records.push(place, Change::SetDeadline(key.deadline));
        }
        if end == 0 {
            walk.at = after(database, next(at));
        } else {
            walk.at.field = end;
            walk.in_parts = Some(name);
        }
    }

    /// A key is about to be put in place of another, or to be removed.
    #[inline]
    pub(super) fn walk_meets(&mut self, (database, name): KeyName<'_>) {
        let seed = self.seed;
        let Some(walk) = self.walk.get_mut().unwrap_or_else(PoisonError::into_inner) else { return };
        // The hash itself, or one that a place in it could be taken for.
        let is_in_parts = walk.in_parts.is_some() && walk.at.database == database;
        if is_in_parts && cursor(name, seed) == walk.at.key {
            walk.leave_parts();
            walk.again.insert((database, name.into()));
        }
    }

    /// A key took over another.
    pub(super) fn walk_again(&mut self, (database, name): KeyName<'_>) {
        let seed = self.seed;
        let Some(walk) = self.walk.get_mut().unwrap_or_else(PoisonError::into_inner) else { return };
        if (Place { database, key: cursor(name, seed), field: 0 }) < walk.at {
            walk.again.insert((database, name.into()));
        }
    }

    /// All keys of a database are about to be others.
    pub(super) fn walk_loses(&mut self, database: u8) {
        let walk = self.walk.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(walk) = walk.as_mut().filter(|walk| walk.at.database == database) {
            walk.leave_parts();
        }
    }
}

/// Records that say what there is, at no time: nothing is past its deadline then.
fn records() -> Records {
    let mut records = Records::new();
    records.begin(i64::MIN);
    records
}

/// The place of the keys of a database from a cursor on; where a scan ended, of the next database.
fn after(database: u8, cursor: Cursor) -> Place {
    match cursor {
        0 => Place { database: database + 1, key: 0, field: 0 },
        key => Place { database, key, field: 0 },
    }
}

/// The cursor after another; 0 after the last.
fn next(cursor: Cursor) -> Cursor {
    if cursor == CURSOR_MAX { 0 } else { cursor + 1 }
}

fn has_parts(key: &Key) -> bool {
    matches!(&key.value, KeyValue::Hash(hash) if hash.has_parts())
}

fn push_key(database: u8, key: &Key, records: &mut Records) {
    let name = (database, &*key.name);
    match &key.value {
        KeyValue::String(string) => {
            records.push(name, Change::SetString(&string.bytes, key.deadline));
            if string.is_in_parts {
                // Nothing, so that it counts as written to in parts.
                records.push(name, Change::WriteString(0, &[]));
            }
        }
        KeyValue::Hash(hash) => {
            push_fields(name, hash, records);
            if key.deadline.is_some() {
                records.push(name, Change::SetDeadline(key.deadline));
            }
        }
    }
}

fn push_fields(name: KeyName<'_>, hash: &Hash, records: &mut Records) {
    hash.scan_until(0, |field, value| {
        records.push_field(name, field, value);
        false
    });
    for (field, deadline) in hash.deadlines() {
        records.push(name, Change::SetFieldDeadline(field, Some(deadline)));
    }
}
