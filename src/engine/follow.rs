//! Reading beside a writer in another process, or after it: HEAD is followed, and MANIFEST and log after it.
//!
//! Nothing is written, no lock is held. Where HEAD cannot be believed and nobody writes, as after a power failure, the log
//! is recovered in memory, as the next writer will recover it on disk.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use super::core::lock;
use super::heads::Heads;
use super::outlived::{beside, is_outlived};
use super::picture::{Picture, ViewPicture, table_shape};
use super::reads::{Reads, Sight, Source};
use super::replay::Replay;
use crate::disk::{Disk, MapAccess, OpenMode};
use crate::error::{Error, ErrorKind, PUBLISH_AGAIN, RESTORE_STORE, Result};
use crate::head::{Head, HeadState, Trust};
use crate::identity::{self, Identity};
use crate::latest::{Beside, Opened, TableOptions, TableReader};
use crate::lock::holder;
use crate::log::{LogReader, recover};
use crate::manifest;
use crate::registry::RegistryState;
use crate::tail::TailSegment;

/// A writer that opens the store has HEAD ready within this, or is at work on a long recovery.
const WRITER_WAIT: Duration = Duration::from_millis(5);
const WRITER_WAITS_MAX: usize = 100;
/// MANIFEST and log segments may be replaced this often while they are read.
const ATTEMPTS_MAX: usize = 20;
/// A table that is missing is looked for again every so many times.
const TABLE_LOOKS: u64 = 32;

/// An epoch that no writer has. A page of HEAD that nobody has begun says 0.
const NO_WRITER: u64 = u64::MAX;

/// What a process that does not write knows of the one that does.
#[derive(Debug)]
pub(super) struct Follower {
    heads: Heads,
    /// The writer whose HEAD is believed; [`NO_WRITER`] where none is, as after the log was recovered in memory.
    epoch: AtomicU64,
    generation: AtomicU64,
    /// How often all tables were opened anew.
    openings: AtomicU64,
    inner: Mutex<Following>,
    table_reserve_bytes: u64,
}

#[derive(Debug)]
struct Following {
    log: LogReader,
    /// What HEAD said last.
    said: HeadState,
    /// The page of a closed store that was asked last whether the store has gone on since, and the answer.
    asked: Option<(HeadState, bool)>,
    replay: Replay,
    tails: Vec<Arc<TailSegment>>,
    /// The last number, and the epoch HEAD had, when the log was recovered in memory.
    recovered: Option<(u64, u64)>,
    looks: u64,
}

impl Reads {
    /// Opens a store for reading, beside its writer or without one.
    ///
    /// # Errors
    /// `NotFound`: there is no store. `NewerFormat`, `Damaged`: as they say. The disk refuses.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, table_reserve_bytes: u64) -> Result<Reads> {
        if !identity::exists(&*disk, dir)? {
            return Err(Error::not_found("there is no store")
                .at(dir.display())
                .remedy("asof apply makes one; or give the folder that holds asof.toml"));
        }
        let identity = Identity::read(&*disk, dir)?;
        let state = load_manifest(&*disk, dir, &identity)?;
        let picture = Picture::new(&disk, dir, Arc::clone(&state), None, Vec::new());
        let log_place = |disk: &Arc<dyn Disk>| super::reads::log_place(disk, dir, &identity);
        let inner = Following {
            log: LogReader::new(log_place(&disk), state.meta().log_start_segment),
            said: HeadState::default(),
            asked: None,
            replay: Replay::new(state, identity.hash_seed),
            tails: Vec::new(),
            recovered: None,
            looks: 0,
        };
        let follower = Follower {
            heads: Heads::default(),
            // The first sight begins anew.
            epoch: AtomicU64::new(NO_WRITER),
            generation: AtomicU64::new(0),
            openings: AtomicU64::new(0),
            inner: Mutex::new(inner),
            table_reserve_bytes,
        };
        let reads = Reads {
            disk,
            dir: dir.to_path_buf(),
            identity,
            source: Source::Other(Box::new(follower)),
            picture: RwLock::new(Arc::new(picture)),
        };
        reads.sight()?;
        Ok(reads)
    }
}

