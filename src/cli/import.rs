//! `asof import`: files into a view, or the hashes of a Redis into views.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::args::{BadRowsArg, Format, Import, LayoutArg};
use super::context::Context;
use super::failure::Failure;
use super::inputs;
use super::output::{Sheet, human_count};
use super::progress::Meter;
use crate::error::{Error, Result};
use crate::exchange::{ImportOptions, RedisImportOptions, RedisUrl};
use crate::request::BadRows;
use crate::store::{FileReport, ImportReport, Store};

/// What became of the files of one view.
pub(super) type Imported = (String, ImportReport);

pub(super) fn run(args: &Import, context: &mut Context) -> Result<(), Failure> {
    args.view.as_deref().map(inputs::view).transpose()?;
    if let Some(url) = inputs::redis(&args.from_redis)? {
        return run_redis(&url, args, context);
    }
    let project = context.project()?;
    let store = project.open_for_writing()?;
    let meter = Meter::new("import");
    let options = ImportOptions {
        allow_future: args.allow_future,
        bad_rows: bad_rows(args.bad_rows),
        append: args.append,
        progress: Some(meter.of_import()),
        ..ImportOptions::default()
    };
    let mut imported = Vec::new();
    let outcome = match (&args.view, args.from_version) {
        (Some(view), Some(version)) => {
            store.import_version(view, version).map(|report| imported.push((view.clone(), report)))
        }
        (Some(view), None) => {
            store.import_files(view, &args.files, &options).map(|report| imported.push((view.clone(), report)))
        }
        (None, _) => import_all(&store, project.folder(), &options, &mut imported),
    };
    drop(meter);
    // Views that were imported before one failed, or before the close does, are told of: they stay.
    let told = if outcome.is_ok() || !imported.is_empty() { print(&imported, context) } else { Ok(()) };
    outcome.and_then(|()| store.close())?;
    told
}

fn bad_rows(asked: BadRowsArg) -> BadRows {
    match asked {
        BadRowsArg::Fail => BadRows::Fail,
        BadRowsArg::Quarantine => BadRows::Quarantine,
    }
}

fn run_redis(url: &RedisUrl, args: &Import, context: &mut Context) -> Result<(), Failure> {
    let further = args.files.iter().map(|file| file.to_string_lossy().into_owned());
    let views: Vec<String> = args.view.iter().cloned().chain(further).collect();
    for view in &views {
        inputs::view(view)?;
    }
    let project = context.project()?;
    let store = project.open_for_writing()?;
    let meter = Meter::new("import");
    let options = RedisImportOptions {
        layout: inputs::layout(&args.from_redis, &project),
        views,
        cluster: args.from_redis.cluster,
        bad_rows: bad_rows(args.bad_rows),
        allow_future: args.allow_future,
        progress: Some(meter.of_entities()),
    };
    let outcome = store.import_redis(url, &options);
    drop(meter);
    let told = match &outcome {
        Ok(report) => {
            let told = print(&report.views, context);
            let others = report.keys_of_others;
            if others > 0 {
                context.note(format!(
                    "{} of {} keys at {url} are of none of the views",
                    human_count(others),
                    human_count(report.keys)
                ));
            }
            if report.deadlines_left_out > 0 && args.from_redis.layout == LayoutArg::Plain {
                let rows = human_count(report.deadlines_left_out);
                context.note(format!("{rows} hashes have deadlines there; their rows have their view's TTL alone"));
            }
            told
        }
        Err(_) => Ok(()),
    };
    outcome.map(|_| ()).and_then(|()| store.close())?;
    told
}

/// The sources of all views that name one; `imported` is what was done, also when one failed.
///
/// # Errors
/// No view does; as [`Store::import_all`].
pub(super) fn import_all(
    store: &Store,
    folder: &Path,
    options: &ImportOptions,
    imported: &mut Vec<Imported>,
) -> Result<()> {
    store.import_all(folder, options, |view, report| imported.push((view, report)))?;
    if imported.is_empty() {
        return Err(Error::not_found("no view names a source path").remedy("name the files: asof import VIEW FILE..."));
    }
    Ok(())
}

fn print(imported: &[Imported], context: &mut Context) -> Result<(), Failure> {
    let all: Vec<Json> = imported.iter().map(|(view, report)| view_json(view, report)).collect();
    context.print_with(&sheet(imported), &all)?;
    if context.format == Format::Table {
        for (view, report) in imported {
            for note in notes(view, report) {
                context.say(note)?;
            }
        }
    }
    Ok(())
}

/// One row a file; where there was none, one for all.
fn sheet(imported: &[Imported]) -> Sheet {
    let mut sheet = Sheet::new(["view", "file", "read", "written", "skipped", "refused", "imported before"]);
    for (view, report) in imported.iter().filter(|(_, report)| report.files.is_empty()) {
        let counts = [report.rows_read, report.rows_written, report.rows_skipped, report.rows_refused];
        let counts = counts.map(|count| json!(count));
        sheet.push([json!(view), Json::Null].into_iter().chain(counts).chain([Json::Null]));
    }
    for (view, file) in imported.iter().flat_map(|(view, report)| report.files.iter().map(move |file| (view, file))) {
        let FileReport { path, was_imported, rows_read, rows_written, rows_skipped, rows_refused } = file;
        let counts = [rows_read, rows_written, rows_skipped, rows_refused].map(|count| json!(count));
        let before = if *was_imported { json!("yes") } else { Json::Null };
        sheet.push([json!(view), json!(path)].into_iter().chain(counts).chain([before]));
    }
    sheet
}

fn view_json(view: &str, report: &ImportReport) -> Json {
    let files: Vec<Json> = report
        .files
        .iter()
        .map(|file| {
            json!({
                "path": file.path,
                "was_imported": file.was_imported,
                "rows_read": file.rows_read,
                "rows_written": file.rows_written,
                "rows_skipped": file.rows_skipped,
                "rows_refused": file.rows_refused,
            })
        })
        .collect();
    json!({
        "view": view,
        "rows_read": report.rows_read,
        "rows_written": report.rows_written,
        "rows_skipped": report.rows_skipped,
        "rows_refused": report.rows_refused,
        "seq_first": report.seq.map(|(first, _)| first),
        "seq_last": report.seq.map(|(_, last)| last),
        "ignored": report.ignored,
        "ignored_more": report.ignored_more,
        "quarantine": report.quarantine.as_ref().map(|path| path.to_string_lossy()),
        "files": files,
    })
}

/// What the counts do not say.
fn notes(view: &str, report: &ImportReport) -> Vec<String> {
    let mut notes = Vec::new();
    if report.files.len() > 1 {
        let ImportReport { files, rows_read, rows_written, rows_skipped, rows_refused, .. } = report;
        let [read, written, skipped, refused] =
            [rows_read, rows_written, rows_skipped, rows_refused].map(|count| human_count(*count));
        let files = human_count(files.len() as u64);
        notes.push(format!(
            "{view}: {files} files, {read} rows read, {written} written, {skipped} skipped, {refused} refused"
        ));
    }
    if !report.ignored.is_empty() {
        let more = if report.ignored_more { " and more" } else { "" };
        notes.push(format!("{view} has no column {}{more}: ignored", report.ignored.join(", ")));
    }
    if let Some(path) = &report.quarantine {
        let rows = human_count(report.rows_refused);
        notes.push(format!("{rows} rows set aside in {}, each with its reason", path.display()));
    }
    notes
}
