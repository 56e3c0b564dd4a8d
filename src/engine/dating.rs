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

    /// The greatest created timestamp stored for this key and event time.
    pub(super) fn greatest_created(
        &self,
        picture: &Picture,
        view: &ViewPicture,
        (hash, key): (u64, &[u8]),
        at: i64,
    ) -> Result<Option<i64>> {
        let newest = picture.view(view.record.id);
        let stored = find_row(newest, &picture.tail, hash, key, AsOf::new(at))?;
        Ok(stored.filter(|row| row.mark.event_ts == at).and_then(|row| row.mark.created))
    }

    /// The created timestamps of accepted rows, those of deletes too: the caller's, or as [`Engine::delete`] gives them. Rows of
    /// the batch count as stored one before the other. With them the rows of the latter kind, which the commit raises to its time.
    ///
    /// # Errors
    /// A run that had to be read is damaged.
    pub(super) fn created(
        &self,
        view: &ViewPicture,
        accepted: &Accepted,
        keys: &EncodedKeys,
    ) -> Result<(Option<Int64Array>, Vec<usize>)> {
        let Some(created) = &accepted.created else { return Ok((None, Vec::new())) };
        let is_undated =
            |row: usize| created.is_null(row) && accepted.deleted.as_ref().is_some_and(|deleted| deleted.value(row));
        let now = self.clock.now().0;
        let is_ahead = |row: usize| created.is_valid(row) && created.value(row) > now;
        let undated: Vec<usize> = (0..created.len()).filter(|&row| is_undated(row)).collect();
        if undated.is_empty() {
            return Ok((Some(created.clone()), undated));
        }
        // What is queued comes before, so that its created timestamps are seen.
        self.commit_queued(&mut self.lock_core());
        let mut dated: Vec<Option<i64>> = created.iter().collect();
        // Ahead of the clock, by key and event time: a delete that follows is not to lose against them.
        let mut ahead: HashMap<(&[u8], i64), i64> = HashMap::new();
        for row in (0..created.len()).filter(|&row| is_undated(row) || is_ahead(row)) {
            let (key, at) = (keys.get(row), accepted.event_ts[row]);
            let before = ahead.get(&(key, at)).copied().unwrap_or(i64::MIN);
            if is_undated(row) {
                let key = (key_hash(self.reads.hash_seed(), key), key);
                let of_store = |sight: &Sight| self.greatest_created(&sight.picture, view, key, at);
                // Nor against those that are not ahead.
                dated[row] = self.reads.with_sight(of_store)?.max(Some(before.max(now)));
            } else {
                ahead.insert((key, at), before.max(created.value(row)));
            }
        }
        Ok((Some(Int64Array::from(dated)), undated))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use crate::definition::{Definitions, FeatureView, Source};
    use crate::engine::explain::{Checksum, RowExplanation};
    use crate::time::{Clock, Timestamp};
    use crate::value::{DataType, Value};
    use crate::{ApplyOptions, DeleteOptions, GetOptions, Row, Store};

    /// Goes on whenever it is asked.
    struct Ticking(AtomicI64);

    impl Clock for Ticking {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.fetch_add(1, Ordering::SeqCst))
        }
    }

    /// The time was asked for before the commit's turn, and a delete could be created before it was learned of.
    #[test]
    fn a_delete_without_created_takes_its_commits_time_or_the_greatest_stored() {
        const FUTURE: Timestamp = Timestamp(2_000_000);
        let clock = Arc::new(Ticking(AtomicI64::new(1_000_000)));
        let mut store = Store::builder().clock(clock).background(false).temporary().unwrap();
        let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64);
        let view = view.source(Source::default().created_timestamp("recorded"));
        let definitions = Definitions::new("dating").entity("thing", [("id", DataType::Int64)]).view(view);
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        let row = |id: i64| Row::new().at(Timestamp(5)).set("id", id);
        let value = |id: i64, created: Timestamp| row(id).set("x", 1_i64).created(created);
        store.write_rows("v", [value(1, Timestamp(7)), value(2, FUTURE), value(3, Timestamp(7))]).unwrap();
        let at = || DeleteOptions { at: Some(Timestamp(5)), ..DeleteOptions::default() };
        let dated = DeleteOptions { created: Some(Timestamp(9)), ..at() };
        let told = [(1, at()), (2, at()), (3, dated)]
            .map(|(id, options)| store.delete("v", &[("id", Value::Int64(id))], &options).unwrap().created);
        let batch = [row(4).deleted(), value(5, FUTURE), row(5).deleted(), row(6).deleted().created(Timestamp(9))];
        store.write_rows("v", batch).unwrap();
        for is_opened_again in [false, true] {
            if is_opened_again {
                store.reopen().unwrap();
            }
            let explain = |id: i64| -> RowExplanation {
                let then = GetOptions { at: Some(FUTURE), ..GetOptions::default() };
                let found = store.explain("v:x", &[("id", Value::Int64(id))], &then).unwrap().row.unwrap();
                assert_eq!((found.kind, &found.checksum), ("delete", &Checksum::Good), "the row of {id}");
                found
            };
            for id in [1, 4] {
                let row = explain(id);
                assert_eq!(row.created, row.provenance.map(|commit| commit.ingested_at), "the delete of {id}");
            }
            let others = [2, 5, 3, 6].map(|id| explain(id).created.unwrap());
            assert_eq!(others, [FUTURE, FUTURE, Timestamp(9), Timestamp(9)]);
            assert_eq!(told, [1, 2, 3].map(|id| explain(id).created));
        }
    }
}
