//! `maxmemory-policy`: which keys go once all of them take more than `maxmemory`.
//!
//! What the process takes besides does not count: no key makes room for that. Of a few keys drawn by chance the one goes that was not used
//! for longest; how often keys are used is not noted, so that the policies which ask for that do the same.

use super::command::{Event, EventClass};
use super::executor::{tell, tell_gone};
use super::random::below;
use super::shared::Shared;
use crate::keyspace::{DATABASES, Key, Keyspace};

/// Which keys may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicted {
    /// Any.
    All,
    /// Those that have a deadline.
    Volatile,
}

impl Evicted {
    /// By the name of a policy; `None` where no key is to go.
    pub fn of_policy(policy: &str) -> Option<Evicted> {
        match policy.split('-').next() {
            Some("allkeys") => Some(Evicted::All),
            Some("volatile") => Some(Evicted::Volatile),
            _ => None,
        }
    }
}

/// So many keys of a database are looked at for the size of all.
const SAMPLES: usize = 64;
/// Of a large hash, so many fields are.
const FIELD_SAMPLES: usize = 5;
/// So many keys go at a time, so that nobody waits long for the keyspace.
const KEYS_MAX: usize = 1_000;
/// So often a key is drawn that may go.
const DRAWS_MAX: usize = 64;
/// Of so many that may, one goes.
const CANDIDATES: usize = 5;

/// Removes keys, some at a time, while they take more than they may. Whether more are to go.
pub fn evict(shared: &Shared) -> bool {
    let (Some(most), Some(evicted)) = (shared.config.memory_bytes_max(), shared.config.evicted()) else {
        shared.set_cannot_evict(false);
        return false;
    };
    let excess = bytes(&shared.keyspace.read(), shared.keyspace.now().micros()).saturating_sub(most);
    if excess == 0 {
        shared.set_cannot_evict(false);
        return false;
    }
    let mut events = Vec::new();
    let done = shared.keyspace.change(|keyspace, now| {
        let mut freed = 0;
        while freed < excess && events.len() < KEYS_MAX {
            let Some((database, key)) = draw(keyspace, evicted, now, events.is_empty()) else { break };
            freed += key.memory_bytes(FIELD_SAMPLES);
            let name = key.name.clone();
            keyspace.remove((database, &name));
            events.push(Event { class: EventClass::Evicted, event: "evicted", database, key: name });
        }
    });
    let is_done = done.is_ok() && !events.is_empty();
    shared.set_cannot_evict(!is_done);
    if is_done {
        shared.statistics.evicted.add(events.len());
        tell(shared, &events);
        tell_gone(shared, &events);
    }
    is_done
}

fn databases() -> impl Iterator<Item = u8> {
    (0..DATABASES).filter_map(|database| u8::try_from(database).ok())
}

/// Bytes that all keys take, about.
fn bytes(keyspace: &Keyspace, now: i64) -> usize {
    let of_database = |database| {
        let len = keyspace.len(database);
        let size = |key: &Key| key.memory_bytes(FIELD_SAMPLES);
        if len <= SAMPLES {
            return keyspace.iter(database, now).map(size).sum();
        }
        let sampled: usize = (0..SAMPLES).filter_map(|_| keyspace.random(database, now, below)).map(size).sum();
        (sampled / SAMPLES).saturating_mul(len)
    };
    databases().map(of_database).fold(0, usize::saturating_add)
}

/// A key that may go, of any database. Who insists gets one even where few may, at the price of a look at all.
fn draw(keyspace: &Keyspace, evicted: Evicted, now: i64, insists: bool) -> Option<(u8, &Key)> {
    let may_go = |key: &Key| evicted == Evicted::All || key.deadline.is_some();
    let len = |database| match evicted {
        Evicted::All => keyspace.len(database),
        Evicted::Volatile => keyspace.len_with_deadlines(database),
    };
    // The fuller a database is, the likelier.
    let all: usize = databases().map(len).sum();
    let mut at = if all == 0 { return None } else { below(all) };
    let database = databases().find(|database| {
        let is_here = at < len(*database);
        at = at.saturating_sub(len(*database));
        is_here
    })?;
    let drawn = (0..DRAWS_MAX).map_while(|_| keyspace.random(database, now, below)).filter(|key| may_go(key));
    let drawn = drawn.take(CANDIDATES).max_by_key(|key| key.used.idle_seconds(now));
    let mut all = keyspace.iter(database, now).filter(|_| insists);
    let key = drawn.or_else(|| all.find(|key| may_go(key)))?;
    Some((database, key))
}
