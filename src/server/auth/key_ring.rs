//! The keys of a store, as they are now.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use subtle::ConstantTimeEq as _;

use super::access::{Access, Grant};
use crate::api_key::{digest_of, id_of};
use crate::store::KeyRecords;

/// What connections show is held against this. It follows the store: a key that is made or revoked is so for the next question.
#[derive(Debug)]
pub struct KeyRing {
    records: KeyRecords,
    held: RwLock<Arc<Held>>,
    /// Of what is held: its revision, and in the last two bits whether there is any key, and that there is something. Every request asks, and
    /// most of them for nothing else.
    told: AtomicU64,
}

/// All keys, as of a revision.
#[derive(Debug, Default)]
struct Held {
    /// `None`: they were not looked at yet.
    revision: Option<u64>,
    /// Those in force, by id, each with its digest.
    in_force: HashMap<Box<str>, (String, Arc<Grant>)>,
    /// Whether there is any key, be it revoked.
    has_any: bool,
}

impl KeyRing {
    /// Of the keys of a store.
    pub fn new(records: KeyRecords) -> KeyRing {
        KeyRing { records, held: RwLock::default(), told: AtomicU64::new(0) }
    }

    /// Another number whenever what this says may have changed. One load: cheap enough to ask before every batch of commands.
    #[inline]
    pub fn revision(&self) -> u64 {
        self.records.revision()
    }

    /// Whether a key has to be shown: once there has been one. Were that over with the last one's end, its revocation would open the
    /// store to everybody.
    pub fn is_required(&self) -> bool {
        let told = self.told.load(Ordering::Acquire);
        match told == telling(self.revision(), told & HAS_ANY != 0) {
            true => told & HAS_ANY != 0,
            false => self.held().has_any,
        }
    }

    /// How many keys are in force.
    pub fn len(&self) -> usize {
        self.held().in_force.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the key with this text opens, if it is one in force.
    pub fn admit(&self, text: &[u8]) -> Option<Arc<Grant>> {
        let held = self.held();
        // The id, which is no secret, finds the key. What is compared then takes the same time wherever it differs.
        let (digest, grant) = held.in_force.get(id_of(text)?)?;
        let is_it: bool = digest_of(text).as_bytes().ct_eq(digest.as_bytes()).into();
        is_it.then(|| Arc::clone(grant))
    }

    /// Whether what was granted once still is: its key is in force, or it showed none and needs none.
    pub fn still_grants(&self, grant: &Grant) -> bool {
        let held = self.held();
        grant.key.as_ref().map_or(!held.has_any, |key| held.in_force.contains_key(key))
    }

    fn held(&self) -> Arc<Held> {
        let revision = self.revision();
        let held = Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner));
        if held.revision == Some(revision) {
            return held;
        }
        // The revision is older than the keys, or as old: what changes now is noticed the next time.
        let records = self.records.all();
        let in_force = records.iter().filter(|record| record.revoked_at_us.is_none()).map(|record| {
            let grant = Grant {
                key: Some(record.id.as_str().into()),
                name: record.name.as_str().into(),
                access: Access::of(record),
            };
            (record.id.as_str().into(), (record.sha256.clone(), Arc::new(grant)))
        });
        let held =
            Arc::new(Held { revision: Some(revision), in_force: in_force.collect(), has_any: !records.is_empty() });
        let mut latest = self.held.write().unwrap_or_else(PoisonError::into_inner);
        *latest = Arc::clone(&held);
        self.told.store(telling(revision, held.has_any), Ordering::Release);
        held
    }
}

const HAS_ANY: u64 = 2;

/// What is told of keys of a revision.
fn telling(revision: u64, has_any: bool) -> u64 {
    revision << 2 | if has_any { HAS_ANY } else { 0 } | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::{ApiKey, Scope};
    use crate::store::Store;

    #[test]
    fn keys_open_from_the_moment_they_are_made_until_they_are_revoked() {
        let store = Store::temporary().unwrap();
        let ring = KeyRing::new(store.key_records().unwrap());
        assert!(!ring.is_required());
        let before = ring.revision();
        let (key, _) = store.create_key("reader", &[Scope::Read], &[]).unwrap();
        assert!(ring.is_required() && ring.revision() != before);
        let grant = ring.admit(key.text().as_bytes()).unwrap();
        assert_eq!((&*grant.name, grant.key.as_deref()), ("reader", Some(key.id())));
        assert!(grant.access.may(Scope::Read, None) && !grant.access.may(Scope::Write, None));
        assert!(ring.still_grants(&grant));
        store.revoke_key("reader").unwrap();
        assert!(ring.admit(key.text().as_bytes()).is_none() && !ring.still_grants(&grant));
    }

    #[test]
    fn the_end_of_the_last_key_opens_nothing() {
        let store = Store::temporary().unwrap();
        let ring = KeyRing::new(store.key_records().unwrap());
        let nobody = Grant { key: None, name: "default".into(), access: Access::EVERYTHING };
        assert!(ring.still_grants(&nobody));
        store.create_key("only", &[Scope::Admin], &[]).unwrap();
        assert!(!ring.still_grants(&nobody), "who came without a key before there was one");
        store.revoke_key("only").unwrap();
        assert!(ring.is_required() && ring.is_empty() && !ring.still_grants(&nobody));
    }

    #[test]
    fn no_part_of_a_key_opens_what_the_key_does() {
        let store = Store::temporary().unwrap();
        let ring = KeyRing::new(store.key_records().unwrap());
        let (key, _) = store.create_key("one", &[Scope::Read], &[]).unwrap();
        let (other, _) = store.create_key("two", &[Scope::Read], &[]).unwrap();
        let text = key.text();
        // Another key's secret under this one's id, the digest that is kept, a digit more or less, another last digit.
        let crossed = other.text().replacen(other.id(), key.id(), 1);
        let last = if text.ends_with('0') { '1' } else { '0' };
        let changed = format!("{}{last}", &text[..text.len() - 1]);
        let longer = format!("{text}0");
        let unknown = ApiKey::random().unwrap();
        for wrong in [&*crossed, &changed, &longer, &text[..text.len() - 1], &key.digest(), unknown.text(), ""] {
            assert!(ring.admit(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert!(ring.admit(text.as_bytes()).is_some());
    }
}
