//! The as-of path for one key: the winner over the tail and all runs, copied out.
//!
//! Every read can take it; the latest table only spares the reads for now this work.

use std::sync::Arc;

use super::picture::ViewPicture;
use super::run_source::{run_record, run_slices};
use super::tail_source::mark_of;
use super::truncates::find_truncate;
use crate::error::Result;
use crate::format::row::{RowHead, RowKind, RowLayout, RowRef, push_record};
use crate::join::pick::{AsOf, Mark, pick, pick_descending};
use crate::tail::TailSegment;

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the log: the position of its frame.
    Log {
        /// Log position.
        position: u64,
    },
    /// In a run file.
    Run {
        /// The run file's id.
        id: u64,
        /// Its row.
        row: u32,
    },
    /// In the registry, as truncates of sealed log segments do.
    Registry,
}

/// A row that won, as a record of its own.
#[derive(Clone, Debug)]
pub struct FoundRow {
    /// Its place in row order.
    pub mark: Mark,
    /// Where it lies.
    pub place: Place,
    record: Vec<u8>,
    /// Where its fields lie: of the definition it was found by.
    layout: Arc<RowLayout>,
}

impl FoundRow {
    /// Where its fields lie.
    pub fn layout(&self) -> &RowLayout {
        &self.layout
    }

    /// The row.
    pub fn row(&self) -> RowRef<'_> {
        let (row, _) = RowRef::parse_unchecked_image(&self.record).expect("encoded by find_row");
        row
    }
}

/// The winner of one key, `None` when no row is in sight. A truncate of the view is a row of every key.
///
/// # Errors
/// A run that had to be read is damaged, or cannot be opened.
pub fn find_row(
    view: &ViewPicture,
    tail: &[Arc<TailSegment>],
    hash: u64,
    key: &[u8],
    question: AsOf,
) -> Result<Option<FoundRow>> {
    let own = find_own_row(view, tail, hash, key, question)?;
    let Some((mark, place)) = find_truncate(view, tail, question) else { return Ok(own) };
    if own.as_ref().is_some_and(|own| own.mark > mark) {
        return Ok(own);
    }
    let head = RowHead { created: mark.created, ..RowHead::new(RowKind::ViewTruncate, mark.event_ts) };
    let mut record = Vec::new();
    push_record(&head, key, 0, &[], &mut record)?;
    Ok(Some(FoundRow { mark, place, record, layout: Arc::clone(&view.layout) }))
}

/// The winner among the rows of one key alone, `None` when none is in sight, whatever truncates there are.
///
/// # Errors
/// As [`find_row`].
pub fn find_own_row(
    view: &ViewPicture,
    tail: &[Arc<TailSegment>],
    hash: u64,
    key: &[u8],
    question: AsOf,
) -> Result<Option<FoundRow>> {
    let mut best: Option<FoundRow> = None;
    for segment in tail.iter().rev() {
        let views = segment.read();
        let Some(rows) = views.get(&view.record.id) else { continue };
        let known = rows.descending(hash, key, question.at, question.known_at);
        let marked = known.map(|(number, row, record)| (mark_of(&row), (number, record)));
        if let Some((mark, (number, record))) = pick_descending(marked, question)
            && best.as_ref().is_none_or(|best| best.mark < mark)
        {
            let mut bytes = Vec::new();
            push_record(&record.head, key, record.field_count, record.image, &mut bytes)?;
            best = Some(FoundRow {
                mark,
                place: Place::Log { position: rows.position(number) },
                record: bytes,
                layout: Arc::clone(&view.layout),
            });
        }
    }
    for run in view.runs_over(hash) {
        let about = &run.record;
        let beaten = best.as_ref().is_some_and(|best| best.mark.event_ts > about.event_max_us);
        if beaten || question.at < about.event_min_us || question.known_at < about.seq_min {
            continue;
        }
        let file = run.open()?;
        let slices = run_slices(file, view.key_schema.columns().len())?;
        let Some(rows) = slices.rows_of(hash, key) else { continue };
        let Some(index) = pick(&rows, question) else { continue };
        let row = rows.row(index);
        let mark = slices.mark(row);
        if best.as_ref().is_none_or(|best| best.mark < mark) {
            let record = run_record(file, row, key, &view.layout)?;
            let row = u32::try_from(row).unwrap_or(u32::MAX);
            best = Some(FoundRow {
                mark,
                place: Place::Run { id: about.id, row },
                record,
                layout: Arc::clone(&view.layout),
            });
        }
    }
    Ok(best)
}
