//! Rows as the log and the tail keep them: from columns of an int64 key and ten float64, and back.
//!
//! `cargo bench --no-default-features --bench rows`; medians of nine rounds of 65,536 rows, on one thread and on its CPU time.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array};
use asof::format::columns::{RowColumns, decode_columns, encode_keys, encode_records};
use asof::format::row::{RowLayout, RowRef};
use asof::key::KeySchema;
use asof::value::DataType;

const ROWS: usize = 1 << 16;
const ROUNDS: usize = 9;
const FIELDS: usize = 10;

/// Nanoseconds this thread has run: the first field of Linux's schedstat.
fn cpu_ns() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    text.split(' ').next().and_then(|field| field.parse().ok()).expect("nanoseconds")
}

fn report(what: &str, mut rounds: Vec<f64>) {
    rounds.sort_by(f64::total_cmp);
    println!("{what}: {:.1} million rows/s", ROWS as f64 / rounds[rounds.len() / 2] * 1e3);
}

fn main() {
    let layout = RowLayout::new(vec![DataType::Float64; FIELDS]);
    let features: Vec<ArrayRef> = (0..FIELDS)
        .map(|field| Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| (row * field) as f64))) as ArrayRef)
        .collect();
    let ids: [ArrayRef; 1] = [Arc::new(Int64Array::from_iter_values(0..ROWS as i64))];
    let schema = KeySchema::new(vec![("id".into(), DataType::Int64)]);
    let event_ts = vec![7; ROWS];
    let (mut records, mut offsets) = (Vec::new(), Vec::new());
    let (mut encoding, mut decoding) = (Vec::new(), Vec::new());
    let fields: Vec<usize> = (0..FIELDS).collect();
    for _ in 0..ROUNDS {
        records.clear();
        offsets.clear();
        let started = cpu_ns();
        let keys = encode_keys(&schema, &ids, ROWS).expect("keys");
        let columns = RowColumns {
            keys: &keys,
            event_ts: &event_ts,
            created: None,
            event_ids: None,
            features: &features,
            deleted: None,
        };
        encode_records(&layout, &columns, &mut records, &mut offsets).expect("records");
        encoding.push(cpu_ns() - started);
        let started = cpu_ns();
        let rows: Vec<RowRef<'_>> =
            offsets.iter().map(|at| RowRef::parse(&records[*at..], &layout).expect("a record").0).collect();
        assert_eq!(decode_columns(&layout, &rows, &fields).expect("columns").len(), FIELDS);
        decoding.push(cpu_ns() - started);
    }
    report("columns to rows", encoding);
    report("rows to columns", decoding);
}
