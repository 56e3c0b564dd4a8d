//! Point-in-time joins: pure functions over slices and Arrow arrays, without files or a clock.
//!
//! [`pick`] holds the rule that every read follows. A join applies it to many spine rows at once, in
//! three steps whose memory is kept from chunk to chunk:
//!
//! 1. [`Partition::fill`] brings the [`spine`]'s rows into the order of their key hashes, which is the
//!    order that [runs](source::Run) are sorted in;
//! 2. [`Resolution::fill`] finds every row's winner over runs and tails, touching only indexes and times;
//! 3. [`Gather::columns`] reads the winners' values column by column and scatters them to spine order.
//!
//! **Invariant**: no step knows of another view.

mod encoded;
mod gather;
mod keys;
pub mod last_seen;
pub mod naming;
pub mod pick;
mod resolve;
mod scatter;
mod search;
pub mod source;
pub mod spine;
#[cfg(test)]
mod tests;

pub use encoded::{array_from_encoded, is_too_long};
pub use gather::{Gather, Wanted};
pub use naming::{Selected, output_columns};
pub use resolve::{Hits, Question, Resolution};
pub use spine::{Partition, SpineKeys, SpineTimes};

use arrow_array::ArrayRef;

use crate::error::Result;

/// Memory that a join works in, kept from chunk to chunk.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The spine's rows in hash order.
    pub partition: Partition,
    /// Their winners.
    pub resolution: Resolution,
}

impl Scratch {
    /// All three steps for one view: the wanted columns in spine order.
    ///
    /// # Errors
    /// Keys and times differ in number, a column is damaged, or a chunk is too large for Arrow.
    pub fn join(
        &mut self,
        keys: &SpineKeys,
        times: &SpineTimes,
        question: &Question<'_>,
        wanted: &[Wanted],
        threads: usize,
    ) -> Result<Vec<ArrayRef>> {
        self.partition.fill(keys, times, threads)?;
        self.resolution.fill(&self.partition, keys, question, threads)?;
        Gather::new(&self.resolution, question.sources, times).columns(wanted, threads)
    }
}
