//! Blocks are verified when they are first touched, and that is remembered.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_buffer::{Buffer, MutableBuffer};
use bytes::Bytes;

use crate::error::{Error, RESTORE_FILE, Result};
use crate::format::run_index::BLOCK_BYTES;

/// Mapped bytes with the checksums of their blocks.
#[derive(Debug)]
pub(crate) struct Blocks {
    path: PathBuf,
    /// Where the bytes begin in the file.
    file_offset: usize,
    bytes: Buffer,
    checksums: Vec<u32>,
    /// One bit per block that was found sound.
    verified: Box<[AtomicU64]>,
}

impl Blocks {
    pub(crate) fn new(path: &Path, file_offset: usize, bytes: Buffer, checksums: Vec<u32>) -> Blocks {
        assert_eq!(bytes.len().div_ceil(BLOCK_BYTES), checksums.len(), "one checksum per block");
        let verified = (0..checksums.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Blocks { path: path.to_owned(), file_offset, bytes, checksums, verified }
    }

    /// The bytes, sound or not.
    pub(crate) fn unverified(&self) -> &Buffer {
        &self.bytes
    }

    /// Verifies the blocks that `range` touches. `what` names it in the error.
    #[inline]
    pub(crate) fn check(&self, range: Range<usize>, what: &str) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        for block in range.start / BLOCK_BYTES..=(range.end - 1) / BLOCK_BYTES {
            if self.verified.get(block / 64).map_or(0, |word| word.load(Ordering::Relaxed)) >> (block % 64) & 1 == 0 {
                self.verify_block(block, what)?;
            }
        }
        Ok(())
    }

    /// Verified bytes.
    #[inline]
    pub(crate) fn get(&self, range: Range<usize>, what: &str) -> Result<&[u8]> {
        self.check(range.clone(), what)?;
        self.bytes.get(range).ok_or_else(|| self.damaged(format!("{what}: reaches beyond the end of the file")))
    }

    pub(crate) fn damaged(&self, what: String) -> Error {
        Error::damaged(&self.path, what).remedy(RESTORE_FILE)
    }

    #[cold]
    fn verify_block(&self, block: usize, what: &str) -> Result<()> {
        let start = block * BLOCK_BYTES;
        let end = self.bytes.len().min(start + BLOCK_BYTES);
        let (Some(expected), Some(bytes)) = (self.checksums.get(block), self.bytes.get(start..end)) else {
            return Err(self.damaged(format!("{what}: reaches beyond the end of the file")));
        };
        let found = crc32c::crc32c(bytes);
        if found != *expected {
            let offset = self.file_offset + start;
            return Err(
                self.damaged(format!("{what}: block at offset {offset}: checksum {found:#x}, expected {expected:#x}"))
            );
        }
        self.verified[block / 64].fetch_or(1 << (block % 64), Ordering::Relaxed);
        Ok(())
    }
}

/// Mapped bytes as an Arrow buffer: without a copy, unless they lie where no typed slice can be made of them.
pub(crate) fn to_buffer(bytes: Bytes) -> Buffer {
    const ALIGN_BYTES: usize = 64;
    if bytes.as_ptr().addr().is_multiple_of(ALIGN_BYTES) {
        return Buffer::from(bytes);
    }
    let mut copy = MutableBuffer::new(bytes.len());
    copy.extend_from_slice(&bytes);
    copy.into()
}
