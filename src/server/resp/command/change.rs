//! Changes that many commands make, each with the events that Redis tells of it.

use super::{EventClass, Refusal, Writer};
use crate::keyspace::{Key, KeyValue, Keyspace};

impl Writer<'_> {
    /// Gives a key a string, whatever it held; `event` tells of it.
    pub fn set_string(&mut self, name: &[u8], bytes: Vec<u8>, deadline: Option<i64>, event: &'static str) {
        let database = self.database;
        // What is past its deadline is gone by now.
        if self.change(database, name).set_string((database, name), bytes, deadline) {
            self.notify(EventClass::New, "new", database, name);
        }
        self.notify(EventClass::String, event, database, name);
    }

    /// The keyspace, to give fields of a hash values; that it is new, where it is, is told of. A field at least is to be set then.
    ///
    /// # Errors
    /// The key holds something else.
    pub fn hash_to_fill(&mut self, name: &[u8]) -> Result<&mut Keyspace, Refusal> {
        let (database, now) = (self.database, self.now);
        match self.change(database, name).get((database, name), now).map(|key| &key.value) {
            Some(KeyValue::Hash(_)) => {}
            Some(KeyValue::String(_)) => return Err(Refusal::WRONG_TYPE),
            None => self.notify(EventClass::New, "new", database, name),
        }
        Ok(self.change_all())
    }

    /// Takes a key away. Whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let database = self.database;
        let removed = self.change(database, name).remove((database, name));
        if removed {
            self.notify(EventClass::Generic, "del", database, name);
        }
        removed
    }

    /// Takes a field out of a hash, which goes with its last one. Whether it was there. Of the field nothing is told.
    pub fn remove_field(&mut self, name: &[u8], field: &[u8]) -> bool {
        let database = self.database;
        self.change(database, name).remove_field((database, name), field)
    }

    /// Gives a key that is there a deadline, or takes it away where that has come.
    pub fn expire(&mut self, name: &[u8], deadline: i64) {
        if deadline <= self.now {
            self.remove(name);
            return;
        }
        let database = self.database;
        self.change(database, name).set_deadline((database, name), Some(deadline));
        self.notify(EventClass::Generic, "expire", database, name);
    }

    /// Takes the deadline of a key that is there away. Whether it had one.
    pub fn persist(&mut self, name: &[u8]) -> bool {
        let database = self.database;
        let had_deadline = self.deadline(name).is_some();
        if had_deadline {
            self.change(database, name).set_deadline((database, name), None);
            self.notify(EventClass::Generic, "persist", database, name);
        }
        had_deadline
    }

    /// When a key goes, if it is there and does.
    pub fn deadline(&self, name: &[u8]) -> Option<i64> {
        self.key_of(self.database, name).and_then(|key| key.deadline)
    }

    /// A key of any database, if it is there.
    pub fn key_of(&self, database: u8, name: &[u8]) -> Option<&Key> {
        self.reader_of(database).key(name)
    }
}
