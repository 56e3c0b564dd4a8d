//! Why each row answers what it does: a field's status and event time for every spine row.

use arrow_array::Array;

use super::gather::Wanted;
use super::pick::{FieldView, Status, verdict};
use super::resolve::{Hits, Resolution};
use super::source::Source;
use super::spine::SpineTimes;
use crate::error::Result;
use crate::format::row::FieldState;

/// One field's statuses in spine order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldStatuses {
    /// Each row's status.
    pub status: Vec<Status>,
    /// The winning row's event time; `None` where nothing was found.
    pub event_ts: Vec<Option<i64>>,
}

/// The statuses of a field of a view with this TTL. The resolution must have kept expired rows.
///
/// # Errors
/// The field's column is damaged.
pub fn statuses(
    resolution: &Resolution,
    sources: &[Source<'_>],
    times: &SpineTimes,
    wanted: &Wanted,
    ttl_us: i64,
) -> Result<FieldStatuses> {
    let row_count = times.values.len();
    let mut out = FieldStatuses { status: vec![Status::NotFound; row_count], event_ts: vec![None; row_count] };
    for (number, source) in sources.iter().enumerate() {
        let column = match source {
            Source::Run(run) => run.file.column(wanted.field)?,
            Source::Tail(_) => None,
        };
        let nulls = column.as_ref().and_then(|column| column.logical_nulls());
        for Hits { positions, rows } in resolution.hits(number).chain(resolution.expired(number)) {
            for (&position, &row) in positions.iter().zip(rows) {
                let position = position as usize;
                let view = field_view(source, row, wanted.field, || {
                    column.is_some() && nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row as usize))
                });
                let status = verdict(Some(view), times.values[position], ttl_us);
                out.status[position] = status;
                out.event_ts[position] = (status != Status::NotFound).then_some(view.event_ts);
            }
        }
    }
    Ok(out)
}

fn field_view(source: &Source<'_>, row: u32, field: usize, has_value: impl FnOnce() -> bool) -> FieldView {
    match source {
        Source::Run(run) => {
            let state = if run.has_field_marks && run.file.is_absent(row, field) {
                FieldState::Absent
            } else if has_value() {
                FieldState::Value
            } else {
                FieldState::Null
            };
            FieldView {
                kind: run.kind(row as usize),
                event_ts: run.event_ts[row as usize],
                row_deadline: run.deadline.and_then(|deadline| deadline.get(row as usize)),
                field_deadline: if run.has_field_marks { run.file.field_deadline(row, field) } else { None },
                state,
            }
        }
        Source::Tail(tail) => FieldView {
            kind: tail.kind(row),
            event_ts: tail.mark(row).event_ts,
            row_deadline: tail.deadline(row),
            field_deadline: tail.field_deadline(row, field),
            state: tail.field(row, field).0,
        },
    }
}
