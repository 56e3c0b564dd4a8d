//! What a store is told to hold: entities, feature views, feature services.
//!
//! The same structures come from `asof.toml` and from code. They are plain data; the registry
//! stores them as JSON, so a field added later needs a default.

mod bounds;
mod builder;
mod check;
mod file;
mod mistake;
mod plan;
mod reference;
mod serve;
mod template;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use bounds::is_ordered;
pub use mistake::{Mistake, Mistakes};
pub use plan::{Action, Plan, PlanItem, Registered, RegisteredService, RegisteredView, Subject, plan};
pub use reference::{FeatureRef, NAME_BYTES_MAX, ViewRef, check_name, selections_of};
pub use serve::{Endpoint, LogFormat, LogLevel, ServeSettings};
pub use template::template;

use crate::key::KeySchema;
use crate::redis_key::KeyTemplate;
use crate::value::DataType;

/// Most features a view can have.
pub const FEATURES_MAX: usize = 4_096;
/// Columns that asof itself writes into exports and training sets: no feature or join key may be
/// called so. Names with a leading `_` are reserved as well.
pub const RESERVED_COLUMNS: [&str; 2] = [EVENT_TIMESTAMP_COLUMN, "created_timestamp"];
/// The column of event times in exports of views whose source has none.
pub const EVENT_TIMESTAMP_COLUMN: &str = "event_timestamp";

/// Everything one definitions file says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Definitions {
    /// The project's name.
    pub project: String,
    /// Where and how the store is kept; `None` for definitions built in code.
    #[serde(skip)]
    pub store: StoreSettings,
    /// How it is served; nothing for definitions built in code.
    #[serde(skip)]
    pub serve: ServeSettings,
    /// Entities by name.
    pub entities: BTreeMap<String, Entity>,
    /// Feature views, each name and version once, in file order.
    pub views: Vec<FeatureView>,
    /// Feature services by name.
    pub services: BTreeMap<String, FeatureService>,
}

/// The `[store]` table: about the directory, not about the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreSettings {
    /// The store directory, relative to the definitions file.
    pub path: Option<PathBuf>,
    /// When a write counts as done.
    pub durability: Option<crate::options::Durability>,
    /// How far ahead of the clock an event timestamp may lie, in microseconds.
    pub max_future_skew_us: Option<i64>,
}

/// A thing that features describe, and the columns that identify it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// Join key columns in key order.
    pub join_keys: Vec<(String, DataType)>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people and tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// What a row of a view means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ViewKind {
    /// The state of an entity from that time on; a second row with equal key and clocks corrects the first.
    #[default]
    State,
    /// Something that happened; every row counts.
    Event,
}

impl fmt::Display for ViewKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ViewKind::State => "state",
            ViewKind::Event => "event",
        })
    }
}

/// A named, versioned set of features of the same entities, written together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureView {
    /// Its name, without the version.
    pub name: String,
    /// Incompatible changes make a new one; both live side by side.
    pub version: u32,
    /// State or event.
    #[serde(default)]
    pub kind: ViewKind,
    /// Names of the entities, in key order; empty means one key for the whole store.
    pub entities: Vec<String>,
    /// The join key columns of those entities, in key order.
    pub join_keys: Vec<(String, DataType)>,
    /// The features, in file order.
    pub features: Vec<Feature>,
    /// Lookback and serving age in microseconds; 0 means none.
    #[serde(default)]
    pub ttl_us: i64,
    /// When history may be dropped, in microseconds; 0 means never.
    #[serde(default)]
    pub retention_us: i64,
    /// The age at which monitoring complains, in microseconds; 0 means never.
    #[serde(default)]
    pub freshness_sla_us: i64,
    /// Columns that tell apart events of equal key and time; only in event views.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_id: Vec<(String, DataType)>,
    /// How its entities are called over the Redis protocol, besides `view:key`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redis_keys: Vec<KeyTemplate>,
    /// Where rows come from.
    #[serde(default)]
    pub source: Source,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people and tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl FeatureView {
    /// The entity key's columns.
    pub fn key_schema(&self) -> KeySchema {
        KeySchema::new(self.join_keys.clone())
    }

    /// Whether rows carry a created timestamp.
    pub fn has_created(&self) -> bool {
        self.source.created_timestamp.is_some()
    }

    /// The position of a feature by name.
    pub fn feature_index(&self, name: &str) -> Option<usize> {
        self.features.iter().position(|feature| feature.name == name)
    }

    /// Name and version as they are written: `weather`, `weather@2`.
    pub fn reference(&self) -> ViewRef {
        ViewRef { name: self.name.clone(), version: Some(self.version) }
    }

    /// Name and version as a file's table is called: version 1 goes by the bare name.
    pub fn reference_text(&self) -> String {
        if self.version == 1 { self.name.clone() } else { format!("{}@{}", self.name, self.version) }
    }
}

/// One column of a feature view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Its type.
    pub dtype: DataType,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What a value must be.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub rules: Rules,
    /// For people and tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// What a feature's values must satisfy; a row that breaks one is refused like a wrong type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Null is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_null: bool,
    /// Least value allowed, in the type's text form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// Greatest value allowed, in the type's text form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// The only values allowed, in the type's text form; empty allows all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
}

impl Rules {
    /// Whether every value passes.
    pub fn is_empty(&self) -> bool {
        *self == Rules::default()
    }
}

/// Where a view's rows come from, and how its columns are called there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The file that `import --all` reads, relative to the definitions file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The event time.
    #[serde(default)]
    pub event_timestamp: EventTime,
    /// The column that says when the source system recorded the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_timestamp: Option<String>,
    /// Source column -> feature or join key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// The push source's name, where it is not the view's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<String>,
    /// CSV: the column delimiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// CSV and JSON Lines: the strftime format of timestamps, where they are not RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_format: Option<String>,
}

/// Which column holds the event time, or the one instant that all rows have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventTime {
    /// A column of the source.
    Column(String),
    /// Microseconds since 1970: rows that were always true. A delete may be of another time, in a column `event_timestamp`.
    Constant(i64),
}

impl Default for EventTime {
    fn default() -> Self {
        EventTime::Column("event_timestamp".to_owned())
    }
}

/// A named list of features that a model is served with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeatureService {
    /// What it selects, in order.
    pub features: Vec<Selection>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// For people and tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// Features of one view, under one name, joined through given spine columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// The view.
    pub view: ViewRef,
    /// The name its columns carry in full names; the view as it is written when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Join key -> spine column, where they differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub join_keys: BTreeMap<String, String>,
    /// Feature names, in order; empty means all of the view's.
    pub features: Vec<String>,
}

impl Selection {
    /// The name its columns carry in full names: the alias, or the view as it is written, with a version where one is, so that
    /// two versions side by side are told apart.
    pub fn label(&self) -> String {
        self.alias.clone().unwrap_or_else(|| self.view.to_string())
    }
}
