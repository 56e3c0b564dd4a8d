//! A reader's way to many keys of one table: the short path of a lookup, for a key that is there and that nobody is
//! writing to. Everything else is left to [`TableReader::lookup`].
//!
//! The short path guesses where the slot is, and asks the slot. A shard that was left has no tags any more, so tags lead to no older slot
//! of a key; who read them before asks whether a shard moved since. So nothing else on the way is checked but that it lies within the file. Instructions count here: while they fit into the window in which a
//! processor looks ahead, the next get's memory is fetched while this one waits for its own.
//!
//! A lookup waits for memory twice: for the tags of the key's group, then for a slot. So it comes in three steps, each
//! of which asks for what the next one reads, and whoever has many keys does other keys' steps in between.

use std::sync::atomic::{AtomicU64, Ordering};

use super::lookup::{Lookup, Need, Read};
use super::probe::{Tags, first_match, has_empty, preferred};
use super::reader::TableReader;
use super::slot::SlotCopy;
use super::slot_head::SlotHead;
use crate::format::table::{
    BEHIND_NOT, DirectoryWord, GROUP_SLOTS, LIVE_BEHIND, LIVE_DIRECTORY, LIVE_EPOCH, Shard, tag_of,
};

/// Reads one table for many keys.
#[derive(Clone, Debug)]
pub struct Cursor {
    table: TableReader,
    need: Need,
    slot_words: usize,
    /// Whether the words that say how far the table has come were seen whole, and that it is current: from then on, one of them tells.
    was_current: bool,
    guide: Guide,
}

/// What a cursor found.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// The key's greatest row, in the [`SlotCopy`]; its first words.
    Row(SlotHead),
    /// What [`TableReader::lookup`] found, where the short path did not serve.
    Other(Lookup),
}

impl Found {
    /// As a [`TableReader::lookup`] says it.
    pub fn lookup(self) -> Lookup {
        match self {
            Found::Row(_) => Lookup::Hit,
            Found::Other(lookup) => lookup,
        }
    }
}

/// A lookup that was begun: where it goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Begun {
    epoch: u64,
    /// The tags of the group where the search begins, its check word, its first slot.
    tags_at: usize,
    check_at: usize,
    slots_at: usize,
    /// Groups of the shard that come after it.
    groups_after: usize,
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
        let slot_words = table.layout.slot_words;
        let guide = Guide { said: 0, directory: DirectoryWord { start: 0, depth: 0 } };
        Cursor { table, need, slot_words, was_current: false, guide }
    }

    /// As [`TableReader::is_current`].
    #[inline(always)]
    pub fn is_current(&mut self) -> bool {
        let behind = self.table.map.words().get(LIVE_BEHIND).map(|word| word.load(Ordering::Acquire));
        self.was_current && behind == Some(BEHIND_NOT) || self.is_current_now()
    }

    #[cold]
    fn is_current_now(&mut self) -> bool {
        self.was_current = self.table.is_current();
        self.was_current
    }

    /// The first step of a lookup that the last one follows at once: fetches tags, and the slot where the key is if nobody was there before it.
    #[inline(always)]
    pub fn begin_single(&mut self, hash: u64) -> Begun {
        let begun = self.begin(hash);
        // Most keys are there: its memory then comes while the tags do, not after them.
        self.table.prefetch_slot(begun.slots_at + preferred(hash) * self.slot_words, self.slot_words);
        begun
    }

    /// The last step of such a lookup; finds [`Lookup::Busy`] unless the table [is current](Cursor::is_current).
    #[inline(always)]
    pub fn finish_single(&mut self, hash: u64, key: &[u8], copy: &mut SlotCopy, mut begun: Begun) -> Found {
        if !self.is_current() {
            return Found::Other(Lookup::Busy);
        }
        begun.approach(self.table.known_words(), self.slot_words, hash);
        self.finish(hash, key, copy, &begun)
    }

    /// The first step of a lookup: fetches the tags that [`Cursor::approach`] reads.
    #[inline(always)]
    pub fn begin(&mut self, hash: u64) -> Begun {
        let begun = self.guide.begin(self.table.known_words(), self.slot_words, hash);
        self.table.map.prefetch(begun.tags_at);
        begun
    }

    /// The second step: fetches what [`Cursor::finish`] reads, the first slot whose tag is the key's or the check word that
    /// a miss needs.
    #[inline(always)]
    pub fn approach(&self, hash: u64, begun: &mut Begun) {
        begun.approach(self.table.known_words(), self.slot_words, hash);
        match begun.slot_at {
            0 => self.table.map.prefetch(begun.check_at),
            slot_at => self.table.prefetch_slot(slot_at, self.slot_words),
        }
    }

    /// The last step: copies the key's row, checked.
    #[inline(always)]
    pub fn finish(&self, hash: u64, key: &[u8], copy: &mut SlotCopy, begun: &Begun) -> Found {
        begun.finish(&self.table, self.table.known_words(), (hash, key), self.need, copy)
    }
}

