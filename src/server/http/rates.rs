//! How many requests each key may make: a bucket of tokens for each, that fills at an even rate.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// A key that was idle may make the requests of so long at once.
const BURST_NS: u64 = 1_000_000_000;

/// The buckets of all keys.
#[derive(Debug)]
pub(super) struct Rates {
    /// A token comes every so many nanoseconds; 0: nobody is limited.
    interval_ns: u64,
    began: Instant,
    /// By the keys' ids: as many as there ever were keys.
    full_at: RwLock<HashMap<Box<str>, Arc<AtomicU64>>>,
}

impl Rates {
    /// So many requests a second for each key; 0 for any number.
    pub(super) fn new(per_second: u32) -> Rates {
        let interval_ns = if per_second == 0 { 0 } else { 1_000_000_000 / u64::from(per_second).min(1_000_000_000) };
        Rates { interval_ns, began: Instant::now(), full_at: RwLock::default() }
    }

    /// Takes a token of a key.
    ///
    /// # Errors
    /// There is none; how long until there is one.
    pub(super) fn take(&self, key: &str) -> Result<(), Duration> {
        match self.interval_ns {
            0 => Ok(()),
            _ => self.take_at(key, u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)),
        }
    }

    /// [`Rates::take`] at a time, in nanoseconds. A bucket is the time at which it will be full: each token taken moves that ahead, and one
    /// that would be full only after the burst is empty.
    fn take_at(&self, key: &str, now: u64) -> Result<(), Duration> {
        let known = self.full_at.read().unwrap_or_else(PoisonError::into_inner).get(key).map(Arc::clone);
        let full_at = known.unwrap_or_else(|| {
            let mut all = self.full_at.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(key.into()).or_default())
        });
        let taken = |full_at: u64| {
            let next = full_at.max(now) + self.interval_ns;
            (next - now <= BURST_NS.max(self.interval_ns)).then_some(next)
        };
        match full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken) {
            Ok(_) => Ok(()),
            Err(full_at) => {
                let next = full_at.max(now) + self.interval_ns;
                Err(Duration::from_nanos(next - now - BURST_NS.max(self.interval_ns)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_key_makes_a_second_s_requests_at_once_and_then_so_many_a_second() {
        for per_second in [1, 3, 10_000, 1_000_000_000] {
            let rates = Rates::new(per_second);
            let count = u64::from(per_second).min(20_000);
            let mut now = 5 * SECOND;
            let burst = (0..count).filter(|_| rates.take_at("a", now).is_ok()).count() as u64;
            assert_eq!(burst, count, "{per_second}");
            if u64::from(per_second) > count {
                continue;
            }
            let wait = rates.take_at("a", now).unwrap_err();
            assert!(wait <= Duration::from_secs(1) && !wait.is_zero(), "{wait:?}");
            assert!(rates.take_at("b", now).is_ok(), "each key has its own");
            now += u64::try_from(wait.as_nanos()).unwrap();
            assert!(rates.take_at("a", now - 1).is_err() && rates.take_at("a", now).is_ok(), "{per_second}");
            // Over ten seconds, and never more than a second's at once.
            let taken =
                (0..20 * count).filter(|at| rates.take_at("a", now + at * SECOND / (2 * count)).is_ok()).count() as u64;
            assert!((10 * count - 1..=10 * count + 1).contains(&taken), "{per_second}: {taken}");
        }
    }

    #[test]
    fn without_a_rate_nobody_is_limited() {
        let rates = Rates::new(0);
        assert!((0..100_000).all(|_| rates.take("a").is_ok()));
    }
}
