//! What callers ask for: which features, as of when, known by when, and how to treat bad rows.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::definition::{FeatureRef, Selection, selections_of};
use crate::error::{Error, Result};
use crate::time::Timestamp;
use crate::value::Value;

/// Features to read: a registered service, or a list.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// A feature service by name.
    Service(String),
    /// Selections, in the order of the answer's columns.
    List(Vec<Selection>),
}

impl Features {
    /// Features by reference: `weather:temp`, `weather@2:temp`, `weather:*`.
    ///
    /// # Errors
    /// A reference is malformed, or there is none.
    pub fn list<T: AsRef<str>>(references: impl IntoIterator<Item = T>) -> Result<Self> {
        let references: Vec<FeatureRef> =
            references.into_iter().map(|text| text.as_ref().trim().parse()).collect::<Result<_>>()?;
        if references.is_empty() {
            return Err(no_features());
        }
        Ok(Features::List(selections_of(&references)))
    }

    /// The features of a registered service.
    pub fn service(name: impl Into<String>) -> Self {
        Features::Service(name.into())
    }
}

pub(crate) fn no_features() -> Error {
    Error::invalid("no feature is asked for").remedy("name some, as in weather:temp")
}

/// The state of knowledge to answer from: only rows committed by then, and the definitions of then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownAt {
    /// Rows numbered up to this.
    Seq(u64),
    /// Rows of the last commit ingested by this instant; later than now is refused.
    Time(Timestamp),
    /// Rows a named snapshot saw.
    Snapshot(String),
}

impl FromStr for KnownAt {
    type Err = Error;

    /// A number is a seq, a time is a time, anything else the name of a snapshot.
    fn from_str(text: &str) -> Result<Self> {
        if let Ok(seq) = text.parse() {
            return Ok(KnownAt::Seq(seq));
        }
        if let Ok(time) = text.parse() {
            return Ok(KnownAt::Time(time));
        }
        crate::definition::check_name("snapshot", text).map_err(|error| {
            error.remedy("--known-at takes a seq, a time such as 2026-03-01T13:00:00Z, or a snapshot's name")
        })?;
        Ok(KnownAt::Snapshot(text.to_owned()))
    }
}

impl fmt::Display for KnownAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KnownAt::Seq(seq) => write!(f, "seq {seq}"),
            KnownAt::Time(time) => write!(f, "{time}"),
            KnownAt::Snapshot(name) => write!(f, "snapshot {name}"),
        }
    }
}

/// A point-in-time join: which features, through which spine column of times, known by when.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoricalRequest {
    /// Which features.
    pub features: Features,
    /// The spine column that holds the time of each row.
    pub timestamp_column: String,
    /// Rows and definitions of that state of knowledge; everything when absent.
    pub known_at: Option<KnownAt>,
    /// With `known_at`: today's definitions instead of those of then.
    pub definitions_current: bool,
    /// Only rows whose created timestamp is not after the spine row's time; in views that declare one.
    pub created_cutoff: bool,
    /// Columns are called `view__feature`.
    pub full_names: bool,
    /// Threads to join with, 256 at most, and as many as the system gives; 0 means one per core, at most 8.
    pub threads: usize,
}

impl HistoricalRequest {
    /// A join of these features, as of the spine's `event_timestamp`.
    pub fn new(features: Features) -> Self {
        HistoricalRequest {
            features,
            timestamp_column: "event_timestamp".to_owned(),
            known_at: None,
            definitions_current: false,
            created_cutoff: false,
            full_names: false,
            threads: 0,
        }
    }

    /// A join of features by reference.
    ///
    /// # Errors
    /// A reference is malformed, or there is none.
    pub fn features<T: AsRef<str>>(references: impl IntoIterator<Item = T>) -> Result<Self> {
        Ok(Self::new(Features::list(references)?))
    }

    /// A join of a service's features.
    pub fn service(name: impl Into<String>) -> Self {
        Self::new(Features::service(name))
    }
}

