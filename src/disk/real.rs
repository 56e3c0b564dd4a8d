//! The file system of the machine.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use memmap2::MmapRaw;
use rustix::fs::{FallocateFlags, FlockOperation, OFlags, fallocate, flock};
use rustix::io::{Errno, retry_on_intr};

use super::map::{self, SharedMap, SyncTarget};
use super::{Disk, File, LockGuard, MapAccess, OpenMode};
use crate::error::{Error, Result};

/// The unit in which a system tells how much space a file holds, whatever its own blocks are.
const STAT_BLOCK_BYTES: u64 = 512;

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// An open file and the path it was opened by, for errors.
#[derive(Debug)]
struct RealFile {
    file: fs::File,
    path: PathBuf,
}

/// Holds a flock; closing the file releases it.
#[derive(Debug)]
struct RealLock(#[expect(dead_code, reason = "held for its drop")] fs::File);

impl LockGuard for RealLock {}

/// Syncs a range of a mapping by msync.
#[derive(Debug)]
struct MapSync(PathBuf);

impl SyncTarget for MapSync {
    fn sync_range(&self, memory: &MmapRaw, start_bytes: usize, len_bytes: usize) -> Result<()> {
        memory.flush_range(start_bytes, len_bytes).map_err(|e| Error::io("syncing the mapping", &self.0, e))
    }
}

fn open(path: &Path, mode: OpenMode) -> Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(OFlags::CLOEXEC.bits().cast_signed());
    match mode {
        OpenMode::Read => {}
        OpenMode::Write => {
            options.write(true);
        }
        OpenMode::Create => {
            options.write(true).create_new(true);
        }
    }
    let doing = if mode == OpenMode::Create { "creating" } else { "opening" };
    options.open(path).map_err(|e| Error::io(doing, path, e))
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        Ok(Arc::new(RealFile { file: open(path, mode)?, path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|e| Error::io(format!("renaming to {}", to.display()), from, e))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|e| Error::io("removing", path, e))
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        match fs::create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            result => result.map_err(|e| Error::io("making the folder", path, e)),
        }
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        fs::remove_dir(path).map_err(|e| Error::io("removing the folder", path, e))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        // fsync, not fdatasync: a folder has no data apart from its names.
        open(path, OpenMode::Read)?.sync_all().map_err(|e| Error::io("syncing the folder", path, e))
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        let failed = |e| Error::io("listing", path, e);
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            // Names of ours are ASCII; any other is somebody else's file and told apart well enough.
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        path.try_exists().map_err(|e| Error::io("looking for the file", path, e))
    }

    fn map(&self, path: &Path) -> Result<Bytes> {
        map::immutable(&open(path, OpenMode::Read)?, path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn LockGuard>>> {
        let file = open(path, OpenMode::Write)?;
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(Some(Box::new(RealLock(file)))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(Error::io("locking", path, e.into())),
        }
    }

    fn is_locked(&self, path: &Path) -> Result<bool> {
        let file = match open(path, OpenMode::Read) {
            Err(e) if e.is_missing_file() => return Ok(false),
            file => file?,
        };
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockShared)) {
            // Closing the file releases it.
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(e) => Err(Error::io("asking for the lock", path, e.into())),
        }
    }

    fn boot_id(&self) -> [u8; 16] {
        // No process outlives its boot, and each table that is opened asks.
        static ONCE: OnceLock<[u8; 16]> = OnceLock::new();
        *ONCE.get_or_init(|| {
            let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            parse_boot_id(&text).unwrap_or_else(unknown_boot)
        })
    }
}

impl File for RealFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(out, offset).map_err(|e| self.failed(format!("reading {} at {offset}", out.len()), e))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|e| self.failed(format!("writing {} bytes at {offset}", bytes.len()), e))
    }

    fn len_bytes(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|e| self.failed("reading the length", e))?.len())
    }

    fn set_len(&self, len_bytes: u64) -> Result<()> {
        self.file.set_len(len_bytes).map_err(|e| self.failed(format!("setting the length to {len_bytes}"), e))
    }

    fn allocate(&self, len_bytes: u64) -> Result<()> {
        let about = self.file.metadata().map_err(|e| self.failed("asking for the length", e))?;
        let old_len = about.len();
        // Some file systems want room for all of the range, whether or not they hold it already.
        let held = if about.blocks() * STAT_BLOCK_BYTES >= old_len { old_len } else { 0 };
        if len_bytes <= held {
            return Ok(());
        }
        let reserve = || fallocate(&self.file, FallocateFlags::empty(), held, len_bytes - held);
        let allocated = match retry_on_intr(reserve) {
            Err(Errno::OPNOTSUPP) => self.write_zeros(old_len, len_bytes),
            result => result.map_err(io::Error::from),
        };
        allocated.map_err(|e| {
            // Part of the space may have been taken. What could not be reserved whole is given back.
            let _ = self.file.set_len(old_len);
            self.failed(format!("reserving {len_bytes} bytes"), e)
        })
    }

    fn sync(&self) -> Result<()> {
        // fdatasync: it covers the length, which is needed to read the data back.
        self.file.sync_data().map_err(|e| self.failed("syncing", e))
    }

    fn identity(&self) -> Result<(u64, u64)> {
        let metadata = self.file.metadata().map_err(|e| self.failed("reading the inode", e))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    fn map_shared(&self, access: MapAccess, reserve_bytes: u64) -> Result<Arc<SharedMap>> {
        let mapped = usize::try_from(reserve_bytes).map_err(io::Error::other).and_then(|reserve_bytes| {
            SharedMap::of_file(&self.file, access, reserve_bytes, Box::new(MapSync(self.path.clone())))
        });
        mapped.map(Arc::new).map_err(|e| self.failed("mapping", e))
    }
}

impl RealFile {
    fn failed(&self, doing: impl Into<String>, error: io::Error) -> Error {
        Error::io(doing, &self.path, error)
    }

    /// Reserves space on a file system without fallocate.
    fn write_zeros(&self, mut offset: u64, end: u64) -> io::Result<()> {
        let zeros = [0; 64 << 10];
        while offset < end {
            let len = usize::try_from(end - offset).map_or(zeros.len(), |left| left.min(zeros.len()));
            self.file.write_all_at(&zeros[..len], offset)?;
            offset += len as u64;
        }
        Ok(())
    }
}

fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|&c| c != '-').collect();
    u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32).map(u128::to_be_bytes)
}

/// Where the kernel tells no boot id, every process is a boot of its own: mappings are then never trusted across processes. That
/// costs a rebuild, and whoever reads beside a writer is told to wait until it has closed the store.
fn unknown_boot() -> [u8; 16] {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (since_epoch.as_nanos() << 32 | u128::from(std::process::id())).to_be_bytes()
}
