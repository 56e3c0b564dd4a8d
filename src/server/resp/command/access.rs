//! Keys as a command sees them: of one database, at one instant.

use std::cell::Cell;

use super::Refusal;
use crate::keyspace::{Expired, Gone, Hash, Key, KeyValue, Keyspace, StringValue};

/// What a command that only looks at keys is given.
#[derive(Debug)]
pub struct Reader<'a> {
    /// All keys. What is read here past [`Reader::key`] is to be named to [`Reader::depend_on`].
    pub keyspace: &'a Keyspace,
    /// The database that the connection selected.
    pub database: u8,
    /// The instant that deadlines are compared with, microseconds since 1970.
    pub now: i64,
    depends_on: Cell<u64>,
    /// Whether it is noted that values were used.
    notes_use: bool,
}

impl<'a> Reader<'a> {
    /// Keys of a database at an instant.
    pub fn new(keyspace: &'a Keyspace, database: u8, now: i64) -> Reader<'a> {
        Reader { keyspace, database, now, depends_on: Cell::new(0), notes_use: true }
    }

    /// Looking at values counts as no use of them.
    pub fn untouching(self) -> Reader<'a> {
        Reader { notes_use: false, ..self }
    }

    /// The greatest ticket of what was seen: the answer waits until that group is durable.
    pub fn depends_on(&self) -> u64 {
        self.depends_on.get()
    }

    /// The answer is none before the group of this ticket is durable.
    pub fn depend_on(&self, ticket: u64) {
        self.depends_on.set(self.depends_on.get().max(ticket));
    }

    /// A key of the database, if it is there.
    #[inline]
    pub fn key(&self, name: &[u8]) -> Option<&'a Key> {
        let key = self.keyspace.get((self.database, name), self.now);
        self.depend_on(key.map_or_else(|| self.keyspace.removed(self.database), |key| key.changed));
        key
    }

    /// As [`Reader::key`], which is used by this.
    #[inline]
    pub fn used_key(&self, name: &[u8]) -> Option<&'a Key> {
        let key = self.key(name);
        if let Some(key) = key.filter(|_| self.notes_use) {
            key.used.note(self.now);
        }
        key
    }

    /// The string that a key holds.
    ///
    /// # Errors
    /// It holds something else.
    #[inline]
    pub fn string(&self, name: &[u8]) -> Result<Option<&'a StringValue>, Refusal> {
        match self.used_key(name).map(|key| &key.value) {
            None => Ok(None),
            Some(KeyValue::String(string)) => Ok(Some(string)),
            Some(KeyValue::Hash(_)) => Err(Refusal::WRONG_TYPE),
        }
    }

    /// The hash that a key holds.
    ///
    /// # Errors
    /// It holds something else.
    #[inline]
    pub fn hash(&self, name: &[u8]) -> Result<Option<&'a Hash>, Refusal> {
        match self.used_key(name).map(|key| &key.value) {
            None => Ok(None),
            Some(KeyValue::Hash(hash)) => Ok(Some(hash)),
            Some(KeyValue::String(_)) => Err(Refusal::WRONG_TYPE),
        }
    }
}

/// What a command that may change keys is given. What it changes is changed through [`Writer::change`], after which it tells of it with
/// [`Writer::notify`].
#[derive(Debug)]
pub struct Writer<'a> {
    keyspace: &'a mut Keyspace,
    /// The database that the connection selected.
    pub database: u8,
    /// As in [`Reader`]; and the event time of what is changed.
    pub now: i64,
    events: &'a mut Vec<Event>,
    /// Whether anybody is to be told of anything.
    tells: bool,
}

impl<'a> Writer<'a> {
    /// Keys of a database at an instant, and where to tell of changes.
    pub fn new(keyspace: &'a mut Keyspace, database: u8, now: i64, events: &'a mut Vec<Event>) -> Writer<'a> {
        Writer { keyspace, database, now, events, tells: true }
    }

    /// Nobody is to be told of changes.
    pub fn silent(self) -> Writer<'a> {
        Writer { tells: false, ..self }
    }

    /// The keys as they are.
    pub fn reader(&self) -> Reader<'_> {
        self.reader_of(self.database)
    }

    /// The keys of a database as they are.
    pub(super) fn reader_of(&self, database: u8) -> Reader<'_> {
        Reader::new(self.keyspace, database, self.now)
    }

    /// The keyspace, to change a key of it: what is past its deadline of it is removed first, and told of.
    pub fn change(&mut self, database: u8, name: &[u8]) -> &mut Keyspace {
        if let Some(expired) = self.keyspace.forget_expired((database, name), self.now)
            && self.tells
        {
            Event::of_expired(expired, self.events);
        }
        self.keyspace
    }

    /// The keyspace, to empty a database of it, or to go on with a key after [`Writer::change`].
    pub fn change_all(&mut self) -> &mut Keyspace {
        self.keyspace
    }

    /// Tells of a change to who listens, when it is durable.
    pub fn notify(&mut self, class: EventClass, event: &'static str, database: u8, key: &[u8]) {
        if self.tells {
            self.events.push(Event { class, event, database, key: key.into() });
        }
    }
}

/// A change that keyspace notifications tell of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which class of `notify-keyspace-events` it is of.
    pub class: EventClass,
    /// Its name.
    pub event: &'static str,
    /// Of which database.
    pub database: u8,
    /// The key.
    pub key: Box<[u8]>,
}

impl Event {
    /// Tells of what went with its deadline.
    pub fn of_expired(Expired { database, name: key, what }: Expired, events: &mut Vec<Event>) {
        match what {
            Gone::Key => events.push(Event { class: EventClass::Expired, event: "expired", database, key }),
            Gone::Fields(_) => events.push(Event { class: EventClass::Hash, event: "hexpired", database, key }),
            Gone::LastFields => {
                events.push(Event { class: EventClass::Hash, event: "hexpired", database, key: key.clone() });
                events.push(Event { class: EventClass::Generic, event: "del", database, key });
            }
        }
    }
}

/// Classes of events, by the letters of `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventClass {
    /// `g`: of commands for keys of any type.
    Generic,
    /// `$`: of strings.
    String,
    /// `h`: of hashes.
    Hash,
    /// `x`: a key went with its deadline.
    Expired,
    /// `e`: a key went as keys took more memory than they may.
    Evicted,
    /// `n`: a key is new.
    New,
}
