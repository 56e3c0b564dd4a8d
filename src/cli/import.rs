//! `asof import`: files into a view.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::{BadRowsArg, Import};
use super::context::{Context, Project};
use super::failure::Failure;
use super::output::Sheet;
use super::progress::Meter;
use crate::definition::FeatureView;
use crate::error::{Error, Result};
use crate::exchange::{SourceOptions, open_source};
use crate::request::{BadRows, BulkOptions};
use crate::store::{ImportReport, Store};
use crate::value::DataType;

pub(super) fn run(args: &Import, context: &mut Context) -> Result<(), Failure> {
    let project = context.project()?;
    let store = project.open_for_writing()?;
    let bad_rows = match args.bad_rows {
        BadRowsArg::Fail => BadRows::Fail,
        BadRowsArg::Quarantine => BadRows::Quarantine,
    };
    let options = BulkOptions { allow_future: args.allow_future, bad_rows };
    let mut sheet = Sheet::new(["view", "file", "rows_read", "rows_written", "rows_refused"]);
    for (view, file) in wanted(args, &project)? {
        let report = import_file(&store, view, &file, options.clone())?;
        sheet.push([
            json!(view.reference_text()),
            json!(file.to_string_lossy()),
            json!(report.rows_read),
            json!(report.rows_written),
            json!(report.refused.len()),
        ]);
    }
    store.close()?;
    context.print(&sheet)
}

/// What to import into which view.
fn wanted<'a>(args: &Import, project: &'a Project) -> Result<Vec<(&'a FeatureView, PathBuf)>> {
    let views = &project.definitions;
    if let Some(name) = &args.view {
        let view = views.find_view(&name.parse()?).ok_or_else(|| Error::not_found(format!("no view {name}")))?;
        return Ok(args.files.iter().map(|file| (view, file.clone())).collect());
    }
    let with_source = views.views.iter().filter_map(|view| Some((view, project.path(view.source.path.as_deref()?))));
    Ok(with_source.collect())
}

/// Imports one file, whole or not at all.
pub(super) fn import_file(
    store: &Store,
    view: &FeatureView,
    file: &Path,
    options: BulkOptions,
) -> Result<ImportReport> {
    let meter = Meter::new(file.display().to_string(), std::fs::metadata(file).map_or(0, |metadata| metadata.len()));
    let source_options = SourceOptions {
        column_types: Some(column_types(view)),
        delimiter: view.source.delimiter,
        timestamp_format: view.source.timestamp_format.clone(),
        progress: Some(meter.progress()),
        ..SourceOptions::default()
    };
    let mut source = open_source(file, &source_options)?;
    let mut writer = store.bulk_writer(&view.reference().to_string(), options)?;
    while let Some(batch) = source.next_batch()? {
        writer.write(&batch).map_err(|error| error.at(file.display()))?;
    }
    writer.commit()
}

/// What the view takes its columns for, by their names in a source.
fn column_types(view: &FeatureView) -> Vec<(String, DataType)> {
    let mut types = Vec::new();
    if let crate::definition::EventTime::Column(name) = &view.source.event_timestamp {
        types.push((name.clone(), DataType::Timestamp));
    }
    types.extend(view.source.created_timestamp.iter().map(|name| (name.clone(), DataType::Timestamp)));
    let features = view.features.iter().map(|feature| (&feature.name, &feature.dtype));
    let keys = view.join_keys.iter().chain(&view.event_id).map(|(name, dtype)| (name, dtype));
    for (name, dtype) in keys.chain(features) {
        let renamed = view.source.rename.iter().find(|(_, to)| *to == name).map_or(name, |(from, _)| from);
        if types.iter().all(|(known, _)| known != renamed) {
            types.push((renamed.clone(), dtype.clone()));
        }
    }
    types
}
