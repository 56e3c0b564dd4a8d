//! What the library says of itself: where an answer comes from, whether what it stored is still there, and rows
//! written one by one.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use asof::definition::{Definitions, Feature, FeatureView, Selection, Source};
use asof::options::{Durability, Sizes};
use asof::time::{ManualClock, Timestamp};
use asof::value::{DataType, Value};
use asof::{
    ApplyOptions, BadRows, BulkOptions, CheckProgress, CheckReport, Checksum, DeleteOptions, ErrorKind, Explanation,
    Features, GetOptions, KnownAt, Location, Row, ScanOptions, Severity, Status, Store, TableVerdict, TemporaryStore,
    WriteOptions,
};

const SECOND: i64 = 1_000_000;

fn second(at: i64) -> Timestamp {
    Timestamp(at * SECOND)
}

fn definitions(more: bool) -> Definitions {
    let mut view = FeatureView::new("weather")
        .entity("airport")
        .ttl(Duration::from_secs(100))
        .feature("temp", DataType::Float64)
        .feature("sky", DataType::String);
    if more {
        view = view.feature("wind", DataType::Int32);
    }
    Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(view)
}

fn store(now: i64) -> (TemporaryStore, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(second(now)));
    let store = Store::builder().clock(clock.clone()).background(false).temporary().unwrap();
    store.apply(&definitions(false), ApplyOptions::default()).unwrap();
    (store, clock)
}

fn row(origin: &str, at: i64, temp: f64) -> Row {
    Row::new().at(second(at)).set("origin", origin).set("temp", temp).set("sky", "a sky of more than twelve bytes")
}

/// Where a service joins a view through a column of the caller's own, the view's own key was taken when that was left out: the
/// destination was answered with the departure's values.
#[test]
fn a_handle_takes_each_views_key_from_the_column_that_the_service_names() {
    let (store, _clock) = store(1_000);
    let there = Selection {
        view: "weather".parse().unwrap(),
        alias: Some("there".into()),
        join_keys: [("origin".to_owned(), "dest".to_owned())].into(),
        features: vec!["temp".into()],
    };
    let mut here = there.clone();
    (here.alias, here.join_keys) = (None, Default::default());
    store.write_rows("weather", [row("JFK", 1, 1.0), row("LAX", 1, 2.0)]).unwrap();
    let mut online = store.online(&Features::List(vec![here, there.clone()])).unwrap();
    let key = online.key(&[("origin", "JFK".into()), ("dest", "LAX".into())]).unwrap();
    let answer = online.get(&key, second(2)).unwrap();
    assert_eq!((answer.f64(0), answer.f64(1)), (Some(1.0), Some(2.0)));
    let error = online.key(&[("origin", "JFK".into())]).unwrap_err().to_string();
    assert!(error.contains("there needs the join key dest"), "{error}");
    // And where nothing is joined through it, the view's own column is none.
    let there_alone = store.online(&Features::List(vec![there])).unwrap();
    let error = there_alone.key(&[("origin", "JFK".into())]).unwrap_err().to_string();
    assert!(error.contains("no view that is asked for has a join key origin"), "{error}");
}

fn explain(store: &Store, feature: &str, origin: &str, at: Option<i64>) -> Explanation {
    let options = GetOptions { at: at.map(second), ..GetOptions::default() };
    let explained = store.explain(feature, &[("origin", origin.into())], &options).unwrap();
    // What is explained is what is answered.
    let answer = &store.get(&Features::list([feature]).unwrap(), &[("origin", origin.into())], &options).unwrap()[0];
    assert_eq!((explained.status, &explained.value.value), (answer.status, &answer.value));
    explained
}

#[test]
fn an_explanation_names_the_row_its_place_and_its_commit() {
    let (store, clock) = store(1_000);
    let options = WriteOptions { source: Some("sensor".into()), ..WriteOptions::default() };
    store.write_rows_with("weather", [row("JFK", 950, 39.0), row("LGA", 950, 40.0)], &options).unwrap();
    let explained = explain(&store, "weather:temp", "JFK", None);
    assert_eq!(explained.value.value, Value::Float64(39.0));
    assert_eq!(explained.latest_table, Some(TableVerdict::Answers));
    let found = explained.row.unwrap();
    assert!(matches!(&found.location, Location::Log { file, .. } if store.path().join(file).exists()));
    assert_eq!((found.event_ts, &found.checksum), (second(950), &Checksum::Good));
    let commit = found.provenance.unwrap();
    assert_eq!((commit.ingested_at, commit.source.as_deref()), (second(1_000), Some("sensor")));
    assert_eq!(commit.last_seq, found.seq + 1);

    // Sealed, the same row lies in a run, and its commit's time in a file of its own.
    store.seal().unwrap();
    let sealed = explain(&store, "weather:temp", "JFK", Some(1_000)).row.unwrap();
    let Location::Run { file, id, .. } = &sealed.location else { panic!("{:?}", sealed.location) };
    assert!(store.path().join(file).exists() && *id > 0);
    assert_eq!((sealed.seq, &sealed.provenance, &sealed.checksum), (found.seq, &Some(commit), &Checksum::Good));

    // An import says what it was.
    clock.set(second(1_010));
    let append = BulkOptions { append: true, ..BulkOptions::default() };
    let mut bulk = store.bulk_writer("weather", append).unwrap();
    let batch = store.scan("weather", &ScanOptions::default()).unwrap().next().unwrap().unwrap();
    bulk.write(&batch).unwrap();
    bulk.commit().unwrap();
    let imported = explain(&store, "weather:temp", "LGA", None).row.unwrap().provenance.unwrap();
    assert_eq!((imported.ingested_at, imported.by.as_deref()), (second(1_010), Some("import weather@1")));
}

