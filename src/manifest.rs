//! Publishing what the registry says, and reading it in other processes.
//!
//! MANIFEST is replaced whole by a rename, so whoever opens it reads one generation, complete. The
//! bytes are [`crate::format::manifest`]'s.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::{Disk, OpenMode, atomic_write};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::Manifest;

/// The file's name in the store directory.
pub const FILE_NAME: &str = "MANIFEST";

/// How often a reader looks again before it believes that the file is damaged or missing. A rename
/// is atomic on the file systems asof is meant for; copying tools and network mounts are less exact.
const ATTEMPTS_MAX: usize = 4;
const RETRY_AFTER: Duration = Duration::from_millis(2);

/// Makes `manifest` what readers of the store see. Durable on return.
///
/// # Errors
/// The file could not be written or made durable; the MANIFEST before it may still be in place.
pub fn publish(disk: &dyn Disk, dir: &Path, manifest: &Manifest) -> Result<()> {
    atomic_write(disk, &file_path(dir), &manifest.encode()?)
}

/// Reads the published MANIFEST of the store `store_uuid`; `None` when there is none.
///
/// # Errors
/// `Damaged`, also when it belongs to another store; `NewerFormat`; or the disk would not read.
pub fn load(disk: &dyn Disk, dir: &Path, store_uuid: &[u8; 16]) -> Result<Option<Manifest>> {
    let path = file_path(dir);
    let mut attempt = 1;
    loop {
        let outcome = load_once(disk, &path, store_uuid);
        let retry = match &outcome {
            Ok(Some(_)) => false,
            Ok(None) => true,
            Err(error) => error.kind() == ErrorKind::Damaged,
        };
        if !retry || attempt == ATTEMPTS_MAX {
            return outcome;
        }
        attempt += 1;
        std::thread::sleep(RETRY_AFTER);
    }
}

fn load_once(disk: &dyn Disk, path: &Path, store_uuid: &[u8; 16]) -> Result<Option<Manifest>> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.is_missing_file() => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = usize::try_from(file.len_bytes()?).map_err(|_| Error::damaged(path, "too long for any MANIFEST"))?;
    let mut bytes = Vec::new();
    // The length is the file system's word, not the file's; even so a sparse giant must not abort the process.
    bytes.try_reserve_exact(len).map_err(|_| Error::damaged(path, format!("{len} bytes do not fit memory")))?;
    bytes.resize(len, 0);
    file.read_at(0, &mut bytes)?;
    let manifest = Manifest::parse(&bytes, path)?;
    if manifest.store_uuid != *store_uuid {
        return Err(Error::damaged(path, "it belongs to another store"));
    }
    Ok(Some(manifest))
}

fn file_path(dir: &Path) -> PathBuf {
    dir.join(FILE_NAME)
}
