//! The arguments of a command.

use std::ops::Range;

use super::Refusal;
use crate::server::resp::number::parse_i64;

/// A command's arguments, its name first, where they lie.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    bytes: &'a [u8],
    ranges: &'a [Range<usize>],
}

impl<'a> Arguments<'a> {
    /// Arguments that lie at `ranges` of `bytes`.
    pub fn new(bytes: &'a [u8], ranges: &'a [Range<usize>]) -> Arguments<'a> {
        Arguments { bytes, ranges }
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.ranges.len()
    }

    /// Whether there are none: an empty command.
    pub fn is_empty(self) -> bool {
        self.ranges.is_empty()
    }

    /// Bytes of all of them.
    pub fn bytes(self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// One of them.
    ///
    /// # Panics
    /// There are not so many.
    #[inline]
    pub fn at(self, index: usize) -> &'a [u8] {
        &self.bytes[self.ranges[index].clone()]
    }

    /// One of them, where there are so many.
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        self.ranges.get(index).map(|range| &self.bytes[range.clone()])
    }

    /// Those from `index` on.
    pub fn from(self, index: usize) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.ranges[index.min(self.ranges.len())..].iter().map(move |range| &self.bytes[range.clone()])
    }

    /// Whether one is there and is this word, in either case.
    pub fn is_word(self, index: usize, word: &str) -> bool {
        self.get(index).is_some_and(|argument| argument.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// An integer.
    ///
    /// # Errors
    /// It is none.
    pub fn integer(self, index: usize) -> Result<i64, Refusal> {
        parse_i64(self.at(index)).ok_or(Refusal::NOT_AN_INTEGER)
    }
}
