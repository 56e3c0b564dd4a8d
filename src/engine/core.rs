//! The writer's state, and the one order in which a change becomes visible.
//!
//! Whoever holds the [`Core`] lock is the committer. A change of the registry goes: log synced, its time announced if it gives
//! numbers, MANIFEST written beside the old one, registry committed, tables marked, MANIFEST in place, picture swapped, HEAD. So
//! nobody finds a name in HEAD's generation that MANIFEST does not have, and no picture lacks rows that HEAD calls committed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use super::commit::Pending;
use super::keyspace::LiveKeyspace;
use super::picture::Picture;
use super::reads::{OwnHead, Reads, Source, closed};
use super::tables::Tables;
use crate::error::{Error, ErrorKind, LOOK_FIRST, Result};
use crate::format::log::LogPosition;
use crate::head::{HeadState, UNSETTLED};
use crate::histogram::{Counts, Histogram};
use crate::history::StagingBudget;
use crate::lock::WriterLock;
use crate::log::LogWriter;
use crate::manifest;
use crate::options::{Durability, Sizes};
use crate::registry::records::CommitRecord;
use crate::registry::{Change, Registry, RegistryState};
use crate::tail::TailSegment;
use crate::time::Clock;

/// How an engine is run.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// When a write counts as done.
    pub durability: Durability,
    /// Sizes of segments, files, memory.
    pub sizes: Sizes,
    /// How far ahead of the clock an event timestamp may lie, in microseconds.
    pub max_future_skew_us: i64,
    /// Somebody calls [`Engine::sync`] as often as an interval asks for; otherwise an interval is kept by syncing at once.
    pub syncs_in_background: bool,
    /// Groups of so many rows or more are synced on a thread of its own while the committer makes tail and tables ready
    /// for them. `None`: no group is.
    pub sync_beside_rows_min: Option<u64>,
    /// What LOCK says of this process.
    pub command: String,
}

/// An open store, for the one process that writes to it.
#[derive(Debug)]
pub struct Engine {
    pub(super) reads: Arc<Reads>,
    pub(super) options: EngineOptions,
    /// The store's. Commits ask it at their turn, which whoever hands one in cannot know.
    pub(super) clock: Arc<dyn Clock>,
    pub(super) registry: Registry,
    pub(super) queue: Mutex<Vec<Arc<Pending>>>,
    pub(super) core: Mutex<Core>,
    /// The id that the next run file gets.
    pub(super) run_ids: AtomicU64,
    /// Raised whenever API keys may have changed.
    pub(super) keys_revision: AtomicU64,
    /// One seal at a time. A merge goes on beside it: they take different runs.
    pub(super) sealing: Mutex<()>,
    /// The keyspace of the Redis protocol, once somebody asked for it.
    pub(super) keyspace: OnceLock<Arc<LiveKeyspace>>,
    /// One merge at a time.
    pub(super) merging: Mutex<()>,
    /// What the imports that are under way may hold in memory together.
    pub(super) import_budget: Mutex<Weak<StagingBudget>>,
    /// How long commits took, a group counted once: writing it into the log, and syncing it where that is done before it is answered.
    pub(super) commit_times: Histogram,
    /// How often the core was taken.
    pub(super) core_turns: AtomicU64,
    /// Since when whoever asked whether writes are taken has found the core with one taker, and as which turn.
    pub(super) seen_busy: Mutex<Option<(Instant, u64)>>,
    /// Reads hold it too. Until this is dropped something of the store may write, as an import that cleans up behind it.
    pub(super) _lock: Arc<WriterLock>,
}

/// What the committer holds.
#[derive(Debug)]
pub(super) struct Core {
    pub log: LogWriter,
    /// The number the next row gets.
    pub next_seq: u64,
    /// What HEAD says.
    pub state: HeadState,
    /// The index of the segment that is written to.
    pub tail: Arc<TailSegment>,
    /// The latest tables that take every commit.
    pub tables: Tables,
    /// Views whose table is being filled.
    pub filling: BTreeSet<u32>,
    /// What STORE says, durably, that whoever reads the store is to know, as far as this process saw to it.
    pub features_required: u64,
    /// Closed in order: nothing more is written.
    pub is_closed: bool,
    /// Why the registry takes no more changes: what one of them left is only known after the next open, so
    /// no number may be given until then.
    pub broken: Option<String>,
}

