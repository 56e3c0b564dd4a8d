//! The keyspace of the Redis protocol in the process that writes: built from log and runs, changed by groups that the log takes
//! whole or not at all.

mod as_of;
mod checkpoint;
mod restore;
mod taken;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use self::as_of::{Moment, Rows};
use self::checkpoint::Kept;
pub(super) use self::restore::KeyspaceOnDisk;
use self::restore::Restored;
pub(super) use self::taken::NewOwners;
use super::commit::{Batch, Committed};
use super::core::{Core, Effect, Engine, lock};
use super::reads::Reads;
use super::row_stage::RowStage;
use crate::error::{Error, Result};
use crate::format::keyspace::VIEW_ID;
use crate::format::row::RowRef;
use crate::identity::{FEATURE_KEYSPACE, FEATURE_TRUNCATES, Identity};
use crate::key::key_hash;
use crate::keyspace::{Key, KeyName, Keyspace};

/// The keyspace, and how far it can be told of.
#[derive(Debug)]
pub struct LiveKeyspace {
    keyspace: RwLock<Keyspace>,
    /// The ticket of the group that was begun last.
    ticket: AtomicU64,
    /// Groups up to this ticket are in the log, as durable as the store was opened for, or were undone.
    settled: AtomicU64,
    /// That of the group that was begun last. Those before it are kept by who still asks for them, and by nobody else.
    fate: Mutex<GroupFate>,
    /// The greatest time that was given to anything.
    now: AtomicI64,
    /// The checkpoint that there is. One is written at a time, by who holds this.
    checkpoint: Mutex<Kept>,
    /// Bytes of the rows that it does not have, about.
    rows_since: AtomicU64,
    /// Somebody asked for one.
    checkpoint_asked_for: AtomicBool,
}

/// What becomes of a group, for who read what it changed before it was settled. Clones are of the same group.
#[derive(Clone, Debug, Default)]
pub struct GroupFate {
    is_undone: Arc<AtomicBool>,
}

impl GroupFate {
    /// Whether the group was undone. It is known once its ticket is settled.
    pub fn was_undone(&self) -> bool {
        self.is_undone.load(Ordering::Acquire)
    }
}

