//! What the registry remembers: one struct a kind of record, kept as JSON under a text key.
//!
//! A field added later has a default; a reader ignores fields and kinds of records that it does not know.
//! Where ignoring one would make answers wrong, STORE carries a required feature.

mod truncate;

pub use truncate::TruncateRecord;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api_key::Scope;
use crate::definition::{Entity, FeatureService, FeatureView};
use crate::format::keyspace;
use crate::value::DataType;

/// A kind of record, and the key each of them goes by.
pub trait Record: Serialize + DeserializeOwned {
    /// The key: unique, and sorting as the records should.
    fn key(&self) -> String;
}

/// Counters and positions that belong to no single thing. Key `meta`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// When the store was made, in microseconds.
    pub created_at_us: i64,
    /// The id that the next (view name, version) gets.
    #[serde(default)]
    pub next_view_id: u32,
    /// The id that the next run file gets.
    #[serde(default)]
    pub next_run_id: u64,
    /// The id that the next source of rows gets.
    #[serde(default)]
    pub next_source_id: u32,
    /// The first log segment that still counts; those before were sealed.
    #[serde(default)]
    pub log_start_segment: u32,
    /// The log was synced up to here before this commit: no less than that must be found again.
    #[serde(default)]
    pub log_synced: u64,
    /// Greatest seq that a registry commit gave to rows or definitions.
    #[serde(default)]
    pub seq_max: u64,
    /// Greatest `ingested_at` of a registry commit, in microseconds.
    #[serde(default)]
    pub ingested_at_us: i64,
    /// Raised whenever a view, service or entity changes.
    #[serde(default)]
    pub definitions_revision: u64,
    /// Retention and erasure dropped rows that a `known_at` below this could have seen.
    #[serde(default)]
    pub known_at_floor_seq: u64,
    /// Rows of the keyspace were written, or may have been.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_keyspace: bool,
}

impl Record for Meta {
    fn key(&self) -> String {
        "meta".to_owned()
    }
}

/// What the project is called. Key `project`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRecord {
    /// Its name.
    pub name: String,
}

impl Record for ProjectRecord {
    fn key(&self) -> String {
        "project".to_owned()
    }
}

/// One revision of one version of a feature view. Key `view/ID/rev/N`; never changed once written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewRecord {
    /// One per (name, version), for ever.
    pub id: u32,
    /// Counts the compatible changes of the version, from 1.
    pub revision: u32,
    /// The seq of this revision: in force from here on.
    pub seq: u64,
    /// When it was applied, in microseconds.
    #[serde(default)]
    pub applied_at_us: i64,
    /// The seq of the version's first revision.
    pub first_seq: u64,
    /// From this seq on, the seq of this revision, the version is gone. A later revision may bring it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_seq: Option<u64>,
    /// Every field there ever was, in the order they were added. Rows and runs refer to them by position.
    pub fields: Vec<FieldRecord>,
    /// What was applied.
    pub definition: FeatureView,
}

impl ViewRecord {
    /// The directory of its files below `history/` and `latest/`: `3-weather@1`.
    pub fn dir_name(&self) -> String {
        format!("{}-{}@{}", self.id, self.definition.name, self.definition.version)
    }

    /// A field's position among all there ever were.
    pub fn ordinal(&self, feature: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == feature)
    }

    /// The types of all fields by ordinal.
    pub fn field_types(&self) -> Vec<DataType> {
        self.fields.iter().map(|field| field.dtype.clone()).collect()
    }

    /// Whether this revision is the end of the version.
    pub fn is_dropped(&self) -> bool {
        self.dropped_seq.is_some()
    }

    /// Whether its latest values are kept in a table: of every view but those that were dropped, and the keyspace.
    pub fn has_table(&self) -> bool {
        !self.is_dropped() && self.id != keyspace::VIEW_ID
    }

    /// The view that rows of the keyspace are of, which no definitions name.
    pub fn of_keyspace() -> ViewRecord {
        let owned = |(name, dtype): (&str, DataType)| (name.to_owned(), dtype);
        let fields = keyspace::FIELDS.map(|(name, dtype)| FieldRecord { name: name.to_owned(), dtype, added_seq: 0 });
        let mut definition = FeatureView::new(keyspace::VIEW_NAME);
        definition.join_keys = keyspace::JOIN_KEYS.map(owned).to_vec();
        for (name, dtype) in keyspace::FIELDS {
            definition = definition.feature(name, dtype);
        }
        ViewRecord {
            id: keyspace::VIEW_ID,
            revision: 1,
            seq: 0,
            applied_at_us: 0,
            first_seq: 0,
            dropped_seq: None,
            fields: fields.to_vec(),
            definition,
        }
    }
}

