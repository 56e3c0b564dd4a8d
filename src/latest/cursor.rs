//! A reader's way to many keys of one table: the short path of a lookup, for a key that is there and that nobody is
//! writing to. Everything else is left to [`TableReader::lookup`].
//!
//! The short path guesses where the slot is, and asks the slot. A shard that was left has no tags any more, so tags lead to
//! no older slot of a key; who read them before asks whether a shard moved since. So nothing else on the way is checked but
//! that it lies within the file. While one get waits for its memory, the processor looks ahead to the next one, unless
//! something makes it wait: so whatever is passed on stays in registers.
//!
//! A lookup waits for memory twice: for the tags of the key's group, then for a slot. So it comes in three steps, each
//! of which asks for what the next one reads, and whoever has many keys does each step for all of them before the next one.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::lookup::{Lookup, Need};
use super::probe::{Tags, first_match, has_empty, preferred};
use super::reader::TableReader;
use super::says::Plain;
use super::slot::SlotCopy;
use crate::format::table::{
    BEHIND_NOT, DirectoryWord, GROUP_SLOTS, HEADER_WORDS, LIVE_BEHIND, LIVE_DIRECTORY, LIVE_EPOCH, Shard, tag_of,
};
use crate::format::truncate::Truncate;

/// Reads one table for many keys.
#[derive(Clone, Debug)]
pub struct Cursor {
    table: TableReader,
    need: Need,
    plain: Plain,
    slot_words: usize,
    ahead_words: usize,
    /// Whether the words that say how far the table has come were seen whole, and that it is current: from then on, one of
    /// them tells.
    was_current: bool,
    guide: Guide,
}

/// What a cursor found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The key's greatest row, in the [`SlotCopy`]: a value row that answers by itself.
    Plain,
    /// What [`TableReader::lookup`] found, where the short path did not serve.
    Other(Lookup),
}

impl Found {
    /// As a [`TableReader::lookup`] says it.
    pub fn lookup(self) -> Lookup {
        match self {
            Found::Plain => Lookup::Hit,
            Found::Other(lookup) => lookup,
        }
    }
}

/// A lookup that was begun: where it goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Begun {
    epoch: u64,
    /// The directory's word for the shard, and the group where the search begins: its tags, its first slot.
    shard: u64,
    group: usize,
    tags_at: usize,
    slots_at: usize,
    /// The slot that is likely the key's; 0 where none is known.
    slot_at: usize,
}

/// The directory as last seen.
#[derive(Clone, Copy, Debug)]
struct Guide {
    /// [`LIVE_DIRECTORY`], and what it says.
    said: u64,
    directory: DirectoryWord,
}

impl Cursor {
    pub(super) fn new(table: TableReader, need: Need) -> Cursor {
        let (slot_words, ahead_words) = (table.layout.slot_words, table.layout.ahead_words());
        let guide = Guide { said: 0, directory: DirectoryWord { start: 0, depth: 0 } };
        Cursor { table, need, plain: Plain::new(need), slot_words, ahead_words, was_current: false, guide }
    }

    /// As [`TableReader::floor`].
    pub fn floor(&self) -> Option<Truncate> {
        self.table.floor
    }

    /// As [`TableReader::is_current`].
    #[inline(always)]
    pub fn is_current(&mut self) -> bool {
        live_of(self.table.known_words()).is_some_and(|live| self.is_current_in(live)) || self.is_current_now()
    }

    #[inline(always)]
    fn is_current_in(&self, live: &Live) -> bool {
        self.was_current && live[LIVE_BEHIND].load(Ordering::Acquire) == BEHIND_NOT
    }

    #[cold]
    fn is_current_now(&mut self) -> bool {
        self.was_current = self.table.is_current();
        self.was_current
    }

    /// A whole lookup; finds [`Lookup::Busy`] unless the table [is current](Cursor::is_current).
    ///
    /// Out of line: within a caller that has much else to keep, it would move registers to memory and back.
    #[inline(never)]
    pub fn lookup(&mut self, hash: u64, key: &[u8], copy: &mut SlotCopy) -> Found {
        let words = self.table.known_words();
        let Some(live) = live_of(words) else { return Found::Other(Lookup::Busy) };
        if !self.is_current_in(live) {
            return self.lookup_now(hash, key, copy);
        }
        let mut begun = self.guide.begin(words, live, self.slot_words, hash);
        self.table.map.prefetch(begun.tags_at);
        // Most keys are there: its memory then comes while the tags do, not after them.
        self.table.prefetch_slot(begun.slots_at + preferred(hash) * self.slot_words, self.ahead_words);
        begun.approach(words, self.slot_words, hash);
        self.finish_in(words, live, hash, key, copy, begun)
    }

    #[cold]
    fn lookup_now(&mut self, hash: u64, key: &[u8], copy: &mut SlotCopy) -> Found {
        let is_current = self.is_current_now();
        Found::Other(if is_current { self.table.lookup(hash, key, self.need, copy) } else { Lookup::Busy })
    }

