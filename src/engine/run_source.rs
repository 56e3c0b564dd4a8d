//! A run file as the join reads it, and one of its rows as a record.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, UInt8Type};
use arrow_array::{Array, ArrayRef};

use crate::error::Result;
use crate::format::columns::value_at;
use crate::format::row::{FieldState, RowHead, RowLayout, push_image, push_record, set_field_state};
use crate::history::{RunColumn, RunFile};
use crate::join::source::{Index, OptionalTimes, Run, RunFile as JoinFile};
use crate::value::Value;

/// The file's index, times and marks, verified; keys too, so that comparing them cannot fail later.
///
/// # Errors
/// `Damaged`: one of them is not what was written.
pub fn run_slices(file: &RunFile, key_columns: usize) -> Result<Run<'_>> {
    file.verify_index()?;
    for column in RunColumn::MARKS.into_iter().chain((0..key_columns).map(RunColumn::Key)) {
        file.verify_column(column)?;
    }
    let map = file.slot_map();
    let head = file.head();
    let created = file.created().map(|(values, nulls)| OptionalTimes { values, nulls });
    let kind = file.own_column(RunColumn::Kind)?.map(|kinds| &**kinds.as_primitive::<UInt8Type>().values());
    let deadline = file.own_column(RunColumn::Deadline)?.map(|times| OptionalTimes {
        values: times.as_primitive::<TimestampMicrosecondType>().values(),
        nulls: times.nulls(),
    });
    let has_field_marks =
        file.own_column(RunColumn::Absent)?.is_some() || file.own_column(RunColumn::FieldDeadlines)?.is_some();
    let base = file.seq_base();
    Ok(Run {
        index: Index {
            slots: file.slot_words().as_chunks::<2>().0,
            hash_min: map.hash_lo,
            hash_max: map.hash_hi,
            shift: map.shift(),
            scale: map.multiplier,
        },
        event_ts: file.event_ts(),
        seq: file.seq(),
        seq_base: base,
        created,
        kind,
        deadline,
        event_ts_range: (head.min_event_ts, head.max_event_ts),
        seq_range: (base.saturating_add(head.min_seq), base.saturating_add(head.max_seq)),
        has_field_marks,
        file,
    })
}

impl JoinFile for RunFile {
    fn key_equals(&self, row: u32, key: &[u8]) -> bool {
        // run_slices verified the keys.
        self.key_matches(row as usize, key).unwrap_or(false)
    }

    fn column(&self, field: usize) -> Result<Option<ArrayRef>> {
        if field >= self.feature_count() {
            return Ok(None);
        }
        self.verify_column(RunColumn::Feature(field))?;
        Ok(RunFile::column(self, field)?.cloned())
    }

    fn is_absent(&self, row: u32, field: usize) -> bool {
        matches!(self.field_state(row as usize, field), Ok(FieldState::Absent))
    }

    fn field_deadline(&self, row: u32, field: usize) -> Option<i64> {
        let pairs = binary_at(self, RunColumn::FieldDeadlines, row as usize).ok()?;
        let (pairs, _) = pairs.as_chunks::<10>();
        let pair = pairs.iter().find(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])) == field)?;
        let (_, deadline) = pair.split_first_chunk::<2>()?;
        Some(i64::from_le_bytes(deadline.try_into().ok()?))
    }
}

fn binary_at(file: &RunFile, column: RunColumn, row: usize) -> Result<&[u8]> {
    let cells = file.own_column(column)?.filter(|cells| cells.is_valid(row));
    Ok(cells.map_or(&[][..], |cells| cells.as_binary::<i32>().value(row)))
}

/// One row as a record of the view's layout. Its times and marks were verified; its values are here.
///
/// # Errors
/// `Damaged`: a value is not what was written.
pub fn run_record(file: &RunFile, row: usize, key: &[u8], layout: &RowLayout) -> Result<Vec<u8>> {
    let one: Range<usize> = row..row + 1;
    let deadline = file.own_column(RunColumn::Deadline)?.filter(|times| times.is_valid(row));
    let kind = file.kind(row)?;
    let head = RowHead {
        kind,
        event_ts: file.event_ts()[row],
        created: file.created().and_then(|(values, nulls)| OptionalTimes { values, nulls }.get(row)),
        deadline: deadline.map(|times| times.as_primitive::<TimestampMicrosecondType>().value(row)),
        field_deadlines: binary_at(file, RunColumn::FieldDeadlines, row)?,
        event_id: binary_at(file, RunColumn::EventId, row)?,
    };
    let mut image = Vec::new();
    let mut field_count = 0;
    if kind.has_image() {
        field_count = layout.field_count();
        let mut values = Vec::with_capacity(field_count);
        for (field, dtype) in layout.types().iter().enumerate() {
            let column = if field < file.feature_count() { RunFile::column(file, field)? } else { None };
            values.push(match column {
                Some(column) => {
                    file.verify_rows(RunColumn::Feature(field), one.clone())?;
                    value_at(column, dtype, row)
                }
                None => Value::Null,
            });
        }
        push_image(layout, &values, &mut image)?;
        for field in 0..field_count.min(file.feature_count()) {
            if file.field_state(row, field)? == FieldState::Absent {
                set_field_state(&mut image, field, FieldState::Absent);
            }
        }
    }
    let mut record = Vec::new();
    push_record(&head, key, field_count, &image, &mut record)?;
    Ok(record)
}
