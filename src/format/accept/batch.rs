//! A batch of foreign rows as rows of a feature view.

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};

use super::columns::Columns;
use super::limits::{refuse_long_keys, refuse_long_values};
use super::text::accept_text;
use super::{CompiledRules, Refusal, accept_column_collecting};
pub use crate::definition::EVENT_TIMESTAMP_COLUMN;
use crate::definition::{EventTime, FeatureView};
use crate::error::{Error, Result};
use crate::options::MAX_FUTURE_SKEW_US_DEFAULT;
use crate::time::{Timestamp, format_duration_us};
use crate::value::DataType;

/// Field metadata key of string columns that hold text forms: `text` as in CSV, `json` as in JSON Lines.
pub const TEXT_FORM_KEY: &str = "asof.text";
/// A UInt64 column of this name numbers the rows as lines of their file, for messages.
pub const LINE_COLUMN: &str = "_line";
/// The column that marks deletes in exports.
pub const DELETED_COLUMN: &str = "_deleted";
/// Schema metadata key of batches whose columns go by the view's own names, with [`VIEW_NAMES`] as its value: what a
/// view's source calls other columns does not concern them. Scans and exports carry it.
pub const NAMES_KEY: &str = "asof.names";
/// Schema metadata key of a scan and its export: the view and its version.
pub const VIEW_KEY: &str = "asof.view";
/// The value of [`NAMES_KEY`].
pub const VIEW_NAMES: &str = "view";

/// What to do about a row that is refused, where refused rows are not collected.
pub const BAD_ROW_WAY_OUT: &str = "mend the row, or set such rows aside with --bad-rows quarantine";

/// What a caller decides about a batch.
#[derive(Clone, Copy, Debug)]
pub struct AcceptOptions {
    /// The current instant.
    pub now: Timestamp,
    /// How far ahead of `now` an event timestamp may lie.
    pub max_future_skew_us: i64,
    /// Takes event timestamps however far ahead.
    pub allow_future: bool,
    /// Drops and reports refused rows, where otherwise the first is an error.
    pub collect_refused: bool,
    /// Refuses deletes without a created timestamp in a view that declares one.
    pub refuse_undated_deletes: bool,
    /// The batch's first row in its source, for messages; lines are numbered by [`LINE_COLUMN`] where it is there.
    pub first_row: u64,
}

impl AcceptOptions {
    /// The defaults: the first refused row is an error.
    pub fn new(now: Timestamp) -> Self {
        AcceptOptions {
            now,
            max_future_skew_us: MAX_FUTURE_SKEW_US_DEFAULT,
            allow_future: false,
            collect_refused: false,
            refuse_undated_deletes: false,
            first_row: 0,
        }
    }
}

/// Rows that a view takes, in canonical columns.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// How many.
    pub row_count: usize,
    /// Join keys, in key order.
    pub keys: Vec<ArrayRef>,
    /// Microseconds since 1970.
    pub event_ts: ScalarBuffer<i64>,
    /// Where the view declares created.
    pub created: Option<Int64Array>,
    /// The view's event id columns.
    pub event_ids: Vec<ArrayRef>,
    /// One per feature, in the view's order.
    pub features: Vec<ArrayRef>,
    /// Rows that are deletes; `None` when none are.
    pub deleted: Option<BooleanBuffer>,
    /// Columns of the batch that the view does not know.
    pub ignored: Vec<String>,
    /// Rows left out, by their place in the batch, ascending: one reason each.
    pub refused: Vec<Refusal>,
}

/// Takes a batch as rows of `view`.
///
/// # Errors
/// Columns are missing (all of them are named) or of a type none of whose values convert; or, unless
/// refused rows are collected, the first refused row: its column, its number and both types.
pub fn accept_batch(view: &FeatureView, batch: &RecordBatch, options: &AcceptOptions) -> Result<Accepted> {
    accept(view, batch, options).map_err(|error| error.at(format!("view {}", view.reference())))
}

