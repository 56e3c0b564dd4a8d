//! A copy of one slot: read once under the seqlock, checked, then asked for fields at leisure.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::layout::{EVENT_TS, FLAG_CREATED, FLAG_HEAP, FLAGS, KEY_INLINE_BYTES, SEQ, STATES, SlotLayout};
use super::says::{Plain, SAYS, Says};
use super::seqlock;
use crate::format::row::{FieldState, Reference, RowKind, field_state};
use crate::format::slot_sum::SlotSum;
use crate::format::value::decode_value;
use crate::value::Value;

/// Where a slot's heap block lies: first word (40 bits) << 24 | words after its checksum (24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeapWord {
    pub(super) start: usize,
    pub(super) words: usize,
}

/// Most words of a heap block; a longer row is left to history.
pub(super) const HEAP_WORDS_MAX: usize = (1 << 24) - 2;

impl HeapWord {
    pub(super) fn encode(self) -> u64 {
        debug_assert!(self.words <= HEAP_WORDS_MAX && self.start >> 40 == 0);
        (self.start as u64) << 24 | self.words as u64
    }

    pub(super) fn decode(word: u64) -> HeapWord {
        HeapWord { start: (word >> 24) as usize, words: (word & 0xff_ffff) as usize }
    }
}

/// Words of a slot of two cache lines.
const TWO_LINES_WORDS: usize = 16;

/// Place of a row in row order: event time, created with absent first, seq.
pub type RowOrder = (i64, Option<i64>, u64);

/// One row of the table, copied out. Made once, filled by every lookup.
#[derive(Clone, Debug)]
pub struct SlotCopy {
    pub(super) layout: Arc<SlotLayout>,
    /// Of the layout: the word where the key begins, and the sum that slots have.
    key_word: usize,
    sum: SlotSum,
    pub(super) words: Vec<[u8; 8]>,
    /// The heap block without its checksum; empty when it was not asked for.
    pub(super) heap: Vec<[u8; 8]>,
}

impl SlotCopy {
    /// An empty copy for tables of this layout.
    pub fn new(layout: Arc<SlotLayout>) -> SlotCopy {
        let words = vec![[0; 8]; layout.slot_words];
        let (key_word, sum) = (layout.key_at / 8, SlotSum::new(layout.shape.hash_seed));
        SlotCopy { layout, key_word, sum, words, heap: Vec::new() }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.words.as_flattened()
    }

    #[inline]
    fn word(&self, range: Range<usize>) -> u64 {
        u64::from_le_bytes(self.words[range.start / 8])
    }

    /// Whether this release understands what the slot says of itself.
    pub(super) fn is_known(&self) -> bool {
        self.says().is_known()
    }

    /// The header it was copied under.
    pub(super) fn header(&self) -> u64 {
        u64::from_le_bytes(self.words[0])
    }

    /// When asof learned the row.
    #[inline]
    pub fn seq(&self) -> u64 {
        self.word(SEQ)
    }

    /// When it was true.
    #[inline]
    pub fn event_ts(&self) -> i64 {
        self.word(EVENT_TS).cast_signed()
    }

    /// When the source recorded it.
    #[inline]
    pub fn created(&self) -> Option<i64> {
        let at = self.layout.created_at?;
        (self.flags() & FLAG_CREATED != 0).then(|| self.word(at..at + 8).cast_signed())
    }

    /// What the row says.
    #[inline]
    pub fn kind(&self) -> Option<RowKind> {
        RowKind::from_byte(self.says().kind())
    }

    /// Whether only history can answer: the row has deadlines, or a greater one was lost to damage.
    #[inline]
    pub fn asks_history(&self) -> bool {
        self.says().asks_history()
    }

    /// The row's place in row order.
    pub fn order(&self) -> RowOrder {
        (self.event_ts(), self.created(), self.seq())
    }

    /// The state of a field.
    #[inline]
    pub fn state(&self, field: usize) -> FieldState {
        field_state(&self.bytes()[STATES..STATES + self.layout.states_bytes], field)
    }

    /// The bytes of a field in the fixed part: the value itself, or the reference to it.
    #[inline]
    pub fn fixed_bytes(&self, field: usize) -> &[u8] {
        &self.bytes()[self.layout.field_range(field)]
    }

    /// The slot's bytes, for `WordField::value`.
    #[inline]
    pub fn slot_bytes(&self) -> &[u8] {
        self.bytes()
    }

    /// The slot's words, for `WordRun::read`.
    #[inline]
    pub fn slot_words(&self) -> &[[u8; 8]] {
        &self.words
    }

