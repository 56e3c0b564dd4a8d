//! Random numbers of `RANDOMKEY` and `HRANDFIELD`.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// A random number below `bound`, which is not zero. No secret should hang on it.
pub fn below(bound: usize) -> usize {
    // The standard library's hashers have keys of their own each: an empty one gives a number nobody knows.
    let bits = RandomState::new().build_hasher().finish();
    let scaled = (u128::from(bits) * bound as u128) >> 64;
    usize::try_from(scaled).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn every_number_below_comes_up_about_as_often() {
        let mut times = [0; 10];
        (0..10_000).for_each(|_| times[below(10)] += 1);
        assert!(times.iter().all(|times| (850..=1_150).contains(times)), "{times:?}");
        assert_eq!(below(1), 0);
    }
}
