//! Groups of rows and keys, made in a store and in the oracle, and what both then say of keys and rows.

use std::collections::BTreeMap;

use asof::keyspace::Keyspace;
use asof::time::Timestamp;
use asof::value::Value;
use asof::{EntityField, EntityRow, EntityView, ErrorKind, KeyspaceHandle, RowStage};

use super::definitions::{KEY_COLUMNS, View};
use super::group::{Act, KeyAct, NAMES, Part, Put, name};
use super::keys::{Change, Held, KeyRow, Keys, Name, as_of};
use super::life::{Life, SKEW};
use super::oracle::{Marks, Oracle, Question, Row};
use super::rows::key_of;
use super::steps::Known;
use super::values::feature_value;

impl Oracle {
    /// A row as a read of one entity gives it.
    pub fn row_at(&self, view: &View, key: &[Value], question: Question) -> Option<EntityRow> {
        let winner = self.winner(view, key, question)?;
        let mut row = EntityRow { event_ts: winner.event_ts, deadline: winner.marks.deadline, fields: Vec::new() };
        for feature in &view.definition.features {
            let (value, status, _) = self.answer(view, key, &feature.name, question);
            let has_value = matches!(status, asof::Status::Present | asof::Status::NullValue);
            let deadline = winner.marks.field_deadlines.get(&feature.name).copied().filter(|_| has_value);
            row.fields.push(EntityField { value: has_value.then_some(value), deadline });
        }
        row.fields.iter().any(|field| field.value.is_some()).then_some(row)
    }
}

fn served(views: Vec<EntityView>, view: &View) -> EntityView {
    views.into_iter().find(|served| served.definition().reference() == view.definition.reference()).unwrap()
}

fn encoded(view: &View, key: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    view.definition.key_schema().encode(key, &mut out).unwrap();
    out
}

/// NaN is like NaN.
fn assert_alike(found: &Option<EntityRow>, expected: &Option<EntityRow>, what: &dyn Fn() -> String) {
    assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{}", what());
}

/// Does to a store what changes keys.
fn change(keyspace: &mut Keyspace, of: &Name, act: &KeyAct, changes: &[(Name, Change)], now: i64) {
    let key = (of.0, &*of.1);
    keyspace.forget_expired(key, now);
    let Some((first, change)) = changes.first() else { return };
    let first = (first.0, &*first.1);
    keyspace.forget_expired(first, now);
    match (act, change) {
        (KeyAct::Rename(_), _) => assert!(keyspace.rename(key, first)),
        (KeyAct::Copy(_), _) => assert!(keyspace.copy(key, first)),
        (_, Change::Set(bytes, deadline)) => drop(keyspace.set_string(key, bytes.clone(), *deadline)),
        (_, Change::Write(offset, bytes)) => assert!(keyspace.write_string(key, *offset, bytes)),
        (_, Change::SetFields(fields)) => fields.iter().for_each(|(field, value)| {
            keyspace.set_field(key, field, value);
        }),
        (_, Change::DeleteField(field)) => assert!(keyspace.remove_field(key, field)),
        (_, Change::Delete) => assert!(keyspace.remove(key)),
        (_, Change::Deadline(deadline)) => keyspace.set_deadline(key, *deadline),
        (_, Change::FieldDeadline(field, deadline)) => keyspace.set_field_deadline(key, field, *deadline),
        (_, Change::Flush) => keyspace.truncate(of.0),
        (_, Change::TakeOver(_)) => unreachable!("a rename or a copy"),
    }
}

impl Life {
    pub fn keyspace(&self) -> KeyspaceHandle {
        self.store().keyspace().unwrap()
    }

    /// The instant of the keyspace, which never goes back.
    fn instant(&self, found: i64) -> i64 {
        let least = self.instant.get().max(self.now);
        assert!(found >= least, "the keyspace's clock went back from {least} to {found}");
        self.instant.set(found);
        found
    }

