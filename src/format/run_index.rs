//! The index file of a run: where each key's rows lie, a checksum of every block, and what can be
//! known of the run without reading it.
//!
//! ```text
//! head  := magic | u32 head checksum | u32 version | the fields of RunIndexHead | zeros to HEAD_FIXED_BYTES
//!          u32 per block of the run | u32 per block of the slots | feature statistics | zeros to a multiple of 64
//! slots := { u64 hash, u32 first row, u32 row count } x slot count; a slot of 0 rows is empty
//! ```
//!
//! The head checksum is the crc32c of everything behind it up to the slots. Slots stand in hash
//! order: a key's slot is its home, see [`SlotMap::home`], or one of those that follow, so probing
//! stops at an empty slot or at a larger hash.

/// First bytes of an index file.
pub const RUN_INDEX_MAGIC: [u8; 8] = *b"asof.idx";
/// The version this release writes.
pub const RUN_INDEX_VERSION: u32 = 1;
/// What one checksum covers, in the run and in the slots.
pub const BLOCK_BYTES: usize = 64 << 10;
/// The head before its tables.
pub const HEAD_FIXED_BYTES: usize = 192;
/// One slot.
pub const SLOT_BYTES: usize = 16;
/// Most rows of one run file: row numbers are u32, dictionary indices i32.
pub const RUN_ROWS_MAX: usize = 1 << 30;

const HEAD_CHECKSUM_AT: usize = 8;
const HEAD_CHECKED_FROM: usize = 12;
const SLOTS_ALIGN_BYTES: usize = 64;
/// Slots are filled to this share, in tenths.
const LOAD_TENTHS: u128 = 7;

/// One key's rows, as a slot tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexSlot {
    /// The key's hash.
    pub hash: u64,
    /// Its first row.
    pub start: u32,
    /// How many rows it has; 0 in an empty slot.
    pub len: u32,
}

impl IndexSlot {
    /// The slot in two little-endian words, as it stands in the file.
    #[inline]
    pub fn from_words(hash: u64, range: u64) -> IndexSlot {
        let [a, b, c, d, e, f, g, h] = range.to_le_bytes();
        IndexSlot { hash, start: u32::from_le_bytes([a, b, c, d]), len: u32::from_le_bytes([e, f, g, h]) }
    }

    fn to_words(self) -> [u64; 2] {
        [self.hash, u64::from(self.start) | u64::from(self.len) << 32]
    }
}

/// From hash to slot, keeping the order of hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotMap {
    /// The least hash of the run.
    pub hash_lo: u64,
    /// The greatest hash of the run.
    pub hash_hi: u64,
    /// Slots that a full span of hashes would have.
    pub multiplier: u64,
}

impl SlotMap {
    /// A map for this many keys between these hashes.
    pub fn new(hash_lo: u64, hash_hi: u64, key_count: usize) -> SlotMap {
        let wanted = key_count as u128 * 10 / LOAD_TENTHS + 1;
        let top = u128::from((hash_hi - hash_lo) << Self::shift_of(hash_lo, hash_hi)) + 1;
        let multiplier = u64::try_from((wanted << 64) / top.max(1 << 63)).unwrap_or(u64::MAX);
        SlotMap { hash_lo, hash_hi, multiplier }
    }

    fn shift_of(hash_lo: u64, hash_hi: u64) -> u32 {
        (hash_hi - hash_lo).leading_zeros().min(63)
    }

    /// The bits by which a hash is spread before it is multiplied.
    #[inline]
    pub fn shift(&self) -> u32 {
        Self::shift_of(self.hash_lo, self.hash_hi)
    }

    /// Whether the run can hold the hash at all.
    #[inline]
    pub fn covers(&self, hash: u64) -> bool {
        self.hash_lo <= hash && hash <= self.hash_hi
    }

