//! `asof snapshot`: names for states of knowledge.

use serde_json::json;

use super::args::Snapshot;
use super::context::Context;
use super::failure::Failure;
use super::output::Sheet;
use crate::registry::records::SnapshotRecord;
use crate::time::Timestamp;

/// What asks for the list instead of naming a snapshot.
const LIST: &str = "list";

pub(super) fn run(args: &Snapshot, context: &mut Context) -> Result<(), Failure> {
    let project = context.project()?;
    if args.name == LIST {
        let snapshots = project.open_for_reading()?.snapshots();
        return context.print(&sheet(&snapshots));
    }
    let store = project.open_for_writing()?;
    let made = store.snapshot(&args.name)?;
    store.close()?;
    let sentence = format!("snapshot {} is seq {}: ask for it with --known-at {}", made.name, made.seq, made.name);
    context.report(&sentence, &sheet(&[made]))
}

fn sheet(snapshots: &[SnapshotRecord]) -> Sheet {
    let mut sheet = Sheet::new(["name", "seq", "created_at"]);
    for snapshot in snapshots {
        sheet.push([json!(snapshot.name), json!(snapshot.seq), json!(Timestamp(snapshot.created_at_us).to_string())]);
    }
    sheet
}
