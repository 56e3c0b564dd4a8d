//! An answer as objects by feature name.

use crate::join::pick::Status;
use crate::server::http::json::{Times, push_each, push_quoted, push_value};
use crate::server::http::names::Names;
use crate::server::http::reading::AnswerRow;
use crate::time::Timestamp;

/// What became of a feature, and when its row was true.
pub(super) type Told = (Status, Option<Timestamp>);

/// What is told of all features of a row.
pub(super) fn told(names: &Names, row: &AnswerRow<'_>, told: &mut Vec<Told>) {
    told.clear();
    told.extend((0..names.len()).map(|at| row.status(at)));
}

/// Writes `"name":value` of each feature, with commas between them.
pub(super) fn push_values(names: &Names, row: &AnswerRow<'_>, told: &[Told], out: &mut Vec<u8>) {
    push_each(names.members.iter().enumerate(), out, |(at, member), out| {
        out.extend_from_slice(member);
        push_value(row, at, told[at].0, out);
    });
}

/// Writes `"name":"PRESENT"` of each.
pub(super) fn push_statuses(names: &Names, _: &AnswerRow<'_>, told: &[Told], out: &mut Vec<u8>) {
    push_each(names.members.iter().enumerate(), out, |(at, member), out| {
        out.extend_from_slice(member);
        push_quoted(told[at].0.name(), out);
    });
}

/// Writes `"name":"2013-01-01T00:00:00Z"` of each, or null.
pub(super) fn push_event_times(names: &Names, _: &AnswerRow<'_>, told: &[Told], out: &mut Vec<u8>) {
    let mut times = Times::default();
    push_each(names.members.iter().enumerate(), out, |(at, member), out| {
        out.extend_from_slice(member);
        times.push_or_null(told[at].1, out);
    });
}
