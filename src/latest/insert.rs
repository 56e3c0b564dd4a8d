//! Upserts: find the key's slot or the first one not in use, and store the row if it is the greater.
//!
//! **Invariant:** a slot is stored before its tag, a heap block before its slot, a shard before its
//! directory entry. A writer killed anywhere leaves what readers either see whole or do not trust.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::heap::Heap;
use super::layout::FLAG_LOST;
use super::lookup::{Lookup, Need};
use super::probe::{Tags, empty_for, matches, tag_at, with_tag};
use super::reader::TableReader;
use super::seqlock;
use super::slot::{HeapWord, SlotCopy};
use super::space::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::format::row::RowRef;
use crate::format::table::{
    DirectoryWord, GROUP_SLOTS, LIVE_DIRECTORY, LIVE_EPOCH, LIVE_USED_END, Shard, check_word, prefix, tag_of, unsealed,
};

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upsert {
    /// The key is new to the table.
    Inserted,
    /// The row took an older one's place.
    Replaced,
    /// The table holds this row or a greater one, or a truncate deleted it; nothing changed.
    Older,
}

/// The writer's memory beside the file; parts of a bulk load share it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) reader: TableReader,
    pub(super) path: PathBuf,
    pub(super) storage: Mutex<Storage>,
    pub(super) key_count: AtomicU64,
    /// How often damage was met since the table was opened.
    pub(super) damage_count: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Storage {
    pub(super) space: Space,
    pub(super) heap: Heap,
}

impl Shared {
    pub(super) fn words(&self) -> &[AtomicU64] {
        self.reader.map.words()
    }

    pub(super) fn storage(&self) -> MutexGuard<'_, Storage> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Damage that nobody can do without, which counts as met.
    pub(super) fn damaged(&self, what: impl Into<String>) -> Error {
        self.damage_count.fetch_add(1, Ordering::Relaxed);
        Error::damaged(&self.path, what).remedy("delete the file; the table is rebuilt from history")
    }

    pub(super) fn directory(&self) -> Result<DirectoryWord> {
        DirectoryWord::decode(self.words()[LIVE_DIRECTORY].load(Ordering::Acquire))
            .filter(|directory| self.reader.is_within(directory.start + directory.len()))
            .ok_or_else(|| self.damaged("the directory's place is damaged"))
    }

    pub(super) fn shard(&self, hash: u64) -> Result<Shard> {
        let directory = self.directory()?;
        let entry_at = directory.entry_at(hash);
        // Beyond what was handed out lies no shard: giving such a one back would hand its space out twice.
        let used_end = unsealed(self.words()[LIVE_USED_END].load(Ordering::Acquire), LIVE_USED_END).unwrap_or(0);
        let entry = self.words()[entry_at].load(Ordering::Acquire);
        Shard::decode(entry)
            .filter(|shard| shard.depth <= directory.depth)
            .filter(|shard| self.reader.is_within(shard.end(self.reader.layout.slot_words)))
            .filter(|shard| shard.end(self.reader.layout.slot_words) as u64 <= used_end)
            // The shard says the same of itself: another length would lead keys past their slots.
            .filter(|shard| self.words()[shard.start].load(Ordering::Relaxed) == entry)
            .ok_or_else(|| self.damaged(format!("directory entry at word {entry_at} is damaged")))
    }

    /// Tells readers that something moved. The space it left may be used again afterwards.
    pub(super) fn raise_epoch(&self) {
        self.words()[LIVE_EPOCH].fetch_add(1, Ordering::Release);
        fence(Ordering::Release);
    }

    pub(super) fn set_tags(&self, shard: Shard, hash: u64, group: usize, tags: Tags) {
        let words = self.words();
        let at = shard.tags_at(group);
        words[at].store(tags[0], Ordering::Release);
        words[at + 1].store(tags[1], Ordering::Release);
        words[shard.check_at(group)].store(check_word(shard.seed(hash), group, tags), Ordering::Release);
    }

    /// The shard's count of slots in use.
    pub(super) fn count(&self, shard: Shard) -> &AtomicU64 {
        &self.words()[shard.start + 1]
    }
}

