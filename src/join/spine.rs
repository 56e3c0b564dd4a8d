//! The spine of a join, prepared: its times, its keys encoded and hashed as one view needs them,
//! and its rows brought into the order that runs are sorted in.

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_buffer::{NullBuffer, ScalarBuffer};

use crate::error::{Error, Result};
use crate::key::{KeySchema, key_hash};
use crate::threads;

use super::keys::{KeyBytes, encode_columns};

/// How many hash bits rows are partitioned by: 2,048 buckets keep each column's part of one in cache.
const BUCKET_BITS: u32 = 11;
const BUCKETS: usize = 1 << BUCKET_BITS;
/// Each thread looks at all rows for those of its buckets: more threads than this would look for longer than they bring in order.
const PARTS_MAX: usize = 8;
/// Fewer rows than this are in order sooner than a thread is started.
const PARALLEL_ROWS_MIN: usize = 1 << 16;

/// The instants of a spine, one per row.
#[derive(Clone, Debug)]
pub struct SpineTimes {
    /// Microseconds since 1970.
    pub values: ScalarBuffer<i64>,
    /// Rows without one match nothing.
    pub nulls: Option<NullBuffer>,
}

/// The keys of a spine as one view encodes them, one per row.
#[derive(Clone, Debug)]
pub struct SpineKeys {
    pub(super) bytes: KeyBytes,
    pub(super) hashes: Vec<u64>,
    pub(super) nulls: Option<NullBuffer>,
    /// Distinct keys have distinct hashes, so that equal hashes need no second look.
    pub(super) hash_is_key: bool,
}

impl SpineKeys {
    /// Encodes and hashes the key columns, given in the schema's order and of the join keys' own types. A key with a null
    /// matches nothing.
    ///
    /// # Errors
    /// A column is of another type, or of another length.
    pub fn encode(
        schema: &KeySchema,
        columns: &[ArrayRef],
        row_count: usize,
        seed: u64,
        threads: usize,
    ) -> Result<Self> {
        let (bytes, nulls) = encode_columns(schema, columns, row_count)?;
        let mut hashes = vec![0; row_count];
        let chunk = row_count.div_ceil(threads.max(1)).max(1);
        threads::each(hashes.chunks_mut(chunk).enumerate(), |(part, hashes)| {
            for (row, hash) in (part * chunk..).zip(hashes) {
                *hash = key_hash(seed, bytes.get(row));
            }
        });
        Ok(SpineKeys { bytes, hashes, nulls, hash_is_key: schema.hash_is_key() })
    }

    /// Keys hashed elsewhere. Equal hashes are told apart by their keys.
    pub fn from_hashed<'k>(keys: impl IntoIterator<Item = (u64, Option<&'k [u8]>)>) -> Self {
        let (mut bytes, mut hashes, mut valid) = (KeyBytes::default(), Vec::new(), Vec::new());
        for (hash, key) in keys {
            bytes.push(key.unwrap_or_default());
            hashes.push(hash);
            valid.push(key.is_some());
        }
        SpineKeys { bytes, hashes, nulls: Some(NullBuffer::from(valid)), hash_is_key: false }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The encoded key of a row.
    #[inline]
    pub fn key(&self, row: usize) -> &[u8] {
        self.bytes.get(row)
    }
}

/// One spine row that can match something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probe {
    pub hash: u64,
    /// The instant it asks about.
    pub at: i64,
    /// Its position in the spine.
    pub position: u32,
}

/// The spine's rows in the order of their top hash bits, in parts. Kept between chunks for its memory, and
/// between views that share keys.
#[derive(Debug, Default)]
pub struct Partition {
    /// One after the other they are all rows.
    parts: Vec<Vec<Probe>>,
}

/// The bucket of a hash.
#[inline]
pub(super) fn bucket(hash: u64) -> usize {
    usize::try_from(hash >> (u64::BITS - BUCKET_BITS)).unwrap_or(usize::MAX)
}

