//! A thread that syncs while the committer makes ready what comes after the sync.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::disk::File;
use crate::error::{Error, ErrorKind, Result};

/// The thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct SyncThread {
    files: Sender<Arc<dyn File>>,
    outcomes: Receiver<Result<()>>,
}

impl SyncThread {
    /// `None` where the system has no thread to give.
    pub fn start() -> Option<SyncThread> {
        #[cfg(test)]
        if knob::THERE_IS_NO_THREAD.get() {
            return None;
        }
        let (files, asked) = channel::<Arc<dyn File>>();
        let (answer, outcomes) = channel();
        let work = move || {
            for file in asked {
                if answer.send(file.sync()).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("asof-log-sync".to_owned()).spawn(work).ok()?;
        Some(SyncThread { files, outcomes })
    }

    /// Begins the sync of a file; whether it could. [`SyncThread::finish`] comes before the next.
    pub fn begin(&self, file: Arc<dyn File>) -> bool {
        self.files.send(file).is_ok()
    }

    /// Waits for the sync that was begun, of the file at `path`.
    ///
    /// # Errors
    /// It failed; or nobody knows, because the thread is gone.
    pub fn finish(&self, path: &Path) -> Result<()> {
        let gone = |_| {
            Err(Error::new(ErrorKind::Poisoned, "the thread that syncs the log stopped half-way")
                .at(path.display())
                .remedy("reads go on; reopen the store to verify what was written"))
        };
        self.outcomes.recv().unwrap_or_else(gone)
    }
}

/// Lets a test be on a system that has no thread to give.
#[cfg(test)]
pub(super) mod knob {
    use std::cell::Cell;

    thread_local!(pub static THERE_IS_NO_THREAD: Cell<bool> = const { Cell::new(false) });
}
