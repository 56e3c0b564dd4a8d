//! How far a reader has come.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What has been read so far of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows handed out.
    pub rows: u64,
    /// Bytes of the file read; what is read ahead counts.
    pub bytes: u64,
}

/// Called after each batch.
pub type ProgressHook = Arc<dyn Fn(Progress) + Send + Sync>;

/// Counts the bytes read through it.
pub(super) struct Counted<R> {
    pub(super) inner: R,
    pub(super) bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
