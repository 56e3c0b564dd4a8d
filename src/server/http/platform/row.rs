//! An answer as objects by feature name.

use crate::server::http::json::{Times, push_each, push_quoted, push_value};
use crate::server::http::names::Names;
use crate::server::http::reading::AnswerRow;

/// Writes `"name":value` of each feature, with commas between them.
pub(super) fn push_values(names: &Names, row: &AnswerRow<'_>, out: &mut Vec<u8>) {
    push_each(names.members.iter().enumerate(), out, |(at, member), out| {
        out.extend_from_slice(member);
        push_value(row, at, row.status(at).0, out);
    });
}

/// Writes `"name":"PRESENT"` of each.
pub(super) fn push_statuses(names: &Names, row: &AnswerRow<'_>, out: &mut Vec<u8>) {
    push_each(names.members.iter().enumerate(), out, |(at, member), out| {
        out.extend_from_slice(member);
        push_quoted(row.status(at).0.name(), out);
    });
}

/// Writes `"name":"2013-01-01T00:00:00Z"` of each, or null.
pub(super) fn push_event_times(names: &Names, row: &AnswerRow<'_>, out: &mut Vec<u8>) {
    let mut times = Times::default();
    push_each(names.members.iter().enumerate(), out, |(at, member), out| {
        out.extend_from_slice(member);
        times.push_or_null(row.status(at).1, out);
    });
}
