//! Run files that are being built: gone again unless a commit of the registry names them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::core::{Core, Engine, lock};
use crate::disk::Disk;
use crate::error::Result;
use crate::history::{RunOutput, index_path, run_path};

/// The files that were built under numbers given here. Dropped, it removes them, those too that were left half written.
#[derive(Debug)]
pub(super) struct Building {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    given: Mutex<Vec<u64>>,
    is_kept: AtomicBool,
}

impl Building {
    /// Files to come in a view's folder.
    pub fn new(engine: &Engine, folder: PathBuf) -> Building {
        let disk = Arc::clone(&engine.reads.disk);
        Building { disk, folder, given: Mutex::default(), is_kept: AtomicBool::new(false) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Builds a run, or several.
    ///
    /// # Errors
    /// What `work` fails with.
    pub fn run<T>(&self, engine: &Engine, work: impl FnOnce(&RunOutput<'_>) -> Result<T>) -> Result<T> {
        let give = || {
            let id = engine.next_run_id();
            lock(&self.given).push(id);
            id
        };
        work(&engine.run_output(&self.folder, &give))
    }

    /// The registry names them, or may.
    pub fn keep(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// After the commit that was to name them: what it left nobody knows when it broke the store, and the next open removes
    /// what no registry names.
    pub fn settle<T>(&self, core: &Core, was_sound: bool, committed: &Result<T>) {
        if committed.is_ok() || was_sound && core.broken.is_some() {
            self.keep();
        }
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        // A panic may have come after the commit that names them.
        if self.is_kept.load(Ordering::Relaxed) || std::thread::panicking() {
            return;
        }
        for id in lock(&self.given).drain(..) {
            // One that was not begun is not there; one that cannot be removed now is at the next open.
            let _ = self.disk.remove(&run_path(&self.folder, id));
            let _ = self.disk.remove(&index_path(&self.folder, id));
        }
    }
}
