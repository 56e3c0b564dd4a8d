//! A table's shared words, read beside the writer: how far it has come, where a key's shard lies, tags, heap blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::layout::SlotLayout;
use super::lookup::{ATTEMPTS_MAX, Lookup};
use super::probe::Tags;
use super::seqlock;
use super::slot::SlotCopy;
use crate::disk::{File, SharedMap};
use crate::format::table::{
    BEHIND_NOT, BEHIND_RETIRED, DirectoryWord, LINE_WORDS, LIVE_DIRECTORY, LIVE_STATE, LiveState, Shard, check_word,
};
use crate::format::truncate::Truncate;

/// Reads a table, beside the writer, in any process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TableReader {
    pub(super) map: Arc<SharedMap>,
    pub(super) file: Arc<dyn File>,
    pub(super) layout: Arc<SlotLayout>,
    /// Words that the file is known to have: what lies beyond is never touched.
    pub(super) known_end: Arc<AtomicUsize>,
    /// The truncate that deleted what is not in the table; the same for as long as there is the file.
    pub(super) floor: Option<Truncate>,
}

impl TableReader {
    /// What its slots look like.
    pub fn layout(&self) -> &Arc<SlotLayout> {
        &self.layout
    }

    /// The truncate that deleted what is left out: no row is there that comes before it. So "there is no row" answers whoever sees
    /// that truncate, and nobody else.
    pub fn floor(&self) -> Option<Truncate> {
        self.floor
    }

    /// An empty copy to look up into.
    pub fn slot_copy(&self) -> SlotCopy {
        SlotCopy::new(Arc::clone(&self.layout))
    }

    /// Whether another file took this one's place.
    pub fn is_retired(&self) -> bool {
        self.state().is_some_and(|state| state.behind == BEHIND_RETIRED)
    }

    /// Whether the table answers for now at all: it has every row, and says so. Asked after a request's seq was read: a table
    /// that is marked for rows up to that seq is seen marked.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.state().is_some_and(|state| state.behind == BEHIND_NOT)
    }

    /// How far the table has come; `None` when the words that say so disagree.
    #[inline]
    pub fn state(&self) -> Option<LiveState> {
        let words = &self.map.words()[LIVE_STATE..LIVE_STATE + 4];
        for _ in 0..ATTEMPTS_MAX {
            let read = [0, 1, 2, 3].map(|i: usize| words[i].load(Ordering::Acquire));
            if let Some(state) = LiveState::decode(read) {
                return Some(state);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// The words that the file is known to have.
    #[inline]
    pub(super) fn known_words(&self) -> &[AtomicU64] {
        let words = self.map.words();
        &words[..self.known_end.load(Ordering::Relaxed).min(words.len())]
    }

    /// Fetches the slot at word `at` ahead of its use: its first `ahead_words`, of [`SlotLayout::ahead_words`].
    #[inline(always)]
    pub(super) fn prefetch_slot(&self, at: usize, ahead_words: usize) {
        self.map.prefetch(at);
        self.map.prefetch(at + ahead_words - 1);
        // Two lines are what most slots take.
        if ahead_words != 2 * LINE_WORDS {
            (at + LINE_WORDS..at + ahead_words - 1).step_by(LINE_WORDS).for_each(|line| self.map.prefetch(line));
        }
    }

    /// The shard of `hash`; `None` when directory or entry make no sense.
    #[inline]
    pub(super) fn find_shard(&self, hash: u64) -> Option<Shard> {
        let words = self.map.words();
        let directory = DirectoryWord::decode(words[LIVE_DIRECTORY].load(Ordering::Acquire))?;
        if !self.is_within(directory.start + directory.len()) {
            return None;
        }
        let shard = Shard::decode(words[directory.entry_at(hash)].load(Ordering::Acquire))?;
        self.is_within(shard.end(self.layout.slot_words)).then_some(shard)
    }

    /// Whether the file has the words before `end`. Asks the system only when it grew.
    #[inline]
    pub(super) fn is_within(&self, end: usize) -> bool {
        end <= self.known_end.load(Ordering::Relaxed) || self.is_within_now(end)
    }

    #[cold]
    fn is_within_now(&self, end: usize) -> bool {
        let file_words = self.file.len_bytes().map_or(0, |len| usize::try_from(len / 8).unwrap_or(0));
        let known = file_words.min(self.map.words().len());
        self.known_end.store(known, Ordering::Relaxed);
        end <= known
    }

    #[inline]
    pub(super) fn tags(&self, shard: Shard, group: usize) -> Tags {
        let words: &[AtomicU64] = &self.map.words()[shard.tags_at(group)..][..2];
        [words[0].load(Ordering::Acquire), words[1].load(Ordering::Acquire)]
    }

    #[inline]
    pub(super) fn is_checked(&self, shard: Shard, hash: u64, group: usize, tags: Tags) -> bool {
        let check = self.map.words()[shard.check_at(group)].load(Ordering::Acquire);
        check_word(shard.seed(hash), group, tags) == check
    }

    /// Copies and checks the heap block of the slot in `copy`, if it has one.
    pub(super) fn read_heap(&self, copy: &mut SlotCopy, first: &AtomicU64) -> Lookup {
        let Some(heap) = copy.heap_word() else {
            return Lookup::Hit;
        };
        if !self.is_within(heap.start + 1 + heap.words) {
            return Lookup::Untrusted;
        }
        let block = &self.map.words()[heap.start..heap.start + 1 + heap.words];
        let checksum = block[0].load(Ordering::Relaxed);
        copy.heap.clear();
        copy.heap.extend(block[1..].iter().map(|word| word.load(Ordering::Relaxed).to_le_bytes()));
        // A block is written anew only after its slot's version moved on.
        if !seqlock::is_unchanged(first, copy.header()) {
            return Lookup::Busy;
        }
        if copy.heap_checksum(heap.start) != checksum {
            return Lookup::Untrusted;
        }
        Lookup::Hit
    }
}
