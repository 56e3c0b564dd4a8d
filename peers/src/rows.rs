//! The rows that every store is given: a key of 16 bytes, ten float64.

use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, Float64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_buffer::Buffer;
use asof::definition::{Definitions, FeatureView};
use asof::value::DataType;
use asof::{ApplyOptions, Features, Result, Store};

use crate::measure::mix;

/// Features of a row.
pub const FIELDS: usize = 10;
/// When rows are true, microseconds since 1970: long past.
const EVENT_TS: i64 = 1_700_000_000_000_000;

/// The key of entity `number`, in no order.
pub fn key_of(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mix(number).to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// A feature's value in the row of entity `number`.
pub fn value_of(number: u64, field: usize) -> f64 {
    (mix(number * 16 + field as u64) >> 11) as f64
}

/// A row as a key-value store is given it.
pub fn bytes_of(number: u64) -> [u8; FIELDS * 8] {
    let mut bytes = [0; FIELDS * 8];
    for (field, out) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *out = value_of(number, field).to_le_bytes();
    }
    bytes
}

/// Rows as asof is given them; `shift` makes them later than those before.
pub fn batch_of(numbers: impl Iterator<Item = u64> + Clone, shift: i64) -> RecordBatch {
    let keys: Vec<u8> = numbers.clone().flat_map(key_of).collect();
    let rows = keys.len() / 16;
    let keys: ArrayRef = Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(keys), None));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![EVENT_TS + shift; rows]));
    let features = (0..FIELDS).map(|field| {
        let values: Float64Array = numbers.clone().map(|number| Some(value_of(number, field))).collect();
        (format!("f{field}"), Arc::new(values) as ArrayRef)
    });
    let columns = [("id".to_owned(), keys), ("event_timestamp".to_owned(), times)];
    RecordBatch::try_from_iter(columns.into_iter().chain(features)).expect("columns of one length")
}

/// The features of the view `rows`.
pub fn features() -> Features {
    Features::list((0..FIELDS).map(|field| format!("rows:f{field}"))).expect("references are well formed")
}

/// Defines the view `rows`.
pub fn define(store: &Store) -> Result<()> {
    let view = (0..FIELDS).fold(FeatureView::new("rows").entity("thing"), |view, field| {
        view.feature(format!("f{field}"), DataType::Float64)
    });
    let definitions = Definitions::new("peers").entity("thing", [("id", DataType::Uuid)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).map(|_| ())
}
