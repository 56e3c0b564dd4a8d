//! Durations, counted by their size: any thread adds to them without waiting, and whoever asks reads them all.

use std::iter::Sum;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds are powers of two of a microsecond, from one to 2^24, which is 16.8 s.
pub const BOUNDS: usize = 25;

/// Counts of durations. Cheap enough for every request.
#[derive(Debug, Default)]
pub struct Histogram {
    /// By the least bound that a duration is no longer than; the last are longer than any.
    counts: [AtomicU64; BOUNDS + 1],
    sum_ns: AtomicU64,
}

/// What a [`Histogram`] has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By the least bound that a duration is no longer than; the last are longer than any.
    pub counts: [u64; BOUNDS + 1],
    /// Nanoseconds of all together.
    pub sum_ns: u64,
}

impl Histogram {
    /// Counts one.
    #[inline]
    pub fn observe(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// What was counted so far. What is counted meanwhile may be in some of it.
    pub fn read(&self) -> Counts {
        Counts {
            counts: std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed)),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
        }
    }
}

impl Sum for Counts {
    /// All of them as one. What was counted in several parts is so put together.
    fn sum<I: Iterator<Item = Counts>>(all: I) -> Counts {
        all.fold(Counts::default(), |sum, one| Counts {
            counts: std::array::from_fn(|at| sum.counts[at] + one.counts[at]),
            sum_ns: sum.sum_ns + one.sum_ns,
        })
    }
}

impl Counts {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The upper bound of a count, in seconds.
    pub fn bound_seconds(at: usize) -> f64 {
        if at < BOUNDS { (1_u64 << at) as f64 / 1e6 } else { f64::INFINITY }
    }
}

fn bucket_of(ns: u64) -> usize {
    match ns.div_ceil(1_000) {
        0 | 1 => 0,
        us => ((us - 1).ilog2() as usize + 1).min(BOUNDS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_at_the_least_bound_that_holds_it() {
        let histogram = Histogram::default();
        for ns in [0, 1, 999, 1_000, 1_001, 2_000, 2_001, 4_000, 16_777_216_000, 16_777_216_001, u64::MAX] {
            let at = bucket_of(ns);
            let seconds = ns as f64 / 1e9;
            assert!(
                seconds <= Counts::bound_seconds(at) && (at == 0 || seconds > Counts::bound_seconds(at - 1)),
                "{ns}"
            );
            histogram.observe(Duration::from_nanos(ns.min(1_000_000)));
        }
        let counts = histogram.read();
        assert_eq!(counts.count(), 11);
        assert_eq!(counts.counts[0], 4, "up to a microsecond");
        assert_eq!(counts.sum_ns, 1 + 999 + 1_000 + 1_001 + 2_000 + 2_001 + 4_000 + 3 * 1_000_000);
    }
}
