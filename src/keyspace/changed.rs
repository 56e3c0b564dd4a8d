//! What a group changed, for who watches keys.

use super::change::Before;
use super::{Database, Keyspace};
use crate::format::keyspace::KeyName;

/// Something that a group changed.
#[derive(Debug)]
pub enum Changed<'a> {
    /// A key, in whatever way.
    Key(KeyName<'a>),
    /// All keys of a database went.
    Database(u8, Emptied<'a>),
}

/// A database as it was before all its keys went.
#[derive(Debug)]
pub struct Emptied<'a>(&'a Database);

impl Emptied<'_> {
    /// Whether it had a key that was there at `now`.
    pub fn had(&self, name: &[u8], now: i64) -> bool {
        self.0.keys.get(name).is_some_and(|key| key.is_there(now))
    }
}

impl Keyspace {
    /// How much the group that is being made has changed so far: a mark for [`Keyspace::changed_since`].
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    /// What the group changed after a mark, in order. A key may come more than once. What went with its deadline is not among it: that
    /// was gone before.
    pub fn changed_since(&self, mark: usize) -> impl Iterator<Item = Changed<'_>> {
        self.undo[mark.min(self.undo.len())..].iter().flat_map(|undo| {
            let (first, second) = match &undo.before {
                Before::Database(before) => (Changed::Database(undo.database, Emptied(before)), None),
                Before::Renamed(from, old_name, _) => {
                    (Changed::Key((undo.database, &undo.name)), Some(Changed::Key((*from, old_name))))
                }
                _ => (Changed::Key((undo.database, &undo.name)), None),
            };
            std::iter::once(first).chain(second)
        })
    }
}
