//! Online = as-of(now), after every step, through handles that were made before it.

use asof::definition::Selection;
use asof::time::Timestamp;
use asof::value::{DataType, Value};
use asof::{ErrorKind, Features, OnlineHandle, OnlineRow};

use super::definitions::{Entity, Resolved, View};
use super::life::Life;
use super::oracle::Answer;
use super::reads::same;
use super::steps::Asked;
use super::values::{UNKNOWN, key_value};

/// A handle, what it reads whatever is defined later, and for whom.
pub struct Kept {
    handle: OnlineHandle,
    selections: Vec<Selection>,
    /// `None`: for every key that rows have, of the one view there is.
    entities: Option<Vec<Entity>>,
}

/// Later than every row.
const AFTER_ALL: i64 = i64::MAX;

impl Life {
    /// Keeps a handle for features that are defined now.
    pub fn keep(&self, asked: &Asked, entities: &[Entity]) {
        let Some((features, resolved)) = self.asked(asked, &self.project, &self.project) else { return };
        let handle = self.reader().online(&features);
        let Some(resolved) = resolved else {
            assert_eq!(handle.unwrap_err().kind(), ErrorKind::NotFound);
            return;
        };
        let selections = resolved.iter().map(Resolved::pinned).collect();
        self.kept.borrow_mut().push(Kept { handle: handle.unwrap(), selections, entities: Some(entities.to_vec()) });
    }

    /// Handles of what was dropped say so, and are not asked again.
    pub fn forget_dropped(&mut self) {
        let project = &self.project;
        let is_there = |selection: &Selection| project.resolve(std::slice::from_ref(selection)).is_some();
        self.kept.borrow_mut().retain_mut(|kept| {
            let stays = kept.selections.iter().all(is_there);
            if !stays {
                let error = kept.handle.get_batch(&[], Timestamp(0), |_, _| ()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound);
            }
            stays
        });
    }

    /// Through a handle for each view that was made when it was first asked, and through those that were kept.
    pub fn check_now(&self) {
        let mut kept = self.kept.borrow_mut();
        for view in &self.project.views {
            let is_it = |kept: &Kept| kept.entities.is_none() && kept.selections[0].view == view.definition.reference();
            if !kept.iter().any(is_it) {
                let all = Selection {
                    view: view.definition.reference(),
                    alias: None,
                    join_keys: Default::default(),
                    features: Vec::new(),
                };
                let resolved = self.project.resolve(std::slice::from_ref(&all)).unwrap();
                let handle = self.reader().online(&Features::List(vec![all])).unwrap();
                kept.push(Kept { handle, selections: vec![resolved[0].pinned()], entities: None });
            }
        }
        for kept in kept.iter_mut() {
            self.check_kept(kept);
        }
    }

