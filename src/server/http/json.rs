//! Answers as JSON, written value by value into a buffer: no value takes memory of its own.

use std::io::Write as _;

use super::reading::AnswerRow;
use crate::engine::online::OnlineRow;
use crate::join::pick::Status;
use crate::text::{F64Text, json_text};
use crate::time::Timestamp;
use crate::value::DataType;

/// A feature's value.
pub(super) fn push_value(row: &AnswerRow<'_>, feature: usize, status: Status, out: &mut Vec<u8>) {
    match row {
        _ if status != Status::Present => out.extend_from_slice(b"null"),
        AnswerRow::Now(row, _) => push_value_of_now(row, feature, out),
        AnswerRow::Then(row) => out.extend_from_slice(json_text(&row[feature].dtype, &row[feature].value).as_bytes()),
    }
}

fn push_value_of_now(row: &OnlineRow<'_>, feature: usize, out: &mut Vec<u8>) {
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
pub(super) fn push_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Any text as a JSON string.
pub(super) fn push_string(text: &str, out: &mut Vec<u8>) {
    // Into memory nothing fails.
    let _ = serde_json::to_writer(out, text);
}

/// An instant.
pub(super) fn push_time(time: Timestamp, out: &mut Vec<u8>) {
    out.push(b'"');
    match time.text() {
        Some(text) => out.extend_from_slice(text.as_str().as_bytes()),
        // Into memory nothing fails.
        None => drop(write!(out, "{time}")),
    }
    out.push(b'"');
}

/// An instant in quotes is mostly no longer.
const TIME_BYTES: usize = 32;

/// Instants, of which many are the same one after the other: each is put into words once.
#[derive(Debug, Default)]
pub(super) struct Times {
    last: Option<Timestamp>,
    text: Vec<u8>,
}

impl Times {
    /// An instant.
    pub(super) fn push(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        if self.last != Some(time) {
            self.text.clear();
            self.text.reserve(TIME_BYTES);
            push_time(time, &mut self.text);
            self.last = Some(time);
        }
        out.extend_from_slice(&self.text);
    }

    /// An instant, or null.
    pub(super) fn push_or_null(&mut self, time: Option<Timestamp>, out: &mut Vec<u8>) {
        match time {
            Some(time) => self.push(time, out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

/// The elements of an array, or the members of an object: `push` each, with commas between them.
pub(super) fn push_each<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut push: impl FnMut(T, &mut Vec<u8>),
) {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(item, out);
    }
}
