//! Features as columns of JSON, written value by value into buffers that are used again: no value takes memory of its own.

use std::io::Write as _;

use crate::engine::online::OnlineRow;
use crate::join::pick::Status;
use crate::text::{F64Text, json_text};
use crate::time::Timestamp;
use crate::value::DataType;

/// The instant of what has none, as Feast writes it.
const NO_TIME: &str = "\"1970-01-01T00:00:00Z\"";

/// Values, statuses and event times of one column, each as the inside of a JSON array.
#[derive(Debug, Default)]
pub(super) struct Column {
    values: Vec<u8>,
    statuses: Vec<u8>,
    times: Vec<u8>,
}

impl Column {
    /// Empty, with the memory that it has.
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.statuses.clear();
        self.times.clear();
    }

    /// One entity's answer for a feature. A null is `PRESENT`, as Feast has it.
    pub(super) fn push_feature(&mut self, row: &OnlineRow<'_>, feature: usize) {
        let (status, event_ts) = row.status(feature);
        let name = if status == Status::NullValue { Status::Present.name() } else { status.name() };
        self.begin();
        push_value(row, feature, status, &mut self.values);
        push_quoted(name, &mut self.statuses);
        push_time(event_ts, &mut self.times);
    }

    /// One entity that cannot be looked for: a join key of it was not given.
    pub(super) fn push_not_found(&mut self) {
        self.begin();
        self.values.extend_from_slice(b"null");
        push_quoted(Status::NotFound.name(), &mut self.statuses);
        push_time(None, &mut self.times);
    }

    /// A join key, as JSON.
    pub(super) fn push_key(&mut self, json: &str) {
        self.begin();
        self.values.extend_from_slice(json.as_bytes());
        push_quoted(Status::Present.name(), &mut self.statuses);
        push_time(None, &mut self.times);
    }

    fn begin(&mut self) {
        for part in [&mut self.values, &mut self.statuses, &mut self.times] {
            if !part.is_empty() {
                part.push(b',');
            }
        }
    }

    /// The column as an object of Feast's answer.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"values\":[");
        out.extend_from_slice(&self.values);
        out.extend_from_slice(b"],\"statuses\":[");
        out.extend_from_slice(&self.statuses);
        out.extend_from_slice(b"],\"event_timestamps\":[");
        out.extend_from_slice(&self.times);
        out.extend_from_slice(b"]}");
    }

    /// Bytes that [`Column::write`] writes, about.
    pub(super) fn len(&self) -> usize {
        self.values.len() + self.statuses.len() + self.times.len() + 64
    }
}

fn push_value(row: &OnlineRow<'_>, feature: usize, status: Status, out: &mut Vec<u8>) {
    if status != Status::Present {
        out.extend_from_slice(b"null");
        return;
    }
    let dtype = row.dtype(feature);
    match dtype {
        DataType::Float64 => {
            let value = row.f64(feature).unwrap_or(f64::NAN);
            let mut text = F64Text::new(value);
            if value.is_finite() {
                out.extend_from_slice(text.as_str().as_bytes());
            } else {
                push_quoted(text.as_str(), out);
            }
        }
        DataType::Int64 => {
            out.extend_from_slice(itoa::Buffer::new().format(row.i64(feature).unwrap_or_default()).as_bytes());
        }
        DataType::String => push_string(row.str(feature).unwrap_or_default(), out),
        _ => out.extend_from_slice(json_text(dtype, &row.value(feature)).as_bytes()),
    }
}

/// Text in quotes that needs no escapes.
fn push_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Any text as a JSON string.
pub(super) fn push_string(text: &str, out: &mut Vec<u8>) {
    // Into memory nothing fails.
    let _ = serde_json::to_writer(out, text);
}

fn push_time(time: Option<Timestamp>, out: &mut Vec<u8>) {
    match time {
        // Into memory nothing fails.
        Some(time) => drop(write!(out, "\"{time}\"")),
        None => out.extend_from_slice(NO_TIME.as_bytes()),
    }
}
