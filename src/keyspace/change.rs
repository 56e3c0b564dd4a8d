//! Changes of keys, each with what undoes it.

use super::hash::{FieldBefore, Hash};
use super::key::{Key, KeyValue, LastUse, StringValue};
use super::{Database, Keyspace};
use crate::error::Result;
use crate::format::keyspace::{Change, KeyName};

/// What a change is undone by.
#[derive(Debug)]
pub(super) struct Undo {
    pub(super) database: u8,
    pub(super) name: Box<[u8]>,
    pub(super) before: Before,
}

/// What a key, or a database, was like before a change.
#[derive(Debug)]
pub(super) enum Before {
    /// The key as it was.
    Key(Box<Key>),
    /// There was no such key.
    NoKey,
    /// It had another name, in that database; and the key that had this one.
    Renamed(u8, Box<[u8]>, Option<Box<Key>>),
    Deadline(Option<i64>),
    Field(Box<[u8]>, Option<FieldBefore>),
    /// All fields of a hash.
    Fields(Box<Hash>),
    FieldDeadline(Box<[u8]>, Option<i64>),
    /// The bytes from an offset on, how many there were in all, and whether they had been written to in parts.
    Bytes {
        offset: usize,
        bytes: Box<[u8]>,
        len: usize,
        is_in_parts: bool,
    },
    Database(Box<Database>),
}

impl Keyspace {
    /// Begins a group: changes from here on have this ticket and this event time, are recorded, and are undone together.
    pub fn begin(&mut self, ticket: u64, now: i64) {
        self.ticket = ticket;
        self.undo.clear();
        self.records.begin(now);
    }

    /// The records of the group's changes, back to back, and how many they are.
    ///
    /// # Errors
    /// One cannot be recorded, for a name that is too long: the group is to be undone. [`check_name`](super::check_name) tells before.
    pub fn take_records(&mut self) -> Result<(Vec<u8>, u32)> {
        self.records.take()
    }

    /// Bytes of the group's records so far.
    pub fn recorded_bytes(&self) -> usize {
        self.records.bytes()
    }

    /// Ends the group: what it changed stays.
    pub fn keep(&mut self) {
        self.undo.clear();
        self.records.end();
    }

    /// Ends the group: what it changed is as it was before.
    pub fn undo(&mut self) {
        self.records.end();
        while let Some(Undo { database, name, before }) = self.undo.pop() {
            match before {
                Before::Key(key) => drop(self.put(database, *key)),
                Before::NoKey => drop(self.take((database, &name))),
                Before::Renamed(from, old_name, replaced) => {
                    if let Some(mut key) = self.take((database, &name)) {
                        key.name = old_name;
                        self.put(from, key);
                    }
                    if let Some(replaced) = replaced {
                        self.put(database, *replaced);
                    }
                }
                Before::Deadline(deadline) => {
                    self.put_deadline((database, &name), deadline);
                }
                Before::Field(field, before) => self.undo_field((database, &name), &field, before),
                Before::Fields(before) => {
                    self.with_hash((database, &name), |hash| *hash = *before);
                }
                Before::FieldDeadline(field, deadline) => {
                    self.put_field_deadline((database, &name), &field, deadline);
                }
                Before::Bytes { offset, bytes, len, is_in_parts } => {
                    self.with_string((database, &name), |string| {
                        string.bytes[offset..offset + bytes.len()].copy_from_slice(&bytes);
                        string.bytes.truncate(len);
                        string.is_in_parts = is_in_parts;
                    });
                }
                Before::Database(before) => {
                    self.walk_loses(database);
                    self.databases[usize::from(database)] = *before;
                }
            }
        }
    }

    fn undo_field(&mut self, key: KeyName<'_>, field: &[u8], before: Option<FieldBefore>) {
        let (limits, seed) = (self.packed_limits, self.seed);
        let deadline = before.as_ref().and_then(|before| before.deadline);
        self.with_hash(key, |hash| match before {
            Some(before) => drop(hash.set(field, &before.value, limits, seed)),
            None => drop(hash.remove(field)),
        });
        if deadline.is_some() {
            self.put_field_deadline(key, field, deadline);
        }
    }

