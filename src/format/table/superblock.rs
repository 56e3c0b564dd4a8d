//! The superblock: what a latest table is, and how far it had come.

use std::mem::{offset_of, size_of};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::LIVE_EPOCH;
use crate::format::truncate::Truncate;

/// First word of a superblock.
pub const MAGIC: u64 = u64::from_le_bytes(*b"asoflate");
/// The layout this code reads and writes.
pub const FORMAT_VERSION: u64 = 1;
/// Words of a superblock: one sector each, so that a torn write spoils only one.
pub const SUPERBLOCK_WORDS: usize = 64;
/// Where the two superblocks lie.
pub const SUPERBLOCKS_AT: [usize; 2] = [0, SUPERBLOCK_WORDS];

/// What it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Superblock {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`FORMAT_VERSION`].
    pub format_version: u64,
    /// The greater of two is the newer.
    pub generation: u64,
    /// The store the table belongs to.
    pub store_uuid: [u64; 2],
    /// Seed of the key hash.
    pub hash_seed: u64,
    /// Digest of the slot's layout.
    pub layout_digest: u64,
    /// Width of every key in bytes, or `u64::MAX` where keys vary.
    pub key_bytes: u64,
    /// Fields of a row.
    pub field_count: u64,
    /// Bytes of a slot.
    pub slot_bytes: u64,
    /// Device and inode: tells the file from a copy.
    pub identity: [u64; 2],
    /// The boot during which the table was last written.
    pub boot_id: [u64; 2],
    /// 1 after a clean close, when everything was synced.
    pub is_clean: u64,
    /// Nonzero while rows are missing; readers take the as-of path.
    pub behind: u64,
    /// Every row up to it has been applied.
    pub applied_seq: u64,
    /// The log position that follows those rows.
    pub applied_log: u64,
    /// The directory, as [`DirectoryWord`](super::DirectoryWord).
    pub directory: u64,
    /// First word never used.
    pub used_end: u64,
    /// The file's length in words.
    pub file_end: u64,
    /// Keys in the table.
    pub key_count: u64,
    /// Words known free.
    pub free_words: u64,
    /// Words lost to killed writers.
    pub lost_words: u64,
    /// Where a clean close left the list of free space; 0 for nowhere.
    pub free_list_at: u64,
    /// Words of that list.
    pub free_list_words: u64,
    /// Whether rows before some place are left out ([`FLOOR_IS`]), and whether that place has a created timestamp
    /// ([`FLOOR_HAS_CREATED`]).
    pub floor_flags: u64,
    /// The event time of that place.
    pub floor_event_ts: u64,
    /// Its created timestamp.
    pub floor_created: u64,
    /// Its number.
    pub floor_seq: u64,
}

/// Flag of [`Superblock::floor_flags`]: the view was truncated, and rows before the greatest truncate are not in the table.
pub const FLOOR_IS: u64 = 1;
/// Flag of [`Superblock::floor_flags`]: that truncate has a created timestamp.
pub const FLOOR_HAS_CREATED: u64 = 2;

const FIELDS_WORDS: usize = size_of::<Superblock>() / 8;
const CHECKSUM_AT: usize = SUPERBLOCK_WORDS - 1;

const _: () = assert!(size_of::<Superblock>() == 240);
const _: () = assert!(FIELDS_WORDS <= CHECKSUM_AT);
const _: () = assert!(offset_of!(Superblock, hash_seed) == 40);
const _: () = assert!(offset_of!(Superblock, identity) == 80);
const _: () = assert!(offset_of!(Superblock, is_clean) == 112);
const _: () = assert!(offset_of!(Superblock, applied_seq) == 128);
const _: () = assert!(offset_of!(Superblock, directory) == 144);
const _: () = assert!(offset_of!(Superblock, free_list_words) == 200);
const _: () = assert!(offset_of!(Superblock, floor_seq) == 232);
const _: () = assert!(SUPERBLOCK_WORDS * 8 == 512 && LIVE_EPOCH >= 2 * SUPERBLOCK_WORDS);

