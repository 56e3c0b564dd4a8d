//! What a slot looks like in a table of a given view: where each part lies, and the digest that
//! tells one layout from another.
//!
//! ```text
//! slot := u32 version | u32 checksum          seqlock word
//!         u64 seq | i64 event timestamp
//!         u16 key length | u8 kind | u8 flags | field states, 2 bits each, padded to 8
//!         [i64 created]                       where the view declares created
//!         [u64 heap word]                     where a feature varies in length
//!         key: all of it | 16 inline bytes where keys vary
//!         fixed part, as in a row; references count from the variable part in the heap block
//! ```

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use crate::format::row::{FieldState, RowLayout, states_len_bytes};
use crate::format::slot_sum::SUM_NAME;
use crate::format::table::{FORMAT_VERSION, GROUP_SLOTS, LINE_WORDS, words_of};

/// Inline bytes of a key of varying length; of a longer one, the heap word and the hash.
pub const KEY_INLINE_BYTES: usize = 16;
/// Bytes of a slot before its field states.
pub const SLOT_HEADER_BYTES: usize = 28;
pub(super) const SEQ: Range<usize> = 8..16;
pub(super) const EVENT_TS: Range<usize> = 16..24;
pub(super) const KEY_LEN: Range<usize> = 24..26;
pub(super) const KIND: usize = 26;
pub(super) const FLAGS: usize = 27;
pub(super) const STATES: usize = SLOT_HEADER_BYTES;

/// The row has a created timestamp.
pub(super) const FLAG_CREATED: u8 = 1;
/// The row says something the slot cannot: the reader takes the as-of path.
pub(super) const FLAG_ASK_HISTORY: u8 = 2;
/// The slot refers to a heap block.
pub(super) const FLAG_HEAP: u8 = 4;
/// A row of this key was lost to damage: which one is greatest, only history knows. Never cleared.
pub(super) const FLAG_LOST: u8 = 8;
pub(super) const FLAGS_KNOWN: u8 = 15;

/// Bytes a shard may take before it splits rather than grows: bounds what one write copies.
const SHARD_BYTES_MAX: usize = 1 << 20;
const SHARD_SLOTS_MIN: usize = 64;
/// Most words of a slot that are fetched ahead.
const WORDS_AHEAD_MAX: usize = 4 * LINE_WORDS;

/// What a table holds and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// The features' layout.
    pub row: RowLayout,
    /// The key's length where every join key is of fixed width.
    pub key_bytes: Option<usize>,
    /// Whether the view declares created timestamps.
    pub has_created: bool,
    /// The store's uuid.
    pub store_uuid: [u8; 16],
    /// The seed of the key hash.
    pub hash_seed: u64,
}

/// Where the parts of a slot lie, in bytes from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotLayout {
    pub(super) shape: TableShape,
    pub(super) states_bytes: usize,
    pub(super) created_at: Option<usize>,
    /// The heap word of slots whose features vary in length; a long key shares it.
    pub(super) heap_at: Option<usize>,
    pub(super) key_at: usize,
    pub(super) fixed_at: usize,
    /// Start of each field, and the end of the last: worked out once, for lookups ask it per field.
    field_starts: Vec<usize>,
    pub(super) slot_words: usize,
    pub(super) shard_groups_max: usize,
    pub(super) digest: u64,
}

/// Where state and value of a field of eight bytes lie in a slot: worked out once, for many reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordField {
    pub(super) state_at: usize,
    pub(super) state_shift: usize,
    pub(super) value_at: usize,
}

impl WordField {
    /// The value in the bytes of a slot; `None` unless its state is [`FieldState::Value`].
    #[inline]
    pub fn value(self, slot: &[u8]) -> Option<[u8; 8]> {
        let (value, state) = (slot.get(self.value_at..)?.first_chunk()?, slot.get(self.state_at)?);
        (state >> self.state_shift & 3 == FieldState::Value as u8).then_some(*value)
    }
}

/// Neighbouring fields of eight bytes that fill words of the slot, read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordRun {
    /// The word that the states begin in.
    states_at: usize,
    /// Of that word and the next: the states of the run, and what they are where each is a value.
    mask: [u64; 2],
    values: [u64; 2],
    /// The word of the first value.
    first: usize,
    len: usize,
}

/// So many states stand in two words wherever in the first of them they begin.
const WORD_RUN_MAX: usize = 32;

impl WordRun {
    /// How many fields.
    pub fn field_count(&self) -> usize {
        self.len
    }

