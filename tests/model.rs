//! Random lives of a store against a naive oracle: every write, late row, delete, seal, merge,
//! import, reopening and change of definitions, and after each step every read.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchIterator, StringArray, TimestampMicrosecondArray,
};
use asof::definition::{Definitions, Entity, Feature, FeatureView};
use asof::disk::MemDisk;
use asof::options::Sizes;
use asof::time::{ManualClock, Timestamp};
use asof::value::{DataType, Value};
use asof::{
    ApplyOptions, BulkOptions, DeleteOptions, ErrorKind, Features, GetOptions, HistoricalRequest, KnownAt,
    OnlineHandle, OnlineRow, ScanOptions, Status, Store, StoreBuilder, WriteOptions,
};
use proptest::prelude::*;

/// Key, event time, created time, features, whether it is a delete.
type ScannedRow = (i64, i64, Option<i64>, Vec<Value>, bool);

/// The naive oracle: all rows ever, and the rule in words.
#[derive(Default)]
struct Oracle {
    rows: Vec<OracleRow>,
}

#[derive(Clone, Debug)]
struct OracleRow {
    key: i64,
    event_ts: i64,
    created: Option<i64>,
    seq: u64,
    /// `None` for a delete.
    values: Option<Vec<Value>>,
}

struct Question {
    at: i64,
    known_at: u64,
    created_cutoff: bool,
    ttl: i64,
}

impl Oracle {
    fn answer(&self, key: i64, feature: usize, question: &Question) -> (Status, Value) {
        let mut seen: Vec<&OracleRow> = self.rows.iter().filter(|row| row.key == key).collect();
        seen.retain(|row| row.event_ts <= question.at && row.seq <= question.known_at);
        seen.retain(|row| !question.created_cutoff || row.created.is_some_and(|created| created <= question.at));
        seen.sort_by_key(|row| (row.event_ts, row.created, row.seq));
        let Some(winner) = seen.last() else { return (Status::NotFound, Value::Null) };
        let Some(values) = &winner.values else { return (Status::NotFound, Value::Null) };
        if question.ttl > 0 && winner.event_ts < question.at.saturating_sub(question.ttl) {
            return (Status::OutsideMaxAge, Value::Null);
        }
        // A row older than an added feature has null there.
        match values.get(feature) {
            None | Some(Value::Null) => (Status::NullValue, Value::Null),
            Some(value) => (Status::Present, value.clone()),
        }
    }
}

#[derive(Clone, Debug)]
struct NewRow {
    key: i64,
    event_ts: i64,
    created: Option<i64>,
    number: Option<f64>,
    text: Option<String>,
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<NewRow>),
    Import(Vec<NewRow>),
    /// Some rows as they are stored, and new ones.
    ImportAgain(usize, Vec<NewRow>),
    Delete {
        key: i64,
        at: i64,
    },
    Seal,
    Merge,
    Reopen,
    Clock(i64),
    AddFeature,
    Ttl(i64),
    Snapshot,
    History {
        times: Vec<i64>,
        known_back: usize,
        created_cutoff: bool,
    },
    Scan {
        from: Option<i64>,
        to: Option<i64>,
        known_back: usize,
        key: Option<i64>,
        batch_rows: usize,
    },
}

const KEYS: i64 = 4;
/// Later than any row.
const AFTER_ALL: i64 = 100;

fn row() -> impl Strategy<Value = NewRow> {
    let number = prop::option::weighted(0.8, prop::num::f64::ANY.prop_map(|x| if x.is_nan() { 0.5 } else { x }));
    let text = prop::option::weighted(0.8, prop_oneof!["[a-z]{0,5}", "[a-z]{10,40}"]);
    (0..KEYS, 0..30_i64, prop::option::of(0..30_i64), number, text)
        .prop_map(|(key, event_ts, created, number, text)| NewRow { key, event_ts, created, number, text })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(row(), 1..6).prop_map(Step::Write),
        2 => prop::collection::vec(row(), 1..12).prop_map(Step::Import),
        2 => (1..20_usize, prop::collection::vec(row(), 0..4)).prop_map(|(back, rows)| Step::ImportAgain(back, rows)),
        2 => (0..KEYS, 0..30_i64).prop_map(|(key, at)| Step::Delete { key, at }),
        2 => Just(Step::Seal),
        1 => Just(Step::Merge),
        1 => Just(Step::Reopen),
        3 => (0..32_i64).prop_map(Step::Clock),
        1 => Just(Step::AddFeature),
        1 => (0..12_i64).prop_map(Step::Ttl),
        1 => Just(Step::Snapshot),
        3 => (prop::collection::vec(-1..32_i64, 1..6), 0..20_usize, any::<bool>())
            .prop_map(|(times, known_back, created_cutoff)| Step::History { times, known_back, created_cutoff }),
        2 => scan(),
    ]
}

