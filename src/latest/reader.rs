//! Lookups: no lock, no allocation per key, no system call. Every answer is checked; what cannot be
//! checked is answered as such, and the caller takes the as-of path.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use super::layout::SlotLayout;
use super::probe::{Tags, has_empty, matches, preferred};
use super::seqlock;
use super::slot::{SlotCopy, TWO_LINES_WORDS};
use crate::disk::{File, SharedMap};
use crate::format::table::{
    BEHIND_RETIRED, DirectoryWord, LIVE_DIRECTORY, LIVE_EPOCH, LIVE_STATE, LiveState, Shard, check_word, tag_of,
};

/// How often a lookup tries again while a writer is at work on what it reads.
const ATTEMPTS_MAX: usize = 200;
/// Keys whose memory is fetched at the same time.
pub const LOOKUPS_MAX: usize = 32;
/// Most cache lines of a slot that are fetched ahead.
const SLOT_LINES_AHEAD: usize = 4;
const WORDS_PER_LINE: usize = 8;

/// What a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The key's greatest row, in the [`SlotCopy`].
    Hit,
    /// The table holds no row of the key, as of its applied seq.
    Miss,
    /// A writer stayed, or was killed, inside what had to be read: ask history.
    Busy,
    /// A checksum disagreed: ask history, and have the table rebuilt.
    Untrusted,
}

/// Which parts of a row a lookup copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Values of fixed width and short strings.
    Slot,
    /// Also values that lie in the heap.
    SlotAndHeap,
}

/// Reads a table, beside the writer, in any process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TableReader {
    pub(super) map: Arc<SharedMap>,
    pub(super) file: Arc<dyn File>,
    pub(super) layout: Arc<SlotLayout>,
    /// Words that the file is known to have: what lies beyond is never touched.
    pub(super) known_end: Arc<AtomicUsize>,
}

/// Where the search for a key begins.
#[derive(Clone, Copy)]
pub(super) struct Start {
    shard: Shard,
    group: usize,
}

impl TableReader {
    /// What its slots look like.
    pub fn layout(&self) -> &Arc<SlotLayout> {
        &self.layout
    }

    /// An empty copy to look up into.
    pub fn slot_copy(&self) -> SlotCopy {
        SlotCopy::new(Arc::clone(&self.layout))
    }

