//! Point-in-time joins: spine in, training set out, in spine order, every row kept.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{Schema, SchemaRef};

use super::picture::Picture;
use super::reads::{Reads, Sight};
use super::resolve::{Resolved, all_at_once, resolve_known};
use super::run_source::run_slices;
use super::tail_source::ViewTail;
use super::truncates;
use crate::error::{Error, Result};
use crate::format::accept::{accept_spine_key, accept_spine_timestamp};
use crate::join::source::{Source, Tail};
use crate::join::{Question, Scratch, Selected, SpineKeys, SpineTimes, Wanted, output_columns};
use crate::request::HistoricalRequest;
use crate::time::Timestamp;
use crate::value::{DataType, timestamp_arrow_type};

/// Metadata key of a training set: the seq it was known at.
pub const KNOWN_AT_KEY: &str = "asof.known_at_seq";
/// Threads of a join that asks for none in particular.
const THREADS_UNASKED_MAX: usize = 8;
/// More threads than this no machine is made for.
const THREADS_MAX: usize = 256;

/// A join that was resolved against one state of the store; give it spine batches one after another.
#[derive(Debug)]
pub struct HistoricalJoin {
    picture: Arc<Picture>,
    selections: Vec<Resolved>,
    known_at: u64,
    created_cutoff: bool,
    columns: SpineColumns,
    schema: SchemaRef,
    hash_seed: u64,
    threads: usize,
    scratch: Scratch,
    /// Rows of the spine that were joined: messages count on from there.
    rows_joined: u64,
}

impl Reads {
    /// Resolves a request for spines of this schema.
    ///
    /// # Errors
    /// Views, features, services, columns that are not there, all named at once; columns of one name.
    pub fn historical_join(
        &self,
        spine: &Schema,
        request: &HistoricalRequest,
        now: Timestamp,
    ) -> Result<HistoricalJoin> {
        // Before the sight is taken, which then has all that the answer means.
        let known_at = match &request.known_at {
            Some(known_at) => Some(self.resolve_known_at(known_at, now)?),
            None => None,
        };
        self.with_sight(|sight| self.historical_join_at(sight, spine, request, known_at))
    }

    fn historical_join_at(
        &self,
        sight: &Sight,
        spine: &Schema,
        request: &HistoricalRequest,
        known_at: Option<u64>,
    ) -> Result<HistoricalJoin> {
        let Sight { seq: committed, picture } = sight.clone();
        let definitions_at = if request.definitions_current { None } else { known_at };
        let (selections, mut wrong) = resolve_known(&request.features, &picture.state.definitions_at(definitions_at));
        // Once open, a run stays readable when it is merged away; the join may take longer than that.
        for selected in &selections {
            for run in &picture.view(selected.view.id).runs {
                run.open()?;
            }
        }
        let columns = SpineColumns::find(spine, &request.timestamp_column, &selections, &mut wrong);
        all_at_once(wrong)?;
        let known_at = known_at.unwrap_or(committed).min(committed);
        let schema = output_schema(spine, columns.timestamp, &selections, request.full_names, known_at)?;
        Ok(HistoricalJoin {
            picture,
            selections,
            known_at,
            created_cutoff: request.created_cutoff,
            columns,
            schema,
            hash_seed: self.hash_seed(),
            threads: thread_count(request.threads),
            scratch: Scratch::default(),
            rows_joined: 0,
        })
    }
}

/// Which columns of a spine ask.
#[derive(Debug)]
struct SpineColumns {
    /// The time of each row.
    timestamp: usize,
    /// The join key of each selection, in key order.
    keys: Vec<Vec<usize>>,
}

