//! An embedded feature store: one directory holds the latest value of every feature, in a memory-mapped table, and every
//! value there ever was, in a time-versioned log. One write feeds both, so that training and serving cannot disagree.
//!
//! ```
//! use asof::definition::{Definitions, FeatureView};
//! use asof::time::Timestamp;
//! use asof::value::{DataType, Value};
//! use asof::{ApplyOptions, Features, GetOptions, Row, Status, Store};
//!
//! let store = Store::temporary()?; // Store::open("path") keeps what is written
//! let definitions = Definitions::new("flights")
//!     .entity("airport", [("origin", DataType::String)])
//!     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
//! store.apply(&definitions, ApplyOptions::default())?;
//!
//! let noon: Timestamp = "2026-03-01T12:00:00Z".parse()?;
//! store.write_rows("weather", [Row::new().at(noon).set("origin", "JFK").set("temp", 39.0)])?;
//!
//! // What is known now, through a handle that resolves names once:
//! let mut online = store.online(&Features::list(["weather:temp"])?)?;
//! let jfk = online.key(&[("origin", "JFK".into())])?;
//! assert_eq!(online.get(&jfk, store.now())?.f64(0), Some(39.0));
//!
//! // What was known then: before the observation nothing was.
//! let before = GetOptions { at: Some("2026-03-01T11:00:00Z".parse()?), ..GetOptions::default() };
//! let answer = store.get(&Features::list(["weather:temp"])?, &[("origin", "JFK".into())], &before)?;
//! assert_eq!((answer[0].status, &answer[0].value), (Status::NotFound, &Value::Null));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | call |
//! | --- | --- |
//! | say what features there are | [`Store::apply`] with [`definition::Definitions`], from Rust or from `asof.toml` |
//! | write what happens | [`Store::write`], [`Store::write_rows`], [`Store::delete`] |
//! | bring in what happened | [`Store::bulk_writer`], `Store::import_files` |
//! | serve what is known now | [`Store::online`] |
//! | train on what was known then | [`Store::get_historical_features`], [`Store::snapshot`] |
//! | take everything out | [`Store::scan`], `Store::export` |
//! | find out why | [`Store::explain`], [`Store::check`] |
//!
//! Times are microseconds in UTC ([`time::Timestamp`]); errors say what, where and what to do ([`Error`]).
//!
//! What stands at the crate's root, and [`api_key`], [`definition`], [`error`], [`options`], `testing`, [`time`] and [`value`], is the interface to
//! build on. The other modules are the floors that it stands on: open to tools, benches and fuzzers, and changed as the
//! construction changes.
//!
//! # Features of the crate
//!
//! `parquet` (on by default): Parquet, CSV, JSON Lines and Arrow files in and out. `redis`: with these, the latest values into a Redis and back.
//! `cli` (on by default, with `redis`): the `asof` binary. Without them an embed has neither file formats nor command line.

pub mod api_key;
pub mod caught;
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
pub mod histogram;
pub mod history;
mod huge_pages;
pub mod identity;
pub mod join;
pub mod key;
pub mod keyspace;
pub mod latest;
pub mod lock;
pub mod log;
pub mod manifest;
pub mod options;
pub mod redis_key;
pub mod registry;
pub mod request;
#[cfg(feature = "server")]
pub mod server;
pub mod store;
pub mod tail;
#[cfg(feature = "resp")]
pub mod testing;
pub mod text;
mod threads;
pub mod time;
pub mod value;

pub use engine::check::{CheckProgress, CheckReport, Problem, Severity};
pub use engine::entities::{EntityField, EntityRow, EntityView, EntityViews};
pub use engine::entity_keys::EntityKeys;
pub use engine::explain::{Checksum, Explanation, Location, RowExplanation, TableVerdict, TypedValue};
pub use engine::get::{Answers, Entity, FeatureValue, GetOptions};
pub use engine::online::{EntityKey, OnlineHandle, OnlineRow};
pub use engine::provenance::Provenance;
pub use engine::row_stage::RowStage;
pub use engine::scan::Scan;
pub use engine::summary::{
    ColumnSummary, EntitySummary, KeySummary, RunSummary, ServiceSummary, SnapshotSummary, StoreSummary, ViewSummary,
};
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "parquet")]
pub use exchange::{ExportOptions, ExportReport, ImportOptions, ImportProgress, Partition};
#[cfg(feature = "redis")]
pub use exchange::{
    RedisExportOptions, RedisExportReport, RedisImportOptions, RedisImportReport, RedisLayout, RedisUrl,
};
pub use format::columns::value_at;
pub use join::pick::Status;
pub use request::{
    ApplyOptions, BadRows, BulkOptions, DeleteOptions, Features, HistoricalRequest, KnownAt, ScanOptions, WriteOptions,
};
pub use store::{
    BulkWriter, DeleteReport, FileReport, ImportReport, JoinKey, KeyRecords, KeyspaceHandle, Row, Store, StoreBuilder,
    TemporaryStore, TrainingSet, WriteReport,
};

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