impl Guide {
    /// Where a key's group should be; nowhere at all when the words that say so make no sense.
    #[inline(always)]
    fn begin(&mut self, words: &[AtomicU64], slot_words: usize, hash: u64) -> Begun {
        let mut begin = || {
            let live: &[AtomicU64; 2] = words.get(LIVE_EPOCH..)?.first_chunk()?;
            let [epoch, said] = live.each_ref().map(|word| word.load(Ordering::Acquire));
            if said != self.said {
                self.directory = DirectoryWord::decode(said)?;
                self.said = said;
            }
            // Not checked: an entry that makes no sense leads beyond the file, or to a slot of another key.
            let shard = Shard::unchecked(words.get(self.directory.entry_at(hash))?.load(Ordering::Acquire));
            let group = shard.home(hash);
            Some(Begun {
                epoch,
                tags_at: shard.tags_at(group),
                check_at: shard.check_at(group),
                slots_at: shard.slot_at(group * GROUP_SLOTS, slot_words),
                groups_after: shard.groups.saturating_sub(group + 1),
                slot_at: 0,
            })
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
            None => self.approach_next(words, slot_words, hash),
        }
    }

    #[inline(never)]
    fn approach_next(&mut self, words: &[AtomicU64], slot_words: usize, hash: u64) {
        while self.groups_after > 0 && !has_empty(tags_of(words, self.tags_at)) {
            self.tags_at += 2;
            self.slots_at += GROUP_SLOTS * slot_words;
            self.groups_after -= 1;
            if let Some(slot) = first_match(tags_of(words, self.tags_at), tag_of(hash)) {
                self.slot_at = self.slots_at + slot * slot_words;
                return;
            }
        }
    }

    #[inline(always)]
    fn finish(
        &self,
        table: &TableReader,
        words: &[AtomicU64],
        (hash, key): (u64, &[u8]),
        need: Need,
        copy: &mut SlotCopy,
    ) -> Found {
        if self.slot_at != 0
            && let Some(slot) = words.get(self.slot_at..).and_then(|words| words.get(..copy.words.len()))
            && let Read::Hit(head) = table.read_slot_words(slot, self.slot_at, (hash, key), need, copy)
            && table.is_still(self.epoch)
        {
            return Found::Row(head);
        }
        Found::Other(table.lookup(hash, key, need, copy))
    }
}

/// The tags at word `at`; those of an empty group where the file has none.
#[inline(always)]
fn tags_of(words: &[AtomicU64], at: usize) -> Tags {
    let tags = words.get(at..).and_then(|tags| tags.first_chunk::<2>());
    tags.map_or([0; 2], |tags| tags.each_ref().map(|word| word.load(Ordering::Acquire)))
}

const _: () = assert!(LIVE_DIRECTORY == LIVE_EPOCH + 1, "read at once");
