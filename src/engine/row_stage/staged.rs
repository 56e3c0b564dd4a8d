//! Rows of a group that are in no log yet.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::engine::commit::Batch;
use crate::error::Result;
use crate::format::row::RowRef;

/// Event time and created timestamp: the place in row order, among rows that come one after the other.
type Place = (i64, Option<i64>);

/// Rows by view, in the order they were written.
#[derive(Debug, Default)]
pub(super) struct Staged {
    views: BTreeMap<u32, StagedView>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct StagedView {
    records: Vec<u8>,
    /// Where the records begin that have a created timestamp, which is no earlier than the commit.
    undated: Vec<usize>,
    hashes: Vec<u64>,
    /// By the hash of the key, which stands in the record.
    rows: BTreeMap<u64, Vec<StagedRow>>,
}

#[derive(Debug)]
struct StagedRow {
    place: Place,
    record: Range<usize>,
}

impl StagedView {
    /// The rows of a key, in the order they were written.
    fn rows_of<'a>(&'a self, (hash, key): (u64, &'a [u8])) -> impl Iterator<Item = &'a StagedRow> {
        let rows = self.rows.get(&hash).into_iter().flatten();
        rows.filter(move |row| self.key(row) == key)
    }

    fn key(&self, row: &StagedRow) -> &[u8] {
        // A record that was pushed is one.
        RowRef::parse_unchecked_image(&self.records[row.record.clone()]).map_or(&[], |(row, _)| row.key)
    }
}

impl Staged {
    /// Whether a key has a row.
    pub fn has(&self, view: u32, key: (u64, &[u8])) -> bool {
        self.views.get(&view).is_some_and(|view| view.rows_of(key).next().is_some())
    }

    /// The greatest row of a key at `at` or before: its place, and its record.
    pub fn find(&self, view: u32, key: (u64, &[u8]), at: i64) -> Option<(Place, &[u8])> {
        let view = self.views.get(&view)?;
        let rows = view.rows_of(key).filter(|row| row.place.0 <= at);
        // Of equal places the last.
        let row = rows.max_by_key(|row| (row.place, row.record.start))?;
        Some((row.place, &view.records[row.record.clone()]))
    }

    /// Bytes of all records.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Hashes and keys that rows of a view are of, from a hash on up to another. A key may come more than once.
    pub fn keys(&self, view: u32, from: u64, to: Option<u64>) -> impl Iterator<Item = (u64, &[u8])> {
        let is_before = move |hash: u64| to.is_none_or(|to| hash < to);
        self.views.get(&view).into_iter().flat_map(move |view| {
            let hashes = view.rows.range(from..).take_while(move |(hash, _)| is_before(**hash));
            hashes.flat_map(move |(hash, rows)| rows.iter().map(move |row| (*hash, view.key(row))))
        })
    }

    /// Adds a row.
    pub fn push(&mut self, view: u32, hash: u64, place: Place, record: &[u8]) {
        self.bytes += record.len();
        let view = self.views.entry(view).or_default();
        let start = view.records.len();
        if place.1.is_some() {
            view.undated.push(start);
        }
        view.records.extend_from_slice(record);
        view.hashes.push(hash);
        view.rows.entry(hash).or_default().push(StagedRow { place, record: start..view.records.len() });
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