impl Superblock {
    /// The words of the superblock at position `slot` (0 or 1), its checksum last.
    pub fn encode(&self, slot: usize) -> [u64; SUPERBLOCK_WORDS] {
        let mut words = [0; SUPERBLOCK_WORDS];
        let fields: [u64; FIELDS_WORDS] = [
            self.magic,
            self.format_version,
            self.generation,
            self.store_uuid[0],
            self.store_uuid[1],
            self.hash_seed,
            self.layout_digest,
            self.key_bytes,
            self.field_count,
            self.slot_bytes,
            self.identity[0],
            self.identity[1],
            self.boot_id[0],
            self.boot_id[1],
            self.is_clean,
            self.behind,
            self.applied_seq,
            self.applied_log,
            self.directory,
            self.used_end,
            self.file_end,
            self.key_count,
            self.free_words,
            self.lost_words,
            self.free_list_at,
            self.free_list_words,
            self.floor_flags,
            self.floor_event_ts,
            self.floor_created,
            self.floor_seq,
        ];
        words[..FIELDS_WORDS].copy_from_slice(&fields);
        words[CHECKSUM_AT] = superblock_checksum(&words, slot);
        words
    }

    /// Reads the superblock at position `slot`; `None` when its checksum or magic disagrees.
    pub fn decode(words: &[u64; SUPERBLOCK_WORDS], slot: usize) -> Option<Superblock> {
        if words[CHECKSUM_AT] != superblock_checksum(words, slot) || words[0] != MAGIC {
            return None;
        }
        Some(Superblock {
            magic: words[0],
            format_version: words[1],
            generation: words[2],
            store_uuid: [words[3], words[4]],
            hash_seed: words[5],
            layout_digest: words[6],
            key_bytes: words[7],
            field_count: words[8],
            slot_bytes: words[9],
            identity: [words[10], words[11]],
            boot_id: [words[12], words[13]],
            is_clean: words[14],
            behind: words[15],
            applied_seq: words[16],
            applied_log: words[17],
            directory: words[18],
            used_end: words[19],
            file_end: words[20],
            key_count: words[21],
            free_words: words[22],
            lost_words: words[23],
            free_list_at: words[24],
            free_list_words: words[25],
            floor_flags: words[26],
            floor_event_ts: words[27],
            floor_created: words[28],
            floor_seq: words[29],
        })
    }

    /// The truncate that deleted what is not in the table: no row is that comes before it.
    pub fn floor(&self) -> Option<Truncate> {
        let created = (self.floor_flags & FLOOR_HAS_CREATED != 0).then_some(self.floor_created.cast_signed());
        let floor = Truncate { event_ts: self.floor_event_ts.cast_signed(), created, seq: self.floor_seq };
        (self.floor_flags & FLOOR_IS != 0).then_some(floor)
    }

    /// This superblock with another floor.
    pub fn with_floor(self, floor: Option<Truncate>) -> Superblock {
        let Some(Truncate { event_ts, created, seq }) = floor else {
            return Superblock { floor_flags: 0, floor_event_ts: 0, floor_created: 0, floor_seq: 0, ..self };
        };
        Superblock {
            floor_flags: FLOOR_IS | if created.is_some() { FLOOR_HAS_CREATED } else { 0 },
            floor_event_ts: event_ts.cast_unsigned(),
            floor_created: created.unwrap_or(0).cast_unsigned(),
            floor_seq: seq,
            ..self
        }
    }
}

fn superblock_checksum(words: &[u64; SUPERBLOCK_WORDS], slot: usize) -> u64 {
    let mut bytes = [0; CHECKSUM_AT * 8];
    for (word, out) in words.iter().zip(bytes.as_chunks_mut::<8>().0) {
        *out = word.to_le_bytes();
    }
    xxh3_64_with_seed(&bytes, slot as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superblock_comes_back_and_no_changed_bit_is_taken() {
        let floor = Truncate { event_ts: -5, created: Some(-6), seq: 7 };
        let block = Superblock { magic: MAGIC, applied_seq: 7, free_list_words: 9, ..Superblock::default() };
        assert_eq!(block.floor(), None);
        for floor in [Some(floor), Some(Truncate { created: None, ..floor }), None] {
            assert_eq!(block.with_floor(floor).floor(), floor);
        }
        let block = block.with_floor(Some(floor));
        let words = block.encode(1);
        assert_eq!(Superblock::decode(&words, 1), Some(block));
        assert_eq!(Superblock::decode(&words, 0), None, "a superblock in the other's place was taken");
        for at in 0..SUPERBLOCK_WORDS {
            for bit in 0..64 {
                let mut damaged = words;
                damaged[at] ^= 1 << bit;
                assert_eq!(Superblock::decode(&damaged, 1), None);
            }
        }
    }
}
