//! Sorts rows into the order of runs: (hash, key, row order).

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType as ArrowType;

use crate::format::run_index::RUN_ROWS_MAX;
use crate::history::gather::Extent;
use crate::history::keys::Keys;
use crate::history::rows::{KeyRange, RowColumns, UnsortedRows};

/// Rows in the order of runs, still lying in their pieces.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// Keys in order; ranges count rows from the start of `extents`.
    pub(crate) ranges: Vec<KeyRange>,
    pub(crate) keys: Keys,
    pub(crate) extents: Vec<Extent>,
    pub(crate) row_count: usize,
}

impl Sorted {
    /// Appends rows of the key that follows all others.
    pub(crate) fn push_key(&mut self, hash: u64, key: &[u8], extents: impl IntoIterator<Item = Extent>) {
        let start = self.row_count;
        for extent in extents {
            self.row_count += extent.len as usize;
            self.extents.push(extent);
        }
        let cut = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.ranges.push(KeyRange { hash, start: cut(start), len: cut(self.row_count - start) });
        self.keys.push(key);
    }

    /// Appends rows of keys that follow all others.
    pub(crate) fn append(&mut self, other: &Sorted) {
        let shift = u32::try_from(self.row_count).unwrap_or(u32::MAX);
        self.ranges
            .extend(other.ranges.iter().map(|range| KeyRange { start: range.start.saturating_add(shift), ..*range }));
        (0..other.keys.len()).for_each(|i| self.keys.push(other.keys.get(i)));
        self.extents.extend_from_slice(&other.extents);
        self.row_count += other.row_count;
    }
}

/// Bytes of one column of variable length that a file is let hold, half of what Arrow's offsets can.
const VARIABLE_BYTES_MAX: usize = 1 << 30;

impl Sorted {
    /// Whether one file cannot hold the rows.
    pub(crate) fn is_too_large(&self, pieces: &[&RowColumns]) -> bool {
        if self.row_count > RUN_ROWS_MAX {
            return true;
        }
        let all: usize = pieces.iter().flat_map(|piece| piece.arrays()).map(|a| a.get_buffer_memory_size()).sum();
        if self.row_count < 2 || all < VARIABLE_BYTES_MAX {
            return false;
        }
        let columns = pieces.iter().map(|piece| piece.features.len()).max().unwrap_or(0);
        let of_piece = |piece: &&RowColumns, ordinal: usize| {
            piece
                .features
                .get(ordinal)
                .and_then(Option::as_ref)
                .is_some_and(|array| array.data_type().primitive_width().is_none())
        };
        let is_variable = |ordinal: &usize| pieces.iter().any(|piece| of_piece(piece, *ordinal));
        (0..columns).filter(is_variable).any(|ordinal| {
            let sizes = self.extents.iter().map(|extent| {
                let array = pieces[extent.piece as usize].features.get(ordinal).and_then(Option::as_ref);
                let start = extent.start as usize;
                array.map_or(0, |array| variable_bytes(array, start, start + extent.len as usize))
            });
            sizes.sum::<usize>() > VARIABLE_BYTES_MAX
        })
    }

    /// Ranges of keys that fill files of about `file_bytes`, when all rows take `bytes`.
    pub(crate) fn split(&self, bytes: u64, file_bytes: u64) -> Vec<std::ops::Range<usize>> {
        let row_bytes = bytes / (self.row_count as u64).max(1) + 1;
        let sizes: Vec<u64> = self.ranges.iter().map(|range| u64::from(range.len) * row_bytes).collect();
        super::output::plan_files(&sizes, file_bytes)
    }

    /// The rows of a range of keys.
    pub(crate) fn part(&self, keys: std::ops::Range<usize>) -> Sorted {
        let mut part = Sorted::default();
        let Some(first) = self.ranges.get(keys.start) else { return part };
        let mut row = 0usize;
        let mut at = 0usize;
        while at < self.extents.len() && row < first.start as usize {
            row += self.extents[at].len as usize;
            at += 1;
        }
        // An extent belongs to one key: push_key was given it whole.
        for key in keys {
            let end = self.ranges[key].start as usize + self.ranges[key].len as usize;
            let from = at;
            while at < self.extents.len() && row < end {
                row += self.extents[at].len as usize;
                at += 1;
            }
            part.push_key(self.ranges[key].hash, self.keys.get(key), self.extents[from..at].iter().copied());
        }
        part
    }