/// Rows of the log are in memory, and a run's were verified when they were read first: only an explanation looks again.
#[test]
fn an_explanation_tells_of_damage_that_came_after_the_row_was_read() {
    let (store, _clock) = store(1_000);
    store.write_rows("weather", [row("JFK", 950, 39.0)]).unwrap();
    for is_sealed in [false, true] {
        if is_sealed {
            store.seal().unwrap();
        }
        let found = explain(&store, "weather:temp", "JFK", None).row.unwrap();
        assert_eq!((matches!(found.location, Location::Run { .. }), found.checksum), (is_sealed, Checksum::Good));
        let (Location::Log { file, .. } | Location::Run { file, .. } | Location::Registry { file }) = found.location;
        let on_disk = fs::File::options().read(true).write(true).open(store.path().join(&file)).unwrap();
        let mut bytes = vec![0; 16 << 10];
        let len = on_disk.read_at(&mut bytes, 0).unwrap();
        let at = bytes[..len].windows(8).position(|bytes| bytes == 39_f64.to_le_bytes()).unwrap();
        on_disk.write_at(&40_f64.to_le_bytes(), at as u64).unwrap();
        let explained = store.explain("weather:temp", &[("origin", "JFK".into())], &GetOptions::default()).unwrap();
        let Checksum::Damaged(what) = explained.row.unwrap().checksum else { panic!("sealed: {is_sealed}") };
        assert!(what.contains(file.to_str().unwrap()), "{what}");
    }
}

#[test]
fn an_explanation_says_why_there_is_no_value() {
    let (store, clock) = store(1_000);
    assert!(explain(&store, "weather:temp", "JFK", None).why.contains("has no row of this entity"));
    let first = store.write_rows("weather", [row("JFK", 900, 1.0)]).unwrap().first_seq;
    assert!(explain(&store, "weather:temp", "JFK", Some(899)).why.contains("its latest is of 1970-01-01T00:15:00Z"));
    let known = GetOptions { known_at: Some(KnownAt::Seq(first - 1)), ..GetOptions::default() };
    let then = store.explain("weather:temp", &[("origin", "JFK".into())], &known).unwrap();
    assert_eq!((then.status, then.row), (Status::NotFound, None));
    assert!(then.why.contains(&format!("was learned at seq {first}")), "{}", then.why);

    let edge = explain(&store, "weather:temp", "JFK", Some(1_000));
    assert_eq!(edge.status, Status::Present);
    let late = explain(&store, "weather:temp", "JFK", Some(1_001));
    assert_eq!(late.status, Status::OutsideMaxAge);
    assert!(late.why.contains("1m 41s old, and the view's ttl is 100s"), "{}", late.why);
    assert_eq!(late.row.unwrap().seq, first);

    let at = DeleteOptions { at: Some(second(950)), ..DeleteOptions::default() };
    store.delete("weather", &[("origin", "JFK".into())], &at).unwrap();
    let deleted = explain(&store, "weather:temp", "JFK", None);
    assert_eq!((deleted.status, deleted.row.unwrap().kind), (Status::NotFound, "delete"));
    assert!(deleted.why.contains("deleted from 1970-01-01T00:15:50Z on"), "{}", deleted.why);

    store.write_rows("weather", [row("JFK", 960, 1.0).set("temp", None::<f64>)]).unwrap();
    assert!(explain(&store, "weather:temp", "JFK", None).why.ends_with("holds null"));
    store.apply(&definitions(true), ApplyOptions::default()).unwrap();
    let young = explain(&store, "weather:wind", "JFK", None);
    assert!(young.why.contains("is older than the feature"), "{}", young.why);
    assert_eq!(young.status, Status::NullValue);

    // The greatest row lies ahead of the clock: the table passes, log and runs answer.
    store.write_rows("weather", [row("JFK", 1_100, 2.0).set("wind", 1)]).unwrap();
    let ahead = explain(&store, "weather:sky", "JFK", None);
    assert_eq!((ahead.latest_table, ahead.status), (Some(TableVerdict::Passes), Status::Present));
    clock.set(second(1_100));
    assert_eq!(explain(&store, "weather:temp", "JFK", None).latest_table, Some(TableVerdict::Answers));
    let json = serde_json::to_value(explain(&store, "weather:temp", "JFK", None)).unwrap();
    assert_eq!((&json["value"], &json["dtype"], &json["status"]), (&2.0.into(), &"float64".into(), &"PRESENT".into()));
}