fn accept(view: &FeatureView, batch: &RecordBatch, options: &AcceptOptions) -> Result<Accepted> {
    let columns = Columns::resolve(view, batch.schema_ref())?;
    let rows = batch.num_rows();
    let mut refused: Vec<Refusal> = Vec::new();
    let take = |name: &str, dtype: &DataType, index: usize| -> Result<(ArrayRef, Vec<Refusal>)> {
        let mut found = Vec::new();
        let column = batch.column(index);
        let field = batch.schema_ref().field(index);
        let accepted = match field.metadata().get(TEXT_FORM_KEY) {
            Some(form) => accept_text(view, dtype, column, form, &mut found),
            None => accept_column_collecting(dtype, column, &mut found),
        };
        let accepted = accepted.map_err(|error| error.at(name))?;
        found.iter_mut().for_each(|refusal| refusal.column = Some(name.to_owned()));
        Ok((accepted, found))
    };

    let deleted = match columns.deleted {
        None => None,
        Some(index) => {
            let (column, found) = take(DELETED_COLUMN, &DataType::Bool, index)?;
            refused.extend(found);
            let column = column.as_boolean();
            let set: BooleanBuffer = (0..rows).map(|row| column.is_valid(row) && column.value(row)).collect();
            (set.count_set_bits() > 0).then_some(set)
        }
    };
    let is_deleted = |row: usize| deleted.as_ref().is_some_and(|deleted| deleted.value(row));

    let mut keys = Vec::with_capacity(view.join_keys.len());
    for ((name, dtype), index) in view.join_keys.iter().zip(&columns.keys) {
        let (column, found) = take(name, dtype, *index)?;
        refuse_nulls(&column, name, "the join key is null", &found, &mut refused);
        refused.extend(found);
        keys.push(column);
    }
    refuse_long_keys(&parts(&view.join_keys, &keys), rows, "join key", &mut refused);

    let constant = match &view.source.event_timestamp {
        EventTime::Column(_) => None,
        EventTime::Constant(time) => Some(*time),
    };
    // Beside a constant event time nobody asks what a column of times holds, nor of what type it is, but for deletes and exports.
    let is_asked = constant.is_none() || deleted.is_some() || columns.export_of.is_some();
    let event_ts: ScalarBuffer<i64> = match (columns.event_ts.filter(|_| is_asked), constant) {
        (Some(index), constant) => {
            // Every value is of the constant event time. A delete may be of another, and rows of an export stay as they are.
            let is_read = |row: usize| constant.is_none() || columns.export_of.is_some() || is_deleted(row);
            let name = batch.schema_ref().field(index).name().clone();
            let (column, mut found) = take(&name, &DataType::Timestamp, index)?;
            found.retain(|refusal| is_read(refusal.row));
            if constant.is_none() {
                refuse_nulls(&column, &name, "the event timestamp is null", &found, &mut refused);
            }
            refused.extend(found);
            let times = column.as_primitive::<TimestampMicrosecondType>();
            if let Some(from) = &columns.export_of {
                let values = times.iter().enumerate().filter(|(row, _)| !is_deleted(*row));
                let found = values.filter_map(|(row, time)| Some((row, refuse_other_time(view, from, time?)?)));
                refused.extend(found.map(|(row, reason)| Refusal { row, column: Some(name.clone()), reason }));
            }
            if !options.allow_future {
                let limit = options.now.saturating_add(options.max_future_skew_us);
                for (row, time) in times.values().iter().enumerate().filter(|(_, time)| **time > limit.0) {
                    if times.is_valid(row) && is_read(row) {
                        let reason = format!(
                            "the event timestamp {} lies more than {} ahead of the clock ({}); \
                             allow it with --allow-future",
                            Timestamp(*time),
                            format_duration_us(options.max_future_skew_us),
                            options.now
                        );
                        refused.push(Refusal { row, column: Some(name.clone()), reason });
                    }
                }
            }
            match constant {
                None => times.values().clone(),
                Some(constant) => times
                    .iter()
                    .enumerate()
                    .map(|(row, time)| time.filter(|_| is_read(row)).unwrap_or(constant))
                    .collect(),
            }
        }
        (None, Some(constant)) => vec![constant; rows].into(),
        (None, None) => unreachable!("Columns::resolve found it or failed"),
    };

    let created = match columns.created {
        None => None,
        Some((ref name, index)) => {
            let (column, found) = take(name, &DataType::Timestamp, index)?;
            refused.extend(found);
            let column = column.as_primitive::<TimestampMicrosecondType>();
            Some(Int64Array::new(column.values().clone(), column.nulls().cloned()))
        }
    };

    // Those of an export stay as they are: they came with a version that had no created timestamps, and are no other rows the next time.
    let refuses_undated = options.refuse_undated_deletes && columns.export_of.is_none();
    if let (Some((name, _)), Some(created), true) = (&columns.created, &created, refuses_undated) {
        // A column of values that did not convert is null there, and refused already.
        let known: Vec<usize> = refused.iter().map(|refusal| refusal.row).collect();
        let undated = (0..rows).filter(|&row| is_deleted(row) && created.is_null(row) && !known.contains(&row));
        refused.extend(undated.map(|row| Refusal { row, column: Some(name.clone()), reason: UNDATED.to_owned() }));
    }

    let mut event_ids = Vec::with_capacity(view.event_id.len());
    for ((name, dtype), index) in view.event_id.iter().zip(&columns.event_ids) {
        let (column, found) = take(name, dtype, *index)?;
        let mut nulls = Vec::new();
        refuse_nulls(&column, name, "the event id is null", &found, &mut nulls);
        // Exports of deletes need not carry one.
        refused.extend(nulls.into_iter().filter(|refusal| !is_deleted(refusal.row)));
        refused.extend(found);
        event_ids.push(column);
    }
    refuse_long_keys(&parts(&view.event_id, &event_ids), rows, "event id", &mut refused);

    let mut features = Vec::with_capacity(view.features.len());
    for (feature, index) in view.features.iter().zip(&columns.features) {
        let (column, mut found) = take(&feature.name, &feature.dtype, *index)?;
        let mut long = Vec::new();
        refuse_long_values(&feature.dtype, &column, &mut long);
        long.iter_mut().for_each(|refusal| refusal.column = Some(feature.name.clone()));
        found.extend(long);
        if !feature.rules.is_empty() {
            let rules = CompiledRules::new(&feature.dtype, &feature.rules).map_err(|error| error.at(&feature.name))?;
            let mut broken = Vec::new();
            let is_bad: std::collections::HashSet<usize> = found.iter().map(|refusal| refusal.row).collect();
            rules.check(&column, |row| is_deleted(row) || is_bad.contains(&row), &mut broken);
            broken.iter_mut().for_each(|refusal| refusal.column = Some(feature.name.clone()));
            refused.extend(broken);
        }
        refused.extend(found.into_iter().filter(|refusal| !is_deleted(refusal.row)));
        features.push(column);
    }

    refused.sort_by_key(|refusal| refusal.row);
    refused.dedup_by_key(|refusal| refusal.row);
    if let (Some(first), false) = (refused.first(), options.collect_refused) {
        let error = first.to_error(&row_name(batch, first.row, options.first_row));
        return Err(error.remedy(BAD_ROW_WAY_OUT));
    }
    let accepted = Accepted {
        row_count: rows,
        keys,
        event_ts,
        created,
        event_ids,
        features,
        deleted,
        ignored: columns.ignored,
        refused,
    };
    accepted.without_refused()
}

