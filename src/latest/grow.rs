//! Growth: a full shard is copied to a larger place, or in two halves once it is as large as one
//! write may copy; then the directory's entries are switched, and the space it left is free.

use std::sync::atomic::Ordering;

use super::insert::{Inserter, Shared, Storage};
use super::probe::{Tags, empty_for, tag_at, with_tag};
use super::seqlock;
use crate::error::{Error, Result};
use crate::format::table::{
    DIRECTORY_DEPTH_MAX, DirectoryWord, GROUP_SLOTS, LIVE_DIRECTORY, SHARD_GROUPS_MAX, Shard, mix, prefix,
};

/// Keys per hundred slots after growth: for each shard another number from here on, about sixty on average. Hashes fill all
/// shards alike, so that with one number for all of them they would all grow at the same time, again and again.
const LOAD_AFTER_PERCENT_MIN: usize = 50;
const LOAD_AFTER_PERCENTS: u64 = 21;
/// Version of a slot that was copied rather than written.
const VERSION_FIRST: u64 = 2;

/// A slot in use, to be copied.
struct Moving {
    slot: usize,
    hash: u64,
    tag: u8,
    is_torn: bool,
}

/// Groups that hold `keys` keys with room to spare.
fn groups_for(keys: usize, load_percent: usize) -> usize {
    (keys * 100).div_ceil(load_percent * GROUP_SLOTS).max(1)
}

/// Keys per hundred slots that a shard for hashes of this prefix begins with, which had `groups_before`.
fn load_after_percent(prefix: u64, depth: u32, groups_before: usize) -> usize {
    let some = mix(prefix << 8 | u64::from(depth), groups_before as u64) >> 32;
    LOAD_AFTER_PERCENT_MIN + usize::try_from(some % LOAD_AFTER_PERCENTS).unwrap_or(0)
}

impl Shared {
    /// Writes header, tags and check words of a new shard whose other words are zero.
    pub(super) fn begin_shard(&self, shard: Shard, hash: u64, tags: impl Fn(usize) -> Tags, count: usize) {
        let words = self.words();
        words[shard.start].store(shard.encode(), Ordering::Relaxed);
        self.count(shard).store(count as u64, Ordering::Relaxed);
        for group in 0..shard.groups {
            self.set_tags(shard, hash, group, tags(group));
        }
    }

    /// Leads nobody to the slots of a shard that was left: they are sound, and hold rows of before.
    fn clear_tags(&self, shard: Shard) {
        for word in &self.words()[shard.tags_at(0)..shard.tags_at(shard.groups)] {
            word.store(0, Ordering::Relaxed);
        }
    }
}

impl Inserter {
    /// Gives the shard of `hash` room for more keys: for `more` and some, or just for some.
    ///
    /// # Errors
    /// The disk is full, and nothing changed; or a slot is damaged and cannot be placed.
    pub(super) fn make_room(&mut self, hash: u64, more: usize) -> Result<()> {
        let shard = self.shared.shard(hash)?;
        let moving = self.slots_in_use(shard)?;
        let load = load_after_percent(prefix(hash, shard.depth), shard.depth, shard.groups);
        let one = groups_for(moving.len() + more, load).max(shard.groups + 1);
        let splits =
            self.may_split && one > self.shared.reader.layout.shard_groups_max && shard.depth < DIRECTORY_DEPTH_MAX;
        if !splits && one > SHARD_GROUPS_MAX {
            return Err(Error::refused("a shard of the latest table cannot grow further")
                .at(self.shared.path.display())
                .remedy("build the table with the number of keys known"));
        }
        let mut directory = self.shared.directory()?;
        if splits && shard.depth == directory.depth {
            directory = self.double_directory(directory)?;
        }
        let depth = if splits { shard.depth + 1 } else { shard.depth };
        let halves: &[u64] = if splits { &[0, 1] } else { &[0] };
        let first_prefix = prefix(hash, shard.depth) << (depth - shard.depth);

        // All space first: a full disk must leave everything as it was.
        let mut targets: Vec<Shard> = Vec::new();
        for half in halves {
            let keys = moving.iter().filter(|m| prefix(m.hash, depth) == first_prefix + half).count();
            let load = load_after_percent(first_prefix + half, depth, shard.groups);
            let groups = if splits { groups_for(keys + more / 2, load) } else { one };
            let target = Shard { start: 0, groups, depth };
            let words = target.end(self.shared.reader.layout.slot_words);
            let allocated = self.shared.storage().space.allocate(words);
            match allocated {
                Ok(start) => targets.push(Shard { start, ..target }),
                Err(error) => {
                    self.give_back(&targets);
                    return Err(error);
                }
            }
        }
        for (half, target) in halves.iter().zip(&targets) {
            self.fill_shard(shard, *target, first_prefix + half, &moving);
        }

        let words = self.shared.words();
        let entries = 1_usize << (directory.depth - shard.depth);
        let first = directory.start + ((prefix(hash, shard.depth) as usize) << (directory.depth - shard.depth));
        for i in 0..entries {
            // A writer killed here before may have left entries that name another shard already.
            if words[first + i].load(Ordering::Relaxed) == shard.encode() {
                words[first + i].store(targets[i * targets.len() / entries].encode(), Ordering::Release);
            }
        }
        self.shared.raise_epoch();
        self.shared.clear_tags(shard);
        self.give_back(&[shard]);
        Ok(())
    }

