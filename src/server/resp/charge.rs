//! Bytes that one connection takes, counted among those of all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes of a sum. Dropped, they are none.
#[derive(Debug)]
pub struct Charge {
    bytes: usize,
    in_all: Arc<AtomicUsize>,
}

impl Charge {
    /// None yet.
    pub fn new(in_all: Arc<AtomicUsize>) -> Charge {
        Charge { bytes: 0, in_all }
    }

    /// So many from here on.
    pub fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.in_all.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
            self.bytes = bytes;
        }
    }

    /// So many more.
    pub fn add(&mut self, bytes: usize) {
        self.set(self.bytes + bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_follows_its_parts_and_forgets_those_that_are_gone() {
        let in_all = Arc::new(AtomicUsize::new(0));
        let (mut first, mut second) = (Charge::new(Arc::clone(&in_all)), Charge::new(Arc::clone(&in_all)));
        first.set(10);
        second.set(5);
        first.set(3);
        assert_eq!(in_all.load(Ordering::Relaxed), 8);
        drop(first);
        assert_eq!(in_all.load(Ordering::Relaxed), 5);
    }
}