impl Record for ViewRecord {
    fn key(&self) -> String {
        format!("view/{:010}/rev/{:010}", self.id, self.revision)
    }
}

/// One field of a view version, under the ordinal that is its position in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldRecord {
    /// The feature's name.
    pub name: String,
    /// Its type, which no revision changes.
    pub dtype: DataType,
    /// The seq it was added at; rows before it do not have it.
    #[serde(default)]
    pub added_seq: u64,
}

/// One revision of a feature service. Key `service/NAME/rev/N`; never changed once written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// The service's name.
    pub name: String,
    /// Counts its changes, from 1.
    pub revision: u32,
    /// In force from here on.
    pub seq: u64,
    /// When it was applied, in microseconds.
    #[serde(default)]
    pub applied_at_us: i64,
    /// What was applied; `None` when this revision dropped it.
    pub definition: Option<FeatureService>,
}

impl Record for ServiceRecord {
    fn key(&self) -> String {
        format!("service/{}/rev/{:010}", self.name, self.revision)
    }
}

/// One revision of an entity. Key `entity/NAME/rev/N`; never changed once written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntityRecord {
    /// The entity's name.
    pub name: String,
    /// Counts its changes, from 1.
    pub revision: u32,
    /// In force from here on.
    pub seq: u64,
    /// When it was applied, in microseconds.
    #[serde(default)]
    pub applied_at_us: i64,
    /// What was applied; `None` when this revision dropped it.
    pub definition: Option<Entity>,
}

impl Record for EntityRecord {
    fn key(&self) -> String {
        format!("entity/{}/rev/{:010}", self.name, self.revision)
    }
}

/// How a run file came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunSource {
    /// Log segments were sealed.
    Seal,
    /// Older runs were merged.
    Merge,
    /// Rows came past the log.
    Import,
}

/// One run file: sorted rows of one view over one range of key hashes. Key `run/ID`. Its files are
/// `history/VIEW/ID.arrow` and `ID.idx`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Names the files; never used twice.
    pub id: u64,
    /// The view version whose rows these are.
    pub view_id: u32,
    /// The id of the first file that was written together with this one: together they make one run.
    pub group: u64,
    /// How often its rows were merged.
    pub level: u32,
    /// How it came to be.
    pub source: RunSource,
    /// Least key hash that the file is in charge of.
    pub hash_lo: u64,
    /// Greatest key hash that the file is in charge of.
    pub hash_hi: u64,
    /// How many rows.
    pub rows: u64,
    /// How many entity keys.
    #[serde(default)]
    pub entities: u64,
    /// Earliest event timestamp, in microseconds.
    pub event_min_us: i64,
    /// Latest event timestamp, in microseconds.
    pub event_max_us: i64,
    /// Least seq, the base added.
    pub seq_min: u64,
    /// Greatest seq, the base added.
    pub seq_max: u64,
    /// What is added to the seqs in the file; 0 unless imported.
    #[serde(default)]
    pub seq_base: u64,
    /// Length of the rows' file.
    pub data_bytes: u64,
    /// Length of the index file.
    pub index_bytes: u64,
    /// The head checksum of the index file: the head holds the checksums of all else in both files.
    pub index_crc: u32,
}

impl Record for RunRecord {
    fn key(&self) -> String {
        run_key(self.id)
    }
}

/// The key of a run's record.
pub fn run_key(id: u64) -> String {
    format!("run/{id:020}")
}

