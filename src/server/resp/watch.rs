//! Keys that transactions watch.
//!
//! As in Redis a key counts as changed once a command changed it, even back to what it was: so writes raise flags, and a
//! transaction looks at its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::sync::lock;
use crate::keyspace::{Changed, Keyspace};

/// A watched key: its database and name.
type WatchedKey = (u8, Box<[u8]>);
/// Who watches it: whose flag is raised.
type Watchers = HashMap<u64, Arc<AtomicBool>>;

/// All watched keys of a server.
#[derive(Debug, Default)]
pub struct WatchRegistry {
    keys: Mutex<HashMap<WatchedKey, Watchers>>,
    /// How many keys there are, so that writes ask for no lock while there is none.
    len: AtomicUsize,
}

impl WatchRegistry {
    /// How many keys are watched.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Raises the flags of who watches this key, which is none of the keyspace's; otherwise as [`WatchRegistry::raise_changed`].
    pub fn raise(&self, database: u8, key: &[u8]) {
        if self.len() > 0 {
            let watched = (database, key.into());
            lock(&self.keys).get(&watched).into_iter().for_each(raise);
        }
    }

    /// Raises the flags of who watches a key that the group changed after a mark. Called under the lock of the keyspace's writes, as
    /// flags are looked at under the one of its reads at least.
    pub fn raise_changed(&self, keyspace: &Keyspace, mark: usize, now: i64) {
        if self.len() == 0 {
            return;
        }
        let keys = lock(&self.keys);
        for changed in keyspace.changed_since(mark) {
            match changed {
                Changed::Key((database, key)) => keys.get(&(database, key.into())).into_iter().for_each(raise),
                Changed::Database(database, emptied) => {
                    let went = |(of, key): &WatchedKey| *of == database && emptied.had(key, now);
                    keys.iter().filter(|(watched, _)| went(watched)).for_each(|(_, watchers)| raise(watchers));
                }
            }
        }
    }
}

fn raise(watchers: &Watchers) {
    watchers.values().for_each(|flag| flag.store(true, Ordering::Release));
}

/// What one client watches. It ends with the client.
#[derive(Debug)]
pub struct Watches {
    registry: Arc<WatchRegistry>,
    client: u64,
    /// Raised once one of the keys was changed.
    flag: Arc<AtomicBool>,
    /// The keys, and whether each was there: one that was and went with its deadline has changed.
    keys: Vec<(WatchedKey, bool)>,
}

impl Watches {
    /// None yet.
    pub fn new(registry: Arc<WatchRegistry>, client: u64) -> Watches {
        Watches { registry, client, flag: Arc::default(), keys: Vec::new() }
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Watches a key of `keyspace` from here on.
    pub fn watch(&mut self, database: u8, key: &[u8], keyspace: &Keyspace, now: i64) {
        let watched = (database, Box::from(key));
        let mut keys = lock(&self.registry.keys);
        let watchers = keys.entry(watched.clone()).or_default();
        if watchers.insert(self.client, Arc::clone(&self.flag)).is_none() {
            self.keys.push((watched, keyspace.get((database, key), now).is_some()));
        }
        self.registry.len.store(keys.len(), Ordering::Release);
    }

    /// Whether one of the keys was changed, or went.
    pub fn are_touched(&self, keyspace: &Keyspace, now: i64) -> bool {
        self.flag.load(Ordering::Acquire)
            || self
                .keys
                .iter()
                .any(|((database, key), was_there)| *was_there && keyspace.get((*database, key), now).is_none())
    }

    /// Watches nothing.
    pub fn clear(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        let mut keys = lock(&self.registry.keys);
        for (watched, _) in self.keys.drain(..) {
            let Some(watchers) = keys.get_mut(&watched) else { continue };
            watchers.remove(&self.client);
            if watchers.is_empty() {
                keys.remove(&watched);
            }
        }
        self.registry.len.store(keys.len(), Ordering::Release);
        drop(keys);
        self.flag = Arc::default();
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watched_key_is_touched_by_a_change_and_by_its_deadline_and_by_no_other_key() {
        let registry = Arc::new(WatchRegistry::default());
        let mut keyspace = Keyspace::new(1);
        keyspace.begin(1, 0);
        keyspace.set_string((0, b"short"), b"x".to_vec(), Some(10));
        let mut watches = Watches::new(Arc::clone(&registry), 1);
        watches.watch(0, b"a", &keyspace, 0);
        watches.watch(0, b"short", &keyspace, 0);
        let mark = keyspace.mark();
        keyspace.set_string((1, b"a"), b"x".to_vec(), None);
        keyspace.set_string((0, b"b"), b"x".to_vec(), None);
        registry.raise_changed(&keyspace, mark, 0);
        assert!(!watches.are_touched(&keyspace, 9));
        assert!(watches.are_touched(&keyspace, 10), "its deadline is there");
        keyspace.set_field((0, b"a"), b"f", b"x");
        registry.raise_changed(&keyspace, mark, 0);
        assert!(watches.are_touched(&keyspace, 9));
        watches.clear();
        assert!(!watches.are_touched(&keyspace, 9));
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn a_flush_touches_keys_that_are_there() {
        let registry = Arc::new(WatchRegistry::default());
        let mut keyspace = Keyspace::new(1);
        keyspace.begin(1, 0);
        keyspace.set_string((3, b"a"), b"x".to_vec(), None);
        let mut of_present = Watches::new(Arc::clone(&registry), 1);
        of_present.watch(3, b"a", &keyspace, 0);
        let mut of_absent = Watches::new(Arc::clone(&registry), 2);
        of_absent.watch(3, b"b", &keyspace, 0);
        let mark = keyspace.mark();
        keyspace.truncate(2);
        registry.raise_changed(&keyspace, mark, 0);
        assert!(!of_present.are_touched(&keyspace, 0));
        keyspace.truncate(3);
        // As a key of this name is there again, only the flag can tell.
        keyspace.set_string((3, b"a"), b"x".to_vec(), None);
        registry.raise_changed(&keyspace, mark, 0);
        assert!(of_present.are_touched(&keyspace, 0));
        assert!(!of_absent.are_touched(&keyspace, 0));
        drop((of_present, of_absent));
        assert_eq!(registry.len(), 0);
    }
}
