//! `asof export`: a view's rows as Parquet files.

use serde_json::json;

use super::args::{self, Export};
use super::context::Context;
use super::failure::Failure;
use super::inputs;
use super::output::{Sheet, human_bytes, human_count};
use super::progress::Meter;
use crate::exchange::{ExportOptions, Partition};

pub(super) fn run(args: &Export, context: &mut Context) -> Result<(), Failure> {
    inputs::view(&args.view)?;
    let meter = Meter::new(&args.view);
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
    let report = store.export(&args.view, &args.out, &options)?;
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
