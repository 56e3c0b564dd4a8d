//! `asof export`: a view's rows as Parquet files, or latest values into a Redis.

use serde_json::json;

use super::args::{self, Export};
use super::context::Context;
use super::failure::Failure;
use super::inputs;
use super::output::{Sheet, human_bytes, human_count};
use super::progress::Meter;
use crate::error::Error;
use crate::exchange::{ExportOptions, Partition, RedisExportOptions, RedisExportReport};

pub(super) fn run(args: &Export, context: &mut Context) -> Result<(), Failure> {
    for view in &args.views {
        inputs::view(view)?;
    }
    match (inputs::redis(&args.to_redis)?, args.views.as_slice(), &args.out) {
        (Some(url), _, _) => {
            let meter = Meter::new("export");
            let project = context.project()?;
            let options = RedisExportOptions {
                layout: inputs::layout(&args.to_redis, &project),
                views: args.views.clone(),
                cluster: args.to_redis.cluster,
                restart: args.restart,
                progress: Some(meter.of_entities()),
            };
            let report = project.open_for_reading()?.export_redis(&url, &options)?;
            drop(meter);
            report_redis(&report, options.layout.name(), context)
        }
        (None, [view], Some(_)) => run_parquet(view, args, context),
        _ => Err(Failure::Usage(
            Error::invalid("one view is exported at a time").remedy("name one, and the folder with --out"),
        )),
    }
}

fn run_parquet(view: &str, args: &Export, context: &mut Context) -> Result<(), Failure> {
    let out = args.out.as_deref().unwrap_or_else(|| std::path::Path::new(""));
    let meter = Meter::new(view);
    let options = ExportOptions {
        from: inputs::time("--from", args.from.as_deref())?,
        to: inputs::time("--to", args.to.as_deref())?,
        partition: match args.partition_by {
            Some(args::Partition::Date) => Partition::Date,
            None => Partition::None,
        },
        progress: Some(meter.of_rows()),
        ..ExportOptions::default()
    };
    let store = context.project()?.open_for_reading()?;
    let report = store.export(view, out, &options)?;
    drop(meter);
    let mut sheet = Sheet::new(["view", "folder", "rows", "files", "bytes", "known_at_seq"]);
    sheet.push([
        json!(report.view),
        json!(report.folder.to_string_lossy()),
        json!(report.rows),
        json!(report.files),
        json!(report.bytes),
        json!(report.known_at_seq),
    ]);
    let (rows, bytes) = (human_count(report.rows), human_bytes(report.bytes));
    let sentence = format!("{}: {rows} rows in {} files, {bytes}", report.folder.display(), human_count(report.files));
    context.report(&sentence, &sheet)
}

fn report_redis(report: &RedisExportReport, layout: &str, context: &mut Context) -> Result<(), Failure> {
    let RedisExportReport { entities, fields, bytes, gone, .. } = report;
    let counts = [
        ("entities", *entities),
        ("fields", *fields),
        ("bytes", *bytes),
        ("gone", *gone),
        ("values_left_out", report.values_left_out),
        ("keys_left_out", report.keys_left_out),
        ("field_deadlines_left_out", report.field_deadlines_left_out),
    ];
    let names = ["redis", "layout", "views"].into_iter().chain(counts.map(|(name, _)| name)).chain(["resumed"]);
    let mut sheet = Sheet::new(names);
    let said = [json!(report.target), json!(layout), json!(report.views)];
    sheet.push(said.into_iter().chain(counts.map(|(_, count)| json!(count))).chain([json!(report.resumed)]));
    let mut sentence = format!(
        "{}: {} entities, {} values, {}",
        report.target,
        human_count(*entities),
        human_count(*fields),
        human_bytes(*bytes)
    );
    if report.resumed {
        sentence.push_str(", from where an export was interrupted");
    }
    for (count, what) in [
        (*gone, "entities are gone, there too"),
        (report.values_left_out, "values have no form in this layout: null there"),
        (report.keys_left_out, "entities have keys that this layout has no form for: left out"),
        (
            report.field_deadlines_left_out,
            "values have deadlines of their own, which Redis knows from 7.4 on: left out",
        ),
    ] {
        if count > 0 {
            sentence.push_str(&format!("\n{} {what}", human_count(count)));
        }
    }
    context.report(&sentence, &sheet)
}
