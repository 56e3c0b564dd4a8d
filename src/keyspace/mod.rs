//! The keyspace of the Redis protocol, in memory: sixteen databases of strings and hashes, as the log's records leave them, and
//! one more of the store's own.
//!
//! It is derived: whoever opens the store builds it from log and runs. A change is made here before the log has it, so that the
//! commands that follow in its group find it, and is undone if the log does not take the group. Each key carries the ticket of
//! the group that changed it last: who answers from it waits until that group is durable.
//!
//! Nothing here reads a clock: `now` is a parameter. A key or field past its deadline is not there, whether it was removed
//! or not, and removing it is nothing that the log knows.

mod change;
mod changed;
pub mod checkpoint;
mod compare;
mod deadlines;
mod hash;
mod key;
mod packed;
mod record;
mod restoring;
mod table;
mod walk;

use std::sync::Mutex;

pub use changed::{Changed, Emptied};
pub use hash::{FieldBefore, Hash, HashEncoding, PackedLimits};
pub use key::{Key, KeyValue, LastUse, StringValue};
pub use record::check_name;
pub use restoring::Restoring;
pub use table::Cursor;
pub use walk::Step;

use self::change::Undo;
use self::deadlines::Deadlines;
use self::record::Records;
use self::table::Table;
use self::walk::Walk;
use crate::disk::prefetch;
pub use crate::format::keyspace::{KeyName, RECEIPTS};

/// So often a random element is drawn that may be past its deadline, before those that are not are counted.
const RANDOM_DRAWS_MAX: usize = 64;

/// How many databases clients have.
pub const DATABASES: usize = crate::format::keyspace::DATABASES as usize;
/// How many there are, with that of the store's own.
const DATABASES_KEPT: usize = crate::format::keyspace::DATABASES_KEPT as usize;

/// All databases.
#[derive(Debug)]
pub struct Keyspace {
    databases: [Database; DATABASES_KEPT],
    seed: u64,
    /// Up to which size hashes stay packed, from the next change on.
    pub packed_limits: PackedLimits,
    /// The ticket of changes from here on.
    ticket: u64,
    records: Records,
    undo: Vec<Undo>,
    /// The latest time at which something was forgotten that went by itself.
    forgotten_at: i64,
    /// Whoever walks over the keys while they change does so between groups, and changes none.
    walk: Mutex<Option<Walk>>,
}

/// One database.
#[derive(Debug)]
struct Database {
    keys: Table<Key>,
    /// The ticket of the last change that took a key away.
    removed: u64,
    /// The ticket of the last change that added one.
    added: u64,
    /// Which keys go next. They lie with the keys, so that both leave together, and come back together.
    deadlines: Deadlines,
}

impl Database {
    fn new(seed: u64) -> Database {
        Database { keys: Table::new(seed), removed: 0, added: 0, deadlines: Deadlines::default() }
    }
}

impl Keyspace {
    /// Empty databases. `seed` keeps who does not know it from making names collide.
    pub fn new(seed: u64) -> Keyspace {
        Keyspace {
            databases: std::array::from_fn(|_| Database::new(seed)),
            seed,
            packed_limits: PackedLimits::default(),
            ticket: 0,
            records: Records::new(),
            undo: Vec::new(),
            forgotten_at: i64::MIN,
            walk: Mutex::new(None),
        }
    }

    /// A key that is there at `now`.
    ///
    /// # Panics
    /// There is no such database.
    #[inline]
    pub fn get(&self, (database, name): KeyName<'_>, now: i64) -> Option<&Key> {
        self.databases[usize::from(database)].keys.get(name).filter(|key| key.is_there(now))
    }

