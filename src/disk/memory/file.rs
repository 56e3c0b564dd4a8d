//! A file of the simulated disk: what processes see, what is durable, and what lies between.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memmap2::MmapRaw;

use super::content::{Content, PAGE_BYTES, Page, is_zero, to_usize};
use super::{MemDisk, io_error};
use crate::disk::map::{SharedMap, SyncTarget};
use crate::disk::{File, MapAccess, Operation};
use crate::error::{Error, Result};

/// The least a mapping of a simulated file reserves: later mappings may ask for more than the first.
const RESERVE_BYTES_MIN: usize = 64 << 20;
const WORD_BYTES: usize = 8;

/// A change of a file that no sync covered yet.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Bytes were written; this also extends the file.
    Write { offset: u64, bytes: Bytes },
    /// The length was set. Bytes cut off were overwritten with zeros first, as changes of their own.
    Length(u64),
}

/// A file, whatever its names are.
#[derive(Debug)]
pub(super) struct Inode {
    pub id: u64,
    state: Mutex<FileState>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileState {
    /// What processes see; of a mapped file only the length.
    pub live: Content,
    /// What the last sync covered.
    pub durable: Content,
    /// What came since, in order. Empty for a file that is or was mapped: there the difference counts.
    pub pending: Vec<Change>,
    /// Set by the first shared mapping, for ever.
    pub by_difference: bool,
    /// A sync failed: what it was to cover is in `live`, and will never be durable.
    pub forgot: bool,
    /// Where the bytes are once the file was mapped.
    pub map: Option<Arc<SharedMap>>,
}

impl Inode {
    pub fn new(id: u64, state: FileState) -> Arc<Self> {
        Arc::new(Inode { id, state: Mutex::new(state) })
    }

    pub fn state(&self) -> MutexGuard<'_, FileState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileState {
    pub fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > self.live.len) {
            return false;
        }
        match &self.map {
            Some(map) => read_words(map.words(), to_usize(offset), out),
            None => self.live.read(offset, out),
        }
        true
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        match &self.map {
            Some(map) => {
                write_words(map.words(), to_usize(offset), bytes);
                let end = offset + bytes.len() as u64;
                if end > self.live.len {
                    self.live.set_len(end);
                }
            }
            None => {
                self.live.write(offset, bytes);
                if !self.by_difference {
                    self.pending.push(Change::Write { offset, bytes: Bytes::copy_from_slice(bytes) });
                }
            }
        }
    }

    pub fn set_len(&mut self, len: u64) {
        if len == self.live.len {
            return;
        }
        if let Some(map) = &self.map {
            if len < self.live.len {
                zero_words(map.words(), to_usize(len), to_usize(self.live.len));
            }
        } else if !self.by_difference {
            // What is cut off may be there still when only a later extension survives.
            static ZEROS: Page = [0; PAGE_BYTES];
            for (number, _) in self.live.pages_from(len / PAGE_BYTES as u64) {
                let start = (number * PAGE_BYTES as u64).max(len);
                let end = ((number + 1) * PAGE_BYTES as u64).min(self.live.len);
                let bytes = Bytes::from_static(&ZEROS[..to_usize(end.saturating_sub(start))]);
                self.pending.push(Change::Write { offset: start, bytes });
            }
            self.pending.push(Change::Length(len));
        }
        self.live.set_len(len);
    }

    /// What processes see, in pages; pages that did not change are shared with the durable ones.
    pub fn snapshot(&self) -> Content {
        let Some(map) = &self.map else { return self.live.clone() };
        let mut content = self.durable.clone();
        content.set_len(self.live.len);
        for number in 0..self.live.len.div_ceil(PAGE_BYTES as u64) {
            copy_page(map.words(), number, self.live.len, &mut content);
        }
        content
    }

    pub fn sync(&mut self) {
        if self.forgot && !self.by_difference {
            for change in self.pending.drain(..) {
                change.apply(&mut self.durable);
            }
        } else {
            self.durable = self.snapshot();
            self.pending.clear();
        }
    }

    /// Syncs the pages of a range of a mapped file, and the length.
    fn sync_range(&mut self, start_bytes: usize, len_bytes: usize) {
        let Some(map) = &self.map else { return };
        self.durable.set_len(self.live.len);
        let end = (start_bytes + len_bytes).min(to_usize(self.live.len));
        for number in start_bytes / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
            copy_page(map.words(), number as u64, self.live.len, &mut self.durable);
        }
    }

    /// What a failed sync does on Linux: the bytes it was to cover stay visible, are held to be clean, and
    /// no later sync writes them. The length is the file system's own to keep.
    pub fn forget(&mut self) {
        self.pending.retain(|change| matches!(change, Change::Length(_)));
        self.forgot = true;
    }

    /// Moves the bytes into shared memory, if they are not there yet.
    pub fn map(&mut self, reserve_bytes: usize) -> std::io::Result<Arc<SharedMap>> {
        if let Some(map) = &self.map {
            return Ok(Arc::clone(map));
        }
        let reserve_bytes = reserve_bytes.max(to_usize(self.live.len)).max(RESERVE_BYTES_MIN);
        let map = Arc::new(SharedMap::anonymous(reserve_bytes)?);
        for (number, page) in self.live.pages_from(0) {
            write_words(map.words(), to_usize(number) * PAGE_BYTES, &**page);
        }
        let len = self.live.len;
        self.live = Content::default();
        self.live.set_len(len);
        self.pending.clear();
        self.by_difference = true;
        self.map = Some(Arc::clone(&map));
        Ok(map)
    }
}

