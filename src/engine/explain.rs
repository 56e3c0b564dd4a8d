//! Where an answer comes from: the row that decided, where it lies, when and from whom it was learned, and
//! whether its bytes are still those that were written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::as_of::{FoundRow, Place, find_own_row, find_row};
use super::entity::entity_key;
use super::get::GetOptions;
use super::picture::ViewPicture;
use super::provenance::Provenance;
use super::reads::{Reads, Sight};
use super::resolve::{Resolved, resolve};
use super::winner::{Winner, judge};
use crate::definition::{FeatureRef, ViewKind, selections_of};
use crate::error::{Error, Result};
use crate::format::log::{offset_of, segment_of};
use crate::format::row::{FieldState, RowKind};
use crate::join::pick::{AsOf, FieldView, Status, verdict};
use crate::key::key_hash;
use crate::latest::Need;
use crate::log::{LogReader, segment_name};
use crate::manifest;
use crate::request::Features;
use crate::text::raw_json;
use crate::time::{Timestamp, format_age_us, format_duration_us};
use crate::value::{DataType, Value};

/// One feature of one entity: what it answers, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The view and its version.
    pub view: String,
    /// The feature.
    pub feature: String,
    /// The revision of the view that answered.
    pub revision: u32,
    /// State or event.
    pub kind: ViewKind,
    /// Lookback and serving age, microseconds; 0 for none.
    pub ttl_us: i64,
    /// As of this instant.
    pub at: Timestamp,
    /// Rows up to this number were in sight.
    pub known_at_seq: u64,
    /// What became of it.
    pub status: Status,
    /// The value; null unless the status is PRESENT.
    #[serde(flatten)]
    pub value: TypedValue,
    /// Why, in a sentence.
    pub why: String,
    /// The row that decided; `None` when the entity has none in sight.
    pub row: Option<RowExplanation>,
    /// What the table of latest values says; `None` for reads that do not ask it.
    pub latest_table: Option<TableVerdict>,
}

/// A value and its type, written in JSON as `"value": ..., "dtype": "..."`.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedValue {
    /// The value.
    pub value: Value,
    /// Its type.
    pub dtype: DataType,
}

/// The row that decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowExplanation {
    /// `value`, `delete`, or `truncate` of the whole view.
    pub kind: &'static str,
    /// When it was true.
    pub event_ts: Timestamp,
    /// When its source recorded it, in views that declare that.
    pub created: Option<Timestamp>,
    /// From when on it counts as not there.
    pub deadline: Option<Timestamp>,
    /// Its number: when the store learned it.
    pub seq: u64,
    /// The commit that brought it.
    pub provenance: Option<Provenance>,
    /// Where it lies.
    pub location: Location,
    /// Whether its bytes, read again, have the checksums they were written with.
    pub checksum: Checksum,
}

/// Where a row lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// In the log.
    Log {
        /// The file, below the store's directory.
        file: PathBuf,
        /// The segment's number.
        segment: u32,
        /// Where the group of commits begins that holds it.
        offset: u32,
    },
    /// In a history run.
    Run {
        /// The file, below the store's directory.
        file: PathBuf,
        /// The file's number.
        id: u64,
        /// The row's place in it, from 0.
        row: u32,
    },
    /// In the registry, as the truncates of a view do once they are sealed.
    Registry {
        /// The file that publishes its records, below the store's directory.
        file: PathBuf,
    },
}

/// What reading a row's bytes again came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// They are what was written.
    Good,
    /// They are not: where and what.
    Damaged(String),
}

/// What the table of latest values says of a read for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableVerdict {
    /// It answers, with the same row.
    Answers,
    /// It answers, and not with the row that log and runs have: `asof check` says more.
    Disagrees,
    /// It cannot answer (its row lies ahead of the clock, or it is being filled): log and runs do.
    Passes,
    /// There is none: log and runs answer.
    Missing,
}

impl Serialize for TypedValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("value", &raw_json(&self.dtype, &self.value))?;
        map.serialize_entry("dtype", &self.dtype)?;
        map.end()
    }
}

/// What is asked: one feature, one entity, as of when.
struct Question<'a> {
    selected: &'a Resolved,
    view: &'a Arc<ViewPicture>,
    hash: u64,
    key: &'a [u8],
    as_of: AsOf,
}

