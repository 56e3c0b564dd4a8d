//! Replacing a small file whole.

use std::path::Path;

use super::{Disk, OpenMode};
use crate::error::Result;

/// Writes `bytes` as the file `name` in `dir`, in place of what bore that name: after a crash the
/// old file is there or the new one, whole; after the return the new one, for good.
///
/// # Errors
/// A step failed. The old file may still be there, or the new one already; nothing is half written.
pub fn atomic_write(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    // Left by a crash before the rename.
    if let Err(e) = disk.remove(&temporary)
        && !e.is_missing_file()
    {
        return Err(e);
    }
    let written = disk.open(&temporary, OpenMode::Create).and_then(|file| {
        file.write_at(0, bytes)?;
        // Sync the file before the rename: the name must never lead to bytes that are not there.
        file.sync()?;
        disk.rename(&temporary, &dir.join(name))
    });
    if let Err(e) = written {
        // Frees its space on a full disk; the next call removes it in any case.
        let _ = disk.remove(&temporary);
        return Err(e);
    }
    disk.sync_dir(dir)
}
