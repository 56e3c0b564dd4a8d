//! Truncates of views: each deletes every key at its place in row order.
//!
//! The tail keeps those of the log, the registry those that were sealed; no run holds one. Whoever looks for the winner among rows
//! of a key looks among these as well. A latest table leaves out what the greatest of them deleted, its floor: so a row that it has is
//! one that no truncate comes after.

use std::sync::Arc;

use super::as_of::Place;
use super::picture::{Picture, ViewPicture};
use super::run_source::run_slices;
use crate::error::Result;
use crate::format::row::{RowHead, RowKind, RowRef};
use crate::format::truncate::Truncate;
use crate::history::{RowCollector, RowColumns, RunSchema};
use crate::join::pick::{AsOf, Mark, pick};
use crate::tail::{ROWS_HELD, TailSegment};

/// Where a truncate stands in row order.
pub fn mark_of_truncate(Truncate { event_ts, created, seq }: Truncate) -> Mark {
    Mark { event_ts, created, seq }
}

/// All truncates of a view, in row order.
pub fn marks(view: &ViewPicture, tail: &[Arc<TailSegment>]) -> Vec<Mark> {
    let mut marks = view.truncates.to_vec();
    for segment in tail {
        let views = segment.read();
        let rows = views.get(&view.record.id).into_iter();
        marks.extend(rows.flat_map(|rows| rows.truncates()).copied().map(mark_of_truncate));
    }
    marks.sort_unstable();
    marks
}

/// The greatest truncate of a view.
pub fn greatest(view: &ViewPicture, tail: &[Arc<TailSegment>]) -> Option<Truncate> {
    let of_tail = tail.iter().filter_map(|segment| segment.read().get(&view.record.id)?.truncates().last().copied());
    let sealed = view.truncates.last().map(|&Mark { event_ts, created, seq }| Truncate { event_ts, created, seq });
    of_tail.chain(sealed).max()
}

/// The last truncate that a question sees, and where it lies.
pub fn find_truncate(view: &ViewPicture, tail: &[Arc<TailSegment>], question: AsOf) -> Option<(Mark, Place)> {
    let sealed = pick(&*view.truncates, question).map(|index| (view.truncates[index], Place::Registry));
    let of_tail = tail.iter().filter_map(|segment| {
        let views = segment.read();
        let rows = views.get(&view.record.id)?;
        let marks = rows.truncates().iter().rev().map(|truncate| mark_of_truncate(*truncate));
        let mark = marks.into_iter().find(|mark| question.sees(mark))?;
        Some((mark, Place::Log { position: rows.position_of(mark.seq) }))
    });
    of_tail.chain(sealed).max_by_key(|(mark, _)| *mark)
}

/// Truncates as delete rows, in their order, of no key: they are of every one.
///
/// # Errors
/// None of theirs: there is no value that could be none of its type.
pub fn as_deletes(marks: &[Mark], schema: &RunSchema) -> Result<RowColumns> {
    let mut collector = RowCollector::new(schema, 0);
    for Mark { event_ts, created, seq } in marks {
        let head = RowHead { created: *created, ..RowHead::new(RowKind::Delete, *event_ts) };
        collector.push(*seq, &RowRef { head, key: &[], field_count: 0, image: &[] })?;
    }
    Ok(collector.finish()?.columns)
}

/// Whether a view has a row that no truncate deleted: one after the greatest of them in row order.
///
/// # Errors
/// A run that had to be read is damaged.
pub fn has_rows_left(picture: &Picture, view: &ViewPicture) -> Result<bool> {
    let floor = greatest(view, &picture.tail).map(mark_of_truncate);
    let from = floor.map_or(i64::MIN, |floor| floor.event_ts);
    // What a run's record says suffices most often, and is there where the run is damaged.
    if view.runs.iter().any(|run| floor.is_none_or(|floor| run.record.event_max_us > floor.event_ts)) {
        return Ok(true);
    }
    let mut has_any = false;
    visit_rows(picture, view, from, &mut |mark| {
        has_any |= floor.is_none_or(|floor| mark > floor);
        !has_any
    })?;
    Ok(has_any)
}

/// The greatest created timestamp of any row or truncate of a view with this event time: what is created then, or later, comes after
/// all of them.
///
/// # Errors
/// A run that had to be read is damaged.
pub fn greatest_created(picture: &Picture, view: &ViewPicture, at: i64) -> Result<Option<i64>> {
    let of_truncates = marks(view, &picture.tail).into_iter().filter(|mark| mark.event_ts == at);
    let mut greatest = of_truncates.filter_map(|mark| mark.created).max();
    visit_rows(picture, view, at, &mut |mark| {
        greatest = greatest.max(mark.created.filter(|_| mark.event_ts == at));
        true
    })?;
    Ok(greatest)
}

/// Gives `visit` the places of all rows of a view whose event time is `from` or later, in no order, until it wants no more.
fn visit_rows(picture: &Picture, view: &ViewPicture, from: i64, visit: &mut dyn FnMut(Mark) -> bool) -> Result<()> {
    for segment in &picture.tail {
        let mut after = 0;
        loop {
            let views = segment.read();
            let Some(rows) = views.get(&view.record.id) else { break };
            let mut given = 0;
            for mark in rows.marks_after(after).take(ROWS_HELD) {
                (after, given) = (mark.seq, given + 1);
                if mark.event_ts >= from && !visit(super::tail_source::mark_of(&mark)) {
                    return Ok(());
                }
            }
            if given < ROWS_HELD {
                break;
            }
        }
    }
    for run in view.runs.iter().filter(|run| run.record.event_max_us >= from) {
        let slices = run_slices(run.open()?, view.key_schema.columns().len())?;
        for (row, _) in slices.event_ts.iter().enumerate().filter(|(_, event_ts)| **event_ts >= from) {
            if !visit(slices.mark(row)) {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
