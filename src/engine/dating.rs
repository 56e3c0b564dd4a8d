//! The created timestamp of a delete whose caller gives none: one that makes it win at its event time.

use std::collections::HashMap;

use arrow_array::{Array, Int64Array};

use super::as_of::find_row;
use super::core::{Core, Engine};
use super::picture::{Picture, ViewPicture};
use super::reads::Sight;
use crate::error::Result;
use crate::format::accept::Accepted;
use crate::format::columns::EncodedKeys;
use crate::join::pick::AsOf;
use crate::key::key_hash;

impl Engine {
    /// The time that a commit made now would get.
    pub(super) fn ingested_at_now(&self, core: &Core) -> i64 {
        core.state.ingested_at_us.max(self.clock.now().0)
    }

    /// The greater of `ingested_at` and the greatest created timestamp stored for this key and event time.
    pub(super) fn created_of_delete(
        &self,
        picture: &Picture,
        view: &ViewPicture,
        (hash, key): (u64, &[u8]),
        at: i64,
        ingested_at: i64,
    ) -> Result<i64> {
        let newest = picture.view(view.record.id);
        let stored = find_row(newest, &picture.tail, hash, key, AsOf::new(at))?;
        let stored = stored.filter(|row| row.mark.event_ts == at).and_then(|row| row.mark.created);
        Ok(stored.map_or(ingested_at, |stored| stored.max(ingested_at)))
    }

    /// The created timestamps of accepted rows, those of deletes too: the caller's, or as [`Engine::delete`] gives them. Rows of
    /// the batch count as stored one before the other.
    ///
    /// # Errors
    /// A run that had to be read is damaged.
    pub(super) fn created(
        &self,
        view: &ViewPicture,
        accepted: &Accepted,
        keys: &EncodedKeys,
    ) -> Result<Option<Int64Array>> {
        let Some(created) = &accepted.created else { return Ok(None) };
        let is_undated =
            |row: usize| created.is_null(row) && accepted.deleted.as_ref().is_some_and(|deleted| deleted.value(row));
        let now = self.clock.now().0;
        let is_ahead = |row: usize| created.is_valid(row) && created.value(row) > now;
        let rows: Vec<usize> = (0..created.len()).filter(|&row| is_undated(row) || is_ahead(row)).collect();
        if rows.is_empty() {
            return Ok(Some(created.clone()));
        }
        let mut ingested_at = now;
        if rows.iter().any(|&row| is_undated(row)) {
            // What is queued comes before, so that its created timestamps are seen.
            let mut core = self.lock_core();
            self.commit_queued(&mut core);
            ingested_at = self.ingested_at_now(&core);
        }
        let mut dated: Vec<Option<i64>> = created.iter().collect();
        // Ahead of the clock, by key and event time: a delete that follows is not to lose against them.
        let mut ahead: HashMap<(&[u8], i64), i64> = HashMap::new();
        for row in rows {
            let (key, at) = (keys.get(row), accepted.event_ts[row]);
            let before = ahead.get(&(key, at)).copied().unwrap_or(i64::MIN);
            if is_undated(row) {
                let key = (key_hash(self.reads.hash_seed(), key), key);
                let of_store = |sight: &Sight| self.created_of_delete(&sight.picture, view, key, at, ingested_at);
                dated[row] = Some(before.max(self.reads.with_sight(of_store)?));
            } else {
                ahead.insert((key, at), before.max(created.value(row)));
            }
        }
        Ok(Some(Int64Array::from(dated)))
    }
}
