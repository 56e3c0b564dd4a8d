//! The socket of the process that holds the store: lines of input as messages to it. A line is a call as JSON; `@` and
//! changes, a batch with these; `!` and bytes, those as they are. Whatever comes, the connection ends, the process goes on,
//! and the next client is greeted.
#![no_main]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_ipc::writer::StreamWriter;
use asof::definition::{Definitions, FeatureView};
use asof::options::{Durability, Sizes};
use asof::value::DataType;
use asof::{ApplyOptions, Store};
use asof_fuzz::{allow_caught_panics, mutate};
use libfuzzer_sys::fuzz_target;

/// A store takes in so many inputs before another takes its place.
const INPUTS_MAX: usize = 500;
const PATIENCE: Duration = Duration::from_secs(30);
const TAG_JSON: u8 = 1;
const TAG_BATCH: u8 = 2;

struct Held {
    folder: PathBuf,
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
    let mut sent = message(TAG_JSON, br#"{"protocol":1,"release":"fuzz"}"#);
    for line in bytes.split(|byte| *byte == b'\n') {
        match line.split_first() {
            Some((b'@', changes)) => sent.extend(message(TAG_BATCH, &batch(changes))),
            Some((b'!', raw)) => sent.extend(raw),
            _ => sent.extend(message(TAG_JSON, line)),
        }
    }
    let mut stream = held.connect();
    let mut reading = stream.try_clone().expect("a second handle of the socket");
    let answers = std::thread::spawn(move || {
        let mut answers = Vec::new();
        reading.read_to_end(&mut answers).map(|_| answers)
    });
    // The other side may end before it has taken all in.
    let _ = stream.write_all(&sent).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
    match answers.join().expect("a thread that reads") {
        Ok(answers) => assert_eq!(answers.first(), Some(&TAG_JSON), "nobody greeted"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the connection did not end"),
    }
});

impl Held {
    fn new() -> Held {
        let folder = std::env::temp_dir().join(format!("asof-fuzz-control-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).expect("a temporary folder");
        let sizes = Sizes { segment_bytes: 1 << 20, table_reserve_bytes: 64 << 20, ..Sizes::default() };
        let builder = Store::builder().durability(Durability::Os).background(false).sizes(sizes);
        let store = builder.open(folder.join("store")).expect("a store");
        let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64);
        let definitions = Definitions::new("fuzz").entity("thing", [("id", DataType::Int64)]).view(view);
        store.apply(&definitions, ApplyOptions::default()).expect("definitions");
        Held { folder, store: Some(store), inputs: 0 }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.join("store/control.sock")).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.store = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend((body.len() as u64).to_le_bytes());
    message.extend(body);
    message
}

/// An Arrow IPC stream of three rows of the view, with these changes.
fn batch(changes: &[u8]) -> Vec<u8> {
    let numbers = || Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef;
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]));
    let columns = [("id", numbers()), ("event_timestamp", times), ("x", numbers())];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).expect("a stream");
    writer.write(&batch).expect("memory");
    let mut stream = writer.into_inner().expect("memory");
    mutate(&mut stream, changes);
    stream
}
