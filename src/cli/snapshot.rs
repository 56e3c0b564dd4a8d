//! `asof snapshot`: names for states of knowledge.

use serde_json::json;

use super::args::Snapshot;
use super::context::Context;
use super::failure::Failure;
use super::output::Sheet;
use crate::definition::check_name;
use crate::time::Timestamp;

/// What asks for the list instead of naming a snapshot.
const LIST: &str = "list";

pub(super) fn run(args: &Snapshot, context: &mut Context) -> Result<(), Failure> {
    let project = context.project()?;
    if args.name == LIST {
        let snapshots = project.open_for_reading()?.snapshots()?;
        let rows = snapshots.iter().map(|snapshot| (snapshot.name.as_str(), snapshot.seq, snapshot.created_at));
        return context.print(&sheet(rows));
    }
    check_name("snapshot", &args.name).map_err(Failure::Usage)?;
    let store = project.open_for_writing()?;
    let made = store.snapshot(&args.name)?;
    let sentence = format!("snapshot {} is seq {}: ask for it with --known-at {}", made.name, made.seq, made.name);
    let told = context.report(&sentence, &sheet([(made.name.as_str(), made.seq, Timestamp(made.created_at_us))]));
    // What took place is told, whatever becomes of the close.
    store.close()?;
    told
}

fn sheet<'a>(snapshots: impl IntoIterator<Item = (&'a str, u64, Timestamp)>) -> Sheet {
    let mut sheet = Sheet::new(["name", "seq", "created_at"]);
    for (name, seq, created_at) in snapshots {
        sheet.push([json!(name), json!(seq), json!(created_at.to_string())]);
    }
    sheet
}
