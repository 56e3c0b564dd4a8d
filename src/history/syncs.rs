//! Files on their way to the disk while others are being built: whoever writes them does not wait.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::File;
use crate::error::{Error, Result};

/// Files that wait for their turn; whoever has another waits then, so that few are open at a time.
const WAITING_MAX: usize = 16;

/// Takes files that are to be synced.
#[derive(Debug)]
pub(crate) struct Syncs {
    sender: SyncSender<Arc<dyn File>>,
}

impl Syncs {
    /// Runs `work` beside a thread that syncs the files it is given; returns when all are synced.
    ///
    /// # Errors
    /// What `work` returns; the first file that could not be synced.
    pub(crate) fn beside<T>(work: impl FnOnce(&Syncs) -> Result<T>) -> Result<T> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let failed = Mutex::new(None);
        let done = std::thread::scope(|scope| {
            scope.spawn(|| sync_all(receiver, &failed));
            // Dropped before the scope ends, which ends the thread.
            let syncs = Syncs { sender };
            work(&syncs)
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => done,
        }
    }

    /// Syncs what was written of `file` so far, soon.
    pub(crate) fn push(&self, file: &Arc<dyn File>) {
        self.sender.send(Arc::clone(file)).expect("the thread takes files for as long as there is anyone to send some");
    }
}

fn sync_all(files: Receiver<Arc<dyn File>>, failed: &Mutex<Option<Error>>) {
    for file in files {
        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is known of a file after a sync that failed: the run is lost, and the others need none.
        if failed.is_none()
            && let Err(error) = file.sync()
        {
            *failed = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use super::*;
    use crate::disk::{Disk, FaultyDisk, MemDisk, OpenMode, Operation, Verdict};

    #[test]
    fn one_sync_that_fails_beside_the_work_fails_it_although_the_work_was_done() {
        for failing in 0..4 {
            let disk = FaultyDisk::at(
                Arc::new(MemDisk::volatile()),
                Verdict::Fail(ErrorKind::Other),
                failing,
                1,
                |operation, _| operation == Operation::Sync,
            );
            disk.create_dir(Path::new("folder")).unwrap();
            let written = Syncs::beside(|syncs| {
                for name in ["a", "b", "c"] {
                    let file = disk.open(&Path::new("folder").join(name), OpenMode::Create)?;
                    file.write_at(0, name.as_bytes())?;
                    syncs.push(&file);
                }
                Ok(())
            });
            assert_eq!(written.is_err(), failing < 3, "sync {failing}");
        }
    }
}