impl Partition {
    /// Brings the rows that have a key and a time into bucket order, by counting sort over `threads` threads.
    ///
    /// # Errors
    /// The spine has 2^32 rows or more, or not as many times as keys.
    pub fn fill(&mut self, keys: &SpineKeys, times: &SpineTimes, threads: usize) -> Result<()> {
        let row_count = keys.len();
        if times.values.len() != row_count {
            let time_count = times.values.len();
            return Err(Error::invalid(format!("the spine has {row_count} keys and {time_count} timestamps")));
        }
        let too_many = |_| Error::invalid("a spine chunk has at most 2^32 - 1 rows").remedy("join it in parts");
        let row_count_u32 = u32::try_from(row_count).map_err(too_many)?;
        let threads = if row_count < PARALLEL_ROWS_MIN { 1 } else { threads };
        self.parts.resize_with(threads.clamp(1, PARTS_MAX), Vec::new);
        let rows = || (0..row_count_u32).zip(keys.hashes.iter().zip(times.values.iter()));
        match NullBuffer::union(keys.nulls.as_ref(), times.nulls.as_ref()).filter(|nulls| nulls.null_count() > 0) {
            None => self.sort(|| rows().map(probe)),
            Some(nulls) => {
                self.sort(|| rows().zip(nulls.iter()).filter(|(_, valid)| *valid).map(|(row, _)| probe(row)));
            }
        }
        Ok(())
    }

    fn sort<I: Iterator<Item = Probe>>(&mut self, rows: impl Fn() -> I + Sync) {
        let buckets_each = BUCKETS.div_ceil(self.parts.len());
        threads::each(self.parts.iter_mut().enumerate(), |(part, probes)| {
            let first = part * buckets_each;
            sort_part(first..BUCKETS.min(first + buckets_each), &rows, probes);
        });
    }

    /// About `count` pieces that have alike many rows, in order.
    pub(super) fn pieces(&self, count: usize) -> Vec<&[Probe]> {
        let rows: usize = self.parts.iter().map(Vec::len).sum();
        let piece_rows = rows.div_ceil(count.max(1)).max(1);
        self.parts.iter().flat_map(|part| part.chunks(piece_rows)).collect()
    }
}

/// The rows of these buckets, in bucket order.
fn sort_part<I: Iterator<Item = Probe>>(buckets: Range<usize>, rows: impl Fn() -> I, probes: &mut Vec<Probe>) {
    // Rows of other buckets are put, each over the one before, behind the last of these: a branch would be guessed wrong.
    let others = buckets.len();
    let place = |probe: &Probe| bucket(probe.hash).wrapping_sub(buckets.start).min(others);
    let mut next = vec![0_usize; others + 1];
    rows().for_each(|probe| next[place(&probe)] += 1);
    let mut start = 0;
    for next in &mut next {
        start += std::mem::replace(next, start);
    }
    let count = next[others];
    probes.resize(count + 1, Probe::default());
    for probe in rows() {
        let place = place(&probe);
        probes[next[place]] = probe;
        next[place] += usize::from(place < others);
    }
    probes.truncate(count);
}

#[inline]
fn probe((position, (&hash, &at)): (u32, (&u64, &i64))) -> Probe {
    Probe { hash, at, position }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Random;

    #[test]
    fn rows_are_in_bucket_order_and_within_a_bucket_as_they_came_over_any_number_of_threads() {
        let mut random = Random::new(1);
        let count = PARALLEL_ROWS_MIN + 4_321;
        // A third of the rows are of one key.
        let hashes: Vec<u64> = (0..count).map(|_| if random.below(3) == 0 { 7 << 60 } else { random.bits() }).collect();
        let valid: Vec<bool> = (0..count).map(|_| random.below(10) > 0).collect();
        let times = SpineTimes { values: (0..count as i64).collect(), nulls: Some(NullBuffer::from(valid.clone())) };
        let keys = SpineKeys::from_hashed(hashes.iter().map(|&hash| (hash, Some(&b"key"[..]))));
        let mut wanted: Vec<u32> = (0..count as u32).filter(|&row| valid[row as usize]).collect();
        wanted.sort_by_key(|&row| bucket(hashes[row as usize]));
        let mut partition = Partition::default();
        for threads in [1, 2, 3, 8, 100, 2] {
            partition.fill(&keys, &times, threads).unwrap();
            assert_eq!(partition.parts.len(), threads.min(PARTS_MAX));
            let pieces = partition.pieces(threads);
            let longest = pieces.iter().map(|piece| piece.len()).max().unwrap();
            assert!(longest <= wanted.len().div_ceil(threads), "a thread has more to do than its share");
            let probes: Vec<&Probe> = pieces.into_iter().flatten().collect();
            let positions: Vec<u32> = probes.iter().map(|probe| probe.position).collect();
            assert!(positions == wanted, "over {threads} threads");
            let is_row = |probe: &&Probe| {
                let row = probe.position as usize;
                (probe.hash, probe.at) == (hashes[row], row as i64)
            };
            assert!(probes.iter().all(is_row), "over {threads} threads");
        }
    }
}