fn load_manifest(disk: &dyn Disk, dir: &Path, identity: &Identity) -> Result<Arc<RegistryState>> {
    let with_way_out = |error: Error| match error.kind() {
        ErrorKind::Damaged => error.remedy(PUBLISH_AGAIN),
        _ => error,
    };
    let manifest = manifest::load(disk, dir, &identity.uuid)
        .map_err(with_way_out)?
        .ok_or_else(|| with_way_out(Error::damaged(&dir.join(manifest::FILE_NAME), "it is missing")))?;
    RegistryState::from_manifest(manifest).map(Arc::new)
}

impl Follower {
    /// Rows up to here are visible, as long as the writer that is followed is the one there is.
    #[inline]
    pub fn committed_seq(&self) -> Option<u64> {
        let head = self.heads.current()?;
        let seq = head.committed_seq();
        (head.epoch() == self.epoch.load(Ordering::Acquire)).then_some(seq)
    }

    /// The HEAD that is followed, whoever writes to it by now; `None` where the log was recovered in memory.
    pub fn followed_head(&self) -> Option<&Head> {
        lock(&self.inner).recovered.is_none().then(|| self.heads.current()).flatten()
    }

    /// The generation that pictures should be of.
    #[inline]
    pub fn generation(&self) -> u64 {
        let known = self.generation.load(Ordering::Acquire);
        match self.heads.current() {
            Some(head) if head.epoch() == self.epoch.load(Ordering::Acquire) => head.manifest_generation().max(known),
            _ => known,
        }
    }

    /// How often all tables were opened anew: whoever prepared for fewer has tables that are asked no more.
    #[inline]
    pub fn openings(&self) -> u64 {
        self.openings.load(Ordering::Acquire)
    }

    /// What a request that begins now may see.
    pub fn sight(&self, reads: &Reads) -> Result<Sight> {
        for _ in 0..WRITER_WAITS_MAX {
            if let Some(sight) = self.sight_now(&mut lock(&self.inner), reads)? {
                return Ok(sight);
            }
            // Without the lock: all who wait do so at the same time.
            std::thread::sleep(WRITER_WAIT);
        }
        Err(Error::new(ErrorKind::Locked, "a writer is at work on recovering the store")
            .at(reads.dir.display())
            .remedy("try again once it has opened it"))
    }

    /// [`Follower::sight`], if a writer is not just at work on what it would say.
    fn sight_now(&self, following: &mut Following, reads: &Reads) -> Result<Option<Sight>> {
        let (said, trust) = self.ask_head(following, reads)?;
        if trust != Trust::Untrusted {
            match self.is_outlived(following, reads, &said)? {
                Some(false) => return self.follow(following, reads, said).map(Some),
                Some(true) => {}
                None => return Ok(None),
            }
        }
        if let Some((seq, epoch)) = following.recovered
            && epoch == said.epoch
        {
            return Ok(Some(Sight { seq, picture: reads.picture() }));
        }
        if holder(&*reads.disk, &reads.dir)?.is_some() {
            return Ok(None);
        }
        let sight = self.recover(following, reads, &said);
        // A writer that came meanwhile may have removed what was to be read, or gone on since: HEAD can be believed now.
        let is_alone = self.ask_head(following, reads)?.0 == said && holder(&*reads.disk, &reads.dir)?.is_none();
        if is_alone { sight.map(Some) } else { Ok(None) }
    }

    /// What HEAD says. Where it says what it said before, it may be another file's place that this one has lost.
    fn ask_head(&self, following: &mut Following, reads: &Reads) -> Result<(HeadState, Trust)> {
        let said = self.heads.current().map(Head::read_trusted);
        let (disk, dir) = (&*reads.disk, &*reads.dir);
        if let Some((state, trust)) = said
            && (state != following.said || self.heads.current().map_or(Ok(true), |head| head.is_in_place(disk, dir))?)
        {
            following.said = state;
            return Ok((state, trust));
        }
        let Some(head) = Head::open(disk, dir, &reads.identity.uuid, MapAccess::Read)? else {
            return Ok(said.unwrap_or((HeadState::default(), Trust::Untrusted)));
        };
        // Epochs begin anew with a new page: nothing known so far is of it.
        self.epoch.store(NO_WRITER, Ordering::Release);
        following.recovered = None;
        following.asked = None;
        let (state, trust) = head.read_trusted();
        self.heads.add(head);
        following.said = state;
        Ok((state, trust))
    }

