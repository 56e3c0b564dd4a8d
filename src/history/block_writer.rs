//! Writes a file from front to back and takes the checksum of every block on the way.

use std::sync::Arc;

use crate::disk::File;
use crate::error::Result;
use crate::format::run_index::BLOCK_BYTES;
use crate::history::syncs::Syncs;

/// Small writes are gathered up to this size.
const WRITE_BUFFER_BYTES: usize = 1 << 20;
/// Writes of this size go straight through.
const LARGE_WRITE_BYTES: usize = 64 << 10;
/// So much is written before the disk is told to begin with it.
const SYNC_EVERY_BYTES: u64 = 32 << 20;

/// How a file that was written becomes durable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Durable<'a> {
    /// Not at all: nobody reads it after a crash.
    Never,
    /// Before its writer is done.
    AtOnce,
    /// Beside its writer, who must wait for all of them in the end.
    Beside(&'a Syncs),
}

impl Durable<'_> {
    /// Makes what was written of a file durable.
    ///
    /// # Errors
    /// The disk's; beside its writer, of any file given before.
    pub(crate) fn make(self, file: &Arc<dyn File>) -> Result<()> {
        match self {
            Durable::Never => {}
            Durable::AtOnce => file.sync()?,
            Durable::Beside(syncs) => syncs.push(file)?,
        }
        Ok(())
    }
}

/// Writes into a file that takes the checksum of every block on the way.
pub(crate) struct BlockWriter<'a> {
    file: Arc<dyn File>,
    durable: Durable<'a>,
    buffer: Vec<u8>,
    flushed_bytes: u64,
    /// How much of it was on its way to the disk already.
    synced_bytes: u64,
    checksums: Vec<u32>,
    /// Checksum of the block begun, and how much of it there is.
    checksum: u32,
    block_len: usize,
}

impl<'a> BlockWriter<'a> {
    pub(crate) fn new(file: Arc<dyn File>, durable: Durable<'a>) -> BlockWriter<'a> {
        BlockWriter {
            file,
            durable,
            buffer: Vec::new(),
            flushed_bytes: 0,
            synced_bytes: 0,
            checksums: Vec::new(),
            checksum: 0,
            block_len: 0,
        }
    }

    fn add_checksums(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block_len));
            self.checksum = crc32c::crc32c_append(self.checksum, now);
            self.block_len += now.len();
            if self.block_len == BLOCK_BYTES {
                self.checksums.push(self.checksum);
                (self.checksum, self.block_len) = (0, 0);
            }
            bytes = later;
        }
    }

    fn write_through(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(self.flushed_bytes, bytes)?;
        self.flushed_bytes += bytes.len() as u64;
        if let Durable::Beside(syncs) = self.durable
            && self.flushed_bytes - self.synced_bytes >= SYNC_EVERY_BYTES
        {
            syncs.push(&self.file)?;
            self.synced_bytes = self.flushed_bytes;
        }
        Ok(())
    }

    fn flush_buffer(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            let buffer = std::mem::take(&mut self.buffer);
            self.write_through(&buffer)?;
            self.buffer = buffer;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.add_checksums(bytes);
        let is_large = bytes.len() >= LARGE_WRITE_BYTES;
        if is_large || self.buffer.len() + bytes.len() > WRITE_BUFFER_BYTES {
            self.flush_buffer()?;
        }
        if is_large {
            return self.write_through(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Makes the file durable; gives its length and the checksums of its blocks.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn finish(mut self) -> Result<(u64, Vec<u32>)> {
        self.flush_buffer()?;
        self.durable.make(&self.file)?;
        if self.block_len > 0 {
            self.checksums.push(self.checksum);
        }
        Ok((self.flushed_bytes, self.checksums))
    }
}
