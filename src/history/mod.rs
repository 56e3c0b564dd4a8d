//! History: the older rows of a view, in immutable runs sorted by (key hash, key, row order).
//!
//! A run is one or more files, split by hash range. Each file is an Arrow IPC file of one record
//! batch, with an index beside it ([`crate::format::run_index`]). Runs are made from the log's
//! rows ([`seal`]), from bulk imports ([`BulkBuilder`]) and from other runs ([`merge_runs`]), and
//! read through [`RunFile`].

mod audit;
mod block_writer;
mod budget;
mod bulk;
mod column_builder;
mod columns;
mod content;
mod cursor;
mod gather;
mod keys;
mod known;
mod lookup;
mod merge;
mod order;
mod output;
mod policy;
mod reader;
mod rows;
mod schema;
mod seal;
mod stats;
mod stream;
mod syncs;
#[cfg(test)]
mod tests;
mod through;
mod verify;
mod writer;

pub use audit::RunAudit;
pub use budget::StagingBudget;
pub use bulk::{BulkBatch, BulkBuilder};
pub(crate) use cursor::interleave;
pub use cursor::{MergeCursor, MergedKey, RunCursor, for_each_latest};
pub use gather::Extent;
pub(crate) use gather::gather_rows;
pub use keys::Keys;
pub use known::KnownRows;
pub use merge::{merge_runs, merge_without};
pub use output::{RunFileMeta, RunOutput, index_path, run_path};
pub use policy::{RunSize, choose_merge};
pub use reader::{RunColumn, RunFile};
pub use rows::{KeyRange, RowCollector, RowColumns, UnsortedRows};
pub use schema::{OptionalColumns, RunSchema};
pub use seal::seal;
