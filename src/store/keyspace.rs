//! The keyspace of the Redis protocol, for servers and whoever else changes keys.

use std::sync::{Arc, RwLockReadGuard};

use super::Store;
use crate::engine::entities::{EntityRow, EntityView, EntityViews};
use crate::engine::entity_keys::EntityKeys;
use crate::engine::keyspace::{GroupFate, LiveKeyspace};
use crate::engine::online::OnlineHandle;
use crate::engine::row_stage::RowStage;
use crate::engine::{Engine, Reads};
use crate::error::Result;
use crate::keyspace::{Key, KeyName, Keyspace};
use crate::request::{Features, KnownAt};
use crate::time::Timestamp;

/// The keyspace of an open store. Clones share it.
///
/// ```
/// use asof::Store;
///
/// let store = Store::temporary()?;
/// let keys = store.keyspace()?;
/// keys.change(|keyspace, _| keyspace.set_string((0, b"greeting"), b"hello".to_vec(), None))?;
/// assert!(keys.read().get((0, b"greeting"), keys.now().micros()).is_some());
/// # Ok::<(), asof::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyspaceHandle {
    engine: Arc<Engine>,
    live: Arc<LiveKeyspace>,
}

impl Store {
    /// The keyspace: strings and hashes that belong to no view. It is read from log and runs when it is first asked for.
    ///
    /// # Errors
    /// `Refused`: the store was opened for reading, or another process holds it. A run is damaged.
    pub fn keyspace(&self) -> Result<KeyspaceHandle> {
        let engine = self.engine()?;
        Ok(KeyspaceHandle { engine: Arc::clone(engine), live: Arc::clone(engine.keyspace()?) })
    }
}

impl KeyspaceHandle {
    /// The keys as they are, held still while the guard lives, those included that a group changed which is not settled yet.
    /// Whoever tells of a key waits until the ticket is settled that the key carries, or that its removal does.
    pub fn read(&self) -> RwLockReadGuard<'_, Keyspace> {
        self.live.read()
    }

    /// [`KeyspaceHandle::read`], unless somebody changes them just now.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, Keyspace>> {
        self.live.try_read()
    }

    /// The instant to compare deadlines with. It never goes back.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.engine.keyspace_now(&self.live))
    }

    /// Groups up to this ticket are as durable as the store was opened for, or were undone.
    pub fn settled(&self) -> u64 {
        self.live.settled()
    }

    /// What becomes of the group that was begun last: where it is undone, what was read of it never was. Whoever read of it takes this
    /// while the guard of [`KeyspaceHandle::read`] lives, and asks it once the ticket is settled.
    pub fn fate(&self) -> GroupFate {
        self.live.fate()
    }

    /// Runs `group`, which may change keys and rows of feature views, and commits what it changed as one atomic batch. What it gives is
    /// given when that is as durable as the store was opened for.
    ///
    /// # Errors
    /// The log takes no more, or the disk is full: everything that the group changed was undone.
    pub fn transact<T>(&self, group: impl FnOnce(&mut Keyspace, &mut RowStage) -> T) -> Result<T> {
        self.engine.transact(&self.live, group)
    }

    /// [`KeyspaceHandle::transact`] for keys alone, whose event time is the instant that the group is given, microseconds since 1970. What it gives is given when that is as durable as the store was opened for.
    ///
    /// # Errors
    /// The log takes no more, or the disk is full: everything that the group changed was undone.
    pub fn change<T>(&self, group: impl FnOnce(&mut Keyspace, i64) -> T) -> Result<T> {
        self.engine.change_keyspace(&self.live, group)
    }

    /// Writes a checkpoint of all keys, so that the next opening reads only the rows since; where no row came since the last, nothing. The
    /// store does so by itself when it is due. Keys are read and changed meanwhile.
    ///
    /// # Errors
    /// The disk fails, or is full; the store takes no more writes.
    pub fn checkpoint(&self) -> Result<()> {
        self.engine.checkpoint()
    }

    /// Has the store's upkeep do what [`KeyspaceHandle::checkpoint`] does, soon.
    pub fn ask_for_checkpoint(&self) {
        self.live.ask_for_checkpoint();
    }

    /// A key as it was at an instant, by what was known at `known_at`, or is now; `None`: it was not there.
    ///
    /// # Errors
    /// A run is damaged; `known_at` is none; the store was closed.
    pub fn key_at(&self, key: KeyName<'_>, at: Timestamp, known_at: Option<&KnownAt>) -> Result<Option<Key>> {
        self.reads().keyspace_key_at(key, at.micros(), self.known_at(known_at)?)
    }

    /// An entity's row of a view as it was at an instant, as [`KeyspaceHandle::key_at`]. `key` is the encoded entity key.
    ///
    /// # Errors
    /// As there.
    pub fn row_at(
        &self,
        view: &EntityView,
        key: &[u8],
        at: Timestamp,
        known_at: Option<&KnownAt>,
    ) -> Result<Option<EntityRow>> {
        self.reads().entity_row_at(view, key, at, self.known_at(known_at)?)
    }

    /// About `count` entities of a view whose key hash is at or above `from`, in the order of these hashes, those that were deleted too.
    /// The last `round` bits of the hash to go on from are zero.
    ///
    /// # Errors
    /// A run is damaged; the store was closed.
    pub fn entity_keys(&self, view: &EntityView, from: u64, count: usize, round: u32) -> Result<EntityKeys> {
        self.reads().entity_keys(view, from, count, round)
    }

    fn known_at(&self, known_at: Option<&KnownAt>) -> Result<Option<u64>> {
        known_at.map(|known_at| self.reads().resolve_known_at(known_at, self.now())).transpose()
    }

    /// The views that take rows field by field.
    ///
    /// # Errors
    /// The store was closed.
    pub fn entity_views(&self) -> Result<EntityViews> {
        self.reads().entity_views()
    }

    /// The revision of the definitions, which every apply raises.
    ///
    /// # Errors
    /// The store was closed.
    pub fn definitions_revision(&self) -> Result<u64> {
        self.reads().definitions_revision()
    }

    /// As [`Store::online`].
    ///
    /// # Errors
    /// As there.
    pub fn online(&self, features: &Features) -> Result<OnlineHandle> {
        self.reads().online(features)
    }

    fn reads(&self) -> &Arc<Reads> {
        self.engine.reads()
    }
}