impl SpineColumns {
    /// Finds them. What is not there, and what is there twice, goes to `wrong`; its place here means nothing then.
    fn find(spine: &Schema, timestamp_column: &str, selections: &[Resolved], wrong: &mut Vec<Error>) -> SpineColumns {
        let mut missing = Vec::new();
        // Names that there are twice, and what each is asked for, if it is.
        let mut doubled: Vec<(String, Option<String>)> = Vec::new();
        let mut find = |name: &str, what: &str| {
            let mut columns = spine.fields().iter().enumerate().filter(|(_, field)| field.name() == name);
            let first = columns.next().map(|(index, _)| index);
            if first.is_none() {
                missing.push(format!("{name} ({what})"));
            } else if columns.next().is_some() {
                doubled.push((name.to_owned(), Some(what.to_owned())));
            }
            first.unwrap_or(0)
        };
        let timestamp = find(timestamp_column, "the time of each row");
        let keys = selections
            .iter()
            .map(|selected| {
                let what = format!("join key of {}", selected.label);
                selected.key_columns.iter().map(|name| find(name, &what)).collect()
            })
            .collect();
        wrong.extend(missing_error(spine, missing));
        wrong.extend(doubled_error(spine, doubled));
        SpineColumns { timestamp, keys }
    }
}

/// The error for columns that the spine does not have, if there are any: what each is wanted for stands with its name.
fn missing_error(spine: &Schema, mut missing: Vec<String>) -> Option<Error> {
    if missing.is_empty() {
        return None;
    }
    missing.dedup();
    let names: Vec<&str> = spine.fields().iter().map(|field| field.name().as_str()).collect();
    let error = Error::invalid(format!("the spine has no column {}", missing.join(", no column ")));
    Some(error.remedy(format!("it has {}", names.join(", "))))
}

/// The error for names that the spine has more than once, if there are any: those that were `asked` for, and those that only pass
/// through, for nobody could tell them apart in what comes out.
fn doubled_error(spine: &Schema, asked: Vec<(String, Option<String>)>) -> Option<Error> {
    let mut doubled = asked;
    let mut seen = HashSet::new();
    for name in spine.fields().iter().map(|field| field.name()) {
        if !seen.insert(name) && !doubled.iter().any(|(told, _)| told == name) {
            doubled.push((name.clone(), None));
        }
    }
    if doubled.is_empty() {
        return None;
    }
    doubled.dedup();
    let told = |(name, what): &(String, Option<String>)| match what {
        Some(what) => format!("{name} ({what})"),
        None => name.clone(),
    };
    let doubled: Vec<String> = doubled.iter().map(told).collect();
    let error = format!("the spine has more than one column {}", doubled.join(", more than one "));
    Some(Error::invalid(error).remedy("leave one of them, or give them names of their own"))
}

/// The training set's columns: the spine's, its times in the type that asof writes, then the features.
fn output_schema(
    spine: &Schema,
    timestamp: usize,
    selections: &[Resolved],
    full_names: bool,
    known_at: u64,
) -> Result<SchemaRef> {
    let features: Vec<Vec<(&str, &DataType)>> = selections
        .iter()
        .map(|selected| selected.fields.iter().map(|field| (field.name.as_str(), &field.dtype)).collect())
        .collect();
    let selected = selections.iter().zip(&features);
    let selected: Vec<Selected<'_>> =
        selected.map(|(selected, features)| Selected { label: &selected.label, features }).collect();
    let mut schema = output_columns(spine, &selected, full_names)?;
    schema.metadata.insert(KNOWN_AT_KEY.to_owned(), known_at.to_string());
    let mut fields: Vec<_> = schema.fields.iter().cloned().collect();
    fields[timestamp] = Arc::new(fields[timestamp].as_ref().clone().with_data_type(timestamp_arrow_type()));
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata)))
}

/// How many threads a join takes that asks for so many, or for none in particular.
fn thread_count(asked: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_UNASKED_MAX),
        threads => threads.min(THREADS_MAX),
    }
}

impl HistoricalJoin {
    /// The training set's columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows up to this number were known.
    pub fn known_at_seq(&self) -> u64 {
        self.known_at
    }

