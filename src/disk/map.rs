//! Mappings: the only place with `unsafe` code.

use std::sync::atomic::AtomicU64;

use crate::error::Result;

/// A mapping that this and other processes load from and store to, word by word.
#[derive(Debug)]
pub struct SharedMap {
    words: Box<[AtomicU64]>,
}

impl SharedMap {
    /// All words of the reservation. Those beyond the file's end must not be touched.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        &self.words
    }

    /// Starts loading the cache line of word `index`, when it is in range.
    #[inline]
    pub fn prefetch(&self, _index: usize) {}

    /// Makes the words of this byte range durable.
    pub fn sync(&self, _start_bytes: u64, _len_bytes: u64) -> Result<()> {
        Ok(())
    }
}
