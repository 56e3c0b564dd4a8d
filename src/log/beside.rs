//! A thread that syncs while the committer makes ready what comes after the sync.

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

    /// Waits for the sync that was begun.
    ///
    /// # Errors
    /// It failed; or nobody knows, because the thread is gone.
    pub fn finish(&self) -> Result<()> {
        let gone = |_| Err(Error::new(ErrorKind::Poisoned, "the thread that syncs the log stopped half-way"));
        self.outcomes.recv().unwrap_or_else(gone)
    }
}