impl LiveKeyspace {
    /// The keys as they are, those included that a group changed which is not settled yet: whoever tells of a key waits for the
    /// ticket that it carries.
    pub fn read(&self) -> RwLockReadGuard<'_, Keyspace> {
        self.keyspace.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, unless somebody changes them just now.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, Keyspace>> {
        match self.keyspace.try_read() {
            Ok(keyspace) => Some(keyspace),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keyspace> {
        self.keyspace.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Groups up to this ticket are durable, or were undone.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    /// Of the group that was begun last, and is the only one that may not be settled: whoever reads keys of it takes this
    /// before the guard goes.
    pub fn fate(&self) -> GroupFate {
        lock(&self.fate).clone()
    }

    /// Has a checkpoint written soon, by the store's upkeep, where any row came since the last.
    pub fn ask_for_checkpoint(&self) {
        self.checkpoint_asked_for.store(true, Ordering::Relaxed);
    }

    /// The instant to compare deadlines with: that of the clock, and never before one that was given.
    fn instant(&self, clock: i64) -> i64 {
        self.now.fetch_max(clock, Ordering::Relaxed).max(clock)
    }
}

impl Engine {
    /// The keyspace, read from its checkpoint, log and runs when it is first asked for.
    ///
    /// # Errors
    /// A run is damaged; the log holds a row that says nothing known.
    pub fn keyspace(&self) -> Result<&Arc<LiveKeyspace>> {
        if let Some(live) = self.keyspace.get() {
            return Ok(live);
        }
        // Nothing is committed meanwhile: what is read then is all there is.
        let mut core = self.lock_core();
        self.commit_queued(&mut core);
        if let Some(live) = self.keyspace.get() {
            return Ok(live);
        }
        let Restored { keyspace, checkpoint, row_bytes } =
            self.reads.keyspace_on_disk(&self.reads.picture()).restore()?;
        // What the checkpoint has not, as it went by itself, all rows have until that time.
        let now = core.state.ingested_at_us.max(keyspace.forgotten_at());
        let live = LiveKeyspace {
            keyspace: RwLock::new(keyspace),
            ticket: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            fate: Mutex::default(),
            now: AtomicI64::new(now),
            checkpoint: Mutex::new(Kept::new(checkpoint)),
            rows_since: AtomicU64::new(row_bytes),
            checkpoint_asked_for: AtomicBool::new(false),
        };
        Ok(self.keyspace.get_or_init(|| Arc::new(live)))
    }

    /// The instant that deadlines of the keyspace are compared with now, microseconds since 1970. It never goes back.
    pub fn keyspace_now(&self, live: &LiveKeyspace) -> i64 {
        live.instant(self.clock.now().0)
    }

    /// Runs `group`, which may change keys and rows of views, and commits what it changed as one atomic batch. What it gives is given
    /// when that is as durable as the store was opened for. A group that changes nothing waits for nothing.
    ///
    /// # Errors
    /// As [`Engine::commit`]: everything the group changed was undone. It is run all the same, so that those of its commands that change
    /// nothing are answered.
    pub fn transact<T>(&self, live: &LiveKeyspace, group: impl FnOnce(&mut Keyspace, &mut RowStage) -> T) -> Result<T> {
        let relieved = self.relieve_tail();
        let mut core = self.lock_core();
        self.commit_queued(&mut core);
        let now = live.instant(self.clock.now().0.max(core.state.ingested_at_us));
        let ticket = live.ticket.load(Ordering::Relaxed) + 1;
        live.ticket.store(ticket, Ordering::Relaxed);
        let mut keyspace = live.write();
        keyspace.begin(ticket, now);
        let fate = GroupFate::default();
        *lock(&live.fate) = fate.clone();
        let mut rows = RowStage::new(&self.reads, (core.next_seq, now), self.options.max_future_skew_us);
        let given = group(&mut keyspace, &mut rows);
        let recorded = keyspace.take_records();
        drop(keyspace);
        let mut recorded_bytes = 0;
        let batch = rows.into_batch().and_then(|mut batch| {
            let (records, count) = recorded?;
            recorded_bytes = records.len() as u64;
            push_keyspace(&mut batch, &records, count, self.reads.hash_seed())?;
            Ok(batch)
        });
        let mut truncated = Vec::new();
        let committed = match batch {
            Ok(batch) if batch.frame.row_count() == 0 => Ok(()),
            Ok(batch) => {
                truncated.clone_from(&batch.truncates);
                relieved.and_then(|()| self.commit_batch(&mut core, batch, now)).map(drop)
            }
            Err(error) => Err(error),
        };
        let mut keyspace = live.write();
        match &committed {
            Ok(()) => {
                keyspace.keep();
                live.rows_since.fetch_add(recorded_bytes, Ordering::Relaxed);
            }
            Err(_) => {
                keyspace.undo();
                fate.is_undone.store(true, Ordering::Release);
            }
        }
        // Before anybody can read what was undone as if it were settled.
        live.settled.store(ticket, Ordering::Release);
        drop(keyspace);
        drop(core);
        if committed.is_ok() {
            self.build_truncated_tables(&truncated);
        }
        committed.map(|()| given)
    }

    /// [`Engine::transact`] for keys alone: what they are, and the group's instant.
    ///
    /// # Errors
    /// As there.
    pub fn change_keyspace<T>(&self, live: &LiveKeyspace, group: impl FnOnce(&mut Keyspace, i64) -> T) -> Result<T> {
        self.transact(live, |keyspace, rows| group(keyspace, rows.now))
    }

    /// Has the store say that it has keys, where it does not yet, so that the next group's rows are numbered from the next number on.
    ///
    /// # Errors
    /// As [`Engine::commit`].
    pub(super) fn prepare_keyspace(&self) -> Result<()> {
        let mut core = self.lock_core();
        core.check_sound()?;
        self.begin_keyspace(&mut core)
    }

    fn commit_batch(&self, core: &mut Core, batch: Batch, now: i64) -> Result<Committed> {
        core.check_sound()?;
        // A clock that went back since it was asked: the next process is not to give a row an event time before these.
        core.state.ingested_at_us = core.state.ingested_at_us.max(now);
        if batch.has_keyspace {
            self.begin_keyspace(core)?;
        }
        if !batch.truncates.is_empty() {
            // A release that passed over them would answer with what was deleted.
            self.require_feature(core, FEATURE_TRUNCATES)?;
        }
        self.commit_alone(core, batch)
    }

    /// Before the first row of the keyspace: a release that does not know such rows must not touch the store, and this one finds
    /// their view in the registry.
    fn begin_keyspace(&self, core: &mut Core) -> Result<()> {
        if self.reads.picture().state.keyspace_view().is_some() {
            return Ok(());
        }
        self.require_feature(core, FEATURE_KEYSPACE)?;
        let say = |change: &mut crate::registry::Change<'_>, _: u64, _: i64| {
            change.meta().has_keyspace = true;
            Ok(())
        };
        self.commit_registry(core, "keyspace", say, Effect::default()).map(drop)
    }

    /// Says in STORE that whoever reads the store is to know a feature. Where it says so already, that may not be durable: each process
    /// sees to it once.
    fn require_feature(&self, core: &mut Core, feature: u64) -> Result<()> {
        if core.features_required & feature == 0 {
            let (disk, dir) = (&*self.reads.disk, &*self.reads.dir);
            Identity::read(disk, dir)?.require(disk, dir, feature)?;
            core.features_required |= feature;
        }
        Ok(())
    }

    /// Tables in place of those of views that were truncated, where they had one.
    fn build_truncated_tables(&self, views: &[u32]) {
        for &view in views {
            if let Err(error) = self.build_missing_table(view) {
                tracing::warn!(
                    error = error.as_cause(),
                    "the latest table of a truncated view could not be made; reads take the as-of path"
                );
            }
        }
    }
}

impl Reads {
    /// The keyspace as checkpoint, log and runs have it, for this one look.
    ///
    /// # Errors
    /// A run is damaged; as [`Reads::sight`].
    pub(super) fn folded_keyspace(&self) -> Result<Keyspace> {
        self.with_sight(|sight| Ok(self.keyspace_on_disk(&sight.picture).restore()?.keyspace))
    }

    /// A key of the keyspace as it was at `at`, of rows up to number `known_at` (`None`: all); `None`: it was not there.
    ///
    /// # Errors
    /// A run is damaged; as [`Reads::sight`].
    pub fn keyspace_key_at(&self, key: KeyName<'_>, at: i64, known_at: Option<u64>) -> Result<Option<Key>> {
        self.with_sight(|sight| {
            let Some(view) = sight.picture.views.get(&VIEW_ID) else { return Ok(None) };
            let moment = Moment { at, known_at: known_at.map_or(sight.seq, |known_at| known_at.min(sight.seq)) };
            Rows::new(view, &sight.picture.tail, self.hash_seed())?.key_at(key, moment)
        })
    }
}

/// Adds so many records of the keyspace to a batch.
///
/// # Errors
/// The batch is too large.
fn push_keyspace(batch: &mut Batch, records: &[u8], count: u32, seed: u64) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    batch.has_keyspace = true;
    batch.frame.section(VIEW_ID, |out| -> Result<u32> {
        out.extend_from_slice(records);
        Ok(count)
    })?;
    let mut rest = records;
    batch.hashes.reserve(count as usize);
    while !rest.is_empty() {
        let (row, after) = RowRef::parse_unchecked_image(rest).map_err(Error::invalid)?;
        batch.hashes.push(key_hash(seed, row.key));
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
