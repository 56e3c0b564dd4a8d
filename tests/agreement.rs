//! Whoever asks, by whatever protocol, is answered the same: HTTP, the Redis protocol, this process now, and as of then. Over real flights,
//! while rows are written.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use asof::definition::Definitions;
use asof::server::http::{HttpOptions, HttpServer};
use asof::server::resp::{RedisServer, ServerOptions};
use asof::time::Timestamp;
use asof::value::Value;
use asof::{ApplyOptions, BadRows, Features, GetOptions, ImportOptions, KnownAt, Row, Store};
use serde_json::{Value as Json, json};

/// So many rounds are compared, of so many aircraft each.
const ROUNDS: usize = 150;
const PLANES: usize = 20;
/// So many rows are written meanwhile, however slow the disk is.
const WRITTEN_MIN: u64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(120);
/// The features of an aircraft, each with a type of its own.
const FEATURES: [&str; 7] = ["manufactured", "type", "manufacturer", "model", "engines", "seats", "engine"];

/// A connection over HTTP.
struct Http(BufReader<TcpStream>);

impl Http {
    fn ask(&mut self, body: &Json) -> Json {
        let body = body.to_string();
        let head = format!("POST /v1/get HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        self.0.get_mut().write_all((head + &body).as_bytes()).unwrap();
        let mut length = 0;
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.contains(" 200 "), "{line}");
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            match line.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

/// A value as the Redis protocol has it: text, or nothing.
fn as_text(json: &Json) -> Option<String> {
    match json {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Int32(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        other => panic!("no aircraft has {other:?}"),
    }
}

/// Numbers that look random, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn flights() -> asof::TemporaryStore {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights");
    let store = Store::temporary().unwrap();
    let definitions = Definitions::from_file(&project.join("asof.toml")).unwrap();
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let options = ImportOptions { bad_rows: BadRows::Quarantine, ..ImportOptions::default() };
    store.import_all(&project, &options, |_, _| ()).unwrap();
    store
}

/// Writes rows of aircraft until it is told to stop: now of one, now of ten, with pauses in which nothing changes.
fn write(store: &Store, planes: &[String], is_done: &AtomicBool, written: &AtomicU64) {
    let mut numbers = Numbers(7);
    while !is_done.load(Ordering::Relaxed) {
        let rows: Vec<Row> = (0..1 + 9 * numbers.below(2))
            .map(|_| {
                let row = Row::new().at(store.now()).set("tailnum", planes[numbers.below(planes.len())].as_str());
                if numbers.below(10) == 0 {
                    return row.deleted();
                }
                let seats = i32::try_from(numbers.below(400)).unwrap();
                let row =
                    row.set("manufactured", 1950 + seats % 60).set("engines", Value::Null).set("seats", 1 + seats);
                let model = format!("M{}", numbers.below(1_000_000));
                row.set("type", "Fixed wing").set("manufacturer", Value::Null).set("model", model).set("engine", "Jet")
            })
            .collect();
        written.fetch_add(store.write_rows("plane", rows).unwrap().rows, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn every_protocol_answers_the_same_at_one_seq_while_rows_are_written() {
    let store = flights();
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let http = HttpOptions { address: at(0), spool_folder: store.path().to_path_buf(), ..HttpOptions::default() };
    let http = HttpServer::start((*store).clone(), http).unwrap();
    let redis = ServerOptions { address: at(0), ..ServerOptions::default() };
    let redis = RedisServer::start(store.keyspace().unwrap(), redis).unwrap();
    let batches = store.scan("plane", &asof::ScanOptions::default()).unwrap();
    let mut planes: Vec<String> = batches
        .flat_map(|batch| {
            let batch = batch.unwrap();
            let names = batch.column_by_name("tailnum").unwrap().clone();
            (0..batch.num_rows()).map(move |row| match asof::value_at(&names, &asof::value::DataType::String, row) {
                Value::String(name) => name,
                other => panic!("{other:?}"),
            })
        })
        .collect();
    assert_eq!(planes.len(), 3_322);
    // The writer has half of them, and some that are not registered.
    planes.truncate(400);
    planes.extend((0..20).map(|number| format!("NEW{number}")));

    let (is_done, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&store, &planes[200..], &is_done, &written));
        let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            compare(&store, &planes, http.address(), redis.address(), &written);
        }));
        is_done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        if let Err(panic) = compared {
            std::panic::resume_unwind(panic);
        }
    });
}