    /// A group of keys and rows: one commit, or none.
    pub fn transact(&mut self, acts: &[Act]) {
        let before = (self.oracle.rows.len(), self.oracle.keys.len());
        let mut instant = 0;
        self.keyspace()
            .transact(|keyspace, rows| {
                instant = self.instant(rows.now);
                assert!(instant >= self.ingested_at(), "a group comes after what is there");
                for act in acts {
                    match act {
                        Act::Put(put) => self.put(rows, put),
                        Act::DeleteRow { view, key, at } => self.delete_row(rows, *view, key, *at),
                        Act::Key { name: number, act } => {
                            let of = name(*number);
                            let changes = act.changes(&of, &as_of(&self.oracle.keys, instant, u64::MAX));
                            change(keyspace, &of, act, &changes, instant);
                            changes
                                .into_iter()
                                .for_each(|(name, change)| self.stage_key(before.1, name, change, instant));
                        }
                    }
                }
            })
            .unwrap();
        // Rows come first, view by view, then keys.
        self.oracle.rows[before.0..].sort_by_key(|row| row.view);
        let (rows, keys) = (&mut self.oracle.rows[before.0..], &mut self.oracle.keys[before.1..]);
        let count = (rows.len() + keys.len()) as u64;
        let last = self.store.as_ref().unwrap().summary().unwrap().seq;
        if count == 0 {
            assert_eq!(last, self.committed, "nothing was committed");
            return;
        }
        let first = last + 1 - count;
        assert!(first > self.committed, "numbers are given once");
        let seqs = rows.iter_mut().map(|row| &mut row.seq).chain(keys.iter_mut().map(|row| &mut row.seq));
        seqs.zip(first..).for_each(|(seq, given)| *seq = given);
        self.commit_at(last, instant);
    }

    /// Fields of one hash that are set one after the other share a row.
    fn stage_key(&mut self, begun: usize, name: Name, change: Change, at: i64) {
        let is_begun = self.oracle.keys.len() > begun;
        let last = self.oracle.keys.last_mut().filter(|last| is_begun && last.name == name);
        match (last.map(|last| &mut last.change), change) {
            (Some(Change::SetFields(fields)), Change::SetFields(more)) => fields.extend(more),
            (_, change) => {
                let seq = self.provisional();
                self.oracle.keys.push(KeyRow { name, at, seq, change });
            }
        }
    }

    /// A number after all that were given, and after those of the group.
    fn provisional(&self) -> u64 {
        self.committed + 1 + (self.oracle.rows.len() + self.oracle.keys.len()) as u64
    }

    fn put(&mut self, stage: &mut RowStage, put: &Put) {
        let Some(view) = self.project.pick(put.view).cloned() else { return };
        let served = served(stage.entity_views().unwrap().views, &view);
        let key = key_of(&view.definition, &put.key, &self.keys);
        let (bytes, at) = (encoded(&view, &key), put.at.unwrap_or(stage.now));
        let before = stage.row(&served, &bytes, at).unwrap();
        let expected = self.oracle.row_at(&view, &key, (at, u64::MAX, false));
        assert_alike(&before, &expected, &|| format!("{key:?} at {at}, within a group"));
        let features = &view.definition.features;
        let mut row = before.clone().unwrap_or_else(|| EntityRow::empty(features.len()));
        row.event_ts = at;
        for (number, part) in &put.fields {
            let feature = usize::from(*number) % features.len();
            let dtype = &features[feature].dtype;
            let value = |number: &Option<u8>| number.map_or(Value::Null, |number| feature_value(dtype, number));
            let field = &mut row.fields[feature];
            match part {
                Part::Value(number) => *field = EntityField { value: Some(value(number)), deadline: None },
                Part::Absent => *field = EntityField::default(),
                Part::Deadline(deadline) => field.deadline = *deadline,
            }
        }
        row.deadline = put.deadline.unwrap_or(row.deadline);
        let written = stage.put(&served, &bytes, &row, before.as_ref());
        let is_ahead = at > stage.now.saturating_add(SKEW);
        // An event id that is a feature is to be set; of one that is none, no row can say it.
        let event_id = view.definition.event_id.first().map(|(name, _)| {
            let feature = view.definition.feature_index(name)?;
            row.fields[feature].value.clone().filter(|id| !id.is_null())
        });
        if is_ahead || event_id == Some(None) {
            assert_eq!(written.unwrap_err().kind(), ErrorKind::Invalid);
            return;
        }
        written.unwrap();
        let named = || features.iter().map(|feature| feature.name.clone()).zip(&row.fields);
        let values: BTreeMap<String, Value> = named()
            .filter_map(|(name, field)| Some((name, field.value.clone().filter(|value| !value.is_null())?)))
            .collect();
        let marks = Marks {
            deadline: row.deadline,
            field_deadlines: named().filter_map(|(name, field)| Some((name, field.deadline?))).collect(),
            absent: named().filter(|(_, field)| field.value.is_none()).map(|(name, _)| name).collect(),
        };
        let event_id = event_id.flatten().unwrap_or(Value::Null);
        self.stage_row(
            &view,
            stage.now,
            Row { view: view.id, key, event_ts: at, created: None, seq: 0, event_id, values: Some(values), marks },
        );
    }

