//! The read side of a store, the same in the process that writes and in those that only read.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::core::lock;
use super::follow::Follower;
use super::picture::Picture;
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::head::{Head, HeadState};
use crate::identity::Identity;
use crate::lock::WriterLock;
use crate::log::LogPlace;

/// What every read starts from. The writer swaps the picture at each change of the registry.
#[derive(Debug)]
pub struct Reads {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) identity: Identity,
    pub(super) source: Source,
    pub(super) picture: RwLock<Arc<Picture>>,
}

/// Who says how far the store has come.
#[derive(Debug)]
pub(super) enum Source {
    /// This process, which writes: HEAD is its own, and pictures keep up with it.
    Writer(OwnHead),
    /// Another process, or none: HEAD is followed, and MANIFEST and log after it.
    Other(Box<Follower>),
}

/// A generation that no registry has: the store was closed.
const CLOSED: u64 = u64::MAX;

/// HEAD, in the process that writes it.
#[derive(Debug)]
pub(super) struct OwnHead {
    pub head: Head,
    /// The generation that HEAD says, or [`CLOSED`], for which nothing was prepared: so a prepared request that must fail finds
    /// that out where it asks for the generation anyway.
    generation: AtomicU64,
    /// Until the store is closed, no other writer comes while somebody reads what this one left.
    lock: Mutex<Option<Arc<WriterLock>>>,
}

impl OwnHead {
    pub fn new(head: Head, generation: u64, lock: Arc<WriterLock>) -> OwnHead {
        OwnHead { head, generation: AtomicU64::new(generation), lock: Mutex::new(Some(lock)) }
    }

    /// Makes a commit visible. The generation before the number: whoever finds this number finds no older generation.
    pub fn publish(&self, state: &HeadState) {
        let unless_closed = |known| (known != CLOSED).then_some(state.manifest_generation);
        let _ = self.generation.fetch_update(Ordering::Release, Ordering::Relaxed, unless_closed);
        self.head.publish(state);
    }

    fn check_open(&self) -> Result<()> {
        if self.generation.load(Ordering::Acquire) == CLOSED { Err(closed()) } else { Ok(()) }
    }
}

/// What everything comes to that is asked of a store that was closed.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Poisoned, "the store was closed").remedy("open it again")
}

/// A request's first step: what it may see.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Rows up to this number are visible.
    pub seq: u64,
    /// Where they are, all of them; rows of greater numbers may be there too.
    pub picture: Arc<Picture>,
}

/// Which state of definitions and tables a prepared request is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edition {
    /// The registry's generation that pictures are at, or will be at once.
    pub generation: u64,
    /// How often all tables were opened anew, as another writer came: 0 in the process that writes.
    pub openings: u64,
}

impl Reads {
    /// What a request that begins now may see.
    ///
    /// # Errors
    /// `Poisoned`: the store was closed. In a process that does not write: MANIFEST or the log cannot be read.
    pub fn sight(&self) -> Result<Sight> {
        match &self.source {
            // First the number: the picture then has all rows up to it.
            Source::Writer(own) => {
                let seq = own.head.committed_seq();
                own.check_open()?;
                Ok(Sight { seq, picture: self.picture() })
            }
            Source::Other(follower) => follower.sight(self),
        }
    }

    /// The HEAD that says what was seen last; `None` where the log said it, to its very end.
    pub(super) fn followed_head(&self) -> Option<&Head> {
        match &self.source {
            Source::Writer(own) => Some(&own.head),
            Source::Other(follower) => follower.followed_head(),
        }
    }

    /// For a request that begins now on prepared definitions: rows up to which number it sees, and the edition they must be of. Of
    /// a store that was closed, a generation that nothing was prepared for.
    ///
    /// # Errors
    /// In a process that does not write: as [`Reads::sight`].
    #[inline(always)]
    pub(super) fn seq_and_edition(&self) -> Result<(u64, Edition)> {
        match &self.source {
            // First the number, as in `sight`.
            Source::Writer(own) => {
                let seq = own.head.committed_seq();
                Ok((seq, Edition { generation: own.generation.load(Ordering::Acquire), openings: 0 }))
            }
            Source::Other(follower) => {
                let seq = match follower.committed_seq() {
                    Some(seq) => seq,
                    None => follower.sight(self)?.seq,
                };
                Ok((seq, Edition { generation: follower.generation(), openings: follower.openings() }))
            }
        }
    }

    /// The picture of now, to prepare a request on, and its edition.
    ///
    /// # Errors
    /// As [`Reads::sight`].
    pub(super) fn edition(&self) -> Result<(Arc<Picture>, Edition)> {
        // Asked first: the picture is of this opening or of one after it, which is then asked for again.
        let openings = match &self.source {
            Source::Writer(_) => 0,
            Source::Other(follower) => follower.openings(),
        };
        let Sight { picture, .. } = self.sight()?;
        let generation = picture.state.generation();
        Ok((picture, Edition { generation, openings }))
    }

    /// Answers with what can be seen now; again where files were merged away before they were opened.
    ///
    /// # Errors
    /// As [`Reads::sight`], and what `answer` fails with.
    pub fn with_sight<T>(&self, mut answer: impl FnMut(&Sight) -> Result<T>) -> Result<T> {
        let mut sight = self.sight()?;
        loop {
            match answer(&sight) {
                Err(error) if error.is_missing_file() => {
                    let newer = self.sight()?;
                    if newer.picture.state.generation() == sight.picture.state.generation() {
                        return Err(error);
                    }
                    sight = newer;
                }
                outcome => return outcome,
            }
        }
    }

    /// In the process that writes: every request from now on fails, and none keeps another writer from coming any more.
    /// What has its files open already, as a scan does, goes on.
    pub fn close(&self) {
        if let Source::Writer(own) = &self.source {
            own.generation.store(CLOSED, Ordering::Release);
            drop(lock(&own.lock).take());
        }
    }

    /// What can be read now, whatever has been committed. A request takes a [`Reads::sight`].
    pub fn picture(&self) -> Arc<Picture> {
        Arc::clone(&self.picture.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_picture(&self, picture: Picture) {
        *self.picture.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(picture);
    }

    /// The random seed of key hashes.
    pub fn hash_seed(&self) -> u64 {
        self.identity.hash_seed
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file system the store lies on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub(super) fn log_place(&self) -> LogPlace {
        log_place(&self.disk, &self.dir, &self.identity)
    }
}

/// The log's folder and what tells it from another store's.
pub(super) fn log_place(disk: &Arc<dyn Disk>, dir: &Path, identity: &Identity) -> LogPlace {
    LogPlace {
        disk: Arc::clone(disk),
        folder: dir.join("log"),
        store_uuid: identity.uuid,
        store_seed: identity.hash_seed,
    }
}
