//! The point-in-time join: a million spine rows against ten million feature rows of ten float64.
//!
//! Data set A has 100,000 entities of 100 rows, B a million of 10; spine rows ask for random instants
//! of random entities, two in a hundred of them unknown. Times are of hashing, partition, resolution
//! and gathering into fresh Arrow arrays, in milliseconds: least and median of the repeats.
//!
//! `cargo bench --bench join [-- A|B]`

#![expect(clippy::unwrap_used, reason = "a benchmark that fails should stop where it fails")]

use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use asof::Result;
use asof::join::source::{Index, Run, RunFile, Slot, Source, slot};
use asof::join::{Gather, Question, Scratch, SpineKeys, SpineTimes, Wanted};
use asof::key::{KeySchema, key_hash};
use asof::value::DataType;

const SEED: u64 = 7;
const START: i64 = 1_700_000_000_000_000;
const HORIZON: i64 = 100 * 86_400 * 1_000_000;
const FEATURES: usize = 10;
const SPINE_ROWS: usize = 1_000_000;
const REPEATS: usize = 9;

/// Splitmix64: numbers out of positions, so that any answer can be worked out again.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn below(seed: u64, bound: u64) -> u64 {
    ((u128::from(mix(seed)) * u128::from(bound)) >> 64) as u64
}

#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    entities: u64,
    times: u64,
}

impl Shape {
    fn event_ts(self, entity: u64, k: u64) -> i64 {
        let step = HORIZON / self.times as i64;
        START + k as i64 * step + below(entity * self.times + k, step as u64) as i64
    }