    /// How many threads it takes.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The types of the features, whose columns come after the spine's.
    pub fn feature_types(&self) -> impl Iterator<Item = &DataType> {
        self.selections.iter().flat_map(|selected| &selected.fields).map(|field| &field.dtype)
    }

    /// Joins one batch of the spine. Messages count its rows from 1, those of the batches before it included.
    ///
    /// # Errors
    /// A column is of a type that cannot be compared with its join key; a run is damaged.
    pub fn join(&mut self, spine: &RecordBatch) -> Result<RecordBatch> {
        let joined = self.join_rows(spine)?;
        self.rows_joined += spine.num_rows() as u64;
        Ok(joined)
    }

    fn join_rows(&mut self, spine: &RecordBatch) -> Result<RecordBatch> {
        let stamps = accept_spine_timestamp(spine.column(self.columns.timestamp), self.rows_joined + 1)
            .map_err(|error| error.at(format!("spine column {}", self.schema.field(self.columns.timestamp).name())))?;
        let times = SpineTimes { values: stamps.values().clone(), nulls: stamps.nulls().cloned() };
        let mut columns: Vec<ArrayRef> = spine.columns().to_vec();
        columns[self.columns.timestamp] = utc_column(stamps.values().clone(), stamps.nulls().cloned());
        let mut known_keys: HashMap<(Vec<usize>, Vec<DataType>), SpineKeys> = HashMap::new();
        for (selected, key_columns) in self.selections.iter().zip(&self.columns.keys) {
            let view = self.picture.view(selected.view.id);
            let types: Vec<DataType> = view.key_schema.columns().iter().map(|(_, dtype)| dtype.clone()).collect();
            let keys = match known_keys.entry((key_columns.clone(), types)) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(unknown) => {
                    let mut cells = Vec::with_capacity(key_columns.len());
                    for ((name, dtype), &index) in view.key_schema.columns().iter().zip(key_columns) {
                        let place = format!("spine column {}, join key {name}", self.schema.field(index).name());
                        cells.push(accept_spine_key(dtype, spine.column(index)).map_err(|error| error.at(place))?);
                    }
                    let rows = spine.num_rows();
                    unknown.insert(SpineKeys::encode(&view.key_schema, &cells, rows, self.hash_seed, self.threads)?)
                }
            };
            let tail = ViewTail::new(&self.picture.tail, view.record.id, &view.layout, self.known_at);
            let mut sources = Vec::with_capacity(view.runs.len() + 1);
            for run in view.runs.iter().filter(|run| run.record.seq_min <= self.known_at) {
                sources.push(Source::Run(run_slices(run.open()?, view.key_schema.columns().len())?));
            }
            if !tail.is_empty() {
                sources.push(Source::Tail(&tail));
            }
            let truncates = truncates::marks(view, &self.picture.tail);
            let question = Question {
                truncates: &truncates,
                known_at: self.known_at,
                created_cutoff: self.created_cutoff && selected.view.definition.has_created(),
                ttl_us: selected.view.definition.ttl_us,
                ..Question::new(&sources)
            };
            let wanted: Vec<Wanted> = selected
                .fields
                .iter()
                .map(|field| Wanted { field: field.ordinal, data_type: field.dtype.clone() })
                .collect();
            columns.extend(self.scratch.join(keys, &times, &question, &wanted, self.threads)?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|source| Error::invalid(format!("the joined columns do not fit together: {source}")))
    }
}

fn utc_column(values: ScalarBuffer<i64>, nulls: Option<arrow_buffer::NullBuffer>) -> ArrayRef {
    let times: Arc<dyn Array> = Arc::new(TimestampMicrosecondArray::new(values, nulls).with_timezone("UTC"));
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_takes_no_more_threads_than_a_machine_may_have() {
        assert_eq!([1, 256, 257, 1_000_000, usize::MAX].map(thread_count), [1, 256, 256, 256, 256]);
        assert!((1..=THREADS_UNASKED_MAX).contains(&thread_count(0)));
    }
}
