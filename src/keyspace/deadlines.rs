//! Which keys go next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deadlines of keys, the first first. One that was put off or taken away stays here until its time: who asks then looks at the key.
#[derive(Debug, Default)]
pub struct Deadlines {
    heap: BinaryHeap<Reverse<Due>>,
}

/// A deadline that a key had once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// Microseconds since 1970.
    pub deadline: i64,
    /// Of which database.
    pub database: u8,
    /// The key's name.
    pub name: Box<[u8]>,
}

impl Deadlines {
    /// Remembers that a key, or a field of it, goes then.
    pub fn push(&mut self, database: u8, name: &[u8], deadline: i64) {
        self.heap.push(Reverse(Due { deadline, database, name: name.into() }));
    }

    /// The next deadline that has come by `now`.
    pub fn pop(&mut self, now: i64) -> Option<Due> {
        let next = self.heap.peek_mut().filter(|next| next.0.deadline <= now)?;
        Some(std::collections::binary_heap::PeekMut::pop(next).0)
    }

    /// When the next is due.
    pub fn next(&self) -> Option<i64> {
        self.heap.peek().map(|next| next.0.deadline)
    }

    /// How many are remembered, those included that hold no more.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Forgets those that `holds` denies.
    pub fn retain(&mut self, mut holds: impl FnMut(&Due) -> bool) {
        self.heap.retain(|due| holds(&due.0));
    }
}
