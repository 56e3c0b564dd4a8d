//! A whole file system in memory, and what crashes leave of it. The fault model heads `crash.rs`.

mod content;
mod crash;
mod file;
mod names;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Disk, File, LockGuard, OpenMode, Operation};
use crate::error::{Error, ErrorKind as Kind, Result};
pub use crash::CrashMode;
use file::{FileState, Inode, MemFile};
use names::{Names, Node, normal};

/// A file system in memory. Clones are further processes on the same disk.
#[derive(Clone)]
pub struct MemDisk {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    watcher: Mutex<Option<Watcher>>,
}

struct State {
    names: Names,
    locked: HashSet<u64>,
    next_inode: u64,
    boot: u64,
    operations: u64,
    fail_after: Option<u64>,
    /// Whether what is not durable is told from what is.
    records: bool,
}

type Watcher = Box<dyn FnMut(&OperationInfo<'_>) + Send>;

/// An operation that is about to happen.
#[derive(Debug)]
pub struct OperationInfo<'a> {
    /// Its number: as many operations came before.
    pub number: u64,
    /// What it is.
    pub operation: Operation,
    /// The file or folder.
    pub path: &'a Path,
    /// The disk as it is before the operation, with all that were watched earlier done, whatever thread does them: for
    /// images only, not for operations of the watcher's own.
    pub disk: &'a MemDisk,
}

impl fmt::Debug for MemDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemDisk").finish_non_exhaustive()
    }
}

impl Default for MemDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl MemDisk {
    /// An empty disk that can be crashed. It remembers every write until it is synced.
    pub fn new() -> Self {
        Self::with_records(true)
    }

    /// An empty disk that cannot be crashed, and so remembers nothing: for stores that live in memory.
    pub fn volatile() -> Self {
        Self::with_records(false)
    }

    fn with_records(records: bool) -> Self {
        Self::from_state(State {
            names: Names::default(),
            locked: HashSet::new(),
            next_inode: 1,
            boot: 1,
            operations: 0,
            fail_after: None,
            records,
        })
    }

    fn from_state(state: State) -> Self {
        MemDisk { shared: Arc::new(Shared { state: Mutex::new(state), watcher: Mutex::new(None) }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations that change something or make it durable there were.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets operations succeed until there were `operations` of them in all; then everything fails.
    pub fn fail_after(&self, operations: u64) {
        self.state().fail_after = Some(operations);
    }

    /// Calls `watcher` before every operation that changes something or makes it durable.
    pub fn on_operation(&self, watcher: impl FnMut(&OperationInfo<'_>) + Send + 'static) {
        *self.shared.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(watcher));
    }

    /// Does to the file's unsynced writes what a failed sync does on Linux: they stay visible until
    /// the crash, and no later sync makes them durable. For tests that fail a sync.
    ///
    /// # Errors
    /// There is no such file.
    pub fn forget_unsynced(&self, path: &Path) -> Result<()> {
        let state = self.state();
        state.file(path, "forgetting the unsynced writes")?.state().forget();
        Ok(())
    }

    /// Every operation that changes something begins here.
    fn begin(&self, operation: Operation, path: &Path) -> Result<MutexGuard<'_, State>> {
        let mut watcher = self.shared.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watcher) = watcher.as_mut() {
            let number = self.operations();
            watcher(&OperationInfo { number, operation, path, disk: self });
        }
        // Before another watcher may look: to it this operation is done.
        let mut state = self.state();
        drop(watcher);
        state.check_alive(path)?;
        state.operations += 1;
        Ok(state)
    }

    fn check_alive(&self, path: &Path) -> Result<()> {
        self.state().check_alive(path)
    }
}

impl State {
    fn check_alive(&self, path: &Path) -> Result<()> {
        if self.fail_after.is_some_and(|operations| self.operations >= operations) {
            return Err(Error::new(Kind::Io, "crashed").at(path.display()));
        }
        Ok(())
    }

    fn file(&self, path: &Path, doing: &str) -> Result<Arc<Inode>> {
        let normal = normal(path);
        match self.names.find(&normal) {
            Some(Node::File(inode)) => Ok(Arc::clone(inode)),
            None if !self.names.is_dir(&normal) => Err(io_error(doing, path, ErrorKind::NotFound)),
            _ => Err(io_error(doing, path, ErrorKind::IsADirectory)),
        }
    }

