//! Runs and tail walked together, in the order of key hashes.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;

use super::columns::Columns;
use super::tail_rows::TailRows;
use super::truncated::Truncates;
use crate::engine::picture::{Picture, Run, ViewPicture, run_schema};
use crate::error::Result;
use crate::format::row::RowKind;
use crate::history::{Extent, Keys, MergeCursor, MergedKey, RowColumns, RunFile, RunSchema, gather_rows, interleave};

/// Bytes of a batch, about: large rows make short batches.
const BATCH_BYTES: u64 = 16 << 20;

/// Which rows are in sight.
#[derive(Clone, Copy, Debug)]
pub struct InSight {
    /// Rows up to this number.
    pub known_at: u64,
    /// Event times from here on.
    pub from: i64,
    /// Event times before this one.
    pub to: Option<i64>,
}

impl InSight {
    /// Whether a row is in sight.
    pub fn sees(&self, event_ts: i64, seq: u64) -> bool {
        seq <= self.known_at && event_ts >= self.from && self.to.is_none_or(|to| event_ts < to)
    }
}

/// Everything that a scan needs.
#[derive(Debug)]
pub struct Walk {
    pub picture: Arc<Picture>,
    pub view: Arc<ViewPicture>,
    pub columns: Columns,
    pub sight: InSight,
    /// What the view was truncated by, where that is in sight.
    pub truncates: Truncates,
    /// The one key that is asked for.
    pub key: Option<(u64, Vec<u8>)>,
    pub hash_seed: u64,
    pub batch_rows: usize,
}

/// The runs in sight, and what their columns say.
struct Runs<'a> {
    files: Vec<&'a RunFile>,
    columns: Vec<RowColumns>,
    seq_bases: Vec<u64>,
    /// Every row is in sight.
    is_whole: Vec<bool>,
}

/// Keys whose rows wait to become a batch.
#[derive(Default)]
struct Chunk {
    keys: Keys,
    /// Of each key: its rows in runs.
    extents: Vec<Vec<Extent>>,
    /// Of each key: its entries of the tail; empty where it has none.
    tail: Vec<std::ops::Range<usize>>,
    rows: usize,
}

impl Walk {
    /// Walks all rows in sight and hands over batches, until `take` wants no more.
    ///
    /// # Errors
    /// A run is missing or damaged.
    pub fn run(&self, take: &mut dyn FnMut(RecordBatch) -> bool) -> Result<()> {
        let schema = run_schema(&self.view.record);
        let runs = self.runs()?;
        let only = self.key.as_ref().map(|(hash, key)| (*hash, key.as_slice()));
        let tail = TailRows::find(&self.picture.tail, self.view.record.id, &self.sight, self.hash_seed, only);
        let batch_rows = self.batch_rows.min(self.rows_of_a_batch(&runs));
        let (first, last) = only.map_or((0, u64::MAX), |(hash, _)| (hash, hash));
        let mut cursor = MergeCursor::over(&runs.files, &runs.columns, &runs.seq_bases, first, last)?;
        let mut merged = MergedKey::default();
        let mut has_merged = cursor.next_into(&mut merged)?;
        let mut tail_at = 0;
        let mut chunk = Chunk::default();
        loop {
            let next = tail.key_at(tail_at);
            let of_runs = has_merged
                && next.as_ref().is_none_or(|(hash, key, _)| (merged.hash, merged.key.as_slice()) <= (*hash, *key));
            let of_tail =
                next.filter(|(hash, key, _)| !has_merged || (*hash, *key) <= (merged.hash, merged.key.as_slice()));
            if !of_runs && of_tail.is_none() {
                break;
            }
            let mut extents = Vec::new();
            if of_runs && only.is_none_or(|(_, key)| key == merged.key.as_slice()) {
                self.in_sight(&runs, &merged.extents, &mut extents);
            }
            let entries = match &of_tail {
                Some((_, _, entries)) => entries.clone(),
                None => tail_at..tail_at,
            };
            let key = of_tail.map_or(merged.key.as_slice(), |(_, key, _)| key);
            tail_at = entries.end;
            chunk.push(key, extents, entries);
            if of_runs {
                has_merged = cursor.next_into(&mut merged)?;
            }
            if chunk.rows >= batch_rows && !self.flush(&mut chunk, &runs, &tail, &schema, batch_rows, take)? {
                return Ok(());
            }
        }
        self.flush(&mut chunk, &runs, &tail, &schema, batch_rows, take)?;
        Ok(())
    }