    /// Two halves by rows; a key that lies across is in both.
    pub(crate) fn halve(&self) -> (Sorted, Sorted) {
        let middle = self.row_count / 2;
        let (mut front, mut back) = (Sorted::default(), Sorted::default());
        let mut extents = self.extents.iter().copied();
        let mut rest: Option<Extent> = None;
        let mut row = 0;
        for (i, range) in self.ranges.iter().enumerate() {
            let (mut before, mut after) = (Vec::new(), Vec::new());
            let end = row + range.len as usize;
            while row < end {
                let Some(extent) = rest.take().or_else(|| extents.next()) else { break };
                let stop = if row < middle { middle.min(end) } else { end };
                let len = (extent.len as usize).min(stop - row);
                let cut = u32::try_from(len).unwrap_or(extent.len);
                if cut < extent.len {
                    rest = Some(Extent { start: extent.start + cut, len: extent.len - cut, ..extent });
                }
                if row < middle { &mut before } else { &mut after }.push(Extent { len: cut, ..extent });
                row += len;
            }
            for (half, extents) in [(&mut front, before), (&mut back, after)] {
                if !extents.is_empty() {
                    half.push_key(range.hash, self.keys.get(i), extents);
                }
            }
        }
        (front, back)
    }
}

/// What these rows add to the column's largest count: bytes, or elements of a list, weighed by their width.
fn variable_bytes(array: &ArrayRef, start: usize, end: usize) -> usize {
    let between = |offsets: &[i32]| {
        let at = |i: usize| usize::try_from(offsets[i]).unwrap_or(0);
        (at(start), at(end))
    };
    match array.data_type() {
        ArrowType::Utf8 => {
            let (first, last) = between(array.as_string::<i32>().value_offsets());
            last - first
        }
        ArrowType::Binary => {
            let (first, last) = between(array.as_binary::<i32>().value_offsets());
            last - first
        }
        ArrowType::List(element) => {
            let list = array.as_list::<i32>();
            let (first, last) = between(list.value_offsets());
            let width = element.data_type().primitive_width().unwrap_or(4);
            ((last - first) * width).max(variable_bytes(list.values(), first, last))
        }
        _ => 0,
    }
}

#[derive(Clone, Copy)]
struct SortRow {
    hash: u64,
    event_ts: i64,
    piece: u32,
    row: u32,
}

/// Compares two rows of one key by row order: (event timestamp, created with absent first, seq).
pub(crate) fn compare_rows(left: (&RowColumns, u64, usize), right: (&RowColumns, u64, usize)) -> Ordering {
    let seq = |(columns, base, row): (&RowColumns, u64, usize)| base + columns.seq[row];
    compare_clocks((left.0, left.2), (right.0, right.2)).then_with(|| seq(left).cmp(&seq(right)))
}

/// Compares two rows by the clocks that the data set: (event timestamp, created with absent first).
pub(crate) fn compare_clocks(left: (&RowColumns, usize), right: (&RowColumns, usize)) -> Ordering {
    let created = |(columns, row): (&RowColumns, usize)| {
        let (values, nulls) = columns.created_values()?;
        nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| values[row])
    };
    let event_ts = |(columns, row): (&RowColumns, usize)| columns.event_ts[row];
    event_ts(left).cmp(&event_ts(right)).then_with(|| created(left).cmp(&created(right)))
}