    fn value(self, entity: u64, k: u64, feature: usize) -> f64 {
        (mix((entity * self.times + k) * 16 + feature as u64) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn spine(self) -> (Vec<i64>, Vec<i64>) {
        let rows = 0..SPINE_ROWS as u64;
        let entities = rows.clone().map(|i| below(i * 2 + (1 << 40), self.entities * 102 / 100) as i64).collect();
        let at = rows.map(|i| START + below(i * 2 + 1 + (1 << 40), HORIZON as u64) as i64).collect();
        (entities, at)
    }
}

/// How rows are spread over runs.
#[derive(Clone, Copy)]
enum Layout {
    One,
    TimeOrder(u64),
    Overlapping(u64),
}

impl Layout {
    fn runs(self) -> u64 {
        match self {
            Layout::One => 1,
            Layout::TimeOrder(runs) | Layout::Overlapping(runs) => runs,
        }
    }

    fn run_of(self, shape: Shape, entity: u64, k: u64) -> u64 {
        match self {
            Layout::One => 0,
            Layout::TimeOrder(runs) => k * runs / shape.times,
            Layout::Overlapping(runs) => below(entity * shape.times + k + (1 << 50), runs),
        }
    }
}

#[derive(Default)]
struct RunData {
    slots: Vec<Slot>,
    slot_count: u64,
    event_ts: Vec<i64>,
    seq: Vec<u64>,
    ordinals: Vec<i32>,
    keys: Vec<i64>,
    columns: Vec<ArrayRef>,
}

impl RunFile for RunData {
    fn key_equals(&self, row: u32, key: &[u8]) -> bool {
        self.keys[self.ordinals[row as usize] as usize].to_le_bytes() == key
    }

    fn column(&self, field: usize) -> Result<Option<ArrayRef>> {
        Ok(self.columns.get(field).cloned())
    }
}

impl RunData {
    fn as_run(&self) -> Run<'_> {
        let range = |values: &[i64]| (*values.iter().min().unwrap(), *values.iter().max().unwrap());
        Run {
            index: Index { slots: &self.slots, hash_min: 0, hash_max: u64::MAX, shift: 0, scale: self.slot_count },
            event_ts: &self.event_ts,
            seq: &self.seq,
            seq_base: 1,
            created: None,
            kind: None,
            deadline: None,
            event_ts_range: range(&self.event_ts),
            seq_range: (1, 1 + self.seq.len() as u64),
            has_field_marks: false,
            file: self,
        }
    }
}

fn build(shape: Shape, layout: Layout) -> Vec<RunData> {
    let mut order: Vec<(u64, u64)> =
        (0..shape.entities).map(|entity| (key_hash(SEED, &(entity as i64).to_le_bytes()), entity)).collect();
    order.sort_unstable();
    (0..layout.runs())
        .map(|number| {
            let mut run = RunData::default();
            let mut columns = vec![Vec::new(); FEATURES];
            let mut entities = Vec::new();
            for &(hash, entity) in &order {
                let start = run.event_ts.len();
                for k in (0..shape.times).filter(|&k| layout.run_of(shape, entity, k) == number) {
                    run.event_ts.push(shape.event_ts(entity, k));
                    run.seq.push(k);
                    run.ordinals.push(run.keys.len() as i32);
                    for (feature, column) in columns.iter_mut().enumerate() {
                        column.push(shape.value(entity, k, feature));
                    }
                }
                if run.event_ts.len() > start {
                    run.keys.push(entity as i64);
                    entities.push((hash, start as u32, (run.event_ts.len() - start) as u32));
                }
            }
            run.slot_count = entities.len() as u64 * 10 / 7;
            let mut next = 0;
            for (hash, start, len) in entities {
                let home = ((u128::from(hash) * u128::from(run.slot_count)) >> 64) as usize;
                let at = home.max(next);
                run.slots.resize(run.slots.len().max(at + 1), [0, 0]);
                run.slots[at] = slot(hash, start, len);
                next = at + 1;
            }
            run.columns = columns.into_iter().map(|values| Arc::new(Float64Array::from(values)) as ArrayRef).collect();
            run
        })
        .collect()
}

/// Compares every thirty-seventh row with a walk over its entity's times.
fn check(shape: Shape, entities: &[i64], at: &[i64], columns: &[ArrayRef]) {
    for row in (0..entities.len()).step_by(37) {
        let entity = entities[row] as u64;
        let winner = (0..shape.times).rfind(|&k| entity < shape.entities && shape.event_ts(entity, k) <= at[row]);
        for (feature, column) in columns.iter().enumerate() {
            let column = column.as_primitive::<Float64Type>();
            let got = column.is_valid(row).then(|| column.value(row));
            assert_eq!(got, winner.map(|k| shape.value(entity, k, feature)), "row {row}, feature {feature}");
        }
    }
}

fn measure(shape: Shape, label: &str, runs: &[RunData], compare_keys: bool) {
    let (entities, at) = shape.spine();
    let schema = KeySchema::new(vec![("entity".into(), DataType::Int64)]);
    let column: ArrayRef = Arc::new(Int64Array::from(entities.clone()));
    let times = SpineTimes { values: at.clone().into(), nulls: None };
    let sources: Vec<Source<'_>> = runs.iter().map(|run| Source::Run(run.as_run())).collect();
    let question = Question::new(&sources);
    let wanted: Vec<Wanted> = (0..FEATURES).map(|field| Wanted { field, data_type: DataType::Float64 }).collect();
    for threads in [1, 2] {
        let mut scratch = Scratch::default();
        let mut steps: [Vec<f64>; 5] = Default::default();
        for repeat in 0..REPEATS {
            let begin = Instant::now();
            let mut last = begin;
            let mut lap = |step: usize, steps: &mut [Vec<f64>; 5]| {
                steps[step].push(last.elapsed().as_secs_f64() * 1e3);
                last = Instant::now();
            };
            let keys = if compare_keys {
                let bytes: Vec<[u8; 8]> = entities.iter().map(|entity| entity.to_le_bytes()).collect();
                SpineKeys::from_hashed(bytes.iter().map(|key| (key_hash(SEED, key), Some(key.as_slice()))))
            } else {
                SpineKeys::encode(&schema, std::slice::from_ref(&column), SPINE_ROWS, SEED, threads).unwrap()
            };
            lap(0, &mut steps);
            scratch.partition.fill(&keys, &times, threads).unwrap();
            lap(1, &mut steps);
            scratch.resolution.fill(&scratch.partition, &keys, &question, threads).unwrap();
            lap(2, &mut steps);
            let columns = Gather::new(&scratch.resolution, &sources, &times).columns(&wanted, threads).unwrap();
            lap(3, &mut steps);
            steps[4].push(begin.elapsed().as_secs_f64() * 1e3);
            if repeat == 0 {
                check(shape, &entities, &at, &columns);
            }
        }
        let figures: Vec<String> = ["hash", "partition", "resolve", "gather", "all"]
            .iter()
            .zip(&mut steps)
            .map(|(name, times)| {
                times.sort_by(f64::total_cmp);
                format!("{name} {:5.1}/{:5.1}", times[0], times[times.len() / 2])
            })
            .collect();
        println!("{} {label:<26} {threads} threads: {}", shape.name, figures.join("  "));
    }
}

fn main() {
    let only = std::env::args().skip(1).find(|arg| arg.len() == 1);
    for shape in
        [Shape { name: "A", entities: 100_000, times: 100 }, Shape { name: "B", entities: 1_000_000, times: 10 }]
    {
        if only.as_ref().is_some_and(|only| only != shape.name) {
            continue;
        }
        for (label, layout) in [
            ("one run", Layout::One),
            ("8 runs in time order", Layout::TimeOrder(8)),
            ("8 overlapping runs", Layout::Overlapping(8)),
        ] {
            let runs = build(shape, layout);
            measure(shape, label, &runs, false);
            if matches!(layout, Layout::One) {
                measure(shape, "one run, keys compared", &runs, true);
            }
        }
    }
}
