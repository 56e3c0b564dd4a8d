//! The checksum of a slot of the latest table.

use super::table::{P1, P3, mix, words_of};

/// Pairs of words whose sum goes into a slot's checksum at once.
const SUM_PAIRS: usize = 8;

/// What the first word of each pair is mixed with: `mix(pair, P3)`.
const SUM_KEYS: [u64; SUM_PAIRS] = {
    let (mut keys, mut i) = ([0; SUM_PAIRS], 0);
    while i < SUM_PAIRS {
        keys[i] = mix(i as u64, P3);
        i += 1;
    }
    keys
};

/// The checksum of a slot, made while its words are copied, pair by pair: beside the copying it costs little, for the
/// multiplications do not wait for each other.
#[derive(Clone, Copy, Debug)]
pub struct SlotSum {
    /// Counts as word 0: a slot that landed elsewhere is no slot there.
    position: u64,
    mixed: u64,
    sum: u64,
}

impl SlotSum {
    /// For the slot at word `position`.
    #[inline(always)]
    pub fn new(position: usize) -> SlotSum {
        SlotSum { position: position as u64, mixed: 0, sum: 0 }
    }

    /// Adds the words of pair `i`, the one after that added before. Of an odd number of words the last counts as paired with zero.
    #[inline(always)]
    pub fn add(&mut self, i: usize, pair: [u64; 2]) {
        let first = if i == 0 { self.position } else { pair[0] };
        let product = u128::from(first ^ SUM_KEYS[i % SUM_PAIRS]) * u128::from(pair[1] ^ P1);
        let [low, high] = words_of(product.to_le_bytes());
        self.sum = self.sum.wrapping_add(low ^ high);
        if i % SUM_PAIRS == SUM_PAIRS - 1 {
            (self.mixed, self.sum) = (mix(self.mixed, self.sum), 0);
        }
    }

    /// The checksum of `words` words that were added: 32 bits.
    #[inline(always)]
    pub fn finish(self, words: usize) -> u64 {
        let is_mixed = words.div_ceil(2).is_multiple_of(SUM_PAIRS);
        (if is_mixed { self.mixed } else { mix(self.mixed, self.sum) }) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slots_checksum_tells_every_word_bit_order_and_count() {
        let sum = |words: &[u64]| {
            let mut sum = SlotSum::new(usize::try_from(words[0]).unwrap());
            for (i, pair) in words.chunks(2).enumerate() {
                sum.add(i, [pair[0], *pair.get(1).unwrap_or(&0)]);
            }
            sum.finish(words.len())
        };
        let mut sums = std::collections::HashSet::new();
        for count in 1..40 {
            let words: Vec<u64> = (0..count).map(|i| mix(i, i)).collect();
            assert!(sums.insert(sum(&words)) && sum(&words) >> 32 == 0);
            for at in 0..words.len() {
                for bit in 0..64 {
                    let mut damaged = words.clone();
                    damaged[at] ^= 1 << bit;
                    assert_ne!(sum(&words), sum(&damaged), "bit {bit} of word {at} of {count}");
                }
                let mut swapped = words.clone();
                swapped.swap(at, words.len() - 1);
                assert!(at + 1 == words.len() || sum(&words) != sum(&swapped), "word {at} of {count} at the end");
            }
            assert_ne!(sum(&vec![0; words.len()]), 0, "lost pages of zeros must not pass");
        }
    }
}
