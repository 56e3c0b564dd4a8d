//! Real processes on a real file system: readers beside a writer, and a writer that is killed.
//!
//! Its own `main`, because it starts itself again as reader, writer or wanderer: `processes reader DIR`.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use asof::definition::{Definitions, FeatureView};
use asof::options::{Durability, Sizes};
use asof::time::Timestamp;
use asof::value::{DataType, Value};
use asof::{ApplyOptions, BulkOptions, Features, OnlineHandle, OnlineRow, Status, Store, StoreBuilder};

/// Keys in the first round; more come with every round, so that tables grow.
const KEYS_FIRST: i64 = 64;
const KEYS_MAX: i64 = 6_000;
const READERS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("reader") => return read_until_stopped(Path::new(&arguments[2])),
        Some("writer") => write_for_ever(Path::new(&arguments[2])),
        Some("wanderer") => return wander(Path::new(&arguments[2])),
        _ => {}
    }
    let tests: [(&str, fn()); 4] = [
        ("readers_never_see_a_torn_or_mixed_answer", readers_never_see_a_torn_or_mixed_answer),
        ("a_writer_killed_anywhere_stops_no_reader_and_loses_nothing", a_writer_killed_anywhere_stops_no_reader),
        ("a_slot_left_half_written_is_answered_out_of_history", a_slot_left_half_written_is_answered_out_of_history),
        ("a_store_opened_by_a_relative_path_stays_where_it_is", a_store_opened_by_a_relative_path_stays_where_it_is),
    ];
    let wanted = arguments.iter().skip(1).find(|argument| !argument.starts_with('-'));
    for (name, test) in tests.iter().filter(|(name, _)| wanted.is_none_or(|wanted| name.contains(wanted.as_str()))) {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

/// A folder, removed when the test ends well; left for a look when it does not.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("asof-processes-{}-{name}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    fn store(&self) -> PathBuf {
        self.0.join("store")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

fn builder() -> StoreBuilder {
    let sizes = Sizes { segment_bytes: 1 << 20, table_reserve_bytes: 1 << 30, ..Sizes::default() };
    Store::builder().sizes(sizes).durability(Durability::Os)
}

fn definitions() -> Definitions {
    let view = |name| {
        FeatureView::new(name)
            .entity("thing")
            .feature("number", DataType::Int64)
            .feature("text", DataType::String)
            .feature("root", DataType::Float64)
    };
    Definitions::new("processes").entity("thing", [("id", DataType::Int64)]).view(view("a")).view(view("b"))
}

/// Values that carry their own check: text and root follow from the number, which differs from key to key.
fn text_of(number: i64) -> String {
    "x".repeat(usize::try_from(number % 90).unwrap()) + &number.to_string()
}

fn number_of(key: i64, round: i64) -> i64 {
    round * KEYS_MAX + key
}

fn batch(keys: std::ops::Range<i64>, round: i64) -> RecordBatch {
    let numbers: Vec<i64> = keys.clone().map(|key| number_of(key, round)).collect();
    let stamps = TimestampMicrosecondArray::from(vec![round; numbers.len()]);
    RecordBatch::try_from_iter([
        ("id", Arc::new(keys.collect::<Int64Array>()) as ArrayRef),
        ("event_timestamp", Arc::new(stamps)),
        ("text", Arc::new(numbers.iter().map(|number| Some(text_of(*number))).collect::<StringArray>())),
        ("root", Arc::new(numbers.iter().map(|number| Some(root_of(*number))).collect::<Float64Array>())),
        ("number", Arc::new(Int64Array::from(numbers))),
    ])
    .unwrap()
}

fn root_of(number: i64) -> f64 {
    f64::from(u32::try_from(number % 1_000_000).unwrap()).sqrt()
}

fn features() -> Features {
    Features::list(["a:number", "a:text", "a:root", "b:number", "b:text", "b:root"]).unwrap()
}

/// The round a view's row is of, after its check; 0 for no row.
fn round_of(row: &OnlineRow<'_>, first: usize, key: i64) -> Result<i64, String> {
    let (status, at) = row.status(first);
    if status == Status::NotFound {
        return Ok(0);
    }
    let number = row.i64(first).ok_or_else(|| format!("key {key}: {status:?}"))?;
    let round = (number - key) / KEYS_MAX;
    if number_of(key, round) != number || at != Some(Timestamp(round)) {
        return Err(format!("key {key}: number {number} at {at:?}"));
    }
    if row.str(first + 1) != Some(&text_of(number)) || row.f64(first + 2) != Some(root_of(number)) {
        return Err(format!("key {key}: number {number} with text {:?}", row.str(first + 1)));
    }
    Ok(round)
}

/// One look at a key: both views at one seq. The writer writes view a, then view b.
fn check(row: &OnlineRow<'_>, key: i64, newest: &mut i64) -> Result<(), String> {
    let (a, b) = (round_of(row, 0, key)?, round_of(row, 3, key)?);
    // Of the keys that came later, most are written in one round only, and a round that was cut short between the two
    // stretches of view b is not written again.
    if a != b && a != b + 1 && (key < KEYS_FIRST || b != 0 && a != b + 2) {
        return Err(format!("key {key}: view a is of round {a}, view b of round {b}"));
    }
    if a < *newest {
        return Err(format!("key {key}: round {a} after round {newest}"));
    }
    *newest = a;
    Ok(())
}

/// A reader process: looks until its standard input ends, says what it saw.
fn read_until_stopped(dir: &Path) -> ExitCode {
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = Arc::clone(&is_over);
    std::thread::spawn(move || {
        let _ = std::io::stdin().lines().count();
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    let store = builder().open_read_only(dir).unwrap();
    let mut online = store.online(&features()).unwrap();
    let keys: Vec<_> = (0..KEYS_MAX).map(|key| online.key(&[("id", Value::Int64(key))]).unwrap()).collect();
    let mut newest = vec![0; keys.len()];
    let (mut looks, mut from_table) = (0_u64, 0_u64);
    let mut at = std::process::id() as usize;
    println!("reading");
    while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Mostly the keys that every round writes.
        let key = (at >> 33) % if at & 64 == 0 { keys.len() } else { KEYS_FIRST.unsigned_abs() as usize };
        let outcome = if looks.is_multiple_of(8) {
            let batch = [keys[key].clone(), keys[0].clone(), keys[1].clone()];
            let mut outcome = Ok(());
            online
                .get_batch(&batch, Timestamp(i64::MAX), |i, row| {
                    let key = [key, 0, 1][i];
                    let seen = check(row, i64::try_from(key).unwrap(), &mut newest[key]);
                    outcome = std::mem::replace(&mut outcome, Ok(())).and(seen);
                })
                .unwrap();
            outcome
        } else {
            let row = online.get(&keys[key], Timestamp(i64::MAX)).unwrap();
            from_table += u64::from(row.is_from_latest_table(0) && row.is_from_latest_table(3));
            check(&row, i64::try_from(key).unwrap(), &mut newest[key])
        };
        if let Err(what) = outcome {
            println!("WRONG: {what}, after {looks} looks");
            return ExitCode::FAILURE;
        }
        looks += 1;
    }
    println!("{looks} {from_table}");
    ExitCode::SUCCESS
}

fn start(role: &str, dir: &Path) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([role, dir.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "the {role} ended before it began");
    (child, out)
}

fn write_round(store: &Store, round: i64) {
    let keys = (KEYS_FIRST + round * 40).min(KEYS_MAX);
    // The first keys each round, and a stretch of the others.
    for view in ["a", "b"] {
        for range in [0..KEYS_FIRST, (keys - 40).max(KEYS_FIRST)..keys] {
            if round % 17 == 16 {
                let mut bulk = store.bulk_writer(view, BulkOptions::default()).unwrap();
                bulk.write(&batch(range, round)).unwrap();
                bulk.commit().unwrap();
            } else {
                store.write(view, &batch(range, round)).unwrap();
            }
        }
    }
}

fn readers_never_see_a_torn_or_mixed_answer() {
    let folder = Folder::new("hammer");
    let store = builder().open(folder.store()).unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    let readers: Vec<_> = (0..READERS).map(|_| start("reader", &folder.store())).collect();
    let began = Instant::now();
    let mut round = 1;
    while began.elapsed() < Duration::from_secs(4) || round < 200 {
        write_round(&store, round);
        if round % 60 == 59 {
            store.compact().unwrap();
        }
        round += 1;
    }
    for (mut child, mut out) in readers {
        drop(child.stdin.take());
        let mut said = String::new();
        out.read_line(&mut said).unwrap();
        assert!(child.wait().unwrap().success(), "a reader: {said}");
        let counts: Vec<u64> = said.split_whitespace().map(|count| count.parse().unwrap()).collect();
        assert!(counts[0] > 1_000, "only {} looks in {round} rounds", counts[0]);
        assert!(counts[1] > counts[0] / 4, "only {} of {} looks were answered by the tables", counts[1], counts[0]);
    }
}

/// A writer process: a round, then its number on standard output, and so on until it is killed.
fn write_for_ever(dir: &Path) -> ! {
    let store = builder().open(dir).unwrap();
    // A round cut short is written again: view b must not fall behind by two.
    let mut round = whole_round(&mut store.online(&features()).unwrap()) + 1;
    loop {
        write_round(&store, round);
        println!("{round}");
        round += 1;
        if round % 50 == 49 {
            store.compact().unwrap();
        }
    }
}

/// The last round that both views have of the first key.
fn whole_round(online: &mut OnlineHandle) -> i64 {
    let key = online.key(&[("id", Value::Int64(0))]).unwrap();
    let row = online.get(&key, Timestamp(i64::MAX)).unwrap();
    check(&row, 0, &mut 0).unwrap();
    round_of(&row, 3, 0).unwrap()
}

fn a_writer_killed_anywhere_stops_no_reader() {
    let folder = Folder::new("killed");
    let store = builder().open(folder.store()).unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    drop(store);
    // It sees every writer come and go.
    let (mut reader, mut reader_out) = start("reader", &folder.store());
    let mut wait_us = 20_000;
    for kill in 0..12 {
        let (mut writer, mut out) = start("writer", &folder.store());
        std::thread::sleep(Duration::from_micros(wait_us));
        wait_us = 20_000 + (wait_us * 7_919) % 60_000;
        writer.kill().unwrap();
        writer.wait().unwrap();
        let mut acknowledged = 0;
        let mut line = String::new();
        while out.read_line(&mut line).unwrap() > 0 {
            acknowledged = line.trim().parse().unwrap_or(acknowledged);
            line.clear();
        }
        let beside = builder().open_read_only(folder.store()).unwrap();
        let newest = whole_round(&mut beside.online(&features()).unwrap());
        assert!(newest >= acknowledged, "kill {kill}: round {newest}, and {acknowledged} was acknowledged");
    }
    drop(reader.stdin.take());
    let mut said = String::new();
    reader_out.read_line(&mut said).unwrap();
    assert!(reader.wait().unwrap().success(), "the reader: {said}");
}

fn a_slot_left_half_written_is_answered_out_of_history() {
    let folder = Folder::new("torn");
    let store = builder().open(folder.store()).unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    let seq = store.write("a", &batch(0..8, 3)).unwrap().first_seq;
    store.write("b", &batch(0..8, 3)).unwrap();
    let reader = builder().open_read_only(folder.store()).unwrap();
    let mut online = reader.online(&features()).unwrap();
    let key = online.key(&[("id", Value::Int64(5))]).unwrap();
    assert!(online.get(&key, Timestamp(10)).unwrap().is_from_latest_table(0));
    // As a writer leaves the slot of key 5 that is killed inside it: its version odd.
    let table = std::fs::read_dir(folder.store().join("latest")).unwrap().map(|entry| entry.unwrap().path());
    let table = table.into_iter().find(|path| path.to_str().unwrap().ends_with("-a@1")).unwrap();
    let bytes = std::fs::read(&table).unwrap();
    let marks: Vec<u8> = [(seq + 5).to_le_bytes(), 3_i64.to_le_bytes()].concat();
    let places: Vec<usize> = (8..bytes.len() - 16).step_by(8).filter(|&at| bytes[at..at + 16] == marks).collect();
    let [at] = places[..] else { panic!("the slot stands in one place, not in {places:?}") };
    let file = std::fs::OpenOptions::new().write(true).open(&table).unwrap();
    file.write_all_at(&[bytes[at - 8] | 1], (at - 8) as u64).unwrap();
    for _ in 0..3 {
        let row = online.get(&key, Timestamp(10)).unwrap();
        assert_eq!(round_of(&row, 0, 5), Ok(3));
        assert!(!row.is_from_latest_table(0) && row.is_from_latest_table(3));
    }
    // To a writer that was not killed it is damage, and the row may have been a later one: history answers until the table is built anew.
    store.write("a", &batch(5..6, 4)).unwrap();
    let row = online.get(&key, Timestamp(10)).unwrap();
    assert_eq!((round_of(&row, 0, 5), row.is_from_latest_table(0)), (Ok(4), false));
    store.close().unwrap();
    drop((online, reader, store));
    let store = builder().background(false).open(folder.store()).unwrap();
    let mut online = store.online(&features()).unwrap();
    let row = online.get(&key, Timestamp(10)).unwrap();
    assert_eq!((round_of(&row, 0, 5), row.is_from_latest_table(0)), (Ok(4), true));
}

/// A process that goes elsewhere when it has opened a store, to a folder that has a store of the same name.
fn wander(home: &Path) -> ExitCode {
    std::env::set_current_dir(home.join("here")).unwrap();
    let store = builder().open("store").unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    write_round(&store, 1);
    let other = builder().open_or_forward("store").unwrap();
    let reader = builder().open_read_only("store").unwrap();
    std::env::set_current_dir(home.join("there")).unwrap();
    println!("elsewhere");
    for round in 2..60 {
        write_round(&store, round);
    }
    store.compact().unwrap();
    other.write("a", &batch(0..1, 60)).unwrap();
    other.write("b", &batch(0..1, 60)).unwrap();
    for store in [&store, &other, &reader] {
        assert_eq!(whole_round(&mut store.online(&features()).unwrap()), 60);
    }
    store.close().unwrap();
    drop((other, reader, store));
    assert!(!home.join("here/store/control.sock").exists());
    ExitCode::SUCCESS
}

fn a_store_opened_by_a_relative_path_stays_where_it_is() {
    let folder = Folder::new("wanders");
    for place in ["here", "there"] {
        std::fs::create_dir(folder.0.join(place)).unwrap();
    }
    let there = builder().open(folder.0.join("there/store")).unwrap();
    there.apply(&definitions(), ApplyOptions::default()).unwrap();
    write_round(&there, 7);
    let (mut child, _out) = start("wanderer", &folder.0);
    assert!(child.wait().unwrap().success());
    // Nothing of it went into the other store, which is closed and opened as ever.
    assert!(folder.0.join("there/store/control.sock").exists());
    drop(there);
    for (place, round) in [("there", 7), ("here", 60)] {
        let store = builder().open(folder.0.join(place).join("store")).unwrap();
        assert_eq!(whole_round(&mut store.online(&features()).unwrap()), round, "{place}");
        assert_eq!(store.check(&mut |_| ()).unwrap().problems, [], "{place}");
    }
}
