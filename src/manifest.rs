//! Publishing what the registry says, and reading it in other processes.
//!
//! MANIFEST is replaced whole by a rename, so whoever opens it reads one generation, complete. The
//! bytes are [`crate::format::manifest`]'s.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::{Disk, OpenMode, Replacement};
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
    prepare(disk, dir, manifest)?.put_in_place()
}

/// The first half of [`publish`]: all that needs space.
///
/// # Errors
/// The file could not be written, and nothing changed.
pub fn prepare<'a>(disk: &'a dyn Disk, dir: &'a Path, manifest: &Manifest) -> Result<Replacement<'a>> {
    Replacement::prepare(disk, dir, FILE_NAME, &manifest.encode()?)
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::disk::MemDisk;
    use crate::format::manifest::Records;

    const UUID: [u8; 16] = *b"0123456789abcdef";

    fn store() -> (MemDisk, &'static Path) {
        let (disk, dir) = (MemDisk::new(), Path::new("/store"));
        disk.create_dir(dir).unwrap();
        (disk, dir)
    }

    fn sample(generation: u64) -> Manifest {
        let records = Records::from([("meta".to_owned(), Bytes::from(generation.to_string()))]);
        Manifest { store_uuid: UUID, generation, records }
    }

    #[test]
    fn the_last_published_is_what_readers_get() {
        let (disk, dir) = store();
        assert_eq!(load(&disk, dir, &UUID).unwrap(), None);
        for generation in [1, 2] {
            publish(&disk, dir, &sample(generation)).unwrap();
            assert_eq!(load(&disk, dir, &UUID).unwrap(), Some(sample(generation)));
        }
    }

    #[test]
    fn every_flipped_byte_on_disk_is_noticed() {
        let (disk, dir) = store();
        publish(&disk, dir, &sample(1)).unwrap();
        let file = disk.open(&dir.join(FILE_NAME), OpenMode::Write).unwrap();
        for at in 0..file.len_bytes().unwrap() {
            let mut byte = [0];
            file.read_at(at, &mut byte).unwrap();
            file.write_at(at, &[byte[0] ^ 0x10]).unwrap();
            let outcome = load_once(&disk, &dir.join(FILE_NAME), &UUID);
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Damaged, "byte {at}");
            file.write_at(at, &byte).unwrap();
        }
        assert!(load(&disk, dir, &UUID).is_ok());
    }

    #[test]
    fn another_stores_manifest_is_not_taken_for_ours() {
        let (disk, dir) = store();
        publish(&disk, dir, &sample(1)).unwrap();
        let error = load(&disk, dir, &[7; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains("another store"), "{error}");
    }

    #[test]
    fn an_empty_file_is_damage_and_not_absence() {
        let (disk, dir) = store();
        disk.open(&dir.join(FILE_NAME), OpenMode::Create).unwrap();
        assert_eq!(load(&disk, dir, &UUID).unwrap_err().kind(), ErrorKind::Damaged);
    }
}
