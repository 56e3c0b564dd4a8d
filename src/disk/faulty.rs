//! A disk that fails, or quietly does nothing, where a test says so.
//!
//! It stands before any other disk. Loads from and stores to mappings pass unasked; their syncs do not.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use memmap2::MmapRaw;

use super::map::SyncTarget;
use super::{Disk, File, LockGuard, MapAccess, OpenMode, Operation, SharedMap};
use crate::error::{Error, Result};

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Proceed,
    /// It is not done, and fails with an error of this kind.
    Fail(io::ErrorKind),
    /// It is not done, and fails with this number of the operating system's: not all have a kind.
    Errno(i32),
    /// It is not done, and reported as done. Not for `Create` and `OpenWrite`, which have a file to return.
    Skip,
}

type Rule = Arc<dyn Fn(Operation, &Path) -> Verdict + Send + Sync>;

/// Another disk, with faults.
#[derive(Clone)]
pub struct FaultyDisk {
    inner: Arc<dyn Disk>,
    rule: Rule,
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyDisk").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl FaultyDisk {
    /// Asks `rule` before every operation that changes something or makes it durable. It may take its time: operations
    /// of other threads go on meanwhile.
    pub fn new(inner: Arc<dyn Disk>, rule: impl Fn(Operation, &Path) -> Verdict + Send + Sync + 'static) -> Self {
        FaultyDisk { inner, rule: Arc::new(rule) }
    }

    /// Gives `verdict` to the operations that `matches` picks, from number `first` (0 is the first) on,
    /// `count` of them.
    pub fn at(
        inner: Arc<dyn Disk>,
        verdict: Verdict,
        first: u64,
        count: u64,
        matches: impl Fn(Operation, &Path) -> bool + Send + Sync + 'static,
    ) -> Self {
        let seen = AtomicU64::new(0);
        Self::new(inner, move |operation, path| {
            if !matches(operation, path) {
                return Verdict::Proceed;
            }
            let number = seen.fetch_add(1, Ordering::SeqCst);
            if number >= first && number - first < count { verdict } else { Verdict::Proceed }
        })
    }

    /// Does the operation, or what the rule says instead.
    fn judge(&self, operation: Operation, path: &Path, doing: impl FnOnce() -> Result<()>) -> Result<()> {
        let injected = |error: io::Error| Err(Error::io(format!("{operation:?}, injected"), path, error));
        match (self.rule)(operation, path) {
            Verdict::Proceed => doing(),
            Verdict::Fail(kind) => injected(kind.into()),
            Verdict::Errno(number) => injected(io::Error::from_raw_os_error(number)),
            Verdict::Skip => Ok(()),
        }
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        match mode {
            OpenMode::Create => self.judge(Operation::Create, path, || Ok(()))?,
            OpenMode::Write => self.judge(Operation::OpenWrite, path, || Ok(()))?,
            OpenMode::Read => {}
        }
        let inner = self.inner.open(path, mode)?;
        Ok(Arc::new(FaultyFile { disk: self.clone(), inner, path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.judge(Operation::Rename, from, || self.inner.rename(from, to))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.judge(Operation::Remove, path, || self.inner.remove(path))
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        self.judge(Operation::CreateDir, path, || self.inner.create_dir(path))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.judge(Operation::RemoveDir, path, || self.inner.remove_dir(path))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.judge(Operation::SyncDir, path, || self.inner.sync_dir(path))
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        self.inner.list(path)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.inner.exists(path)
    }

    fn map(&self, path: &Path) -> Result<Bytes> {
        self.inner.map(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn LockGuard>>> {
        self.inner.try_lock(path)
    }

    fn is_locked(&self, path: &Path) -> Result<bool> {
        self.inner.is_locked(path)
    }

    fn boot_id(&self) -> [u8; 16] {
        self.inner.boot_id()
    }
}

/// Syncs a mapping of a disk with faults.
#[derive(Debug)]
struct FaultyMapSync {
    disk: FaultyDisk,
    inner: Arc<SharedMap>,
    path: PathBuf,
}

impl SyncTarget for FaultyMapSync {
    fn sync_range(&self, _memory: &MmapRaw, start_bytes: usize, len_bytes: usize) -> Result<()> {
        self.disk.judge(Operation::SyncMap, &self.path, || self.inner.sync(start_bytes as u64, len_bytes as u64))
    }
}

/// A file of a disk with faults.
#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    inner: Arc<dyn File>,
    path: PathBuf,
}

impl File for FaultyFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.inner.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.disk.judge(Operation::Write, &self.path, || self.inner.write_at(offset, bytes))
    }

    fn len_bytes(&self) -> Result<u64> {
        self.inner.len_bytes()
    }

    fn set_len(&self, len_bytes: u64) -> Result<()> {
        self.disk.judge(Operation::SetLen, &self.path, || self.inner.set_len(len_bytes))
    }

    fn allocate(&self, len_bytes: u64) -> Result<()> {
        self.disk.judge(Operation::Allocate, &self.path, || self.inner.allocate(len_bytes))
    }

    fn sync(&self) -> Result<()> {
        self.disk.judge(Operation::Sync, &self.path, || self.inner.sync())
    }

    fn identity(&self) -> Result<(u64, u64)> {
        self.inner.identity()
    }

    fn map_shared(&self, access: MapAccess, reserve_bytes: u64) -> Result<Arc<SharedMap>> {
        let inner = self.inner.map_shared(access, reserve_bytes)?;
        let sync = FaultyMapSync { disk: self.disk.clone(), inner: Arc::clone(&inner), path: self.path.clone() };
        Ok(Arc::new(inner.with_sync(Box::new(sync))))
    }
}
