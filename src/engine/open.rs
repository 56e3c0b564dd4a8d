//! Opening a store for writing: making a new one, or recovering what a crash left.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use super::core::{Core, Engine, EngineOptions};
use super::orphans::remove_orphans;
use super::outlived::is_outlived;
use super::picture::Picture;
use super::reads::{OwnHead, Reads, Source, log_place};
use super::replay::Replay;
use super::tables::{Tables, remove_unwritable_tables, retire_tables};
use crate::disk::{Disk, MapAccess, OpenMode};
use crate::error::{Error, RESTORE_STORE, Result};
use crate::head::{Head, HeadState, Trust};
use crate::histogram::Histogram;
use crate::identity::{self, Identity};
use crate::lock::{Holder, OpenerLock};
use crate::log::recover;
use crate::manifest;
use crate::registry::Registry;
use crate::registry::records::{Meta, ProjectRecord};
use crate::tail::TailSegment;
use crate::time::{Clock, Timestamp};

/// Each opening for writing takes one, or two.
const EPOCHS_MAX: u64 = u64::MAX / 2;
const FOLDERS: [&str; 4] = ["log", "history", "latest", "quarantine"];

impl Engine {
    /// Opens the store in `dir` for writing; makes one where there is nothing yet.
    ///
    /// # Errors
    /// `Refused`: the folder holds something that is no store. `Locked`: another process writes to it.
    /// `NewerFormat`, `Damaged`: as they say. The disk fails.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: EngineOptions, clock: Arc<dyn Clock>) -> Result<Engine> {
        let now = clock.now();
        if !identity::exists(&*disk, dir)? {
            make_folder(&*disk, dir)?;
            check_vacant(&*disk, dir)?;
        }
        let opener = OpenerLock::acquire(&*disk, dir)?;
        // Asked again: who waited for the lock may have waited for the one who made the store.
        if !identity::exists(&*disk, dir)? {
            identity::check_vacant(&*disk, dir)?;
            create(&disk, dir, now)?;
        }
        let me = Holder { pid: Some(std::process::id()), started_at: Some(now), command: options.command.clone() };
        let lock = opener.hold(&*disk, dir, &me)?;
        let identity = Identity::read(&*disk, dir)?;
        for folder in FOLDERS {
            disk.create_dir(&dir.join(folder))?;
        }
        disk.sync_dir(dir)?;
        // A view's folder may have been made by a process that was killed before it was durable.
        disk.sync_dir(&dir.join("history"))?;
        let opened = Registry::open(&disk, dir, identity.uuid, manifest::load(&*disk, dir, &identity.uuid))?;
        let registry = opened.registry;
        let state = registry.state();
        if opened.must_publish {
            manifest::publish(&*disk, dir, &state.to_manifest())?;
        }
        let head = match Head::open(&*disk, dir, &identity.uuid, MapAccess::Write)? {
            // No store has had so many writers: it is damaged.
            Some(head) if head.epoch() < EPOCHS_MAX => head,
            _ => {
                if state.generation() > 0 {
                    tracing::warn!("HEAD is missing or damaged, and is made anew from registry and log");
                }
                Head::create(&*disk, dir, &identity.uuid)?
            }
        };
        let (mut said, mut trust) = head.read_trusted();
        if trust != Trust::Untrusted && said.manifest_generation > state.generation() {
            return Err(Error::damaged(dir, "registry and MANIFEST are older than what HEAD says was committed")
                .remedy(RESTORE_STORE));
        }
        let meta = state.meta().clone();
        let place = log_place(&disk, dir, &identity);
        if is_outlived(&said, state.generation(), &place)? {
            tracing::warn!("HEAD is older than the store: the log is read");
            trust = Trust::Untrusted;
        }
        if trust == Trust::Untrusted {
            said = HeadState { epoch: said.epoch, ..Default::default() };
        }
        let is_clean = trust == Trust::Clean;
        let mut tails: Vec<Arc<TailSegment>> = Vec::new();
        // Of commits that went past the log `meta` knows, of sealed ones their clock file, of the others the log.
        let sealed_at_us = state.clocks().map(|clock| clock.ingested_last_us).max().unwrap_or(0);
        let mut ingested_at_us = meta.ingested_at_us.max(sealed_at_us).max(said.ingested_at_us);
        let mut replay = Replay::new(Arc::clone(&state), identity.hash_seed);
        let witness = meta.log_synced.max(said.log_synced);
        let clean_end = is_clean.then_some(said.log_end).filter(|end| *end > 0);
        let mut recovered =
            recover(&place, OpenMode::Write, meta.log_start_segment, witness, clean_end, |frame, position| {
                ingested_at_us = ingested_at_us.max(frame.ingested_at);
                replay.take(&frame, position, &mut tails).map_err(|what| Error::damaged(&place.folder, what))
            })?;
        // Whatever this boot's writers wrote would be there.
        if trust == Trust::SameBoot {
            recovered.leave_out_unused(said.log_end);
        }
        let next_seq = recovered.next_seq().max(meta.seq_max + 1).max(said.committed_seq + 1);
        let last_seq = next_seq - 1;
        if trust == Trust::SameBoot && said.log_end > recovered.end() {
            return Err(Error::damaged(&place.folder, "the log ends before the place that HEAD says was committed")
                .remedy(RESTORE_STORE));
        }
        remove_unwritable_tables(&*disk, dir, &state)?;
        if recovered.set_aside_bytes > 0 || trust == Trust::Untrusted {
            retire_tables(&*disk, dir, &state)?;
        }
        // HEAD says "in use" before anything is written that a clean mark would hide.
        let begin = HeadState {
            epoch: said.epoch + 1,
            // A writer that was killed may have logged rows that its tables lack: nobody sees them until they have.
            committed_seq: if trust == Trust::SameBoot { said.committed_seq } else { next_seq - 1 },
            log_end: recovered.end(),
            log_synced: witness,
            manifest_generation: state.generation(),
            definitions_revision: meta.definitions_revision,
            ingested_at_us,
            under_way: next_seq - 1,
            is_clean: false,
            ..said
        };
        head.begin(&begin, std::process::id())?;
        // What may fail comes before the segment where it can: an opening that fails since leaves it to the next one.
        place.remove_below(meta.log_start_segment)?;
        remove_orphans(&*disk, dir, &Picture::new(&disk, dir, Arc::clone(&state), None, Vec::new()))?;
        let log = recovered.into_writer(is_clean, next_seq, options.sizes.segment_bytes)?;
        let next_seq =
            if is_clean { next_seq } else { next_seq.max(log.seq_limit() - crate::format::log::SEGMENT_SEQ_SPAN) };
        let tail = match tails.last() {
            Some(tail) if tail.segment() == log.segment() => Arc::clone(tail),
            _ => {
                let tail = Arc::new(TailSegment::new(log.segment()));
                tails.push(Arc::clone(&tail));
                tail
            }
        };
        let lock = Arc::new(lock);
        let own = OwnHead::new(head, state.generation(), Arc::clone(&lock));
        let picture = Picture::new(&disk, dir, state, None, tails);
        let engine = Engine {
            reads: Arc::new(Reads {
                disk,
                dir: dir.to_path_buf(),
                identity,
                source: Source::Writer(own),
                picture: RwLock::new(Arc::new(picture)),
            }),
            options,
            clock,
            registry,
            queue: Mutex::default(),
            core: Mutex::new(Core {
                log,
                next_seq,
                state: HeadState { committed_seq: next_seq - 1, ..begin },
                tail,
                // Until it is open: what an opening leaves that fails is not closed in order.
                is_closed: true,
                tables: Tables::new(),
                filling: Default::default(),
                features_required: 0,
                broken: None,
            }),
            run_ids: AtomicU64::new(meta.next_run_id),
            keyspace: OnceLock::new(),
            keys_revision: AtomicU64::new(0),
            sealing: Mutex::default(),
            merging: Mutex::default(),
            import_budget: Mutex::default(),
            commit_times: Histogram::default(),
            core_turns: AtomicU64::new(0),
            seen_busy: Mutex::default(),
            _lock: lock,
        };
        let are_told = engine.open_tables(last_seq)?;
        engine.remove_foreign_checkpoint();
        {
            let mut core = engine.lock_core();
            if !are_told {
                // Who took a table that went for this writer's drops it at another epoch.
                core.state.epoch += 1;
                let again = HeadState { epoch: core.state.epoch, ..begin };
                engine.own_head().head.begin(&again, std::process::id())?;
            }
            engine.publish_head(&mut core);
            engine.make_empty_tables(&mut core);
            core.is_closed = false;
        }
        Ok(engine)
    }
}

