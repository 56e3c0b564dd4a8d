//! An answer as objects by feature name.

use crate::server::http::json::{push_each, push_quoted, push_string, push_time_or_null, push_value};
use crate::server::http::reading::AnswerRow;

/// Writes `"name":value` of each feature, with commas between them.
pub(super) fn push_values(names: &[String], row: &AnswerRow<'_>, out: &mut Vec<u8>) {
    push_each(names.iter().enumerate(), out, |(at, name), out| {
        push_string(name, out);
        out.push(b':');
        push_value(row, at, row.status(at).0, out);
    });
}

/// Writes `"name":"PRESENT"` of each.
pub(super) fn push_statuses(names: &[String], row: &AnswerRow<'_>, out: &mut Vec<u8>) {
    push_each(names.iter().enumerate(), out, |(at, name), out| {
        push_string(name, out);
        out.push(b':');
        push_quoted(row.status(at).0.name(), out);
    });
}

/// Writes `"name":"2013-01-01T00:00:00Z"` of each, or null.
pub(super) fn push_event_times(names: &[String], row: &AnswerRow<'_>, out: &mut Vec<u8>) {
    push_each(names.iter().enumerate(), out, |(at, name), out| {
        push_string(name, out);
        out.push(b':');
        push_time_or_null(row.status(at).1, out);
    });
}
