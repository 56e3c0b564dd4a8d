//! The seqlock over a slot: one writer, any number of readers, none of whom waits for another.
//!
//! Word 0 is `checksum << 32 | version`; the version is odd while the writer is inside. Safe code
//! on atomics; `loom/tests/seqlock.rs` includes this file with loom's atomics and walks every interleaving.

use super::atomics::{AtomicU64, Ordering, fence};

const VERSION_MASK: u64 = 0xffff_ffff;

/// Whether the writer was inside when `header` was read, or was killed there.
pub fn is_torn(header: u64) -> bool {
    header & 1 == 1
}

/// The checksum in a header.
pub fn checksum_of(header: u64) -> u64 {
    header >> 32
}

/// What was read of a slot.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Word 0.
    pub header: u64,
    /// Whether all words are of the header's version. Not looked at before the checksum is made, for which there is
    /// time while the words come.
    pub is_one_version: bool,
}

/// Copies all words, and shows them to `see` as they come: pairs with their number, the header in the first, a zero after an
/// odd last one. `None` while a writer is inside.
#[inline(always)]
pub fn read(words: &[AtomicU64], out: &mut [[u8; 8]], see: impl FnMut(usize, [u64; 2])) -> Option<Read> {
    read_with(words, out, see, || fence(Ordering::Acquire))
}

/// [`read`] with the fence as a parameter, so that a test can show what happens without it.
#[inline(always)]
pub fn read_with(
    words: &[AtomicU64],
    out: &mut [[u8; 8]],
    mut see: impl FnMut(usize, [u64; 2]),
    acquire: impl Fn(),
) -> Option<Read> {
    assert_eq!(words.len(), out.len(), "room for every word");
    let header = words[0].load(Ordering::Acquire);
    if is_torn(header) {
        return None;
    }
    let mut copy = |i: usize| {
        let word = if i == 0 { header } else { words[i].load(Ordering::Relaxed) };
        out[i] = word.to_le_bytes();
        word
    };
    let pairs = words.len() / 2;
    for pair in 0..pairs {
        see(pair, [copy(2 * pair), copy(2 * pair + 1)]);
    }
    if !words.len().is_multiple_of(2) {
        see(pairs, [copy(2 * pairs), 0]);
    }
    // Whoever read a word of the next version must see its odd header below.
    acquire();
    Some(Read { header, is_one_version: words[0].load(Ordering::Relaxed) == header })
}

/// Whether the slot still has the version of `header`, after reading what it refers to.
#[inline]
pub fn is_unchanged(first: &AtomicU64, header: u64) -> bool {
    fence(Ordering::Acquire);
    first.load(Ordering::Relaxed) == header
}

/// Writes all words but the first, and the header with `checksum`. For the only writer.
pub fn write(words: &[AtomicU64], values: &[[u8; 8]], checksum: u64) {
    write_with(words, values, checksum, || fence(Ordering::Release));
}

/// [`write`] with the fence as a parameter, so that a test can show what happens without it.
#[inline(always)]
pub fn write_with(words: &[AtomicU64], values: &[[u8; 8]], checksum: u64, release: impl Fn()) {
    enter_with(words, release);
    for (word, value) in words[1..].iter().zip(&values[1..]) {
        word.store(u64::from_le_bytes(*value), Ordering::Relaxed);
    }
    let odd = words[0].load(Ordering::Relaxed) & VERSION_MASK;
    words[0].store(checksum << 32 | (odd + 1) & VERSION_MASK, Ordering::Release);
}

/// Makes the version odd, before anything the slot says or refers to changes.
#[cfg(test)]
pub fn enter(words: &[AtomicU64]) {
    enter_with(words, || fence(Ordering::Release));
}

#[inline(always)]
fn enter_with(words: &[AtomicU64], release: impl Fn()) {
    let header = words[0].load(Ordering::Relaxed);
    // A slot that a killed writer left odd stays odd until it is written.
    words[0].store(header | 1, Ordering::Relaxed);
    // Whoever sees a word that is stored below finds the header odd.
    release();
}
