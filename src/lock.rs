//! One writer at a time, and who it is.
//!
//! What counts are advisory locks, which the system releases when their process ends however it ends. There are two. LOCK
//! is there before the store is, and lets one process at a time make or open it. STORE, which is written once and
//! never replaced, is locked for as long as the store is open: a LOCK that somebody removes, and another makes anew, lets
//! nobody in. The text in LOCK is for people, written by whoever got both, and is stale when nobody holds them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::{Disk, LockGuard, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// The file's name in the store directory.
pub const FILE_NAME: &str = "LOCK";
/// The file that the writer locks besides.
const STORE_NAME: &str = "STORE";

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

/// The right to make or open a store, which one process at a time has.
#[derive(Debug)]
pub struct OpenerLock {
    lock: Box<dyn LockGuard>,
}

/// The right to write to a store, until dropped.
#[derive(Debug)]
pub struct WriterLock {
    _store: Box<dyn LockGuard>,
    _lock: Box<dyn LockGuard>,
}

impl OpenerLock {
    /// Takes the lock on LOCK, waiting up to 200 ms for it.
    ///
    /// # Errors
    /// `Locked`, naming the holder's pid, start and command.
    pub fn acquire(disk: &dyn Disk, dir: &Path) -> Result<OpenerLock> {
        let path = file_path(dir);
        if !disk.exists(&path)? {
            // Two may create it at once; who locks it is decided below.
            if let Err(error) = disk.open(&path, OpenMode::Create)
                && !disk.exists(&path)?
            {
                return Err(error);
            }
        }
        Ok(OpenerLock { lock: wait_for(disk, dir, &path)? })
    }

    /// Takes the lock on STORE, which is there by now, and notes in LOCK who has it.
    ///
    /// # Errors
    /// As [`OpenerLock::acquire`].
    pub fn hold(self, disk: &dyn Disk, dir: &Path, me: &Holder) -> Result<WriterLock> {
        let store = wait_for(disk, dir, &dir.join(STORE_NAME))?;
        if let Err(error) = note(disk, &file_path(dir), me) {
            // A full disk must not keep out the one who comes to free it.
            tracing::warn!(%error, "the LOCK file does not say who holds it");
        }
        Ok(WriterLock { _store: store, _lock: self.lock })
    }
}

fn wait_for(disk: &dyn Disk, dir: &Path, path: &Path) -> Result<Box<dyn LockGuard>> {
    for attempt in 1.. {
        if let Some(guard) = disk.try_lock(path)? {
            return Ok(guard);
        }
        if attempt == ATTEMPTS_MAX {
            break;
        }
        std::thread::sleep(WAIT_MAX / ATTEMPTS_MAX);
    }
    let holder = read_holder(disk, &file_path(dir));
    let way_out = match holder.pid == Some(std::process::id()) {
        true => "this process has it open: close it, and drop what was made of it",
        false => "stop it, or wait until it ends; reading works beside it",
    };
    // The store's path, not the file's: removing that would help nobody.
    Err(Error::new(ErrorKind::Locked, format!("{holder} holds the store for writing"))
        .at(dir.display())
        .remedy(way_out))
}

