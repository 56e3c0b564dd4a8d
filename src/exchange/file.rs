//! A file open for reading at any offset, from several threads, counting what was read.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::error::{Error, Result};

/// A file open for reading. Clones share the descriptor; every read says its offset, so that no
/// two readers move each other's position.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    file: Arc<File>,
    path: Arc<PathBuf>,
    len_bytes: u64,
    bytes_read: Arc<AtomicU64>,
    buffers: Buffers,
}

/// What is known of a file before it is opened: whoever opens a pipe waits for its other end.
///
/// # Errors
/// There is none, or it cannot be read again from its start.
pub(super) fn check_file(path: &Path) -> Result<Metadata> {
    let about = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::not_found("no such file").at(path.display()).caused_by(error),
        _ => Error::io("open", path, error),
    })?;
    if about.is_file() {
        return Ok(about);
    }
    let what = if about.is_dir() { "it is a folder" } else { "it is a pipe or a device, which cannot be read twice" };
    Err(Error::invalid(what).at(path.display()).remedy("name a file; what comes through a pipe goes into one first"))
}

impl SourceFile {
    /// Opens `path`; what is read is added to `bytes_read`.
    pub fn open(path: &Path, bytes_read: Arc<AtomicU64>) -> Result<SourceFile> {
        check_file(path)?;
        let open = || -> io::Result<(File, u64)> {
            let file = File::open(path)?;
            let len_bytes = file.metadata()?.len();
            Ok((file, len_bytes))
        };
        let (file, len_bytes) = open().map_err(|error| Error::io("open", path, error))?;
        Ok(SourceFile {
            file: Arc::new(file),
            path: Arc::new(path.to_path_buf()),
            len_bytes,
            bytes_read,
            buffers: Buffers::default(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Reads from the start.
    pub fn cursor(&self) -> Cursor {
        Cursor { file: self.clone(), offset: 0 }
    }

    /// Fills as much of `out` as the file has from `offset`.
    pub fn read_up_to(&self, offset: u64, out: &mut [u8]) -> Result<usize> {
        let mut cursor = Cursor { file: self.clone(), offset };
        let mut filled = 0;
        while filled < out.len() {
            match cursor.read(&mut out[filled..]).map_err(|error| Error::io("read", &self.path, error))? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    fn count(&self, bytes: usize) {
        self.bytes_read.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Memory that was read into and is free again: fresh memory is dear to get and to clear.
#[derive(Clone, Debug, Default)]
struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// So many are kept; decoders need one each.
const BUFFERS_FREE_MAX: usize = 4;

impl Buffers {
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, len: usize) -> ReadBuffer {
        let mut bytes = self.lock().pop().unwrap_or_default();
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
        ReadBuffer { bytes, len, home: self.clone() }
    }
}

/// Bytes read, and perhaps more memory behind them. It goes back to where it came from.
struct ReadBuffer {
    bytes: Vec<u8>,
    len: usize,
    home: Buffers,
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        let mut free = self.home.lock();
        if free.len() < BUFFERS_FREE_MAX {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// A position in a [`SourceFile`].
#[derive(Debug)]
pub(super) struct Cursor {
    file: SourceFile,
    offset: u64,
}

impl Read for Cursor {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            match self.file.file.read_at(out, self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.offset = self.offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        self.file.count(count);
        Ok(count)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.file.len_bytes.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.offset.checked_add_signed(delta),
        };
        self.offset = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.offset)
    }
}

impl Length for SourceFile {
    fn len(&self) -> u64 {
        self.len_bytes
    }
}

impl ChunkReader for SourceFile {
    type T = BufReader<Cursor>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(BufReader::new(Cursor { file: self.clone(), offset: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // The length comes from the file's own metadata: believe it no further than the file goes.
        let end = u64::try_from(length).ok().and_then(|length| start.checked_add(length));
        if end.is_none_or(|end| end > self.len_bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at offset {start} of {}", self.len_bytes)));
        }
        let mut buffer = self.buffers.take(length);
        self.file.read_exact_at(&mut buffer.bytes[..length], start)?;
        self.count(length);
        Ok(Bytes::from_owner(buffer))
    }
}
