//! A key with its value.

use std::sync::atomic::{AtomicU32, Ordering};

use super::hash::Hash;
use super::table::Named;

/// A key of a database.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name: any bytes.
    pub name: Box<[u8]>,
    /// What it holds.
    pub value: KeyValue,
    /// From this instant on it is not there, microseconds since 1970.
    pub deadline: Option<i64>,
    /// The ticket of the change that made it what it is.
    pub changed: u64,
    /// When it was used last.
    pub used: LastUse,
}

/// When a key was used, as far as that was noted; to about a second. Who only reads notes it, too.
#[derive(Debug, Default)]
pub struct LastUse(AtomicU32);

/// Microseconds of what uses are told apart by, as a power of two: a little more than a second.
const USE_SHIFT: u32 = 20;

impl LastUse {
    /// Used then, microseconds since 1970.
    pub fn at(now: i64) -> LastUse {
        LastUse(AtomicU32::new(units(now)))
    }

    /// Used again.
    #[inline]
    pub fn note(&self, now: i64) {
        let now = units(now);
        // Most often it is the same: nothing is written that others read.
        if self.0.load(Ordering::Relaxed) != now {
            self.0.store(now, Ordering::Relaxed);
        }
    }

    /// For how many seconds it was not used; 0 where no use was noted.
    pub fn idle_seconds(&self, now: i64) -> i64 {
        match self.0.load(Ordering::Relaxed) {
            0 => 0,
            used => (i64::from(units(now).saturating_sub(used)) << USE_SHIFT) / 1_000_000,
        }
    }
}

impl Clone for LastUse {
    fn clone(&self) -> LastUse {
        LastUse(AtomicU32::new(self.0.load(Ordering::Relaxed)))
    }
}

fn units(now: i64) -> u32 {
    u32::try_from(now >> USE_SHIFT).unwrap_or(0)
}

/// What a key holds.
#[derive(Clone, Debug)]
pub enum KeyValue {
    /// Any bytes.
    String(StringValue),
    /// Fields with values.
    Hash(Hash),
}

/// The bytes of a string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StringValue {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// It was written to in parts: `OBJECT ENCODING` then says `raw` even where it is short.
    pub is_in_parts: bool,
}

impl Named for Key {
    fn name(&self) -> &[u8] {
        &self.name
    }
}

impl Key {
    /// Whether it is there at `now`: before its deadline, and, of a hash, with a field.
    #[inline]
    pub fn is_there(&self, now: i64) -> bool {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return false;
        }
        match &self.value {
            KeyValue::String(_) => true,
            KeyValue::Hash(hash) => {
                hash.earliest_deadline().is_none_or(|earliest| earliest > now) || !hash.is_empty(now)
            }
        }
    }

    /// Bytes it takes in memory, about; of a large hash as its first `samples` fields suggest.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let of_value = match &self.value {
            KeyValue::String(string) => string.bytes.capacity(),
            KeyValue::Hash(hash) => hash.memory_bytes(samples),
        };
        // With the hash of the name, beside which it lies.
        size_of::<Key>() + size_of::<u64>() + self.name.len() + of_value
    }

    /// Whether it, or a field of it, has a deadline.
    pub fn has_deadlines(&self) -> bool {
        self.earliest_deadline().is_some()
    }

    /// When it, or the first of its fields, goes.
    pub fn earliest_deadline(&self) -> Option<i64> {
        let of_fields = match &self.value {
            KeyValue::String(_) => None,
            KeyValue::Hash(hash) => hash.earliest_deadline(),
        };
        match (self.deadline, of_fields) {
            (Some(of_key), Some(of_fields)) => Some(of_key.min(of_fields)),
            (of_key, of_fields) => of_key.or(of_fields),
        }
    }
}
