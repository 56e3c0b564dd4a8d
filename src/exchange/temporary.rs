//! Files that appear whole or not at all: written under another name, synced, then renamed. What a killed process left under such a
//! name, the next one removes that makes the same file.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

const BUFFER_BYTES: usize = 1 << 20;
/// As [`File::create`] has it; the process's mask takes from it what it takes.
const NEW_FILE_MODE: u32 = 0o666;
/// What a mode gives the owner.
const OWN_MODE: u32 = 0o700;
/// So much of a name goes into that of a temporary file; the rest is for numbers. A system takes 255.
const NAME_BYTES_MAX: usize = 200;

/// A file being written. Dropped before [`TemporaryFile::publish`], it leaves nothing behind.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    output: BufWriter<File>,
    temporary: PathBuf,
    target: PathBuf,
    written_bytes: u64,
    published: bool,
}

impl TemporaryFile {
    /// Begins the file that will be `target`, or what a link of this name leads to where there is something. It gets the mode of the file whose place
    /// it takes.
    pub fn create(target: &Path) -> Result<TemporaryFile> {
        let before = fs::metadata(target).ok();
        if let Some(before) = before.as_ref().filter(|before| !before.is_file()) {
            let what = if before.is_dir() { "it is a folder" } else { "it is a pipe or a device, and no file" };
            return Err(Error::invalid(what)
                .at(target.display())
                .remedy("name a file, which is written whole or not at all"));
        }
        // Where nothing is, the name is what it says.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_path_buf());
        // Nobody reads through the new one what the one before kept to itself.
        let mode = before.as_ref().map_or(NEW_FILE_MODE, |before| before.mode() & OWN_MODE);
        let create = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let (temporary, file) = create_beside(&target, create)?;
        if let Some(before) = before {
            // Refused by file systems that have no modes.
            let _ = file.set_permissions(before.permissions());
        }
        let output = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(TemporaryFile { output, temporary, target, written_bytes: 0, published: false })
    }

    /// What the file will be called.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Makes the contents durable and gives the file its name, in place of what bore it before.
    /// Returns its length in bytes.
    pub fn publish(mut self) -> Result<u64> {
        let target = self.target.clone();
        let trouble = |what: &'static str| {
            let target = target.clone();
            move |error: io::Error| Error::io(what, &target, error)
        };
        self.output.flush().map_err(trouble("write"))?;
        self.output.get_ref().sync_all().map_err(trouble("sync"))?;
        fs::rename(&self.temporary, &self.target).map_err(trouble("rename into place"))?;
        self.published = true;
        sync_folder(parent_of(&self.target))?;
        Ok(self.written_bytes)
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.written_bytes = self.written_bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.published {
            // Nothing can be done about a failure here; the next run removes the file.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Makes a file or folder of a hidden name beside `target`, which nobody else has: other threads may be making the same target, and
/// another process may have this one's number elsewhere. `create` gives it open; for as long as it is, nobody takes it for
/// something left behind. What was, under such names, is removed first.
pub(super) fn create_beside(target: &Path, create: impl Fn(&Path) -> io::Result<File>) -> Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = target
        .file_name()
        .ok_or_else(|| Error::invalid("is no name for a file").at(target.display()))?
        .to_string_lossy();
    // A name of any length that a file can have: what is added to it has to fit as well.
    let prefix = format!(".{}.asof-tmp-", &name[..name.floor_char_boundary(NAME_BYTES_MAX)]);
    remove_leftovers(parent_of(target), &prefix);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = target.with_file_name(format!("{prefix}{}-{count}", std::process::id()));
        match create(&path) {
            Ok(file) if claim(&path, &file) => return Ok((path, file)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::not_found("no such folder").at(parent_of(target).display()).caused_by(error));
            }
            Err(error) => return Err(Error::io("create", target, error)),
        }
    }
}

/// Makes a folder, and opens it.
pub(super) fn create_folder(path: &Path) -> io::Result<File> {
    fs::create_dir(path)?;
    File::open(path).map_err(|error| match error.kind() {
        // Taken for a leftover before it was locked: under another name, as where it was there before.
        io::ErrorKind::NotFound => io::ErrorKind::AlreadyExists.into(),
        _ => error,
    })
}

/// Locks what was just made for as long as `file` is open. `false` where somebody took it for a leftover before that.
fn claim(path: &Path, file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => is_at(path, file),
        Err(TryLockError::WouldBlock) => false,
        // Where there are no locks nobody takes one for the sign of a leftover, either.
        Err(TryLockError::Error(_)) => true,
    }
}

/// Whether the path still means this file.
fn is_at(path: &Path, file: &File) -> bool {
    let is_same = |there: Metadata, open: Metadata| (there.dev(), there.ino()) == (open.dev(), open.ino());
    fs::symlink_metadata(path).is_ok_and(|there| file.metadata().is_ok_and(|open| is_same(there, open)))
}

/// Removes what processes that are gone left under names of this prefix, two numbers behind it. Who still writes one holds its lock,
/// which the system releases however a process ends: its number would say nothing, for it may be another process by now, or one
/// of another container. What cannot be removed stays: nothing depends on it.
fn remove_leftovers(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let numbers = name.strip_prefix(prefix).and_then(|rest| rest.split_once('-'));
        let is_file_or_folder = || entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir());
        if numbers.is_some_and(|(process, count)| is_number(process) && is_number(count)) && is_file_or_folder() {
            remove_leftover(&entry.path());
        }
    }
}

fn remove_leftover(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    if file.try_lock().is_ok() && is_at(path, &file) {
        let is_folder = file.metadata().is_ok_and(|about| about.is_dir());
        let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        if removed.is_ok() {
            tracing::info!(path = %path.display(), "removed what a process that is gone left");
        }
    }
}

/// The folder a path lies in.
pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the names in a folder durable. One that may be written to and not read cannot be synced: what was put there stands, and when it is
/// durable is left to the system.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened.and_then(|file| file.sync_all()).map_err(|error| Error::io("sync", folder, error)),
    }
}
