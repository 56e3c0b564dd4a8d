//! Keys in the order of runs: of one run file, and of several together.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::{Range, RangeInclusive};

use crate::error::Result;
use crate::history::gather::Extent;
use crate::history::order::compare_rows;
use crate::history::reader::RunFile;
use crate::history::rows::RowColumns;

/// Walks the keys of one run file, in hash order.
#[derive(Debug)]
pub struct RunCursor<'a> {
    run: &'a RunFile,
    next_slot: usize,
    /// No key above this is given.
    hash_last: u64,
    hash: u64,
    key: Vec<u8>,
    rows: Option<Range<usize>>,
}

impl<'a> RunCursor<'a> {
    /// A cursor at the first key.
    ///
    /// # Errors
    /// Damaged.
    pub fn new(run: &'a RunFile) -> Result<RunCursor<'a>> {
        Self::over(run, 0, u64::MAX)
    }

    /// A cursor at the first key with a hash from `hash_first` to `hash_last`.
    ///
    /// # Errors
    /// Damaged.
    pub fn over(run: &'a RunFile, hash_first: u64, hash_last: u64) -> Result<RunCursor<'a>> {
        run.verify_index()?;
        let map = run.slot_map();
        let next_slot = match () {
            () if hash_first > map.hash_hi => run.slot_count(),
            () if hash_first <= map.hash_lo => 0,
            () => map.home(hash_first),
        };
        let mut cursor = RunCursor { run, next_slot, hash_last, hash: 0, key: Vec::new(), rows: None };
        cursor.advance()?;
        while cursor.rows.is_some() && cursor.hash < hash_first {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    /// The key at the cursor: its hash, its bytes, its rows in row order. `None` at the end.
    pub fn current(&self) -> Option<(u64, &[u8], Range<usize>)> {
        self.rows.clone().map(|rows| (self.hash, self.key.as_slice(), rows))
    }

    /// Moves to the next key.
    ///
    /// # Errors
    /// Damaged.
    pub fn advance(&mut self) -> Result<()> {
        self.rows = None;
        while self.next_slot < self.run.slot_count() {
            let slot = self.run.slot(self.next_slot);
            self.next_slot += 1;
            if slot.len == 0 {
                continue;
            }
            if slot.hash > self.hash_last {
                self.next_slot = self.run.slot_count();
                break;
            }
            let rows = self.run.rows_of(slot)?;
            self.key.clear();
            self.run.push_key(rows.start, &mut self.key)?;
            (self.hash, self.rows) = (slot.hash, Some(rows));
            break;
        }
        Ok(())
    }
}

/// Calls `visit(hash, key, row)` with the greatest row, in row order, of every key whose hash lies in `hashes`,
/// in hash order.
///
/// # Errors
/// Damaged; what `visit` returns.
pub fn for_each_latest(
    run: &RunFile,
    hashes: RangeInclusive<u64>,
    mut visit: impl FnMut(u64, &[u8], usize) -> Result<()>,
) -> Result<()> {
    let mut cursor = RunCursor::over(run, *hashes.start(), *hashes.end())?;
    while let Some((hash, key, rows)) = cursor.current() {
        visit(hash, key, rows.end - 1)?;
        cursor.advance()?;
    }
    Ok(())
}

/// A key of several runs, and its rows in row order.
#[derive(Clone, Debug, Default)]
pub struct MergedKey {
    /// The key's hash.
    pub hash: u64,
    /// Its bytes.
    pub key: Vec<u8>,
    /// Its rows; `piece` is the run's position in the cursor's list.
    pub extents: Vec<Extent>,
}

/// Walks the keys of several run files together, in hash order, then by key bytes.
pub struct MergeCursor<'a> {
    cursors: Vec<RunCursor<'a>>,
    columns: Vec<&'a RowColumns>,
    seq_bases: &'a [u64],
    /// Cursors that are not at their end.
    heap: BinaryHeap<Reverse<(u64, Vec<u8>, usize)>>,
    rows: Vec<(u32, u32)>,
}

impl<'a> MergeCursor<'a> {
    /// A cursor over the keys of `runs` with a hash from `hash_first` to `hash_last`. `columns` are the
    /// runs' [`RunFile::row_columns`], `seq_bases` what to add to their sequence numbers.
    ///
    /// # Errors
    /// Damaged.
    pub fn over(
        runs: &[&'a RunFile],
        columns: &'a [RowColumns],
        seq_bases: &'a [u64],
        hash_first: u64,
        hash_last: u64,
    ) -> Result<MergeCursor<'a>> {
        assert!(runs.len() == columns.len() && runs.len() == seq_bases.len(), "each run has its columns and base");
        let cursors: Vec<RunCursor<'a>> =
            runs.iter().map(|run| RunCursor::over(run, hash_first, hash_last)).collect::<Result<_>>()?;
        let heap = cursors
            .iter()
            .enumerate()
            .filter_map(|(i, cursor)| cursor.current().map(|(hash, key, _)| Reverse((hash, key.to_vec(), i))))
            .collect();
        Ok(MergeCursor { cursors, columns: columns.iter().collect(), seq_bases, heap, rows: Vec::new() })
    }

    /// Puts the next key into `merged`; false at the end.
    ///
    /// # Errors
    /// Damaged.
    pub fn next_into(&mut self, merged: &mut MergedKey) -> Result<bool> {
        merged.extents.clear();
        let Some(Reverse((hash, key, _))) = self.heap.peek() else { return Ok(false) };
        merged.hash = *hash;
        merged.key.clone_from(key);
        while let Some(Reverse((hash, key, _))) = self.heap.peek() {
            if *hash != merged.hash || *key != merged.key {
                break;
            }
            let Some(Reverse((_, mut key, i))) = self.heap.pop() else { break };
            let cut = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            if let Some((_, _, rows)) = self.cursors[i].current() {
                merged.extents.push(Extent { piece: cut(i), start: cut(rows.start), len: cut(rows.len()) });
            }
            self.cursors[i].advance()?;
            if let Some((hash, bytes, _)) = self.cursors[i].current() {
                key.clear();
                key.extend_from_slice(bytes);
                self.heap.push(Reverse((hash, key, i)));
            }
        }
        if merged.extents.len() > 1 {
            interleave(&self.columns, self.seq_bases, &mut merged.extents, &mut self.rows);
        }
        Ok(true)
    }
}

/// Brings the rows of a key that lie in several pieces into row order. Within each extent they are.
pub(crate) fn interleave(
    pieces: &[&RowColumns],
    seq_bases: &[u64],
    extents: &mut Vec<Extent>,
    rows: &mut Vec<(u32, u32)>,
) {
    let side = |&(piece, row): &(u32, u32)| (pieces[piece as usize], seq_bases[piece as usize], row as usize);
    let compare = |left: &(u32, u32), right: &(u32, u32)| compare_rows(side(left), side(right));
    // Runs sealed one after the other mostly follow each other in time too.
    let first = |extent: &Extent| (extent.piece, extent.start);
    let last = |extent: &Extent| (extent.piece, extent.start + extent.len - 1);
    extents.sort_by(|left, right| compare(&first(left), &first(right)));
    if extents.windows(2).all(|pair| compare(&last(&pair[0]), &first(&pair[1])) != Ordering::Greater) {
        return;
    }
    rows.clear();
    for extent in extents.drain(..) {
        rows.extend((extent.start..extent.start + extent.len).map(|row| (extent.piece, row)));
    }
    // A stable sort finds the runs that are in order already and merges them.
    rows.sort_by(compare);
    for &(piece, row) in rows.iter() {
        match extents.last_mut() {
            Some(last) if last.piece == piece && last.start + last.len == row => last.len += 1,
            _ => extents.push(Extent { piece, start: row, len: 1 }),
        }
    }
}