    /// Has memory bring up what keys are looked up in, and what they hold: of several at once it does that in the time of a few.
    pub fn fetch<'a>(&self, database: u8, names: impl Iterator<Item = &'a [u8]>) {
        self.databases[usize::from(database)].keys.fetch(names, |key| {
            let held = match &key.value {
                KeyValue::String(string) => &string.bytes,
                KeyValue::Hash(hash) => hash.packed_bytes(),
            };
            key.name.first().into_iter().for_each(prefetch);
            held.iter().step_by(LINE_BYTES).take(FETCHED_LINES_MAX).for_each(prefetch);
        });
    }

    /// The ticket that an answer which `name` is not there depends on.
    pub fn removed(&self, database: u8) -> u64 {
        self.databases[usize::from(database)].removed
    }

    /// The ticket that an answer how many keys there are depends on.
    pub fn counted(&self, database: u8) -> u64 {
        let database = &self.databases[usize::from(database)];
        database.added.max(database.removed)
    }

    /// How many keys a database has, those included that are past their deadline and were not removed yet.
    pub fn len(&self, database: u8) -> usize {
        self.databases[usize::from(database)].keys.len()
    }

    /// Whether no database has a key.
    pub fn is_empty(&self) -> bool {
        self.databases.iter().all(|database| database.keys.is_empty())
    }

    /// How many keys of a database have deadlines, or fields with such.
    pub fn len_with_deadlines(&self, database: u8) -> usize {
        self.databases[usize::from(database)].deadlines.len()
    }

    /// All keys of a database that are there at `now`.
    pub fn iter(&self, database: u8, now: i64) -> impl Iterator<Item = &Key> {
        self.databases[usize::from(database)].keys.iter().filter(move |key| key.is_there(now))
    }

    /// A key of those that are there at `now`, each as likely as another. `below` gives random numbers below its argument.
    pub fn random(&self, database: u8, now: i64, mut below: impl FnMut(usize) -> usize) -> Option<&Key> {
        let keys = &self.databases[usize::from(database)].keys;
        let drawn = (0..RANDOM_DRAWS_MAX).map_while(|_| keys.random(&mut below)).find(|key| key.is_there(now));
        // Hardly one of them is there still.
        drawn.or_else(|| match self.iter(database, now).count() {
            0 => None,
            count => self.iter(database, now).nth(below(count)),
        })
    }

    /// Gives `visit` keys from `cursor` on that are there at `now`, after a look at `count` at least or all that are left; and where
    /// to go on.
    pub fn scan<'a>(
        &'a self,
        database: u8,
        cursor: Cursor,
        count: usize,
        now: i64,
        mut visit: impl FnMut(&'a Key),
    ) -> Cursor {
        self.databases[usize::from(database)].keys.scan(cursor, count, |key| {
            if key.is_there(now) {
                visit(key);
            }
        })
    }

    /// Where a name lies in the order of scans, of a key or of a field.
    fn cursor(&self, name: &[u8]) -> Cursor {
        table::cursor(name, self.seed)
    }

    /// The key that goes first, or whose field does: when, its database and its name.
    fn first_to_go(&self) -> Option<(i64, u8, &[u8])> {
        let firsts = (0_u8..).zip(&self.databases).filter_map(|(number, database)| {
            let (deadline, name) = database.deadlines.first()?;
            Some((deadline, number, name))
        });
        firsts.min()
    }

    /// When the next key or field goes, microseconds since 1970.
    pub fn next_deadline(&self) -> Option<i64> {
        self.first_to_go().map(|(deadline, ..)| deadline)
    }

    /// The latest time at which something was forgotten that went by itself, `i64::MIN` where nothing was: no change may have an earlier one,
    /// or who does it to what all rows say does it to something else.
    pub fn forgotten_at(&self) -> i64 {
        self.forgotten_at
    }

    /// Removes a key or fields that are past their deadline at `now`. Gives what was removed, `None` when nothing is left to be. It
    /// is not undone: call it between groups.
    pub fn remove_expired(&mut self, now: i64) -> Option<Expired> {
        let (_, database, name) = self.first_to_go().filter(|(deadline, ..)| *deadline <= now)?;
        let name: Box<[u8]> = name.into();
        self.forget_expired((database, &name), now)
    }

    /// Removes the first receipt that is past its deadline at `now`; whether there was one.
    pub fn forget_expired_receipt(&mut self, now: i64) -> bool {
        let first = self.databases[usize::from(RECEIPTS)].deadlines.first().filter(|(deadline, _)| *deadline <= now);
        let Some(name) = first.map(|(_, name)| Box::<[u8]>::from(name)) else { return false };
        self.forget_expired((RECEIPTS, &name), now).is_some()
    }

    /// Removes a key, or fields of it, past their deadline at `now`: what nobody can see. It is not undone, and asks for no
    /// record: the log's say it already.
    pub fn forget_expired(&mut self, name: KeyName<'_>, now: i64) -> Option<Expired> {
        let key = self.databases[usize::from(name.0)].keys.get(name.1)?;
        // Of most keys, and before anything is allocated for them.
        if key.earliest_deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        if !key.is_there(now) {
            // By its own deadline, or as that of its last field has come.
            let what = if key.deadline.is_some_and(|deadline| deadline <= now) { Gone::Key } else { Gone::LastFields };
            self.take(name);
            self.forgotten_at = self.forgotten_at.max(now);
            return Some(Expired { database: name.0, name: name.1.into(), what });
        }
        let KeyValue::Hash(hash) = &key.value else { return None };
        let fields: Vec<Box<[u8]>> = hash.expired(now).map(Box::from).collect();
        if fields.is_empty() {
            return None;
        }
        self.forget_fields(name, &fields);
        self.forgotten_at = self.forgotten_at.max(now);
        Some(Expired { database: name.0, name: name.1.into(), what: Gone::Fields(fields) })
    }
}

/// Bytes that memory brings up at once.
const LINE_BYTES: usize = 64;
/// Lines of one key that are worth it.
const FETCHED_LINES_MAX: usize = 8;

/// What went with its deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Of which database.
    pub database: u8,
    /// The key.
    pub name: Box<[u8]>,
    /// What went of it.
    pub what: Gone,
}

/// What of a key went with a deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// All of it.
    Key,
    /// These fields; others stay.
    Fields(Vec<Box<[u8]>>),
    /// The last of its fields, and with them the key, which had no deadline that has come.
    LastFields,
}

#[cfg(test)]
mod tests;
