//! Rows that are stored already, as an import compares its own with: a row is added only as often as it
//! comes beyond those stored.
//!
//! An import of several files adds what it would if they were imported one after the other: a part is
//! compared with what is stored and with the parts before it.

use std::cmp::Ordering as Order;
use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::history::content::{ContentAt, Contents, Scratch, equal_contents};
use crate::history::cursor::{MergeCursor, MergedKey};
use crate::history::gather::{Extent, gather_rows};
use crate::history::keys::Keys;
use crate::history::order::{Sorted, compare_clocks, sort_into};
use crate::history::reader::{RunColumn, RunFile};
use crate::history::rows::{KeyRange, RowColumns, UnsortedRows};
use crate::history::schema::RunSchema;

/// A run with at most this many rows for each row imported is verified whole, a larger one row by row.
const WHOLE_ROWS_PER_ROW: u64 = 16;
/// Rows of equal key and clocks are compared pair by pair up to so many, by their bytes beyond.
const PAIRED_ROWS_MAX: usize = 8;

/// The rows of a view within a range of numbers.
pub struct KnownRows<'a> {
    schema: &'a RunSchema,
    seqs: RangeInclusive<u64>,
    pieces: Vec<Piece<'a>>,
    /// Where the parts of the import begin, by the numbers of their first rows, and how many rows of each were known.
    parts: Vec<(u64, AtomicU64)>,
    /// Whether the parts are compared with each other too.
    between_parts: bool,
}

struct Piece<'a> {
    place: Place<'a>,
    columns: RowColumns,
    seq_base: u64,
}

enum Place<'a> {
    /// A file, and whether all of it was verified.
    Run(&'a RunFile, bool),
    Memory {
        ranges: Vec<KeyRange>,
        keys: Keys,
    },
    /// Rows that every key has.
    OfEveryKey,
}

impl<'a> KnownRows<'a> {
    /// The rows of `runs` numbered within `seqs`, to be compared with about `row_count` imported ones. The import's parts
    /// begin at the relative numbers `part_starts`.
    ///
    /// # Errors
    /// A run is damaged.
    pub fn new(
        schema: &'a RunSchema,
        runs: &[&'a RunFile],
        seqs: RangeInclusive<u64>,
        row_count: u64,
        part_starts: &[u64],
    ) -> Result<KnownRows<'a>> {
        let mut pieces = Vec::with_capacity(runs.len());
        for &run in runs {
            let is_whole = run.row_count() as u64 <= row_count.saturating_mul(WHOLE_ROWS_PER_ROW);
            let columns = if is_whole { run.row_columns()? } else { run.columns()? };
            pieces.push(Piece { place: Place::Run(run, is_whole), columns, seq_base: run.seq_base() });
        }
        let parts = part_starts.iter().map(|start| (*start, AtomicU64::new(0))).collect();
        Ok(KnownRows { schema, seqs, pieces, parts, between_parts: false })
    }

    /// Compares the import's parts with each other too: once, when they are first sorted.
    #[must_use]
    pub fn between_parts(mut self) -> Self {
        self.between_parts = true;
        self
    }

    /// Adds rows of the log, with their own numbers.
    ///
    /// # Errors
    /// They take more than Arrow's offsets hold.
    pub fn add(&mut self, rows: &UnsortedRows) -> Result<()> {
        let mut sorted = Sorted::default();
        let count = u32::try_from(rows.hashes.len()).unwrap_or(u32::MAX);
        sort_into(&[rows], std::iter::once((0, 0..count)), 0, false, &mut sorted);
        let columns = gather_rows(self.schema, &[&rows.columns], &[0], &sorted.extents)?;
        let place = Place::Memory { ranges: sorted.ranges, keys: sorted.keys };
        self.pieces.push(Piece { place, columns, seq_base: 0 });
        Ok(())
    }

    /// Adds rows that every key has, as deletes by a truncate are, with their own numbers.
    pub fn add_to_every_key(&mut self, columns: RowColumns) {
        self.pieces.push(Piece { place: Place::OfEveryKey, columns, seq_base: 0 });
    }

    /// Whether there is nothing to compare with.
    pub fn is_empty(&self) -> bool {
        // The first part may be empty: what came before the first file.
        let parts = self.parts.windows(2).filter(|pair| pair[0].0 < pair[1].0).count() + 1;
        self.pieces.is_empty() && !(self.between_parts && parts > 1)
    }

    /// How many imported rows of each part were known.
    pub fn known_counts(&self) -> Vec<u64> {
        self.parts.iter().map(|(_, count)| count.load(Ordering::Relaxed)).collect()
    }

