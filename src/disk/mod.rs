//! The one door to the file system. Everything the store does to files goes through [`Disk`], so
//! that tests can put a simulated disk in its place: one that loses what was not synced, tears
//! sectors, reorders directory operations, runs full, or fails.
//!
//! # What is assumed of the medium
//! - A 512-byte sector is written whole or not at all; a longer write may be torn between sectors,
//!   in any order.
//! - What [`File::sync`] covered survives a power failure. Nothing else is promised to.
//! - A file's name survives once [`Disk::sync_dir`] of its folder returned; before that, creations,
//!   renames and removals may each have happened or not, except that a rename replaces whole.
//! - After a failed sync nothing is known about the writes it was to cover.
//! - Stores to a shared mapping reach the medium in any order, at any time, in any sectors.
//! - Within one boot, a file that [`File::identity`] tells has every store to a mapping of it, those of killed processes
//!   too. A file system that is forced off its mount and mounted again breaks this.

mod atomic;
mod available;
mod faulty;
mod map;
mod memory;
mod operation;
mod random;
mod real;
mod redb_backend;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub use atomic::{Replacement, atomic_write};
pub use available::memory_available_bytes;
pub use faulty::{FaultyDisk, Verdict};
pub use map::{SharedMap, prefetch};
pub use memory::{CrashMode, MemDisk, OperationInfo};
pub use operation::Operation;
pub use random::Random;
pub use real::RealDisk;
pub use redb_backend::RedbFile;

use crate::error::Result;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A new file; an error when the name is taken.
    Create,
}

/// A file system, real or simulated. Paths are absolute or relative to the process; errors name them.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>>;
    /// Renames a file, replacing what bears the new name.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> Result<()>;
    /// Makes a folder; no error when it is there.
    fn create_dir(&self, path: &Path) -> Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> Result<()>;
    /// Makes names created, renamed or removed in a folder durable.
    fn sync_dir(&self, path: &Path) -> Result<()>;
    /// The names in a folder, sorted.
    fn list(&self, path: &Path) -> Result<Vec<String>>;
    /// Whether anything bears this name.
    fn exists(&self, path: &Path) -> Result<bool>;
    /// Maps a file that nobody will write to again.
    fn map(&self, path: &Path) -> Result<Bytes>;
    /// Takes the advisory exclusive lock on a file, without waiting; `None` when another holds it.
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn LockGuard>>>;
    /// Whether anybody holds the exclusive lock on a file. Takes none that lasts.
    fn is_locked(&self, path: &Path) -> Result<bool>;
    /// Differs from boot to boot: what page cache and mappings held before is gone.
    fn boot_id(&self) -> [u8; 16];
}

/// A file open for positioned reads and writes.
pub trait File: fmt::Debug + Send + Sync {
    /// Fills `out` from `offset`; an error when the file ends before.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;
    /// The file's length.
    fn len_bytes(&self) -> Result<u64>;
    /// Cuts or extends the file; new bytes are zero.
    fn set_len(&self, len_bytes: u64) -> Result<()>;
    /// Extends the file to `len_bytes` of zeros with the space reserved, so that writing there cannot find the disk full.
    fn allocate(&self, len_bytes: u64) -> Result<()>;
    /// Makes the file's contents and length durable.
    fn sync(&self) -> Result<()>;
    /// Device and inode: tells a file from a copy of it under the same name.
    fn identity(&self) -> Result<(u64, u64)>;
    /// Maps a file that processes share. The mapping spans `reserve_bytes` (rounded up to pages), which may
    /// lie beyond the file's end; touching words there before the file has grown that far is the caller's fault.
    fn map_shared(&self, access: MapAccess, reserve_bytes: u64) -> Result<Arc<SharedMap>>;
}

/// What a shared mapping may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapAccess {
    /// Loads only; a store is a fault.
    Read,
    /// Loads and stores.
    Write,
}

/// Holds an advisory lock until dropped.
pub trait LockGuard: fmt::Debug + Send + Sync {}