    /// The encoded value of a field whose state is [`FieldState::Value`]. `None` when it lies in the
    /// heap and the lookup did not ask for it.
    pub fn field_bytes(&self, field: usize) -> Option<&[u8]> {
        let fixed = self.fixed_bytes(field);
        if !self.layout.shape.row.types()[field].is_variable() {
            return Some(fixed);
        }
        match Reference::read(fixed) {
            Reference::Inline(bytes) => Some(bytes),
            Reference::Elsewhere { len_bytes, position } => {
                let start = self.variable_start() + usize::try_from(position).ok()?;
                self.heap.as_flattened().get(start..start.checked_add(len_bytes)?)
            }
        }
    }

    /// The value of a field, null where its state is not a value; `None` as in [`SlotCopy::field_bytes`].
    pub fn value(&self, field: usize) -> Option<Value> {
        match self.state(field) {
            FieldState::Value => decode_value(&self.layout.shape.row.types()[field], self.field_bytes(field)?),
            FieldState::Null | FieldState::Absent => Some(Value::Null),
        }
    }

    #[inline]
    fn says(&self) -> Says {
        Says(u64::from_le_bytes(self.words[SAYS]))
    }

    #[inline]
    pub(super) fn flags(&self) -> u8 {
        self.says().flags()
    }

    pub(super) fn set_flag(&mut self, flag: u8) {
        self.words.as_flattened_mut()[FLAGS] |= flag;
    }

    #[inline]
    fn key_len(&self) -> usize {
        self.says().key_len()
    }

    #[inline]
    pub(super) fn has_long_key(&self) -> bool {
        self.layout.is_long_key(self.key_len())
    }

    /// Where the variable part begins in the heap block: after a long key.
    fn variable_start(&self) -> usize {
        if self.has_long_key() { self.key_len().next_multiple_of(8) } else { 0 }
    }

    /// Whether the inline part of the key agrees. For a long key the heap decides.
    pub(super) fn may_be_key(&self, hash: u64, key: &[u8]) -> bool {
        if self.key_len() != key.len() {
            return false;
        }
        if key.len() > KEY_INLINE_BYTES && self.has_long_key() {
            return self.words[self.key_word + 1] == hash.to_le_bytes();
        }
        self.begins_with(key)
    }

    /// Whether the slot that was [read](SlotCopy::read) holds the key's row and answers at once.
    #[inline(always)]
    pub(super) fn is_plain(&self, plain: Plain, key: &[u8]) -> bool {
        if !plain.is(self.says(), key.len()) {
            return false;
        }
        // The widths that most keys have, word by word: what was stored in words is slow to read in greater pieces.
        let stored = self.words.get(self.key_word..);
        match key.len() {
            16 => stored.and_then(<[_]>::first_chunk).is_some_and(|[x, y]| key.starts_with(x) && key.ends_with(y)),
            8 => stored.and_then(<[_]>::first).is_some_and(|x| key == x),
            _ => self.is_plain_of_any(key),
        }
    }

    #[inline(never)]
    fn is_plain_of_any(&self, key: &[u8]) -> bool {
        !self.has_long_key() && self.begins_with(key)
    }

    /// Whether the key that lies inline begins with these bytes.
    fn begins_with(&self, key: &[u8]) -> bool {
        let (whole, rest) = key.as_chunks::<8>();
        let stored = self.words.get(self.key_word..).unwrap_or_default();
        stored.split_at_checked(whole.len()).is_some_and(|(words, after)| {
            words == whole && after.as_flattened().get(..rest.len()).is_some_and(|bytes| bytes == rest)
        })
    }

    /// When asof learned the row, and when it was true.
    #[inline(always)]
    pub fn seq_and_event_ts(&self) -> (u64, i64) {
        let first = self.words.first_chunk::<{ EVENT_TS.end / 8 }>();
        let [_, seq, event_ts] = first.expect("slots have more words").map(u64::from_le_bytes);
        (seq, event_ts.cast_signed())
    }

    /// Whether the heap block begins with this key. For long keys.
    pub(super) fn heap_is_key(&self, key: &[u8]) -> bool {
        self.heap.as_flattened().get(..key.len()) == Some(key)
    }

    /// The hash of the key, from the slot alone.
    pub(super) fn hash(&self) -> u64 {
        let at = self.layout.key_at;
        if self.has_long_key() {
            return self.word(at + 8..at + 16);
        }
        let end = self.bytes().len().min(at + self.key_len());
        crate::key::key_hash(self.layout.shape.hash_seed, &self.bytes()[at..end])
    }