impl Accepted {
    fn without_refused(mut self) -> Result<Accepted> {
        if self.refused.is_empty() {
            return Ok(self);
        }
        let mut keep = vec![true; self.row_count];
        self.refused.iter().for_each(|refusal| keep[refusal.row] = false);
        let keep = BooleanArray::from(keep);
        let filter = |column: &dyn Array| {
            arrow_select::filter::filter(column, &keep).map_err(|error| Error::invalid(format!("filter: {error}")))
        };
        for column in self.keys.iter_mut().chain(&mut self.event_ids).chain(&mut self.features) {
            *column = filter(column)?;
        }
        let times = filter(&Int64Array::new(self.event_ts, None))?;
        self.event_ts = times.as_primitive::<arrow_array::types::Int64Type>().values().clone();
        if let Some(created) = &mut self.created {
            *created = filter(created)?.as_primitive().clone();
        }
        if let Some(deleted) = self.deleted.take() {
            self.deleted = Some(filter(&BooleanArray::new(deleted, None))?.as_boolean().values().clone());
        }
        self.row_count = keep.true_count();
        Ok(self)
    }
}

/// Why a value of this time in the version `from` is not taken over, if it is not: where another version of a view has a constant
/// event time, nothing imported into it could win over the row any more.
pub fn refuse_other_time(view: &FeatureView, from: &str, time: i64) -> Option<String> {
    let EventTime::Constant(constant) = view.source.event_timestamp else { return None };
    let to = view.reference().to_string();
    let is_other = time != constant && from != to;
    let [time, constant] = [time, constant].map(Timestamp);
    is_other.then(|| format!("the row is of {time} in {from}, and every row of {to} is of {constant}"))
}

/// How messages call a row: by its line where the source numbers lines.
fn row_name(batch: &RecordBatch, row: usize, first_row: u64) -> String {
    match batch.column_by_name(LINE_COLUMN).and_then(|lines| lines.as_primitive_opt::<UInt64Type>()) {
        Some(lines) => format!("line {}", lines.value(row)),
        None => format!("row {}", first_row + row as u64),
    }
}

/// A created timestamp that an import made up would be another each time, and the file never be known again.
const UNDATED: &str = "a delete needs a created timestamp in an import, as in an export; asof delete gives it one";

/// The columns of a key, with their types.
fn parts<'a>(names: &'a [(String, DataType)], columns: &'a [ArrayRef]) -> Vec<(&'a DataType, &'a ArrayRef)> {
    names.iter().map(|(_, dtype)| dtype).zip(columns).collect()
}

fn refuse_nulls(column: &ArrayRef, name: &str, reason: &str, known: &[Refusal], refused: &mut Vec<Refusal>) {
    if column.null_count() == 0 {
        return;
    }
    for row in (0..column.len()).filter(|&row| column.is_null(row)) {
        // A value that did not convert is null here, and refused already with a better reason.
        if known.binary_search_by_key(&row, |refusal| refusal.row).is_err() {
            refused.push(Refusal { row, column: Some(name.to_owned()), reason: reason.to_owned() });
        }
    }
}
