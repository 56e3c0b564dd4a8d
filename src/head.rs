//! The HEAD page: how far the store has come, one mapped page that the writer stores to and every
//! reader loads from, without a lock or a system call.
//!
//! # Order
//! The writer stores `committed_seq` last, with Release; all that a reader needs in order to see the rows
//! up to it (log end, manifest generation, definitions revision) was stored before. A reader loads
//! `committed_seq` first, with Acquire, and so finds the others at least as new. They may be newer.
//!
//! # Trust
//! The page reaches the medium in any order, so after a power failure it means nothing unless it
//! was closed clean. Within one boot the page cache holds every store of a process that was killed, so the
//! same boot id on the same file is as good. Nothing in HEAD is truth: untrusted, it is rebuilt from the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use xxhash_rust::xxh3::xxh3_64;

use crate::disk::{Disk, File, MapAccess, OpenMode, SharedMap, atomic_write};
use crate::error::Result;
use crate::format::table::words_of;

/// The file's name in the store directory.
pub const FILE_NAME: &str = "HEAD";
/// Marks a HEAD page: the bytes `asofHEAD`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"asofHEAD");
/// The layout this release writes.
pub const FORMAT_VERSION: u64 = 1;
/// The file's length.
pub const HEAD_BYTES: u64 = 4_096;

/// Bytes of the page that mean something; the rest is zero.
pub const HEAD_USED_BYTES: usize = word::COUNT * 8;

/// Where each word stands, in units of 8 bytes.
mod word {
    pub const MAGIC: usize = 0;
    pub const FORMAT_VERSION: usize = 1;
    /// Two words.
    pub const STORE_UUID: usize = 2;
    pub const EPOCH: usize = 4;
    pub const COMMITTED_SEQ: usize = 5;
    pub const LOG_END: usize = 6;
    pub const LOG_SYNCED: usize = 7;
    pub const MANIFEST_GENERATION: usize = 8;
    pub const DEFINITIONS_REVISION: usize = 9;
    pub const INGESTED_AT: usize = 10;
    /// Two words.
    pub const BOOT_ID: usize = 11;
    /// Device and inode: two words.
    pub const FILE_IDENTITY: usize = 13;
    pub const WRITER_PID: usize = 15;
    pub const CLEAN: usize = 16;
    /// xxh3-64 of the words before it; right only after a clean close.
    pub const CHECKSUM: usize = 17;
    /// After the checksum: it means something only while a writer is at it.
    pub const UNDER_WAY: usize = 18;
    pub const COUNT: usize = 19;
}
const _: () = assert!((word::COUNT * 8) as u64 <= HEAD_BYTES);

/// In place of the first number of a commit under way: it failed half-way, and what became of it is known only after the next open.
pub const UNSETTLED: u64 = u64::MAX;

/// What a HEAD page says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadState {
    /// Raised by every writer, by some twice; differs between any two openings.
    pub epoch: u64,
    /// Rows up to here are committed and visible.
    pub committed_seq: u64,
    /// Where the log ends: everything committed lies before.
    pub log_end: u64,
    /// The log is known durable up to here.
    pub log_synced: u64,
    /// The registry's generation that MANIFEST has, or is newer than.
    pub manifest_generation: u64,
    /// Raised whenever definitions change.
    pub definitions_revision: u64,
    /// The greatest `ingested_at` there is, in microseconds.
    pub ingested_at_us: i64,
    /// The boot during which the page was last written.
    pub boot_id: [u8; 16],
    /// Device and inode the writer wrote to.
    pub file_identity: (u64, u64),
    /// The process that last wrote it.
    pub writer_pid: u64,
    /// What [`Head::announce`] said last, or a writer that found unseen rows in the log when it began.
    pub under_way: u64,
    /// Closed in order, and every word as it was then.
    pub is_clean: bool,
}

/// How far a HEAD page can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The writer closed it in order.
    Clean,
    /// A writer runs, or was killed, within this boot: every word is what it last stored.
    SameBoot,
    /// It means nothing; scan the log.
    Untrusted,
}

/// The HEAD page of a store, mapped.
#[derive(Debug)]
pub struct Head {
    map: Arc<SharedMap>,
    file_identity: (u64, u64),
    boot_id: [u8; 16],
}

