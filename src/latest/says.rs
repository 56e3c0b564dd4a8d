//! The word of a slot that says what it holds: key length, kind, flags, the first states.

use super::layout::{FLAG_ASK_HISTORY, FLAG_HEAP, FLAG_LOST, FLAGS, FLAGS_KNOWN, KEY_LEN, KIND};
use super::lookup::Need;
use crate::format::row::RowKind;
use crate::key::KEY_BYTES_MAX;

/// What a slot says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Says(pub(super) u64);

/// Where [`Says`] stands among a slot's words.
pub(super) const SAYS: usize = KEY_LEN.start / 8;
const _: () = assert!(SAYS == 3 && KEY_LEN.start.is_multiple_of(8) && KIND / 8 == SAYS && FLAGS / 8 == SAYS);

// A longer key than any stored may be looked for.
const _: () = assert!(KEY_BYTES_MAX < 0xffff);

const KIND_SHIFT: usize = KIND % 8 * 8;
const FLAGS_SHIFT: usize = FLAGS % 8 * 8;

impl Says {
    #[inline(always)]
    pub(super) fn key_len(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    #[inline(always)]
    pub(super) fn kind(self) -> u8 {
        (self.0 >> KIND_SHIFT & 0xff) as u8
    }

    #[inline(always)]
    pub(super) fn flags(self) -> u8 {
        (self.0 >> FLAGS_SHIFT & 0xff) as u8
    }

    /// Whether this release understands the kind and the flags.
    #[inline(always)]
    pub(super) fn is_known(self) -> bool {
        self.flags() & !FLAGS_KNOWN == 0 && RowKind::from_byte(self.kind()).is_some()
    }

    /// Whether only history can answer: the row has deadlines, or a greater one was lost to damage.
    #[inline(always)]
    pub(super) fn asks_history(self) -> bool {
        self.flags() & (FLAG_ASK_HISTORY | FLAG_LOST) != 0
    }
}

/// Tells slots that answer at once: value rows for which neither history nor heap need be asked. Most are, and one
/// comparison tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain {
    mask: u64,
}

impl Plain {
    /// For lookups that need so much.
    pub(super) fn new(need: Need) -> Plain {
        let heap = if need == Need::SlotAndHeap { FLAG_HEAP } else { 0 };
        let flags = !FLAGS_KNOWN | FLAG_ASK_HISTORY | FLAG_LOST | heap;
        Plain { mask: 0xffff | 0xff << KIND_SHIFT | u64::from(flags) << FLAGS_SHIFT }
    }

    /// Whether a slot that says this is such a one, of a key of `key_len` bytes.
    #[inline(always)]
    pub(super) fn is(self, says: Says, key_len: usize) -> bool {
        debug_assert!(key_len <= 0xffff, "it would be taken for a kind");
        says.0 & self.mask == key_len as u64 | (RowKind::Value as u64) << KIND_SHIFT
    }
}
