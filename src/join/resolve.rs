//! Which row wins for every spine row: the first of the two passes.
//!
//! Threads share the spine by hash range; [`search`](super::search) does each one's part.
//!
//! **Invariant**: what this finds is what [`pick`](super::pick::pick) finds.

use super::pick::{AsOf, Mark};
use super::search::resolve;
use super::source::Source;
use super::spine::{Partition, SpineKeys};
use crate::error::{Error, Result};
use crate::threads;

/// The source of a row that nothing matches.
pub(super) const NO_SOURCE: u16 = u16::MAX;

/// What is asked of a view.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Where its rows lie, in any order.
    pub sources: &'a [Source<'a>],
    /// Its truncates in row order: each deletes every key at its place.
    pub truncates: &'a [Mark],
    /// The greatest seq in sight; `u64::MAX` sees everything.
    pub known_at: u64,
    /// Whether rows must have been created by the spine row's instant. Only for views that declare created.
    pub created_cutoff: bool,
    /// The view's TTL in microseconds; 0 for none.
    pub ttl_us: i64,
}

impl<'a> Question<'a> {
    /// Everything these sources hold, without a TTL.
    pub fn new(sources: &'a [Source<'a>]) -> Self {
        Question { sources, truncates: &[], known_at: u64::MAX, created_cutoff: false, ttl_us: 0 }
    }
}

/// Rows that won, all of one source: at which spine position, and which row.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// Spine positions.
    pub positions: Vec<u32>,
    /// Rows of the source.
    pub rows: Vec<u32>,
}

impl Hits {
    pub(super) fn clear(&mut self) {
        self.positions.clear();
        self.rows.clear();
    }

    #[inline]
    pub(super) fn push(&mut self, position: u32, row: u32) {
        self.positions.push(position);
        self.rows.push(row);
    }
}

/// What one thread found.
#[derive(Debug, Default)]
pub(super) struct Share {
    pub hits: Vec<Hits>,
}

/// The winners of a spine, by source. Kept between chunks for its memory.
#[derive(Debug, Default)]
pub struct Resolution {
    shares: Vec<Share>,
    source_count: usize,
}

impl Resolution {
    /// Finds the winner of every spine row, over `threads` threads.
    ///
    /// # Errors
    /// There are more sources than can be numbered.
    pub fn fill(
        &mut self,
        partition: &Partition,
        keys: &SpineKeys,
        question: &Question<'_>,
        threads: usize,
    ) -> Result<()> {
        let source_count = question.sources.len();
        if source_count >= usize::from(NO_SOURCE) {
            return Err(
                Error::refused(format!("a view in {source_count} runs cannot be joined")).remedy("compact the store")
            );
        }
        self.source_count = source_count;
        let pieces = partition.pieces(threads);
        self.shares.resize_with(pieces.len(), Share::default);
        let plan = &Plan::new(question, keys);
        let shares = self.shares.iter_mut().zip(pieces);
        threads::over(threads, shares, |(share, probes)| resolve(plan, probes, share));
        Ok(())
    }

    /// The winners in source `source`, in parts.
    pub fn hits(&self, source: usize) -> impl Iterator<Item = &Hits> {
        self.shares.iter().map(move |share| &share.hits[source])
    }

    /// How many sources the question had.
    pub fn source_count(&self) -> usize {
        self.source_count
    }

    /// How many spine rows have a value row within the TTL.
    pub fn hit_count(&self) -> usize {
        self.shares.iter().flat_map(|share| &share.hits).map(|hits| hits.rows.len()).sum()
    }
}

/// What all threads share.
pub(super) struct Plan<'a> {
    pub question: &'a Question<'a>,
    pub keys: &'a SpineKeys,
    /// Tails, then runs from the newest on.
    pub order: Vec<usize>,
    /// No source says of its rows anything but value, without deadlines.
    pub all_values: bool,
}

impl<'a> Plan<'a> {
    fn new(question: &'a Question<'a>, keys: &'a SpineKeys) -> Self {
        let mut order: Vec<usize> = (0..question.sources.len()).collect();
        order.sort_by_key(|&source| match &question.sources[source] {
            Source::Tail(_) => std::cmp::Reverse((true, i64::MAX)),
            Source::Run(run) => std::cmp::Reverse((false, run.event_ts_range.1)),
        });
        let all_values = question.sources.iter().all(|source| match source {
            Source::Run(run) => run.kind.is_none() && run.deadline.is_none(),
            Source::Tail(tail) => tail.is_empty(),
        });
        Plan { question, keys, order, all_values }
    }

    pub(super) fn as_of(&self, at: i64) -> AsOf {
        AsOf { at, known_at: self.question.known_at, created_cutoff: self.question.created_cutoff }
    }
}
