//! How a file is read for a view: which of its columns, as which types.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::file::SourceFile;
use super::kind::FileKind;
use super::source::{SourceOptions, source_schema};
use crate::definition::{EventTime, FeatureView};
use crate::error::Result;
use crate::format::accept::{AcceptOptions, DELETED_COLUMN, accept_batch};
use crate::time::Timestamp;
use crate::value::DataType;

/// A file as the source of a view.
pub(super) struct ViewSource {
    /// How it is read.
    pub options: SourceOptions,
    /// Columns that the view does not know.
    pub ignored: Vec<String>,
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
        let kind = FileKind::of_file(&SourceFile::open(path, Arc::default())?)?;
        options.column_types = Some(column_types(view, &found, kind));
        let schema = source_schema(path, &options)?;
        let accept = AcceptOptions::new(Timestamp(0));
        let taken = accept_batch(view, &RecordBatch::new_empty(schema.clone()), &accept)
            .map_err(|error| error.at(path.display()))?;
        if !taken.ignored.is_empty() {
            let names = schema.fields().iter().map(|field| field.name().clone());
            options.projection = Some(names.filter(|name| !taken.ignored.contains(name)).collect());
        }
        Ok(ViewSource { options, ignored: taken.ignored })
    }
}

/// The types of the view's columns, as they are called in a file of these columns. Files that say themselves what their columns are do
/// not ask.
fn column_types(view: &FeatureView, found: &SchemaRef, kind: FileKind) -> Vec<(String, DataType)> {
    let is_there = |name: &str| found.column_with_name(name).is_some();
    let mut types: Vec<(String, DataType)> = Vec::new();
    let mut add = |target: &str, dtype: &DataType| {
        let renamed = view.source.rename.iter().find(|(_, to)| *to == target).map(|(from, _)| from.as_str());
        let name = renamed.filter(|from| is_there(from) || !is_there(target)).unwrap_or(target);
        if types.iter().all(|(known, _)| known != name) {
            types.push((name.to_owned(), dtype.clone()));
        }
    };
    view.join_keys.iter().chain(&view.event_id).for_each(|(name, dtype)| add(name, dtype));
    if let EventTime::Column(name) = &view.source.event_timestamp {
        add(name, &DataType::Timestamp);
    }
    if let Some(name) = &view.source.created_timestamp {
        add(name, &DataType::Timestamp);
    }
    view.features.iter().for_each(|feature| add(&feature.name, &feature.dtype));
    let is_constant = matches!(view.source.event_timestamp, EventTime::Constant(_));
    if matches!(kind, FileKind::JsonLines) && !is_constant {
        // The first delete may stand far below the rows that a file's columns are looked for in.
        add(DELETED_COLUMN, &DataType::Bool);
    }
    if is_there(DELETED_COLUMN) {
        // What an export writes: its deletes may lie elsewhere in time than a constant event time says.
        add(DELETED_COLUMN, &DataType::Bool);
        add("event_timestamp", &DataType::Timestamp);
    }
    types
}
