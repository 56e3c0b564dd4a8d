//! Files on their way to the disk while others are being built: whoever writes them does not wait.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::disk::File;
use crate::error::{Error, Result};
use crate::threads;

/// Files that wait for their turn; whoever has another waits then, so that few are open at a time.
const WAITING_MAX: usize = 16;

/// Takes files that are to be synced.
#[derive(Debug)]
pub(crate) struct Syncs {
    /// To the thread that syncs them; where there was none to be had, whoever gives a file does it.
    sender: Option<SyncSender<Arc<dyn File>>>,
}

impl Syncs {
    /// Runs `work` beside a thread that syncs the files it is given; returns when all are synced, or one could not be.
    ///
    /// # Errors
    /// The first file that could not be synced; what `work` returns.
    pub(crate) fn beside<T>(work: impl FnOnce(&Syncs) -> Result<T>) -> Result<T> {
        let (sender, files) = sync_channel::<Arc<dyn File>>(WAITING_MAX);
        std::thread::scope(|scope| {
            // Nothing is known of a file after a sync that failed: the run is lost, and the others need none.
            let syncing = threads::start(scope, || files.into_iter().try_for_each(|file| file.sync()));
            let Some(syncing) = syncing else { return work(&Syncs { sender: None }) };
            // Taken away after the work, which ends the thread.
            let done = work(&Syncs { sender: Some(sender) });
            let synced = syncing.join().unwrap_or_else(|_| Err(Error::refused("the thread that syncs files stopped")));
            // Work that ended because of the sync says less than the sync does.
            synced.and(done)
        })
    }

    /// Syncs what was written of `file` so far, soon.
    ///
    /// # Errors
    /// It or one given before could not be synced, and no other will be: there is no use in going on.
    pub(crate) fn push(&self, file: &Arc<dyn File>) -> Result<()> {
        let Some(sender) = &self.sender else { return file.sync() };
        let sent = sender.send(Arc::clone(file));
        sent.map_err(|_| Error::refused("another file of the same run could not be synced"))
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

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
                    syncs.push(&file)?;
                }
                Ok(())
            });
            assert_eq!(written.is_err(), failing < 3, "sync {failing}");
        }
    }

    #[test]
    fn after_a_sync_that_failed_work_and_syncs_end_and_its_error_is_what_is_told() {
        let synced = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&synced);
        let disk = FaultyDisk::new(Arc::new(MemDisk::volatile()), move |operation, path| {
            if operation != Operation::Sync {
                return Verdict::Proceed;
            }
            seen.fetch_add(1, Ordering::SeqCst);
            if path.ends_with("2") { Verdict::Fail(ErrorKind::StorageFull) } else { Verdict::Proceed }
        });
        disk.create_dir(Path::new("folder")).unwrap();
        let mut pushed = 0;
        let failed = Syncs::beside(|syncs| {
            for number in 0..1_000 {
                let file = disk.open(&Path::new("folder").join(number.to_string()), OpenMode::Create)?;
                syncs.push(&file)?;
                pushed += 1;
            }
            Ok(())
        });
        let failed = failed.unwrap_err();
        assert!(failed.to_string().starts_with("folder/2: Sync, injected"), "{failed}");
        assert_eq!(synced.load(Ordering::SeqCst), 3, "no file is synced after that");
        assert!((3..=3 + WAITING_MAX).contains(&pushed), "{pushed} files were handed over");
    }

    #[test]
    fn work_that_fails_is_told_of_where_every_sync_went_well() {
        let failed = Syncs::beside(|_| Err::<(), _>(Error::invalid("the work's own")));
        assert_eq!(failed.unwrap_err().what(), "the work's own");
    }

    #[test]
    fn a_thread_that_panics_within_a_sync_fails_the_work() {
        let disk = FaultyDisk::new(Arc::new(MemDisk::volatile()), |operation, _| {
            assert!(operation != Operation::Sync, "a panic within a sync");
            Verdict::Proceed
        });
        let file = disk.open(Path::new("file"), OpenMode::Create).unwrap();
        let failed = Syncs::beside(|syncs| syncs.push(&file)).unwrap_err();
        assert!(failed.what().contains("thread"), "{failed}");
    }
}