#[test]
fn what_cannot_be_explained_is_named() {
    let (store, _) = store(1_000);
    let failure = |feature: &str, entity: &[(&str, Value)]| {
        store.explain(feature, entity, &GetOptions::default()).unwrap_err().to_string()
    };
    let jfk = [("origin", Value::from("JFK"))];
    assert!(failure("weather:*", &jfk).contains("more than one feature; name one"));
    assert!(failure("weather", &jfk).contains("is no feature reference"));
    assert!(failure("wether:temp", &jfk).contains("did you mean weather?"));
    assert!(failure("weather:tmp", &jfk).contains("did you mean weather:temp?"));
    assert!(failure("weather:temp", &[]).contains("the join key origin (string) is missing"));
    assert!(failure("weather:temp", &[("origin", Value::Int64(1))]).contains("string"));
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A store with rows in every kind of file, closed.
fn filled() -> (Folder, PathBuf) {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let folder = Folder(std::env::temp_dir().join(format!("asof-library-{}-{number}", std::process::id())));
    fs::create_dir(&folder.0).unwrap();
    let path = folder.0.join("store");
    let clock = Arc::new(ManualClock::new(second(1_000)));
    let sizes = Sizes { segment_bytes: 1 << 20, ..Sizes::default() };
    let store = Store::builder().clock(clock).sizes(sizes).background(false).open(&path).unwrap();
    store.apply(&definitions(false), ApplyOptions::default()).unwrap();
    for round in 0..4 {
        let rows = (0..300).map(|i| row(&format!("airport {}", i % 50), 900 + i % 7 + round, i as f64));
        store.write_rows("weather", rows).unwrap();
        if round < 2 {
            store.seal().unwrap();
        }
    }
    store.close().unwrap();
    (folder, path)
}

fn check(path: &Path) -> CheckReport {
    Store::builder().check(path, &mut |_| ()).unwrap()
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

#[test]
fn a_sound_store_has_no_problems_while_it_is_written_to_and_after() {
    let (store, _) = store(1_000);
    assert_eq!(store.check(&mut |_| ()).unwrap().problems, []);
    let (_keep, path) = filled();
    let mut told = Vec::new();
    let report = Store::builder().check(&path, &mut |progress| told.push(progress)).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!((report.rows, report.passed_over.len()), (1_200, 0), "{:?}", report.passed_over);
    assert!(report.latest_compared >= 50);
    let mut files = Vec::new();
    files_below(&path, &mut files);
    let unread = ["LOCK"];
    assert_eq!(report.files, (files.len() - unread.len()) as u64, "{files:?}");
    assert!(told.windows(2).all(|pair| pair[0].bytes <= pair[1].bytes));
    assert!(told.iter().all(|progress| progress.bytes <= progress.bytes_total));
    // It is at the end when everything was read, and no sooner.
    let is_at_end = |progress: &CheckProgress| progress.bytes == progress.bytes_total;
    assert!(told.iter().take(told.len() / 2).all(|progress| !is_at_end(progress)), "{told:?}");
    assert!(told.last().is_some_and(is_at_end), "{told:?}");
}

/// Checks the store, and does `act` when the check has told of its progress so many times; `None` where it did not come so far.
fn check_and(path: &Path, tells_before: usize, mut act: impl FnMut()) -> Option<CheckReport> {
    let mut tells = 0;
    let check = Store::builder().check(path, &mut |_| {
        if tells == tells_before {
            act();
        }
        tells += 1;
    });
    (tells > tells_before).then(|| check.unwrap())
}

#[test]
fn rows_of_runs_that_are_merged_while_a_store_is_checked_are_counted_once_and_missed_by_nobody() {
    let mut merged = Vec::new();
    for tells_before in 0.. {
        let (_keep, path) = filled();
        let sizes = Sizes { merge_fanout: 2, ..Sizes::default() };
        let store = Store::builder().sizes(sizes).background(false).open(&path).unwrap();
        store.seal().unwrap();
        let runs = |store: &Store| store.views().unwrap()[0].runs;
        assert_eq!(runs(&store), 3);
        let Some(report) = check_and(&path, tells_before, || store.compact().map(drop).unwrap()) else { break };
        assert_eq!(runs(&store), 1);
        assert_eq!(report.problems, [], "merged after {tells_before}");
        assert_eq!(report.rows, 1_200, "merged after {tells_before}: {:?}", report.passed_over);
        merged.push(report.passed_over.iter().filter(|what| what.contains("merged into another meanwhile")).count());
    }
    for gone in 0..=3 {
        assert!(merged.contains(&gone), "{gone} runs were gone before they were read: {merged:?}");
    }
}

#[test]
fn rows_that_are_sealed_while_a_store_is_checked_are_counted_and_compared_with_the_table() {
    for tells_before in 0.. {
        let (_keep, path) = filled();
        let store = Store::builder().background(false).open(&path).unwrap();
        let written = store.write_rows("weather", (0..300).map(|i| row(&format!("new {i}"), 950, 0.0))).unwrap();
        assert_eq!(written.rows, 300);
        let Some(report) = check_and(&path, tells_before, || store.seal().map(drop).unwrap()) else { break };
        assert_eq!(report.problems, [], "sealed after {tells_before}");
        assert_eq!(report.rows, 1_500, "sealed after {tells_before}: {:?}", report.passed_over);
    }
}

#[test]
fn a_writer_that_comes_and_seals_while_a_store_without_its_head_is_checked_raises_no_alarm() {
    for tells_before in 0.. {
        let (_keep, path) = filled();
        let builder = Store::builder().background(false);
        let store = builder.clone().open(&path).unwrap();
        store.write_rows("weather", (0..300).map(|i| row(&format!("new {i}"), 950, 0.0))).unwrap();
        drop(store);
        fs::remove_file(path.join("HEAD")).unwrap();
        let mut writer = None;
        let comes_and_seals = || {
            let store = builder.clone().open(&path).unwrap();
            store.seal().unwrap();
            writer = Some(store);
        };
        let Some(report) = check_and(&path, tells_before, comes_and_seals) else { break };
        let others: Vec<_> = report.problems.iter().filter(|problem| problem.file != Path::new("HEAD")).collect();
        assert!(others.is_empty(), "sealed after {tells_before}: {others:?}");
        assert_eq!(report.rows, 1_500, "sealed after {tells_before}: {:?}", report.passed_over);
    }
}

#[test]
fn a_log_that_is_sealed_again_whenever_a_check_comes_to_it_ends_the_check_with_what_to_do() {
    let (_keep, path) = filled();
    let store = Store::builder().background(false).open(&path).unwrap();
    let mut seals = 0;
    let outcome = Store::builder().check(&path, &mut |_| {
        // What the log had goes into a run, and it has a row again.
        seals += 1;
        store.seal().unwrap();
        store.write_rows("weather", [row("new", 950, seals as f64)]).unwrap();
    });
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    assert!(error.to_string().contains("sealed more often than it can be read"), "{error}");
    assert!(error.to_string().contains("while less is written to it"), "{error}");
    assert!(seals >= 20, "given up after {seals} seals");
    drop(store);
    assert_eq!(check(&path).problems, []);
}

#[test]
fn every_byte_that_changes_is_told_of_with_its_file() {
    let (_keep, path) = filled();
    let mut files = Vec::new();
    files_below(&path, &mut files);
    for file in &files {
        let name = file.strip_prefix(&path).unwrap();
        if name == Path::new("LOCK") || name == Path::new("registry.redb") {
            continue;
        }
        let bytes = fs::read(file).unwrap();
        let handle = fs::OpenOptions::new().write(true).open(file).unwrap();
        // Log segments are reserved far ahead, tables have free slots, HEAD is a page: bytes that mean something.
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let steps = if name.starts_with("latest") { 60 } else { 7 };
        let mut found = 0;
        for step in 0..steps {
            let at = step * (used - 1) / (steps - 1);
            if bytes[at] == 0 && name.starts_with("latest") {
                continue;
            }
            handle.write_at(&[bytes[at] ^ 0x10], at as u64).unwrap();
            let report = match Store::builder().check(&path, &mut |_| ()) {
                Ok(report) => report,
                // A STORE file whose magic differs is no store at all.
                Err(error) => {
                    assert!(name == Path::new("STORE"), "{}: {error}", name.display());
                    handle.write_at(&[bytes[at]], at as u64).unwrap();
                    continue;
                }
            };
            let told = report.problems.iter().any(|problem| problem.file == name)
                // A derived file that says it must be made anew is none to complain of.
                || name.starts_with("latest") && !report.passed_over.is_empty()
                || name == Path::new("HEAD") && report.problems.is_empty();
            found += usize::from(told);
            if !name.starts_with("latest") {
                assert!(told, "{} at {at}: {report:?}", name.display());
                let is_derived = name == Path::new("HEAD");
                assert!(is_derived || !report.is_sound(), "{} at {at}: {report:?}", name.display());
            }
            handle.write_at(&[bytes[at]], at as u64).unwrap();
        }
        assert!(found > 0, "{}: nothing was noticed", name.display());
    }
    assert_eq!(check(&path).problems, []);
}

#[test]
fn a_missing_file_and_one_too_many_are_told_of() {
    let (_keep, path) = filled();
    let mut files = Vec::new();
    files_below(&path, &mut files);
    for file in &files {
        let name = file.strip_prefix(&path).unwrap();
        if [Path::new("LOCK"), Path::new("STORE")].contains(&name) {
            continue;
        }
        let aside = path.with_file_name("aside");
        fs::rename(file, &aside).unwrap();
        let report = check(&path);
        fs::rename(&aside, file).unwrap();
        if name.starts_with("latest") {
            assert!(report.is_sound() && report.passed_over.len() == 1, "{report:?}");
            continue;
        }
        let stem = name.with_extension("");
        let told = report.problems.iter().find(|problem| problem.file.with_extension("") == stem);
        let told = told.unwrap_or_else(|| panic!("{}: {report:?}", name.display()));
        let is_derived = name == Path::new("HEAD") || name == Path::new("registry.redb");
        let expected = if is_derived { Severity::Derived } else { Severity::Damage };
        assert_eq!(told.severity, expected, "{told:?}");
        assert!(!told.remedy.is_empty());
    }
    let run = files.iter().find(|file| file.extension().is_some_and(|e| e == "arrow")).unwrap();
    let stray = run.with_file_name("0000009999.arrow");
    fs::write(&stray, "x").unwrap();
    let report = check(&path);
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert_eq!(report.problems[0].severity, Severity::Leftover);
    assert_eq!(path.join(&report.problems[0].file), stray);
    fs::remove_file(&stray).unwrap();
    assert_eq!(Store::builder().check(path.join("log"), &mut |_| ()).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn the_registry_is_compared_with_manifest_and_what_was_set_aside_is_looked_at() {
    let (_keep, path) = filled();
    let registry = path.join("registry.redb");
    let older = fs::read(&registry).unwrap();
    let problem = || match &check(&path).problems[..] {
        [one] => (one.severity, one.file.clone(), one.what.clone()),
        others => panic!("{others:?}"),
    };
    Store::builder().background(false).open(&path).unwrap().snapshot("s").unwrap();
    assert_eq!(check(&path).problems, []);
    let newer = fs::read(&registry).unwrap();
    // Each page of redb's carries checksums, and its records a seal of ours.
    let mut noticed = 0;
    let used = newer.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..used).step_by(used / 60) {
        let mut damaged = newer.clone();
        damaged[at] ^= 0x10;
        fs::write(&registry, damaged).unwrap();
        noticed += usize::from(check(&path).problems.iter().any(|problem| problem.file == Path::new("registry.redb")));
    }
    assert!(noticed > 0);
    fs::write(&registry, older).unwrap();
    let (severity, file, what) = problem();
    assert_eq!((severity, file.to_str()), (Severity::Derived, Some("registry.redb")));
    assert!(what.contains("other records"), "{what}");
    fs::remove_file(&registry).unwrap();
    assert_eq!(problem().2, "it is missing");
    assert!(!registry.exists(), "a check makes nothing");
    fs::write(&registry, newer).unwrap();
    fs::write(path.join("quarantine/0000000001-weather.jsonl"), "{}\n").unwrap();
    assert_eq!(check(&path).problems, []);
    fs::write(path.join("quarantine/notes.txt"), "?").unwrap();
    let (severity, file, _) = problem();
    assert_eq!((severity, file.to_str()), (Severity::Leftover, Some("quarantine/notes.txt")));
}

#[test]
fn a_run_that_is_missing_is_damage_with_a_way_out_and_entities_are_counted_by_the_table() {
    let (_keep, path) = filled();
    let mut runs = Vec::new();
    files_below(&path.join("history"), &mut runs);
    let run = runs.iter().find(|file| file.extension().is_some_and(|ending| ending == "arrow")).unwrap();
    let builder = Store::builder().clock(Arc::new(ManualClock::new(second(1_000)))).background(false);
    for store in [builder.clone().open(&path).unwrap(), builder.clone().open_read_only(&path).unwrap()] {
        let view = &store.views().unwrap()[0];
        assert!(view.runs > 1 && view.rows_in_log > 0);
        assert_eq!(view.entity_count, Some(50));
    }
    let aside = path.with_file_name("aside");
    fs::rename(run, &aside).unwrap();
    for store in [builder.clone().open(&path).unwrap(), builder.open_read_only(&path).unwrap()] {
        let long_ago = GetOptions { at: Some(second(901)), ..GetOptions::default() };
        let features = Features::list(["weather:temp"]).unwrap();
        let error = store.get(&features, &[("origin", "airport 1".into())], &long_ago).unwrap_err();
        assert_eq!((error.kind(), error.what()), (ErrorKind::Damaged, "the run's file is missing"));
        assert!(error.place().unwrap().ends_with(run.file_name().unwrap().to_str().unwrap()), "{error}");
        assert!(error.way_out().unwrap().contains("put the file back"));
    }
}

#[test]
fn what_was_applied_is_said_to_be_though_a_table_cannot_be_built() {
    let (_keep, path) = filled();
    let mut files = Vec::new();
    ["history", "latest"].iter().for_each(|folder| files_below(&path.join(folder), &mut files));
    let is_run_or_table = |file: &Path| file.extension().is_some_and(|ending| ending == "arrow" || ending == "idx");
    for file in files.iter().filter(|file| is_run_or_table(file) || file.starts_with(path.join("latest"))) {
        fs::remove_file(file).unwrap();
    }
    let builder = Store::builder().clock(Arc::new(ManualClock::new(second(1_000))));
    for (is_forwarded, name) in [(false, "plane"), (true, "train")] {
        let holder = builder.clone().background(is_forwarded).open(&path).unwrap();
        let store = if is_forwarded { builder.clone().open_or_forward(&path).unwrap() } else { holder.clone() };
        let view = FeatureView::new(name).entity("airport").feature("seats", DataType::Int64);
        let plan = store.apply(&definitions(false).view(view), ApplyOptions::default()).unwrap();
        assert!(!plan.is_empty());
        assert!(holder.views().unwrap().iter().any(|view| view.view == name));
    }
}

#[test]
fn a_table_that_says_something_else_than_the_rows_is_told_of() {
    let (_keep, path) = filled();
    // The table of a store with other rows, under this store's name and marks, is not made up here: a row that
    // the log lost will do. Cut the log's last commits away, and the table has rows that nothing else has.
    let mut logs = Vec::new();
    files_below(&path.join("log"), &mut logs);
    let log = logs.iter().max().unwrap();
    let bytes = fs::read(log).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    fs::OpenOptions::new().write(true).open(log).unwrap().write_at(&vec![0; used - 512], 512).unwrap();
    let report = check(&path);
    assert!(!report.is_sound());
    let of_table = |severity| report.problems.iter().any(|p| p.severity == severity && p.file.starts_with("latest"));
    assert!(of_table(Severity::Derived), "{report:?}");
}

#[test]
fn scans_and_checks_beside_a_writer_that_seals_and_merges_see_whole_commits_and_raise_no_alarm() {
    let (_keep, path) = filled();
    let sizes = Sizes { segment_bytes: 64 << 10, run_file_bytes: 16 << 10, merge_fanout: 2, ..Sizes::default() };
    let clock = Arc::new(ManualClock::new(second(1_000)));
    let builder = Store::builder().clock(clock).sizes(sizes).durability(Durability::Os).background(false);
    let store = builder.clone().open(&path).unwrap();
    let before = store.summary().unwrap();
    // Numbers above those of the closed store, ten a commit.
    let first = store.write_rows("weather", (0..10).map(|i| row(&format!("new {i}"), 950, 0.0))).unwrap().first_seq;
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..150_i64 {
                let rows = (0..10).map(|i| row(&format!("new {i}"), 900 + round % 90, round as f64));
                store.write_rows("weather", rows).unwrap();
                if round % 5 == 0 {
                    store.compact().unwrap();
                }
            }
            is_done.store(true, Ordering::Release);
        });
        let reader = builder.clone().open_read_only(&path).unwrap();
        for looked in 0.. {
            let is_last = is_done.load(Ordering::Acquire);
            let source = if looked % 2 == 0 { &store } else { &reader };
            let scan = source.scan("weather", &ScanOptions { batch_rows: 100, ..ScanOptions::default() }).unwrap();
            let known = scan.known_at_seq();
            let rows: u64 = scan.map(|batch| batch.unwrap().num_rows() as u64).sum();
            assert_eq!(rows, before.rows + known + 1 - first, "rows up to {known}");
            assert_eq!((known + 1 - first) % 10, 0, "whole commits");
            let report = builder.check(&path, &mut |_| ()).unwrap();
            assert_eq!(report.problems, []);
            source.explain("weather:temp", &[("origin", "new 3".into())], &GetOptions::default()).unwrap();
            assert!(source.views().unwrap()[0].rows >= rows);
            if is_last {
                break;
            }
        }
    });
}

