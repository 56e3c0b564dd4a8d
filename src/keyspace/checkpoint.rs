//! The file of a checkpoint: written beside the old one while keys change, and read at the next opening.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Step;
use crate::disk::{Disk, File, OpenMode};
use crate::error::{Error, Result};
use crate::format::checkpoint::{BLOCK_HEADER_BYTES, BlockHeader, BlockKind, HEADER_BYTES, Header};

/// The file's name in `latest/`: that of the keyspace's view.
pub const FILE_NAME: &str = "0-_keyspace@1";
/// Its name while it is written.
pub const TEMPORARY_NAME: &str = "0-_keyspace@1.tmp";

/// A checkpoint that is being written. Dropped before it is finished, it is gone again.
#[derive(Debug)]
pub struct CheckpointWriter<'a> {
    disk: &'a dyn Disk,
    latest: &'a Path,
    temporary: PathBuf,
    file: Arc<dyn File>,
    end: u64,
    block_count: u64,
    is_in_place: bool,
}

impl<'a> CheckpointWriter<'a> {
    /// Begins one in the folder `latest`.
    ///
    /// # Errors
    /// The disk fails.
    pub fn create(disk: &'a dyn Disk, latest: &'a Path) -> Result<Self> {
        let temporary = latest.join(TEMPORARY_NAME);
        // Left by a process that was killed, or by a disk that would not remove it.
        if let Err(error) = disk.remove(&temporary)
            && !error.is_missing_file()
        {
            return Err(error);
        }
        let file = disk.open(&temporary, OpenMode::Create)?;
        let end = HEADER_BYTES as u64;
        Ok(CheckpointWriter { disk, latest, temporary, file, end, block_count: 0, is_in_place: false })
    }

    /// Appends a piece of the walk, which is as of `seq`.
    ///
    /// # Errors
    /// The disk fails, or is full.
    pub fn push(&mut self, kind: BlockKind, step: &Step, seq: u64) -> Result<()> {
        let Step { records, end } = step;
        let (len, records_crc) = (records.len() as u64, crc32c::crc32c(records));
        let header = BlockHeader { kind, len, seq, end: *end, records_crc };
        self.file.write_at(self.end, &header.encode(self.end))?;
        self.file.write_at(self.end + BLOCK_HEADER_BYTES as u64, records)?;
        self.end += BLOCK_HEADER_BYTES as u64 + len;
        self.block_count += 1;
        Ok(())
    }

    /// Puts it in place of the one there was, for good; its header says the length and the blocks by itself. The log was synced up to its last
    /// number: whoever finds it finds every row that it has.
    ///
    /// # Errors
    /// The disk fails: the old one is there, or this one already.
    pub fn finish(mut self, header: Header) -> Result<Header> {
        let header = Header { file_bytes: self.end, block_count: self.block_count, ..header };
        self.file.write_at(0, &header.encode())?;
        // Sync the file before the rename: the name must never lead to bytes that are not there.
        self.file.sync()?;
        self.disk.rename(&self.temporary, &self.latest.join(FILE_NAME))?;
        self.is_in_place = true;
        self.disk.sync_dir(self.latest)?;
        Ok(header)
    }
}

impl Drop for CheckpointWriter<'_> {
    fn drop(&mut self) {
        if !self.is_in_place && !std::thread::panicking() {
            // Frees its space on a full disk; the next one, or the next opening, removes it in any case.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}

/// A checkpoint whose header was read.
#[derive(Debug)]
pub struct Checkpoint {
    /// What it is of.
    pub header: Header,
    path: PathBuf,
    file: Arc<dyn File>,
}

impl Checkpoint {
    /// That of a store in its folder `latest`, where there is one.
    ///
    /// # Errors
    /// `Damaged`: it is none of this store that this release reads. The disk fails.
    pub fn open(disk: &dyn Disk, latest: &Path, uuid: &[u8; 16]) -> Result<Option<Checkpoint>> {
        let path = latest.join(FILE_NAME);
        let file = match disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.is_missing_file() => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = file.len_bytes()?;
        let mut bytes = [0; HEADER_BYTES];
        if len < HEADER_BYTES as u64 {
            return Err(Error::damaged(&path, "it is shorter than its header"));
        }
        file.read_at(0, &mut bytes)?;
        let header = Header::parse(&bytes, uuid).map_err(|what| Error::damaged(&path, what.0))?;
        if header.file_bytes != len {
            return Err(Error::damaged(&path, "it has not the length that its header says"));
        }
        Ok(Some(Checkpoint { header, path, file }))
    }

    /// Gives `take` its blocks, each checked.
    ///
    /// # Errors
    /// `Damaged`: a block is not what was written, or `take` says what is wrong with it. The disk fails.
    pub fn blocks(&self, mut take: impl FnMut(&BlockHeader, &[u8]) -> Result<(), &'static str>) -> Result<()> {
        let (mut at, mut records) = (HEADER_BYTES as u64, Vec::new());
        let damaged = |at: u64, what: &str| Error::damaged(&self.path, format!("block at {at}: {what}"));
        for _ in 0..self.header.block_count {
            let start = at + BLOCK_HEADER_BYTES as u64;
            let left = self.header.file_bytes.checked_sub(start).ok_or_else(|| damaged(at, "it is cut short"))?;
            let mut bytes = [0; BLOCK_HEADER_BYTES];
            self.file.read_at(at, &mut bytes)?;
            let block = BlockHeader::parse(&bytes, at).map_err(|what| damaged(at, what.0))?;
            // No memory is asked for that the file has not bytes for.
            let len = usize::try_from(block.len).ok().filter(|_| block.len <= left);
            records.resize(len.ok_or_else(|| damaged(at, "it is cut short"))?, 0);
            self.file.read_at(start, &mut records)?;
            if crc32c::crc32c(&records) != block.records_crc {
                return Err(damaged(at, "the checksum of its records differs"));
            }
            take(&block, &records).map_err(|what| damaged(at, what))?;
            at = start + block.len;
        }
        if at == self.header.file_bytes { Ok(()) } else { Err(damaged(at, "there is more than its header says")) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
