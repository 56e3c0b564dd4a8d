//! Every slot of a table, one after the other: what a check reads; and how many there are.

use std::sync::atomic::Ordering;

use super::lookup::Lookup;
use super::probe::tag_at;
use super::reader::TableReader;
use super::slot::Unread;
use super::trust::newest_superblock;
use crate::error;
use crate::format::table::{BEHIND_NOT, DirectoryWord, GROUP_SLOTS, LIVE_DIRECTORY, LIVE_EPOCH, Shard};

/// A row that a walk comes to.
#[derive(Clone, Copy, Debug)]
pub struct WalkedRow<'a> {
    /// Of its key.
    pub hash: u64,
    /// Its encoded entity key.
    pub key: &'a [u8],
    /// When asof learned it.
    pub seq: u64,
}

impl TableReader {
    /// How many keys have a row; `None` where the table lacks rows, or is just being written to.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn key_count(&self) -> error::Result<Option<u64>> {
        let block = newest_superblock(&*self.file)?;
        Ok(block.filter(|block| block.behind == BEHIND_NOT).map(|block| block.key_count))
    }

    /// Calls `visit` with the place of every slot in use, in words from the start of the file, and its row, or what is wrong
    /// with it. What is being written to is passed over; where nobody writes, and nobody was killed at it, the table is `at_rest`, and
    /// such things are wrong as well. Whether the table stayed where it is until the end: what was found while it grew means nothing.
    pub fn walk(&self, at_rest: bool, mut visit: impl FnMut(usize, Result<WalkedRow<'_>, &'static str>)) -> bool {
        let words = self.map.words();
        let epoch = words[LIVE_EPOCH].load(Ordering::Acquire);
        let directory = DirectoryWord::decode(words[LIVE_DIRECTORY].load(Ordering::Acquire));
        let Some(directory) = directory.filter(|directory| self.is_within(directory.start + directory.len())) else {
            return false;
        };
        let mut copy = self.slot_copy();
        let mut before = None;
        for number in 0..directory.len() {
            let entry = directory.start + number;
            let said = words[entry].load(Ordering::Acquire);
            let shard = Shard::decode(said);
            let Some(shard) = shard.filter(|shard| self.is_within(shard.end(self.layout.slot_words))) else {
                visit(entry, Err("a directory entry names a shard that is not in the file"));
                continue;
            };
            if words[shard.start].load(Ordering::Acquire) != said {
                visit(entry, Err("a directory entry and its shard differ"));
                continue;
            }
            // Neighbouring entries share a shard that has not split so far.
            if before.replace(shard.start) == Some(shard.start) {
                continue;
            }
            let hash = if directory.depth == 0 { 0 } else { (number as u64) << (64 - directory.depth) };
            for group in (0..shard.groups).filter(|_| at_rest) {
                if !self.is_checked(shard, hash, group, self.tags(shard, group)) {
                    visit(shard.tags_at(group), Err("the tags of a group have another check word"));
                }
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
                    Ok(()) => {
                        visit(at, Err("a slot is of a kind, or has flags, that this release does not know"));
                        continue;
                    }
                    Err(Unread::Torn) => {
                        if at_rest {
                            visit(at, Err("a slot looks as if it were being written to"));
                        }
                        continue;
                    }
                    Err(Unread::Damaged) => {
                        visit(at, Err("a slot has another checksum"));
                        continue;
                    }
                }
                copy.heap.clear();
                match self.read_heap(&mut copy, &slot[0]) {
                    Lookup::Hit => visit(at, Ok(WalkedRow { hash: copy.hash(), key: copy.key(), seq: copy.seq() })),
                    Lookup::Busy => {}
                    Lookup::Miss | Lookup::Untrusted => visit(at, Err("a slot has a heap block with another checksum")),
                }
            }
        }
        words[LIVE_EPOCH].load(Ordering::Acquire) == epoch
    }
}
