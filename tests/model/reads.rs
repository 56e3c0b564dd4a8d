//! Reads as of any time and known by any commit, beside the oracle's answers.

use arrow_array::RecordBatchIterator;
use asof::definition::Selection;
use asof::time::Timestamp;
use asof::value::Value;
use asof::{ErrorKind, Features, GetOptions, HistoricalRequest, KnownAt, ScanOptions};

use super::definitions::{Entity, Project, Resolved, SERVICE};
use super::life::{Life, snapshot_name};
use super::oracle::{Answer, Question};
use super::rows::spine_of;
use super::steps::{Asked, Known, KnownBy};

/// Whether two values are the same, NaN and NaN too.
pub fn same(left: &Value, right: &Value) -> bool {
    left == right || format!("{left:?}") == format!("{right:?}")
}

impl Life {
    /// What a request says of `known_at`, and the number that means; `None` where it is refused, and was seen to be: there is no
    /// such snapshot, or the time or number has not come.
    pub fn known(&self, known: &Known) -> Option<(Option<KnownAt>, Option<u64>)> {
        match known.by {
            KnownBy::Now => Some((None, None)),
            KnownBy::Ahead(by) => {
                let seq = self.committed + by;
                self.check_refused(KnownAt::Seq(seq), ErrorKind::Invalid, &format!("seq {seq} is not known yet"));
                None
            }
            KnownBy::Seq { back, below } => {
                let rows = self.oracle.rows.iter().chain(&self.oracle.truncates).map(|row| row.seq);
                let rows = rows.chain(self.oracle.keys.iter().map(|row| row.seq));
                let mut all: Vec<u64> = rows.chain(self.oracle.definitions.iter().map(|(seq, _)| *seq)).collect();
                all.sort_unstable();
                let seq = all[all.len() - 1 - back % all.len()] - u64::from(below);
                Some((Some(KnownAt::Seq(seq)), Some(seq)))
            }
            KnownBy::Time(time) if time > self.now => {
                let time = Timestamp(time);
                let says = format!("what will be known at {time} is not known yet");
                self.check_refused(KnownAt::Time(time), ErrorKind::Invalid, &says);
                None
            }
            KnownBy::Time(time) => {
                let by_then = self.commits.iter().rfind(|(_, ingested_at)| *ingested_at <= time);
                let seq = by_then.map_or(0, |(seq, _)| *seq);
                Some((Some(KnownAt::Time(Timestamp(time))), Some(seq)))
            }
            KnownBy::Snapshot(number) => {
                let Some((name, seq)) = self.snapshots.get(number) else {
                    let name = snapshot_name(number);
                    let says = format!("no snapshot is called {name}");
                    self.check_refused(KnownAt::Snapshot(name), ErrorKind::NotFound, &says);
                    return None;
                };
                Some((Some(KnownAt::Snapshot(name.clone())), Some(*seq)))
            }
        }
    }

