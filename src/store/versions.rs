//! From one version of a view to another: what both have.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_empty_array, new_null_array};
use arrow_schema::{DataType as ArrowType, Field, Schema};

use super::{BulkWriter, ImportReport, Store, Writes};
use crate::definition::{EventTime, FeatureView, Source, ViewRef};
use crate::error::{Error, Result};
use crate::format::accept::{DELETED_COLUMN, Refusal, TEXT_FORM_KEY, accept_column, refuse_other_time};
use crate::format::columns::value_at;
use crate::request::{BadRows, BulkOptions, ScanOptions};
use crate::text::format_value;
use crate::time::Timestamp;
use crate::value::DataType;

/// What the clocks are called on the way. Names that begin so are nobody's.
const EVENT_TIMESTAMP: &str = "_event_timestamp";
const CREATED_TIMESTAMP: &str = "_created_timestamp";

impl Store {
    /// Copies the rows of another version of a view into `view` (`weather@2`), deletes too: their keys, clocks and event ids, and
    /// the features of one name, where each value converts exactly. A feature whose types have nothing in common but text, as an
    /// integer that became a string, is copied by its text form. Features that only the new version has are null; the report's
    /// `ignored` names those that only the old one has.
    ///
    /// Rows that the view has are not added again, so that a second call adds what the old version gained. Where only the new version declares
    /// created timestamps, rows and deletes are copied without one, in their order: any row of the same key and event time that has one comes
    /// after them.
    ///
    /// # Errors
    /// There is no such view or version; the old one has created timestamps and the new one does not; the new one has a constant event
    /// time that the old one has not; a join key or event id is missing or of a type that does not convert; a value does not convert, breaks
    /// a rule of the new version or is of another time than its constant one, which is told with its key and time: nothing was copied.
    pub fn import_version(&self, view: &str, from_version: u32) -> Result<ImportReport> {
        if let Writes::There(holder) = &self.writes {
            return holder.import_version(view, from_version);
        }
        let target = self.view(view)?;
        let definition = &target.record.definition;
        let from = ViewRef { name: definition.name.clone(), version: Some(from_version) };
        if from_version == definition.version {
            return Err(Error::invalid(format!("{from} cannot be copied into itself"))
                .remedy("name another version, as in weather@2 --from-version 1"));
        }
        let scan = self.scan(&from.to_string(), &ScanOptions::default())?;
        let old = scan.view().definition.clone();
        check_alike(&old, definition)?;
        // A row that is refused comes back, to be told by its key: nobody knows it by its number.
        let options = BulkOptions {
            allow_future: true,
            bad_rows: BadRows::Quarantine,
            source: Some(from.to_string()),
            ..BulkOptions::default()
        };
        let mut writer = BulkWriter::begin_here(self, &target, options, on_the_way(definition), true)?;
        for batch in scan {
            let batch = batch?;
            let first = match of_another_time(&batch, &old, definition) {
                Some(first) => Some(first),
                None => writer.write(&translate(&batch, &old, definition)?)?.into_iter().next(),
            };
            if let Some(first) = first {
                return Err(not_copied(&batch, &old, definition, &first));
            }
        }
        writer.commit()
    }
}

/// What tells rows apart and orders them has to be the same in both versions.
fn check_alike(old: &FeatureView, new: &FeatureView) -> Result<()> {
    let (from, to) = (old.reference(), new.reference());
    if old.has_created() && !new.has_created() {
        return Err(Error::refused(format!("{from} has created timestamps, {to} has none"))
            .remedy("declare created_timestamp in the new version's source, so that rows keep their order"));
    }
    if let EventTime::Constant(at) = new.source.event_timestamp
        && old.source.event_timestamp != new.source.event_timestamp
    {
        let at = Timestamp(at);
        let times = match old.source.event_timestamp {
            EventTime::Constant(other) => format!("are of {}", Timestamp(other)),
            EventTime::Column(_) => "have times of their own".to_owned(),
        };
        return Err(Error::refused(format!("every row of {to} is of {at}, and those of {from} {times}")).remedy(
            "let the new version's source name an event_timestamp column, or import its rows from their files",
        ));
    }
    let tells_apart =
        |view: &FeatureView, name: &str| view.join_keys.iter().chain(&view.event_id).any(|(known, _)| known == name);
    if let Some((name, _)) = old.join_keys.iter().chain(&old.event_id).find(|(name, _)| !tells_apart(new, name)) {
        let what = format!("{from} tells its rows apart by {name}, and {to} does not: rows of several would be one's");
        return Err(Error::refused(what).remedy(by_hand(old, new)));
    }
    for (name, dtype) in new.join_keys.iter().chain(&new.event_id) {
        let what = match type_in(old, name) {
            None => format!("{from} has no {name}, by which {to} tells its rows apart"),
            Some(known) if !converts(known, dtype) => format!("{name} is {known} in {from} and {dtype} in {to}"),
            Some(_) => continue,
        };
        return Err(Error::refused(what).remedy(by_hand(old, new)));
    }
    for feature in &new.features {
        let known = type_in(old, &feature.name);
        if let Some(known) = known.filter(|known| !converts(known, &feature.dtype) && !has_text(known, &feature.dtype))
        {
            let what = format!("feature {} is {known} in {from} and {} in {to}", feature.name, feature.dtype);
            return Err(Error::refused(what).remedy(by_hand(old, new)));
        }
    }
    Ok(())
}