    /// How many rows of an import's runs are known; counts them as such.
    ///
    /// # Errors
    /// Damaged.
    pub fn count_in(&self, runs: &[&RunFile]) -> Result<u64> {
        let columns: Vec<RowColumns> = runs.iter().map(|run| run.row_columns()).collect::<Result<_>>()?;
        let pieces: Vec<&RowColumns> = columns.iter().collect();
        let bases = vec![0; runs.len()];
        let mut cursor = MergeCursor::over(runs, &columns, &bases, 0, u64::MAX)?;
        let mut work = Work::new(self, &pieces);
        let (mut merged, mut kept, mut known) = (MergedKey::default(), Vec::new(), 0);
        while cursor.next_into(&mut merged)? {
            kept.clear();
            known += work.keep_unknown(merged.hash, &merged.key, &merged.extents, &mut kept)?;
        }
        Ok(known)
    }

    /// Imported rows, which lie in `pieces`, without those that are known.
    pub(crate) fn without_known(&self, sorted: Sorted, pieces: &[&RowColumns]) -> Result<Sorted> {
        let mut work = Work::new(self, pieces);
        let (mut out, mut kept) = (Sorted::default(), Vec::new());
        let mut at = 0;
        for (i, range) in sorted.ranges.iter().enumerate() {
            // An extent belongs to one key: push_key was given it whole.
            let (from, mut rows) = (at, 0);
            while rows < range.len {
                rows += sorted.extents[at].len;
                at += 1;
            }
            kept.clear();
            let key = sorted.keys.get(i);
            work.keep_unknown(range.hash, key, &sorted.extents[from..at], &mut kept)?;
            if !kept.is_empty() {
                out.push_key(range.hash, key, kept.iter().copied());
            }
        }
        Ok(out)
    }

    /// The part that the imported row of this number came in.
    fn part_of(&self, seq: u64) -> usize {
        self.parts.partition_point(|(start, _)| *start <= seq).saturating_sub(1)
    }
}

impl Piece<'_> {
    fn rows_of(&self, hash: u64, key: &[u8]) -> Result<Option<Range<usize>>> {
        match &self.place {
            Place::Run(run, is_whole) => {
                let rows = run.find(hash, key)?;
                if let (Some(rows), false) = (&rows, is_whole) {
                    for column in [RunColumn::EventTimestamp, RunColumn::Created, RunColumn::Seq] {
                        run.verify_rows(column, rows.clone())?;
                    }
                }
                Ok(rows)
            }
            Place::OfEveryKey => Ok(Some(0..self.columns.len())),
            Place::Memory { ranges, keys } => {
                let first = ranges.partition_point(|range| range.hash < hash);
                let alike = ranges[first..].iter().take_while(|range| range.hash == hash);
                let found = alike.zip(first..).find(|(_, i)| keys.get(*i) == key);
                Ok(found.map(|(range, _)| range.start as usize..range.start as usize + range.len as usize))
            }
        }
    }

    /// Verifies what `row` says, where that was not done.
    fn verify(&self, row: usize) -> Result<()> {
        let Place::Run(run, false) = &self.place else { return Ok(()) };
        // The columns that only some rows need were verified when they were opened.
        run.verify_features(row..row + 1)
    }
}

/// The comparison of some imported pieces with what is known.
struct Work<'a> {
    known: &'a KnownRows<'a>,
    known_contents: Vec<Contents<'a>>,
    pieces: &'a [&'a RowColumns],
    contents: Vec<Contents<'a>>,
    scratch: Scratch,
    /// Imported rows of one key: piece and row.
    rows: Vec<(u32, u32)>,
    /// Where the key's rows lie in the known pieces.
    places: Vec<(usize, Range<usize>)>,
    /// Known rows of equal clocks: piece and row.
    candidates: Vec<(usize, usize)>,
    classes: Vec<Class>,
    /// Classes by their bytes, where there are many rows.
    by_bytes: HashMap<Vec<u8>, usize>,
}

/// Rows that are equal in all.
struct Class {
    like: Like,
    /// How many are stored, or came in earlier parts.
    stored: u64,
    /// How many came in `part`.
    came: u64,
    part: usize,
}

/// One row of a class.
#[derive(Clone, Copy)]
enum Like {
    Known(usize, usize),
    Imported(u32, u32),
}