/// The one who stores rows; in a bulk load, one for each part.
#[derive(Debug)]
pub(super) struct Inserter {
    pub(super) shared: Arc<Shared>,
    pub(super) new: SlotCopy,
    pub(super) old: SlotCopy,
    /// Whether shards may split, which moves the directory under other parts.
    pub(super) may_split: bool,
    /// Whether a slot that is torn is one that a killed writer was inside of, whose row the log has and gives again. Where none was
    /// killed, or all was given again, it is damage.
    pub(super) may_be_torn: bool,
}

/// Whether a shard is to grow before it holds so many keys.
pub(super) fn is_full(shard: Shard, keys: u64) -> bool {
    // A damaged count says what it likes.
    keys.saturating_mul(10) > shard.slots() as u64 * 9
}

enum Place {
    /// The key's slot, its row in `old`.
    Sound(usize),
    /// The key's slot, left by a killed writer: older than everything, for the log holds what it held.
    Torn(usize),
    /// The key's slot, damaged.
    Damaged(usize),
    /// No slot of the key; the first one not in use.
    Empty { group: usize, slot: usize, tags: Tags, is_suspect: bool },
    /// No slot of the key, none not in use.
    Full,
}

impl Inserter {
    pub(super) fn new(shared: Arc<Shared>, may_split: bool) -> Inserter {
        let (new, old) = (shared.reader.slot_copy(), shared.reader.slot_copy());
        Inserter { shared, new, old, may_split, may_be_torn: false }
    }

    /// Stores `row` unless the table holds a greater one of its key, or this one, or a truncate deleted it.
    pub(super) fn upsert(&mut self, hash: u64, row: &RowRef<'_>, seq: u64) -> Result<Upsert> {
        if self.shared.reader.floor.is_some_and(|floor| floor.is_after(row, seq)) {
            return Ok(Upsert::Older);
        }
        self.new.fill(hash, row, seq)?;
        loop {
            let shard = self.shared.shard(hash)?;
            match self.find(shard, hash, row.key)? {
                Place::Sound(at) => {
                    if self.new.order() <= self.old.order() {
                        return Ok(Upsert::Older);
                    }
                    if self.old.flags() & FLAG_LOST != 0 {
                        self.new.set_flag(FLAG_LOST);
                    }
                    let freed = self.old.heap_word();
                    self.store(at)?;
                    if let Some(block) = freed {
                        let Storage { space, heap } = &mut *self.shared.storage();
                        heap.free(block.start, block.words + 1, space);
                    }
                    return Ok(Upsert::Replaced);
                }
                Place::Torn(at) => {
                    // Both rows that may be mixed in it had the flag, or neither.
                    if self.old.flags() & FLAG_LOST != 0 {
                        self.new.set_flag(FLAG_LOST);
                    }
                    self.store(at)?;
                    return Ok(Upsert::Replaced);
                }
                Place::Damaged(at) => {
                    self.new.set_flag(FLAG_LOST);
                    self.store(at)?;
                    return Ok(Upsert::Replaced);
                }
                Place::Empty { group, slot, tags, is_suspect } => {
                    let count = self.shared.count(shard).load(Ordering::Relaxed);
                    let slots = shard.slots() as u64;
                    if is_full(shard, count.saturating_add(1)) {
                        match self.make_room(hash, 0) {
                            Ok(()) => continue,
                            // The last slots of a shard still serve when the disk has no more room.
                            Err(error) if error.kind() == ErrorKind::NoSpace && count < slots - 1 => {}
                            Err(error) => return Err(error),
                        }
                    }
                    if is_suspect {
                        self.new.set_flag(FLAG_LOST);
                    }
                    self.store(shard.slot_at(group * GROUP_SLOTS + slot, self.shared.reader.layout.slot_words))?;
                    self.shared.set_tags(shard, hash, group, with_tag(tags, slot, tag_of(hash)));
                    self.shared.count(shard).store(count.saturating_add(1), Ordering::Relaxed);
                    self.count_key();
                    return Ok(Upsert::Inserted);
                }
                Place::Full => self.make_room(hash, 0)?,
            }
        }
    }

