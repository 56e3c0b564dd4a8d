//! What every request changes, once for each thread or so: cores that take the same memory from each other with every request wait for it
//! longer than they count.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// As many as there are cores, each in memory of its own.
#[derive(Debug)]
pub(super) struct Stripes<T>(Box<[Stripe<T>]>);

/// Two lines of a cache: some bring them up in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe<T>(T);

impl<T: Default> Default for Stripes<T> {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        Stripes((0..cores).map(|_| Stripe::default()).collect())
    }
}

impl<T> Stripes<T> {
    /// That of this thread. Others may have the same.
    pub(super) fn mine(&self) -> &T {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        &self.0[THREAD.with(|thread| *thread) % self.0.len()].0
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|stripe| &stripe.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn what_threads_count_is_all_there() {
        let stripes: Stripes<AtomicU64> = Stripes::default();
        std::thread::scope(|scope| {
            for _ in 0..9 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        stripes.mine().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(stripes.all().map(|count| count.load(Ordering::Relaxed)).sum::<u64>(), 900);
        assert!(std::ptr::eq(stripes.mine(), stripes.mine()), "a thread has one");
    }
}
