//! Many rows at once: while one is stored, the memory of those that come next is on its way, tags first, then the slot that
//! the tags point to. One after the other, each would wait for two reads from memory.

use std::sync::atomic::Ordering;

use super::insert::{Inserter, Shared, is_full};
use super::open::Table;
use super::probe::{empty_for, matches};
use crate::error::Result;
use crate::format::table::{GROUP_SLOTS, Shard, prefix, tag_of};

/// Of a larger directory nothing is counted: so many keys come to its shards one at a time.
const DIRECTORY_LEN_MAX: usize = 1 << 16;
/// So many rows ahead slots are fetched; tags as many before that.
const ROWS_AHEAD: usize = 16;

impl Table {
    /// Makes room for the keys of these hashes that are new, as far as can be told at a glance: whoever stores them will hardly
    /// have to. No row changes.
    pub fn make_ready(&mut self, hashes: &[u64]) {
        // Who stores a row for which there is no room asks for it again, and learns why there is none.
        let _ = self.begin_changes().and_then(|()| self.inserter.make_ready(hashes));
    }

    /// Starts fetching what storing a row of one of the hashes after `hashes[next]` will touch. To be called for each in turn.
    #[inline]
    pub fn fetch_ahead(&self, hashes: &[u64], next: usize) {
        let shared = &self.inserter.shared;
        if next == 0 {
            hashes.iter().take(2 * ROWS_AHEAD).for_each(|&hash| shared.fetch_tags(hash));
            hashes.iter().take(ROWS_AHEAD).for_each(|&hash| shared.fetch_slot(hash));
        }
        if let Some(&hash) = hashes.get(next + 2 * ROWS_AHEAD) {
            shared.fetch_tags(hash);
        }
        if let Some(&hash) = hashes.get(next + ROWS_AHEAD) {
            shared.fetch_slot(hash);
        }
    }
}

impl Inserter {
    fn make_ready(&mut self, hashes: &[u64]) -> Result<()> {
        let directory = self.shared.directory()?;
        if directory.len() > DIRECTORY_LEN_MAX {
            return Ok(());
        }
        // The first entry of a shard stands for it; a shard that was split since has none.
        let place = |shard: Shard, hash: u64| {
            let shift = directory.depth.checked_sub(shard.depth)?;
            usize::try_from(prefix(hash, shard.depth) << shift).ok()
        };
        let mut new_keys = vec![0_u32; directory.len()];
        for (next, &hash) in hashes.iter().enumerate() {
            if let Some(&ahead) = hashes.get(next + 2 * ROWS_AHEAD) {
                self.shared.fetch_tags(ahead);
            }
            let Some((shard, group)) = self.shared.start(hash) else { continue };
            // A key that is there mostly shows its tag.
            if matches(self.shared.reader.tags(shard, group), tag_of(hash)).next().is_none()
                && let Some(count) = place(shard, hash).and_then(|at| new_keys.get_mut(at))
            {
                *count += 1;
            }
        }
        for &hash in hashes {
            // Of a shard that was made meanwhile nothing was counted.
            let shard = self.shared.shard(hash)?;
            let count = place(shard, hash).and_then(|at| new_keys.get_mut(at)).map_or(0, std::mem::take);
            let keys = self.shared.count(shard).load(Ordering::Relaxed);
            if count > 0 && is_full(shard, keys.saturating_add(u64::from(count))) {
                // As far as one shard takes them: who stores the rest makes it two.
                let most = self.shared.reader.layout.shard_groups_max * GROUP_SLOTS / 2;
                let room = most.saturating_sub(usize::try_from(keys).unwrap_or(most));
                self.make_room(hash, room.min(count as usize))?;
            }
            // By the time the row is stored, the memory is there.
            self.shared.fetch_slot(hash);
        }
        Ok(())
    }
}

impl Shared {
    /// The shard and group where the search for `hash` begins, by what the directory says just now.
    #[inline]
    fn start(&self, hash: u64) -> Option<(Shard, usize)> {
        self.reader.find_shard(hash).map(|shard| (shard, shard.home(hash)))
    }

    #[inline]
    fn fetch_tags(&self, hash: u64) {
        if let Some((shard, group)) = self.start(hash) {
            self.reader.map.prefetch(shard.tags_at(group));
            self.reader.map.prefetch(shard.check_at(group));
        }
    }

    /// Fetches the key's slot, or the one it will be given, if it lies in its first group.
    #[inline]
    fn fetch_slot(&self, hash: u64) {
        let Some((shard, group)) = self.start(hash) else { return };
        let tags = self.reader.tags(shard, group);
        if let Some(slot) = matches(tags, tag_of(hash)).next().or_else(|| empty_for(tags, hash)) {
            let layout = &self.reader.layout;
            self.reader
                .prefetch_slot(shard.slot_at(group * GROUP_SLOTS + slot, layout.slot_words), layout.ahead_words());
        }
    }
}
