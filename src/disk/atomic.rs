//! Replacing a small file whole.

use std::path::{Path, PathBuf};

use super::{Disk, OpenMode};
use crate::error::Result;

/// Writes `bytes` as the file `name` in `dir`, in place of what bore that name: after a crash the
/// old file is there or the new one, whole; after the return the new one, for good.
///
/// # Errors
/// A step failed. The old file may still be there, or the new one already; nothing is half written.
pub fn atomic_write(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    Replacement::prepare(disk, dir, name, bytes)?.put_in_place()
}

/// A new file that lies beside the one it is to replace, durable. Dropped, it is gone again.
#[derive(Debug)]
#[must_use = "dropped, it replaces nothing"]
pub struct Replacement<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    name: &'a str,
    temporary: PathBuf,
    is_in_place: bool,
}

impl<'a> Replacement<'a> {
    /// Writes the new file: all that needs space.
    ///
    /// # Errors
    /// A step failed, and everything is as before.
    pub fn prepare(disk: &'a dyn Disk, dir: &'a Path, name: &'a str, bytes: &[u8]) -> Result<Self> {
        let temporary = dir.join(format!("{name}.tmp"));
        // Left by a crash before the rename.
        if let Err(e) = disk.remove(&temporary)
            && !e.is_missing_file()
        {
            return Err(e);
        }
        let replacement = Replacement { disk, dir, name, temporary, is_in_place: false };
        let file = disk.open(&replacement.temporary, OpenMode::Create)?;
        file.write_at(0, bytes)?;
        // Sync the file before the rename: the name must never lead to bytes that are not there.
        file.sync()?;
        Ok(replacement)
    }

    /// Gives it the name, for good.
    ///
    /// # Errors
    /// A step failed. The old file may still be there, or the new one already.
    pub fn put_in_place(mut self) -> Result<()> {
        self.disk.rename(&self.temporary, &self.dir.join(self.name))?;
        self.is_in_place = true;
        self.disk.sync_dir(self.dir)
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if !self.is_in_place && !std::thread::panicking() {
            // Frees its space on a full disk; the next call removes it in any case.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}
