//! The naive oracle: all rows and all definitions there ever were, and the rules in words.

use std::collections::BTreeSet;

use asof::Status;
use asof::value::Value;

use super::definitions::{Project, View};
use super::keys::KeyRow;
pub use super::row::{Marks, Row};

/// As of when, known by when, and whether rows must have been created by then.
pub type Question = (i64, u64, bool);
/// A value, what became of it, and when it was true.
pub type Answer = (Value, Status, Option<i64>);

#[derive(Default)]
pub struct Oracle {
    pub rows: Vec<Row>,
    /// Deletes of every key of a view; their own keys mean nothing.
    pub truncates: Vec<Row>,
    /// What was done to keys of the keyspace, by number.
    pub keys: Vec<KeyRow>,
    /// All that is defined from a seq on.
    pub definitions: Vec<(u64, Project)>,
}

impl Oracle {
    pub fn definitions_at(&self, known_at: u64) -> Project {
        self.definitions.iter().rfind(|(seq, _)| *seq <= known_at).map(|(_, all)| all.clone()).unwrap_or_default()
    }

    /// Rows of a key, truncates among them.
    pub fn of_key(&self, view: usize, key: &[Value]) -> impl Iterator<Item = &Row> {
        let rows = self.rows.iter().filter(move |row| row.view == view && row.key == key);
        rows.chain(self.truncates_of(view))
    }

    /// Truncates of a view.
    pub fn truncates_of(&self, view: usize) -> impl Iterator<Item = &Row> {
        self.truncates.iter().filter(move |truncate| truncate.view == view)
    }

    /// Whether a row comes after all truncates of its view.
    pub fn is_left(&self, row: &Row) -> bool {
        self.truncates_of(row.view).all(|truncate| truncate.place() < row.place())
    }

    pub fn winner(&self, view: &View, key: &[Value], (at, known_at, cutoff): Question) -> Option<&Row> {
        let mut seen: Vec<&Row> = self.of_key(view.id, key).collect();
        seen.retain(|row| row.event_ts <= at && row.seq <= known_at);
        let cutoff = cutoff && view.definition.has_created();
        seen.retain(|row| !cutoff || row.created.is_some_and(|created| created <= at));
        seen.into_iter().max_by_key(|row| row.place())
    }

    pub fn answer(&self, view: &View, key: &[Value], feature: &str, question: Question) -> Answer {
        let (at, nothing) = (question.0, (Value::Null, Status::NotFound, None));
        let winner = self.winner(view, key, question);
        let Some(Row { values: Some(values), event_ts, marks, .. }) = winner else { return nothing };
        let is_old = view.definition.ttl_us > 0 && *event_ts < at.saturating_sub(view.definition.ttl_us);
        match values.get(feature) {
            _ if marks.hide(feature, at) => nothing,
            _ if is_old => (Value::Null, Status::OutsideMaxAge, Some(*event_ts)),
            None => (Value::Null, Status::NullValue, Some(*event_ts)),
            Some(value) => (value.clone(), Status::Present, Some(*event_ts)),
        }
    }

    /// Takes each row only where it comes more often than it is stored. An event id tells no delete from another.
    pub fn import(&mut self, rows: Vec<Row>) {
        let id_of = |row: &Row| row.values.as_ref().map_or(Value::Null, |_| row.event_id.clone());
        let content = |row: &Row| format!("{:?}", Row { seq: 0, event_id: id_of(row), ..row.clone() });
        let mut stored: Vec<String> = self.rows.iter().map(content).collect();
        let keys: BTreeSet<String> = rows.iter().map(|row| format!("{:?}", row.key)).collect();
        for key in keys {
            // Each is a delete of this key, too.
            let key = &rows.iter().find(|row| format!("{:?}", row.key) == key).unwrap().key;
            stored.extend(self.truncates.iter().map(|truncate| content(&Row { key: key.clone(), ..truncate.clone() })));
        }
        for row in rows {
            match stored.iter().position(|stored| *stored == content(&row)) {
                Some(at) => drop(stored.swap_remove(at)),
                None => self.rows.push(row),
            }
        }
    }
}