    /// Whether another file took this one's place.
    pub fn is_retired(&self) -> bool {
        self.state().is_some_and(|state| state.behind == BEHIND_RETIRED)
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

    /// Looks up the greatest row of `key`, whose hash is `hash`.
    #[inline]
    pub fn lookup(&self, hash: u64, key: &[u8], need: Need, copy: &mut SlotCopy) -> Lookup {
        let (epoch, start) = self.begin(hash);
        if let Some(Start { shard, group }) = start {
            // Most keys are there: its memory then comes while the tags do, not after them.
            self.prefetch_slot(shard, group * 16 + preferred(hash));
        }
        self.lookup_from(hash, key, need, copy, (epoch, start))
    }

    /// Looks up at most [`LOOKUPS_MAX`] keys, fetching the memory of all ahead: tags first, then slots, then the
    /// comparison. `key` gives the hash and the bytes of the one at a position; its row goes to the same
    /// position of `copies`.
    pub fn lookup_many<'k>(
        &self,
        key: impl Fn(usize) -> (u64, &'k [u8]),
        need: Need,
        copies: &mut [SlotCopy],
        found: &mut [Lookup],
    ) {
        let count = found.len();
        assert!(
            count == copies.len() && count <= LOOKUPS_MAX,
            "a copy for every key, and no more than are fetched ahead"
        );
        let epoch = self.epoch();
        let mut starts = [None; LOOKUPS_MAX];
        for (i, start) in starts[..count].iter_mut().enumerate() {
            let (hash, _) = key(i);
            *start = self.find_shard(hash).map(|shard| Start { shard, group: shard.home(hash) });
            if let Some(start) = start {
                self.map.prefetch(start.shard.tags_at(start.group));
            }
        }
        for (i, start) in starts[..count].iter().enumerate() {
            if let Some(start) = start {
                self.prefetch_match(*start, key(i).0);
            }
        }
        for (i, ((found, copy), start)) in found.iter_mut().zip(copies).zip(starts).enumerate() {
            let (hash, bytes) = key(i);
            *found = self.lookup_from(hash, bytes, need, copy, (epoch, start));
        }
    }

    /// Fetches the first slot whose tag matches, or the check word that a miss will need.
    #[inline]
    fn prefetch_match(&self, Start { shard, group }: Start, hash: u64) {
        match matches(self.tags(shard, group), tag_of(hash)).next() {
            Some(slot) => self.prefetch_slot(shard, group * 16 + slot),
            None => self.map.prefetch(shard.check_at(group)),
        }
    }

    #[inline]
    pub(super) fn prefetch_slot(&self, shard: Shard, slot: usize) {
        let words = self.layout.slot_words;
        let at = shard.slot_at(slot, words);
        let last = at + words - 1;
        for line in 0..SLOT_LINES_AHEAD {
            let ahead = at + line * WORDS_PER_LINE;
            if ahead > last {
                break;
            }
            self.map.prefetch(ahead);
        }
        if !words.is_multiple_of(WORDS_PER_LINE) {
            self.map.prefetch(last);
        }
    }

    #[inline]
    fn epoch(&self) -> u64 {
        self.map.words()[LIVE_EPOCH].load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn begin(&self, hash: u64) -> (u64, Option<Start>) {
        let epoch = self.epoch();
        (epoch, self.find_shard(hash).map(|shard| Start { shard, group: shard.home(hash) }))
    }

    #[inline]
    pub(super) fn lookup_from(
        &self,
        hash: u64,
        key: &[u8],
        need: Need,
        copy: &mut SlotCopy,
        (mut epoch, mut start): (u64, Option<Start>),
    ) -> Lookup {
        for _ in 0..ATTEMPTS_MAX {
            let found = match start {
                Some(start) => self.search(start, hash, key, need, copy),
                None => Lookup::Untrusted,
            };
            // What was read is from one place only if no shard moved meanwhile: the space of one
            // that did may hold anything.
            fence(Ordering::Acquire);
            if self.map.words()[LIVE_EPOCH].load(Ordering::Relaxed) == epoch && found != Lookup::Busy {
                return found;
            }
            std::hint::spin_loop();
            (epoch, start) = self.begin(hash);
        }
        Lookup::Busy
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

    fn search(&self, start: Start, hash: u64, key: &[u8], need: Need, copy: &mut SlotCopy) -> Lookup {
        let Start { shard, mut group } = start;
        let mut is_suspect = false;
        for _ in 0..shard.groups {
            let tags = self.tags(shard, group);
            for slot in matches(tags, tag_of(hash)) {
                match self.read_slot(shard.slot_at(group * 16 + slot, self.layout.slot_words), hash, key, need, copy) {
                    Lookup::Hit => return Lookup::Hit,
                    Lookup::Busy => return Lookup::Busy,
                    // The key may have been in it; another slot may still have it for certain.
                    Lookup::Untrusted => is_suspect = true,
                    Lookup::Miss => {}
                }
            }
            // The key is not in this group only if these are the group's tags.
            if !self.is_checked(shard, hash, group, tags) {
                return Lookup::Busy;
            }
            if has_empty(tags) {
                break;
            }
            group = if group + 1 == shard.groups { 0 } else { group + 1 };
        }
        if is_suspect { Lookup::Untrusted } else { Lookup::Miss }
    }

    /// Copies and checks one slot. `Miss`: a sound slot of another key.
    #[inline]
    pub(super) fn read_slot(&self, at: usize, hash: u64, key: &[u8], need: Need, copy: &mut SlotCopy) -> Lookup {
        let words = &self.map.words()[at..at + self.layout.slot_words];
        let two_lines = <&[AtomicU64; TWO_LINES_WORDS]>::try_from(words);
        let header = match (two_lines, <&mut [[u8; 8]; TWO_LINES_WORDS]>::try_from(copy.words.as_mut_slice())) {
            // The same, with a length that the compiler knows.
            (Ok(words), Ok(out)) => seqlock::read(words, out),
            _ => seqlock::read(words, &mut copy.words),
        };
        let Some(header) = header else {
            return Lookup::Busy;
        };
        if !copy.is_sound(at, header) {
            return Lookup::Untrusted;
        }
        if !copy.may_be_key(hash, key) {
            return Lookup::Miss;
        }
        let is_long = copy.has_long_key();
        copy.heap.clear();
        if is_long || need == Need::SlotAndHeap {
            match self.read_heap(copy, &words[0], header) {
                Lookup::Hit => {}
                other => return other,
            }
        }
        if is_long && !copy.heap_is_key(key) {
            return Lookup::Miss;
        }
        Lookup::Hit
    }

    /// Copies and checks the heap block of the slot in `copy`, if it has one.
    pub(super) fn read_heap(&self, copy: &mut SlotCopy, first: &AtomicU64, header: u64) -> Lookup {
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
        if !seqlock::is_unchanged(first, header) {
            return Lookup::Busy;
        }
        if copy.heap_checksum(heap.start) != checksum {
            return Lookup::Untrusted;
        }
        Lookup::Hit
    }
}
