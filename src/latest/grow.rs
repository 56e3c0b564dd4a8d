//! Growth: a full shard is copied to a larger place, or in two halves once it is as large as one
//! write may copy; then the directory's entries are switched, and the space it left is free.

use std::sync::atomic::Ordering;

use super::insert::{Inserter, Shared, Storage};
use super::probe::{Tags, empty_for, tag_at, with_tag};
use super::slot::Unread;
use crate::error::{Error, Result};
use crate::format::table::{
    DIRECTORY_DEPTH_MAX, DirectoryWord, GROUP_SLOTS, LIVE_DIRECTORY, SHARD_GROUPS_MAX, Shard, mix, prefix, tag_of,
};

/// Keys per hundred slots after growth: for each shard another number from here on, seventy-two on average. Hashes fill all
/// shards alike, so that with one number for all of them they would all grow at the same time, again and again.
const LOAD_AFTER_PERCENT_MIN: usize = 65;
const LOAD_AFTER_PERCENTS: u64 = 15;
/// Version of a slot that was copied rather than written.
const VERSION_FIRST: u64 = 2;

/// A shard that rows are copied into, which no directory entry names yet.
struct Target {
    shard: Shard,
    prefix: u64,
    tags: Vec<Tags>,
    count: usize,
}

impl Target {
    /// The word where the slot begins that a key is given; `None` where all are taken.
    fn place(&mut self, hash: u64, tag: u8, slot_words: usize) -> Option<usize> {
        let mut group = self.shard.home(hash);
        for _ in 0..self.shard.groups {
            if let Some(slot) = empty_for(self.tags[group], hash) {
                self.tags[group] = with_tag(self.tags[group], slot, tag);
                self.count += 1;
                return Some(self.shard.slot_at(group * GROUP_SLOTS + slot, slot_words));
            }
            group = (group + 1) % self.shard.groups;
        }
        None
    }
}