impl Change {
    pub fn apply(&self, content: &mut Content) {
        match self {
            Change::Write { offset, bytes } => content.write(*offset, bytes),
            Change::Length(len) => content.set_len(*len),
        }
    }
}

/// An open file of the simulated disk.
#[derive(Debug)]
pub(super) struct MemFile {
    pub disk: MemDisk,
    pub inode: Arc<Inode>,
    pub path: PathBuf,
    pub writable: bool,
}

impl MemFile {
    fn change(&self, operation: Operation, change: impl FnOnce(&mut FileState)) -> Result<()> {
        if !self.writable {
            return Err(io_error("writing, though opened to read", &self.path, std::io::ErrorKind::PermissionDenied));
        }
        let state = self.disk.begin(operation, &self.path)?;
        let mut file = self.inode.state();
        change(&mut file);
        if !state.records {
            file.pending.clear();
        }
        Ok(())
    }
}

impl File for MemFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.disk.check_alive(&self.path)?;
        match self.inode.state().read(offset, out) {
            true => Ok(()),
            false => Err(io_error(
                &format!("reading {} at {offset}", out.len()),
                &self.path,
                std::io::ErrorKind::UnexpectedEof,
            )),
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.change(Operation::Write, |file| file.write(offset, bytes))
    }

    fn len_bytes(&self) -> Result<u64> {
        self.disk.check_alive(&self.path)?;
        Ok(self.inode.state().live.len)
    }

    fn set_len(&self, len_bytes: u64) -> Result<()> {
        self.change(Operation::SetLen, |file| file.set_len(len_bytes))
    }

    fn allocate(&self, len_bytes: u64) -> Result<()> {
        self.change(Operation::Allocate, |file| file.set_len(len_bytes.max(file.live.len)))
    }

    fn sync(&self) -> Result<()> {
        let state = self.disk.begin(Operation::Sync, &self.path)?;
        if state.records {
            self.inode.state().sync();
        }
        Ok(())
    }

    fn identity(&self) -> Result<(u64, u64)> {
        Ok((0, self.inode.id))
    }

    fn map_shared(&self, _access: MapAccess, reserve_bytes: u64) -> Result<Arc<SharedMap>> {
        self.disk.check_alive(&self.path)?;
        let reserve_bytes = to_usize(reserve_bytes);
        let memory = self.inode.state().map(reserve_bytes).map_err(|e| Error::io("mapping", &self.path, e))?;
        let target = MemMapSync { disk: self.disk.clone(), inode: Arc::clone(&self.inode), path: self.path.clone() };
        memory.share(reserve_bytes, Box::new(target)).map(Arc::new).ok_or_else(|| {
            Error::invalid(format!(
                "a simulated file cannot be mapped with {reserve_bytes} bytes after it was with fewer"
            ))
            .at(self.path.display())
        })
    }
}

/// Syncs a range of a simulated mapping.
pub(super) struct MemMapSync {
    pub disk: MemDisk,
    pub inode: Arc<Inode>,
    pub path: PathBuf,
}

impl fmt::Debug for MemMapSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemMapSync({})", self.path.display())
    }
}

impl SyncTarget for MemMapSync {
    fn sync_range(&self, _memory: &MmapRaw, start_bytes: usize, len_bytes: usize) -> Result<()> {
        let state = self.disk.begin(Operation::SyncMap, &self.path)?;
        if state.records {
            self.inode.state().sync_range(start_bytes, len_bytes);
        }
        Ok(())
    }
}

/// Copies one page out of shared memory, unless `content` holds the same already.
fn copy_page(words: &[AtomicU64], number: u64, len: u64, content: &mut Content) {
    let start = to_usize(number) * PAGE_BYTES;
    let mut page: Page = [0; PAGE_BYTES];
    let in_file = PAGE_BYTES.min(to_usize(len) - start);
    read_words(words, start, &mut page[..in_file]);
    match content.page(number) {
        Some(old) if **old == page => {}
        None if is_zero(&page) => {}
        _ => content.set_page(number, (!is_zero(&page)).then(|| Arc::new(page))),
    }
}

fn read_words(words: &[AtomicU64], offset: usize, out: &mut [u8]) {
    let mut at = offset;
    let mut out = out;
    while !out.is_empty() {
        let word = words[at / WORD_BYTES].load(Ordering::Acquire).to_ne_bytes();
        let piece = &word[at % WORD_BYTES..];
        let take = piece.len().min(out.len());
        let (head, rest) = out.split_at_mut(take);
        head.copy_from_slice(&piece[..take]);
        out = rest;
        at += take;
    }
}

fn write_words(words: &[AtomicU64], offset: usize, bytes: &[u8]) {
    let mut at = offset;
    let mut bytes = bytes;
    while !bytes.is_empty() {
        let word = &words[at / WORD_BYTES];
        let in_word = at % WORD_BYTES;
        let (piece, rest) = bytes.split_at((WORD_BYTES - in_word).min(bytes.len()));
        let mut value = word.load(Ordering::Acquire).to_ne_bytes();
        value[in_word..in_word + piece.len()].copy_from_slice(piece);
        word.store(u64::from_ne_bytes(value), Ordering::Release);
        bytes = rest;
        at += piece.len();
    }
}

fn zero_words(words: &[AtomicU64], start: usize, end: usize) {
    static ZEROS: Page = [0; PAGE_BYTES];
    let mut at = start;
    while at < end {
        let take = PAGE_BYTES.min(end - at);
        write_words(words, at, &ZEROS[..take]);
        at += take;
    }
}
