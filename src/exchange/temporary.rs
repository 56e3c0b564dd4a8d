//! Files that appear whole or not at all: written under another name, synced, then renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

const BUFFER_BYTES: usize = 1 << 20;

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
    /// Begins the file that will be `target`.
    pub fn create(target: &Path) -> Result<TemporaryFile> {
        let (temporary, file) = create_beside(target, |path| File::create_new(path))?;
        Ok(TemporaryFile {
            output: BufWriter::with_capacity(BUFFER_BYTES, file),
            temporary,
            target: target.to_path_buf(),
            written_bytes: 0,
            published: false,
        })
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
            // Nothing can be done about a failure here; the name says what the file is.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Makes a file or folder of a hidden name beside `target`, which nobody else has: other threads may be making the same target, and
/// a process that had this one's number before may have left something.
pub(super) fn create_beside<T>(target: &Path, create: impl Fn(&Path) -> io::Result<T>) -> Result<(PathBuf, T)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = target
        .file_name()
        .ok_or_else(|| Error::invalid("is no name for a file").at(target.display()))?
        .to_string_lossy();
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = target.with_file_name(format!(".{name}.tmp-{}-{count}", std::process::id()));
        match create(&path) {
            Ok(made) => return Ok((path, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::not_found("no such folder").at(parent_of(target).display()).caused_by(error));
            }
            Err(error) => return Err(Error::io("create", target, error)),
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

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::io("sync", folder, error))
}
