//! `asof delete`: a delete row for one entity.

use serde_json::json;

use super::args::Delete;
use super::context::Context;
use super::failure::Failure;
use super::inputs;
use super::output::Sheet;
use crate::engine::get::GetOptions;
use crate::request::{DeleteOptions, Features};

pub(super) fn run(args: &Delete, context: &mut Context) -> Result<(), Failure> {
    inputs::view(&args.view)?;
    let pairs = inputs::pairs(&args.keys)?;
    let options = DeleteOptions {
        at: inputs::time("--at", args.at.as_deref())?,
        allow_future: args.allow_future,
        ..DeleteOptions::default()
    };
    let store = context.project()?.open_for_writing()?;
    let keys = store.join_keys(&Features::list([format!("{}:*", args.view)])?, &GetOptions::default())?;
    let deleted = store.delete(&args.view, &inputs::entity(&pairs, &keys)?, &options)?;
    let mut sheet = Sheet::new(["view", "seq", "created_timestamp"]);
    sheet.push([json!(args.view), json!(deleted.seq), json!(deleted.created.map(|time| time.to_string()))]);
    let entity = if args.keys.is_empty() { String::new() } else { format!("{} from ", args.keys.join(" ")) };
    let told = context.report(&format!("deleted {entity}{} at seq {}", args.view, deleted.seq), &sheet);
    // What took place is told, whatever becomes of the close.
    store.close()?;
    told
}
