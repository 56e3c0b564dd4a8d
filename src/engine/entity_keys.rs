//! The entities of a view one after the other, in the order of their key hashes: out of its latest table, or out of log and runs where
//! that cannot be asked.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::entities::EntityView;
use super::picture::{Picture, ViewPicture};
use super::reads::Reads;
use super::truncates;
use crate::error::Result;
use crate::history::for_each_latest;
use crate::key::key_hash;
use crate::registry::records::RunRecord;

/// So often a table is asked again that was being written to.
const ATTEMPTS_MAX: usize = 4;
/// So many keys, about, are looked for at a time out of log and runs.
const KEYS_OF_PART: u64 = 1 << 16;

/// Some entities, and where the others begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityKeys {
    /// Hashes and encoded keys, in this order. An entity may be among them that was deleted, or is of a later time.
    pub keys: Vec<(u64, Vec<u8>)>,
    /// The hash that the others are at or above; `None`: there are none.
    pub next: Option<u64>,
}

impl EntityKeys {
    /// The first of `keys`, about `count`, where `rest` are at or above a hash that is not among them.
    pub(super) fn first(mut keys: Vec<(u64, Vec<u8>)>, rest: Option<u64>, count: usize, round: u32) -> EntityKeys {
        keys.sort_unstable();
        keys.dedup();
        let Some((last, _)) = keys.get(count.max(1) - 1) else { return EntityKeys { keys, next: rest } };
        // Whoever goes on from a rounded hash finds none of these again, and misses none.
        let last = *last >> round;
        let end = keys.partition_point(|(hash, _)| hash >> round <= last);
        let next = if end < keys.len() { Some((last + 1) << round) } else { rest };
        keys.truncate(end);
        EntityKeys { keys, next }
    }
}

impl Reads {
    /// About `count` entities of a view from a key hash on, those that were deleted too, but by a truncate of the view. The last `round` bits of the hash to go on
    /// from are zero.
    ///
    /// # Errors
    /// A run is damaged; as [`Reads::sight`].
    pub fn entity_keys(&self, view: &EntityView, from: u64, count: usize, round: u32) -> Result<EntityKeys> {
        self.with_sight(|sight| entity_keys(&sight.picture, view.id(), self.hash_seed(), (from, count, round)))
    }

    /// Entities of a view from a key hash on, all that there ever were: as many as it takes, at least `count`.
    ///
    /// # Errors
    /// As [`Reads::entity_keys`].
    pub fn entity_keys_ever(&self, view: &EntityView, from: u64, count: usize) -> Result<EntityKeys> {
        self.with_sight(|sight| {
            let picture = sight.picture.view(view.id());
            if truncates::greatest(picture, &sight.picture.tail).is_none() {
                return entity_keys(&sight.picture, view.id(), self.hash_seed(), (from, count, 0));
            }
            keys_ever(&sight.picture, picture, self.hash_seed(), from, count)
        })
    }
}

/// As [`Reads::entity_keys`].
pub(super) fn entity_keys(
    picture: &Picture,
    view: u32,
    hash_seed: u64,
    (from, count, round): (u64, usize, u32),
) -> Result<EntityKeys> {
    let view = picture.view(view);
    if let Some(table) = &view.table {
        for _ in 0..ATTEMPTS_MAX {
            if !table.is_current() {
                break;
            }
            if let Some((keys, rest)) = table.keys_from(from, count) {
                return Ok(EntityKeys::first(keys, rest, count, round));
            }
        }
    }
    let keys = all_keys(picture, view, hash_seed, from..=u64::MAX)?;
    Ok(EntityKeys::first(keys.into_iter().collect(), None, count, round))
}

/// What log and runs have, in parts that are large, for the whole tail is walked for each.
fn keys_ever(picture: &Picture, view: &ViewPicture, hash_seed: u64, from: u64, count: usize) -> Result<EntityKeys> {
    let of_runs: u64 = view.runs.iter().map(|run| run.record.entities).sum();
    let in_tail = |rows: &crate::tail::TailView| rows.row_count() as u64;
    let of_tail: u64 = picture.tail.iter().map(|tail| tail.read().get(&view.record.id).map_or(0, in_tail)).sum();
    let part = (count as u64).max(KEYS_OF_PART);
    let width = u64::MAX / ((of_runs + of_tail) / part + 1);
    let (mut keys, mut next) = (Vec::new(), Some(from));
    while let Some(first) = next.filter(|_| keys.len() < count.max(1)) {
        let last = first.saturating_add(width);
        keys.extend(all_keys(picture, view, hash_seed, first..=last)?);
        next = last.checked_add(1);
    }
    Ok(EntityKeys { keys, next })
}

/// Every key of these hashes, out of log and runs.
fn all_keys(
    picture: &Picture,
    view: &ViewPicture,
    hash_seed: u64,
    hashes: RangeInclusive<u64>,
) -> Result<BTreeSet<(u64, Vec<u8>)>> {
    let mut keys = BTreeSet::new();
    for segment in &picture.tail {
        let views = segment.read();
        for (_, row) in views.get(&view.record.id).into_iter().flat_map(|rows| rows.rows()) {
            let hash = key_hash(hash_seed, row.key);
            if hashes.contains(&hash) {
                keys.insert((hash, row.key.to_vec()));
            }
        }
    }
    let has_some = |run: &RunRecord| run.hash_hi >= *hashes.start() && run.hash_lo <= *hashes.end();
    for run in view.runs.iter().filter(|run| has_some(&run.record)) {
        for_each_latest(run.open()?, hashes.clone(), |hash, key, _| {
            keys.insert((hash, key.to_vec()));
            Ok(())
        })?;
    }
    Ok(keys)
}