/// Whether anybody holds the store for writing.
///
/// # Errors
/// The disk would not say.
pub fn is_held(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    for path in [file_path(dir), dir.join(STORE_NAME)] {
        if disk.is_locked(&path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Who holds the store for writing; `None` when nobody does.
///
/// # Errors
/// The disk would not say.
pub fn holder(disk: &dyn Disk, dir: &Path) -> Result<Option<Holder>> {
    Ok(is_held(disk, dir)?.then(|| read_holder(disk, &file_path(dir))))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemDisk;
    use crate::identity;

    fn store() -> (MemDisk, &'static Path) {
        let (disk, dir) = (MemDisk::new(), Path::new("/store"));
        disk.create_dir(dir).unwrap();
        disk.open(&dir.join(identity::FILE_NAME), OpenMode::Create).unwrap();
        (disk, dir)
    }

    fn acquire(disk: &MemDisk, dir: &Path, me: &Holder) -> Result<WriterLock> {
        OpenerLock::acquire(disk, dir)?.hold(disk, dir, me)
    }

    fn me(pid: u32, command: &str) -> Holder {
        Holder { pid: Some(pid), started_at: Some(Timestamp(1_772_370_000_000_000)), command: command.to_owned() }
    }

    #[test]
    fn a_second_writer_is_told_who_the_first_is() {
        let (disk, dir) = store();
        let lock = acquire(&disk, dir, &me(4242, "asof serve")).unwrap();
        let error = acquire(&disk, dir, &me(1, "asof import")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert_eq!(
            error.to_string(),
            "/store: pid 4242 since 2026-03-01T13:00:00Z (asof serve) holds the store for writing; \
             stop it, or wait until it ends; reading works beside it"
        );
        drop(lock);
        acquire(&disk, dir, &me(1, "asof import")).unwrap();
    }

    /// LOCK once was all there was: removed, it let a second writer in, and the two of them destroyed the store.
    #[test]
    fn a_lock_file_that_is_removed_lets_nobody_in() {
        let (disk, dir) = store();
        let lock = acquire(&disk, dir, &me(4242, "asof serve")).unwrap();
        disk.remove(&file_path(dir)).unwrap();
        assert!(is_held(&disk, dir).unwrap());
        for _ in 0..2 {
            let error = acquire(&disk, dir, &me(1, "asof import")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Locked);
            assert!(error.to_string().starts_with("/store: another process holds the store"), "{error}");
            assert_eq!(holder(&disk, dir).unwrap(), Some(Holder::default()), "and not the one that was refused");
        }
        drop(lock);
        assert!(!is_held(&disk, dir).unwrap());
        acquire(&disk, dir, &me(1, "asof import")).unwrap();
    }

    #[test]
    fn a_store_that_is_being_made_is_made_by_one() {
        let (disk, dir) = store();
        disk.remove(&dir.join(STORE_NAME)).unwrap();
        let opener = OpenerLock::acquire(&disk, dir).unwrap();
        assert_eq!(OpenerLock::acquire(&disk, dir).unwrap_err().kind(), ErrorKind::Locked);
        assert!(is_held(&disk, dir).unwrap());
        drop(opener);
        assert!(!is_held(&disk, dir).unwrap());
    }

    #[test]
    fn a_lock_released_within_the_wait_is_taken() {
        let (disk, dir) = store();
        let lock = acquire(&disk, dir, &me(1, "a")).unwrap();
        let release = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            drop(lock);
        });
        acquire(&disk, dir, &me(2, "b")).unwrap();
        release.join().unwrap();
    }

    #[test]
    fn readers_see_a_holder_only_while_there_is_one() {
        let (disk, dir) = store();
        assert_eq!(holder(&disk, dir).unwrap(), None);
        let lock = acquire(&disk, dir, &me(7, "asof serve")).unwrap();
        assert_eq!(holder(&disk, dir).unwrap(), Some(me(7, "asof serve")));
        drop(lock);
        // The text is still there and says nothing any more.
        assert_eq!(holder(&disk, dir).unwrap(), None);
    }

    #[test]
    fn a_shorter_name_leaves_nothing_of_a_longer_one() {
        let (disk, dir) = store();
        for command in ["asof import weather a/very/long/path.parquet", "asof gc"] {
            let _lock = acquire(&disk, dir, &me(7, command)).unwrap();
            assert_eq!(holder(&disk, dir).unwrap().unwrap().command, command);
        }
    }

    #[test]
    fn any_text_is_a_holder_and_no_command_breaks_the_lines() {
        let odd = me(1, &format!("a\npid 99\r{}", "\u{e9}".repeat(600)));
        let read = Holder::parse(&odd.encode());
        assert_eq!(read.pid, Some(1));
        assert!(read.command.starts_with("a pid 99 ") && read.command.len() <= COMMAND_BYTES_MAX);
        for text in ["", "pid", "pid x\nstarted y", "\0\0"] {
            assert_eq!(Holder::parse(text), Holder::default());
        }
        assert_eq!(Holder::default().to_string(), "another process");
    }
}
