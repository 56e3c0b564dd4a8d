//! Lookups: no lock, no allocation per key, no system call. Every answer is checked; what cannot be
//! checked is answered as such, and the caller takes the as-of path.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::cursor::Cursor;
use super::layout::KEY_INLINE_BYTES;
use super::probe::{has_empty, matches};
use super::reader::TableReader;
use super::slot::{SlotCopy, Unread};
use super::slot_head::SlotHead;
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

/// One slot, read for a key.
pub(super) enum Read {
    /// It is the key's.
    Hit(SlotHead),
    /// It is not, or could not be read.
    Not(Lookup),
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
        match self.read_slot_words(&self.map.words()[at..at + self.layout.slot_words], at, (hash, key), need, copy) {
            Read::Hit(_) => Lookup::Hit,
            Read::Not(why) => why,
        }
    }

    #[inline(always)]
    pub(super) fn read_slot_words(
        &self,
        words: &[AtomicU64],
        at: usize,
        (hash, key): (u64, &[u8]),
        need: Need,
        copy: &mut SlotCopy,
    ) -> Read {
        let head = match copy.read(words, at) {
            Ok(head) => head,
            Err(Unread::Torn) => return Read::Not(Lookup::Busy),
            Err(Unread::Damaged) => return Read::Not(Lookup::Untrusted),
        };
        if !copy.may_be_key_of(head.says, hash, key) {
            return Read::Not(Lookup::Miss);
        }
        copy.heap.clear();
        if need == Need::Slot && (key.len() <= KEY_INLINE_BYTES || !copy.has_long_key()) {
            return Read::Hit(head);
        }
        match self.read_rest(copy, key, &words[0], head.header) {
            Lookup::Hit => Read::Hit(head),
            other => Read::Not(other),
        }
    }

    /// Copies and checks the heap block of the slot in `copy`, and compares the key if it lies there.
    #[inline(never)]
    fn read_rest(&self, copy: &mut SlotCopy, key: &[u8], first: &AtomicU64, header: u64) -> Lookup {
        match self.read_heap(copy, first, header) {
            Lookup::Hit if copy.has_long_key() && !copy.heap_is_key(key) => Lookup::Miss,
            other => other,
        }
    }
}