    /// The first step of a lookup: fetches the tags that [`Cursor::approach`] reads.
    #[inline(always)]
    pub fn begin(&mut self, hash: u64) -> Begun {
        let words = self.table.known_words();
        let begun = live_of(words).map(|live| self.guide.begin(words, live, self.slot_words, hash)).unwrap_or_default();
        self.table.map.prefetch(begun.tags_at);
        begun
    }

    /// The second step: fetches what [`Cursor::finish`] reads, the first slot whose tag is the key's or the check word that
    /// a miss needs.
    #[inline(always)]
    pub fn approach(&self, hash: u64, begun: &mut Begun) {
        begun.approach(self.table.known_words(), self.slot_words, hash);
        match begun.slot_at {
            0 => self.table.map.prefetch(Shard::unchecked(begun.shard).check_at(begun.group)),
            slot_at => self.table.prefetch_slot(slot_at, self.ahead_words),
        }
    }

    /// The last step: copies the key's row, checked.
    #[inline(always)]
    pub fn finish(&self, hash: u64, key: &[u8], copy: &mut SlotCopy, begun: &Begun) -> Found {
        let words = self.table.known_words();
        match live_of(words) {
            Some(live) => self.finish_in(words, live, hash, key, copy, *begun),
            None => Found::Other(self.table.lookup(hash, key, self.need, copy)),
        }
    }

    #[inline(always)]
    fn finish_in(
        &self,
        words: &[AtomicU64],
        live: &Live,
        hash: u64,
        key: &[u8],
        copy: &mut SlotCopy,
        begun: Begun,
    ) -> Found {
        if begun.slot_at != 0
            && let Some(slot) = words.get(begun.slot_at..).and_then(|words| words.get(..copy.words.len()))
            && copy.read(slot, begun.slot_at).is_ok()
        {
            copy.heap.clear();
            let found = if copy.is_plain(self.plain, key) {
                Found::Plain
            } else {
                Found::Other(self.table.take_slot(hash, key, self.need, copy, &slot[0]))
            };
            fence(Ordering::Acquire);
            if found.lookup() == Lookup::Hit && live[LIVE_EPOCH].load(Ordering::Relaxed) == begun.epoch {
                return found;
            }
        }
        Found::Other(self.table.lookup(hash, key, self.need, copy))
    }
}

impl Guide {
    /// Where a key's group should be; nowhere at all when the words that say so make no sense.
    #[inline(always)]
    fn begin(&mut self, words: &[AtomicU64], live: &Live, slot_words: usize, hash: u64) -> Begun {
        let mut begin = || {
            let [epoch, said] = [LIVE_EPOCH, LIVE_DIRECTORY].map(|at| live[at].load(Ordering::Acquire));
            if said != self.said {
                self.directory = DirectoryWord::decode(said)?;
                self.said = said;
            }
            // Not checked: an entry that makes no sense leads beyond the file, or to a slot of another key.
            let entry = words.get(self.directory.entry_at(hash))?.load(Ordering::Acquire);
            let shard = Shard::unchecked(entry);
            let group = shard.home(hash);
            let (tags_at, slots_at) = (shard.tags_at(group), shard.slot_at(group * GROUP_SLOTS, slot_words));
            Some(Begun { epoch, shard: entry, group, tags_at, slots_at, slot_at: 0 })
        };
        begin().unwrap_or_default()
    }
}

impl Begun {
    /// Finds the first slot whose tag is that of `hash`, in the group or one that it ran over to.
    #[inline(always)]
    fn approach(&mut self, words: &[AtomicU64], slot_words: usize, hash: u64) {
        let tags = tags_of(words, self.tags_at);
        match first_match(tags, tag_of(hash)) {
            Some(slot) => self.slot_at = self.slots_at + slot * slot_words,
            None => self.slot_at = self.approach_next(words, slot_words, hash),
        }
    }

    #[inline(never)]
    fn approach_next(self, words: &[AtomicU64], slot_words: usize, hash: u64) -> usize {
        let (mut tags_at, mut slots_at) = (self.tags_at, self.slots_at);
        for _ in self.group + 1..Shard::unchecked(self.shard).groups {
            if has_empty(tags_of(words, tags_at)) {
                break;
            }
            tags_at += 2;
            slots_at += GROUP_SLOTS * slot_words;
            if let Some(slot) = first_match(tags_of(words, tags_at), tag_of(hash)) {
                return slots_at + slot * slot_words;
            }
        }
        0
    }
}

/// The tags at word `at`; those of an empty group where the file has none.
#[inline(always)]
fn tags_of(words: &[AtomicU64], at: usize) -> Tags {
    // Tags come in pairs of words, and begin at an even one.
    let tags = words.as_chunks::<2>().0.get(at / 2);
    tags.map_or([0; 2], |tags| tags.each_ref().map(|word| word.load(Ordering::Acquire)))
}

/// The words before the first shard; some of them change.
type Live = [AtomicU64; HEADER_WORDS];

#[inline(always)]
fn live_of(words: &[AtomicU64]) -> Option<&Live> {
    words.first_chunk()
}