    /// The first slot where a covered hash may stand.
    #[inline]
    pub fn home(&self, hash: u64) -> usize {
        let spread = u128::from((hash - self.hash_lo) << self.shift());
        // The high half of a 128-bit product fits u64, and asof runs on 64-bit machines only.
        usize::try_from((spread * u128::from(self.multiplier)) >> 64).unwrap_or(usize::MAX)
    }
}

/// What the fixed part of the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunIndexHead {
    /// Length of the run file.
    pub run_bytes: u64,
    /// Rows in the run.
    pub row_count: u64,
    /// Keys in the run.
    pub key_count: u64,
    /// Slots that follow the head.
    pub slot_count: u64,
    /// Features the run holds.
    pub feature_count: u64,
    /// Where the slots begin.
    pub slots_start: u64,
    /// From hash to slot.
    pub slot_map: SlotMap,
    /// Least event timestamp.
    pub min_event_ts: i64,
    /// Greatest event timestamp.
    pub max_event_ts: i64,
    /// Least sequence number, relative to the run's base.
    pub min_seq: u64,
    /// Greatest sequence number, relative to the run's base.
    pub max_seq: u64,
}

/// What is known of one feature's column. Values are encoded as [`crate::format::value::encode_value`] does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureStats {
    /// Rows without a value.
    pub null_count: u64,
    /// Least value, of types of fixed width; NaN is passed over.
    pub min: Option<Vec<u8>>,
    /// Greatest value.
    pub max: Option<Vec<u8>>,
}

/// A head as it was read, checked against its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunIndex {
    /// The fixed part.
    pub head: RunIndexHead,
    /// The head's checksum, which covers the checksums of everything else: it names both files' contents.
    pub checksum: u32,
    /// One checksum per block of the run file.
    pub run_checksums: Vec<u32>,
    /// One checksum per block of the slots.
    pub slot_checksums: Vec<u32>,
    /// Per feature.
    pub features: Vec<FeatureStats>,
}

/// Encodes the slots of a run's keys, given in row order as (hash, first row, row count).
pub fn encode_slots(slot_map: &SlotMap, keys: impl Iterator<Item = IndexSlot>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for slot in keys {
        let home = slot_map.home(slot.hash);
        // Keys come in hash order, so a slot that is taken moves the key to the next free one.
        bytes.resize(bytes.len().max(home * SLOT_BYTES), 0);
        for word in slot.to_words() {
            bytes.extend(word.to_le_bytes());
        }
    }
    bytes
}