    /// The run files that may hold rows in sight.
    pub fn runs_in_sight(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.view.runs.iter().filter(|run| {
            let (about, sight) = (&run.record, &self.sight);
            about.seq_min <= sight.known_at
                && about.event_max_us >= sight.from
                && sight.to.is_none_or(|to| about.event_min_us < to)
                && self.key.as_ref().is_none_or(|(hash, _)| (about.hash_lo..=about.hash_hi).contains(hash))
        })
    }

    fn runs(&self) -> Result<Runs<'_>> {
        let mut runs = Runs { files: Vec::new(), columns: Vec::new(), seq_bases: Vec::new(), is_whole: Vec::new() };
        for run in self.runs_in_sight() {
            let (about, sight) = (&run.record, &self.sight);
            let file = run.open()?;
            let columns = file.columns_to_scan()?;
            let is_whole = sight.sees(about.event_min_us, about.seq_max)
                && sight.sees(about.event_max_us, about.seq_max)
                && columns.kind.is_none();
            runs.files.push(file);
            runs.columns.push(columns);
            runs.seq_bases.push(about.seq_base);
            runs.is_whole.push(is_whole);
        }
        Ok(runs)
    }

    /// How many rows of the runs' average size fill a batch.
    fn rows_of_a_batch(&self, runs: &Runs<'_>) -> usize {
        let row_bytes = runs.files.iter().map(|file| file.head().run_bytes / file.head().row_count.max(1) + 1).max();
        usize::try_from(BATCH_BYTES / row_bytes.unwrap_or(1)).unwrap_or(usize::MAX).max(1)
    }

    /// Those rows of `extents` that are in sight.
    fn in_sight(&self, runs: &Runs<'_>, extents: &[Extent], out: &mut Vec<Extent>) {
        for extent in extents {
            let piece = extent.piece as usize;
            if runs.is_whole[piece] {
                out.push(*extent);
                continue;
            }
            let columns = &runs.columns[piece];
            let kinds = columns.kind.as_ref().map(|kinds| kinds.as_primitive::<UInt8Type>().values());
            for row in extent.start..extent.start + extent.len {
                let at = row as usize;
                let seq = runs.seq_bases[piece].saturating_add(columns.seq[at]);
                let is_row = kinds.is_none_or(|kinds| {
                    matches!(RowKind::from_byte(kinds[at]), Some(RowKind::Value | RowKind::Delete))
                });
                if !is_row || !self.sight.sees(columns.event_ts[at], seq) {
                    continue;
                }
                match out.last_mut() {
                    Some(last) if last.piece == extent.piece && last.start + last.len == row => last.len += 1,
                    _ => out.push(Extent { piece: extent.piece, start: row, len: 1 }),
                }
            }
        }
    }

    /// Makes batches of what waits; whether more is wanted.
    fn flush(
        &self,
        chunk: &mut Chunk,
        runs: &Runs<'_>,
        tail: &TailRows,
        schema: &RunSchema,
        batch_rows: usize,
        take: &mut dyn FnMut(RecordBatch) -> bool,
    ) -> Result<bool> {
        let chunk = std::mem::take(chunk);
        let tail_columns = tail.columns(&chunk.tail, schema, self.hash_seed)?;
        let truncates = self.truncates.columns(schema)?;
        let pieces: Vec<&RowColumns> = runs.columns.iter().chain([&tail_columns, &truncates]).collect();
        let mut bases = runs.seq_bases.clone();
        bases.extend([0, 0]);
        let cut = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let tail_piece = cut(runs.files.len());
        let mut parts: Vec<(usize, Extent)> = Vec::new();
        let mut tail_row = 0;
        let mut scratch = Vec::new();
        for (key, (mut extents, entries)) in chunk.extents.into_iter().zip(chunk.tail).enumerate() {
            if !entries.is_empty() {
                let is_in_both = !extents.is_empty();
                extents.push(Extent { piece: tail_piece, start: cut(tail_row), len: cut(entries.len()) });
                tail_row += entries.len();
                if is_in_both {
                    interleave(&pieces, &bases, &mut extents, &mut scratch);
                }
            }
            if !self.truncates.is_empty() {
                extents = self.truncates.among(&extents, &pieces, &bases, tail_piece + 1);
            }
            parts.extend(extents.into_iter().map(|extent| (key, extent)));
        }
        let mut rest = Rest { parts: &parts, done: 0 };
        while !rest.parts.is_empty() {
            if !self.emit(&rest.take(batch_rows), &chunk.keys, runs, &pieces, &bases, schema, take)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hands over these rows: as one batch, or as halves where one would be more than Arrow's offsets hold.
    #[expect(clippy::too_many_arguments, reason = "what all batches of a chunk share, passed on by name")]
    fn emit(
        &self,
        rows: &[(usize, Extent)],
        keys: &Keys,
        runs: &Runs<'_>,
        pieces: &[&RowColumns],
        bases: &[u64],
        schema: &RunSchema,
        take: &mut dyn FnMut(RecordBatch) -> bool,
    ) -> Result<bool> {
        for (piece, run) in runs.files.iter().enumerate() {
            let mine = || rows.iter().map(|(_, extent)| extent).filter(|extent| extent.piece as usize == piece);
            let start = mine().map(|extent| extent.start as usize).min();
            let end = mine().map(|extent| extent.start as usize + extent.len as usize).max();
            if let (Some(start), Some(end)) = (start, end) {
                run.verify_features(start..end)?;
            }
        }
        let extents: Vec<Extent> = rows.iter().map(|(_, extent)| *extent).collect();
        let count: usize = extents.iter().map(|extent| extent.len as usize).sum();
        let gathered = match gather_rows(schema, pieces, bases, &extents) {
            Err(_) if count > 1 => {
                let mut rest = Rest { parts: rows, done: 0 };
                for half in [rest.take(count / 2), rest.take(usize::MAX)] {
                    if !self.emit(&half, keys, runs, pieces, bases, schema, take)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
            gathered => gathered?,
        };
        let mut row_keys = Keys::default();
        for (key, extent) in rows {
            (0..extent.len).for_each(|_| row_keys.push(keys.get(*key)));
        }
        Ok(take(self.columns.batch(&row_keys, &gathered)?))
    }
}

impl Chunk {
    fn push(&mut self, key: &[u8], extents: Vec<Extent>, entries: std::ops::Range<usize>) {
        let rows = extents.iter().map(|extent| extent.len as usize).sum::<usize>() + entries.len();
        if rows > 0 {
            self.keys.push(key);
            self.extents.push(extents);
            self.tail.push(entries);
            self.rows += rows;
        }
    }
}

/// Rows still to be handed over: extents, each with its key's place.
struct Rest<'a> {
    parts: &'a [(usize, Extent)],
    /// Rows of the first extent that are done.
    done: u32,
}

impl Rest<'_> {
    /// Takes the next `count` rows, or those there are.
    fn take(&mut self, count: usize) -> Vec<(usize, Extent)> {
        let mut taken = Vec::new();
        let mut left = u32::try_from(count).unwrap_or(u32::MAX);
        while let [(key, extent), rest @ ..] = self.parts
            && left > 0
        {
            let len = (extent.len - self.done).min(left);
            taken.push((*key, Extent { piece: extent.piece, start: extent.start + self.done, len }));
            left -= len;
            self.done += len;
            if self.done == extent.len {
                (self.parts, self.done) = (rest, 0);
            }
        }
        taken
    }
}