/// Which rows of a view to scan.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanOptions {
    /// Only rows with an event time from this instant on.
    pub from: Option<Timestamp>,
    /// Only rows with an event time before this instant.
    pub to: Option<Timestamp>,
    /// Only rows known by then, and the definitions of then.
    pub known_at: Option<KnownAt>,
    /// With `known_at`: today's definitions instead of those of then.
    pub definitions_current: bool,
    /// Only rows of the entity with these join keys.
    pub entity: Option<Vec<(String, Value)>>,
    /// Rows a batch holds at most; fewer where rows are large.
    pub batch_rows: usize,
}

impl Default for ScanOptions {
    fn default() -> Self {
        ScanOptions {
            from: None,
            to: None,
            known_at: None,
            definitions_current: false,
            entity: None,
            batch_rows: 64 << 10,
        }
    }
}

/// What to do with rows that cannot be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BadRows {
    /// Refuse the whole batch, naming the first of them.
    #[default]
    Fail,
    /// Store the others; set these aside with their reasons.
    Quarantine,
}

/// How a batch is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteOptions {
    /// Take event timestamps however far ahead of the clock.
    pub allow_future: bool,
    /// What to do with rows that cannot be stored.
    pub bad_rows: BadRows,
    /// Who wrote it; kept with the commit and shown by `explain`.
    pub source: Option<String>,
    /// Of writes of the same rows to the same view by the same key, 1 to [`IDEMPOTENCY_KEY_BYTES_MAX`] bytes, only the first is done, for
    /// [`IDEMPOTENCY_TIME`] from then on; the others are answered as it was. The log has the key with the rows, so that a crash does not part them.
    /// [`IDEMPOTENCY_KEYS_MAX`] are known at a time. Rows are the same if they are handed over the same, deletes without a created timestamp
    /// too; a feature that the view gained meanwhile makes no difference unless they have values of it. Such writes do not share a sync with
    /// others that wait, and the first in a process reads the keyspace of the Redis protocol, which keeps the keys.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// Longest [`WriteOptions::idempotency_key`].
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// So many [`WriteOptions::idempotency_key`] are known at a time; a write with one more is refused.
pub const IDEMPOTENCY_KEYS_MAX: usize = 1_000_000;
/// So long a [`WriteOptions::idempotency_key`] is known.
pub const IDEMPOTENCY_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How a bulk import is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkOptions {
    /// Take event timestamps however far ahead of the clock.
    pub allow_future: bool,
    /// What to do with rows that cannot be stored.
    pub bad_rows: BadRows,
    /// Add every row. Otherwise rows are compared with all that the view has, written or imported: one that is equal in key, clocks
    /// and all values is left out, as often as the store has it, so that three equal rows into a store that has two add one. Rows
    /// left out are counted in [`ImportReport::rows_skipped`](crate::ImportReport::rows_skipped).
    pub append: bool,
    /// Where the rows come from; kept with the commit and shown by `explain`.
    pub source: Option<String>,
}

/// From when on, and how, an entity is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteOptions {
    /// From this instant on; now when absent.
    pub at: Option<Timestamp>,
    /// The delete's created timestamp, in views that declare one; by default late enough to win at that instant.
    pub created: Option<Timestamp>,
    /// Take an instant however far ahead of the clock.
    pub allow_future: bool,
}

/// How definitions are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Drop what the definitions no longer name.
    pub prune: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_at_reads_a_seq_a_time_and_a_name() {
        assert_eq!("42".parse::<KnownAt>().unwrap(), KnownAt::Seq(42));
        assert_eq!("2026-03-01".parse::<KnownAt>().unwrap(), KnownAt::Time("2026-03-01T00:00:00Z".parse().unwrap()));
        assert_eq!("before_backfill".parse::<KnownAt>().unwrap(), KnownAt::Snapshot("before_backfill".into()));
        assert!("no such".parse::<KnownAt>().is_err());
    }
}