/// The folder itself, durable under its name: also one that is there already, because whoever made it may have been
/// killed before it was.
fn make_folder(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let is_there = disk.exists(dir)?;
    disk.create_dir(dir).map_err(|error| match dir.parent() {
        Some(parent) if error.is_missing_file() => error.remedy(format!("make the folder {} first", parent.display())),
        _ => error,
    })?;
    let synced = match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => disk.sync_dir(Path::new(".")),
        Some(parent) => disk.sync_dir(parent),
        None => Ok(()),
    };
    match synced {
        // Somebody else's folder above this one, which they made: it is theirs to keep.
        Err(error) if is_there && error.io_kind() == Some(std::io::ErrorKind::PermissionDenied) => Ok(()),
        synced => synced,
    }
}

/// Before LOCK is put into a folder: it holds nothing of anybody's, or a store that another made meanwhile.
fn check_vacant(disk: &dyn Disk, dir: &Path) -> Result<()> {
    match identity::check_vacant(disk, dir) {
        Err(_) if identity::exists(disk, dir)? => Ok(()),
        outcome => outcome,
    }
}

/// Makes a new store, which nobody else does meanwhile. STORE comes last: a creation cut short is no store, and can be repeated.
fn create(disk: &Arc<dyn Disk>, dir: &Path, now: Timestamp) -> Result<()> {
    let identity = Identity::random()?;
    let meta = Meta { created_at_us: now.0, next_view_id: 1, next_run_id: 1, next_source_id: 1, ..Meta::default() };
    let registry = Registry::create(disk, dir, identity.uuid, &meta, &ProjectRecord::default())?;
    manifest::publish(&**disk, dir, &registry.state().to_manifest())?;
    Head::create(&**disk, dir, &identity.uuid)?;
    drop(registry);
    identity.write(&**disk, dir)
}
