//! Mappings: the only place with `unsafe` code.
//!
//! Two sorts. An immutable file becomes [`bytes::Bytes`] that own their mapping. A file that
//! processes share becomes a [`SharedMap`], a slice of atomic words: whatever another process does
//! to them, a load is a load of some value, so what is built above (seqlocks, checksums) is safe
//! code.

#![expect(unsafe_code, reason = "a mapping cannot be made without it; every other file is safe code")]

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use memmap2::{Advice, Mmap, MmapOptions, MmapRaw};

use super::MapAccess;
use crate::error::{Error, Result};

const WORD_BYTES: usize = size_of::<u64>();

/// Where [`SharedMap::sync`] goes.
pub(super) trait SyncTarget: fmt::Debug + Send + Sync {
    /// Makes these bytes of the file durable.
    fn sync_range(&self, memory: &MmapRaw, start_bytes: usize, len_bytes: usize) -> Result<()>;
}

/// A mapping that this and other processes load from and store to, word by word.
pub struct SharedMap {
    /// The first word, kept beside `memory` so that `words` is two loads.
    first: NonNull<AtomicU64>,
    word_count: usize,
    memory: Arc<MmapRaw>,
    target: Option<Box<dyn SyncTarget>>,
}

// SAFETY: the memory is owned through an Arc and unmapped only when the last owner drops; it is
// touched only through atomics, and `SyncTarget` is Send and Sync by its own bounds.
unsafe impl Send for SharedMap {}
// SAFETY: as for Send: every access through &SharedMap is atomic.
unsafe impl Sync for SharedMap {}

impl SharedMap {
    /// Maps `reserve_bytes` of a file from its start, beyond its end too.
    pub(super) fn of_file(
        file: &File,
        access: MapAccess,
        reserve_bytes: usize,
        target: Box<dyn SyncTarget>,
    ) -> std::io::Result<Self> {
        let mut options = MmapOptions::new();
        options.len(round_to_pages(reserve_bytes)?).no_reserve_swap();
        let memory = match access {
            MapAccess::Read => options.map_raw_read_only(file)?,
            MapAccess::Write => options.map_raw(file)?,
        };
        Self::over(Arc::new(memory), Some(target))
    }

    /// Memory of no file: zeroed, and taken from the system only where it is touched.
    pub(super) fn anonymous(reserve_bytes: usize) -> std::io::Result<Self> {
        let memory = MmapOptions::new().len(round_to_pages(reserve_bytes)?).no_reserve_swap().map_anon()?;
        Self::over(Arc::new(MmapRaw::from(memory)), None)
    }

    /// The first bytes of the same memory again, with a sync of their own; `None` when it is not as large.
    pub(super) fn share(&self, reserve_bytes: usize, target: Box<dyn SyncTarget>) -> Option<Self> {
        let word_count = round_to_pages(reserve_bytes).ok()? / WORD_BYTES;
        (word_count <= self.word_count).then(|| SharedMap { word_count, ..self.with_sync(target) })
    }

    /// The same memory again, with a sync of its own.
    pub(super) fn with_sync(&self, target: Box<dyn SyncTarget>) -> Self {
        let memory = Arc::clone(&self.memory);
        SharedMap { first: self.first, word_count: self.word_count, memory, target: Some(target) }
    }

    fn over(memory: Arc<MmapRaw>, target: Option<Box<dyn SyncTarget>>) -> std::io::Result<Self> {
        let first = NonNull::new(memory.as_mut_ptr().cast::<AtomicU64>())
            .ok_or_else(|| std::io::Error::other("the system mapped at address zero"))?;
        assert!(first.is_aligned(), "mappings begin at a page");
        let word_count = memory.len() / WORD_BYTES;
        Ok(SharedMap { first, word_count, memory, target })
    }

    /// All words of the reservation. Those beyond the file's end must not be touched.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: `over` took address and length from `memory`, page-aligned and mapped for as long as
        // this struct holds its Arc (`share` only shortens); it is touched only through these atomics.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.word_count) }
    }

    /// Starts loading the cache line of word `index`. Out of range it is a line of something else, or of nothing: only time is lost.
    #[inline]
    pub fn prefetch(&self, index: usize) {
        prefetch_line(self.first.as_ptr().wrapping_add(index).cast());
    }

    /// Makes the words of this byte range durable.
    ///
    /// # Errors
    /// The system could not write them; or the range lies outside the reservation.
    pub fn sync(&self, start_bytes: u64, len_bytes: u64) -> Result<()> {
        let Some((start, len)) = self.range(start_bytes, len_bytes) else {
            let reserved = self.word_count * WORD_BYTES;
            return Err(Error::invalid(format!(
                "bytes {start_bytes}+{len_bytes} lie outside the mapping of {reserved}"
            )));
        };
        match &self.target {
            Some(target) if len > 0 => target.sync_range(&self.memory, start, len),
            _ => Ok(()),
        }
    }

    fn range(&self, start_bytes: u64, len_bytes: u64) -> Option<(usize, usize)> {
        let (start, len) = usize::try_from(start_bytes).ok().zip(usize::try_from(len_bytes).ok())?;
        start.checked_add(len).is_some_and(|end| end <= self.word_count * WORD_BYTES).then_some((start, len))
    }

    /// Has the system give memory to this byte range of the file now, and waits for it; whether it does changes only speed.
    pub fn populate(&self, start_bytes: u64, len_bytes: u64) {
        // Refused by older kernels, where the file has no such bytes, and where memory is short: it comes when it is touched.
        #[cfg(target_os = "linux")]
        if let Some((start, len)) = self.range(start_bytes, len_bytes) {
            let _ = self.memory.advise_range(Advice::PopulateWrite, start, len);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = self.range(start_bytes, len_bytes);
    }

    /// Asks for huge pages where the system has them to give; whether it does changes only speed.
    pub fn advise_hugepage(&self) {
        // Refused by kernels and file systems without huge pages: then nothing is lost.
        let _ = self.memory.advise(Advice::HugePage);
    }
}

impl fmt::Debug for SharedMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMap").field("word_count", &self.word_count).finish_non_exhaustive()
    }
}

/// Maps a whole file that nobody will write to again.
pub(super) fn immutable(file: &File, path: &Path) -> Result<Bytes> {
    let len_bytes = file.metadata().map_err(|e| Error::io("reading the length", path, e))?.len();
    if len_bytes == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the caller of Disk::map guarantees that nobody writes to or cuts this file any more: run
    // files are written once, and removed only by name.
    let map = unsafe { Mmap::map(file) }.map_err(|e| Error::io("mapping", path, e))?;
    Ok(Bytes::from_owner(map))
}

/// Starts loading the cache line that this lies in, or begins in.
#[inline]
pub fn prefetch<T>(at: &T) {
    prefetch_line(std::ptr::from_ref(at).cast());
}

#[inline]
fn prefetch_line(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address is harmless, one that is not mapped too, and SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: a prefetch of any address is harmless, one that is not mapped too, and changes no register.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) at, options(nostack, preserves_flags, readonly));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

/// Mappings are of whole pages; a reservation of nothing is one page.
fn round_to_pages(len_bytes: usize) -> std::io::Result<usize> {
    len_bytes
        .max(1)
        .checked_next_multiple_of(rustix::param::page_size())
        .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))
}