impl Reads {
    /// Where the answer for one feature (`view:feature`) of one entity comes from.
    ///
    /// # Errors
    /// The view or the feature is not there; the join keys are not the view's; a run that had to be read is damaged.
    pub fn explain(
        &self,
        feature: &str,
        entity: &[(&str, Value)],
        options: &GetOptions,
        now: Timestamp,
    ) -> Result<Explanation> {
        let reference: FeatureRef = feature.parse()?;
        if reference.feature == "*" {
            return Err(
                Error::invalid(format!("'{feature}' is more than one feature")).remedy("name one, as in weather:temp")
            );
        }
        let features = Features::List(selections_of(&[reference]));
        let known_at = match &options.known_at {
            Some(known_at) => Some(self.resolve_known_at(known_at, now)?),
            None => None,
        };
        self.with_sight(|sight| self.explain_at(sight, &features, entity, (options, known_at), now))
    }

    fn explain_at(
        &self,
        sight: &Sight,
        features: &Features,
        entity: &[(&str, Value)],
        (options, known_at): (&GetOptions, Option<u64>),
        now: Timestamp,
    ) -> Result<Explanation> {
        let picture = &sight.picture;
        let definitions_at = if options.definitions_current { None } else { known_at };
        let selections = resolve(features, &picture.state.definitions_at(definitions_at))?;
        let selected = selections.first().ok_or_else(|| Error::invalid("no feature is asked for"))?;
        let field = selected.fields.first().ok_or_else(|| Error::invalid("no feature is asked for"))?;
        let view = picture.view(selected.view.id);
        let key = entity_key(view, entity)?;
        let at = options.at.unwrap_or(now);
        let as_of = AsOf { known_at: known_at.unwrap_or(sight.seq).min(sight.seq), ..AsOf::new(at.0) };
        let question = Question { selected, view, hash: key_hash(self.hash_seed(), &key), key: &key, as_of };
        let found = find_row(view, &picture.tail, question.hash, &key, as_of)?;
        // An entity that has no row was not deleted.
        let own = || find_own_row(view, &picture.tail, question.hash, &key, as_of);
        let found = if found.as_ref().is_some_and(is_truncate) && own()?.is_none() { None } else { found };
        let definition = &selected.view.definition;
        let about = found.as_ref().map(|found| FieldView::of_row(&found.row(), field.ordinal));
        let status = verdict(about, at.0, definition.ttl_us);
        let value = match &found {
            Some(found) if status == Status::Present => found.row().value(&view.layout, field.ordinal),
            _ => Value::Null,
        };
        let why = match (&found, about) {
            (Some(found), Some(about)) => why_of(status, about, found, &question),
            _ => self.why_nothing(sight, &question)?,
        };
        let is_for_now = options.at.is_none() && options.known_at.is_none();
        Ok(Explanation {
            view: definition.reference().to_string(),
            feature: field.name.clone(),
            revision: selected.view.revision,
            kind: definition.kind,
            ttl_us: definition.ttl_us,
            at,
            known_at_seq: as_of.known_at,
            status,
            value: TypedValue { value, dtype: field.dtype.clone() },
            why,
            latest_table: is_for_now.then(|| table_verdict(&question, found.as_ref())),
            row: found.map(|found| self.row_explanation(sight, view, &found)).transpose()?,
        })
    }

    fn row_explanation(&self, sight: &Sight, view: &ViewPicture, found: &FoundRow) -> Result<RowExplanation> {
        let head = found.row().head;
        let (location, read_again) = match found.place {
            Place::Log { position } => {
                let segment = segment_of(position);
                let file = Path::new("log").join(segment_name(segment));
                let location = Location::Log { file, segment, offset: offset_of(position) };
                (location, LogReader::verify(&self.log_place(), position, found.mark.seq))
            }
            Place::Run { id, row } => {
                let run = view.runs.iter().find(|run| run.record.id == id);
                let run = run.ok_or_else(|| Error::refused("the run was merged away").remedy("ask again"))?;
                let path = run.path();
                let file = path.strip_prefix(&self.dir).map_or_else(|_| path.clone(), Path::to_path_buf);
                let at = row as usize;
                let read_again = run.open_unchecked().and_then(|file| file.verify_whole_rows(at..at + 1));
                (Location::Run { file, id, row }, read_again)
            }
            // Whoever loads MANIFEST has compared it with its checksum.
            Place::Registry => (Location::Registry { file: PathBuf::from(manifest::FILE_NAME) }, Ok(())),
        };
        // A segment or a run that is gone was sealed or merged since: the caller looks again, at a newer picture.
        let checksum = match read_again {
            Ok(()) => Checksum::Good,
            Err(error) if error.is_missing_file() => return Err(error),
            Err(error) => Checksum::Damaged(error.to_string()),
        };
        Ok(RowExplanation {
            kind: match head.kind {
                RowKind::Value => "value",
                RowKind::ViewTruncate => "truncate",
                _ => "delete",
            },
            event_ts: Timestamp(head.event_ts),
            created: head.created.map(Timestamp),
            deadline: head.deadline.map(Timestamp),
            seq: found.mark.seq,
            provenance: self.provenance(&sight.picture, found.mark.seq)?,
            location,
            checksum,
        })
    }