    /// What cannot be known is refused, whatever is asked for.
    fn check_refused(&self, known_at: KnownAt, kind: ErrorKind, says: &str) {
        let (reader, features) = (self.reader(), Features::service(SERVICE));
        let known_at = Some(known_at);
        let options = GetOptions { known_at: known_at.clone(), ..GetOptions::default() };
        let request = HistoricalRequest { known_at: known_at.clone(), ..HistoricalRequest::new(features.clone()) };
        let spine = spine_of(&[], &self.keys).remove(0);
        let schema = spine.schema();
        let spine = RecordBatchIterator::new([Ok(spine)], schema);
        for error in [
            reader.get(&features, &[], &options).unwrap_err(),
            reader.get_historical_features(spine, &request).err().unwrap(),
            reader.scan("any", &ScanOptions { known_at, ..ScanOptions::default() }).unwrap_err(),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    /// The definitions that a request takes names from, and those that say what they mean.
    pub fn projects(&self, known: &Known, known_seq: Option<u64>) -> (Project, Project) {
        let then = known_seq.map_or_else(|| self.project.clone(), |seq| self.oracle.definitions_at(seq));
        let named = if known.names_of_then { then.clone() } else { self.project.clone() };
        (named, if known.definitions_current { self.project.clone() } else { then })
    }

    /// What to ask for, by names out of `named`, and what that means; `None` where there is nothing to name.
    pub fn asked(&self, asked: &Asked, named: &Project, meant: &Project) -> Option<(Features, Option<Vec<Resolved>>)> {
        let selections: Vec<Selection> = match asked {
            Asked::Service => {
                let service = meant.service.as_ref();
                let resolved = service.map(|service| meant.resolve(&service.features).unwrap());
                return Some((Features::service(SERVICE), resolved));
            }
            Asked::List(new) => named.selections(new),
        };
        let resolved = meant.resolve(&selections);
        let is_any = !selections.is_empty();
        is_any.then_some((Features::List(selections), resolved))
    }

    /// The join keys of an entity that are asked for.
    pub fn entity(&self, resolved: &[Resolved], entity: &Entity) -> Vec<(String, Value)> {
        let columns = resolved.iter().flat_map(|resolved| &resolved.columns);
        columns.map(|column| (column.clone(), self.keys.value(column, entity))).collect()
    }

    /// The oracle's answer for each feature.
    pub fn answers(&self, resolved: &[Resolved], entity: &[(String, Value)], question: Question) -> Vec<Answer> {
        let mut answers = Vec::new();
        for Resolved { view, columns, features, .. } in resolved {
            let value = |column: &String| entity.iter().find(|(name, _)| name == column).unwrap().1.clone();
            let key: Vec<Value> = columns.iter().map(value).collect();
            answers.extend(features.iter().map(|(name, _)| self.oracle.answer(view, &key, name, question)));
        }
        answers
    }

    pub fn check_get(&self, asked: &Asked, known: &Known, at: Option<i64>, entity: &Entity) {
        let Some((known_at, known_seq)) = self.known(known) else { return };
        let (named, meant) = self.projects(known, known_seq);
        let Some((features, resolved)) = self.asked(asked, &named, &meant) else { return };
        let definitions_current = known.definitions_current;
        let options = GetOptions { at: at.map(Timestamp), known_at, definitions_current };
        let Some(resolved) = resolved else {
            assert_eq!(self.reader().get(&features, &[], &options).unwrap_err().kind(), ErrorKind::NotFound);
            return;
        };
        let entity = self.entity(&resolved, entity);
        let given: Vec<(&str, Value)> = entity.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let question = (at.unwrap_or(self.now), known_seq.unwrap_or(u64::MAX), false);
        let expected = self.answers(&resolved, &entity, question);
        let found = self.reader().get(&features, &given, &options).unwrap();
        let names = resolved.iter().flat_map(|one| one.features.iter().map(|(name, dtype)| (&one.label, name, dtype)));
        assert_eq!(found.len(), expected.len(), "features of {features:?}");
        for ((found, (value, status, event_ts)), (label, name, dtype)) in found.iter().zip(&expected).zip(names) {
            assert_eq!((&found.view, &found.feature, &found.dtype), (label, name, dtype));
            let what = format!("get {label}:{name} of {entity:?}, {options:?}");
            assert_eq!((found.status, found.event_ts), (*status, event_ts.map(Timestamp)), "{what}");
            assert!(same(&found.value, value), "{what}: {:?}, expected {value:?}", found.value);
        }
    }

    pub fn check_history(
        &self,
        asked: &Asked,
        known: &Known,
        created_cutoff: bool,
        full_names: bool,
        spine: &[(Option<i64>, Entity)],
    ) {
        let Some((known_at, known_seq)) = self.known(known) else { return };
        let (named, meant) = self.projects(known, known_seq);
        let Some((features, resolved)) = self.asked(asked, &named, &meant) else { return };
        let request = HistoricalRequest {
            known_at,
            definitions_current: known.definitions_current,
            created_cutoff,
            full_names,
            threads: 1,
            ..HistoricalRequest::new(features)
        };
        let batches = spine_of(spine, &self.keys);
        let schema = batches[0].schema();
        let answer = self
            .reader()
            .get_historical_features(RecordBatchIterator::new(batches.into_iter().map(Ok), schema.clone()), &request);
        let Some(resolved) = resolved else {
            assert_eq!(answer.err().unwrap().kind(), ErrorKind::NotFound);
            return;
        };
        let columns: Vec<(String, _)> = resolved
            .iter()
            .flat_map(|one| one.features.iter().map(move |(name, dtype)| (one, name, dtype)))
            .map(|(one, name, dtype)| {
                (if full_names { format!("{}__{name}", one.label) } else { name.clone() }, dtype.clone())
            })
            .collect();
        if (1..columns.len()).any(|at| columns[..at].iter().any(|(name, _)| *name == columns[at].0)) {
            assert_eq!(answer.err().unwrap().kind(), ErrorKind::Invalid, "columns of one name");
            return;
        }
        let answer = answer.unwrap();
        assert_eq!(answer.known_at_seq(), known_seq.unwrap_or(self.committed));
        let batches: Vec<_> = answer.map(|batch| batch.unwrap()).collect();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mut rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        for (number, (time, entity)) in spine.iter().enumerate() {
            let (batch, row) = rows.next().expect("every spine row stays");
            let schema = batch.schema();
            let found: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let wanted: Vec<&str> =
                names.iter().copied().chain(columns.iter().map(|(name, _)| name.as_str())).collect();
            assert_eq!(found, wanted, "columns");
            let entity = self.entity(&resolved, entity);
            let question = |at| (at, known_seq.unwrap_or(u64::MAX), created_cutoff);
            let expected = time.map(|at| self.answers(&resolved, &entity, question(at)));
            for (at, (name, dtype)) in columns.iter().enumerate() {
                let value = asof::value_at(batch.column(names.len() + at), dtype, row);
                let expected = expected.as_ref().map_or(Value::Null, |expected| expected[at].0.clone());
                let what = format!("{name} of spine row {number}, {entity:?} at {time:?}, known at {known_seq:?}");
                assert!(same(&value, &expected), "{what}: {value:?}, expected {expected:?}");
            }
        }
        assert!(rows.next().is_none(), "no row is added");
    }
}
