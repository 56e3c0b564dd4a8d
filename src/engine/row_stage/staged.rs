//! Rows of a group that are in no log yet.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::engine::commit::Batch;
use crate::error::Result;
use crate::format::row::{RowHead, RowRef, push_record};

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
    rows: Vec<StagedRow>,
    /// The last row of those whose keys have a hash. The key itself stands in the record.
    last: HashTable<usize>,
    /// Hashes in order, each with its row, since somebody asked for them and until the next row.
    sorted: OnceCell<Vec<(u64, usize)>>,
    /// Rows of every key.
    truncates: Vec<StagedRow>,
}

#[derive(Debug)]
struct StagedRow {
    hash: u64,
    place: Place,
    record: Range<usize>,
    /// The row before it that has its hash.
    previous: Option<usize>,
}

impl StagedView {
    /// The rows of a key, from the last one written to the first, and then the truncates, which are rows of every key.
    fn rows_of<'a>(&'a self, (hash, key): (u64, &'a [u8])) -> impl Iterator<Item = &'a StagedRow> {
        let last = self.last.find(hash, |&last| self.rows[last].hash == hash).map(|&last| &self.rows[last]);
        let rows = std::iter::successors(last, |row| row.previous.map(|previous| &self.rows[previous]));
        rows.filter(move |row| self.key(row) == key).chain(&self.truncates)
    }

    fn key(&self, row: &StagedRow) -> &[u8] {
        // A record that was pushed is one.
        RowRef::parse_unchecked_image(&self.records[row.record.clone()]).map_or(&[], |(row, _)| row.key)
    }
}

impl Staged {
    /// Whether a key has a row, or its view a truncate.
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

    /// Whether there are rows of a view, truncates aside.
    pub fn has_rows(&self, view: u32) -> bool {
        self.views.get(&view).is_some_and(|view| !view.rows.is_empty())
    }

    /// Whether what came last of a view is a truncate at `at`.
    pub fn ends_with_truncate(&self, view: u32, at: i64) -> bool {
        let is_last = |view: &StagedView, row: &StagedRow| row.record.end == view.records.len() && row.place.0 == at;
        self.views.get(&view).is_some_and(|view| view.truncates.last().is_some_and(|row| is_last(view, row)))
    }

    /// The greatest created timestamp of rows and truncates of a view with event time `at`.
    pub fn greatest_created(&self, view: u32, at: i64) -> Option<i64> {
        let view = self.views.get(&view)?;
        let rows = view.rows.iter().chain(&view.truncates);
        rows.filter(|row| row.place.0 == at).filter_map(|row| row.place.1).max()
    }

    /// The views that were truncated.
    pub fn truncated(&self) -> impl Iterator<Item = u32> {
        self.views.iter().filter(|(_, view)| !view.truncates.is_empty()).map(|(id, _)| *id)
    }

    /// Bytes of all records.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Hashes and keys that rows of a view are of, from a hash on up to another. A key may come more than once.
    pub fn keys(&self, view: u32, from: u64, to: Option<u64>) -> impl Iterator<Item = (u64, &[u8])> {
        let is_before = move |hash: u64| to.is_none_or(|to| hash < to);
        self.views.get(&view).into_iter().flat_map(move |view| {
            let sorted = view.sorted.get_or_init(|| {
                let mut sorted: Vec<(u64, usize)> = view.rows.iter().map(|row| row.hash).zip(0..).collect();
                sorted.sort_unstable();
                sorted
            });
            let rows = &sorted[sorted.partition_point(|(hash, _)| *hash < from)..];
            let rows = rows.iter().take_while(move |(hash, _)| is_before(*hash));
            rows.map(|&(hash, row)| (hash, view.key(&view.rows[row])))
        })
    }

    /// Adds a row: what its record says, and an image of so many fields.
    ///
    /// # Errors
    /// A part of it is too long.
    pub fn push(
        &mut self,
        view: u32,
        hash: u64,
        head: &RowHead<'_>,
        key: &[u8],
        fields: usize,
        image: &[u8],
    ) -> Result<()> {
        let (StagedView { rows, last, sorted, .. }, row) = self.append(view, hash, head, key, fields, image)?;
        sorted.take();
        let previous = match last.entry(hash, |&last| rows[last].hash == hash, |&last| rows[last].hash) {
            Entry::Occupied(mut last) => Some(std::mem::replace(last.get_mut(), rows.len())),
            Entry::Vacant(none) => {
                none.insert(rows.len());
                None
            }
        };
        rows.push(StagedRow { previous, ..row });
        Ok(())
    }

    /// Adds a truncate; `hash` is that of the key it has, the empty one.
    ///
    /// # Errors
    /// None that a truncate can have.
    pub fn push_truncate(&mut self, view: u32, hash: u64, head: &RowHead<'_>) -> Result<()> {
        let (view, row) = self.append(view, hash, head, &[], 0, &[])?;
        view.truncates.push(row);
        Ok(())
    }

    fn append(
        &mut self,
        view: u32,
        hash: u64,
        head: &RowHead<'_>,
        key: &[u8],
        fields: usize,
        image: &[u8],
    ) -> Result<(&mut StagedView, StagedRow)> {
        let view = self.views.entry(view).or_default();
        let start = view.records.len();
        push_record(head, key, fields, image, &mut view.records).inspect_err(|_| view.records.truncate(start))?;
        self.bytes += view.records.len() - start;
        if head.created.is_some() {
            view.undated.push(start);
        }
        view.hashes.push(hash);
        let row =
            StagedRow { hash, place: (head.event_ts, head.created), record: start..view.records.len(), previous: None };
        Ok((view, row))
    }

    /// All of them, a section a view.
    pub fn into_batch(self) -> Result<Batch> {
        let mut batch = Batch { truncates: self.truncated().collect(), ..Batch::default() };
        // Of a view whose only row was refused nothing is there.
        for (id, view) in self.views.into_iter().filter(|(_, view)| !view.hashes.is_empty()) {
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
