//! `asof`: an embedded feature store.

#[cfg(feature = "cli")]
pub mod cli;
pub mod definition;
pub mod disk;
pub mod engine;
pub mod error;
#[cfg(feature = "parquet")]
pub mod exchange;
pub mod format;
pub mod head;
pub mod history;
pub mod identity;
pub mod join;
pub mod key;
pub mod latest;
pub mod lock;
pub mod log;
pub mod manifest;
pub mod options;
pub mod registry;
pub mod request;
pub mod store;
pub mod tail;
pub mod text;
pub mod time;
pub mod value;

pub use engine::check::{CheckProgress, CheckReport, Problem, Severity};
pub use engine::explain::{Checksum, Explanation, Location, RowExplanation, TableVerdict, TypedValue};
pub use engine::get::{FeatureValue, GetOptions};
pub use engine::online::{EntityKey, OnlineHandle, OnlineRow};
pub use engine::provenance::Provenance;
pub use engine::scan::Scan;
pub use engine::summary::{
    ColumnSummary, EntitySummary, RunSummary, ServiceSummary, SnapshotSummary, StoreSummary, ViewSummary,
};
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "parquet")]
pub use exchange::{ExportOptions, ExportReport, ImportOptions, ImportProgress, Partition};
pub use format::columns::value_at;
pub use join::pick::Status;
pub use request::{
    ApplyOptions, BadRows, BulkOptions, DeleteOptions, Features, HistoricalRequest, KnownAt, ScanOptions, WriteOptions,
};
pub use store::{
    BulkWriter, DeleteReport, FileReport, ImportReport, JoinKey, Row, Store, StoreBuilder, TemporaryStore, TrainingSet,
    WriteReport,
};