    fn check_kept(&self, kept: &mut Kept) {
        let resolved = self.project.resolve(&kept.selections).unwrap();
        let entities: Vec<Vec<(String, Value)>> = match &kept.entities {
            Some(entities) => entities.iter().map(|entity| self.entity(&resolved, entity)).collect(),
            None => self.entities_of(&resolved[0].view),
        };
        let keys: Vec<_> = entities
            .iter()
            .map(|entity| {
                let given: Vec<(&str, Value)> =
                    entity.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
                kept.handle.key(&given).unwrap()
            })
            .collect();
        // The clock before, at and after the last row, where its age is the TTL, at its deadlines, and where time itself ends.
        let last = self.oracle.rows.last().map_or(self.now, |row| row.event_ts);
        let aged = last.saturating_add(resolved[0].view.definition.ttl_us);
        let around = |time: i64| [time.saturating_sub(1), time, time.saturating_add(1)];
        let mut instants: Vec<i64> = [around(self.now), around(last), around(aged)].concat();
        let marks = self.oracle.rows.last().map(|row| &row.marks);
        let deadlines = marks.into_iter().flat_map(|marks| marks.deadline.iter().chain(marks.field_deadlines.values()));
        instants.extend(deadlines.flat_map(|deadline| around(*deadline)));
        instants.push(AFTER_ALL);
        instants.sort_unstable();
        instants.dedup();
        for now in instants {
            let question = (now, u64::MAX, false);
            let expected: Vec<Vec<Answer>> =
                entities.iter().map(|entity| self.answers(&resolved, entity, question)).collect();
            for ((key, expected), entity) in keys.iter().zip(&expected).zip(&entities) {
                let row = kept.handle.get(key, Timestamp(now)).unwrap();
                check_row(&row, expected, &resolved, &|| format!("get of {entity:?} at {now}"));
            }
            let mut visited = 0;
            // More than one round of a batch takes.
            let many: Vec<_> = keys.iter().cycle().take(keys.len() * 5).cloned().collect();
            let visit = |at: usize, row: &OnlineRow<'_>| {
                let entity = &entities[at % keys.len()];
                check_row(row, &expected[at % keys.len()], &resolved, &|| {
                    format!("key {at} of a batch, {entity:?} at {now}")
                });
                if now == AFTER_ALL {
                    self.check_is_from_table(row, &resolved, entity);
                }
                visited += 1;
            };
            kept.handle.get_batch(&many, Timestamp(now), visit).unwrap();
            assert_eq!(visited, many.len());
        }
    }

    /// Every key that rows of a view have, and one that none has.
    fn entities_of(&self, view: &View) -> Vec<Vec<(String, Value)>> {
        let names = view.definition.join_keys.iter();
        let mut keys: Vec<Vec<Value>> = vec![names.clone().map(|(_, dtype)| key_value(dtype, UNKNOWN)).collect()];
        for row in self.oracle.rows.iter().filter(|row| row.view == view.id) {
            if !keys.contains(&row.key) {
                keys.push(row.key.clone());
            }
        }
        keys.into_iter().map(|key| names.clone().map(|(name, _)| name.clone()).zip(key).collect()).collect()
    }

    /// When every row lies before the clock, nothing but deadlines is left to history.
    fn check_is_from_table(&self, row: &OnlineRow<'_>, resolved: &[Resolved], entity: &[(String, Value)]) {
        let mut index = 0;
        for Resolved { view, columns, features, .. } in resolved {
            let value = |column: &String| entity.iter().find(|(name, _)| name == column).unwrap().1.clone();
            let key: Vec<Value> = columns.iter().map(value).collect();
            let rows = self.oracle.rows.iter().filter(|row| row.view == view.id && row.key == key);
            let greatest = rows.max_by_key(|row| (row.event_ts, row.created, row.seq));
            let is_there =
                greatest.is_some_and(|row| row.marks.deadline.is_none() && row.marks.field_deadlines.is_empty());
            assert_eq!(row.is_from_latest_table(index), is_there, "{entity:?}: whether it is out of the table");
            index += features.len();
        }
    }
}

fn check_row(row: &OnlineRow<'_>, expected: &[Answer], resolved: &[Resolved], what: &dyn Fn() -> String) {
    assert_eq!(row.len(), expected.len(), "{}", what());
    let features = resolved.iter().flat_map(|resolved| &resolved.features);
    for (at, ((value, status, event_ts), (name, dtype))) in expected.iter().zip(features).enumerate() {
        let found = row.value(at);
        assert!(same(&found, value), "{name}, {}: {found:?}, expected {value:?}", what());
        assert_eq!(row.status(at), (*status, event_ts.map(Timestamp)), "{name}, {}", what());
        let typed = match dtype {
            DataType::Float64 => row.f64(at).map_or(Value::Null, Value::Float64),
            DataType::Int64 => row.i64(at).map_or(Value::Null, Value::Int64),
            DataType::String => row.str(at).map_or(Value::Null, |text| Value::String(text.to_owned())),
            _ => continue,
        };
        assert!(same(&typed, value), "{name} by its type, {}: {typed:?}, expected {value:?}", what());
    }
    let floats: Option<Vec<f64>> = expected
        .iter()
        .map(|(value, ..)| if let Value::Float64(value) = value { Some(*value) } else { None })
        .collect();
    let mut out = vec![0.0; expected.len()];
    assert_eq!(row.read_f64(&mut out), floats.is_some(), "{}: whether all are floats", what());
    if let Some(floats) = floats {
        assert_eq!(format!("{out:?}"), format!("{floats:?}"), "{}: all floats", what());
    }
}