    fn give_back(&self, shards: &[Shard]) {
        let slot_words = self.shared.reader.layout.slot_words;
        let mut storage = self.shared.storage();
        for shard in shards {
            storage.space.free(shard.start, shard.end(slot_words) - shard.start);
        }
    }

    fn slots_in_use(&mut self, shard: Shard) -> Result<Vec<Moving>> {
        let slot_words = self.shared.reader.layout.slot_words;
        let mut moving = Vec::with_capacity(shard.slots());
        for slot in 0..shard.slots() {
            let tag = tag_at(self.shared.reader.tags(shard, slot / GROUP_SLOTS), slot % GROUP_SLOTS);
            if tag == 0 {
                continue;
            }
            let at = shard.slot_at(slot, slot_words);
            let header = self.copy_raw(at);
            let is_torn = seqlock::is_torn(header);
            // An update keeps the key, so that a torn slot's may be believed; a damaged one's may not.
            if !is_torn && !self.old.is_sound(at, header) {
                return Err(self.shared.damaged(format!("the slot at word {at} is damaged")));
            }
            moving.push(Moving { slot, hash: self.old.hash(), tag, is_torn });
        }
        Ok(moving)
    }

    fn fill_shard(&mut self, from: Shard, to: Shard, to_prefix: u64, moving: &[Moving]) {
        let slot_words = self.shared.reader.layout.slot_words;
        let mut tags: Vec<Tags> = vec![[0; 2]; to.groups];
        let mut count = 0;
        for key in moving.iter().filter(|key| prefix(key.hash, to.depth) == to_prefix) {
            let mut group = to.home(key.hash);
            let slot = loop {
                match empty_for(tags[group], key.hash) {
                    Some(slot) => break slot,
                    None => group = (group + 1) % to.groups,
                }
            };
            tags[group] = with_tag(tags[group], slot, key.tag);
            count += 1;
            let at = to.slot_at(group * GROUP_SLOTS + slot, slot_words);
            self.copy_raw(from.slot_at(key.slot, slot_words));
            let header = if key.is_torn { 1 } else { self.old.checksum(at) << 32 | VERSION_FIRST };
            let words = &self.shared.words()[at..at + slot_words];
            words[0].store(header, Ordering::Relaxed);
            for (word, value) in words[1..].iter().zip(&self.old.words[1..]) {
                word.store(u64::from_le_bytes(*value), Ordering::Relaxed);
            }
        }
        let hash = if to.depth == 0 { 0 } else { to_prefix << (64 - to.depth) };
        self.shared.begin_shard(to, hash, |group| tags[group], count);
    }

    fn double_directory(&mut self, old: DirectoryWord) -> Result<DirectoryWord> {
        let start = self.shared.storage().space.allocate(old.len() * 2)?;
        let new = DirectoryWord { start, depth: old.depth + 1 };
        let words = self.shared.words();
        for i in 0..old.len() {
            let entry = words[old.start + i].load(Ordering::Relaxed);
            words[new.start + 2 * i].store(entry, Ordering::Relaxed);
            words[new.start + 2 * i + 1].store(entry, Ordering::Relaxed);
        }
        words[LIVE_DIRECTORY].store(new.encode(), Ordering::Release);
        self.shared.raise_epoch();
        let Storage { space, .. } = &mut *self.shared.storage();
        space.free(old.start, old.len());
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_their_keys_at_the_load() {
        assert_eq!(groups_for(0, 60), 1);
        assert_eq!(groups_for(96, 60), 10);
        assert_eq!(groups_for(97, 60), 11);
    }
}
