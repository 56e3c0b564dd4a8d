//! The keyspace of the Redis protocol in the process that writes: built from log and runs, changed by groups that the log takes
//! whole or not at all.

mod as_of;
mod taken;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::as_of::{Moment, Rows};
pub(super) use self::taken::NewOwners;
use super::commit::{Batch, Committed};
use super::core::{Core, Effect, Engine, lock};
use super::picture::{Picture, ViewPicture};
use super::reads::Reads;
use super::row_stage::RowStage;
use super::run_source::run_record;
use crate::error::{Error, Result};
use crate::format::keyspace::{VIEW_ID, layout, read_change};
use crate::format::row::{RowLayout, RowRef};
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

    /// The instant to compare deadlines with: that of the clock, and never before one that was given.
    fn instant(&self, clock: i64) -> i64 {
        self.now.fetch_max(clock, Ordering::Relaxed).max(clock)
    }
}

impl Engine {
    /// The keyspace, read from log and runs when it is first asked for.
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
        let mut keyspace = Keyspace::new(self.reads.hash_seed());
        replay_all(&self.reads.picture(), &mut keyspace)?;
        let live = LiveKeyspace {
            keyspace: RwLock::new(keyspace),
            ticket: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            fate: Mutex::default(),
            now: AtomicI64::new(core.state.ingested_at_us),
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
        let mut rows = RowStage::new(&self.reads, now, self.options.max_future_skew_us);
        let given = group(&mut keyspace, &mut rows);
        let recorded = keyspace.take_records();
        drop(keyspace);
        let batch = rows.into_batch().and_then(|mut batch| {
            let (records, count) = recorded?;
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
            Ok(()) => keyspace.keep(),
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
    /// The keyspace as log and runs have it, for this one look.
    ///
    /// # Errors
    /// A run is damaged; as [`Reads::sight`].
    pub(super) fn folded_keyspace(&self) -> Result<Keyspace> {
        self.with_sight(|sight| {
            let mut keyspace = Keyspace::new(self.hash_seed());
            replay_all(&sight.picture, &mut keyspace)?;
            Ok(keyspace)
        })
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

/// Does what all rows of the keyspace say, in the order of their numbers.
fn replay_all(picture: &Picture, keyspace: &mut Keyspace) -> Result<()> {
    let Some(view) = picture.views.get(&VIEW_ID) else { return Ok(()) };
    replay_runs(view, keyspace)?;
    for segment in &picture.tail {
        let views = segment.read();
        for (_, row) in views.get(&VIEW_ID).into_iter().flat_map(|rows| rows.rows()) {
            replay(&row, &view.layout, keyspace)?;
        }
    }
    Ok(())
}

fn replay(row: &RowRef<'_>, layout: &RowLayout, keyspace: &mut Keyspace) -> Result<()> {
    let (key, change) = read_change(row, layout).map_err(Error::invalid)?;
    keyspace.replay(key, change, row.head.event_ts);
    Ok(())
}

/// Rows of all runs, which lie there key by key, in the order of their numbers.
fn replay_runs(view: &ViewPicture, keyspace: &mut Keyspace) -> Result<()> {
    let files = view.runs.iter().map(|run| run.open()).collect::<Result<Vec<_>>>()?;
    let mut rows: Vec<(u64, u32, u32)> = Vec::new();
    for (number, file) in (0_u32..).zip(&files) {
        file.verify_all()?;
        let base = file.seq_base();
        rows.extend((0_u32..).zip(file.seq()).map(|(row, seq)| (base + seq, number, row)));
    }
    rows.sort_unstable();
    let (layout, mut key) = (layout(), Vec::new());
    for (_, number, row) in rows {
        let (file, row) = (files[number as usize], row as usize);
        key.clear();
        file.push_key(row, &mut key)?;
        let record = run_record(file, row, &key, &layout)?;
        let (row, _) = RowRef::parse(&record, &layout).map_err(Error::invalid)?;
        replay(&row, &layout, keyspace)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