    fn delete_row(&mut self, stage: &mut RowStage, view: u8, key: &[u8; KEY_COLUMNS], at: Option<i64>) {
        let Some(view) = self.project.pick(view).cloned() else { return };
        let served = served(stage.entity_views().unwrap().views, &view);
        let key = key_of(&view.definition, key, &self.keys);
        let at = at.unwrap_or(stage.now);
        let deleted = stage.delete(&served, &encoded(&view, &key), at);
        if at > stage.now.saturating_add(SKEW) {
            assert_eq!(deleted.unwrap_err().kind(), ErrorKind::Invalid);
            return;
        }
        deleted.unwrap();
        let marks = Marks::default();
        self.stage_row(
            &view,
            stage.now,
            Row { view: view.id, key, event_ts: at, created: None, seq: 0, event_id: Value::Null, values: None, marks },
        );
    }

    /// Such a row is created when the group is, or late enough to win at its event time.
    fn stage_row(&mut self, view: &View, now: i64, mut row: Row) {
        if view.definition.has_created() {
            let is_alike =
                |other: &&Row| (other.view, other.event_ts, &other.key) == (row.view, row.event_ts, &row.key);
            let alike = self.oracle.rows.iter().filter(is_alike).filter_map(|row| row.created);
            row.created = alike.chain([now]).max();
        }
        row.seq = self.provisional();
        self.oracle.rows.push(row);
    }

    /// Keys as they are, and keys and the last row as they were just before what was done last, and after.
    pub fn check_keys(&self) {
        let Some(store) = &self.store else { return };
        let keys = store.keyspace().unwrap();
        let now = self.instant(keys.now().micros());
        let expected = as_of(&self.oracle.keys, now, u64::MAX);
        let mut found = Keys::new();
        {
            let read = keys.read();
            for database in 0..16 {
                let of = |key: &asof::keyspace::Key| ((database, key.name.to_vec()), Held::of(key, now));
                found.extend(read.iter(database, now).map(of));
            }
        }
        assert_eq!(found, expected, "keys at {now}");
        let Some(last) = self.oracle.keys.last() else { return };
        for at in [last.at - 1, last.at, now, now + 5] {
            self.check_keys_at(&keys, at, None);
        }
    }

    /// All keys as of a time, as they were known by then.
    pub fn check_keys_at(&self, keys: &KeyspaceHandle, at: i64, known: Option<(&asof::KnownAt, u64)>) {
        let expected = as_of(&self.oracle.keys, at, known.map_or(u64::MAX, |(_, seq)| seq));
        for name in (0..NAMES).map(name) {
            let found = keys.key_at((name.0, &name.1), Timestamp(at), known.map(|(known_at, _)| known_at)).unwrap();
            let found = found.map(|key| Held::of(&key, at));
            assert_eq!(found.as_ref(), expected.get(&name), "{name:?} at {at}, known at {known:?}");
        }
    }

    /// Keys, and a row of a view, as of a time.
    pub fn check_at(&self, known: &Known, at: i64, view: u8, key: &[u8; KEY_COLUMNS]) {
        let Some((known_at, seq)) = self.known(known) else { return };
        let keys = self.keyspace();
        let known = known_at.as_ref().zip(seq);
        self.check_keys_at(&keys, at, known);
        let Some(view) = self.project.pick(view) else { return };
        let key = key_of(&view.definition, key, &self.keys);
        let served = served(keys.entity_views().unwrap().views, view);
        let found = keys.row_at(&served, &encoded(view, &key), Timestamp(at), known_at.as_ref()).unwrap();
        let expected = self.oracle.row_at(view, &key, (at, seq.unwrap_or(u64::MAX), false));
        assert_alike(&found, &expected, &|| format!("{key:?} at {at}, known at {known_at:?}"));
    }
}
