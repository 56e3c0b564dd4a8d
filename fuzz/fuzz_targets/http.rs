//! Bodies of requests over HTTP. A first line says which path, what the body is and what the query is; what follows is the body. Whatever comes
//! is answered, and not by an error of the server.
#![no_main]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use asof::definition::{Definitions, FeatureView};
use asof::options::{Durability, Sizes};
use asof::server::http::{HttpOptions, HttpServer, RunningHttp};
use asof::value::DataType;
use asof::{ApplyOptions, Row, Store};
use asof_fuzz::allow_caught_panics;
use libfuzzer_sys::fuzz_target;

/// A store takes in so many inputs before another takes its place.
const INPUTS_MAX: usize = 500;
const PATIENCE: Duration = Duration::from_secs(30);
/// Every path that reads a body.
const PATHS: [&str; 10] = [
    "/v1/get",
    "/v1/history",
    "/v1/write/v",
    "/get-features",
    "/features/batch",
    "/features",
    "/get-online-features",
    "/push",
    "/write-to-online-store",
    "/materialize",
];
const MEDIA: [&str; 5] = [
    "application/json",
    "application/x-ndjson",
    "text/csv",
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.stream",
];

struct Held {
    folder: PathBuf,
    server: Option<RunningHttp>,
    store: Option<Store>,
    inputs: usize,
}

static HELD: Mutex<Option<Held>> = Mutex::new(None);

fuzz_target!(|bytes: &[u8]| {
    allow_caught_panics();
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if held.as_ref().is_none_or(|held| held.inputs >= INPUTS_MAX) {
        drop(held.take());
        *held = Some(Held::new());
    }
    let held = held.as_mut().expect("it was just made");
    held.inputs += 1;
    let (line, body) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[][..]),
    };
    let (path, media, query) = match line {
        [path, media, query @ ..] => (*path, *media, query),
        _ => (0, 0, &[][..]),
    };
    // Digits, so that seeds can be read.
    let path = PATHS[usize::from(path.wrapping_sub(b'0')) % PATHS.len()];
    let media = MEDIA[usize::from(media.wrapping_sub(b'0')) % MEDIA.len()];
    let query: String = query.iter().filter(|byte| byte.is_ascii_graphic() && **byte != b'#').map(|byte| char::from(*byte)).collect();
    let head = format!(
        "POST {path}?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = held.connect();
    // The other side may answer before it has taken all in.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok()?.parse::<u16>().ok());
    match status {
        Some(status) => assert!(status < 500, "{path}: {}", String::from_utf8_lossy(&answer)),
        None => assert!(read.is_err(), "{path}: no answer, but {answer:?}"),
    }
});

impl Held {
    fn new() -> Held {
        let folder = std::env::temp_dir().join(format!("asof-fuzz-http-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).expect("a temporary folder");
        let sizes = Sizes { segment_bytes: 1 << 20, table_reserve_bytes: 64 << 20, ..Sizes::default() };
        let builder = Store::builder().durability(Durability::Os).background(false).sizes(sizes);
        let store = builder.open(folder.join("store")).expect("a store");
        let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64).feature("s", DataType::String);
        let definitions = Definitions::new("fuzz").entity("thing", [("id", DataType::Int64)]).view(view);
        store.apply(&definitions, ApplyOptions::default()).expect("definitions");
        let row = Row::new().at("2024-01-01".parse().expect("a day")).set("id", 1_i64).set("x", 7_i64).set("s", "a");
        store.write_rows("v", [row]).expect("a row");
        let options = HttpOptions { address: ([127, 0, 0, 1], 0).into(), spool_folder: folder.clone(), ..HttpOptions::default() };
        let server = HttpServer::start(store.clone(), options).expect("a server");
        Held { folder, server: Some(server), store: Some(store), inputs: 0 }
    }

    fn connect(&self) -> TcpStream {
        let address = self.server.as_ref().expect("it runs").address();
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.server = None;
        self.store = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
