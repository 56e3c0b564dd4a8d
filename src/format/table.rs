//! The latest table's fixed structures: superblocks, live words, directory, shards, check words.
//! All of it is 64-bit little-endian words; positions count words from the file's start.

mod superblock;

pub use superblock::{
    FLOOR_HAS_CREATED, FLOOR_IS, FORMAT_VERSION, MAGIC, SUPERBLOCK_WORDS, SUPERBLOCKS_AT, Superblock,
};

// Positions in the file are indices into the mapping.
const _: () = assert!(usize::BITS == 64);

/// Words of the header page; the first directory follows.
pub const HEADER_WORDS: usize = 512;
/// Raised with every move of a shard or the directory, before the space left is used again.
pub const LIVE_EPOCH: usize = 128;
/// The directory's [`DirectoryWord`].
pub const LIVE_DIRECTORY: usize = 129;
/// Where unused space begins, as [`sealed`] word.
pub const LIVE_USED_END: usize = 130;
/// [`LiveState`]: on a cache line of its own, for it is written with every commit.
pub const LIVE_STATE: usize = 136;
/// Of [`LiveState`], the word of `behind`.
pub const LIVE_BEHIND: usize = LIVE_STATE + 2;

/// Extents are multiples of a cache line.
pub const LINE_WORDS: usize = 8;
/// Slots that share one group of tags.
pub const GROUP_SLOTS: usize = 16;
/// Words before a shard's tags: its entry, its count of slots in use, zeros.
pub const SHARD_HEADER_WORDS: usize = 8;
/// Most groups of a shard.
pub const SHARD_GROUPS_MAX: usize = 0xffff;
/// Deepest directory.
pub const DIRECTORY_DEPTH_MAX: u32 = 36;
const _: () = assert!(LIVE_STATE.is_multiple_of(LINE_WORDS) && LIVE_STATE + 4 <= HEADER_WORDS);

/// Two words as one set of 16 bytes.
pub fn words_of(bytes: [u8; 16]) -> [u64; 2] {
    let wide = u128::from_le_bytes(bytes);
    [(wide & u128::from(u64::MAX)) as u64, (wide >> 64) as u64]
}

const P1: u64 = 0x9e37_79b9_7f4a_7c15;
const P2: u64 = 0xd6e8_feb8_6659_fd93;
const P3: u64 = 0xff51_afd7_ed55_8ccd;
const _: () = assert!(P1 & P2 & P3 & 1 == 1, "odd factors lose no bits");

/// Mixes `a` and `b` so that a change of either alone always shows.
#[inline]
pub const fn mix(a: u64, b: u64) -> u64 {
    let mut h = a.wrapping_mul(P1).rotate_left(32) ^ b;
    h = h.wrapping_mul(P2);
    h ^= h >> 29;
    h.wrapping_mul(P3)
}

const SEAL_BITS: u32 = 18;
const SEALED_BITS: u32 = 64 - SEAL_BITS;

/// `value`, below 2^46, with 18 check bits above it: a word that is checked by itself.
#[inline]
pub const fn sealed(value: u64, purpose: usize) -> u64 {
    assert!(value >> SEALED_BITS == 0, "a sealed value has 46 bits");
    value | (mix(value, purpose as u64) >> SEALED_BITS) << SEALED_BITS
}

/// The value of a sealed word.
#[inline]
pub const fn unsealed(word: u64, purpose: usize) -> Option<u64> {
    let value = word & ((1 << SEALED_BITS) - 1);
    if sealed(value, purpose) == word && word != 0 { Some(value) } else { None }
}

/// Where the directory lies and how many hash bits index it: line number << 6 | depth, sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryWord {
    /// First word of its entries.
    pub start: usize,
    /// Top bits of the hash that index it.
    pub depth: u32,
}

impl DirectoryWord {
    /// The word.
    pub fn encode(self) -> u64 {
        debug_assert!(self.start.is_multiple_of(LINE_WORDS));
        sealed(((self.start / LINE_WORDS) as u64) << 6 | u64::from(self.depth), LIVE_DIRECTORY)
    }

    /// Reads the word.
    #[inline]
    pub fn decode(word: u64) -> Option<DirectoryWord> {
        let value = unsealed(word, LIVE_DIRECTORY)?;
        let depth = (value & 63) as u32;
        if depth > DIRECTORY_DEPTH_MAX {
            return None;
        }
        Some(DirectoryWord { start: (value >> 6) as usize * LINE_WORDS, depth })
    }

    /// How many entries.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a directory has at least one entry")]
    pub fn len(self) -> usize {
        1 << self.depth
    }

    /// The position of the entry for `hash`.
    #[inline]
    pub fn entry_at(self, hash: u64) -> usize {
        self.start + prefix(hash, self.depth) as usize
    }
}

/// The top `depth` bits of `hash`.
#[inline]
pub const fn prefix(hash: u64, depth: u32) -> u64 {
    hash >> 1 >> (63 - depth)
}

/// A shard as the directory names it: line number (42 bits) << 22 | groups (16) << 6 | depth (6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// First word of its header.
    pub start: usize,
    /// Groups of [`GROUP_SLOTS`] slots.
    pub groups: usize,
    /// Top bits that all its hashes share.
    pub depth: u32,
}

impl Shard {
    /// The directory's entry.
    pub fn encode(self) -> u64 {
        debug_assert!(self.start.is_multiple_of(LINE_WORDS) && (1..=SHARD_GROUPS_MAX).contains(&self.groups));
        ((self.start / LINE_WORDS) as u64) << 22 | (self.groups as u64) << 6 | u64::from(self.depth)
    }