impl Head {
    /// Writes a new HEAD that says nothing yet, in place of any there is, and maps it.
    ///
    /// # Errors
    /// The file could not be written or mapped.
    pub fn create(disk: &dyn Disk, dir: &Path, store_uuid: &[u8; 16]) -> Result<Head> {
        let path = file_path(dir);
        let mut page = vec![0; usize::try_from(HEAD_BYTES).unwrap_or(0)];
        let [low, high] = words_of(*store_uuid);
        for (index, value) in [
            (word::MAGIC, MAGIC),
            (word::FORMAT_VERSION, FORMAT_VERSION),
            (word::STORE_UUID, low),
            (word::STORE_UUID + 1, high),
        ] {
            page[index * 8..index * 8 + 8].copy_from_slice(&value.to_le_bytes());
        }
        atomic_write(disk, dir, FILE_NAME, &page)?;
        Head::map(disk, &*disk.open(&path, OpenMode::Write)?, MapAccess::Write)
    }

    /// Maps the HEAD of the store `store_uuid`; `None` when it is missing or no HEAD of that store, so
    /// that a writer makes a new one and a reader recovers without.
    ///
    /// # Errors
    /// The disk would not open or map it.
    pub fn open(disk: &dyn Disk, dir: &Path, store_uuid: &[u8; 16], access: MapAccess) -> Result<Option<Head>> {
        let path = file_path(dir);
        let mode = if access == MapAccess::Write { OpenMode::Write } else { OpenMode::Read };
        // Mapped pages beyond the file's end fault, so the length is checked before: of the file that is mapped, for another may
        // take its name meanwhile.
        let file = match disk.open(&path, mode) {
            Ok(file) if file.len_bytes()? != HEAD_BYTES => return Ok(None),
            Ok(file) => file,
            Err(error) if error.is_missing_file() => return Ok(None),
            Err(error) => return Err(error),
        };
        let head = Head::map(disk, &*file, access)?;
        let [low, high] = words_of(*store_uuid);
        let is_ours = head.load(word::MAGIC) == MAGIC
            && head.load(word::FORMAT_VERSION) == FORMAT_VERSION
            && head.load(word::STORE_UUID) == low
            && head.load(word::STORE_UUID + 1) == high;
        Ok(is_ours.then_some(head))
    }

    fn map(disk: &dyn Disk, file: &dyn File, access: MapAccess) -> Result<Head> {
        let (map, file_identity) = (file.map_shared(access, HEAD_BYTES)?, file.identity()?);
        Ok(Head { map, file_identity, boot_id: disk.boot_id() })
    }

