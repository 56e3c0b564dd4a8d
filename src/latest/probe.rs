//! Sixteen tags at a time in two words: which match, and whether one is empty.

use crate::format::table::{GROUP_SLOTS, words_of};

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The tags of a group.
pub(super) type Tags = [u64; 2];

/// Bit 7 of every byte of `x` that is zero. Exact: no carry runs from byte to byte.
#[inline]
const fn zero_bytes(x: u64) -> u64 {
    !((x & LOW).wrapping_add(LOW) | x | LOW)
}

/// The slots of a group whose tag is `tag`, in order.
#[inline]
pub(super) fn matches(tags: Tags, tag: u8) -> Matches {
    let wanted = ONES.wrapping_mul(u64::from(tag));
    Matches(u128::from(zero_bytes(tags[0] ^ wanted)) | u128::from(zero_bytes(tags[1] ^ wanted)) << 64)
}

/// The first of the slots that [`matches`] gives, in fewer steps: below a byte that is zero no carry begins.
#[inline(always)]
pub(super) fn first_match(tags: Tags, tag: u8) -> Option<usize> {
    let wanted = ONES.wrapping_mul(u64::from(tag));
    let first_zero = |x: u64| x.wrapping_sub(ONES) & !x & !LOW;
    let [low, high] = tags.map(|tags| u128::from(first_zero(tags ^ wanted)));
    let zeros = low | high << 64;
    (zeros != 0).then(|| zeros.trailing_zeros() as usize / 8)
}

/// Whether a slot of the group is not in use: no search goes beyond such a group.
#[inline]
pub(super) fn has_empty(tags: Tags) -> bool {
    zero_bytes(tags[0]) | zero_bytes(tags[1]) != 0
}

/// The slot that a key is put into where it is free. A reader may find a key in any slot; that it mostly is in
/// this one lets it fetch slot and tags at the same time.
#[inline]
pub(super) fn preferred(hash: u64) -> usize {
    // Not the bits of the tag, nor those that choose shard and group.
    (hash >> 8) as usize % GROUP_SLOTS
}

/// The slot of a group for a new key: the preferred one, else the first that is not in use.
pub(super) fn empty_for(tags: Tags, hash: u64) -> Option<usize> {
    let preferred = preferred(hash);
    if tag_at(tags, preferred) == 0 { Some(preferred) } else { matches(tags, 0).next() }
}

/// The tag of a slot.
#[inline]
pub(super) fn tag_at(tags: Tags, slot: usize) -> u8 {
    debug_assert!(slot < GROUP_SLOTS);
    (as_one(tags) >> (slot * 8)) as u8
}

/// The tags with that of one slot changed. By shifts: a byte of an array that is written, and the array then read, waits for memory.
#[inline]
pub(super) fn with_tag(tags: Tags, slot: usize, tag: u8) -> Tags {
    debug_assert!(slot < GROUP_SLOTS);
    let others = as_one(tags) & !(0xff_u128 << (slot * 8));
    words_of((others | u128::from(tag) << (slot * 8)).to_le_bytes())
}

#[inline]
fn as_one(tags: Tags) -> u128 {
    u128::from(tags[0]) | u128::from(tags[1]) << 64
}

/// Slots in a group, ascending.
#[derive(Clone, Copy)]
pub(super) struct Matches(u128);

impl Iterator for Matches {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let at = self.0.trailing_zeros() as usize / 8;
        self.0 &= self.0 - 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Random;

    #[test]
    fn matches_are_those_of_a_loop_over_bytes() {
        let mut random = Random::new(1);
        for _ in 0..20_000 {
            let mut tags = [0; 2];
            for slot in 0..GROUP_SLOTS {
                // Neighbouring values, where a carry would show.
                tags = with_tag(tags, slot, [0, 1, 0x7f, 0x80, 0x81, 0xff][random.below(6) as usize]);
            }
            for tag in [0, 1, 0x7f, 0x80, 0x81, 0xff] {
                let naive: Vec<usize> = (0..GROUP_SLOTS).filter(|&slot| tag_at(tags, slot) == tag).collect();
                assert_eq!(first_match(tags, tag), naive.first().copied());
                assert_eq!(matches(tags, tag).collect::<Vec<_>>(), naive);
            }
            let hash = random.bits();
            let empty = empty_for(tags, hash);
            assert_eq!(has_empty(tags), empty.is_some());
            assert!(empty.is_none_or(|slot| tag_at(tags, slot) == 0));
            assert!(tag_at(tags, preferred(hash)) != 0 || empty == Some(preferred(hash)));
        }
    }
}
