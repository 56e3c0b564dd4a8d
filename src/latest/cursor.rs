//! A reader's way to many keys of one table: the short path of a lookup, for a key that is there and that nobody is
//! writing to. Everything else is left to [`TableReader::lookup`].
//!
//! The short path guesses where the slot is, and asks the slot: a sound one of the key is its only one, whatever words led there.
//! So nothing on the way is checked but that it lies within the file. Instructions count here: while they fit into the window in which a
//! processor looks ahead, the next get's memory is fetched while this one waits for its own.
//!
//! A lookup waits for memory twice: for the tags of the key's group, then for a slot. So it comes in three steps, each
//! of which asks for what the next one reads, and whoever has many keys does other keys' steps in between.

use std::sync::atomic::{AtomicU64, Ordering};

use super::lookup::{Lookup, Need};
use super::probe::{matches, preferred};
use super::reader::TableReader;
use super::slot::SlotCopy;
use crate::format::table::{
    BEHIND_NOT, DirectoryWord, GROUP_SLOTS, LIVE_DIRECTORY, LIVE_EPOCH, LIVE_STATE, LiveState, Shard, tag_of,
};

/// Reads one table for many keys.
#[derive(Clone, Debug)]
pub struct Cursor {
    table: TableReader,
    need: Need,
    slot_words: usize,
    /// [`LIVE_STATE`] when the table was last seen current.
    current: [u64; 4],
    /// [`LIVE_DIRECTORY`] as last seen, and what it says.
    directory: (u64, DirectoryWord),
}

/// A lookup that was begun: where it goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Begun {
    epoch: u64,
    /// The tags of the group where the search begins, its check word, its first slot.
    tags_at: usize,
    check_at: usize,
    slots_at: usize,
    /// The slot that is likely the key's; 0 where none is known.
    slot_at: usize,
}

impl Cursor {
    pub(super) fn new(table: TableReader, need: Need) -> Cursor {
        let slot_words = table.layout.slot_words;
        let nothing = (0, DirectoryWord { start: 0, depth: 0 });
        Cursor { table, need, slot_words, current: LiveState::default().encode(), directory: nothing }
    }

    /// Whether the table answers for now at all: it has every row, and says so.
    #[inline(always)]
    pub fn is_current(&mut self) -> bool {
        let live = self.table.map.words().get(LIVE_STATE..).and_then(|words| words.first_chunk::<4>());
        // Mostly it is as it was: then that need not be worked out again.
        live.is_some_and(|live| {
            live.iter().zip(&self.current).all(|(word, seen)| word.load(Ordering::Acquire) == *seen)
        }) || self.is_current_now()
    }

    #[cold]
    fn is_current_now(&mut self) -> bool {
        let state = self.table.state().filter(|state| state.behind == BEHIND_NOT);
        self.current = state.map_or(self.current, LiveState::encode);
        state.is_some()
    }

    /// As [`TableReader::lookup`]; [`Lookup::Busy`] too unless the table [is current](Cursor::is_current).
    pub fn lookup_current(&mut self, hash: u64, key: &[u8], copy: &mut SlotCopy) -> Lookup {
        if !self.is_current() {
            return Lookup::Busy;
        }
        let Cursor { table, need, slot_words, directory, .. } = self;
        let words = table.known_words();
        let mut begun = guess(words, directory, *slot_words, hash);
        // Most keys are there: its memory then comes while the tags do, not after them.
        table.prefetch_slot(begun.slots_at + preferred(hash) * *slot_words, *slot_words);
        begun.slot_at = likely_slot(words, &begun, *slot_words, hash);
        finish(table, words, (hash, key), *need, copy, &begun)
    }

    /// The first step of a lookup: fetches the tags that [`Cursor::approach`] reads.
    #[inline(always)]
    pub fn begin(&mut self, hash: u64) -> Begun {
        let begun = guess(self.table.known_words(), &mut self.directory, self.slot_words, hash);
        self.table.map.prefetch(begun.tags_at);
        begun
    }

    /// The second step: fetches what [`Cursor::finish`] reads, the first slot whose tag is the key's or the check word that
    /// a miss needs.
    #[inline(always)]
    pub fn approach(&self, hash: u64, begun: &mut Begun) {
        begun.slot_at = likely_slot(self.table.known_words(), begun, self.slot_words, hash);
        match begun.slot_at {
            0 => self.table.map.prefetch(begun.check_at),
            slot_at => self.table.prefetch_slot(slot_at, self.slot_words),
        }
    }

    /// The last step: copies the key's row, checked.
    #[inline(always)]
    pub fn finish(&self, hash: u64, key: &[u8], copy: &mut SlotCopy, begun: &Begun) -> Lookup {
        finish(&self.table, self.table.known_words(), (hash, key), self.need, copy, begun)
    }
}

/// Where a key's group should be; nowhere at all when the words that say so make no sense.
#[inline(always)]
fn guess(words: &[AtomicU64], directory: &mut (u64, DirectoryWord), slot_words: usize, hash: u64) -> Begun {
    let mut guess = || {
        let live: &[AtomicU64; 2] = words.get(LIVE_EPOCH..)?.first_chunk()?;
        let [epoch, said] = live.each_ref().map(|word| word.load(Ordering::Acquire));
        if said != directory.0 {
            *directory = (said, DirectoryWord::decode(said)?);
        }
        let shard = Shard::decode(words.get(directory.1.entry_at(hash))?.load(Ordering::Acquire))?;
        let group = shard.home(hash);
        let slots_at = shard.slot_at(group * GROUP_SLOTS, slot_words);
        Some(Begun { epoch, tags_at: shard.tags_at(group), check_at: shard.check_at(group), slots_at, slot_at: 0 })
    };
    guess().unwrap_or_default()
}

/// The first slot of the group whose tag is that of `hash`; 0 for none.
#[inline(always)]
fn likely_slot(words: &[AtomicU64], begun: &Begun, slot_words: usize, hash: u64) -> usize {
    let Some(tags) = words.get(begun.tags_at..).and_then(|tags| tags.first_chunk::<2>()) else { return 0 };
    let tags = tags.each_ref().map(|word| word.load(Ordering::Acquire));
    matches(tags, tag_of(hash)).next().map_or(0, |slot| begun.slots_at + slot * slot_words)
}

#[inline(always)]
fn finish(
    table: &TableReader,
    words: &[AtomicU64],
    (hash, key): (u64, &[u8]),
    need: Need,
    copy: &mut SlotCopy,
    begun: &Begun,
) -> Lookup {
    if let Some(slot) = words.get(begun.slot_at..).and_then(|words| words.get(..copy.words.len()))
        && table.read_slot_words(slot, begun.slot_at, (hash, key), need, copy) == Lookup::Hit
        && table.is_still(begun.epoch)
    {
        return Lookup::Hit;
    }
    table.lookup(hash, key, need, copy)
}

const _: () = assert!(LIVE_DIRECTORY == LIVE_EPOCH + 1, "read at once");