fn compare(store: &Store, planes: &[String], http: SocketAddr, redis: SocketAddr, written: &AtomicU64) {
    let began = Instant::now();
    let mut numbers = Numbers(1);
    let mut http = Http(BufReader::new(TcpStream::connect(http).unwrap()));
    let mut redis = redis::Client::open(format!("redis://{redis}")).unwrap().get_connection().unwrap();
    let references: Vec<String> = FEATURES.iter().map(|name| format!("plane:{name}")).collect();
    let features = Features::list(&references).unwrap();
    let mut handle = store.online(&features).unwrap();
    let (mut agreed, mut disturbed, mut present) = (0, 0, 0);
    loop {
        let rows = written.load(Ordering::Relaxed);
        if agreed >= ROUNDS && rows >= WRITTEN_MIN {
            break;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{agreed} rounds agreed, {disturbed} were disturbed, {rows} rows were written"
        );
        let names: Vec<&str> = (0..PLANES).map(|_| planes[numbers.below(planes.len())].as_str()).collect();
        let body = json!({ "features": references, "entities": { "tailnum": names } });
        let first = http.ask(&body);
        let mut command = redis::pipe();
        for name in &names {
            command.cmd("HMGET").arg(format!("plane:{name}")).arg(&FEATURES);
        }
        let over_redis: Vec<Vec<Option<String>>> = command.query(&mut redis).unwrap();
        let in_process: Vec<Vec<Option<String>>> = names
            .iter()
            .map(|name| {
                let key = handle.key(&[("tailnum", Value::from(*name))]).unwrap();
                let row = handle.get(&key, store.now()).unwrap();
                (0..FEATURES.len()).map(|feature| text_of(&row.value(feature))).collect()
            })
            .collect();
        let second = http.ask(&body);
        let (seq, moment) = (first["seq"].as_u64().unwrap(), first["at"].as_str().unwrap());

        // As of then, whatever was written since: over HTTP, and in this process.
        let mut then = body.clone();
        (then["at"], then["known_at"]) = (json!(moment), json!(seq));
        assert_eq!(http.ask(&then)["rows"], first["rows"], "as of {moment}, known at {seq}: {names:?}");
        let entities: Vec<_> = names.iter().map(|name| vec![("tailnum", Value::from(*name))]).collect();
        let options = GetOptions {
            at: Some(moment.parse::<Timestamp>().unwrap()),
            known_at: Some(KnownAt::Seq(seq)),
            ..GetOptions::default()
        };
        let answers = store.get_many(&features, &entities, &options).unwrap();
        for (at, row) in answers.rows.iter().enumerate() {
            let told = &first["rows"][at];
            for (feature, found) in row.iter().enumerate() {
                assert_eq!(text_of(&found.value), as_text(&told["values"][feature]), "{} at {seq}", names[at]);
                assert_eq!(json!(found.status.name()), told["statuses"][feature]);
                let event_ts = found.event_ts.map(|at| at.to_string());
                assert_eq!(json!(event_ts), told["event_timestamps"][feature]);
            }
        }

        // Nothing was written between the two answers over HTTP: what others answered in between is of the same rows.
        if second["seq"] != first["seq"] {
            disturbed += 1;
            continue;
        }
        assert_eq!(second["rows"], first["rows"]);
        for (at, name) in names.iter().enumerate() {
            let told: Vec<Option<String>> =
                first["rows"][at]["values"].as_array().unwrap().iter().map(as_text).collect();
            assert_eq!(over_redis[at], told, "{name} over the Redis protocol, at {seq}");
            assert_eq!(in_process[at], told, "{name} in this process, at {seq}");
            present += usize::from(told.iter().any(Option::is_some));
        }
        agreed += 1;
    }
    assert!(present > agreed * PLANES / 2, "{present} rows were there");
}
