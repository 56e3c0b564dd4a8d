//! The LOCK file: one writer at a time, and who it is.
//!
//! What counts is the advisory lock, which the system releases when its process ends however it ends. The text
//! in the file is for people, written by whoever got the lock, and is stale when nobody holds it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::{Disk, LockGuard, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// The file's name in the store directory.
pub const FILE_NAME: &str = "LOCK";

/// A reader's probe takes the lock for an instant, and a command that ends is about to release it: an
/// open waits this long before it reports a holder.
const WAIT_MAX: Duration = Duration::from_millis(200);
const ATTEMPTS_MAX: u32 = 40;
const COMMAND_BYTES_MAX: usize = 512;
/// More than this is not read back.
const LOCK_FILE_BYTES_MAX: usize = 1_024;

/// Who holds a store for writing, as far as its LOCK file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its process.
    pub pid: Option<u32>,
    /// When it opened the store.
    pub started_at: Option<Timestamp>,
    /// How it was started.
    pub command: String,
}

impl Holder {
    fn encode(&self) -> String {
        let pid = self.pid.map(|pid| pid.to_string()).unwrap_or_default();
        let started_at = self.started_at.map(|at| at.to_string()).unwrap_or_default();
        // One line, whatever the arguments were.
        let mut command: String = self.command.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        command.truncate(command.floor_char_boundary(COMMAND_BYTES_MAX));
        format!("pid {pid}\nstarted {started_at}\ncommand {command}\n")
    }

    fn parse(text: &str) -> Holder {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Holder {
            pid: field("pid").and_then(|pid| pid.parse().ok()),
            started_at: field("started").and_then(|at| at.parse().ok()),
            command: field("command").unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "pid {pid}")?,
            None => f.write_str("another process")?,
        }
        if let Some(at) = self.started_at {
            write!(f, " since {at}")?;
        }
        if !self.command.is_empty() {
            write!(f, " ({})", self.command)?;
        }
        Ok(())
    }
}

/// The right to write to a store, until dropped.
#[derive(Debug)]
pub struct WriterLock {
    _guard: Box<dyn LockGuard>,
}

impl WriterLock {
    /// Takes the lock, waiting up to 200 ms for it, and notes in the file who has it.
    ///
    /// # Errors
    /// `Locked`, naming the holder's pid, start and command.
    pub fn acquire(disk: &dyn Disk, dir: &Path, me: &Holder) -> Result<WriterLock> {
        let path = file_path(dir);
        if !disk.exists(&path)? {
            // Two may create it at once; who locks it is decided below.
            if let Err(error) = disk.open(&path, OpenMode::Create)
                && !disk.exists(&path)?
            {
                return Err(error);
            }
        }
        for attempt in 1.. {
            if let Some(guard) = disk.try_lock(&path)? {
                if let Err(error) = note(disk, &path, me) {
                    // A full disk must not keep out the one who comes to free it.
                    tracing::warn!(%error, "the LOCK file does not say who holds it");
                }
                return Ok(WriterLock { _guard: guard });
            }
            if attempt == ATTEMPTS_MAX {
                break;
            }
            std::thread::sleep(WAIT_MAX / ATTEMPTS_MAX);
        }
        Err(Error::new(ErrorKind::Locked, format!("{} holds the store for writing", read_holder(disk, &path)))
            .at(path.display())
            .remedy("stop it, or wait until it ends; reading works beside it"))
    }
}

/// Who holds the store for writing; `None` when nobody does.
///
/// # Errors
/// The disk would not say.
pub fn holder(disk: &dyn Disk, dir: &Path) -> Result<Option<Holder>> {
    let path = file_path(dir);
    if !disk.exists(&path)? || !disk.is_locked(&path)? {
        return Ok(None);
    }
    Ok(Some(read_holder(disk, &path)))
}

fn note(disk: &dyn Disk, path: &Path, me: &Holder) -> Result<()> {
    let text = me.encode();
    let file = disk.open(path, OpenMode::Write)?;
    // Emptied first: a reader sees one holder or none, never a mixture of two.
    file.set_len(0)?;
    file.write_at(0, text.as_bytes())
}

/// What the file says, or a holder without particulars: the text is a courtesy.
fn read_holder(disk: &dyn Disk, path: &Path) -> Holder {
    let read = || -> Result<Vec<u8>> {
        let file = disk.open(path, OpenMode::Read)?;
        let len = usize::try_from(file.len_bytes()?).unwrap_or(LOCK_FILE_BYTES_MAX).min(LOCK_FILE_BYTES_MAX);
        let mut bytes = vec![0; len];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    };
    read().map(|bytes| Holder::parse(&String::from_utf8_lossy(&bytes))).unwrap_or_default()
}

fn file_path(dir: &Path) -> PathBuf {
    dir.join(FILE_NAME)
}
