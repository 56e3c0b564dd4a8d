//! Rows of a group that are in no log yet.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::engine::commit::Batch;
use crate::error::Result;

/// Event time and created timestamp: the place in row order, among rows that come one after the other.
type Place = (i64, Option<i64>);

/// Rows by view, in the order they were written.
#[derive(Debug, Default)]
pub(super) struct Staged {
    views: BTreeMap<u32, StagedView>,
}

#[derive(Debug, Default)]
struct StagedView {
    records: Vec<u8>,
    /// Where the records begin that have a created timestamp, which is no earlier than the commit.
    undated: Vec<usize>,
    hashes: Vec<u64>,
    rows: HashMap<Box<[u8]>, Vec<StagedRow>>,
}

#[derive(Debug)]
struct StagedRow {
    place: Place,
    record: Range<usize>,
}

impl Staged {
    /// The greatest row of a key at `at` or before: its place, and its record.
    pub fn find(&self, view: u32, key: &[u8], at: i64) -> Option<(Place, &[u8])> {
        let view = self.views.get(&view)?;
        let rows = view.rows.get(key)?.iter().filter(|row| row.place.0 <= at);
        // Of equal places the last.
        let row = rows.max_by_key(|row| (row.place, row.record.start))?;
        Some((row.place, &view.records[row.record.clone()]))
    }

    /// The keys that rows of a view are of.
    pub fn keys(&self, view: u32) -> impl Iterator<Item = &[u8]> {
        self.views.get(&view).into_iter().flat_map(|view| view.rows.keys().map(|key| &**key))
    }

    /// Adds a row.
    pub fn push(&mut self, view: u32, (hash, key): (u64, &[u8]), place: Place, record: &[u8]) {
        let view = self.views.entry(view).or_default();
        let start = view.records.len();
        if place.1.is_some() {
            view.undated.push(start);
        }
        view.records.extend_from_slice(record);
        view.hashes.push(hash);
        view.rows.entry(key.into()).or_default().push(StagedRow { place, record: start..view.records.len() });
    }

    /// All of them, a section a view.
    pub fn into_batch(self) -> Result<Batch> {
        let mut batch = Batch::default();
        for (id, view) in self.views {
            batch.frame.section(id, |out| -> Result<u32> {
                batch.undated.extend(view.undated.iter().map(|at| out.len() + at));
                out.extend_from_slice(&view.records);
                Ok(u32::try_from(view.hashes.len()).unwrap_or(u32::MAX))
            })?;
            batch.hashes.extend(view.hashes);
        }
        Ok(batch)
    }
}
