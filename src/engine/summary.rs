//! What a store holds, in numbers: for people, and for tools that read their JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::api_key::Scope;
use crate::definition::{Feature, Selection, Source, ViewKind};
use crate::redis_key::KeyTemplate;
use crate::registry::records::{KeyRecord, RunSource, SnapshotRecord};
use crate::time::Timestamp;
use crate::value::DataType;

/// A feature view: what it is, and what it holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViewSummary {
    /// Name and version as they are written: `weather`, `weather@2`.
    pub view: String,
    /// Its name alone.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Its number in the store.
    pub id: u32,
    /// Counts the compatible changes of this version, from 1.
    pub revision: u32,
    /// State or event.
    pub kind: ViewKind,
    /// Names of its entities, in key order.
    pub entities: Vec<String>,
    /// The join keys, in key order.
    pub join_keys: Vec<ColumnSummary>,
    /// The features, in order, with their rules.
    pub features: Vec<Feature>,
    /// Columns that tell apart events of equal key and time.
    pub event_id: Vec<ColumnSummary>,
    /// How its entities are called over the Redis protocol, besides `view:key`.
    pub redis_keys: Vec<KeyTemplate>,
    /// Where its rows come from, and how its columns are called there.
    pub source: Source,
    /// What the source calls the event time; `None` where every row has one instant.
    pub event_timestamp: Option<String>,
    /// What the source calls the created time; `None` where there is none.
    pub created_timestamp: Option<String>,
    /// Lookback and serving age, microseconds; 0 for none.
    pub ttl_us: i64,
    /// When history may be dropped, microseconds; 0 for never.
    pub retention_us: i64,
    /// The age at which monitoring complains, microseconds; 0 for never.
    pub freshness_sla_us: i64,
    /// Who answers for it.
    pub owner: String,
    /// For people.
    pub description: String,
    /// For people and tools.
    pub tags: BTreeMap<String, String>,
    /// Rows in all, deletes and corrected rows included.
    pub rows: u64,
    /// Rows that lie in history runs.
    pub rows_in_runs: u64,
    /// Rows that lie in the log, to be sealed.
    pub rows_in_log: u64,
    /// Entities with rows, since the view was truncated last if it was; `None` where only reading everything would tell.
    pub entity_count: Option<u64>,
    /// The earliest event time.
    pub event_min: Option<Timestamp>,
    /// The latest event time: how fresh the view is.
    pub event_max: Option<Timestamp>,
    /// The number of the row that was learned last.
    pub newest_seq: Option<u64>,
    /// When that row was learned.
    pub newest_ingested_at: Option<Timestamp>,
    /// History runs; each is one file or more.
    pub runs: usize,
    /// Their files, without the indexes beside them.
    pub run_files: usize,
    /// Bytes of those files and their indexes.
    pub history_bytes: u64,
    /// Bytes of the table of latest values.
    pub latest_bytes: u64,
}

/// A column's name and type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Its type.
    pub dtype: DataType,
}

/// An entity, and the views about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EntitySummary {
    /// Its name.
    pub name: String,
    /// Its join keys, in key order.
    pub join_keys: Vec<ColumnSummary>,
    /// Counts its changes, from 1.
    pub revision: u32,
    /// For people.
    pub description: String,
    /// For people and tools.
    pub tags: BTreeMap<String, String>,
    /// Views about it.
    pub views: Vec<String>,
}

/// A feature service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceSummary {
    /// Its name.
    pub name: String,
    /// Counts its changes, from 1.
    pub revision: u32,
    /// What it selects, in order.
    pub features: Vec<Selection>,
    /// For people.
    pub description: String,
    /// For people.
    pub owner: String,
    /// For people and tools.
    pub tags: BTreeMap<String, String>,
}

/// One file of a history run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// Its number; its files are called after it.
    pub id: u64,
    /// The number of the first file written with it: together they make one run.
    pub run: u64,
    /// The view whose rows it holds.
    pub view: String,
    /// The file, below the store's directory.
    pub file: PathBuf,
    /// How often its rows were merged.
    pub level: u32,
    /// How it came to be.
    pub source: RunSource,
    /// How many rows.
    pub rows: u64,
    /// How many entities.
    pub entities: u64,
    /// Earliest event time.
    pub event_min: Timestamp,
    /// Latest event time.
    pub event_max: Timestamp,
    /// Least number of a row.
    pub seq_min: u64,
    /// Greatest number of a row.
    pub seq_max: u64,
    /// Length of the file and its index.
    pub bytes: u64,
}

/// A named state of knowledge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotSummary {
    /// Its name.
    pub name: String,
    /// Rows and definitions up to here were known.
    pub seq: u64,
    /// When that row was learned.
    pub ingested_at: Timestamp,
    /// When the snapshot was made.
    pub created_at: Timestamp,
}

impl From<&SnapshotRecord> for SnapshotSummary {
    fn from(record: &SnapshotRecord) -> SnapshotSummary {
        SnapshotSummary {
            name: record.name.clone(),
            seq: record.seq,
            ingested_at: Timestamp(record.ingested_at_us),
            created_at: Timestamp(record.created_at_us),
        }
    }
}

/// An API key, without what it is checked against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySummary {
    /// The part of its text that is no secret.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// The views that it opens; none for all.
    pub views: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it opens nothing.
    pub revoked_at: Option<Timestamp>,
}

impl From<&KeyRecord> for KeySummary {
    fn from(record: &KeyRecord) -> KeySummary {
        KeySummary {
            id: record.id.clone(),
            name: record.name.clone(),
            scopes: record.scopes.clone(),
            views: record.views.clone(),
            created_at: Timestamp(record.created_at_us),
            revoked_at: record.revoked_at_us.map(Timestamp),
        }
    }
}

/// The store as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreSummary {
    /// Its directory.
    pub path: PathBuf,
    /// Tells it from every other.
    pub uuid: String,
    /// The project's name.
    pub project: String,
    /// The format of its files.
    pub format_version: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Rows up to this number are committed.
    pub seq: u64,
    /// The registry's generation: counts its changes.
    pub generation: u64,
    /// Counts changes of definitions.
    pub definitions_revision: u64,
    /// A `known_at` below this is refused, because retention dropped what it could see.
    pub known_at_floor_seq: u64,
    /// Feature view versions.
    pub views: usize,
    /// Rows in all.
    pub rows: u64,
    /// Rows that lie in the log, to be sealed.
    pub rows_in_log: u64,
    /// Log segments.
    pub log_segments: usize,
    /// Their lengths, which are reserved ahead.
    pub log_bytes: u64,
    /// Memory that the index of the log's rows takes.
    pub tail_memory_bytes: u64,
    /// History runs' files.
    pub run_files: usize,
    /// Bytes of those files and their indexes.
    pub history_bytes: u64,
    /// Bytes of the tables of latest values.
    pub latest_bytes: u64,
    /// Named snapshots.
    pub snapshots: usize,
    /// Imports that were done.
    pub imports: usize,
}

impl From<&(String, DataType)> for ColumnSummary {
    fn from((name, dtype): &(String, DataType)) -> Self {
        ColumnSummary { name: name.clone(), dtype: dtype.clone() }
    }
}