    /// After a change of names: on a disk that does not record, it is durable at once.
    fn settle(&mut self) {
        if !self.records {
            self.names.pending.clear();
        }
    }
}

impl Disk for MemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        let inode = if mode == OpenMode::Create {
            let mut state = self.begin(Operation::Create, path)?;
            let inode = Inode::new(state.next_inode, FileState::default());
            let created = state.names.create(&normal(path), Node::File(Arc::clone(&inode)));
            created.map_err(|kind| io_error("creating", path, kind))?;
            state.next_inode += 1;
            state.settle();
            inode
        } else {
            let state = self.state();
            state.check_alive(path)?;
            state.file(path, "opening")?
        };
        Ok(Arc::new(MemFile { disk: self.clone(), inode, path: path.to_owned(), writable: mode != OpenMode::Read }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.begin(Operation::Rename, from)?;
        let renamed = state.names.rename(&normal(from), &normal(to));
        state.settle();
        renamed.map_err(|kind| io_error(&format!("renaming to {}", to.display()), from, kind))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let mut state = self.begin(Operation::Remove, path)?;
        let removed = state.names.remove(&normal(path));
        state.settle();
        removed.map_err(|kind| io_error("removing", path, kind))
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        let mut state = self.begin(Operation::CreateDir, path)?;
        let path_normal = normal(path);
        if state.names.is_dir(&path_normal) {
            return Ok(());
        }
        let created = state.names.create(&path_normal, Node::Dir);
        state.settle();
        created.map_err(|kind| io_error("making the folder", path, kind))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        let mut state = self.begin(Operation::RemoveDir, path)?;
        let removed = state.names.remove_dir(&normal(path));
        state.settle();
        removed.map_err(|kind| io_error("removing the folder", path, kind))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let mut state = self.begin(Operation::SyncDir, path)?;
        let path_normal = normal(path);
        state.names.check_dir(&path_normal).map_err(|kind| io_error("syncing the folder", path, kind))?;
        state.names.sync_dir(&path_normal);
        Ok(())
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        let state = self.state();
        state.check_alive(path)?;
        let path_normal = normal(path);
        state.names.check_dir(&path_normal).map_err(|kind| io_error("listing", path, kind))?;
        let names = state.names.children(&path_normal).filter_map(Path::file_name);
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        let state = self.state();
        state.check_alive(path)?;
        let path = normal(path);
        Ok(state.names.is_dir(&path) || state.names.find(&path).is_some())
    }

    fn map(&self, path: &Path) -> Result<Bytes> {
        let state = self.state();
        state.check_alive(path)?;
        let inode = state.file(path, "mapping")?;
        let mut file = inode.state();
        Ok(match file.map {
            Some(_) => file.snapshot().whole(),
            None => file.live.whole(),
        })
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn LockGuard>>> {
        let mut state = self.state();
        state.check_alive(path)?;
        let inode = state.file(path, "locking")?.id;
        let free = state.locked.insert(inode);
        Ok(free.then(|| Box::new(MemLock { disk: self.clone(), inode, path: path.to_owned() }) as Box<dyn LockGuard>))
    }

    fn is_locked(&self, path: &Path) -> Result<bool> {
        let state = self.state();
        state.check_alive(path)?;
        let Some(Node::File(inode)) = state.names.find(&normal(path)) else { return Ok(false) };
        Ok(state.locked.contains(&inode.id))
    }

    fn boot_id(&self) -> [u8; 16] {
        u128::from(self.state().boot).to_be_bytes()
    }
}

/// Holds a simulated lock.
struct MemLock {
    disk: MemDisk,
    inode: u64,
    path: PathBuf,
}

impl LockGuard for MemLock {}

impl fmt::Debug for MemLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemLock({})", self.path.display())
    }
}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.inode);
    }
}

/// The error a real disk would have given.
fn io_error(doing: &str, path: &Path, kind: ErrorKind) -> Error {
    Error::io(doing, path, std::io::Error::from(kind))
}