    /// The key, from the slot or the heap block; of a long key only what the lookup copied.
    pub(super) fn key(&self) -> &[u8] {
        let len = self.key_len();
        if self.has_long_key() {
            let heap = self.heap.as_flattened();
            return &heap[..len.min(heap.len())];
        }
        let at = self.layout.key_at;
        let end = self.bytes().len().min(at + len);
        &self.bytes()[at..end]
    }

    /// The heap block, if there is one.
    pub(super) fn heap_word(&self) -> Option<HeapWord> {
        let at = self.layout.heap_word_at();
        (self.flags() & FLAG_HEAP != 0).then(|| HeapWord::decode(self.word(at..at + 8)))
    }

    pub(super) fn set_heap_word(&mut self, word: HeapWord) {
        let at = self.layout.heap_word_at();
        self.words[at / 8] = word.encode().to_le_bytes();
        self.set_flag(FLAG_HEAP);
    }

    /// The checksum of these words in the slot at word `position`.
    pub(super) fn checksum(&self, position: usize) -> u64 {
        // Of a length that the compiler knows, as in reading, it is made without a loop.
        match <&[[u8; 8]; TWO_LINES_WORDS]>::try_from(self.words.as_slice()) {
            Ok(words) => checksum(words, &self.sum, position),
            Err(_) => checksum(&self.words, &self.sum, position),
        }
    }

    /// Whether the copied words are what a writer stored at `position` under `header`.
    pub(super) fn is_sound(&self, position: usize, header: u64) -> bool {
        self.checksum(position) == seqlock::checksum_of(header) && self.is_known()
    }

    /// Copies the slot that begins at word `position`, and checks that it is what a writer stored there. Whether this release
    /// [understands](SlotCopy::is_known) it is another question.
    #[inline(always)]
    pub(super) fn read(&mut self, words: &[AtomicU64], position: usize) -> std::result::Result<(), Unread> {
        let two_lines = <&mut [[u8; 8]; TWO_LINES_WORDS]>::try_from(self.words.as_mut_slice());
        match (<&[AtomicU64; TWO_LINES_WORDS]>::try_from(words), two_lines) {
            (Ok(words), Ok(out)) => read_two_lines(words, out, &self.sum, position),
            _ => read(words, &mut self.words, self.sum.at(position, words.len())),
        }
    }

    /// The checksum of the copied heap block, which stands before it.
    pub(super) fn heap_checksum(&self, position: usize) -> u64 {
        xxh3_64_with_seed(self.heap.as_flattened(), position as u64 ^ self.seq().rotate_left(32))
    }
}

const _: () = assert!(KEY_INLINE_BYTES == 16, "a heap word and a hash");

/// Why a slot could not be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// A writer is inside, or was killed there.
    Torn,
    /// It is not what a writer stored there.
    Damaged,
}

/// Two lines are what most slots take: with a length that the compiler knows, no loop and no branch is left. Within its
/// caller the registers that it needs would not be free.
#[inline(never)]
fn read_two_lines(
    words: &[AtomicU64; TWO_LINES_WORDS],
    out: &mut [[u8; 8]; TWO_LINES_WORDS],
    sum: &SlotSum,
    position: usize,
) -> std::result::Result<(), Unread> {
    read(words, out, sum.at(position, TWO_LINES_WORDS))
}

#[inline(always)]
fn read(words: &[AtomicU64], out: &mut [[u8; 8]], mut sum: SlotSum) -> std::result::Result<(), Unread> {
    let read = seqlock::read(words, out, |i, pair| sum.add(i, pair)).ok_or(Unread::Torn)?;
    let is_sound = sum.finish() == seqlock::checksum_of(read.header);
    // Both at once: were the version asked first, the sum would be put off until it is known.
    match is_sound & read.is_one_version {
        true => Ok(()),
        false if read.is_one_version => Err(Unread::Damaged),
        false => Err(Unread::Torn),
    }
}

#[inline(always)]
fn checksum(words: &[[u8; 8]], sum: &SlotSum, position: usize) -> u64 {
    let mut sum = sum.at(position, words.len());
    let (pairs, rest) = words.as_chunks::<2>();
    for (i, pair) in pairs.iter().enumerate() {
        sum.add(i, pair.map(u64::from_le_bytes));
    }
    if let [last] = rest {
        sum.add(pairs.len(), [u64::from_le_bytes(*last), 0]);
    }
    sum.finish()
}
