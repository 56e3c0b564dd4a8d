//! What help and README show can be typed, and does what it says.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};

use crate::support::{Project, Ran};

const FLIGHTS: &str = include_str!("../../examples/flights/asof.toml");
const README: &str = include_str!("../../README.md");
const NOON: i64 = 1_370_088_000_000_000; // 2013-06-01T12:00:00Z

type Column = (&'static str, ArrayRef);

fn text(name: &'static str, value: &str) -> Column {
    (name, Arc::new(StringArray::from(vec![value])))
}

fn float(name: &'static str) -> Column {
    (name, Arc::new(Float64Array::from(vec![1.5])))
}

fn int(name: &'static str) -> Column {
    (name, Arc::new(Int32Array::from(vec![7])))
}

fn time(name: &'static str) -> Column {
    (name, Arc::new(TimestampMicrosecondArray::from(vec![NOON]).with_timezone("UTC")))
}

/// The demo's project with one row a view, and the files that examples name.
fn flights() -> Project {
    let project = Project::defined(FLIGHTS);
    std::fs::create_dir(project.path("data")).unwrap();
    let measured = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"];
    let mut weather = vec![text("origin", "JFK"), time("event_timestamp")];
    weather.extend(measured.map(float));
    project.put_columns("data/weather.parquet", &weather);
    let said = ["type", "manufacturer", "model", "engine"].map(|name| text(name, "x"));
    let mut plane = vec![text("tailnum", "N14228"), time("event_timestamp")];
    plane.extend(["manufactured", "engines", "seats"].map(int).into_iter().chain(said));
    project.put_columns("data/planes.parquet", &plane);
    let flight = [
        text("tailnum", "N14228"),
        time("event_timestamp"),
        time("scheduled_departure"),
        int("flight"),
        text("origin", "JFK"),
        text("dest", "LAX"),
        float("dep_delay"),
        ("cancelled", Arc::new(BooleanArray::from(vec![false]))),
    ];
    project.put_columns("data/flights.parquet", &flight);
    let airport =
        [text("faa", "JFK"), text("name", "x"), float("lat"), float("lon"), int("alt"), int("tz"), text("tzone", "x")];
    project.put_columns("data/airports.parquet", &airport);
    project.put_columns("data/airlines.parquet", &[text("carrier", "UA"), text("name", "x")]);
    project.put("labels.csv", "origin,asked_at\nJFK,2013-06-01T13:00:00Z\n");
    project.put(
        "late.csv",
        "origin,event_timestamp,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib\n",
    );
    project.run(&["apply"]).done();
    project.run(&["import", "--all"]).done();
    project
}

/// Runs a line of shell in a folder, with `asof` on its path.
fn shell(folder: &Path, line: &str) -> Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_asof")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-ec", line])
        .current_dir(folder)
        .env("PATH", path)
        .env_remove("ASOF_PROJECT")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran { what: line.to_owned(), output }
}

/// The lines of a command's help that can be typed; one that ends with a backslash goes on in the next.
fn examples(help: &str) -> Vec<String> {
    let mut examples: Vec<String> = Vec::new();
    for line in help.lines() {
        match examples.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push_str(line.trim());
            }
            _ if line.starts_with("  asof ") => examples.push(line.trim().to_owned()),
            _ => {}
        }
    }
    examples
}

/// `history --help` showed a command that could not work: two columns of one name, and no time column.
#[test]
fn every_example_of_every_help_can_be_typed() {
    let project = flights();
    let help = project.run(&["--help"]).done().stdout();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    // The Redis of the examples.
    let redis = asof::testing::RedisServer::start().unwrap();
    let mut typed = 0;
    for name in names.into_iter().filter(|name| *name != "help") {
        for example in examples(&project.run(&[name, "--help"]).done().stdout()) {
            // They have tests of their own; one needs no folder, and one goes on until it is stopped.
            if name == "demo" || name == "serve" {
                continue;
            }
            let copy = Project::empty();
            shell(&project.dir, &format!("cp -R . '{}'", copy.dir.display())).done();
            if example.contains("key revoke") {
                copy.run(&["key", "create", "dashboard"]).done();
            }
            if name != "snapshot" {
                copy.run(&["snapshot", "before_backfill"]).done();
            }
            if example.contains("@2") {
                let second = "\n[views.\"weather@2\"]\nentities = [\"airport\"]\nfeatures.temp = \"float32\"\n";
                copy.put("asof.toml", FLIGHTS.replace("weather:", "weather@1:") + second);
                copy.run(&["apply"]).done();
            }
            let line = example.replace("/etc/bash_completion.d/", "").replace("redis://localhost:6379", &redis.url());
            shell(&copy.dir, &line).done();
            typed += 1;
        }
    }
    assert!(typed >= 20, "{typed} examples");
}

/// The README's commands after `init` failed at the last.
#[test]
fn the_readmes_commands_can_be_typed_one_after_the_other() {
    let project = Project::empty();
    let (_, after) = README.split_once("## The command line").unwrap();
    let block = after.split("```").nth(1).unwrap();
    let lines: Vec<&str> = block.lines().skip(1).collect();
    let [init, rest @ ..] = lines.as_slice() else { panic!("{block}") };
    assert!(init.starts_with("asof init churn && cd churn"), "{init}");
    shell(&project.dir, init).done();
    let profile = [
        ("customer_id", Arc::new(Int64Array::from(vec![7])) as ArrayRef),
        time("event_timestamp"),
        text("country", "SE"),
        ("balance", Arc::new(Decimal128Array::from(vec![100]).with_precision_and_scale(12, 2).unwrap())),
        text("plan", "free"),
        int("age_years"),
    ];
    project.put_columns("churn/profile.parquet", &profile);
    project.put("churn/labels.csv", "customer_id,referrer_id,event_timestamp\n7,3,2013-06-02T00:00:00Z\n");
    assert!(rest.len() >= 4, "{rest:?}");
    for line in rest {
        shell(&project.path("churn"), line).done();
    }
    let training = std::fs::metadata(project.path("churn/training.parquet")).unwrap();
    assert!(training.len() > 0);
}
