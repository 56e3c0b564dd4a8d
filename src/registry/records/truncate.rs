//! What is kept of a truncate once its log segment is sealed.

use serde::{Deserialize, Serialize};

use super::Record;
use crate::format::truncate::Truncate;

/// A truncate of a view that was sealed: a delete of every key, at its place in row order. Key `truncate/VIEW/SEQ`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruncateRecord {
    /// The view version.
    pub view_id: u32,
    /// Its number.
    pub seq: u64,
    /// From when on the view has no row, in microseconds.
    pub event_ts_us: i64,
    /// When it was recorded, in microseconds, in views that declare that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_us: Option<i64>,
}

impl TruncateRecord {
    /// The record of a truncate.
    pub fn new(view_id: u32, Truncate { event_ts, created, seq }: Truncate) -> TruncateRecord {
        TruncateRecord { view_id, seq, event_ts_us: event_ts, created_us: created }
    }

    /// Its place in row order.
    pub fn place(&self) -> Truncate {
        Truncate { event_ts: self.event_ts_us, created: self.created_us, seq: self.seq }
    }
}

impl Record for TruncateRecord {
    fn key(&self) -> String {
        format!("truncate/{:010}/{:020}", self.view_id, self.seq)
    }
}