    /// Reads an entry; `None` when it is none.
    #[inline]
    pub fn decode(entry: u64) -> Option<Shard> {
        let shard = Shard::unchecked(entry);
        (shard.groups != 0 && shard.depth <= DIRECTORY_DEPTH_MAX).then_some(shard)
    }

    /// What an entry says, whether or not it makes sense.
    #[inline]
    pub fn unchecked(entry: u64) -> Shard {
        let (line, groups) = (entry >> 22, entry >> 6 & 0xffff);
        Shard { start: line as usize * LINE_WORDS, groups: groups as usize, depth: (entry & 63) as u32 }
    }

    /// Slots it has.
    pub fn slots(self) -> usize {
        self.groups * GROUP_SLOTS
    }

    /// The first tag word of a group.
    #[inline]
    pub fn tags_at(self, group: usize) -> usize {
        self.start + SHARD_HEADER_WORDS + 2 * group
    }

    /// The check word of a group.
    #[inline]
    pub fn check_at(self, group: usize) -> usize {
        self.start + SHARD_HEADER_WORDS + 2 * self.groups + group
    }

    /// The first word of a slot.
    #[inline]
    pub fn slot_at(self, slot: usize, slot_words: usize) -> usize {
        self.start + SHARD_HEADER_WORDS + (3 * self.groups).div_ceil(LINE_WORDS) * LINE_WORDS + slot * slot_words
    }

    /// The word after the last, the extent's end.
    #[inline]
    pub fn end(self, slot_words: usize) -> usize {
        self.slot_at(self.slots(), slot_words).next_multiple_of(LINE_WORDS)
    }

    /// The group where the search for `hash` begins.
    #[inline]
    pub fn home(self, hash: u64) -> usize {
        let rest = u128::from(hash << self.depth);
        ((rest * self.groups as u128) >> 64) as usize
    }

    /// What its check words are seeded with: place, shape and hashes, so that a misled reader finds each of them wrong.
    #[inline]
    pub fn seed(self, hash: u64) -> u64 {
        mix(self.encode(), prefix(hash, self.depth) ^ P3)
    }
}

/// The check word over a group's tags.
#[inline]
pub const fn check_word(seed: u64, group: usize, tags: [u64; 2]) -> u64 {
    mix(mix(tags[0], tags[1]) ^ seed, group as u64)
}

/// The tag of a key: never zero, which marks a slot not in use.
#[inline]
pub const fn tag_of(hash: u64) -> u8 {
    let low = (hash & 0xff) as u8;
    if low == 0 { 0x80 } else { low }
}

/// How far the table has come, in four words that check each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveState {
    /// Every row up to it has been applied.
    pub applied_seq: u64,
    /// The log position that follows those rows.
    pub applied_log: u64,
    /// One of the `BEHIND_` values.
    pub behind: u64,
}

/// All rows up to the applied seq are there.
pub const BEHIND_NOT: u64 = 0;
/// Rows are missing; readers take the as-of path.
pub const BEHIND_ROWS: u64 = 1;
/// Another file took this one's place; readers open that.
pub const BEHIND_RETIRED: u64 = 2;

impl LiveState {
    /// The words as they stand at [`LIVE_STATE`].
    pub fn encode(self) -> [u64; 4] {
        [self.applied_seq, self.applied_log, self.behind, self.check()]
    }

    #[inline]
    fn check(self) -> u64 {
        mix(mix(self.applied_seq, self.applied_log), self.behind ^ P1)
    }

    /// Reads the words; `None` when they do not belong together.
    #[inline]
    pub fn decode(words: [u64; 4]) -> Option<LiveState> {
        let state = LiveState { applied_seq: words[0], applied_log: words[1], behind: words[2] };
        (state.check() == words[3]).then_some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_and_shard_words_come_back() {
        let directory = DirectoryWord { start: 512, depth: 11 };
        assert_eq!(DirectoryWord::decode(directory.encode()), Some(directory));
        assert_eq!(DirectoryWord::decode(directory.encode() ^ 1), None);
        assert_eq!(DirectoryWord::decode(0), None);
        let shard = Shard { start: 1 << 30, groups: SHARD_GROUPS_MAX, depth: 36 };
        assert_eq!(Shard::decode(shard.encode()), Some(shard));
        assert!(shard.home(u64::MAX) < shard.groups);
    }

    #[test]
    fn a_check_word_tells_tags_group_and_shard() {
        let shard = Shard { start: 64, groups: 4, depth: 1 };
        let good = check_word(shard.seed(0), 2, [5, 6]);
        assert_ne!(good, check_word(shard.seed(0), 3, [5, 6]));
        assert_ne!(good, check_word(shard.seed(1 << 63), 2, [5, 6]));
        assert_ne!(good, check_word(Shard { start: 72, ..shard }.seed(0), 2, [5, 6]));
        for bit in 0..64 {
            assert_ne!(good, check_word(shard.seed(0), 2, [5 ^ 1 << bit, 6]));
            assert_ne!(good, check_word(shard.seed(0), 2, [5, 6 ^ 1 << bit]));
        }
        assert_ne!(check_word(shard.seed(0), 0, [0, 0]), 0, "lost pages of zeros must not pass");
    }

    #[test]
    fn live_words_that_do_not_belong_together_are_refused() {
        let words = LiveState { applied_seq: 1, applied_log: 2, behind: 0 }.encode();
        assert!(LiveState::decode(words).is_some());
        for at in 0..4 {
            let mut torn = words;
            torn[at] ^= 2;
            assert!(LiveState::decode(torn).is_none());
        }
    }
}