    /// Reads the fields, as float64, out of the words of a slot; `false` unless the state of each is [`FieldState::Value`].
    #[inline]
    pub fn read(&self, slot: &[[u8; 8]], out: &mut [f64]) -> bool {
        let states = slot.get(self.states_at..).and_then(|words| words.first_chunk::<2>());
        let (Some([a, b]), true) = (states, out.len() == self.len) else { return false };
        let other = (u64::from_le_bytes(*a) & self.mask[0] ^ self.values[0])
            | (u64::from_le_bytes(*b) & self.mask[1] ^ self.values[1]);
        let Some(values) = slot.get(self.first..).and_then(|words| words.get(..out.len())) else { return false };
        out.iter_mut().zip(values).for_each(|(out, value)| *out = f64::from_le_bytes(*value));
        other == 0
    }
}

impl SlotLayout {
    /// The layout for `shape`.
    pub fn new(shape: TableShape) -> SlotLayout {
        let field_count = shape.row.field_count();
        let states_bytes = states_len_bytes(field_count);
        let mut end = (STATES + states_bytes).next_multiple_of(8);
        let mut word = |wanted: bool| {
            let at = end;
            end += if wanted { 8 } else { 0 };
            wanted.then_some(at)
        };
        let created_at = word(shape.has_created);
        let heap_at = word(shape.row.types().iter().any(|data_type| data_type.is_variable()));
        let key_at = end;
        let fixed_at = key_at + shape.key_bytes.unwrap_or(KEY_INLINE_BYTES);
        let fixed_bytes = shape.row.variable_start(field_count) - states_bytes;
        let slot_words = align((fixed_at + fixed_bytes).div_ceil(8));
        let slots_max = (SHARD_BYTES_MAX / (slot_words * 8)).max(SHARD_SLOTS_MIN);
        let field_starts = (0..=field_count)
            .map(|fields| fixed_at + shape.row.variable_start(fields) - states_len_bytes(fields))
            .collect();
        let digest = digest(&shape, slot_words);
        let shard_groups_max = slots_max / GROUP_SLOTS;
        SlotLayout {
            shape,
            states_bytes,
            created_at,
            heap_at,
            key_at,
            fixed_at,
            field_starts,
            slot_words,
            shard_groups_max,
            digest,
        }
    }

    /// Bytes of a slot.
    pub fn slot_bytes(&self) -> usize {
        self.slot_words * 8
    }

    /// Words of a slot that are fetched before it is read.
    pub(super) fn ahead_words(&self) -> usize {
        self.slot_words.min(WORDS_AHEAD_MAX)
    }

    /// What the table holds.
    pub fn shape(&self) -> &TableShape {
        &self.shape
    }

    /// Where state and value of a field lie that takes eight bytes; `None` for other fields.
    pub fn word_field(&self, field: usize) -> Option<WordField> {
        let data_type = &self.shape.row.types()[field];
        let is_word = !data_type.is_variable() && data_type.fixed_width_bytes() == 8;
        let (state_at, state_shift) = (STATES + field / 4, field % 4 * 2);
        is_word.then(|| WordField { state_at, state_shift, value_at: self.field_starts[field] })
    }

    /// Fields of eight bytes that stand in this order, none between them, and fill words; `None` where they do not.
    pub fn word_run(&self, fields: impl ExactSizeIterator<Item = usize>) -> Option<WordRun> {
        let len = fields.len();
        let words: Vec<WordField> = fields.map(|field| self.word_field(field)).collect::<Option<_>>()?;
        let first = *words.first()?;
        let are_neighbours = words.windows(2).all(|pair| pair[0].value_at + 8 == pair[1].value_at);
        let are_words = first.value_at % 8 == 0;
        let each = |state: u64| {
            let states = (0..len).fold(0, |states, i| states | u128::from(state) << (2 * i));
            words_of((states << (first.state_at % 8 * 8 + first.state_shift)).to_le_bytes())
        };
        (len <= WORD_RUN_MAX && are_neighbours && are_words).then(|| WordRun {
            states_at: first.state_at / 8,
            mask: each(3),
            values: each(FieldState::Value as u64),
            first: first.value_at / 8,
            len,
        })
    }

    /// The bytes of a field in the fixed part.
    #[inline]
    pub(super) fn field_range(&self, field: usize) -> Range<usize> {
        self.field_starts[field]..self.field_starts[field + 1]
    }