    /// Whether HEAD is a copy of an earlier day's. `None`: a writer has come while that was asked. What the answer was is known
    /// until HEAD says something else, as it does before a writer changes anything.
    fn is_outlived(&self, following: &mut Following, reads: &Reads, said: &HeadState) -> Result<Option<bool>> {
        if !said.is_clean {
            return Ok(Some(false));
        }
        if let Some((asked, is_outlived)) = &following.asked
            && asked == said
        {
            return Ok(Some(*is_outlived));
        }
        let published = load_manifest(&*reads.disk, &reads.dir, &reads.identity)?;
        let is_outlived = is_outlived(said, published.generation(), &reads.log_place())?;
        if is_outlived {
            if self.heads.current().is_some_and(|head| head.read() != *said) {
                return Ok(None);
            }
            tracing::warn!("HEAD is older than the store: the log is read");
        }
        following.asked = Some((*said, is_outlived));
        Ok(Some(is_outlived))
    }

    /// Catches up with what HEAD says. Another writer may have other tables, and what lies under their names may have been put there
    /// while nobody had the store: none of the last one's is kept.
    fn follow(&self, following: &mut Following, reads: &Reads, mut said: HeadState) -> Result<Sight> {
        let mut is_anew = self.epoch.load(Ordering::Acquire) != said.epoch;
        for attempt in 1.. {
            let outdated = reads.picture().state.generation() < said.manifest_generation;
            let caught_up = if is_anew || outdated { self.reload(following, reads, &said, is_anew) } else { Ok(()) };
            let caught_up = caught_up.and_then(|()| self.read_log(following, reads, &said));
            match caught_up {
                Ok(()) => break,
                // A segment was sealed, or MANIFEST replaced, while it was read: what HEAD says now has them.
                Err(error) if attempt < ATTEMPTS_MAX && (error.is_missing_file() || is_anew || outdated) => {
                    is_anew = true;
                    if let Some(head) = self.heads.current() {
                        said = head.read();
                    }
                    tracing::debug!(%error, "the store changed while it was read; reading it again");
                }
                Err(error) => {
                    // What was read of the log is not known to be whole: the next request begins anew.
                    self.epoch.store(NO_WRITER, Ordering::Release);
                    return Err(missing_log(error));
                }
            }
        }
        following.recovered = None;
        self.look_for_tables(following, reads, &said)?;
        self.generation.store(reads.picture().state.generation(), Ordering::Release);
        self.epoch.store(said.epoch, Ordering::Release);
        Ok(Sight { seq: said.committed_seq, picture: reads.picture() })
    }

    /// Takes the MANIFEST there is. `is_anew` forgets what was read of the log.
    fn reload(&self, following: &mut Following, reads: &Reads, said: &HeadState, is_anew: bool) -> Result<()> {
        let state = load_manifest(&*reads.disk, &reads.dir, &reads.identity)?;
        if state.generation() < said.manifest_generation {
            return Err(
                Error::damaged(&reads.dir, "MANIFEST is older than what HEAD says was committed").remedy(PUBLISH_AGAIN)
            );
        }
        let start = state.meta().log_start_segment;
        following.replay = Replay::new(Arc::clone(&state), reads.hash_seed());
        following.tails.retain(|tail| !is_anew && tail.segment() >= start);
        if is_anew || following.log.segment() < start {
            following.tails.clear();
            following.log = LogReader::new(reads.log_place(), start);
        }
        let tables = if is_anew { Tables::Anew } else { Tables::Kept };
        self.show(following, reads, state, tables(beside(&*reads.disk, &reads.dir, said)?));
        Ok(())
    }

    fn read_log(&self, following: &mut Following, reads: &Reads, said: &HeadState) -> Result<()> {
        if following.log.position() >= said.log_end {
            return Ok(());
        }
        let segments = following.tails.len();
        let Following { log, replay, tails, .. } = following;
        let folder = reads.dir.join("log");
        log.read_new(said.log_end, |frame, position| {
            replay.take(&frame, position, tails).map_err(|what| Error::damaged(&folder, what))
        })?;
        if following.tails.len() != segments {
            let state = Arc::clone(&reads.picture().state);
            self.show(following, reads, state, Tables::Kept(beside(&*reads.disk, &reads.dir, said)?));
        }
        Ok(())
    }

