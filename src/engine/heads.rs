//! The HEADs that a process which does not write has followed: the one of now, and those before it.

use std::sync::OnceLock;

use crate::head::Head;

/// The HEAD that is followed, once there is one, and those that took its place after it. A HEAD is lost seldom; whoever
/// reads one of the older ones meanwhile needs no lock.
#[derive(Debug, Default)]
pub(super) struct Heads(OnceLock<(Head, Box<Heads>)>);

impl Heads {
    #[inline]
    pub fn current(&self) -> Option<&Head> {
        let (mut head, mut next) = self.0.get().map(|(head, next)| (head, next))?;
        while let Some((newer, after)) = next.0.get() {
            (head, next) = (newer, after);
        }
        Some(head)
    }

    pub fn add(&self, head: Head) {
        let mut last = self;
        while let Some((_, next)) = last.0.get() {
            last = next;
        }
        // Only whoever holds the lock of `Following` adds one.
        let _ = last.0.set((head, Box::default()));
    }
}
