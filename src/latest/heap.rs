//! Blocks for what varies in length: a checksum word, then a long key and the row's variable part.
//! Sizes come in classes at most a quarter apart; a freed block serves its class again.

use std::collections::BTreeMap;

use super::space::Space;
use crate::error::Result;
use crate::format::table::LINE_WORDS;

/// Blocks beyond it are extents of their own.
const CLASS_WORDS_MAX: usize = 4_096;
const CHUNK_WORDS_MIN: usize = 512;
const CHUNK_WORDS_MAX: usize = (1 << 20) / 8;

/// The blocks of one table file. Lives in the writer's memory.
#[derive(Debug, Default)]
pub(super) struct Heap {
    /// Class to the starts of its free blocks.
    pub(super) free: BTreeMap<usize, Vec<usize>>,
    chunk_next: usize,
    chunk_end: usize,
    chunk_words: usize,
}

/// The class of a block of `words` words: multiples of two to sixteen, then four to a doubling.
pub(super) fn class_of(words: usize) -> usize {
    if words <= 16 {
        return words.next_multiple_of(2);
    }
    words.next_multiple_of(1 << (words.ilog2() - 2))
}

impl Heap {
    /// A block of at least `words` words. Its contents are whatever they were.
    ///
    /// # Errors
    /// As for [`Space::reserve`].
    pub(super) fn allocate(&mut self, words: usize, space: &mut Space) -> Result<usize> {
        let class = class_of(words);
        if class > CLASS_WORDS_MAX {
            return space.allocate(class);
        }
        if let Some(start) = self.free.get_mut(&class).and_then(Vec::pop) {
            return Ok(start);
        }
        if self.chunk_end - self.chunk_next < class {
            let chunk_words = (self.chunk_words * 2).clamp(CHUNK_WORDS_MIN.max(class), CHUNK_WORDS_MAX);
            let start = space.allocate(chunk_words)?;
            self.give_back_chunk(space);
            (self.chunk_next, self.chunk_end) = (start, start + chunk_words.next_multiple_of(LINE_WORDS));
            self.chunk_words = chunk_words;
        }
        let start = self.chunk_next;
        self.chunk_next += class;
        Ok(start)
    }

    /// Takes a block back. The slot's version has moved on since readers could last follow it there.
    pub(super) fn free(&mut self, start: usize, words: usize, space: &mut Space) {
        let class = class_of(words);
        if class > CLASS_WORDS_MAX {
            space.free(start, class);
        } else {
            self.free.entry(class).or_default().push(start);
        }
    }

    /// Returns the whole lines of the current chunk that no block took.
    pub(super) fn give_back_chunk(&mut self, space: &mut Space) {
        let start = self.chunk_next.next_multiple_of(LINE_WORDS);
        if start < self.chunk_end {
            space.free(start, self.chunk_end - start);
        }
        (self.chunk_next, self.chunk_end) = (0, 0);
    }

    pub(super) fn free_words(&self) -> usize {
        self.free.iter().map(|(class, starts)| class * starts.len()).sum::<usize>() + self.chunk_end - self.chunk_next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_its_words_and_wastes_at_most_a_quarter() {
        for words in 1..100_000 {
            let class = class_of(words);
            assert!(class >= words && class_of(class) == class, "{words}");
            assert!(class <= words + (words / 4).max(1), "{words} got {class}");
        }
    }
}