/// Sorts the given ranges of rows of the pieces, and appends them. All their hashes share their first
/// `common_bits` bits and lie above those in `out`. With `hash_is_key`, keys of equal hashes are equal.
pub(crate) fn sort_into(
    pieces: &[&UnsortedRows],
    ranges: impl Iterator<Item = (u32, std::ops::Range<u32>)>,
    common_bits: u32,
    hash_is_key: bool,
    out: &mut Sorted,
) {
    let mut unsorted = Vec::new();
    for (piece, rows) in ranges {
        let source = pieces[piece as usize];
        unsorted.extend(rows.map(|row| SortRow {
            hash: source.hashes[row as usize],
            event_ts: source.columns.event_ts[row as usize],
            piece,
            row,
        }));
    }
    // Counting sort by the next few bits leaves groups of a key or a few, in the order they came.
    let bits = (unsorted.len().max(1).ilog2()).clamp(1, 14).min(63 - common_bits);
    let group_of = |row: &SortRow| usize::try_from((row.hash << common_bits) >> (64 - bits)).unwrap_or(0);
    let mut ends = vec![0usize; 1 << bits];
    unsorted.iter().for_each(|row| ends[group_of(row)] += 1);
    let mut next = 0;
    for end in &mut ends {
        next += std::mem::replace(end, next);
    }
    let mut rows = unsorted.clone();
    for row in &unsorted {
        let place = &mut ends[group_of(row)];
        rows[*place] = *row;
        *place += 1;
    }
    drop(unsorted);
    let mut start = 0;
    for end in ends {
        let group = &mut rows[start..end];
        start = end;
        if !group.is_sorted_by_key(|row| row.hash) {
            group.sort_by_key(|row| row.hash);
        }
        for alike in group.chunk_by_mut(|left, right| left.hash == right.hash) {
            if hash_is_key {
                sort_key(pieces, alike, out);
            } else {
                sort_hash(pieces, alike, out);
            }
        }
    }
}

fn sort_hash(pieces: &[&UnsortedRows], rows: &mut [SortRow], out: &mut Sorted) {
    let key = |row: &SortRow| pieces[row.piece as usize].keys.get(row.row as usize);
    let first = key(&rows[0]);
    if rows.iter().any(|row| key(row) != first) {
        rows.sort_by(|left, right| key(left).cmp(key(right)));
    }
    for alike in rows.chunk_by_mut(|left, right| key(left) == key(right)) {
        sort_key(pieces, alike, out);
    }
}

fn sort_key(pieces: &[&UnsortedRows], rows: &mut [SortRow], out: &mut Sorted) {
    let compare = |left: &SortRow, right: &SortRow| {
        left.event_ts.cmp(&right.event_ts).then_with(|| {
            let side = |row: &SortRow| (&pieces[row.piece as usize].columns, 0, row.row as usize);
            compare_rows(side(left), side(right))
        })
    };
    if !rows.is_sorted_by(|left, right| compare(left, right) != Ordering::Greater) {
        rows.sort_by(compare);
    }
    let extents = rows.iter().map(|row| Extent { piece: row.piece, start: row.row, len: 1 });
    let first = &rows[0];
    out.push_key(first.hash, pieces[first.piece as usize].keys.get(first.row as usize), extents);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_one_file_cannot_hold_are_halved_without_losing_any_or_their_order() {
        let mut sorted = Sorted::default();
        for (hash, lens) in [(1u64, &[3, 4][..]), (5, &[1]), (9, &[10, 1, 2])] {
            let start = u32::try_from(sorted.row_count).unwrap();
            let mut next = start;
            let extents: Vec<Extent> = lens
                .iter()
                .map(|&len| {
                    next += len;
                    Extent { piece: 0, start: next - len, len }
                })
                .collect();
            sorted.push_key(hash, &hash.to_le_bytes(), extents);
        }
        let rows = |sorted: &Sorted| -> Vec<u32> {
            sorted.extents.iter().flat_map(|extent| extent.start..extent.start + extent.len).collect()
        };
        let (front, back) = sorted.halve();
        assert_eq!((front.row_count, back.row_count), (10, 11));
        assert_eq!([rows(&front), rows(&back)].concat(), (0..21).collect::<Vec<_>>());
        assert_eq!(front.ranges.last(), Some(&KeyRange { hash: 9, start: 8, len: 2 }));
        assert_eq!(back.ranges, [KeyRange { hash: 9, start: 0, len: 11 }]);
        let parts = sorted.split(2_100, 900);
        let split: Vec<u32> = parts.iter().flat_map(|part| rows(&sorted.part(part.clone()))).collect();
        assert_eq!((parts.len(), split), (2, (0..21).collect()));
    }
}
