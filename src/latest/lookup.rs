//! Lookups: no lock, no allocation per key, no system call. Every answer is checked; what cannot be
//! checked is answered as such, and the caller takes the as-of path.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::cursor::Cursor;
use super::probe::{has_empty, matches};
use super::reader::TableReader;
use super::slot::{SlotCopy, Unread};
use crate::format::table::{GROUP_SLOTS, LIVE_EPOCH, Shard, tag_of};

/// How often a lookup tries again while a writer is at work on what it reads.
pub(super) const ATTEMPTS_MAX: usize = 200;
/// What a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The key's greatest row, in the [`SlotCopy`].
    Hit,
    /// The table holds no row of the key, as of its applied seq.
    Miss,
    /// A writer stayed, or was killed, inside what had to be read: ask history.
    Busy,
    /// A checksum disagreed: ask history. A writer that meets it counts it, and has the table built anew after it was closed.
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

impl TableReader {
    /// For reading many keys, now and again.
    pub fn cursor(&self, need: Need) -> Cursor {
        Cursor::new(self.clone(), need)
    }

    /// Looks up the greatest row of `key`, whose hash is `hash`.
    #[inline(never)]
    pub fn lookup(&self, hash: u64, key: &[u8], need: Need, copy: &mut SlotCopy) -> Lookup {
        for _ in 0..ATTEMPTS_MAX {
            let epoch = self.map.words()[LIVE_EPOCH].load(Ordering::Acquire);
            let found = match self.find_shard(hash) {
                Some(shard) => self.search(shard, hash, key, need, copy),
                None => Lookup::Untrusted,
            };
            if self.is_still(epoch) && found != Lookup::Busy {
                return found;
            }
            std::hint::spin_loop();
        }
        Lookup::Busy
    }

    fn search(&self, shard: Shard, hash: u64, key: &[u8], need: Need, copy: &mut SlotCopy) -> Lookup {
        let (mut group, mut is_suspect) = (shard.home(hash), false);
        for _ in 0..shard.groups {
            let tags = self.tags(shard, group);
            for slot in matches(tags, tag_of(hash)) {
                let at = shard.slot_at(group * GROUP_SLOTS + slot, self.layout.slot_words);
                match self.read_slot(at, hash, key, need, copy) {
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

    /// Whether no shard moved since `epoch` was read: what was read meanwhile is from one place only then, for the
    /// space of one that did may hold anything.
    #[inline]
    pub(super) fn is_still(&self, epoch: u64) -> bool {
        fence(Ordering::Acquire);
        self.map.words()[LIVE_EPOCH].load(Ordering::Relaxed) == epoch
    }

    /// Copies and checks one slot. `Miss`: a sound slot of another key.
    pub(super) fn read_slot(&self, at: usize, hash: u64, key: &[u8], need: Need, copy: &mut SlotCopy) -> Lookup {
        let words = &self.map.words()[at..at + self.layout.slot_words];
        match copy.read(words, at) {
            Ok(()) => self.take_slot(hash, key, need, copy, &words[0]),
            Err(Unread::Torn) => Lookup::Busy,
            Err(Unread::Damaged) => Lookup::Untrusted,
        }
    }

    /// [`TableReader::read_slot`] of the slot that was copied, whose first word is `first`.
    #[inline(never)]
    pub(super) fn take_slot(
        &self,
        hash: u64,
        key: &[u8],
        need: Need,
        copy: &mut SlotCopy,
        first: &AtomicU64,
    ) -> Lookup {
        if !copy.is_known() {
            return Lookup::Untrusted;
        }
        if !copy.may_be_key(hash, key) {
            return Lookup::Miss;
        }
        copy.heap.clear();
        if need == Need::Slot && !copy.has_long_key() { Lookup::Hit } else { self.read_rest(copy, key, first) }
    }

    /// Copies and checks the heap block of the slot in `copy`, and compares the key if it lies there.
    fn read_rest(&self, copy: &mut SlotCopy, key: &[u8], first: &AtomicU64) -> Lookup {
        match self.read_heap(copy, first) {
            Lookup::Hit if copy.has_long_key() && !copy.heap_is_key(key) => Lookup::Miss,
            other => other,
        }
    }
}