    fn recover(&self, following: &mut Following, reads: &Reads, said: &HeadState) -> Result<Sight> {
        let state = load_manifest(&*reads.disk, &reads.dir, &reads.identity)?;
        let meta = state.meta().clone();
        let place = reads.log_place();
        let mut replay = Replay::new(Arc::clone(&state), reads.hash_seed());
        let mut tails = Vec::new();
        let recovered =
            recover(&place, OpenMode::Read, meta.log_start_segment, meta.log_synced, None, |frame, position| {
                replay.take(&frame, position, &mut tails).map_err(|what| Error::damaged(&place.folder, what))
            })
            .map_err(missing_log)?;
        let seq = recovered.next_seq().saturating_sub(1).max(meta.seq_max);
        following.tails = tails;
        following.recovered = Some((seq, said.epoch));
        // A table that was not closed says nothing after a power failure.
        self.show(following, reads, state, Tables::None);
        self.generation.store(reads.picture().state.generation(), Ordering::Release);
        self.epoch.store(NO_WRITER, Ordering::Release);
        Ok(Sight { seq, picture: reads.picture() })
    }

    /// Shows what was read.
    fn show(&self, following: &Following, reads: &Reads, state: Arc<RegistryState>, tables: Tables) {
        let before = reads.picture();
        let picture = Picture::new(&reads.disk, &reads.dir, state, Some(&before), following.tails.clone());
        let look = |(&id, view): (&u32, &Arc<ViewPicture>)| match tables {
            Tables::Kept(_) if view.table.as_ref().is_some_and(|table| !table.is_retired()) => None,
            Tables::Kept(beside) | Tables::Anew(beside) if !view.record.is_dropped() => {
                Some((id, self.open_table(reads, view, beside)))
            }
            _ => Some((id, None)),
        };
        let found: Vec<_> = picture.views.iter().filter_map(look).collect();
        let picture = picture.with_tables(found);
        reads.set_picture(picture);
        if !matches!(tables, Tables::Kept(_)) {
            self.openings.fetch_add(1, Ordering::Release);
        }
    }

    /// A table that was built anew is a new file, and nothing else changes.
    fn look_for_tables(&self, following: &mut Following, reads: &Reads, said: &HeadState) -> Result<()> {
        following.looks += 1;
        if following.looks.is_multiple_of(TABLE_LOOKS) {
            let picture = reads.picture();
            let gone = |table: &TableReader| table.is_retired();
            let mut views = picture.views.values().filter(|view| view.record.has_table());
            if views.any(|view| view.table.as_ref().is_none_or(gone)) {
                self.show(
                    following,
                    reads,
                    Arc::clone(&picture.state),
                    Tables::Kept(beside(&*reads.disk, &reads.dir, said)?),
                );
            }
        }
        Ok(())
    }

    fn open_table(&self, reads: &Reads, view: &ViewPicture, beside: Beside) -> Option<TableReader> {
        let path = reads.dir.join("latest").join(view.record.dir_name());
        let options = TableOptions { expected_keys: 0, reserve_bytes: self.table_reserve_bytes, floor: None };
        match TableReader::open(&*reads.disk, &path, table_shape(view, &reads.identity), &options, beside) {
            Ok(Opened::Trusted(table)) => Some(table),
            Ok(Opened::NeedsRebuild(why)) => {
                tracing::debug!(view = view.record.dir_name(), why, "no latest table to read; history answers");
                None
            }
            Err(error) => {
                tracing::debug!(view = view.record.dir_name(), %error, "no latest table to read; history answers");
                None
            }
        }
    }
}

/// The tables that a picture is shown with.
#[derive(Clone, Copy)]
enum Tables {
    /// None: nobody knows what they have.
    None,
    /// Those of the picture before, and what is found of the others.
    Kept(Beside),
    /// What is found of all.
    Anew(Beside),
}

/// The error for a log that is gone, or is not what was written: nothing else has its rows.
fn missing_log(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Damaged if error.way_out().is_none() => error.remedy(RESTORE_STORE),
        _ if error.is_missing_file() => {
            let place = error.place().unwrap_or("log").to_owned();
            Error::new(ErrorKind::Damaged, "the log, or a segment of it, is missing")
                .at(place)
                .remedy(RESTORE_STORE)
                .caused_by(std::io::Error::from(std::io::ErrorKind::NotFound))
        }
        _ => error,
    }
}