    /// Where the heap word of a slot lies that needs one.
    pub(super) fn heap_word_at(&self) -> usize {
        self.heap_at.unwrap_or(self.key_at)
    }

    /// Whether a key of this length lies in the heap.
    pub(super) fn is_long_key(&self, key_len: usize) -> bool {
        self.shape.key_bytes.is_none() && key_len > KEY_INLINE_BYTES
    }
}

/// Slots fill whole cache lines where that wastes at most a fifth: a read then touches no line twice.
fn align(words: usize) -> usize {
    let lines = words.next_multiple_of(8);
    if (lines - words) * 5 <= lines { lines } else { words }
}

/// Of the text that `storage_format.md` describes.
fn digest(shape: &TableShape, slot_words: usize) -> u64 {
    let types: Vec<String> = shape.row.types().iter().map(ToString::to_string).collect();
    let text = format!(
        "{FORMAT_VERSION};{SUM_NAME};{slot_words};{:?};{};{}",
        shape.key_bytes,
        u8::from(shape.has_created),
        types.join(",")
    );
    xxh3_64(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::DataType;

    fn layout(types: Vec<DataType>, key_bytes: Option<usize>) -> SlotLayout {
        let row = RowLayout::new(types);
        SlotLayout::new(TableShape { row, key_bytes, has_created: false, store_uuid: [0; 16], hash_seed: 0 })
    }

    #[test]
    fn ten_floats_and_a_key_of_sixteen_bytes_take_two_cache_lines() {
        for key_bytes in [Some(16), None] {
            assert_eq!(layout(vec![DataType::Float64; 10], key_bytes).slot_bytes(), 128);
        }
    }

    #[test]
    fn layouts_that_differ_have_digests_that_differ() {
        let digests = [
            layout(vec![DataType::Float64; 10], None).digest,
            layout(vec![DataType::Float64; 10], Some(16)).digest,
            layout(vec![DataType::Int64; 10], None).digest,
            layout(vec![DataType::Int64; 9], None).digest,
        ];
        for (i, digest) in digests.iter().enumerate() {
            assert!(!digests[..i].contains(digest));
        }
    }

    #[test]
    fn a_run_of_words_is_read_where_each_has_a_value_and_only_there() {
        let layout = layout(vec![DataType::Float64; 70], None);
        for first in 0..38 {
            for len in 1..=WORD_RUN_MAX {
                let run = layout.word_run(first..first + len).unwrap();
                let mut slot = vec![[0; 8]; layout.slot_words];
                let mut read = vec![0.0; len];
                for field in first..first + len {
                    let word = layout.word_field(field).unwrap();
                    assert!(!run.read(&slot, &mut read) && word.value(slot.as_flattened()).is_none());
                    slot[word.value_at / 8] = (field as f64).to_le_bytes();
                    slot.as_flattened_mut()[word.state_at] |= (FieldState::Value as u8) << word.state_shift;
                    assert_eq!(word.value(slot.as_flattened()).map(f64::from_le_bytes), Some(field as f64));
                }
                assert!(run.read(&slot, &mut read) && !run.read(&slot, &mut vec![0.0; len + 1]));
                assert_eq!(read, (first..first + len).map(|field| field as f64).collect::<Vec<_>>());
                let last = layout.word_field(first + len - 1).unwrap();
                slot.as_flattened_mut()[last.state_at] |= 3 << last.state_shift;
                assert!(!run.read(&slot, &mut read), "a state that is no value was read as one");
            }
            assert_eq!(layout.word_run([first, first + 2].into_iter()), None, "fields with one between them");
            assert_eq!(layout.word_run(0..WORD_RUN_MAX + 1), None);
        }
    }

    #[test]
    fn fields_that_do_not_fill_words_are_read_one_by_one() {
        assert_eq!(layout(vec![DataType::String, DataType::Int32], None).word_run(0..2), None);
        let odd = layout(vec![DataType::Float64; 2], Some(4));
        assert!(odd.word_run(0..2).is_none() && odd.word_field(0).is_some());
    }

    #[test]
    fn wide_slots_have_small_shards() {
        let wide = layout(vec![DataType::Uuid; 4_000], None);
        assert_eq!(wide.shard_groups_max * GROUP_SLOTS, SHARD_SLOTS_MIN);
        assert_eq!(layout(vec![DataType::Float64; 10], None).shard_groups_max * GROUP_SLOTS, 8_192);
    }
}
