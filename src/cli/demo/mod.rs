//! `asof demo`: the quickstart on a year of real flights, step by step, through the same calls as the commands
//! that it names.

mod files;
mod table;

use std::path::Path;
use std::time::Instant;

use serde_json::{Value as Json, json};

use super::args::{Demo, Format};
use super::context::{Context, Project};
use super::failure::Failure;
use super::import::{self, Imported};
use super::output::{Sheet, human_bytes, human_count};
use super::{get, history};
use crate::engine::get::GetOptions;
use crate::error::Result;
use crate::exchange::ImportOptions;
use crate::request::{ApplyOptions, BadRows, Features, HistoricalRequest};
use crate::store::Store;
use crate::value::Value;

/// What the training set is about, and a spine column that says when each flight was due to leave.
const SERVICE: &str = "departure_delay";
const DUE_COLUMN: &str = "scheduled_departure";
const SPINE: &str = "data/flights.parquet";
const TRAINING_SET: &str = "training.parquet";
const AIRCRAFT: &str = "N14228";
/// An hour of a storm that is shown.
const STORM: &str = "2013-06-07T23:00:00Z";

pub(super) fn run(args: &Demo, context: &mut Context) -> Result<(), Failure> {
    let mut teller = Teller { context, started: Instant::now() };
    let dir = &args.dir;
    teller.say(
        "A year of flights out of New York (nycflights13, CC0), joined with what was known when each was due to leave.",
    )?;

    let bytes = files::place(dir)?;
    teller.step(&format!("The project: {}", dir.display()), &format!("asof.toml and data/, {}", human_bytes(bytes)))?;

    let project = Project::load(dir)?;
    let store = project.create_or_open()?;
    let plan = store.apply(&project.definitions, ApplyOptions::default())?;
    let definitions = &project.definitions;
    let (views, services) = (definitions.views.len(), definitions.services.len());
    let change = if plan.is_empty() { "as it was" } else { "applied" };
    teller.step("asof apply", &format!("{views} feature views, {services} feature service: {change}"))?;

    let options = ImportOptions { bad_rows: BadRows::Quarantine, ..ImportOptions::default() };
    let imported = import::import_all(&store, project.folder(), &options)?;
    let import = "asof import --all --bad-rows quarantine";
    if imported.iter().any(|(_, report)| report.rows_written > 0) {
        teller.step(import, "every file whole or not at all; rows that cannot be stored are set aside")?;
        teller.show(&imports(&imported))?;
    } else {
        teller.step(import, "an earlier demo imported every file: skipped")?;
    }

    let (aircraft, weather, storm) = latest(&store)?;
    teller.step("asof get", &format!("the latest values, of aircraft {AIRCRAFT}"))?;
    teller.show(&aircraft)?;
    teller.say("The weather at JFK, now and in a storm: nothing is made up where the last observation is too old.")?;
    teller.show(&weather)?;
    teller.show(&storm)?;

    let training_set = dir.join(TRAINING_SET);
    let request = HistoricalRequest {
        timestamp_column: DUE_COLUMN.to_owned(),
        full_names: true,
        ..HistoricalRequest::service(SERVICE)
    };
    teller.begin();
    let joined = history::join(&store, &dir.join(SPINE), &request, &training_set)?;
    teller.step("asof history", &format!("{}: {joined}", training_set.display()))?;
    store.close()?;
    let departures = table::departures(&training_set)?;
    teller.show(&departures)?;
    teller
        .say("Wind in miles per hour, rain in inches, sight in miles, late in minutes; what was not known is empty.")?;
    teller.next(dir)
}

fn imports(imported: &[Imported]) -> Sheet {
    let mut sheet = Sheet::new(["view", "rows", "set aside", ""]);
    for (view, report) in imported {
        let reason = report.refused.first().map_or(Json::Null, |refusal| json!(refusal.reason));
        let counts = [report.rows_written, report.rows_refused].map(|rows| json!(human_count(rows)));
        sheet.push([json!(view)].into_iter().chain(counts).chain([reason]));
    }
    sheet
}

/// The last known of an aircraft, of the weather now, and of the weather in a storm.
fn latest(store: &Store) -> Result<(Sheet, Sheet, Sheet)> {
    let tailnum = [("tailnum", Value::String(AIRCRAFT.to_owned()))];
    let jfk = [("origin", Value::String("JFK".to_owned()))];
    let now = GetOptions::default();
    let plane = Features::list(["plane:manufacturer", "plane:model", "plane:seats"])?;
    let weather = Features::list(["weather:wind_speed", "weather:visib"])?;
    let storm = GetOptions { at: Some(STORM.parse()?), ..GetOptions::default() };
    Ok((
        get::sheet(&store.get(&plane, &tailnum, &now)?),
        get::sheet(&store.get(&weather, &jfk, &now)?),
        get::sheet(&store.get(&weather, &jfk, &storm)?),
    ))
}

/// Tells the steps as they are done, with the time each took.
struct Teller<'a> {
    context: &'a mut Context,
    started: Instant,
}

impl Teller<'_> {
    fn begin(&mut self) {
        self.started = Instant::now();
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.context.out, "{text}\n")?;
        self.begin();
        Ok(())
    }

    fn step(&mut self, what: &str, outcome: &str) -> Result<(), Failure> {
        let seconds = self.started.elapsed().as_secs_f64();
        writeln!(self.context.out, "{what}   ({seconds:.2} s)\n  {outcome}\n")?;
        self.context.out.flush()?;
        self.begin();
        Ok(())
    }

    fn show(&mut self, sheet: &Sheet) -> Result<(), Failure> {
        let mut text = Vec::new();
        sheet.print(Format::Table, &mut text)?;
        for line in String::from_utf8_lossy(&text).lines() {
            writeln!(self.context.out, "  {line}")?;
        }
        writeln!(self.context.out)?;
        self.begin();
        Ok(())
    }

    /// Commands to go on with, as they can be typed here.
    fn next(&mut self, dir: &Path) -> Result<(), Failure> {
        let asof = std::env::args_os().next().unwrap_or_else(|| "asof".into());
        let asof = asof.to_string_lossy();
        let dir = dir.display();
        writeln!(self.context.out, "Next, for example:")?;
        for command in [
            "show".to_owned(),
            format!("get --service {SERVICE} origin=JFK dest=LAX tailnum={AIRCRAFT} --at {STORM}"),
            format!("explain weather:wind_speed origin=JFK --at {STORM}"),
            "snapshot before_backfill".to_owned(),
            format!(
                "history --spine {dir}/{SPINE} --service {SERVICE} --timestamp {DUE_COLUMN} --full-names \
                 --known-at before_backfill --out {dir}/again.parquet"
            ),
        ] {
            writeln!(self.context.out, "  {asof} --project {dir} {command}")?;
        }
        Ok(())
    }
}
