//! API keys in the registry: one more, one less, and how servers notice.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::core::{Effect, Engine};
use crate::definition::{ViewRef, check_name};
use crate::error::{Error, Result, nearest};
use crate::format::keyspace;
use crate::registry::RegistryState;
use crate::registry::records::KeyRecord;

impl Engine {
    /// Keeps a key, and says when it was made.
    ///
    /// # Errors
    /// Its name is none, or that of a key in force; it opens nothing, or a view that there is not. The registry cannot be written.
    pub fn add_key(&self, mut record: KeyRecord) -> Result<KeyRecord> {
        check_name("key", &record.name)?;
        let mut core = self.lock_core();
        let kept = self.commit_registry(
            &mut core,
            "key",
            |change, _, at_us| {
                check_new(change.before(), &record)?;
                record.created_at_us = at_us;
                change.put(&record)
            },
            Effect::default(),
        );
        self.note_keys();
        kept.map(|_| record)
    }

    /// From now on a key, by its id or its name, opens nothing.
    ///
    /// # Errors
    /// No key in force is called that. The registry cannot be written.
    pub fn revoke_key(&self, id_or_name: &str) -> Result<KeyRecord> {
        let mut core = self.lock_core();
        let mut revoked = None;
        let kept = self.commit_registry(
            &mut core,
            "key",
            |change, _, at_us| {
                let record = KeyRecord { revoked_at_us: Some(at_us), ..in_force(change.before(), id_or_name)?.clone() };
                change.put(&record)?;
                revoked = Some(record);
                Ok(())
            },
            Effect::default(),
        );
        self.note_keys();
        kept.and_then(|_| revoked.ok_or_else(|| unknown_key(id_or_name)))
    }

    /// All keys, those included that were revoked.
    pub fn keys(&self) -> Vec<Arc<KeyRecord>> {
        self.reads.picture().state.keys().cloned().collect()
    }

    /// Another number whenever keys may have changed. Who reads it before [`Engine::keys`] misses nothing.
    pub fn keys_revision(&self) -> u64 {
        self.keys_revision.load(Ordering::Acquire)
    }

    /// After the picture says so. An error may have come after the change took place, so that one more is never wrong.
    fn note_keys(&self) {
        self.keys_revision.fetch_add(1, Ordering::Release);
    }
}

fn check_new(state: &RegistryState, record: &KeyRecord) -> Result<()> {
    let is_digest = record.sha256.len() == 64 && record.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_digest || record.scopes.is_empty() || record.revoked_at_us.is_some() {
        return Err(Error::invalid("this is no key that could be used").at(&record.name));
    }
    if state.keys().any(|other| other.id == record.id) {
        return Err(Error::refused(format!("there is a key {} already", record.id)).remedy("make another one"));
    }
    if in_force(state, &record.name).is_ok() {
        return Err(Error::refused(format!("there is a key {} already", record.name))
            .remedy("give this one another name, or revoke that one first"));
    }
    let definitions = state.definitions_at(None);
    for view in &record.views {
        if view != keyspace::VIEW_NAME {
            check_name("view", view)?;
            definitions.view(&ViewRef { name: view.clone(), version: None })?;
        }
    }
    Ok(())
}

/// The key in force that is meant: ids first.
fn in_force<'a>(state: &'a RegistryState, id_or_name: &str) -> Result<&'a KeyRecord> {
    let keys: Vec<&KeyRecord> = state.keys().map(|key| &**key).filter(|key| key.revoked_at_us.is_none()).collect();
    let by_id = keys.iter().find(|key| key.id == id_or_name);
    if let Some(found) = by_id.or_else(|| keys.iter().find(|key| key.name == id_or_name)) {
        return Ok(found);
    }
    if state.keys().any(|key| key.id == id_or_name || key.name == id_or_name) {
        return Err(Error::not_found(format!("the key {id_or_name} was revoked already")));
    }
    let error = unknown_key(id_or_name);
    Err(match nearest(id_or_name, keys.iter().map(|key| key.name.as_str())) {
        Some(near) => error.remedy(format!("did you mean {near}?")),
        None => error.remedy("asof key list shows what there is"),
    })
}

fn unknown_key(id_or_name: &str) -> Error {
    Error::not_found(format!("no key is called {id_or_name}"))
}
