//! Every slot of a table, one after the other: what a check reads; and how many there are.

use std::sync::atomic::Ordering;

use super::lookup::Lookup;
use super::open::newest_superblock;
use super::probe::tag_at;
use super::reader::TableReader;
use super::slot::Unread;
use crate::error::Result;
use crate::format::table::{BEHIND_NOT, DirectoryWord, GROUP_SLOTS, LIVE_DIRECTORY, LIVE_EPOCH, Shard};

impl TableReader {
    /// How many keys have a row; `None` where the table lacks rows, or is just being written to.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn key_count(&self) -> Result<Option<u64>> {
        let block = newest_superblock(&*self.file)?;
        Ok(block.filter(|block| block.behind == BEHIND_NOT).map(|block| block.key_count))
    }

    /// Calls `visit` with the place of every slot in use, in words from the start of the file, and the hash, key and seq of
    /// its row; `None` for one that is not what was stored. Slots that are written meanwhile are passed
    /// over. Whether the table stayed where it is until the end: what was found while it grew means nothing.
    pub fn walk(&self, mut visit: impl FnMut(usize, Option<(u64, &[u8], u64)>)) -> bool {
        let words = self.map.words();
        let epoch = words[LIVE_EPOCH].load(Ordering::Acquire);
        let directory = DirectoryWord::decode(words[LIVE_DIRECTORY].load(Ordering::Acquire));
        let Some(directory) = directory.filter(|directory| self.is_within(directory.start + directory.len())) else {
            return false;
        };
        let mut copy = self.slot_copy();
        let mut before = None;
        for entry in directory.start..directory.start + directory.len() {
            let shard = Shard::decode(words[entry].load(Ordering::Acquire));
            let Some(shard) = shard.filter(|shard| self.is_within(shard.end(self.layout.slot_words))) else {
                visit(entry, None);
                continue;
            };
            // Neighbouring entries share a shard that has not split so far.
            if before.replace(shard.start) == Some(shard.start) {
                continue;
            }
            for slot in 0..shard.slots() {
                let tags = self.tags(shard, slot / GROUP_SLOTS);
                if tag_at(tags, slot % GROUP_SLOTS) == 0 {
                    continue;
                }
                let at = shard.slot_at(slot, self.layout.slot_words);
                let slot = &words[at..at + self.layout.slot_words];
                match copy.read(slot, at) {
                    Ok(()) if copy.is_known() => {}
                    Err(Unread::Torn) => continue,
                    Ok(()) | Err(Unread::Damaged) => {
                        visit(at, None);
                        continue;
                    }
                }
                copy.heap.clear();
                match self.read_heap(&mut copy, &slot[0]) {
                    Lookup::Hit => visit(at, Some((copy.hash(), copy.key(), copy.seq()))),
                    Lookup::Busy => {}
                    Lookup::Miss | Lookup::Untrusted => visit(at, None),
                }
            }
        }
        words[LIVE_EPOCH].load(Ordering::Acquire) == epoch
    }
}