    /// Gives a key a string, whatever it held. Whether it is new.
    pub fn set_string(&mut self, key: KeyName<'_>, bytes: Vec<u8>, deadline: Option<i64>) -> bool {
        let (database, name) = key;
        self.records.push(key, Change::SetString(&bytes, deadline));
        let value = KeyValue::String(StringValue { bytes, is_in_parts: false });
        let used = LastUse::at(self.records.at());
        let before = self.put(database, Key { name: name.into(), value, deadline, changed: self.ticket, used });
        let is_new = before.is_none();
        self.note(key, before.map_or(Before::NoKey, |before| Before::Key(Box::new(before))));
        is_new
    }

    /// Writes bytes into the string that a key holds, from `offset` on, after zeros where it is shorter. Whether the key holds
    /// one.
    pub fn write_string(&mut self, key: KeyName<'_>, offset: usize, bytes: &[u8]) -> bool {
        let before = self.with_string(key, |string| {
            let (len, end) = (string.bytes.len(), offset + bytes.len());
            let start = offset.min(len);
            let before = Before::Bytes {
                offset: start,
                bytes: string.bytes[start..end.clamp(start, len)].into(),
                len,
                is_in_parts: string.is_in_parts,
            };
            if end > len {
                string.bytes.resize(end, 0);
            }
            string.bytes[offset..end].copy_from_slice(bytes);
            string.is_in_parts = true;
            before
        });
        let Some(before) = before else { return false };
        self.records.push(key, Change::WriteString(offset as u64, bytes));
        self.note(key, before)
    }

    /// Gives a field of a hash a value, and no deadline; the hash is made where there is no key. Whether the field is new.
    ///
    /// # Panics
    /// The key holds a string.
    pub fn set_field(&mut self, key: KeyName<'_>, field: &[u8], value: &[u8]) -> bool {
        self.records.push_field(key, field, value);
        let (limits, seed) = (self.packed_limits, self.seed);
        match self.with_hash(key, |hash| hash.set(field, value, limits, seed)) {
            Some(before) => {
                let is_new = before.is_none();
                self.note(key, Before::Field(field.into(), before));
                is_new
            }
            None => {
                let mut hash = Hash::default();
                hash.set(field, value, limits, seed);
                self.put_hash(key, hash);
                true
            }
        }
    }

    /// [`Keyspace::set_field`] of several. How many are new.
    ///
    /// # Panics
    /// The key holds a string.
    pub fn set_fields<'a>(
        &mut self,
        key: KeyName<'_>,
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> usize {
        let (limits, seed, count) = (self.packed_limits, self.seed, pairs.clone().count());
        let set = self.with_hash(key, |hash| {
            let before = hash.copy_for_undo(count)?;
            Some((Box::new(before), hash.set_all(pairs.clone(), limits, seed)))
        });
        match set {
            Some(Some((before, added))) => {
                pairs.for_each(|(field, value)| self.records.push_field(key, field, value));
                self.note(key, Before::Fields(before));
                added
            }
            Some(None) => pairs.map(|(field, value)| usize::from(self.set_field(key, field, value))).sum(),
            None => {
                pairs.clone().for_each(|(field, value)| self.records.push_field(key, field, value));
                let mut hash = Hash::default();
                let added = hash.set_all(pairs, limits, seed);
                self.put_hash(key, hash);
                added
            }
        }
    }

    /// A new key that holds this.
    fn put_hash(&mut self, key: KeyName<'_>, hash: Hash) {
        let (used, value) = (LastUse::at(self.records.at()), KeyValue::Hash(hash));
        let made = Key { name: key.1.into(), value, deadline: None, changed: self.ticket, used };
        assert!(self.put(key.0, made).is_none(), "a string has no fields");
        self.note(key, Before::NoKey);
    }

    /// Takes a field out of a hash, and with the last one the key. Whether it was there.
    pub fn remove_field(&mut self, key: KeyName<'_>, field: &[u8]) -> bool {
        let removed = self.with_hash(key, |hash| {
            let is_only = hash.len_with_expired() == 1 && hash.has_with_expired(field);
            if is_only { (true, None) } else { (false, hash.remove(field)) }
        });
        match removed {
            Some((true, _)) => self.remove(key),
            Some((false, Some(before))) => {
                self.records.push(key, Change::DeleteField(field));
                self.note(key, Before::Field(field.into(), Some(before)))
            }
            Some((false, None)) | None => false,
        }
    }

    /// Says when a field that is there goes, or that it stays.
    pub fn set_field_deadline(&mut self, key: KeyName<'_>, field: &[u8], deadline: Option<i64>) {
        if let Some(before) = self.put_field_deadline(key, field, deadline) {
            self.records.push(key, Change::SetFieldDeadline(field, deadline));
            self.note(key, Before::FieldDeadline(field.into(), before));
        }
    }