    /// Whether the HEAD of the store in `dir` is still this file. One that was lost is made anew, and this page then says
    /// nothing more for ever. True where there is none: whoever reads on has nothing better.
    ///
    /// # Errors
    /// The disk would not say.
    pub fn is_in_place(&self, disk: &dyn Disk, dir: &Path) -> Result<bool> {
        match disk.open(&file_path(dir), OpenMode::Read) {
            Ok(file) => Ok(file.identity()? == self.file_identity),
            Err(error) if error.is_missing_file() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// What the page says now.
    pub fn read(&self) -> HeadState {
        // First: see "Order" above.
        let committed_seq = self.load(word::COMMITTED_SEQ);
        HeadState {
            committed_seq,
            epoch: self.load(word::EPOCH),
            log_end: self.load(word::LOG_END),
            log_synced: self.load(word::LOG_SYNCED),
            manifest_generation: self.load(word::MANIFEST_GENERATION),
            definitions_revision: self.load(word::DEFINITIONS_REVISION),
            ingested_at_us: self.load(word::INGESTED_AT).cast_signed(),
            boot_id: bytes_of([self.load(word::BOOT_ID), self.load(word::BOOT_ID + 1)]),
            file_identity: (self.load(word::FILE_IDENTITY), self.load(word::FILE_IDENTITY + 1)),
            writer_pid: self.load(word::WRITER_PID),
            under_way: self.load(word::UNDER_WAY),
            is_clean: self.load(word::CLEAN) == 1 && self.load(word::CHECKSUM) == self.checksum(),
        }
    }

    /// What the page says, and how far that can be believed.
    pub fn read_trusted(&self) -> (HeadState, Trust) {
        let state = self.read();
        let trust = if state.is_clean {
            Trust::Clean
        } else if self.load(word::CLEAN) == 1 && self.load(word::CHECKSUM) != 0 {
            // Closed in order, and changed since by nobody who opened it: not one word can be believed. (A writer
            // killed while it closed leaves the checksum zero.)
            Trust::Untrusted
        } else if state.boot_id == self.boot_id && state.file_identity == self.file_identity && state.epoch > 0 {
            Trust::SameBoot
        } else {
            Trust::Untrusted
        };
        (state, trust)
    }

    /// The committed seq alone, as a request's first step.
    #[inline]
    pub fn committed_seq(&self) -> u64 {
        self.load(word::COMMITTED_SEQ)
    }

    /// The epoch alone: whether another writer has come.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.load(word::EPOCH)
    }

    /// The manifest generation alone: whether what a reader holds is old.
    #[inline]
    pub fn manifest_generation(&self) -> u64 {
        self.load(word::MANIFEST_GENERATION)
    }

    /// The writer's first act, before it touches the log: the page is in use, by this process, in this
    /// boot, and says `state` (whose epoch must be a new one). Durable on return, because a page that
    /// still read "clean" after a power failure would hide the log written since.
    ///
    /// # Errors
    /// The page could not be made durable; the writer must not begin.
    pub fn begin(&self, state: &HeadState, writer_pid: u32) -> Result<()> {
        assert!(state.epoch > self.load(word::EPOCH), "an epoch is used once");
        self.store(word::CLEAN, 0);
        self.store(word::CHECKSUM, 0);
        // Until boot id and identity stand, nothing on the page is to be trusted.
        self.store_pair(word::BOOT_ID, [0, 0]);
        self.store(word::WRITER_PID, u64::from(writer_pid));
        self.store(word::UNDER_WAY, state.under_way);
        self.store(word::EPOCH, state.epoch);
        self.publish(state);
        self.store_pair(word::FILE_IDENTITY, [self.file_identity.0, self.file_identity.1]);
        self.store_pair(word::BOOT_ID, words_of(self.boot_id));
        self.map.sync(0, HEAD_BYTES)
    }

    /// A commit that gives numbers from `first_seq` on is about to ask the clock, for a time that rows will be known by which
    /// nobody sees yet. 0: it gave none; [`UNSETTLED`]: nobody knows.
    pub fn announce(&self, first_seq: u64) {
        self.store(word::UNDER_WAY, first_seq);
        // Before the clock is asked: whoever does not find this asked it earlier.
        fence(Ordering::SeqCst);
    }

    /// The time of the commit under way: what was known before it is certain. Or of the last one, where that gave no numbers.
    pub fn date(&self, ingested_at_us: i64) {
        self.store(word::INGESTED_AT, ingested_at_us.cast_unsigned());
    }

    /// The first number of a commit that may have its time and that nobody sees yet. Whoever finds none sees, from here on, all
    /// that has a time of before this call.
    pub fn under_way(&self) -> Option<u64> {
        fence(Ordering::SeqCst);
        let first_seq = self.load(word::UNDER_WAY);
        (first_seq > self.committed_seq()).then_some(first_seq)
    }

    /// The greatest `ingested_at` there is, in microseconds: of the commit under way, once it has one.
    pub fn ingested_at_us(&self) -> i64 {
        self.load(word::INGESTED_AT).cast_signed()
    }

    /// Makes a commit visible: all of `state` but what [`Head::begin`] fixed, `committed_seq` last.
    pub fn publish(&self, state: &HeadState) {
        self.store(word::LOG_SYNCED, state.log_synced);
        self.store(word::LOG_END, state.log_end);
        self.store(word::INGESTED_AT, state.ingested_at_us.cast_unsigned());
        self.store(word::DEFINITIONS_REVISION, state.definitions_revision);
        self.store(word::MANIFEST_GENERATION, state.manifest_generation);
        self.store(word::COMMITTED_SEQ, state.committed_seq);
    }

    /// The writer's last act, after everything else was synced.
    ///
    /// # Errors
    /// The page could not be made durable; the next open recovers.
    pub fn close_clean(&self, state: &HeadState) -> Result<()> {
        self.publish(state);
        self.store(word::CLEAN, 1);
        self.store(word::CHECKSUM, self.checksum());
        self.map.sync(0, HEAD_BYTES)
    }

    fn checksum(&self) -> u64 {
        let mut bytes = [0; word::CHECKSUM * 8];
        for (index, out) in bytes.chunks_exact_mut(8).enumerate() {
            out.copy_from_slice(&self.load(index).to_le_bytes());
        }
        xxh3_64(&bytes)
    }

    #[inline]
    fn load(&self, index: usize) -> u64 {
        self.map.words()[index].load(Ordering::Acquire)
    }

    fn store(&self, index: usize, value: u64) {
        self.map.words()[index].store(value, Ordering::Release);
    }

    fn store_pair(&self, index: usize, values: [u64; 2]) {
        self.store(index, values[0]);
        self.store(index + 1, values[1]);
    }
}

fn file_path(dir: &Path) -> PathBuf {
    dir.join(FILE_NAME)
}

fn bytes_of(words: [u64; 2]) -> [u8; 16] {
    (u128::from(words[0]) | u128::from(words[1]) << 64).to_le_bytes()
}

#[cfg(test)]
mod tests;
