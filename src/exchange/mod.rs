//! Files in and out: Parquet, CSV, JSON Lines and Arrow IPC.
//!
//! [`open_source`] reads record batches out of a file or a folder of files, [`create_sink`] writes
//! them into one, [`PartitionedWriter`] into a folder that can be read back. They know Arrow and the
//! text forms of values, and nothing of a store: what the columns mean is the caller's to decide.
//!
//! On top of them, [`Store::export`](crate::Store::export) writes a view's history into such a folder,
//! [`Store::import_files`](crate::Store::import_files) reads files into one.

mod cells;
mod columns;
mod csv;
mod csv_tokens;
mod digest;
mod export;
mod file;
mod folder;
mod import;
mod infer;
mod int96;
mod ipc;
mod ipc_lengths;
mod jsonl;
mod kind;
mod leaves;
mod parquet_bounds;
mod parquet_reader;
mod parquet_sink;
mod partitioned;
mod quarantine;
#[cfg(feature = "redis")]
mod redis;
mod rows;
mod sink;
mod source;
mod source_options;
mod spill;
mod spine;
mod temporary;
mod text_sink;
mod view_source;
mod write_file;

#[cfg(test)]
mod tests;

#[cfg(feature = "redis")]
pub use self::redis::{
    RedisExportOptions, RedisExportReport, RedisImportOptions, RedisImportReport, RedisLayout, RedisUrl,
};
pub use cells::{Cells, typed_field};
pub use columns::ColumnBuilder;
pub use digest::file_digest;
pub use export::{ExportOptions, ExportReport, RowProgress};
#[cfg(feature = "http")]
pub use folder::files_below;
pub use folder::reads_file;
pub use import::{ImportOptions, ImportProgress, ImportProgressHandler};
pub use kind::FileKind;
pub use partitioned::{FolderReport, Partition, PartitionedWriter};
pub use quarantine::QuarantineWriter;
pub use sink::{Sink, SinkReport, create_sink};
pub use source::{Origin, Source, open_source, source_error};
pub use source_options::{BATCH_ROWS_DEFAULT, BadRow, BadRowHandler, InferProgress, Progress, SourceOptions};
pub use spine::spine_options;

pub use crate::value::TYPE_METADATA_KEY;
