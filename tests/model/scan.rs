//! Every row of a view, out of the store and out of the oracle.

use asof::definition::FeatureView;
use asof::time::Timestamp;
use asof::value::{DataType, Value};
use asof::{ErrorKind, ScanOptions};

use super::definitions::{EVENT_ID, KEY_COLUMNS, View};
use super::life::Life;
use super::oracle::{Marks, Row};
use super::rows::key_of;
use super::steps::Known;

impl Life {
    /// A scan against the oracle's rows in row order, key by key.
    pub fn check_scan(
        &self,
        view: u8,
        known: &Known,
        (from, to): (Option<i64>, Option<i64>),
        key: Option<&[u8; KEY_COLUMNS]>,
        batch_rows: usize,
    ) {
        let Some((known_at, known_seq)) = self.known(known) else { return };
        let (named, meant) = self.projects(known, known_seq);
        let Some(view) = named.pick(view) else { return };
        let key = key.map(|key| key_of(&view.definition, key, &self.keys));
        let names = view.definition.join_keys.iter().map(|(name, _)| name.clone());
        let options = ScanOptions {
            from: from.map(Timestamp),
            to: to.map(Timestamp),
            known_at,
            definitions_current: known.definitions_current,
            entity: key.clone().map(|key| names.zip(key).collect()),
            batch_rows,
        };
        let reference = view.definition.reference();
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            assert_eq!(self.reader().scan(&reference.to_string(), &options).unwrap_err().kind(), ErrorKind::Invalid);
            return;
        }
        let Some(View { id, definition }) = meant.find(&reference) else {
            let error = self.reader().scan(&reference.to_string(), &options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            let first = self.oracle.definitions.iter().find(|(_, project)| project.find(&reference).is_some());
            if let Some((first, _)) = first.filter(|(first, _)| known_seq.is_some_and(|known| known < *first)) {
                assert!(error.to_string().contains(&format!("was first applied at seq {first}, after")), "{error}");
            }
            return;
        };
        if key.is_some() && definition.join_keys != view.definition.join_keys {
            return;
        }
        let is_known = |row: &&Row| row.seq <= known_seq.unwrap_or(u64::MAX);
        let mut expected: Vec<Row> = Vec::new();
        for of in self.keys_of(*id).into_iter().filter(|of| key.as_ref().is_none_or(|key| of == key)) {
            let mut rows: Vec<&Row> = self.oracle.of_key(*id, &of).filter(is_known).collect();
            rows.sort_by_key(|row| row.place());
            for (at, row) in rows.iter().enumerate() {
                // A truncate deletes what has values, and shows nowhere else.
                let is_shown = row.key == of || at > 0 && rows[at - 1].values.is_some();
                expected.extend(is_shown.then(|| Row { key: of.clone(), ..Row::clone(row) }));
            }
        }
        expected.retain(|row| from.is_none_or(|from| row.event_ts >= from) && to.is_none_or(|to| row.event_ts < to));
        expected.sort_by_key(|row| (row.event_ts, row.created, row.seq));
        for row in &mut expected {
            (row.view, row.seq, row.marks) = (0, 0, Marks::default());
            let is_delete = row.values.is_none();
            if let Some(values) = &mut row.values {
                values.retain(|name, _| definition.feature_index(name).is_some());
            }
            if is_delete && definition.feature_index(EVENT_ID).is_some() {
                // A delete has no features, and so no event id that is one.
                row.event_id = Value::Null;
            }
        }
        let found = self.scanned(definition, &options);
        let text = |row: &Row| format!("{row:?}");
        let mut keys: Vec<&Vec<Value>> = Vec::new();
        for group in found.chunk_by(|left, right| left.key == right.key) {
            assert!(!keys.contains(&&group[0].key), "rows of a key stand together");
            keys.push(&group[0].key);
            let alike = expected.iter().filter(|row| row.key == group[0].key);
            let (found, alike): (Vec<String>, Vec<String>) =
                (group.iter().map(text).collect(), alike.map(text).collect());
            assert_eq!(found, alike, "scan of {reference}: {options:?}");
        }
        assert_eq!(found.len(), expected.len(), "rows in a scan of {reference}: {options:?}");
    }

    /// Every key that rows of a view have.
    fn keys_of(&self, view: usize) -> Vec<Vec<Value>> {
        let mut keys: Vec<Vec<Value>> = Vec::new();
        for row in self.oracle.rows.iter().filter(|row| row.view == view) {
            if !keys.contains(&row.key) {
                keys.push(row.key.clone());
            }
        }
        keys
    }

    /// What a scan gives, its rows not numbered.
    pub fn scanned(&self, definition: &FeatureView, options: &ScanOptions) -> Vec<Row> {
        let scan = self.reader().scan(&definition.reference().to_string(), options).unwrap();
        let mut rows = Vec::new();
        for batch in scan {
            let batch = batch.unwrap();
            assert!((1..=options.batch_rows).contains(&batch.num_rows()));
            let value = |name: &str, dtype: &DataType, row: usize| {
                asof::value_at(batch.column_by_name(name).unwrap(), dtype, row)
            };
            for at in 0..batch.num_rows() {
                let key = definition.join_keys.iter().map(|(name, dtype)| value(name, dtype, at)).collect();
                let time = |name: &str| match value(name, &DataType::Timestamp, at) {
                    Value::Timestamp(time) => Some(time),
                    _ => None,
                };
                let features = definition.features.iter();
                let values = features.map(|feature| (feature.name.clone(), value(&feature.name, &feature.dtype, at)));
                let is_delete = value("_deleted", &DataType::Bool, at) == Value::Bool(true);
                assert!(!is_delete || values.clone().all(|(_, value)| value.is_null()), "a delete has no features");
                rows.push(Row {
                    view: 0,
                    key,
                    event_ts: time("event_timestamp").unwrap(),
                    created: if definition.has_created() { time("created") } else { None },
                    seq: 0,
                    event_id: definition.event_id.first().map_or(Value::Null, |(name, dtype)| value(name, dtype, at)),
                    values: (!is_delete).then(|| values.filter(|(_, value)| !value.is_null()).collect()),
                    marks: Marks::default(),
                });
            }
        }
        rows
    }
}
