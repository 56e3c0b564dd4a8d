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

/// Hashes and encoded keys, and the hash that the rest of a table's keys are at or above.
type KeysFrom = (Vec<(u64, Vec<u8>)>, Option<u64>);

/// What a walk comes to.
enum Met<'a> {
    /// A shard, whose keys have this hash or one above it.
    Shard(u64),
    /// A slot in use, or something else that is wrong: its place, and its row.
    Slot(usize, Result<WalkedRow<'a>, &'static str>),
    /// A slot that is being written to, at this place.
    Busy(usize),
}

impl TableReader {
    /// The keys of one shard after the other, from that of a hash on, until there are `count` of them at or above it; and where the
    /// next shard begins, if there is one. `None`: something was being written to, or cannot be read.
    pub fn keys_from(&self, from: u64, count: usize) -> Option<KeysFrom> {
        let (mut keys, mut is_sound, mut rest) = (Vec::new(), true, None);
        let stayed = self.walk_from(from, false, |met| {
            match met {
                Met::Slot(_, Ok(row)) if row.hash >= from => keys.push((row.hash, row.key.to_vec())),
                Met::Slot(_, Ok(_)) => {}
                Met::Slot(_, Err(_)) | Met::Busy(_) => is_sound = false,
                Met::Shard(hash) if keys.len() >= count.max(1) => rest = Some(hash),
                Met::Shard(_) => {}
            }
            is_sound && rest.is_none()
        });
        (stayed && is_sound).then_some((keys, rest))
    }

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
        self.walk_from(0, at_rest, |met| {
            match met {
                Met::Slot(at, row) => visit(at, row),
                Met::Busy(at) if at_rest => visit(at, Err("a slot looks as if it were being written to")),
                Met::Busy(_) | Met::Shard(_) => {}
            }
            true
        })
    }

    /// [`TableReader::walk`] from the shard on that a hash is of, until `visit` wants no more.
    fn walk_from(&self, from: u64, at_rest: bool, mut visit: impl FnMut(Met<'_>) -> bool) -> bool {
        let words = self.map.words();
        let epoch = words[LIVE_EPOCH].load(Ordering::Acquire);
        let directory = DirectoryWord::decode(words[LIVE_DIRECTORY].load(Ordering::Acquire));
        let Some(directory) = directory.filter(|directory| self.is_within(directory.start + directory.len())) else {
            return false;
        };
        let mut copy = self.slot_copy();
        let mut before = None;
        let first = if directory.depth == 0 { 0 } else { usize::try_from(from >> (64 - directory.depth)).unwrap_or(0) };
        'shards: for number in first..directory.len() {
            let entry = directory.start + number;
            let said = words[entry].load(Ordering::Acquire);
            let shard = Shard::decode(said);
            let Some(shard) = shard.filter(|shard| self.is_within(shard.end(self.layout.slot_words))) else {
                if !visit(Met::Slot(entry, Err("a directory entry names a shard that is not in the file"))) {
                    break;
                }
                continue;
            };
            if words[shard.start].load(Ordering::Acquire) != said {
                if !visit(Met::Slot(entry, Err("a directory entry and its shard differ"))) {
                    break;
                }
                continue;
            }
            // Neighbouring entries share a shard that has not split so far.
            if before.replace(shard.start) == Some(shard.start) {
                continue;
            }
            let hash = if directory.depth == 0 { 0 } else { (number as u64) << (64 - directory.depth) };
            if !visit(Met::Shard(hash)) {
                break;
            }
            for group in (0..shard.groups).filter(|_| at_rest) {
                let wrong = Met::Slot(shard.tags_at(group), Err("the tags of a group have another check word"));
                if !self.is_checked(shard, hash, group, self.tags(shard, group)) && !visit(wrong) {
                    break 'shards;
                }
            }
            for slot in 0..shard.slots() {
                let tags = self.tags(shard, slot / GROUP_SLOTS);
                if tag_at(tags, slot % GROUP_SLOTS) == 0 {
                    continue;
                }
                let at = shard.slot_at(slot, self.layout.slot_words);
                let slot = &words[at..at + self.layout.slot_words];
                let met = match copy.read(slot, at) {
                    Ok(()) if copy.is_known() => {
                        copy.heap.clear();
                        match self.read_heap(&mut copy, &slot[0]) {
                            Lookup::Hit => {
                                let row = WalkedRow { hash: copy.hash(), key: copy.key(), seq: copy.seq() };
                                Met::Slot(at, Ok(row))
                            }
                            Lookup::Busy => Met::Busy(at),
                            Lookup::Miss | Lookup::Untrusted => {
                                Met::Slot(at, Err("a slot has a heap block with another checksum"))
                            }
                        }
                    }
                    Ok(()) => Met::Slot(at, Err("a slot is of a kind, or has flags, that this release does not know")),
                    Err(Unread::Torn) => Met::Busy(at),
                    Err(Unread::Damaged) => Met::Slot(at, Err("a slot has another checksum")),
                };
                if !visit(met) {
                    break 'shards;
                }
            }
        }
        words[LIVE_EPOCH].load(Ordering::Acquire) == epoch
    }
}
