//! The registry: definitions, run files, the import ledger, snapshots. A commit here is the commit point
//! for everything that does not go through the log.
//!
//! The records live in `registry.redb`, which only the writer can open, and once more in MANIFEST, which everybody
//! reads. Publishing is the caller's: the order around it is what makes a commit visible to other processes.
//!
//! # When the two disagree
//!
//! | registry.redb | MANIFEST | what happens |
//! | --- | --- | --- |
//! | sound | same generation, same digest | nothing |
//! | sound, newer | sound | MANIFEST is published again: the writer died in between |
//! | sound | missing or damaged | MANIFEST is published again |
//! | older, or other records at the same generation | sound | rebuilt from MANIFEST |
//! | missing or damaged | sound | rebuilt from MANIFEST |
//! | missing or damaged | missing or damaged | `Damaged` |
//!
//! A commit that was published is therefore never lost by the loss of either file, and one that was not may
//! be found or not, but whole.

mod definitions;
mod file;
pub mod records;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub use definitions::DefinitionsView;
pub use file::{FILE_NAME, SEAL_BYTES};
pub use state::{Change, RegistryState};

use bytes::Bytes;

use self::file::RegistryFile;
use self::records::{Meta, ProjectRecord, Record};
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, RESTORE_STORE, Result};
use crate::format::manifest::{Manifest, Records};

/// The writer's registry. Readers in other processes have a [`RegistryState`] alone.
#[derive(Debug)]
pub struct Registry {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file: Mutex<RegistryFile>,
    state: RwLock<Arc<RegistryState>>,
}

/// What opening a registry came to.
#[derive(Debug)]
pub struct Opened {
    /// The registry.
    pub registry: Registry,
    /// MANIFEST is missing, damaged or behind: publish it before anything else.
    pub must_publish: bool,
    /// Why `registry.redb` was made anew out of MANIFEST, if it was.
    pub rebuilt: Option<String>,
}

/// What `registry.redb` holds, where no writer has it open; nothing is written to it.
///
/// # Errors
/// It is missing or damaged; the disk refuses.
pub fn stored(disk: &dyn Disk, dir: &Path, store_uuid: &[u8; 16]) -> Result<Manifest> {
    RegistryFile::read(disk, dir, store_uuid)
}

