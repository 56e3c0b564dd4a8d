//! Files of `history/` that are being built: gone again unless a commit of the registry names them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::core::{Core, Engine, lock};
use super::orphans::clock_name;
use crate::disk::{Disk, atomic_write};
use crate::error::Result;
use crate::format::commits::{Commit, encode_commits};
use crate::history::{RunOutput, index_path, run_path};
use crate::registry::records::ClockRecord;

/// The files that were built under names given here. Dropped, it removes them, those too that were left half written.
#[derive(Debug)]
pub(super) struct Building {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    given: Mutex<Vec<PathBuf>>,
    is_kept: AtomicBool,
}

impl Building {
    /// Files to come in `history/` or a view's folder there.
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
            lock(&self.given).extend([run_path(&self.folder, id), index_path(&self.folder, id)]);
            id
        };
        work(&engine.run_output(&self.folder, &give))
    }

    /// Writes the wall-clock times of the commits in the log up to a segment; `None` where there are none.
    ///
    /// # Errors
    /// The file could not be made durable.
    pub fn clock(&self, commits: &[Commit], last_segment: u32) -> Result<Option<ClockRecord>> {
        let (Some(first), Some(last)) = (commits.first(), commits.last()) else { return Ok(None) };
        let name = clock_name(last_segment);
        lock(&self.given).push(self.folder.join(&name));
        atomic_write(&*self.disk, &self.folder, &name, &encode_commits(commits))?;
        Ok(Some(ClockRecord {
            id: last_segment.into(),
            file_name: format!("history/{name}"),
            seq_first: first.last_seq,
            seq_last: last.last_seq,
            ingested_first_us: first.ingested_at,
            ingested_last_us: last.ingested_at,
        }))
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
        for path in lock(&self.given).drain(..) {
            // One that was not begun is not there; one that cannot be removed now is at the next open.
            let _ = self.disk.remove(&path);
        }
    }
}