/// One import that took place: the same file with the same options is not imported again. Key
/// `import/VIEW/DIGEST-OPTIONS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRecord {
    /// Digest of the file's contents and of the format that they were read as, in hex.
    pub digest: String,
    /// Digest of the options that decide what its rows become, in hex.
    pub options_digest: String,
    /// The view version.
    pub view_id: u32,
    /// The file as the caller named it.
    #[serde(default)]
    pub path: String,
    /// Rows in the file.
    pub rows_read: u64,
    /// Rows added to the store.
    pub rows_written: u64,
    /// Rows that the store had.
    pub rows_skipped: u64,
    /// Rows set aside.
    #[serde(default)]
    pub rows_refused: u64,
    /// The first seq given; with the last, an empty range when no row was written.
    pub seq_first: u64,
    /// The last seq given.
    pub seq_last: u64,
    /// The source that its rows name.
    #[serde(default)]
    pub source_id: u32,
    /// When, in microseconds.
    pub at_us: i64,
}

impl Record for ImportRecord {
    fn key(&self) -> String {
        import_key(self.view_id, &self.digest, &self.options_digest)
    }
}

/// The key of an import's record.
pub fn import_key(view_id: u32, digest: &str, options_digest: &str) -> String {
    format!("import/{view_id:010}/{digest}-{options_digest}")
}

/// A named `known_at`. Key `snapshot/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    /// Its name.
    pub name: String,
    /// What was known: rows and definitions up to here.
    pub seq: u64,
    /// The `ingested_at` of that seq, in microseconds.
    #[serde(default)]
    pub ingested_at_us: i64,
    /// When it was made, in microseconds.
    pub created_at_us: i64,
}

impl Record for SnapshotRecord {
    fn key(&self) -> String {
        format!("snapshot/{}", self.name)
    }
}

/// Where the wall-clock times of the commits in sealed log segments are kept. Key `clock/ID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRecord {
    /// Never used twice; ascending with the seqs.
    pub id: u64,
    /// The file, relative to the store directory.
    pub file_name: String,
    /// The seq of its first commit.
    pub seq_first: u64,
    /// The last seq of its last commit.
    pub seq_last: u64,
    /// `ingested_at` of its first commit, in microseconds.
    pub ingested_first_us: i64,
    /// `ingested_at` of its last commit, in microseconds.
    pub ingested_last_us: i64,
}

impl Record for ClockRecord {
    fn key(&self) -> String {
        format!("clock/{:020}", self.id)
    }
}

/// The wall-clock time of a commit that gave seqs past the log: an import, an apply. Key `commit/SEQ`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// The first seq it gave.
    pub seq_first: u64,
    /// The last seq it gave: a `known_at` from here on sees it.
    pub seq_last: u64,
    /// Its `ingested_at`, in microseconds.
    pub ingested_at_us: i64,
    /// What it was, for people: `apply`, `import weather`.
    #[serde(default)]
    pub what: String,
}

impl Record for CommitRecord {
    fn key(&self) -> String {
        format!("commit/{:020}", self.seq_last)
    }
}

/// Where rows came from, under the id that log frames carry. Key `source/ID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The id.
    pub id: u32,
    /// What `explain` prints.
    pub name: String,
}

impl Record for SourceRecord {
    fn key(&self) -> String {
        format!("source/{:010}", self.id)
    }
}

/// An API key. Key `key/ID`. A member that narrows what keys open takes a required feature: who ignored it would open too much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The part of its text that is no secret; never used twice.
    pub id: String,
    /// What people call it: no other key that is in force has this name.
    pub name: String,
    /// The SHA-256 of its whole text, in hexadecimal digits.
    pub sha256: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// The views that it opens, of any version; none for all.
    pub views: Vec<String>,
    /// When it was made, in microseconds.
    pub created_at_us: i64,
    /// From then on it opens nothing, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_us: Option<i64>,
}

impl Record for KeyRecord {
    fn key(&self) -> String {
        format!("key/{}", self.id)
    }
}