/// Slots of a group that are in use, and their tags.
fn in_use(tags: Tags) -> impl Iterator<Item = (usize, u8)> {
    (0..GROUP_SLOTS).map(move |slot| (slot, tag_at(tags, slot))).filter(|&(_, tag)| tag != 0)
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
    /// The disk is full, or a slot is damaged and cannot be placed: every row is where it was.
    pub(super) fn make_room(&mut self, hash: u64, more: usize) -> Result<()> {
        let shard = self.shared.shard(hash)?;
        self.repair_tags(shard, hash)?;
        let in_use = self.slots_in_use(shard);
        let load = load_after_percent(prefix(hash, shard.depth), shard.depth, shard.groups);
        let one = groups_for(in_use + more, load).max(shard.groups + 1);
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
        let first_prefix = prefix(hash, shard.depth) << (depth - shard.depth);
        let groups = if splits {
            let second = self.slots_of_prefix(shard, first_prefix + 1, depth);
            let half =
                |own: u64, keys: usize| groups_for(keys + more / 2, load_after_percent(own, depth, shard.groups));
            vec![half(first_prefix, in_use.saturating_sub(second)), half(first_prefix + 1, second)]
        } else {
            vec![one]
        };

        // All space first, and every row as it should be: else everything stays as it was.
        let mut targets: Vec<Target> = Vec::new();
        let filled = (first_prefix..).zip(groups).try_for_each(|(prefix, groups)| {
            let words = Shard { start: 0, groups, depth }.end(self.shared.reader.layout.slot_words);
            let start = self.shared.storage().space.allocate(words)?;
            let shard = Shard { start, groups, depth };
            targets.push(Target { shard, prefix, tags: vec![[0; 2]; groups], count: 0 });
            Ok(())
        });
        if let Err(error) = filled.and_then(|()| self.copy_slots(shard, &mut targets)) {
            targets.iter().for_each(|target| self.give_back(target.shard));
            return Err(error);
        }
        for Target { shard, prefix, tags, count } in &targets {
            let hash = if depth == 0 { 0 } else { prefix << (64 - depth) };
            self.shared.begin_shard(*shard, hash, |group| tags[group], *count);
        }

        let words = self.shared.words();
        let entries = 1_usize << (directory.depth - shard.depth);
        let first = directory.start + ((prefix(hash, shard.depth) as usize) << (directory.depth - shard.depth));
        let mut is_named = vec![false; targets.len()];
        for i in 0..entries {
            // A writer killed here before may have left entries that name another shard already.
            if words[first + i].load(Ordering::Relaxed) == shard.encode() {
                let target = i * targets.len() / entries;
                words[first + i].store(targets[target].shard.encode(), Ordering::Release);
                is_named[target] = true;
            }
        }
        self.shared.raise_epoch();
        self.shared.clear_tags(shard);
        self.give_back(shard);
        let unnamed = targets.iter().zip(is_named).filter(|(_, is_named)| !is_named);
        unnamed.for_each(|(target, _)| self.give_back(target.shard));
        Ok(())
    }

    /// What tags say is believed by who moves their slots, and by nobody doubted afterwards.
    fn repair_tags(&mut self, shard: Shard, hash: u64) -> Result<()> {
        for group in 0..shard.groups {
            let tags = self.shared.reader.tags(shard, group);
            if !self.shared.reader.is_checked(shard, hash, group, tags) {
                self.repair_group(shard, hash, group)?;
            }
        }
        Ok(())
    }

    fn give_back(&self, shard: Shard) {
        self.shared.storage().space.free(shard.start, shard.end(self.shared.reader.layout.slot_words) - shard.start);
    }

    fn slots_in_use(&self, shard: Shard) -> usize {
        (0..shard.groups).map(|group| in_use(self.shared.reader.tags(shard, group)).count()).sum()
    }

    /// How many rows of a shard are of this prefix. A damaged one is counted somewhere.
    fn slots_of_prefix(&mut self, shard: Shard, of: u64, depth: u32) -> usize {
        let slot_words = self.shared.reader.layout.slot_words;
        let mut count = 0;
        for group in 0..shard.groups {
            for (slot, _) in in_use(self.shared.reader.tags(shard, group)) {
                self.copy_raw(shard.slot_at(group * GROUP_SLOTS + slot, slot_words));
                count += usize::from(prefix(self.old.hash(), depth) == of);
            }
        }
        count
    }

    /// Copies every row of a shard to the target of its prefix.
    ///
    /// # Errors
    /// A slot is damaged and cannot be placed.
    fn copy_slots(&mut self, from: Shard, targets: &mut [Target]) -> Result<()> {
        let slot_words = self.shared.reader.layout.slot_words;
        for group in 0..from.groups {
            for (slot, tag) in in_use(self.shared.reader.tags(from, group)) {
                let at = from.slot_at(group * GROUP_SLOTS + slot, slot_words);
                let (hash, is_torn) = self.copy_to_move(at, tag)?;
                let own = targets.iter_mut().find(|target| prefix(hash, target.shard.depth) == target.prefix);
                let own =
                    own.ok_or_else(|| self.shared.damaged(format!("the slot at word {at} is of another shard")))?;
                let to = own.place(hash, tag, slot_words).expect("a shard is made for more keys than it is given");
                let header = if is_torn { 1 } else { self.old.checksum(to) << 32 | VERSION_FIRST };
                let words = &self.shared.words()[to..to + slot_words];
                words[0].store(header, Ordering::Relaxed);
                for (word, value) in words[1..].iter().zip(&self.old.words[1..]) {
                    word.store(u64::from_le_bytes(*value), Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    /// Copies the slot at `at`, which shows this tag, to `old`; its key's hash, and whether a killed writer left it torn.
    ///
    /// # Errors
    /// It is damaged and cannot be placed.
    #[inline]
    fn copy_to_move(&mut self, at: usize, tag: u8) -> Result<(u64, bool)> {
        let words = &self.shared.reader.map.words()[at..at + self.old.words.len()];
        let damaged = |shared: &Shared| shared.damaged(format!("the slot at word {at} is damaged"));
        let is_torn = match self.old.read(words, at) {
            Ok(()) if self.old.is_known() => false,
            // An update keeps the key, so that a torn slot's may be believed; a damaged one's may not.
            Err(Unread::Torn) if self.may_be_torn => {
                self.copy_raw(at);
                true
            }
            _ => return Err(damaged(&self.shared)),
        };
        let hash = self.old.hash();
        if tag_of(hash) == tag { Ok((hash, is_torn)) } else { Err(damaged(&self.shared)) }
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