#[test]
fn rows_are_converted_as_columns_are() {
    let types = [
        ("i32", "int32"),
        ("i64", "int64"),
        ("f32", "float32"),
        ("f64", "float64"),
        ("text", "string"),
        ("json", "json"),
        ("money", "decimal(6,2)"),
        ("list", "list<int64>"),
        ("vector", "vector<2>"),
        ("when", "timestamp"),
    ];
    let mut view = FeatureView::new("v").entity("user");
    for (name, dtype) in types {
        view = view.with(Feature::new(name, dtype.parse().unwrap()));
    }
    let store = Store::temporary().unwrap();
    let definitions = Definitions::new("test").entity("user", [("id", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let good = Row::new()
        .at(second(5))
        .set("id", 7)
        .set("i32", 8_i64)
        .set("i64", 3.0)
        .set("f32", 0.1_f64)
        .set("f64", 4)
        .set("text", "hello")
        .set("json", "{\"a\":1}")
        .set("money", Value::Decimal(123))
        .set("list", Value::List(vec![Value::Int32(1), Value::Null]))
        .set("vector", Value::Vector(vec![1.0, 2.0]))
        .set("when", second(1));
    assert_eq!(store.write_rows("v", [good.clone()]).unwrap().rows, 1);
    let at = GetOptions { at: Some(second(5)), ..GetOptions::default() };
    let values = |id: i64| -> Vec<Value> {
        let answers = store.get(&Features::list(["v:*"]).unwrap(), &[("id", id.into())], &at).unwrap();
        answers.into_iter().map(|answer| answer.value).collect()
    };
    assert_eq!(
        values(7),
        [
            Value::Int32(8),
            Value::Int64(3),
            Value::Float32(0.1),
            Value::Float64(4.0),
            "hello".into(),
            Value::Json("{\"a\":1}".into()),
            Value::Decimal(123),
            Value::List(vec![Value::Int64(1), Value::Null]),
            Value::Vector(vec![1.0, 2.0]),
            Value::Timestamp(SECOND),
        ]
    );
    let bad: [(&str, Value); 8] = [
        ("i32", Value::Int64(1 << 40)),
        ("i64", Value::Float64(3.5)),
        ("text", Value::Int32(1)),
        ("json", "{".into()),
        ("money", Value::Decimal(10_000_000)),
        ("list", Value::List(vec![Value::from("x")])),
        ("vector", Value::Vector(vec![1.0])),
        ("id", Value::Null),
    ];
    for (name, value) in bad {
        let error = store.write_rows("v", [good.clone(), good.clone().set(name, value)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.contains("view v@1") && text.contains("row 1") && text.contains(name), "{text}");
    }
    let rows: usize = store.scan("v", &ScanOptions::default()).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 1, "nothing of a refused batch is written");
}

#[test]
fn rows_that_say_too_little_or_too_much_are_refused() {
    let (store, _) = store(1_000);
    let failure = |row: Row| store.write_rows("weather", [row]).unwrap_err().to_string();
    let good = row("JFK", 900, 1.0);
    let unset = failure(Row::new().at(second(1)).set("origin", "JFK").set("temp", 1.0));
    assert!(unset.contains("row 0: sky: is not set"), "{unset}");
    assert!(failure(good.clone().set("tmp", 1.0)).contains("no join key or feature tmp; did you mean temp?"));
    assert!(failure(good.clone().created(second(1))).contains("declares no created timestamp"));
    let timeless = failure(Row::new().set("origin", "JFK").set("temp", 1.0).set("sky", "x"));
    assert!(timeless.contains("event_timestamp: is not set; give it with Row::at"), "{timeless}");
    assert!(failure(row("JFK", 9_000, 1.0)).contains("ahead of the clock"));
    assert_eq!(store.write_rows("wether", [good]).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.write_rows("weather", []).unwrap().rows, 0);
}

#[test]
fn a_deleted_row_needs_its_key_and_its_time_alone() {
    let (store, _) = store(1_000);
    store
        .write_rows("weather", [row("JFK", 900, 1.0), Row::new().at(second(950)).set("origin", "JFK").deleted()])
        .unwrap();
    assert_eq!(explain(&store, "weather:temp", "JFK", None).status, Status::NotFound);
    assert_eq!(explain(&store, "weather:temp", "JFK", Some(949)).status, Status::Present);
    let constant = FeatureView::new("config").feature("x", DataType::Int64);
    let constant = constant.source(Source::default().constant_event_time(second(1)));
    store.apply(&definitions(false).view(constant), ApplyOptions::default()).unwrap();
    store.write_rows("config", [Row::new().set("x", 1)]).unwrap();
    let error = store.write_rows("config", [Row::new().at(second(2)).set("x", 1)]).unwrap_err().to_string();
    assert!(error.contains("leave Row::at out"), "{error}");
    store.write_rows("config", [Row::new().at(second(2)).deleted()]).unwrap();
    let value = &store.get(&Features::list(["config:x"]).unwrap(), &[], &GetOptions::default()).unwrap()[0];
    assert_eq!(value.status, Status::NotFound);
}

#[test]
fn a_deleted_row_without_a_created_time_wins_at_its_event_time_where_it_is_written_and_is_refused_in_an_import() {
    // As `Store::delete` has it: "none" is what every row with a created time beats.
    const EVENT: i64 = 500;
    let view = || FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64);
    let created = "created_timestamp";
    let definitions = Definitions::new("flights")
        .entity("airport", [("origin", DataType::String)])
        .view(view().source(Source::default().created_timestamp(created)));
    let rows = |rows: &[(&str, Option<i64>, Option<f64>)]| {
        let created_us = rows.iter().map(|row| row.1.map(|at| at * SECOND)).collect::<TimestampMicrosecondArray>();
        RecordBatch::try_from_iter_with_nullable([
            ("origin", Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()) as ArrayRef, true),
            ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![EVENT * SECOND; rows.len()])), true),
            (created, Arc::new(created_us), true),
            ("temp", Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()), true),
            ("_deleted", Arc::new(rows.iter().map(|row| Some(row.2.is_none())).collect::<BooleanArray>()), true),
        ])
        .unwrap()
    };
    let clock = Arc::new(ManualClock::new(second(1_000)));
    let store = Store::builder().clock(clock).background(false).temporary().unwrap();
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let write = |batches: &[RecordBatch]| batches.iter().for_each(|batch| drop(store.write("weather", batch).unwrap()));
    write(&[rows(&[("past", Some(505), Some(1.0)), ("ahead", Some(2_000), Some(1.0))])]);
    let deletes = [("past", None, None), ("ahead", None, None), ("told", Some(700), None)];
    // Rows taken in together, in one batch and in two, count as stored one before the other.
    let together = [("together", Some(3_000), Some(1.0)), ("together", None, None)];
    write(&[
        rows(&deletes),
        rows(&together),
        rows(&[("apart", Some(4_000), Some(1.0))]),
        rows(&[("apart", None, None)]),
    ]);
    for (origin, created) in [("past", 1_000), ("ahead", 2_000), ("told", 700), ("together", 3_000), ("apart", 4_000)] {
        let explained = explain(&store, "weather:temp", origin, Some(EVENT));
        assert_eq!(explained.status, Status::NotFound, "{origin}");
        assert_eq!(explained.row.unwrap().created, Some(second(created)), "{origin}");
    }
    let by_hand = store.delete(
        "weather",
        &[("origin", "past".into())],
        &DeleteOptions { at: Some(second(EVENT)), ..DeleteOptions::default() },
    );
    assert_eq!(by_hand.unwrap().created, Some(second(1_000)), "the same rule");

    let mut import = store.bulk_writer("weather", BulkOptions::default()).unwrap();
    let error = import.write(&rows(&[("told", Some(900), None), ("past", None, None)])).unwrap_err();
    assert!(error.to_string().contains("row 1: a delete needs a created timestamp in an import"), "{error}");
    let options = BulkOptions { bad_rows: BadRows::Quarantine, ..BulkOptions::default() };
    let mut import = store.bulk_writer("weather", options).unwrap();
    let refused = import.write(&rows(&[("told", Some(900), None), ("past", None, None)])).unwrap();
    assert_eq!(refused.iter().map(|refusal| refusal.row).collect::<Vec<_>>(), [1]);
    assert_eq!(import.commit().unwrap().rows_written, 1);
}

