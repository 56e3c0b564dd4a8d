//! Which keys of a database go next.

use std::collections::BTreeSet;

/// The keys of a database that go by themselves, the first first: each once, at its earliest deadline. Whatever is done to a key is
/// followed here, so that no deadline stands here which holds no more, and none is missing that does.
#[derive(Debug, Default)]
pub struct Deadlines {
    in_order: BTreeSet<(i64, Box<[u8]>)>,
}

impl Deadlines {
    /// Follows a key whose earliest deadline was `before`, and is `after` now.
    pub fn follow(&mut self, name: &[u8], before: Option<i64>, after: Option<i64>) {
        // Of most changes, and before anything is allocated for them.
        if before == after {
            return;
        }
        let known = before.and_then(|deadline| self.in_order.take(&(deadline, name.into())));
        if let Some(deadline) = after {
            self.in_order.insert((deadline, known.map_or_else(|| name.into(), |(_, name)| name)));
        }
    }

    /// The key that goes first, and when: microseconds since 1970.
    pub fn first(&self) -> Option<(i64, &[u8])> {
        self.in_order.first().map(|(deadline, name)| (*deadline, &**name))
    }

    /// How many keys go.
    pub fn len(&self) -> usize {
        self.in_order.len()
    }
}