    /// Says when a key that is there goes, or that it stays.
    pub fn set_deadline(&mut self, key: KeyName<'_>, deadline: Option<i64>) {
        if let Some(before) = self.put_deadline(key, deadline) {
            self.records.push(key, Change::SetDeadline(deadline));
            self.note(key, Before::Deadline(before));
        }
    }

    /// Takes a key away. Whether it was there.
    pub fn remove(&mut self, key: KeyName<'_>) -> bool {
        let Some(removed) = self.take(key) else { return false };
        self.records.push(key, Change::Delete);
        self.note(key, Before::Key(Box::new(removed)))
    }

    /// Gives `to` what `from` holds, and its deadline, in place of what it held; `from` is then gone. Whether `from` was there.
    pub fn rename(&mut self, from: KeyName<'_>, to: KeyName<'_>) -> bool {
        let Some(mut key) = self.take(from) else { return false };
        key.name = to.1.into();
        key.changed = self.ticket;
        let replaced = self.put(to.0, key).map(Box::new);
        self.walk_again(to);
        self.records.push(to, Change::TakeOver(from));
        self.records.push(from, Change::Delete);
        self.note(to, Before::Renamed(from.0, from.1.into(), replaced))
    }

    /// Gives `to` a copy of what `from` holds, and its deadline, in place of what it held. Whether `from` was there.
    pub fn copy(&mut self, from: KeyName<'_>, to: KeyName<'_>) -> bool {
        let Some(original) = self.databases[usize::from(from.0)].keys.get(from.1) else { return false };
        let copy = Key { name: to.1.into(), changed: self.ticket, ..original.clone() };
        let before = self.put(to.0, copy);
        self.walk_again(to);
        self.records.push(to, Change::TakeOver(from));
        self.note(to, before.map_or(Before::NoKey, |before| Before::Key(Box::new(before))))
    }

    /// Takes all keys of a database away.
    pub fn truncate(&mut self, database: u8) {
        self.walk_loses(database);
        let empty = Database { removed: self.ticket, ..Database::new(self.seed) };
        let before = std::mem::replace(&mut self.databases[usize::from(database)], empty);
        self.records.push((database, &[]), Change::Truncate);
        self.note((database, &[]), Before::Database(Box::new(before)));
    }

    /// Within a group, how a change is undone. True, so that one expression says that it was made.
    fn note(&mut self, (database, name): KeyName<'_>, before: Before) -> bool {
        if self.records.is_open() {
            self.undo.push(Undo { database, name: name.into(), before });
        }
        true
    }

    /// Does what a record says that was made at `at`. Records are taken in the order of their numbers, outside of groups.
    ///
    /// # Panics
    /// A group is open: it would be recorded again.
    pub fn replay(&mut self, key: KeyName<'_>, change: Change<'_>, at: i64) {
        assert!(!self.records.is_open(), "what is replayed was recorded");
        self.forget_expired(key, at);
        let held = self.databases[usize::from(key.0)].keys.get(key.1).map(|key| &key.value);
        match change {
            Change::SetString(bytes, deadline) => {
                self.set_string(key, bytes.to_vec(), deadline);
            }
            Change::WriteString(offset, bytes) => {
                if let Ok(offset) = usize::try_from(offset) {
                    self.write_string(key, offset, bytes);
                }
            }
            Change::SetFields(pairs) if !matches!(held, Some(KeyValue::String(_))) => {
                self.set_fields(key, pairs.iter());
            }
            Change::SetFields(_) => {}
            Change::WriteField(field, offset, bytes) => {
                if let Ok(offset) = usize::try_from(offset) {
                    self.write_field(key, field, offset, bytes);
                }
            }
            Change::Delete => drop(self.take(key)),
            Change::DeleteField(field) => {
                self.remove_field(key, field);
            }
            Change::SetDeadline(deadline) => self.set_deadline(key, deadline),
            Change::SetFieldDeadline(field, deadline) => self.set_field_deadline(key, field, deadline),
            Change::TakeOver(from) => {
                self.forget_expired(from, at);
                self.copy(from, key);
            }
            Change::Truncate => self.truncate(key.0),
        }
    }