fn scan() -> impl Strategy<Value = Step> {
    let time = || prop::option::of(-1..32_i64);
    (time(), time(), 0..20_usize, prop::option::weighted(0.3, 0..=KEYS), 1..9_usize)
        .prop_map(|(from, to, known_back, key, batch_rows)| Step::Scan { from, to, known_back, key, batch_rows })
}

/// A store beside the oracle.
struct Pair {
    builder: StoreBuilder,
    store: Option<Store>,
    clock: Arc<ManualClock>,
    oracle: Oracle,
    declares_created: bool,
    feature_count: usize,
    ttl: i64,
    now: i64,
    snapshots: u32,
    online: RefCell<Option<OnlineHandle>>,
}

impl Pair {
    fn new(declares_created: bool) -> Pair {
        let clock = Arc::new(ManualClock::new(Timestamp(15)));
        let sizes = Sizes { segment_bytes: 64 << 10, ..Sizes::default() };
        let builder =
            Store::builder().clock(clock.clone()).sizes(sizes).background(false).disk(Arc::new(MemDisk::volatile()));
        let store = Some(builder.clone().open("/model").unwrap());
        let pair = Pair {
            builder,
            store,
            clock,
            oracle: Oracle::default(),
            declares_created,
            feature_count: 1,
            ttl: 0,
            now: 15,
            snapshots: 0,
            online: RefCell::default(),
        };
        pair.apply();
        pair
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn apply(&self) {
        let mut definitions = Definitions { project: "model".into(), ..Definitions::default() };
        let join_keys = vec![("id".to_owned(), DataType::Int64)];
        definitions.entities.insert("thing".into(), Entity { join_keys: join_keys.clone(), ..Entity::default() });
        let features = [("number", DataType::Float64), ("text", DataType::String)];
        let feature = |(name, dtype): &(&str, DataType)| Feature {
            name: (*name).to_owned(),
            dtype: dtype.clone(),
            description: String::new(),
            rules: Default::default(),
            tags: BTreeMap::new(),
        };
        let mut view = FeatureView::new("v").entity("thing");
        view.join_keys = join_keys;
        view.features = features[..self.feature_count].iter().map(feature).collect();
        view.ttl_us = self.ttl;
        view.source.created_timestamp = self.declares_created.then(|| "created".to_owned());
        definitions.views.push(view);
        self.store().apply(&definitions, ApplyOptions::default()).unwrap();
    }

    fn batch(&self, rows: &[NewRow]) -> RecordBatch {
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(rows.iter().map(|row| row.key).collect::<Int64Array>())),
            (
                "event_timestamp",
                Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.event_ts))),
            ),
            ("number", Arc::new(rows.iter().map(|row| row.number).collect::<Float64Array>())),
        ];
        if self.declares_created {
            let created = rows.iter().map(|row| row.created).collect::<TimestampMicrosecondArray>();
            columns.push(("created", Arc::new(created)));
        }
        if self.feature_count > 1 {
            columns.push(("text", Arc::new(rows.iter().map(|row| row.text.clone()).collect::<StringArray>())));
        }
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
    }

    fn remember(&mut self, rows: &[NewRow], first_seq: u64) {
        for (row, seq) in rows.iter().zip(first_seq..) {
            let mut values = vec![Value::from(row.number)];
            if self.feature_count > 1 {
                values.push(row.text.clone().map_or(Value::Null, Value::String));
            }
            let created = row.created.filter(|_| self.declares_created);
            self.oracle.rows.push(OracleRow {
                key: row.key,
                event_ts: row.event_ts,
                created,
                seq,
                values: Some(values),
            });
        }
    }

    fn import(&mut self, rows: &[NewRow]) {
        let options = BulkOptions { allow_future: true, ..BulkOptions::default() };
        let mut bulk = self.store().bulk_writer("v", options).unwrap();
        bulk.write(&self.batch(rows)).unwrap();
        let report = bulk.commit().unwrap();
        let first_seq = report.seq.map_or(0, |(first, _)| first);
        let added = self.remember_beyond(rows, first_seq);
        assert_eq!((report.rows_written, report.seq.is_some()), (added, added > 0));
    }

    /// An import: a row is added only where it comes more often than it is stored. Says how many are.
    fn remember_beyond(&mut self, rows: &[NewRow], first_seq: u64) -> u64 {
        let content = |row: &OracleRow| {
            let values = row.values.clone().map(|mut values| {
                values.resize(2, Value::Null);
                values
            });
            format!("{:?}", (row.key, row.event_ts, row.created, values))
        };
        let stored = self.oracle.rows.len();
        self.remember(rows, first_seq);
        let mut known: Vec<String> = self.oracle.rows[..stored].iter().map(content).collect();
        let taken = self.oracle.rows.split_off(stored);
        for row in taken {
            match known.iter().position(|known| *known == content(&row)) {
                Some(at) => drop(known.swap_remove(at)),
                None => self.oracle.rows.push(row),
            }
        }
        (self.oracle.rows.len() - stored) as u64
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Write(rows) => {
                let options = WriteOptions { allow_future: true, ..WriteOptions::default() };
                let report = self.store().write_with("v", &self.batch(rows), &options).unwrap();
                self.remember(rows, report.first_seq);
            }
            Step::Import(rows) => self.import(rows),
            Step::ImportAgain(back, rows) => {
                let stored = self.oracle.rows.iter().rev().filter(|row| row.values.is_some()).take(*back);
                let mut rows = rows.clone();
                rows.extend(stored.map(|row| {
                    let (number, text) = match row.values.as_deref() {
                        Some([number, rest @ ..]) => (number, rest.first()),
                        _ => unreachable!("a row of values has a number"),
                    };
                    NewRow {
                        key: row.key,
                        event_ts: row.event_ts,
                        created: row.created,
                        number: if let Value::Float64(number) = number { Some(*number) } else { None },
                        text: if let Some(Value::String(text)) = text { Some(text.clone()) } else { None },
                    }
                }));
                if !rows.is_empty() {
                    self.import(&rows);
                }
            }
            Step::Delete { key, at } => {
                let options =
                    DeleteOptions { at: Some(Timestamp(*at)), allow_future: true, ..DeleteOptions::default() };
                let report = self.store().delete("v", &[("id", Value::Int64(*key))], &options).unwrap();
                let created = self.declares_created.then(|| report.created.unwrap().micros());
                let row = OracleRow { key: *key, event_ts: *at, created, seq: report.seq, values: None };
                self.oracle.rows.push(row);
            }
            Step::Seal => {
                self.store().seal().unwrap();
            }
            Step::Merge => {
                self.store().compact().unwrap();
            }
            Step::Reopen => {
                self.online.take();
                self.store = None;
                self.store = Some(self.builder.clone().open("/model").unwrap());
            }
            Step::Clock(now) => {
                self.now = *now;
                self.clock.set(Timestamp(*now));
            }
            Step::AddFeature => {
                self.feature_count = 2;
                self.apply();
            }
            Step::Ttl(ttl) => {
                self.ttl = *ttl;
                self.apply();
            }
            Step::Snapshot => {
                self.snapshots += 1;
                let snapshot = self.store().snapshot(&format!("s{}", self.snapshots)).unwrap();
                assert!(
                    self.oracle.rows.iter().all(|row| row.seq <= snapshot.seq),
                    "a snapshot sees all that was written"
                );
            }
            Step::History { times, known_back, created_cutoff } => {
                self.check_history(times, *known_back, *created_cutoff)
            }
            Step::Scan { from, to, known_back, key, batch_rows } => {
                let options = ScanOptions {
                    from: from.map(Timestamp),
                    to: to.map(Timestamp),
                    known_at: self.known_back(*known_back).map(KnownAt::Seq),
                    definitions_current: true,
                    entity: key.map(|key| vec![("id".to_owned(), Value::Int64(key))]),
                    batch_rows: *batch_rows,
                };
                self.check_scan(&options, *key);
            }
        }
    }

    /// The features of every key now, out of the store and out of the oracle.
    fn check_now(&self) {
        let question = Question { at: self.now, known_at: u64::MAX, created_cutoff: false, ttl: self.ttl };
        let features = Features::list(["v:*"]).unwrap();
        for key in 0..KEYS {
            let named = self.store().get(&features, &[("id", Value::Int64(key))], &GetOptions::default()).unwrap();
            assert_eq!(named.len(), self.feature_count);
            for (feature, named) in named.iter().enumerate() {
                let expected = self.oracle.answer(key, feature, &question);
                assert_eq!((named.status, named.value.clone()), expected, "key {key}, feature {feature}, get");
            }
        }
        self.check_online();
    }

    /// Online = as-of(now), with the clock before, at and after the rows; through one handle kept since the store was
    /// opened, key by key and in a batch.
    fn check_online(&self) {
        let mut online = self.online.borrow_mut();
        let online = online.get_or_insert_with(|| self.store().online(&Features::list(["v:number"]).unwrap()).unwrap());
        let keys: Vec<_> = (0..=KEYS).map(|key| online.key(&[("id", Value::Int64(key))]).unwrap()).collect();
        for now in [-1, self.now - 1, self.now, self.now + 1, AFTER_ALL] {
            let question = Question { at: now, known_at: u64::MAX, created_cutoff: false, ttl: self.ttl };
            let expected: Vec<_> = (0..=KEYS).map(|key| self.oracle.answer(key, 0, &question)).collect();
            for (key, expected) in keys.iter().zip(&expected) {
                let row = online.get(key, Timestamp(now)).unwrap();
                assert_eq!((row.status(0).0, row.value(0)), *expected, "get at {now}");
                assert_eq!(row.f64(0).map_or(Value::Null, Value::Float64), expected.1, "f64 at {now}");
            }
            let mut visited = 0;
            let visit = |key: usize, row: &OnlineRow<'_>| {
                assert_eq!((row.status(0).0, row.value(0)), expected[key], "batch at {now}");
                // When every row lies before the clock, nothing is left to history.
                let has_rows = self.oracle.rows.iter().any(|row| usize::try_from(row.key) == Ok(key));
                assert!(now < AFTER_ALL || row.is_from_latest_table(0) == has_rows, "key {key}: not out of the table");
                visited += 1;
            };
            online.get_batch(&keys, Timestamp(now), visit).unwrap();
            assert_eq!(visited, keys.len());
        }
    }

    /// The seq of the row that was written so many rows ago; `None` for now.
    fn known_back(&self, known_back: usize) -> Option<u64> {
        let at = self.oracle.rows.len().checked_sub(known_back.max(1))?;
        (known_back > 0).then(|| self.oracle.rows[at].seq)
    }

    /// A scan's rows, key by key, against the oracle's sorted by (key, row order).
    fn check_scan(&self, options: &ScanOptions, key: Option<i64>) {
        if let (Some(from), Some(to)) = (options.from, options.to)
            && from >= to
        {
            assert_eq!(self.store().scan("v", options).unwrap_err().kind(), ErrorKind::Invalid);
            return;
        }
        let mut expected: Vec<&OracleRow> = self.oracle.rows.iter().collect();
        expected.retain(|row| key.is_none_or(|key| key == row.key));
        expected.retain(|row| options.from.is_none_or(|from| row.event_ts >= from.0));
        expected.retain(|row| options.to.is_none_or(|to| row.event_ts < to.0));
        expected.retain(|row| {
            options.known_at.as_ref().is_none_or(|known_at| {
                KnownAt::Seq(row.seq) == *known_at || matches!(known_at, KnownAt::Seq(seq) if row.seq < *seq)
            })
        });
        expected.sort_by_key(|row| (row.key, row.event_ts, row.created, row.seq));
        let expected: Vec<ScannedRow> = expected
            .iter()
            .map(|row| {
                let mut values = row.values.clone().unwrap_or_default();
                values.resize(self.feature_count, Value::Null);
                (row.key, row.event_ts, row.created, values, row.values.is_none())
            })
            .collect();
        let mut found: Vec<ScannedRow> = Vec::new();
        for batch in self.store().scan("v", options).unwrap() {
            let batch = batch.unwrap();
            assert!((1..=options.batch_rows).contains(&batch.num_rows()));
            let value = |name: &str, dtype: DataType, row: usize| {
                batch.column_by_name(name).map_or(Value::Null, |column| asof::value_at(column, &dtype, row))
            };
            for row in 0..batch.num_rows() {
                let (Value::Int64(key), Value::Timestamp(event_ts), Value::Bool(deleted)) = (
                    value("id", DataType::Int64, row),
                    value("event_timestamp", DataType::Timestamp, row),
                    value("_deleted", DataType::Bool, row),
                ) else {
                    panic!("keys, times and marks are never null")
                };
                let created = match value("created", DataType::Timestamp, row) {
                    Value::Timestamp(created) => Some(created),
                    _ => None,
                };
                let features = [("number", DataType::Float64), ("text", DataType::String)];
                let features = features[..self.feature_count].iter();
                let values = features.map(|(name, dtype)| value(name, dtype.clone(), row)).collect();
                found.push((key, event_ts, created, values, deleted));
            }
        }
        let mut keys: Vec<i64> = found.iter().map(|row| row.0).collect();
        keys.dedup();
        let groups = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), groups, "rows of a key stand together");
        // Stable: the order within a key stays as it was found.
        found.sort_by_key(|row| row.0);
        assert_eq!(found, expected, "{options:?}");
    }

    fn check_history(&self, times: &[i64], known_back: usize, created_cutoff: bool) {
        let known_at = self.known_back(known_back);
        let created_cutoff = created_cutoff && self.declares_created;
        let mut keys = Vec::new();
        let mut stamps = Vec::new();
        for time in times {
            for key in 0..=KEYS {
                keys.push(key);
                stamps.push(*time);
            }
        }
        let spine = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from(keys.clone())) as ArrayRef),
            ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(stamps.clone())) as ArrayRef),
        ])
        .unwrap();
        let mut request = HistoricalRequest::features(["v:*"]).unwrap();
        request.known_at = known_at.map(KnownAt::Seq);
        request.definitions_current = true;
        request.created_cutoff = created_cutoff;
        let schema = spine.schema();
        let answer =
            self.store().get_historical_features(RecordBatchIterator::new([Ok(spine)], schema), &request).unwrap();
        let mut row = 0;
        for batch in answer {
            let batch = batch.unwrap();
            for at in 0..batch.num_rows() {
                let question =
                    Question { at: stamps[row], known_at: known_at.unwrap_or(u64::MAX), created_cutoff, ttl: self.ttl };
                for (feature, name) in ["number", "text"][..self.feature_count].iter().enumerate() {
                    let dtype = if feature == 0 { DataType::Float64 } else { DataType::String };
                    let value = asof::value_at(batch.column_by_name(name).unwrap(), &dtype, at);
                    let (_, expected) = self.oracle.answer(keys[row], feature, &question);
                    assert_eq!(value, expected, "key {}, {name}, at {}, known at {known_at:?}", keys[row], stamps[row]);
                }
                row += 1;
            }
        }
        assert_eq!(row, keys.len(), "every spine row stays");
    }
}

fn run(declares_created: bool, steps: &[Step]) {
    let mut pair = Pair::new(declares_created);
    for step in steps {
        pair.take(step);
        pair.check_now();
    }
    pair.check_history(&[-1, 0, 5, 10, 15, 20, 25, 31], 0, false);
    pair.check_scan(&ScanOptions::default(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_answers_as_the_oracle_does(declares_created: bool, steps in prop::collection::vec(step(), 1..30)) {
        run(declares_created, &steps);
    }
}
