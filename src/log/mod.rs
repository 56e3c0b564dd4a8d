//! The log: recent commits in arrival order, in preallocated segments of checksummed sectors.
//!
//! One committer appends ([`LogWriter`]); whoever opens the store scans what is there ([`recover`]);
//! other processes follow along ([`LogReader`]). All three read with one scanner, so they agree on where the log ends.

mod beside;
mod reader;
mod recovery;
mod scan;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::LogReader;
pub use recovery::{Recovered, recover};
pub use segment::{LogPlace, segment_name, segment_of_name};
pub use writer::LogWriter;