/// Encodes a whole index file; gives it and its checksum. `head.slot_count` and `head.slots_start` are set here.
pub fn encode_index(
    head: &RunIndexHead,
    run_checksums: &[u32],
    features: &[FeatureStats],
    slots: &[u8],
) -> (Vec<u8>, u32) {
    let mut out = vec![0; HEAD_FIXED_BYTES];
    out.extend(run_checksums.iter().flat_map(|checksum| checksum.to_le_bytes()));
    out.extend(slots.chunks(BLOCK_BYTES).flat_map(|block| crc32c::crc32c(block).to_le_bytes()));
    for stats in features {
        out.extend(stats.null_count.to_le_bytes());
        for bound in [&stats.min, &stats.max] {
            let bytes = bound.as_deref().unwrap_or_default();
            // Bounds are kept for types of fixed width only, at most 16 bytes; 255 stands for none.
            out.push(bound.as_ref().map_or(u8::MAX, |_| u8::try_from(bytes.len()).unwrap_or(u8::MAX)));
            out.extend(bytes);
        }
    }
    out.resize(out.len().next_multiple_of(SLOTS_ALIGN_BYTES), 0);
    let words = [
        head.run_bytes,
        head.row_count,
        head.key_count,
        (slots.len() / SLOT_BYTES) as u64,
        head.feature_count,
        out.len() as u64,
        head.slot_map.hash_lo,
        head.slot_map.hash_hi,
        head.slot_map.multiplier,
        head.min_event_ts.cast_unsigned(),
        head.max_event_ts.cast_unsigned(),
        head.min_seq,
        head.max_seq,
    ];
    out[..8].copy_from_slice(&RUN_INDEX_MAGIC);
    out[12..16].copy_from_slice(&RUN_INDEX_VERSION.to_le_bytes());
    for (word, place) in words.iter().zip(out[16..HEAD_FIXED_BYTES].chunks_exact_mut(8)) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let checksum = crc32c::crc32c(&out[HEAD_CHECKED_FROM..]);
    out[HEAD_CHECKSUM_AT..HEAD_CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    out.extend(slots);
    (out, checksum)
}

/// Why an index file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexFault {
    /// The bytes are not what was written.
    Damaged(&'static str),
    /// Sound, and of this later version.
    Newer(u32),
}

/// Reads and checks the head of an index file.
///
/// # Errors
/// What is wrong with it.
pub fn decode_index(file: &[u8]) -> Result<RunIndex, IndexFault> {
    let cut_short = IndexFault::Damaged("index cut short");
    let fixed = file.first_chunk::<HEAD_FIXED_BYTES>().ok_or(cut_short)?;
    if fixed[..8] != RUN_INDEX_MAGIC {
        return Err(IndexFault::Damaged("no index of a run"));
    }
    let u32_at = |at: usize| u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]);
    let word = |i: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&fixed[16 + i * 8..24 + i * 8]);
        u64::from_le_bytes(bytes)
    };
    let len = |i: usize| usize::try_from(word(i)).map_err(|_| cut_short);
    let slots_start = len(5)?;
    if slots_start < HEAD_FIXED_BYTES || slots_start > file.len() {
        return Err(cut_short);
    }
    let checksum = u32_at(HEAD_CHECKSUM_AT);
    if crc32c::crc32c(&file[HEAD_CHECKED_FROM..slots_start]) != checksum {
        return Err(IndexFault::Damaged("the head's checksum does not match"));
    }
    let version = u32_at(12);
    if version != RUN_INDEX_VERSION {
        return Err(IndexFault::Newer(version));
    }
    // From here on the bytes are what a writer wrote; what follows guards against a writer in error.
    let slot_bytes = len(3)?.checked_mul(SLOT_BYTES).ok_or(cut_short)?;
    if slots_start.checked_add(slot_bytes) != Some(file.len()) {
        return Err(cut_short);
    }
    let head = RunIndexHead {
        run_bytes: word(0),
        row_count: word(1),
        key_count: word(2),
        slot_count: word(3),
        feature_count: word(4),
        slots_start: word(5),
        slot_map: SlotMap { hash_lo: word(6), hash_hi: word(7), multiplier: word(8) },
        min_event_ts: word(9).cast_signed(),
        max_event_ts: word(10).cast_signed(),
        min_seq: word(11),
        max_seq: word(12),
    };
    if head.slot_map.hash_lo > head.slot_map.hash_hi {
        return Err(IndexFault::Damaged("its range of hashes is empty"));
    }
    let mut tables = &file[HEAD_FIXED_BYTES..slots_start];
    let run_checksums = take_checksums(&mut tables, len(0)?.div_ceil(BLOCK_BYTES)).ok_or(cut_short)?;
    let slot_checksums = take_checksums(&mut tables, slot_bytes.div_ceil(BLOCK_BYTES)).ok_or(cut_short)?;
    let mut features = Vec::new();
    for _ in 0..head.feature_count {
        features.push(take_stats(&mut tables).ok_or(cut_short)?);
    }
    Ok(RunIndex { head, checksum, run_checksums, slot_checksums, features })
}

fn take_checksums(tables: &mut &[u8], count: usize) -> Option<Vec<u32>> {
    let (front, rest) = tables.split_at_checked(count.checked_mul(4)?)?;
    *tables = rest;
    Some(front.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(*four)).collect())
}

