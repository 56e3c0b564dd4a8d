//! Features as columns of JSON, written value by value into buffers that are used again: no value takes memory of its own.

use super::json::{Times, push_quoted, push_time, push_value};
use super::reading::AnswerRow;
use crate::join::pick::Status;
use crate::time::Timestamp;

/// The instant of what has none, as Feast writes it.
const NO_TIME: Timestamp = Timestamp(0);

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

    /// One entity's answer for a feature. A null is `PRESENT`, as Feast has it. Gives how many bytes it takes.
    pub(super) fn push_feature(&mut self, row: &AnswerRow<'_>, feature: usize, times: &mut Times) -> usize {
        let before = self.len();
        let (status, event_ts) = row.status(feature);
        let name = if status == Status::NullValue { Status::Present.name() } else { status.name() };
        self.begin();
        push_value(row, feature, status, &mut self.values);
        push_quoted(name, &mut self.statuses);
        times.push(event_ts.unwrap_or(NO_TIME), &mut self.times);
        self.len() - before
    }

    /// One entity that cannot be looked for: a join key of it was not given.
    pub(super) fn push_not_found(&mut self) {
        self.begin();
        self.values.extend_from_slice(b"null");
        push_quoted(Status::NotFound.name(), &mut self.statuses);
        push_time(NO_TIME, &mut self.times);
    }

    /// A join key, as JSON.
    pub(super) fn push_key(&mut self, json: &str) {
        self.begin();
        self.values.extend_from_slice(json.as_bytes());
        push_quoted(Status::Present.name(), &mut self.statuses);
        push_time(NO_TIME, &mut self.times);
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

    /// Bytes that it keeps.
    pub(super) fn capacity(&self) -> usize {
        self.values.capacity() + self.statuses.capacity() + self.times.capacity()
    }

    /// Bytes that [`Column::write`] writes, about.
    pub(super) fn len(&self) -> usize {
        self.values.len() + self.statuses.len() + self.times.len() + 64
    }
}