/// What a change of the registry does beside it.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// The log's unsealed rows from then on, where that changes.
    pub tail: Option<Vec<Arc<TailSegment>>>,
    /// The view that gets rows which its latest table does not have.
    pub rows_for: Option<u32>,
    /// How many numbers it gives.
    pub numbers: u64,
}

impl Core {
    /// # Errors
    /// `Poisoned`: the store was closed, a change of the registry failed half-way, or the log could not be written or synced.
    pub fn check_sound(&self) -> Result<()> {
        match &self.broken {
            Some(cause) => {
                let why = format!("the store takes no more writes since: {cause}");
                Err(Error::new(ErrorKind::Poisoned, why).remedy("reads go on; reopen the store to write"))
            }
            None if self.is_closed => Err(closed()),
            None => self.log.check_sound(),
        }
    }
}

/// A commit that takes so long waits for a disk that does not answer.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// What is known of a panic by whoever comes to the core after it.
const PANICKED: &str = "a thread panicked while it changed the store";

/// Locks whatever a panicking thread may have left: what these hold is whole between any two statements. The core is not;
/// see [`Engine::lock_core`].
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Whether a write could be taken now. It waits for nothing.
    ///
    /// # Errors
    /// `Locked`: a commit has not got on for long. `Poisoned`: the store was closed, a change of the registry failed half-way, or the log could not be written or synced.
    pub fn check_writable(&self) -> Result<()> {
        match self.core.try_lock() {
            Ok(core) => {
                *lock(&self.seen_busy) = None;
                core.check_sound()
            }
            Err(TryLockError::Poisoned(_)) => Err(Error::new(ErrorKind::Poisoned, PANICKED)),
            // Whoever asks does not wait for a disk, as the commit may.
            Err(TryLockError::WouldBlock) => self.check_progress(),
        }
    }

    /// Whether the core goes from hand to hand, while somebody has it.
    fn check_progress(&self) -> Result<()> {
        let turn = self.core_turns.load(Ordering::Relaxed);
        let mut seen = lock(&self.seen_busy);
        match *seen {
            Some((since, of)) if of == turn && since.elapsed() >= BUSY_MAX => {
                let what = format!("a commit has not got on for {} seconds", since.elapsed().as_secs());
                Err(Error::new(ErrorKind::Locked, what).remedy("look whether the disk answers"))
            }
            Some((_, of)) if of == turn => Ok(()),
            _ => {
                *seen = Some((Instant::now(), turn));
                Ok(())
            }
        }
    }

    /// How long the commits of this process took, a group counted once: writing it into the log, and syncing it where that is done before
    /// it is answered.
    pub fn commit_times(&self) -> Counts {
        self.commit_times.read()
    }

    /// The core. After a panic in the middle of a change nobody knows how far it went: no more are made then.
    pub(super) fn lock_core(&self) -> MutexGuard<'_, Core> {
        let locked = self.core.lock();
        self.core_turns.fetch_add(1, Ordering::Relaxed);
        locked.unwrap_or_else(|poisoned| {
            let mut core = poisoned.into_inner();
            core.broken.get_or_insert_with(|| PANICKED.to_owned());
            // Of a commit that had its time nobody knows what became of it.
            if self.own_head().head.under_way().is_some() {
                self.settle(&core, false);
            }
            core
        })
    }

    /// From now on writes are refused, and the store cannot be closed in order; reads go on.
    pub fn take_no_more_writes(&self, why: &str) {
        // Not as `lock_core` does: where the panic was under this lock, `why` says more.
        let mut core = lock(&self.core);
        let is_known = core.broken.as_ref().is_some_and(|cause| cause != PANICKED);
        if !is_known && !core.is_closed {
            core.broken = Some(why.to_owned());
            drop(core);
            tracing::error!(why, "the store takes no more writes");
        }
    }

    pub(super) fn own_head(&self) -> &OwnHead {
        match &self.reads.source {
            Source::Writer(own) => own,
            Source::Other(_) => unreachable!("an engine's read side has its own HEAD"),
        }
    }

    /// The read side.
    pub fn reads(&self) -> &Arc<Reads> {
        &self.reads
    }

    pub(super) fn set_picture(&self, state: Arc<RegistryState>, tail: Vec<Arc<TailSegment>>) {
        let before = self.reads.picture();
        self.reads.set_picture(Picture::new(&self.reads.disk, &self.reads.dir, state, Some(&before), tail));
    }

    /// The time of the commit that is now made, which is seen before any other gets one. From here until it is seen, or
    /// [`Engine::settle`] says what became of it, a state of knowledge of that time or later waits for it.
    pub(super) fn stamp(&self, core: &Core) -> i64 {
        self.own_head().head.announce(core.next_seq);
        let ingested_at_us = self.ingested_at_now(core);
        self.own_head().head.date(ingested_at_us);
        ingested_at_us
    }

    /// What has a time gave no numbers. `is_known`: nor will it, after the next open.
    pub(super) fn settle(&self, core: &Core, is_known: bool) {
        self.own_head().head.announce(if is_known { 0 } else { UNSETTLED });
        if is_known {
            self.own_head().head.date(core.state.ingested_at_us);
        }
    }

    /// Commits a change of the registry, which is told the first of the numbers that it gives, as many as `effect` says, and its
    /// time. With any, it is a commit of its own, and it is kept `what` it was.
    ///
    /// # Errors
    /// The change is refused, or there is no space for it: it did not take place. The disk fails while the registry is
    /// written: it took place whole or not at all, or, where only MANIFEST could not be replaced, it did; the error says which,
    /// and the store takes no more writes until it is opened again.
    pub(super) fn commit_registry(
        &self,
        core: &mut Core,
        what: &str,
        change: impl FnOnce(&mut Change<'_>, u64, i64) -> Result<()>,
        effect: Effect,
    ) -> Result<Arc<RegistryState>> {
        core.check_sound()?;
        core.log.sync()?;
        let (first, given) = (core.next_seq, effect.numbers);
        // What gives no numbers is no commit that a time could mean: nobody has to wait for it.
        let ingested_at_us = if given > 0 { self.stamp(core) } else { self.ingested_at_now(core) };
        let settle = |core: &Core, is_known: bool| {
            if given > 0 {
                self.settle(core, is_known);
            }
        };
        let synced = core.log.synced();
        let proposed = self.registry.propose(|changing| {
            change(changing, first, ingested_at_us)?;
            let meta = changing.meta();
            meta.log_synced = synced;
            meta.next_run_id = self.run_ids.load(Ordering::Relaxed);
            if given > 0 {
                meta.seq_max = meta.seq_max.max(first + given - 1);
                meta.ingested_at_us = ingested_at_us;
                let commit = CommitRecord {
                    seq_first: first,
                    seq_last: first + given - 1,
                    ingested_at_us,
                    what: what.to_owned(),
                };
                changing.put(&commit)?;
            }
            Ok(())
        });
        // All that needs space comes first: a disk that is full then leaves everything as it was.
        let prepared = proposed.and_then(|proposed| {
            let manifest = manifest::prepare(&*self.reads.disk, &self.reads.dir, &proposed.after().to_manifest())?;
            Ok((proposed, manifest))
        });
        let (proposed, manifest) = prepared.inspect_err(|_| settle(core, true))?;
        let state = proposed.commit().map_err(|error| {
            let is_known = self.registry.takes_commits();
            settle(core, is_known);
            if is_known {
                return error;
            }
            core.broken = Some(error.as_cause());
            error.with_outcome(LOOK_FIRST)
        })?;
        // Before anybody can know of the rows: whoever does must find the table marked.
        if let Some(table) = effect.rows_for.and_then(|view| core.tables.get_mut(&view)) {
            table.mark_behind();
        }
        Self::retire_changed_tables(core, &state);
        manifest.put_in_place().map_err(|error| {
            settle(core, false);
            core.broken = Some(error.as_cause());
            error.with_outcome("it took place, and shows when the store is opened again: do not do it once more")
        })?;
        let tail = effect.tail.unwrap_or_else(|| self.reads.picture().tail.clone());
        self.set_picture(Arc::clone(&state), tail);
        if given > 0 {
            core.next_seq += given;
            core.state.committed_seq = core.next_seq - 1;
            core.state.ingested_at_us = ingested_at_us;
        }
        core.state.manifest_generation = state.generation();
        core.state.definitions_revision = state.meta().definitions_revision;
        self.publish_head(core);
        Ok(state)
    }

    pub(super) fn publish_head(&self, core: &mut Core) {
        core.state.log_end = core.log.end();
        core.state.log_synced = core.log.synced();
        self.own_head().publish(&core.state);
    }

    /// Begins a new log segment and its index, when the one that is written to holds anything.
    ///
    /// # Errors
    /// As [`Core::check_sound`]: a segment after a clean close would make HEAD one of an earlier day. The disk fails.
    pub(super) fn rotate(&self, core: &mut Core) -> Result<()> {
        core.check_sound()?;
        if !core.log.is_segment_empty() {
            core.log.rotate(core.next_seq, 0)?;
            self.follow_rotation(core);
        }
        Ok(())
    }

    /// After the log may have begun a new segment: rows go to an index of that segment.
    pub(super) fn follow_rotation(&self, core: &mut Core) {
        if core.tail.segment() != core.log.segment() {
            core.tail = Arc::new(TailSegment::new(core.log.segment()));
            let picture = self.reads.picture();
            let mut tail = picture.tail.clone();
            tail.push(Arc::clone(&core.tail));
            self.set_picture(Arc::clone(&picture.state), tail);
        }
    }

    /// Closes the store in order, so that the next open has nothing to recover.
    ///
    /// # Errors
    /// The log or HEAD could not be made durable, now or when it was tried before: the store takes no more
    /// writes, and the next open recovers.
    pub fn close(&self) -> Result<()> {
        self.checkpoint_before_close();
        let mut core = self.lock_core();
        if core.is_closed {
            return Ok(());
        }
        if let Some(cause) = core.broken.clone() {
            // What was acknowledged and waits for a sync gets it: nobody comes after this. A log that failed says so itself.
            if core.log.sync().is_ok() {
                self.publish_head(&mut core);
            }
            return Err(Error::new(ErrorKind::Poisoned, format!("the store cannot be closed in order since: {cause}"))
                .remedy("the next open recovers it"));
        }
        let closed = self.close_in_order(&mut core);
        match &closed {
            Ok(()) => core.is_closed = true,
            // Tables that were closed take no more rows.
            Err(error) => core.broken = Some(error.as_cause()),
        }
        closed
    }

    /// The next opening does without one, too.
    fn checkpoint_before_close(&self) {
        let goes_on = self.lock_core().check_sound().is_ok();
        if goes_on && let Err(error) = self.checkpoint_if_due() {
            tracing::warn!(%error, "no checkpoint of the keyspace was written: the next opening reads more rows");
        }
    }

    fn close_in_order(&self, core: &mut Core) -> Result<()> {
        core.log.sync()?;
        core.state.log_end = core.log.end();
        core.state.log_synced = core.log.synced();
        self.close_tables(core);
        self.own_head().head.close_clean(&core.state)
    }

    /// Where the log ends now.
    pub fn log_end(&self) -> LogPosition {
        self.lock_core().log.end()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A store that cannot be closed in order is recovered at the next open.
        let _ = self.close();
    }
}