fn take_stats(tables: &mut &[u8]) -> Option<FeatureStats> {
    let (null_count, rest) = tables.split_first_chunk::<8>()?;
    *tables = rest;
    let mut bound = || -> Option<Option<Vec<u8>>> {
        let (len, rest) = tables.split_first()?;
        let len = if *len == u8::MAX { None } else { Some(usize::from(*len)) };
        let (bytes, rest) = rest.split_at_checked(len.unwrap_or(0))?;
        *tables = rest;
        Some(len.map(|_| bytes.to_vec()))
    };
    Some(FeatureStats { null_count: u64::from_le_bytes(*null_count), min: bound()?, max: bound()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index_of(hashes: &[u64]) -> (RunIndexHead, Vec<u8>, Vec<u8>) {
        let slot_map = SlotMap::new(hashes[0], hashes[hashes.len() - 1], hashes.len());
        let slots =
            encode_slots(&slot_map, hashes.iter().zip(0..).map(|(&hash, i)| IndexSlot { hash, start: i * 3, len: 3 }));
        let head = RunIndexHead {
            run_bytes: 200_000,
            row_count: 3 * hashes.len() as u64,
            key_count: hashes.len() as u64,
            slot_count: (slots.len() / SLOT_BYTES) as u64,
            feature_count: 2,
            slots_start: 0,
            slot_map,
            min_event_ts: -5,
            max_event_ts: 9,
            min_seq: 1,
            max_seq: 2,
        };
        let features = [
            FeatureStats { null_count: 4, min: Some(vec![1, 2]), max: Some(vec![]) },
            FeatureStats { null_count: 0, min: None, max: None },
        ];
        let (file, _) = encode_index(&head, &[1, 2, 3, 4], &features, &slots);
        (head, slots, file)
    }

    #[test]
    fn an_index_comes_back_and_every_flipped_byte_of_its_head_is_noticed() {
        let (head, _, file) = index_of(&[3, 500, u64::MAX]);
        let index = decode_index(&file).unwrap();
        assert_eq!(RunIndexHead { slots_start: index.head.slots_start, ..head }, index.head);
        assert_eq!(index.run_checksums, [1, 2, 3, 4]);
        assert_eq!(index.features[0], FeatureStats { null_count: 4, min: Some(vec![1, 2]), max: Some(vec![]) });
        for at in 0..usize::try_from(index.head.slots_start).unwrap() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            assert!(decode_index(&damaged).is_err(), "byte {at} was not missed");
        }
        assert!(decode_index(&file[..file.len() - 1]).is_err());
    }

    #[test]
    fn slots_keep_the_order_of_hashes_and_every_hash_is_at_or_after_its_home() {
        let spread: Vec<u64> = (0..10_000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let narrow: Vec<u64> = (0..10_000u64).map(|i| 77 + i * 3).collect();
        let collide = vec![9, 9, 9, 10, 10];
        for mut hashes in [spread, narrow, collide, vec![u64::MAX], vec![0, u64::MAX], vec![0; 100]] {
            hashes.sort_unstable();
            let (head, slots, _) = index_of(&hashes);
            assert!(slots.len() / SLOT_BYTES <= hashes.len() * 2 + 2, "{} keys", hashes.len());
            let mut found = Vec::new();
            for (at, slot) in slots.as_chunks::<16>().0.iter().enumerate() {
                let (hash, range) = slot.split_first_chunk::<8>().unwrap();
                let slot =
                    IndexSlot::from_words(u64::from_le_bytes(*hash), u64::from_le_bytes(range.try_into().unwrap()));
                if slot.len > 0 {
                    let home = head.slot_map.home(slot.hash);
                    assert!(home <= at);
                    assert!((home..at).all(|i| slots[i * 16 + 12] != 0), "a gap between home and slot");
                    found.push(slot.hash);
                }
            }
            assert_eq!(found, hashes);
        }
    }
}