fn by_hand(old: &FeatureView, new: &FeatureView) -> String {
    let (from, to) = (old.reference(), new.reference());
    format!(
        "nothing was copied; asof export {from} --out DIR writes its rows: make of them what {to} takes, and import that"
    )
}

/// The type of what a view has under this name.
fn type_in<'a>(view: &'a FeatureView, name: &str) -> Option<&'a DataType> {
    let columns = view.join_keys.iter().chain(&view.event_id).map(|(column, dtype)| (column, dtype));
    let mut columns = columns.chain(view.features.iter().map(|feature| (&feature.name, &feature.dtype)));
    columns.find(|(column, _)| *column == name).map(|(_, dtype)| dtype)
}

/// Whether values of one type convert to the other: each for itself, if at all.
fn converts(old: &DataType, new: &DataType) -> bool {
    accept_column(new, &new_empty_array(&old.to_arrow())).is_ok()
}

/// Whether the text of one can be that of the other. Bytes have none but base64, which says nothing.
fn has_text(old: &DataType, new: &DataType) -> bool {
    *old != DataType::Bytes && *new != DataType::Bytes
}

/// The new version, taking its columns under the names that [`translate`] gives them.
fn on_the_way(definition: &FeatureView) -> FeatureView {
    let source = Source {
        event_timestamp: EventTime::Column(EVENT_TIMESTAMP.to_owned()),
        created_timestamp: definition.has_created().then(|| CREATED_TIMESTAMP.to_owned()),
        ..Source::default()
    };
    FeatureView { source, ..definition.clone() }
}

/// A batch of a scan of the old version, its clocks renamed, with texts for what does not convert otherwise, and nulls for what only
/// the new one has.
fn translate(batch: &RecordBatch, old: &FeatureView, new: &FeatureView) -> Result<RecordBatch> {
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    // A scan's columns: join keys, event time, created time where there is one, the others.
    let event_time = old.join_keys.len();
    let clocks = [EVENT_TIMESTAMP, CREATED_TIMESTAMP].into_iter().take(1 + usize::from(old.has_created()));
    for (at, clock) in (event_time..).zip(clocks) {
        // In the event id as well, it stands once in a scan and is asked for under both names.
        if new.event_id.iter().any(|(name, _)| name == fields[at].name()) {
            fields.push(fields[at].clone());
            columns.push(Arc::clone(&columns[at]));
        }
        fields[at].set_name(clock);
    }
    let instant = DataType::Timestamp;
    let created = (new.has_created() && !old.has_created()).then_some((CREATED_TIMESTAMP, &instant));
    let features = new.features.iter().map(|feature| (feature.name.as_str(), &feature.dtype));
    for (name, dtype) in features.chain(created) {
        match (fields.iter().position(|field| field.name() == name), type_in(old, name)) {
            (Some(at), Some(known)) if !converts(known, dtype) => {
                let is_text = HashMap::from([(TEXT_FORM_KEY.to_owned(), "text".to_owned())]);
                fields[at] = Field::new(name, ArrowType::Utf8, true).with_metadata(is_text);
                columns[at] = Arc::new(texts(known, &columns[at]));
            }
            (Some(_), _) => {}
            (None, _) => {
                fields.push(dtype.to_field(name));
                columns.push(new_null_array(&dtype.to_arrow(), batch.num_rows()));
            }
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|source| Error::invalid("the rows make no batch").caused_by(source))
}

/// The text forms of a column's values.
fn texts(dtype: &DataType, column: &ArrayRef) -> StringArray {
    let text = |row| column.is_valid(row).then(|| format_value(dtype, &value_at(column, dtype, row)));
    (0..column.len()).map(text).collect()
}

/// The first value of the old version that is of another time than the constant one of the new version. What the old one's source says
/// does not tell: its rows may have been written when that said otherwise.
fn of_another_time(batch: &RecordBatch, old: &FeatureView, new: &FeatureView) -> Option<Refusal> {
    let from = old.reference().to_string();
    let times = batch.column(old.join_keys.len()).as_primitive_opt::<TimestampMicrosecondType>()?;
    let deleted = batch.column_by_name(DELETED_COLUMN)?.as_boolean_opt()?;
    let mut values = (0..batch.num_rows()).filter(|&row| !deleted.value(row));
    values.find_map(|row| {
        let reason = refuse_other_time(new, &from, times.value(row))?;
        Some(Refusal { row, column: None, reason })
    })
}

/// The error for a row of the old version that the new one does not take.
fn not_copied(batch: &RecordBatch, old: &FeatureView, new: &FeatureView, refusal: &Refusal) -> Error {
    let text = |(at, (name, dtype)): (usize, &(String, DataType))| {
        format!("{name}={}", format_value(dtype, &value_at(batch.column(at), dtype, refusal.row)))
    };
    let mut row: Vec<String> = old.join_keys.iter().enumerate().map(text).collect();
    if let Some(times) = batch.column(old.join_keys.len()).as_primitive_opt::<TimestampMicrosecondType>() {
        row.push(format!("at {}", Timestamp(times.value(refusal.row))));
    }
    let error = Error::invalid(&refusal.reason);
    let error = match &refusal.column {
        Some(column) => error.at(column),
        None => error,
    };
    error.at(format!("view {}: {}", old.reference(), row.join(" "))).remedy(by_hand(old, new))
}
