//! How a file is read for a view: which of its columns, as which types.

use std::cell::LazyCell;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{FieldRef, Schema, SchemaRef};

use super::cells::typed_field;
use super::file::SourceFile;
use super::jsonl::is_sample_all;
use super::kind::FileKind;
use super::source::{MetColumns, source_schema};
use super::source_options::SourceOptions;
use crate::definition::{EventTime, FeatureView};
use crate::error::{Error, Result, is_slip, nearest};
use crate::format::accept::{
    AcceptOptions, ColumnRole, DELETED_COLUMN, EVENT_TIMESTAMP_COLUMN, MissingColumn, accept_batch, missing_columns,
    missing_error,
};
use crate::time::Timestamp;
use crate::value::DataType;

/// A file as the source of a view.
pub(super) struct ViewSource {
    /// How it is read.
    pub options: SourceOptions,
    /// Columns that the view does not know.
    pub ignored: Vec<String>,
    /// The keys of the first rows, where the file is JSON Lines.
    first_keys: Option<SchemaRef>,
}

impl ViewSource {
    /// Finds the view's columns in the file.
    ///
    /// # Errors
    /// The file cannot be opened; it lacks columns, all of which are named; one is of a type that never converts.
    pub fn find(view: &FeatureView, path: &Path, options: SourceOptions) -> Result<ViewSource> {
        let mut options = SourceOptions {
            infer_types: false,
            delimiter: view.source.delimiter,
            timestamp_format: view.source.timestamp_format.clone(),
            ..options
        };
        let found = source_schema(path, &options)?;
        let file = SourceFile::open(path, Arc::default())?;
        let kind = FileKind::of_file(&file)?;
        if kind == FileKind::JsonLines {
            check_keys(view, &found, options.on_bad_row.is_some(), || is_sample_all(file))
                .map_err(|error| error.at(format!("view {}", view.reference())).at(path.display()))?;
        }
        let (types, as_written) = column_types(view, &found, kind);
        (options.column_types, options.as_written) = (Some(types), as_written);
        let schema = source_schema(path, &options)?;
        let accept = AcceptOptions::new(Timestamp(0));
        let taken = accept_batch(view, &RecordBatch::new_empty(schema.clone()), &accept)
            .map_err(|error| error.at(path.display()))?;
        if !taken.ignored.is_empty() {
            let names = schema.fields().iter().map(|field| field.name().clone());
            options.projection = Some(names.filter(|name| !taken.ignored.contains(name)).collect());
        }
        let first_keys = (kind == FileKind::JsonLines).then_some(found);
        Ok(ViewSource { options, ignored: taken.ignored, first_keys })
    }

    /// Asks of all rows of a JSON Lines file, now that they are read, what [`ViewSource::find`] could ask of the first ones only.
    ///
    /// # Errors
    /// As there; a key that is met beyond the first rows would have been another column than was read.
    pub fn check_met(&self, view: &FeatureView, path: &Path, met: &MetColumns) -> Result<()> {
        let Some(first) = &self.first_keys else { return Ok(()) };
        let mut fields: Vec<FieldRef> = first.fields().iter().cloned().collect();
        let is_first = |name: &&String| first.column_with_name(name).is_some();
        let later = met.read.iter().filter(|name| !is_first(name)).chain(&met.late);
        fields.extend(later.map(|name| typed_field(name, &DataType::String).into()));
        let all = Arc::new(Schema::new(fields));
        // What a short file would be read by, and this one was not.
        let (wanted, _) = column_types(view, &all, FileKind::JsonLines);
        let passed_over = wanted.iter().find(|(name, _)| met.late.contains(name));
        check_keys(view, &all, false, || true)
            .and_then(|()| passed_over.map_or(Ok(()), |(key, _)| Err(too_late(key))))
            .map_err(|error| error.at(format!("view {}", view.reference())).at(path.display()))
    }

    /// Columns of a JSON Lines file that the view turned out to have no use for: times of deletes, and there was none.
    pub fn unused(&self, met: &MetColumns) -> Vec<String> {
        let is_met = |name: &str| met.read.iter().any(|read| read == name);
        let times = self.options.as_written.iter().filter(|name| is_met(name) && !is_met(DELETED_COLUMN));
        times.cloned().collect()
    }
}

