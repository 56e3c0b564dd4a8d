//! Entities one after the other, as keys of database 0: `KEYS`, `SCAN`, `DBSIZE`, `RANDOMKEY`, `FLUSHDB`, `FLUSHALL`.
//!
//! A cursor of `SCAN` says in its upper 16 bits which view it is in, from 1 on in their order, and below the upper 48 bits of the key hash
//! to go on from; those of the keyspace have zeros there.

use super::read::Source;
use super::{Entities, refusal_of};
use crate::engine::entity_keys::EntityKeys;
use crate::engine::row_stage::RowStage;
use crate::keyspace::Cursor;
use crate::server::resp::command::Refusal;
use crate::server::resp::random::below;
use crate::value::Value;

/// Bits of a cursor that say where in a view it is.
const PLACE_BITS: u32 = 48;
/// Those of a hash that it does not say.
const ROUND_BITS: u32 = 64 - PLACE_BITS;
/// Entities that are asked for at a time.
const PART: usize = 1_024;

impl Entities {
    /// The cursor that the first view begins at; `None`: there is no view.
    pub fn first_cursor(&self) -> Option<Cursor> {
        (!self.views.is_empty()).then_some(1 << PLACE_BITS)
    }

    /// Whether a cursor is in a view, and not in the keyspace.
    pub fn has_cursor(cursor: Cursor) -> bool {
        cursor >> PLACE_BITS > 0
    }

    /// Gives `visit` the names of entities that are there, from `cursor` on, after a look at about `count` of them; and where to go on, 0
    /// at the end.
    ///
    /// # Errors
    /// A run that had to be read is damaged.
    pub fn scan(
        &mut self,
        cursor: Cursor,
        count: usize,
        source: &Source<'_>,
        mut visit: impl FnMut(&[u8]),
    ) -> Result<Cursor, Refusal> {
        let (mut cursor, mut left, mut name) = (cursor, count, Vec::new());
        loop {
            let view = usize::try_from(cursor >> PLACE_BITS).unwrap_or(usize::MAX).wrapping_sub(1);
            if view >= self.views.len() {
                return Ok(0);
            }
            let part = self.part(view, cursor << ROUND_BITS, left, source)?;
            left = left.saturating_sub(part.keys.len());
            for (_, key) in part.keys {
                name.clear();
                if self.is_there(view, &key, source)? && self.router.name_of(view, &key, &mut name) {
                    visit(&name);
                }
            }
            let of_view = cursor >> PLACE_BITS;
            cursor = match part.next {
                Some(next) => of_view << PLACE_BITS | next >> ROUND_BITS,
                None => (of_view + 1) << PLACE_BITS,
            };
            if left == 0 && part.next.is_some() {
                return Ok(cursor);
            }
        }
    }

    /// Gives `visit` the names of all entities that are there.
    ///
    /// # Errors
    /// As [`Entities::scan`].
    pub fn for_each(&mut self, source: &Source<'_>, mut visit: impl FnMut(&[u8])) -> Result<(), Refusal> {
        let mut cursor = self.first_cursor().unwrap_or(0);
        while cursor != 0 {
            cursor = self.scan(cursor, PART, source, &mut visit)?;
        }
        Ok(())
    }

    /// The name of an entity that is there, one of those whose hashes follow a random one.
    ///
    /// # Errors
    /// As [`Entities::scan`].
    pub fn random(&mut self, source: &Source<'_>) -> Result<Option<Vec<u8>>, Refusal> {
        let first = below(self.views.len().max(1));
        let place = below(1 << PLACE_BITS) as u64;
        for turn in 0..=self.views.len() {
            let view = (first + turn) % self.views.len().max(1);
            let mut cursor = (view as u64 + 1) << PLACE_BITS | if turn == 0 { place } else { 0 };
            while cursor >> PLACE_BITS == view as u64 + 1 {
                let mut found = None;
                cursor = self.scan(cursor, 1, source, |name| {
                    found.get_or_insert_with(|| name.to_vec());
                })?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    /// Truncates all views: one row deletes every entity of one. A view that has nothing to delete gets none.
    ///
    /// # Errors
    /// A run that had to be read is damaged.
    pub fn truncate_all(&self, rows: &mut RowStage) -> Result<(), Refusal> {
        let now = rows.now;
        self.views
            .iter()
            .try_for_each(|served| rows.truncate(&served.view, now).map(drop).map_err(|error| refusal_of(&error)))
    }

    fn part(&self, view: usize, from: u64, count: usize, source: &Source<'_>) -> Result<EntityKeys, Refusal> {
        let view = &self.views[view].view;
        let part = match source {
            Source::Online(_) => self.store.entity_keys(view, from, count, ROUND_BITS),
            Source::Stage(rows) => rows.entity_keys(view, from, count, ROUND_BITS),
        };
        part.map_err(|error| refusal_of(&error))
    }

    /// Whether an entity has a value to show.
    fn is_there(&mut self, view: usize, key: &[u8], source: &Source<'_>) -> Result<bool, Refusal> {
        self.key.clear();
        self.key.extend_from_slice(key);
        let row = self.row(view, source)?;
        let is_value = |value: &Option<Value>| value.as_ref().is_some_and(|value| !value.is_null());
        Ok(row.is_some_and(|row| row.fields.iter().any(|field| is_value(&field.value))))
    }
}
