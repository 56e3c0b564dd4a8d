//! Files of other programs, in and out: Parquet, CSV, JSON Lines, Arrow IPC.
//!
//! Readers give record batches in whatever layout the file has; text cells stay text, marked with
//! [`TEXT_FORM_KEY`](crate::format::accept::TEXT_FORM_KEY), so that
//! [`accept_batch`](crate::format::accept::accept_batch) refuses a bad cell as it refuses any other
//! row. Writers appear under their name only when complete.

mod csv;
mod digest;
mod jsonl;
mod parquet_in;
mod partition;
mod progress;
mod quarantine;
mod source;
#[cfg(test)]
mod tests;
mod write;

pub use digest::content_digest;
pub use partition::{PartitionedWriter, Partitioning};
pub use progress::{Progress, ProgressHook};
pub use quarantine::QuarantineWriter;
pub use source::{FileFormat, SourceOptions, SourceReader, expand_source, open_source, source_error};
pub use write::{Compression, DatasetWriter, OutputFormat, TYPE_KEY, WriteOptions, typed_field};
