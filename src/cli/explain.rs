//! `asof explain`: where a value came from.

use serde_json::{Value as Json, json};

use super::args::Explain;
use super::context::Context;
use super::failure::Failure;
use super::inputs;
use super::output::{Cell, Sheet};
use crate::definition::FeatureRef;
use crate::engine::explain::{Checksum, Explanation, Location, RowExplanation, TableVerdict};
use crate::error::Error;
use crate::request::Features;
use crate::time::Timestamp;

pub(super) fn run(args: &Explain, context: &mut Context) -> Result<(), Failure> {
    if args.feature.parse::<FeatureRef>().map_err(Failure::Usage)?.feature == "*" {
        let error = Error::invalid(format!("'{}' is more than one feature", args.feature));
        return Err(Failure::Usage(error.remedy("name one, as in weather:temp")));
    }
    let features = Features::list([&args.feature]).map_err(Failure::Usage)?;
    let pairs = inputs::pairs(&args.asked.keys)?;
    let options = inputs::get_options(&args.asked)?;
    let store = context.project()?.open_for_reading()?;
    let entity = inputs::entity(&pairs, &store.join_keys(&features, &options)?)?;
    let explained = store.explain(&args.feature, &entity, &options)?;
    let printed = context.print_with(&sheet(&explained), &explained);
    match explained.row.map(|row| row.checksum) {
        Some(Checksum::Damaged(what)) => Err(Failure::Damage(what)),
        _ => printed,
    }
}

fn sheet(explained: &Explanation) -> Sheet {
    let mut sheet = Sheet::new(["what", "is"]);
    let mut add = |what: &str, is: Cell| sheet.push([json!(what).into(), is]);
    add("feature", json!(format!("{}:{}", explained.view, explained.feature)).into());
    add("value", Cell::of_value(&explained.value.dtype, &explained.value.value));
    let mut say = |what: &str, is: Json| add(what, is.into());
    say("status", json!(explained.status.name()));
    say("why", json!(explained.why));
    say("as of", json!(explained.at));
    say("known at seq", json!(explained.known_at_seq));
    say("revision", json!(explained.revision));
    if let Some(row) = &explained.row {
        for (what, is) in lines(row) {
            say(what, json!(is));
        }
    }
    if let Some(verdict) = explained.latest_table {
        let says = match verdict {
            TableVerdict::Answers if explained.row.is_none() => "answers: it has no row either",
            TableVerdict::Answers => "answers with this row",
            TableVerdict::Disagrees => "answers with another row: asof check says more",
            TableVerdict::Passes => "leaves this one to log and runs",
            TableVerdict::Missing => "is missing: log and runs answer",
        };
        say("latest table", json!(says));
    }
    sheet
}

fn lines(row: &RowExplanation) -> Vec<(&'static str, String)> {
    let mut lines = vec![("row", row.kind.to_owned()), ("event timestamp", row.event_ts.to_string())];
    let mut time = |what, time: Option<Timestamp>| lines.extend(time.map(|time| (what, time.to_string())));
    time("created timestamp", row.created);
    time("deadline", row.deadline);
    lines.push(("seq", row.seq.to_string()));
    if let Some(from) = &row.provenance {
        lines.push(("ingested at", from.ingested_at.to_string()));
        lines.extend(from.by.clone().map(|by| ("by", by)));
        lines.extend(from.source.clone().map(|source| ("source", source)));
    }
    lines.push(match &row.location {
        Location::Log { file, offset, .. } => {
            ("lies in", format!("{}, in the group at offset {offset}", file.display()))
        }
        Location::Registry { file } => ("lies in", format!("the registry, as {} has it", file.display())),
        Location::Run { file, row, .. } => ("lies in", format!("{}, row {row}", file.display())),
    });
    lines.push(match &row.checksum {
        Checksum::Good => ("checksum", "good".to_owned()),
        Checksum::Damaged(what) => ("checksum", format!("damaged: {what}")),
    });
    lines
}
