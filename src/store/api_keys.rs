//! API keys: who may use the store over the network.

use std::sync::Arc;

use super::Store;
#[cfg(feature = "server")]
use super::Writes;
#[cfg(feature = "server")]
use crate::api_key::{ApiKey, Scope};
use crate::engine::Engine;
use crate::engine::summary::KeySummary;
use crate::error::Result;
use crate::registry::records::KeyRecord;

impl Store {
    /// Makes an API key. Its text is in what this gives and nowhere else: the store keeps a digest of it. It opens `views`, of any
    /// version, or all there are and will be where there are none; the keyspace of the Redis protocol is `_keyspace`.
    ///
    /// Once a store has had a key, its servers serve nobody who does not show one, even if all of them were revoked.
    ///
    /// ```
    /// # use asof::Store;
    /// use asof::api_key::Scope;
    ///
    /// let store = Store::temporary()?;
    /// let (key, made) = store.create_key("trainer", &[Scope::Read], &[])?;
    /// assert!(key.text().starts_with("asof_"));
    /// store.revoke_key("trainer")?;
    /// assert_eq!(store.keys()?[0].id, made.id);
    /// assert!(store.keys()?[0].revoked_at.is_some());
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// The name is none, or that of another key in force. There is no scope, or no such view; `admin` is asked for, which is over the
    /// whole store, for some views alone.
    #[cfg(feature = "server")]
    pub fn create_key(&self, name: &str, scopes: &[Scope], views: &[&str]) -> Result<(ApiKey, KeySummary)> {
        use crate::error::Error;
        if scopes.is_empty() {
            return Err(Error::invalid("a key has to be for something").remedy("give it read, write or admin"));
        }
        if scopes.contains(&Scope::Admin) && !views.is_empty() {
            return Err(Error::invalid("admin is over the whole store, not over some views")
                .remedy("leave the views out, or give read and write"));
        }
        let key = ApiKey::random()?;
        let mut record = KeyRecord {
            id: key.id().to_owned(),
            name: name.to_owned(),
            sha256: key.digest(),
            scopes: scopes.to_vec(),
            views: views.iter().map(|view| (*view).to_owned()).collect(),
            created_at_us: 0,
            revoked_at_us: None,
        };
        record.scopes.sort_unstable();
        record.scopes.dedup();
        record.views.sort_unstable();
        record.views.dedup();
        // Only the digest goes to another process.
        let summary = match &self.writes {
            Writes::There(holder) => holder.add_key(record)?,
            _ => self.add_key(record)?,
        };
        Ok((key, summary))
    }

    /// The API keys that were made, by id, those included that were revoked.
    ///
    /// # Errors
    /// In a process that only reads: the registry cannot be read.
    pub fn keys(&self) -> Result<Vec<KeySummary>> {
        let picture = self.reads.sight()?.picture;
        Ok(picture.state.keys().map(|record| KeySummary::from(&**record)).collect())
    }

    /// Revokes an API key, by its id or its name: servers end the connections that came with it, within a second.
    ///
    /// # Errors
    /// No key in force is called that.
    pub fn revoke_key(&self, id_or_name: &str) -> Result<KeySummary> {
        if let super::Writes::There(holder) = &self.writes {
            return holder.revoke_key(id_or_name);
        }
        Ok(KeySummary::from(&self.engine()?.revoke_key(id_or_name)?))
    }

    /// Keeps the record of a key, in the process that writes.
    pub(super) fn add_key(&self, record: KeyRecord) -> Result<KeySummary> {
        Ok(KeySummary::from(&self.engine()?.add_key(record)?))
    }

    /// The keys as a server holds what it is shown against them.
    ///
    /// # Errors
    /// `Refused`: the store was opened for reading, or another process holds it.
    pub fn key_records(&self) -> Result<KeyRecords> {
        Ok(KeyRecords { engine: Arc::clone(self.engine()?) })
    }
}

/// The API keys of an open store, as they change. Clones share them.
#[derive(Clone, Debug)]
pub struct KeyRecords {
    engine: Arc<Engine>,
}

impl KeyRecords {
    /// Another number whenever keys may have changed: one load, for whoever asks often. Read before [`KeyRecords::all`], it misses
    /// nothing.
    pub fn revision(&self) -> u64 {
        self.engine.keys_revision()
    }

    /// All keys, those included that were revoked.
    pub fn all(&self) -> Vec<Arc<KeyRecord>> {
        self.engine.keys()
    }
}

#[cfg(all(test, feature = "resp"))]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn keys_survive_the_loss_of_either_file_that_has_them() {
        let folder = Store::temporary().unwrap();
        let path = folder.path().with_file_name("store-with-keys");
        let store = Store::open(&path).unwrap();
        let (key, made) = store.create_key("feast", &[Scope::Write, Scope::Read, Scope::Read], &["_keyspace"]).unwrap();
        assert_eq!((made.scopes, made.views), (vec![Scope::Read, Scope::Write], vec!["_keyspace".to_owned()]));
        store.create_key("gone", &[Scope::Admin], &[]).unwrap();
        let gone = store.revoke_key("gone").unwrap();
        assert!(gone.revoked_at.is_some_and(|at| at >= gone.created_at));
        let before = store.keys().unwrap();
        assert_eq!(before.iter().filter(|known| known.id == key.id() && known.name == "feast").count(), 1);
        drop(store);
        for lost in ["registry.redb", "MANIFEST"] {
            std::fs::remove_file(path.join(lost)).unwrap();
            assert_eq!(Store::open(&path).unwrap().keys().unwrap(), before, "{lost}");
        }
        assert_eq!(Store::builder().open_read_only(&path).unwrap().keys().unwrap(), before);
    }

    #[test]
    fn a_key_that_opens_nothing_or_what_is_not_there_is_not_made() {
        let store = Store::temporary().unwrap();
        let kind = |scopes: &[Scope], views: &[&str]| store.create_key("k", scopes, views).unwrap_err().kind();
        assert_eq!(kind(&[], &[]), ErrorKind::Invalid);
        assert_eq!(kind(&[Scope::Admin], &["_keyspace"]), ErrorKind::Invalid);
        assert_eq!(kind(&[Scope::Read], &["nowhere"]), ErrorKind::NotFound);
        assert_eq!(kind(&[Scope::Read], &["weather@2"]), ErrorKind::Invalid, "a key is for all versions");
        assert!(store.keys().unwrap().is_empty());
        assert_eq!(store.revoke_key("k").unwrap_err().kind(), ErrorKind::NotFound);
        store.create_key("k", &[Scope::Read], &[]).unwrap();
        assert_eq!(kind(&[Scope::Read], &[]), ErrorKind::Refused, "the name is taken");
    }
}
