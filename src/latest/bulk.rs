//! Bulk loads: the table is sized for a known number of keys, and threads fill ranges of the hash.

use std::marker::PhantomData;
use std::sync::Arc;

use super::insert::{Inserter, Upsert};
use super::layout::SlotLayout;
use super::open::Table;
use crate::error::{Error, Result};
use crate::format::row::RowRef;
use crate::format::table::{GROUP_SLOTS, Shard};

/// Keys per hundred slots of a table built for a known number.
const LOAD_PERCENT: u64 = 85;
/// Shards begin at most this full of their limit, so that they grow once before they split.
const SHARD_PERCENT: u64 = 80;
const GROUPS_MIN: u64 = 4;

/// Directory depth and groups of each shard for `keys` keys.
pub(super) fn plan(layout: &SlotLayout, keys: u64) -> (u32, usize) {
    let slots = (keys * 100).div_ceil(LOAD_PERCENT);
    let shard_slots = (layout.shard_groups_max * GROUP_SLOTS) as u64 * SHARD_PERCENT / 100;
    let depth = if slots <= shard_slots { 0 } else { slots.div_ceil(shard_slots).next_power_of_two().ilog2() };
    let groups = (slots >> depth).div_ceil(GROUP_SLOTS as u64).max(GROUPS_MIN);
    (depth, usize::try_from(groups).unwrap_or(usize::MAX))
}

/// A range of the hash, filled by one thread.
#[derive(Debug)]
pub struct BulkPart<'a> {
    inserter: Inserter,
    first: u64,
    last: u64,
    table: PhantomData<&'a mut Table>,
}

impl BulkPart<'_> {
    /// The hashes that belong to this part, both ends included.
    pub fn hashes(&self) -> std::ops::RangeInclusive<u64> {
        self.first..=self.last
    }

    /// As [`Table::upsert`], for a hash of this part. Fastest in the order of hashes.
    ///
    /// # Errors
    /// As for [`Table::upsert`]; the hash is not of this part.
    pub fn upsert(&mut self, hash: u64, row: &RowRef<'_>, seq: u64) -> Result<Upsert> {
        if !self.hashes().contains(&hash) {
            return Err(Error::invalid("the key's hash belongs to another part of the load"));
        }
        self.inserter.upsert(hash, row, seq)
    }
}

impl Table {
    /// At most `count` parts (a power of two) that threads may fill at the same time. The table should have been
    /// created for the number of keys: a part cannot split shards.
    ///
    /// # Errors
    /// The directory is damaged; the disk fails.
    pub fn parts(&mut self, count: usize) -> Result<Vec<BulkPart<'_>>> {
        self.begin_changes()?;
        let shared = &self.inserter.shared;
        let directory = shared.directory()?;
        let mut bits = count.max(1).ilog2().min(directory.depth);
        // A shard must not lie in two parts.
        for i in 0..directory.len() {
            let entry = shared.words()[directory.start + i].load(std::sync::atomic::Ordering::Relaxed);
            bits = bits.min(Shard::decode(entry).map_or(0, |shard| shard.depth));
        }
        let part = |i: u64| {
            let (first, last) =
                if bits == 0 { (0, u64::MAX) } else { (i << (64 - bits), (i << (64 - bits)) | (u64::MAX >> bits)) };
            let may_be_torn = self.inserter.may_be_torn;
            let inserter = Inserter { may_be_torn, ..Inserter::new(Arc::clone(shared), false) };
            BulkPart { inserter, first, last, table: PhantomData }
        };
        Ok((0..1 << bits).map(part).collect())
    }
}
