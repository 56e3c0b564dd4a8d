//! Key hashes to numbers of 31 bits and one, for one view's rows of one log segment.
//!
//! ```text
//! part := the low 6 bits of the hash
//! word := the hash's top 31 bits | number + 1, 33 bits        0: not in use
//! ```
//!
//! A word lies at the first free place from where the top bits of its hash point, so that a part that grows is gone over from
//! front to back, and nothing but its words is looked at. Parts grow one at a time: no insertion waits for all of them.
//!
//! Hashes that differ only in bits that are kept nowhere share a number; whoever follows it compares keys.

const PARTS: usize = 64;
const SLOTS_MIN: usize = 8;
const NUMBER_BITS: u32 = 33;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;

/// Key hashes to numbers.
#[derive(Debug)]
pub(super) struct KeyIndex {
    parts: Vec<Part>,
    /// Of all parts together.
    word_count: usize,
}

#[derive(Clone, Debug, Default)]
struct Part {
    /// A power of two of them, or none yet.
    words: Vec<u64>,
    used: usize,
}

impl Default for KeyIndex {
    fn default() -> Self {
        KeyIndex { parts: vec![Part::default(); PARTS], word_count: 0 }
    }
}

fn word(hash: u64, number: u32) -> u64 {
    hash & !NUMBER | (u64::from(number) + 1)
}

fn number(word: u64) -> u32 {
    u32::try_from((word & NUMBER) - 1).expect("words are made of numbers of 32 bits")
}

impl Part {
    /// Where a hash's word is looked for first.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        // The words are a power of two, and more than one.
        (hash >> (64 - self.words.len().ilog2())) as usize
    }

    /// Where the hash's word is, or else the first free place for it. There is always one.
    #[inline]
    fn find(&self, hash: u64) -> std::result::Result<usize, usize> {
        let mut at = self.home(hash);
        loop {
            match self.words[at] {
                0 => return Err(at),
                word if word & !NUMBER == hash & !NUMBER => return Ok(at),
                _ => at = (at + 1) & (self.words.len() - 1),
            }
        }
    }

    /// Five eighths full at most, so that searches stay short. How many words there are more than before.
    fn make_room(&mut self) -> usize {
        let before = self.words.len();
        if self.used * 8 < before * 5 {
            return 0;
        }
        let larger = vec![0; (self.words.len() * 2).max(SLOTS_MIN)];
        for word in std::mem::replace(&mut self.words, larger).into_iter().filter(|word| *word != 0) {
            let (Ok(at) | Err(at)) = self.find(word);
            self.words[at] = word;
        }
        self.words.len() - before
    }
}

impl KeyIndex {
    #[inline]
    fn part(hash: u64) -> usize {
        (hash % PARTS as u64) as usize
    }

    /// The number of a hash.
    pub fn get(&self, hash: u64) -> Option<u32> {
        let part = &self.parts[Self::part(hash)];
        if part.words.is_empty() {
            return None;
        }
        part.find(hash).ok().map(|at| number(part.words[at]))
    }

    /// Gives the hash `number`, unless it has one: that is returned, and stays.
    pub fn insert(&mut self, hash: u64, number_of_new: u32) -> Option<u32> {
        let part = &mut self.parts[Self::part(hash)];
        self.word_count += part.make_room();
        match part.find(hash) {
            Ok(at) => Some(number(part.words[at])),
            Err(at) => {
                part.words[at] = word(hash, number_of_new);
                part.used += 1;
                None
            }
        }
    }

    /// Changes the number of a hash that has one.
    pub fn replace(&mut self, hash: u64, number: u32) {
        let part = &mut self.parts[Self::part(hash)];
        if let Ok(at) = part.find(hash) {
            part.words[at] = word(hash, number);
        }
    }

    /// Reads where these hashes will be looked for, all at the same time: one after the other they would be waited for.
    pub fn warm(&self, hashes: &[u64]) {
        let touched = hashes.iter().fold(0, |touched, &hash| {
            let part = &self.parts[Self::part(hash)];
            if part.words.is_empty() { touched } else { touched ^ part.words[part.home(hash)] }
        });
        std::hint::black_box(touched);
    }

    /// Bytes of memory.
    pub fn held_bytes(&self) -> usize {
        self.parts.len() * size_of::<Part>() + self.word_count * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn numbers_are_those_of_a_map_whatever_the_hashes() {
        // Spread, all in one part, all at one place, at both ends.
        let hash = |kind: u64, i: u64| match kind {
            0 => i.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            1 => i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & !63,
            2 => ((i % 200) << NUMBER_BITS) | 7,
            _ => (i << NUMBER_BITS) ^ (i % 2).wrapping_neg(),
        };
        for kind in 0..4 {
            let mut index = KeyIndex::default();
            // By what is kept of a hash.
            let mut model: HashMap<(u64, u64), u32> = HashMap::new();
            let kept = |hash: u64| (hash % 64, hash >> NUMBER_BITS);
            for i in 0..5_000 {
                let (hash, number) = (hash(kind, i), u32::MAX - u32::try_from(i).unwrap());
                assert_eq!(index.get(hash), model.get(&kept(hash)).copied(), "{kind} {i}");
                assert_eq!(index.insert(hash, number), model.get(&kept(hash)).copied(), "{kind} {i}");
                model.entry(kept(hash)).or_insert(number);
                if i % 3 == 0 {
                    index.replace(hash, 5);
                    model.insert(kept(hash), 5);
                }
            }
            index.warm(&[0, u64::MAX]);
            for i in 0..6_000 {
                assert_eq!(index.get(hash(kind, i)), model.get(&kept(hash(kind, i))).copied(), "{kind} {i}");
            }
            let words: usize = index.parts.iter().map(|part| part.words.capacity()).sum();
            assert_eq!(index.held_bytes(), words * 8 + PARTS * size_of::<Part>());
        }
    }
}