/// The features that a file says nothing of, for it was made before they were: all that it lacks are columns for these, none of
/// its own could be one of them by another name. Empty where it lacks none, and for JSON
/// Lines, where any row may speak of a feature yet. With the columns that the view does not know.
///
/// # Errors
/// As for [`ViewSource::find`].
pub(super) fn unspoken_features(
    view: &FeatureView,
    path: &Path,
    decoded_bytes_max: Option<u64>,
) -> Result<(Vec<String>, Vec<String>)> {
    let file = SourceFile::open(path, Arc::default())?;
    if FileKind::of_file(&file)? == FileKind::JsonLines {
        return Ok(Default::default());
    }
    let options = SourceOptions { delimiter: view.source.delimiter, decoded_bytes_max, ..SourceOptions::default() };
    let schema = source_schema(path, &options)?;
    let (missing, unknown) = missing_columns(view, &schema)
        .map_err(|error| error.at(format!("view {}", view.reference())).at(path.display()))?;
    let is_unspoken = |column: &MissingColumn| {
        column.role == ColumnRole::Feature && nearest(&column.name, unknown.iter().map(String::as_str)).is_none()
    };
    let unspoken = if missing.iter().all(is_unspoken) { missing } else { Vec::new() };
    Ok((unspoken.into_iter().map(|column| column.target).collect(), unknown))
}

/// Finds fault with the keys of a JSON Lines file. What is null need not be written, so that a feature which no row speaks of is
/// no mistake by itself; it is one where the file has a key that is the feature's but for a slip, and where no feature is found at all
/// and `is_all` of it was looked at. Rows without a join key or a time are bad ones: until all are looked at, they may be some
/// that are set aside.
///
/// # Errors
/// As for columns that other files lack.
fn check_keys(view: &FeatureView, found: &SchemaRef, sets_aside: bool, is_all: impl FnOnce() -> bool) -> Result<()> {
    let is_all = LazyCell::new(is_all);
    let (missing, unknown) = missing_columns(view, found)?;
    let is_there = |name: &str| found.column_with_name(name).is_some();
    let count = |role: ColumnRole| missing.iter().filter(|column| column.role == role).count();
    let says_nothing = count(ColumnRole::Feature) == view.features.len() && !is_there(DELETED_COLUMN) && *is_all;
    let is_mistake = |column: &&MissingColumn| match column.role {
        ColumnRole::JoinKey | ColumnRole::EventTimestamp => !sets_aside || *is_all,
        ColumnRole::Feature if says_nothing => true,
        _ => unknown.iter().any(|name| is_slip(name, &column.name)),
    };
    let mistakes: Vec<MissingColumn> = missing.iter().filter(is_mistake).cloned().collect();
    // Nothing could be read of it, or there is nothing.
    if mistakes.is_empty() || found.fields().is_empty() {
        return Ok(());
    }
    let error = missing_error(view, found, &mistakes, false);
    match mistakes.iter().find(|column| column.role == ColumnRole::Feature) {
        Some(feature) => {
            let way_out = error.way_out().unwrap_or_default().to_owned();
            let null = format!("where {0} is null in every row, say so in the first: \"{0}\": null", feature.name);
            Err(error.remedy(format!("{way_out}; {null}")))
        }
        None => Err(error),
    }
}

/// The error for a key that the view has another name for, or no use unless it is known of before the first row is read.
fn too_late(key: &str) -> Error {
    Error::invalid(format!("the key '{key}' is first met too far down the file to be read"))
        .remedy(format!("let its first row have it too, if only as \"{key}\": null"))
}

/// The types of the view's columns, as they are called in a file of these columns, and those of them that are left as they are written.
/// Files that say themselves what their columns are do not ask.
fn column_types(view: &FeatureView, found: &SchemaRef, kind: FileKind) -> (Vec<(String, DataType)>, Vec<String>) {
    let is_there = |name: &str| found.column_with_name(name).is_some();
    let mut types: Vec<(String, DataType)> = Vec::new();
    let mut as_written = Vec::new();
    let mut add = |target: &str, dtype: &DataType| -> Option<String> {
        let renamed = view.source.rename.iter().find(|(_, to)| *to == target).map(|(from, _)| from.as_str());
        let name = renamed.filter(|from| is_there(from) || !is_there(target)).unwrap_or(target);
        let is_new = types.iter().all(|(known, _)| known != name);
        is_new.then(|| types.push((name.to_owned(), dtype.clone())))?;
        Some(name.to_owned())
    };
    for (name, dtype) in view.join_keys.iter().chain(&view.event_id) {
        add(name, dtype);
    }
    if let EventTime::Column(name) = &view.source.event_timestamp {
        add(name, &DataType::Timestamp);
    }
    if let Some(name) = &view.source.created_timestamp {
        add(name, &DataType::Timestamp);
    }
    for feature in &view.features {
        add(&feature.name, &feature.dtype);
    }
    // The first delete may stand far below the rows that the columns of JSON Lines are looked for in.
    if is_there(DELETED_COLUMN) || kind == FileKind::JsonLines {
        add(DELETED_COLUMN, &DataType::Bool);
        let is_constant = matches!(view.source.event_timestamp, EventTime::Constant(_));
        if is_constant && !view.source.rename.contains_key(EVENT_TIMESTAMP_COLUMN) {
            // Deletes may lie elsewhere in time than a constant event time says. What stands beside values need be no time.
            as_written.extend(add(EVENT_TIMESTAMP_COLUMN, &DataType::String));
        }
    }
    (types, as_written)
}
