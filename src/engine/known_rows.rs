//! What a view holds, as an import compares its rows with it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::core::Engine;
use super::picture::{Picture, Run, run_schema};
use super::truncates;
use super::winners::rows_of_tail;
use crate::error::Result;
use crate::history::{KnownRows, RowCollector, RunFile};

/// Rows of one view within a range of numbers, to be compared with an import's.
pub(super) struct Comparison<'a> {
    /// The view.
    pub view_id: u32,
    /// Which of its rows.
    pub seqs: RangeInclusive<u64>,
    /// About how many rows are imported.
    pub row_count: u64,
    /// Where the parts of the import begin.
    pub part_starts: &'a [u64],
}

impl Comparison<'_> {
    /// Hands the rows that `picture` has to `work`.
    ///
    /// # Errors
    /// A run is damaged; what `work` returns.
    pub fn with<T>(
        &self,
        engine: &Engine,
        picture: &Picture,
        work: impl FnOnce(KnownRows<'_>) -> Result<T>,
    ) -> Result<T> {
        let view = picture.view(self.view_id);
        let schema = run_schema(&view.record);
        let runs: Vec<&RunFile> = self.runs(picture).map(|run| run.open()).collect::<Result<_>>()?;
        let mut known = KnownRows::new(&schema, &runs, self.seqs.clone(), self.row_count, self.part_starts)?;
        for tail in &picture.tail {
            let mut collector = RowCollector::new(&schema, engine.reads().hash_seed());
            let seqs = (self.seqs.start().saturating_sub(1), *self.seqs.end());
            rows_of_tail(tail, view, engine.reads().hash_seed(), seqs, |_, record, seq| collector.push(seq, record))?;
            if !collector.is_empty() {
                known.add(&collector.finish()?)?;
            }
        }
        let mut truncates = truncates::marks(view, &picture.tail);
        truncates.retain(|mark| self.seqs.contains(&mark.seq));
        if !truncates.is_empty() {
            known.add_to_every_key(truncates::as_deletes(&truncates, &schema)?);
        }
        work(known)
    }

    /// [`Comparison::with`] the present picture, its runs opened before a merge can take them away.
    ///
    /// # Errors
    /// As [`Comparison::with`].
    pub fn with_present<T>(&self, engine: &Engine, work: impl FnOnce(KnownRows<'_>) -> Result<T>) -> Result<T> {
        loop {
            let picture = engine.reads().picture();
            let opened = self.runs(&picture).try_for_each(|run| run.open().map(|_| ()));
            match opened {
                Ok(()) => return self.with(engine, &picture, work),
                Err(error) if engine.reads().picture().state.generation() == picture.state.generation() => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    fn runs<'p>(&self, picture: &'p Picture) -> impl Iterator<Item = &'p Arc<Run>> {
        let (first, last) = (*self.seqs.start(), *self.seqs.end());
        let runs = picture.view(self.view_id).runs.iter();
        runs.filter(move |run| run.record.seq_max >= first && run.record.seq_min <= last)
    }
}

/// Whether a picture has rows of a view numbered above `seq`.
pub(super) fn has_rows_above(picture: &Picture, view_id: u32, seq: u64) -> bool {
    let is_later = |rows: &crate::tail::TailView| {
        // Rows of a segment are numbered in order.
        rows.row_count()
            .checked_sub(1)
            .and_then(|last| u32::try_from(last).ok())
            .is_some_and(|last| rows.row(last).0.seq > seq)
    };
    let view = picture.view(view_id);
    truncates::marks(view, &picture.tail).iter().any(|mark| mark.seq > seq)
        || picture.tail.iter().any(|tail| tail.read().get(&view_id).is_some_and(is_later))
        || view.runs.iter().any(|run| run.record.seq_max > seq)
}