    fn count_key(&self) {
        let keys = &self.shared.key_count;
        if self.may_split {
            // Nobody else counts. An addition in one step would wait until the slot is stored.
            keys.store(keys.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
        } else {
            keys.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn find(&mut self, shard: Shard, hash: u64, key: &[u8]) -> Result<Place> {
        let mut group = shard.home(hash);
        let mut is_suspect = false;
        for _ in 0..shard.groups {
            let reader = &self.shared.reader;
            let mut tags = reader.tags(shard, group);
            if !reader.is_checked(shard, hash, group, tags) {
                tags = self.repair_group(shard, hash, group)?;
            }
            for slot in matches(tags, tag_of(hash)) {
                let reader = &self.shared.reader;
                let at = shard.slot_at(group * GROUP_SLOTS + slot, reader.layout.slot_words);
                match reader.read_slot(at, hash, key, Need::Slot, &mut self.old) {
                    Lookup::Hit => return Ok(Place::Sound(at)),
                    Lookup::Miss => {}
                    Lookup::Busy if self.may_be_torn => {
                        self.copy_raw(at);
                        if self.old.may_be_key(hash, key) {
                            return Ok(Place::Torn(at));
                        }
                    }
                    Lookup::Busy | Lookup::Untrusted => {
                        self.shared.damage_count.fetch_add(1, Ordering::Relaxed);
                        self.copy_raw(at);
                        if self.old.may_be_key(hash, key) {
                            return Ok(Place::Damaged(at));
                        }
                        is_suspect = true;
                    }
                }
            }
            if let Some(slot) = empty_for(tags, hash) {
                return Ok(Place::Empty { group, slot, tags, is_suspect });
            }
            group = (group + 1) % shard.groups;
        }
        Ok(Place::Full)
    }

    /// Copies a slot as it stands; gives its header.
    pub(super) fn copy_raw(&mut self, at: usize) -> u64 {
        let words = &self.shared.reader.map.words()[at..at + self.old.words.len()];
        for (word, out) in words.iter().zip(&mut self.old.words) {
            *out = word.load(Ordering::Relaxed).to_le_bytes();
        }
        words[0].load(Ordering::Relaxed)
    }

    /// Stores `new` at `at`, its heap block first.
    fn store(&mut self, at: usize) -> Result<()> {
        let words = self.shared.reader.map.words();
        if !self.new.heap.is_empty() {
            let len = self.new.heap.len();
            let start = {
                let Storage { space, heap } = &mut *self.shared.storage();
                heap.allocate(len + 1, space)?
            };
            words[start].store(self.new.heap_checksum(start), Ordering::Relaxed);
            for (word, value) in words[start + 1..].iter().zip(&self.new.heap) {
                word.store(u64::from_le_bytes(*value), Ordering::Relaxed);
            }
            self.new.set_heap_word(HeapWord { start, words: len });
        }
        seqlock::write(&words[at..at + self.new.words.len()], &self.new.words, self.new.checksum(at));
        Ok(())
    }

    /// Restores the tags of a group from its slots: a writer was killed between tag and check word,
    /// or one of them is damaged.
    pub(super) fn repair_group(&mut self, shard: Shard, hash: u64, group: usize) -> Result<Tags> {
        self.shared.damage_count.fetch_add(1, Ordering::Relaxed);
        let found = self.shared.reader.tags(shard, group);
        let mut tags = [0; 2];
        for slot in 0..GROUP_SLOTS {
            let at = shard.slot_at(group * GROUP_SLOTS + slot, self.shared.reader.layout.slot_words);
            let header = self.copy_raw(at);
            let is_unused = header == 0 && self.old.words.iter().all(|word| *word == [0; 8]);
            let tag = if is_unused {
                0
            } else if seqlock::is_torn(header) {
                // An update keeps its tag, an insert has none yet.
                tag_at(found, slot)
            } else if self.old.is_sound(at, header) {
                let own = self.old.hash();
                if prefix(own, shard.depth) != prefix(hash, shard.depth) {
                    return Err(self.shared.damaged(format!("the slot at word {at} is of another shard")));
                }
                tag_of(own)
            } else {
                match tag_at(found, slot) {
                    0 => return Err(self.shared.damaged(format!("the slot at word {at} and its tag are damaged"))),
                    tag => tag,
                }
            };
            tags = with_tag(tags, slot, tag);
        }
        self.shared.set_tags(shard, hash, group, tags);
        Ok(tags)
    }
}