impl<'a> Work<'a> {
    fn new(known: &'a KnownRows<'a>, pieces: &'a [&'a RowColumns]) -> Work<'a> {
        Work {
            known,
            known_contents: known.pieces.iter().map(|piece| Contents::new(known.schema, &piece.columns)).collect(),
            pieces,
            contents: pieces.iter().map(|columns| Contents::new(known.schema, columns)).collect(),
            scratch: Scratch::default(),
            rows: Vec::new(),
            places: Vec::new(),
            candidates: Vec::new(),
            classes: Vec::new(),
            by_bytes: HashMap::new(),
        }
    }

    /// Appends the rows of one key, given in row order, that are not known; how many are.
    fn keep_unknown(&mut self, hash: u64, key: &[u8], extents: &[Extent], kept: &mut Vec<Extent>) -> Result<u64> {
        self.places.clear();
        for (i, piece) in self.known.pieces.iter().enumerate() {
            if let Some(rows) = piece.rows_of(hash, key)? {
                self.places.push((i, rows));
            }
        }
        if self.places.is_empty() && !self.known.between_parts {
            kept.extend_from_slice(extents);
            return Ok(0);
        }
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        rows.extend(
            extents.iter().flat_map(|extent| (extent.start..extent.start + extent.len).map(|row| (extent.piece, row))),
        );
        let pieces = self.pieces;
        let side = |&(piece, row): &(u32, u32)| (pieces[piece as usize], row as usize);
        let mut count = 0;
        for alike in rows.chunk_by(|left, right| compare_clocks(side(left), side(right)) == Order::Equal) {
            self.find_candidates(side(&alike[0]));
            if self.candidates.is_empty() && (alike.len() == 1 || !self.known.between_parts) {
                kept.extend(alike.iter().map(|&(piece, start)| Extent { piece, start, len: 1 }));
            } else {
                count += self.count_and_keep(alike, kept)?;
            }
        }
        self.rows = rows;
        Ok(count)
    }

    /// The known rows of the key with the clocks of `row`.
    fn find_candidates(&mut self, row: (&RowColumns, usize)) {
        self.candidates.clear();
        for (piece, range) in &self.places {
            let Piece { columns, seq_base, .. } = &self.known.pieces[*piece];
            let first = partition(range.clone(), |known| compare_clocks((columns, known), row) == Order::Less);
            let alike = (first..range.end).take_while(|known| compare_clocks((columns, *known), row) == Order::Equal);
            let within = alike.filter(|known| self.known.seqs.contains(&(seq_base + columns.seq[*known])));
            self.candidates.extend(within.map(|known| (*piece, known)));
        }
    }

    /// Of imported rows of equal key and clocks, in the order they came, keeps those beyond what is known.
    fn count_and_keep(&mut self, alike: &[(u32, u32)], kept: &mut Vec<Extent>) -> Result<u64> {
        self.classes.clear();
        self.by_bytes.clear();
        let is_few = alike.len() + self.candidates.len() <= PAIRED_ROWS_MAX;
        let candidates = std::mem::take(&mut self.candidates);
        for &(piece, row) in &candidates {
            self.known.pieces[piece].verify(row)?;
            let class = self.class_of(Like::Known(piece, row), is_few)?;
            self.classes[class].stored += 1;
        }
        self.candidates = candidates;
        let mut count = 0;
        for &(piece, start) in alike {
            let part = self.known.part_of(self.pieces[piece as usize].seq[start as usize]);
            let class = self.class_of(Like::Imported(piece, start), is_few)?;
            let class = &mut self.classes[class];
            if class.part != part {
                if self.known.between_parts {
                    (class.stored, class.came) = (class.stored.max(class.came), 0);
                }
                class.part = part;
            }
            class.came += 1;
            if class.came <= class.stored {
                count += 1;
                self.known.parts[part].1.fetch_add(1, Ordering::Relaxed);
            } else {
                kept.push(Extent { piece, start, len: 1 });
            }
        }
        Ok(count)
    }

    /// The class of a row; a new one where there is none.
    fn class_of(&mut self, like: Like, is_few: bool) -> Result<usize> {
        let new = Class { like, stored: 0, came: 0, part: 0 };
        if is_few {
            for (i, class) in self.classes.iter().enumerate() {
                let content = |like| content(&self.known_contents, &self.contents, like);
                if equal_contents(content(like), content(class.like), &mut self.scratch)? {
                    return Ok(i);
                }
            }
            self.classes.push(new);
            return Ok(self.classes.len() - 1);
        }
        let mut bytes = Vec::new();
        let (contents, row) = content(&self.known_contents, &self.contents, like);
        contents.push_bytes(row, self.known.schema.fields().len(), &mut bytes)?;
        let next = self.classes.len();
        let class = *self.by_bytes.entry(bytes).or_insert(next);
        if class == next {
            self.classes.push(new);
        }
        Ok(class)
    }
}

fn content<'c>(known: &'c [Contents<'c>], imported: &'c [Contents<'c>], like: Like) -> ContentAt<'c> {
    match like {
        Like::Known(piece, row) => (&known[piece], row),
        Like::Imported(piece, row) => (&imported[piece as usize], row as usize),
    }
}

/// The first of `range` for which `is_before` does not hold; those for which it does come first.
fn partition(range: Range<usize>, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}