    /// Writes bytes into the value of a field, from `offset` on.
    pub(super) fn write_field(&mut self, key: KeyName<'_>, field: &[u8], offset: usize, bytes: &[u8]) {
        let (limits, seed) = (self.packed_limits, self.seed);
        self.with_hash(key, |hash| {
            let mut value = hash.remove(field).map(|before| before.value.into_vec()).unwrap_or_default();
            value.resize(value.len().max(offset + bytes.len()), 0);
            value[offset..offset + bytes.len()].copy_from_slice(bytes);
            hash.set(field, &value, limits, seed);
        });
    }

    /// Changes a key that is in memory, past its deadline or not.
    fn change<T>(&mut self, name: KeyName<'_>, change: impl FnOnce(&mut Key) -> T) -> Option<T> {
        let ticket = self.ticket;
        self.alter(name, |key| {
            key.changed = ticket;
            change(key)
        })
    }

    /// As [`Keyspace::change`], and no answer depends on it. Whatever happens to keys goes through here, [`Keyspace::put`] or
    /// [`Keyspace::take`]: they keep the deadlines.
    fn alter<T>(&mut self, (database, name): KeyName<'_>, alter: impl FnOnce(&mut Key) -> T) -> Option<T> {
        let database = &mut self.databases[usize::from(database)];
        let key = database.keys.get_mut(name)?;
        let before = key.earliest_deadline();
        let done = alter(key);
        database.deadlines.follow(name, before, key.earliest_deadline());
        Some(done)
    }

    fn with_string<T>(&mut self, key: KeyName<'_>, change: impl FnOnce(&mut StringValue) -> T) -> Option<T> {
        let change =
            |key: &mut Key| if let KeyValue::String(string) = &mut key.value { Some(change(string)) } else { None };
        self.change(key, change).flatten()
    }

    pub(super) fn with_hash<T>(&mut self, key: KeyName<'_>, change: impl FnOnce(&mut Hash) -> T) -> Option<T> {
        let change = |key: &mut Key| if let KeyValue::Hash(hash) = &mut key.value { Some(change(hash)) } else { None };
        self.change(key, change).flatten()
    }

    /// Takes fields out that are past their deadline; another stays. As nobody can see them, no answer depends on it.
    pub(super) fn forget_fields(&mut self, key: KeyName<'_>, fields: &[Box<[u8]>]) {
        self.alter(key, |key| {
            if let KeyValue::Hash(hash) = &mut key.value {
                fields.iter().for_each(|field| drop(hash.remove(field)));
            }
        });
    }

    /// Puts a key in; the one that had its name.
    fn put(&mut self, database: u8, key: Key) -> Option<Key> {
        self.walk_meets((database, &key.name));
        let database = &mut self.databases[usize::from(database)];
        let deadline = key.earliest_deadline();
        let going = deadline.map(|_| key.name.clone());
        let before = database.keys.insert(key);
        if let Some(name) = going.as_deref().or(before.as_ref().map(|before| &*before.name)) {
            database.deadlines.follow(name, before.as_ref().and_then(Key::earliest_deadline), deadline);
        }
        if before.is_none() {
            database.added = self.ticket;
        }
        before
    }

    /// Puts a key there as it is, outside of groups: nothing is recorded.
    pub fn place(&mut self, database: u8, key: Key) {
        drop(self.put(database, key));
    }

    /// Takes a key out, as [`Keyspace::place`] put it there.
    pub fn take_out(&mut self, name: KeyName<'_>) -> Option<Key> {
        self.take(name)
    }

    /// Takes a key out.
    pub(super) fn take(&mut self, (database, name): KeyName<'_>) -> Option<Key> {
        self.walk_meets((database, name));
        let database = &mut self.databases[usize::from(database)];
        let key = database.keys.remove(name)?;
        database.deadlines.follow(name, key.earliest_deadline(), None);
        database.removed = self.ticket;
        Some(key)
    }

    /// A key's deadline before; `None`: it is not there.
    pub(super) fn put_deadline(&mut self, key: KeyName<'_>, deadline: Option<i64>) -> Option<Option<i64>> {
        self.change(key, |key| std::mem::replace(&mut key.deadline, deadline))
    }

    /// A field's deadline before; `None`: its hash is not there.
    pub(super) fn put_field_deadline(
        &mut self,
        key: KeyName<'_>,
        field: &[u8],
        deadline: Option<i64>,
    ) -> Option<Option<i64>> {
        self.with_hash(key, |hash| hash.set_deadline(field, deadline))
    }
}