#[test]
fn an_entity_key_serves_the_features_it_was_made_for_and_no_others() {
    // It went by the number of views once, so that a key of another view of the store answered NOT_FOUND.
    let view = |name: &str, entity: &str| FeatureView::new(name).entity(entity).feature("temp", DataType::Float64);
    let definitions = Definitions::new("flights")
        .entity("airport", [("origin", DataType::String)])
        .entity("plane", [("tail", DataType::String)])
        .view(view("weather", "airport"))
        .view(view("engine", "plane"));
    let one_store = || {
        let store = Store::builder().background(false).temporary().unwrap();
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        let row = |key: &str| Row::new().at(second(1)).set(key, "JFK").set("temp", 1.0);
        store.write_rows("weather", [row("origin")]).unwrap();
        store.write_rows("engine", [row("tail")]).unwrap();
        store
    };
    let (store, other_store) = (one_store(), one_store());
    let online = |store: &Store, features: &[&str]| store.online(&Features::list(features).unwrap()).unwrap();
    let mut weather = online(&store, &["weather:temp"]);
    let key = weather.key(&[("origin", "JFK".into())]).unwrap();
    assert_eq!(weather.get(&key, second(2)).unwrap().f64(0), Some(1.0));
    assert_eq!(weather.clone().get(&key, second(2)).unwrap().f64(0), Some(1.0), "a clone takes its keys");
    assert_eq!(online(&store, &["weather:temp"]).get(&key, second(2)).unwrap().f64(0), Some(1.0));

    let entity: &[(&str, Value)] = &[("origin", "JFK".into()), ("tail", "JFK".into())];
    let of_both = online(&store, &["weather:temp", "engine:temp"]).key(entity).unwrap();
    let others = [
        online(&store, &["engine:temp"]).key(&[("tail", "JFK".into())]).unwrap(),
        online(&other_store, &["weather:temp"]).key(&[("origin", "JFK".into())]).unwrap(),
        of_both.clone(),
    ];
    for other in &others {
        let error = weather.get(other, second(2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("made for other features"), "{error}");
        let mut visited = 0;
        assert!(weather.get_batch(&[key.clone(), other.clone()], second(2), |_, _| visited += 1).is_err());
        assert!(visited <= 1);
    }
    let mut turned = online(&store, &["engine:temp", "weather:temp"]);
    assert!(turned.get(&of_both, second(2)).is_err(), "the same views in another order");
}

#[test]
fn a_batch_of_any_length_answers_as_single_gets_do_each_key_in_its_place() {
    let (store, _clock) = store(1_000);
    let name = |i: usize| format!("A{:03}{}", i % 70, "x".repeat(i % 3 * 9));
    store.write_rows("weather", (0..70).step_by(3).map(|i| row(&name(i), 950, i as f64))).unwrap();
    store.write_rows("weather", [row(&name(5), 1_001, 5.0), row(&name(5), 940, 4.0)]).unwrap();
    let mut online = store.online(&Features::list(["weather:temp", "weather:sky"]).unwrap()).unwrap();
    for count in [0, 1, 2, 63, 64, 65, 100, 128, 129] {
        let keys: Vec<_> = (0..count).map(|i| online.key(&[("origin", name(i).as_str().into())]).unwrap()).collect();
        let mut single = online.clone();
        let mut next = 0;
        online
            .get_batch(&keys, second(1_000), |i, answer| {
                assert_eq!(i, next);
                assert_eq!(answer.to_vec(), single.get(&keys[i], second(1_000)).unwrap().to_vec());
                next += 1;
            })
            .unwrap();
        assert_eq!(next, count);
    }
}

#[test]
fn a_batch_over_views_with_keys_of_different_widths_answers_as_single_gets_do() {
    let store = Store::temporary().unwrap();
    let definitions = Definitions::new("test")
        .entity("airport", [("origin", DataType::String)])
        .entity("aircraft", [("id", DataType::Int64)])
        .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64))
        .view(FeatureView::new("plane").entity("aircraft").feature("seats", DataType::Int64));
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let name = |i: i64| format!("A{}{}", i % 70, "x".repeat(i as usize % 3 * 9));
    let weather = |i: i64| Row::new().at(second(1)).set("origin", name(i).as_str()).set("temp", i as f64);
    store.write_rows("weather", (0..70).step_by(3).map(weather)).unwrap();
    let plane = |i: i64| Row::new().at(second(1)).set("id", i).set("seats", 10 * i);
    store.write_rows("plane", (0..90).step_by(2).map(plane)).unwrap();
    let mut online = store.online(&Features::list(["weather:temp", "plane:seats"]).unwrap()).unwrap();
    // Rounds are of 32 keys, as there are two views.
    for count in [0, 1, 31, 32, 33, 64, 65, 100] {
        let key = |i: i64| online.key(&[("origin", name(i).as_str().into()), ("id", (i % 95).into())]).unwrap();
        let keys: Vec<_> = (0..count).map(key).collect();
        let mut single = online.clone();
        let mut seen = Vec::new();
        online
            .get_batch(&keys, second(2), |i, answer| {
                assert_eq!(answer.to_vec(), single.get(&keys[i], second(2)).unwrap().to_vec(), "key {i} of {count}");
                let is_plane_there = i % 95 < 90 && i % 95 % 2 == 0;
                assert_eq!(answer.i64(1), is_plane_there.then_some(10 * (i as i64 % 95)), "key {i} of {count}");
                seen.push(i);
            })
            .unwrap();
        assert_eq!(seen, (0..keys.len()).collect::<Vec<_>>());
    }
}

#[test]
fn a_request_for_no_features_is_refused_by_every_read() {
    let (store, _clock) = store(1_000);
    let none = Features::List(Vec::new());
    let online = store.online(&none).map(drop);
    let get = store.get(&none, &[("origin", "JFK".into())], &GetOptions::default()).map(drop);
    let list = Features::list::<&str>([]).map(drop);
    for outcome in [online, get, list] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("no feature is asked for"), "{error}");
    }
}