    /// Why no row is in sight: none at all, none so early, none that was known by then.
    fn why_nothing(&self, sight: &Sight, question: &Question<'_>) -> Result<String> {
        let AsOf { at, known_at, .. } = question.as_of;
        let find = |as_of: AsOf| find_own_row(question.view, &sight.picture.tail, question.hash, question.key, as_of);
        let at = Timestamp(at);
        if let Some(later) = find(AsOf { known_at: sight.seq, ..question.as_of })? {
            return Ok(format!(
                "no row of this entity up to {at} was known at seq {known_at}; one of {} was learned at seq {}",
                Timestamp(later.mark.event_ts),
                later.mark.seq
            ));
        }
        Ok(match find(AsOf { at: i64::MAX, ..question.as_of })? {
            Some(ahead) => format!(
                "no row of this entity has an event time up to {at}; its latest is of {}",
                Timestamp(ahead.mark.event_ts)
            ),
            None => "the store has no row of this entity in this view".to_owned(),
        })
    }
}

fn why_of(status: Status, about: FieldView, found: &FoundRow, question: &Question<'_>) -> String {
    let at = Timestamp(question.as_of.at);
    let event_ts = Timestamp(about.event_ts);
    let ttl_us = question.selected.view.definition.ttl_us;
    let past = |deadline: Option<i64>| deadline.filter(|deadline| *deadline <= at.0).map(Timestamp);
    match status {
        Status::Present => format!("the last row of this entity with an event time up to {at} is of {event_ts}"),
        Status::NotFound if about.kind == RowKind::ViewTruncate => {
            format!("the view was truncated at {event_ts}, and no later row brings the entity back by {at}")
        }
        Status::NotFound if about.kind != RowKind::Value => {
            format!("the entity was deleted from {event_ts} on, and no later row brings it back by {at}")
        }
        Status::NotFound if about.state == FieldState::Absent => {
            format!("the last row up to {at}, of {event_ts}, does not have this feature")
        }
        Status::NotFound => match (past(about.row_deadline), past(about.field_deadline)) {
            (Some(deadline), _) => format!("the row of {event_ts} was to be gone from {deadline} on"),
            (None, Some(deadline)) => format!("the feature in the row of {event_ts} was to be gone from {deadline} on"),
            (None, None) => format!("the last row up to {at}, of {event_ts}, has nothing to answer"),
        },
        Status::OutsideMaxAge => format!(
            "the last row up to {at} is of {event_ts}, {} old, and the view's ttl is {}",
            format_age_us(at.0.saturating_sub(event_ts.0)),
            format_duration_us(ttl_us)
        ),
        Status::NullValue => {
            let field = &question.selected.fields[0];
            let added_seq = question.selected.view.fields.get(field.ordinal).map_or(0, |field| field.added_seq);
            if found.mark.seq < added_seq {
                format!(
                    "the last row up to {at}, of {event_ts}, is older than the feature, which was added at seq {added_seq}"
                )
            } else {
                format!("the last row up to {at}, of {event_ts}, holds null")
            }
        }
    }
}

fn is_truncate(found: &FoundRow) -> bool {
    found.row().head.kind == RowKind::ViewTruncate
}

/// What the latest table says, beside what log and runs do.
fn table_verdict(question: &Question<'_>, found: Option<&FoundRow>) -> TableVerdict {
    let Some(table) = &question.view.table else { return TableVerdict::Missing };
    if !table.is_current() {
        return TableVerdict::Passes;
    }
    let mut copy = table.slot_copy();
    let looked_up = table.lookup(question.hash, question.key, Need::SlotAndHeap, &mut copy);
    match judge(looked_up, &copy, question.as_of, 0, table.floor()) {
        None => TableVerdict::Passes,
        Some(Winner::Slot { .. }) if found.is_some_and(|found| found.mark.seq == copy.seq()) => TableVerdict::Answers,
        Some(Winner::Nothing) if found.is_none_or(is_truncate) => TableVerdict::Answers,
        Some(_) => TableVerdict::Disagrees,
    }
}
