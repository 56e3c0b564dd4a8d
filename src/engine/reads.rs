//! The read side of a store, the same in the process that writes and in those that only read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::picture::Picture;
use crate::disk::Disk;
use crate::error::Result;
use crate::head::Head;
use crate::identity::Identity;
use crate::log::LogPlace;

/// What every read starts from. The writer swaps the picture at each change of the registry.
#[derive(Debug)]
pub struct Reads {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) identity: Identity,
    pub(super) head: Head,
    pub(super) picture: RwLock<Arc<Picture>>,
}

/// A request's first step: what it may see.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Rows up to this number are visible.
    pub seq: u64,
    /// Where they are, all of them; rows of greater numbers may be there too.
    pub picture: Arc<Picture>,
}

impl Reads {
    /// What a request that begins now may see.
    ///
    /// # Errors
    /// In a process that does not write: MANIFEST or the log cannot be read.
    pub fn sight(&self) -> Result<Sight> {
        // First the number: the picture then has all rows up to it.
        let seq = self.head.committed_seq();
        Ok(Sight { seq, picture: self.picture() })
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

    /// The log's folder and what tells it from another store's.
    pub(super) fn log_place(&self) -> LogPlace {
        LogPlace {
            disk: Arc::clone(&self.disk),
            folder: self.dir.join("log"),
            store_uuid: self.identity.uuid,
            store_seed: self.identity.hash_seed,
        }
    }
}