impl Registry {
    /// Makes the registry of a new store, in place of what a creation cut short may have left. MANIFEST
    /// is to be published next, and STORE written last.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn create(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        store_uuid: [u8; 16],
        meta: &Meta,
        project: &ProjectRecord,
    ) -> Result<Registry> {
        let empty = Manifest { store_uuid, generation: 0, records: Records::new() };
        let first = RegistryState::from_manifest(Manifest {
            generation: 1,
            records: [json_of(meta)?, json_of(project)?].into_iter().collect(),
            ..empty
        })?;
        let file = RegistryFile::rebuild(&**disk, dir, &first.to_manifest())?;
        Ok(Registry::of(disk, dir, file, first))
    }

    /// Opens the registry of an existing store; `published` is what loading MANIFEST came to.
    ///
    /// # Errors
    /// `Damaged` when neither file can be used; `NewerFormat` when MANIFEST is a later release's; or the disk refuses.
    pub fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        store_uuid: [u8; 16],
        published: Result<Option<Manifest>>,
    ) -> Result<Opened> {
        let published = match published {
            Ok(Some(manifest)) => Ok(manifest),
            Ok(None) => Err("MANIFEST is missing".to_owned()),
            Err(error) if error.kind() == ErrorKind::Damaged => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        let stored = match RegistryFile::open(&**disk, dir, &store_uuid) {
            Ok(stored) => Ok(stored),
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound) => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        let (manifest, reason) = match (stored, published) {
            (Ok((file, stored)), Err(reason)) => {
                tracing::warn!(reason, "MANIFEST is published again");
                return Registry::opened(disk, dir, file, stored, true, None);
            }
            (Ok((file, stored)), Ok(published)) => {
                if stored.generation > published.generation {
                    return Registry::opened(disk, dir, file, stored, true, None);
                }
                if stored == published {
                    return Registry::opened(disk, dir, file, stored, false, None);
                }
                let reason = format!(
                    "{FILE_NAME} is at generation {}, and MANIFEST is at {} with other records",
                    stored.generation, published.generation
                );
                (published, reason)
            }
            (Err(reason), Ok(published)) => (published, reason),
            (Err(stored), Err(published)) => {
                return Err(Error::damaged(dir, format!("the registry is lost twice: {stored}; and {published}"))
                    .remedy(RESTORE_STORE));
            }
        };
        tracing::warn!(reason, "the registry is rebuilt from MANIFEST");
        let file = RegistryFile::rebuild(&**disk, dir, &manifest)?;
        Registry::opened(disk, dir, file, manifest, false, Some(reason))
    }

    fn opened(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        file: RegistryFile,
        manifest: Manifest,
        must_publish: bool,
        rebuilt: Option<String>,
    ) -> Result<Opened> {
        let state = RegistryState::from_manifest(manifest)?;
        Ok(Opened { registry: Registry::of(disk, dir, file, state), must_publish, rebuilt })
    }

    fn of(disk: &Arc<dyn Disk>, dir: &Path, file: RegistryFile, state: RegistryState) -> Registry {
        Registry {
            disk: Arc::clone(disk),
            dir: dir.to_path_buf(),
            file: Mutex::new(file),
            state: RwLock::new(Arc::new(state)),
        }
    }

    /// What the registry says now. Does not change under the caller.
    pub fn state(&self) -> Arc<RegistryState> {
        // A state is replaced whole, so one behind a poisoned lock is as good as any.
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Works out a change and one more generation, and keeps everybody else from making one until it is committed or
    /// dropped. `change` sees what every commit before it did.
    ///
    /// # Errors
    /// `change`'s own.
    pub fn propose(&self, change: impl FnOnce(&mut Change<'_>) -> Result<()>) -> Result<Proposed<'_>> {
        let file: MutexGuard<'_, RegistryFile> = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.state();
        let mut changing = Change::new(&before);
        change(&mut changing)?;
        let changes = changing.finish()?;
        let after = Arc::new(before.after(&changes)?);
        Ok(Proposed { registry: self, file, changes, before, after })
    }

    /// Whether it takes another commit: not after one that may have taken place.
    pub fn takes_commits(&self) -> bool {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).takes_commits()
    }
}

/// A change that was worked out, and of which nobody knows.
#[derive(Debug)]
pub struct Proposed<'a> {
    registry: &'a Registry,
    file: MutexGuard<'a, RegistryFile>,
    changes: BTreeMap<String, Option<Bytes>>,
    before: Arc<RegistryState>,
    after: Arc<RegistryState>,
}

impl Proposed<'_> {
    /// What the registry will say.
    pub fn after(&self) -> &Arc<RegistryState> {
        &self.after
    }

    /// Makes the change. Durable on return, and then what [`Registry::state`] says.
    ///
    /// # Errors
    /// The disk's, after which nobody knows whether it took place, and the registry takes no more commits (`Poisoned`);
    /// unless the disk was merely full and the file is found to be as it was: then [it does](Registry::takes_commits).
    pub fn commit(mut self) -> Result<Arc<RegistryState>> {
        if let Err(error) = self.file.commit(&self.changes, &self.after.to_manifest()) {
            if error.kind() == ErrorKind::NoSpace {
                self.resume();
            }
            return Err(error);
        }
        *self.registry.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&self.after);
        Ok(self.after)
    }

    /// After a full disk: goes on with the file when it holds what it held before.
    fn resume(&mut self) {
        let (Registry { disk, dir, .. }, before) = (self.registry, self.before.to_manifest());
        match RegistryFile::open(&**disk, dir, &before.store_uuid) {
            Ok((reopened, found)) if found == before => *self.file = reopened,
            Ok(_) => tracing::warn!("the registry took a commit that it reported as failed"),
            Err(error) => tracing::warn!(%error, "the registry does not open after a full disk"),
        }
    }
}

fn json_of<R: Record>(record: &R) -> Result<(String, Bytes)> {
    let json = serde_json::to_vec(record)
        .map_err(|source| Error::invalid("the record cannot be written as JSON").at(record.key()).caused_by(source))?;
    Ok((record.key(), json.into()))
}
