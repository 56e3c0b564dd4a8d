//! The first words of a slot, judged as they were copied: without going back to the copy.

use super::layout::{FLAG_ASK_HISTORY, FLAG_LOST, FLAGS, FLAGS_KNOWN, KEY_LEN, KIND};
use crate::format::row::RowKind;

/// The first words of a slot, as a lookup copied them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotHead {
    pub(super) header: u64,
    /// When asof learned the row.
    pub seq: u64,
    /// When it was true.
    pub event_ts: i64,
    pub(super) says: Says,
}

/// The word that says what a slot holds: key length, kind, flags, the first states.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Says(pub(super) u64);

/// Where [`Says`] stands among a slot's words.
pub(super) const SAYS: usize = KEY_LEN.start / 8;
const _: () = assert!(SAYS == 3 && KEY_LEN.start.is_multiple_of(8) && KIND / 8 == SAYS && FLAGS / 8 == SAYS);

impl Says {
    #[inline(always)]
    pub(super) fn key_len(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    #[inline(always)]
    pub(super) fn kind(self) -> u8 {
        (self.0 >> (KIND % 8 * 8) & 0xff) as u8
    }

    #[inline(always)]
    pub(super) fn flags(self) -> u8 {
        (self.0 >> (FLAGS % 8 * 8) & 0xff) as u8
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

impl SlotHead {
    /// Whether the slot holds a value row that answers by itself.
    #[inline(always)]
    pub fn is_plain_value(&self) -> bool {
        self.says.kind() == RowKind::Value as u8 && !self.says.asks_history()
    }
}
