//! The spine of a join, prepared: its times, its keys encoded and hashed as one view needs them,
//! and its rows brought into the order that runs are sorted in.

use arrow_array::ArrayRef;
use arrow_buffer::{NullBuffer, ScalarBuffer};

use crate::error::{Error, Result};
use crate::key::{KeySchema, key_hash};
use crate::threads;

use super::keys::{KeyBytes, encode_columns};

/// How many hash bits rows are partitioned by: 2,048 buckets keep each column's part of one in cache.
const BUCKET_BITS: u32 = 11;

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

/// The spine's rows in the order of their top hash bits. Kept between chunks for its memory, and
/// between views that share keys.
#[derive(Debug, Default)]
pub struct Partition {
    pub(super) probes: Vec<Probe>,
    pub(super) row_count: usize,
}

/// The bucket of a hash.
#[inline]
pub(super) fn bucket(hash: u64) -> usize {
    usize::try_from(hash >> (u64::BITS - BUCKET_BITS)).unwrap_or(usize::MAX)
}

impl Partition {
    /// Brings the rows that have a key and a time into bucket order, by counting sort.
    ///
    /// # Errors
    /// The spine has 2^32 rows or more, or not as many times as keys.
    pub fn fill(&mut self, keys: &SpineKeys, times: &SpineTimes) -> Result<()> {
        let row_count = keys.len();
        if times.values.len() != row_count {
            let time_count = times.values.len();
            return Err(Error::invalid(format!("the spine has {row_count} keys and {time_count} timestamps")));
        }
        let too_many = |_| Error::invalid("a spine chunk has at most 2^32 - 1 rows").remedy("join it in parts");
        let row_count_u32 = u32::try_from(row_count).map_err(too_many)?;
        self.row_count = row_count;
        match NullBuffer::union(keys.nulls.as_ref(), times.nulls.as_ref()).filter(|nulls| nulls.null_count() > 0) {
            None => {
                self.sort(row_count, || (0..row_count_u32).zip(keys.hashes.iter().zip(times.values.iter())).map(probe))
            }
            Some(nulls) => self.sort(row_count - nulls.null_count(), || {
                let rows = (0..row_count_u32).zip(keys.hashes.iter().zip(times.values.iter()));
                rows.zip(nulls.iter()).filter(|(_, valid)| *valid).map(|(row, _)| probe(row))
            }),
        }
        Ok(())
    }

    fn sort<I: Iterator<Item = Probe>>(&mut self, count: usize, rows: impl Fn() -> I) {
        const BUCKETS: usize = 1 << BUCKET_BITS;
        let mut next = [0_usize; BUCKETS];
        rows().for_each(|probe| next[bucket(probe.hash)] += 1);
        let mut start = 0;
        for next in &mut next {
            start += std::mem::replace(next, start);
        }
        self.probes.resize(count, Probe::default());
        for probe in rows() {
            let at = &mut next[bucket(probe.hash)];
            self.probes[*at] = probe;
            *at += 1;
        }
    }
}

#[inline]
fn probe((position, (&hash, &at)): (u32, (&u64, &i64))) -> Probe {
    Probe { hash, at, position }
}
