//! The checksum of a slot of the latest table.

use super::table::{mix, words_of};

/// Part of a table's layout digest: a table whose slots have another sum is built anew.
pub const SUM_NAME: &str = "a keyed chain for each half";

/// Chains of multiplications: one alone would wait for itself. Each is of one half of the slot, so that while it is made
/// nothing is kept of the other.
const LANES: usize = 2;

/// The checksum of a slot, made while its words are copied, pair by pair: beside the copying it costs little.
///
/// Its keys come from the store's seed. A word that equals one makes its product zero, whatever the words before it said;
/// known keys could be written on purpose, or be met by a constant that many programs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotSum {
    keys: [u64; LANES],
    lanes: [u64; LANES],
    /// Counts as word 0: a slot that landed elsewhere is no slot there.
    position: u64,
    /// The first pair of the second half.
    half: usize,
}

impl SlotSum {
    /// For the tables of the store with this seed.
    pub fn new(hash_seed: u64) -> SlotSum {
        let secret = |number| mix(hash_seed, number);
        SlotSum { keys: [secret(1), secret(2)], lanes: [secret(3), secret(4)], position: 0, half: 0 }
    }

    /// For the slot of `word_count` words at word `position`.
    #[inline(always)]
    pub fn at(self, position: usize, word_count: usize) -> SlotSum {
        SlotSum { position: position as u64, half: word_count.div_ceil(2).div_ceil(LANES), ..self }
    }

    /// Adds the words of pair `i`, the one after that added before. Of an odd number of words the last counts as paired with zero.
    #[inline(always)]
    pub fn add(&mut self, i: usize, pair: [u64; 2]) {
        let first = if i == 0 { self.position } else { pair[0] };
        let lane = usize::from(i >= self.half);
        self.lanes[lane] = folded_product(first ^ self.keys[lane], pair[1] ^ self.lanes[lane]);
    }

    /// The checksum of the words that were added: 32 bits.
    #[inline(always)]
    pub fn finish(self) -> u64 {
        folded_product(self.lanes[0] ^ self.keys[1], self.lanes[1] ^ self.keys[0]) >> 32
    }
}

/// The product's low and high half, one over the other.
#[inline(always)]
fn folded_product(a: u64, b: u64) -> u64 {
    let [low, high] = words_of((u128::from(a) * u128::from(b)).to_le_bytes());
    low ^ high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of(hash_seed: u64, words: &[u64]) -> u64 {
        let mut sum = SlotSum::new(hash_seed).at(usize::try_from(words[0]).unwrap(), words.len());
        for (i, pair) in words.chunks(2).enumerate() {
            sum.add(i, [pair[0], *pair.get(1).unwrap_or(&0)]);
        }
        sum.finish()
    }

    #[test]
    fn a_slots_checksum_tells_every_word_bit_and_order() {
        for hash_seed in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let mut sums = std::collections::HashSet::new();
            for count in 1..40 {
                let words: Vec<u64> = (0..count).map(|i| mix(i, i)).collect();
                let sum = sum_of(hash_seed, &words);
                assert!(sums.insert(sum) && sum >> 32 == 0);
                for at in 0..words.len() {
                    for bit in 0..64 {
                        let mut damaged = words.clone();
                        damaged[at] ^= 1 << bit;
                        assert_ne!(sum, sum_of(hash_seed, &damaged), "bit {bit} of word {at} of {count}");
                    }
                    for other in 0..at {
                        let mut swapped = words.clone();
                        swapped.swap(at, other);
                        assert_ne!(sum, sum_of(hash_seed, &swapped), "words {at} and {other} of {count}");
                    }
                }
                assert_ne!(sum_of(hash_seed, &vec![0; words.len()]), 0, "lost pages of zeros must not pass");
            }
        }
    }

    #[test]
    fn sums_of_small_words_are_spread_evenly() {
        // Small numbers and few bits are what features mostly hold, and where a weak sum repeats itself.
        let mut sums = std::collections::HashSet::new();
        let (mut words, mut made) = (vec![0_u64; 16], 0_u64);
        for at in 1..16 {
            for value in 1..4_096 {
                words[at] = value;
                sums.insert(sum_of(7, &words));
                made += 1;
            }
            words[at] = 1;
        }
        // Of n even sums of 32 bits, n * n / 2^33 pairs are expected to agree: less than one.
        assert!(made - sums.len() as u64 <= 3, "{} of {made} sums differ", sums.len());
    }
}
