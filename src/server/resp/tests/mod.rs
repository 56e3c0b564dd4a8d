//! The server as its peers see it: raw bytes on a socket.

mod attacks;
mod authentication;
mod described;
mod durability;
mod entities;
mod keys;
mod limits;
mod pipelines;
mod pubsub;
mod tls;
mod transactions;
mod vanishing;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use super::{RedisServer, RunningServer, ServerOptions};
use crate::disk::{FaultyDisk, MemDisk, Operation, Verdict};
use crate::store::{KeyspaceHandle, Store};

/// Longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// An empty keyspace whose groups take so long to become durable.
fn keyspace(sync: Duration) -> KeyspaceHandle {
    keyspace_and_syncs(sync).0
}

/// What a test knows of the log's syncs.
#[derive(Default)]
struct LogSyncs {
    /// Once it is set, the log cannot be synced.
    fail: AtomicBool,
    /// While it is set, no sync ends; but a test that failed meanwhile is to end.
    hold: AtomicBool,
    begun: AtomicUsize,
    count: AtomicUsize,
}

fn keyspace_and_syncs(sync: Duration) -> (KeyspaceHandle, Arc<LogSyncs>) {
    let syncs = Arc::new(LogSyncs::default());
    let seen = Arc::clone(&syncs);
    let disk = FaultyDisk::new(Arc::new(MemDisk::volatile()), move |operation, path| {
        if operation != Operation::Sync || !path.starts_with("/keys/log") {
            return Verdict::Proceed;
        }
        seen.begun.fetch_add(1, SeqCst);
        std::thread::sleep(sync);
        let begun = Instant::now();
        while seen.hold.load(SeqCst) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        seen.count.fetch_add(1, SeqCst);
        if seen.fail.load(SeqCst) { Verdict::Fail(std::io::ErrorKind::Other) } else { Verdict::Proceed }
    });
    let store = Store::builder().background(false).disk(Arc::new(disk)).open("/keys").unwrap();
    let keys = store.keyspace().unwrap();
    // What the first write makes is made.
    keys.change(|keyspace, _| keyspace.set_string((15, b"first"), Vec::new(), None)).unwrap();
    keys.change(|keyspace, _| keyspace.remove((15, b"first"))).unwrap();
    (keys, syncs)
}

/// A store in memory, for its keys of both kinds.
fn store() -> Store {
    Store::builder().background(false).disk(Arc::new(MemDisk::volatile())).open("/keys").unwrap()
}

/// Two event loops that share connections, on a free port.
fn options() -> ServerOptions {
    ServerOptions {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        event_loops: NonZero::new(2),
        connections_together: 0,
        ..ServerOptions::default()
    }
}

fn start() -> RunningServer {
    RedisServer::start(keyspace(Duration::ZERO), options()).unwrap()
}

/// A connection. Requests and answers are written with `|` for a line's end.
struct Peer(TcpStream);

impl Peer {
    fn new(server: &RunningServer) -> Peer {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer(stream)
    }

    fn send(&mut self, request: &str) {
        self.0.write_all(request.replace('|', "\r\n").as_bytes()).unwrap();
    }

    /// The next bytes are these.
    #[track_caller]
    fn expect(&mut self, expected: &str) {
        let expected = expected.replace('|', "\r\n");
        let mut found = Vec::new();
        while found.len() < expected.len() {
            let mut buffer = vec![0; expected.len() - found.len()];
            match self.0.read(&mut buffer) {
                Ok(0) => found.extend_from_slice(b"<closed>"),
                Ok(bytes) => found.extend_from_slice(&buffer[..bytes]),
                Err(_) => break,
            }
        }
        assert_eq!(found.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
    }

    /// Sends, and gets exactly this.
    #[track_caller]
    fn ask(&mut self, request: &str, expected: &str) {
        self.send(request);
        self.expect(expected);
    }

    /// Sends one command after the other, and gets these answers: arrays as lists, null as `nil`.
    #[track_caller]
    fn talk(&mut self, exchanges: &[(&str, &str)]) {
        for (command, expected) in exchanges {
            self.send(&format!("{command}|"));
            assert_eq!(self.answer(), *expected, "{command}");
        }
    }

    /// The next answer, as [`Peer::talk`] shows it.
    fn answer(&mut self) -> String {
        let line = self.line();
        let (kind, rest) = line.split_at(1);
        let len = || rest.parse::<usize>().ok();
        match (kind, len()) {
            ("$" | "*", None) => "nil".to_owned(),
            ("$", Some(len)) => {
                let mut bytes = vec![0; len + 2];
                self.0.read_exact(&mut bytes).unwrap();
                String::from_utf8_lossy(&bytes[..len]).into_owned()
            }
            ("*", Some(len)) => {
                let answers: Vec<String> = (0..len).map(|_| self.answer()).collect();
                format!("[{}]", answers.join(", "))
            }
            _ => line,
        }
    }

    /// The next line, without its end.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// All that comes before the connection ends.
    #[track_caller]
    fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let mut buffer = [0; 4_096];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => break,
                Ok(bytes) => rest.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("the connection is still there: {error}"),
            }
        }
        String::from_utf8_lossy(&rest).replace("\r\n", "|")
    }

    /// Nothing comes for a while.
    #[track_caller]
    fn expect_nothing(&mut self, time: Duration) {
        self.0.set_read_timeout(Some(time)).unwrap();
        let mut buffer = [0; 64];
        let found = self.0.read(&mut buffer);
        assert!(found.is_err(), "{:?}", found.map(|bytes| buffer[..bytes].escape_ascii().to_string()));
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
    }
}

/// Waits until something is so.
#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Nothing is left of any connection.
#[track_caller]
fn expect_nothing_left(server: &RunningServer) {
    let shared = server.shared();
    let atomics = || {
        let ordering = std::sync::atomic::Ordering::SeqCst;
        [&shared.connections, &*shared.output_bytes, &*shared.input_bytes].map(|counter| counter.load(ordering))
    };
    eventually("all connections are gone", || shared.clients.len() == 0 && atomics() == [0; 3]);
    eventually("no channel has a listener", || shared.pubsub.counts() == (0, 0));
    eventually("no key is watched", || shared.watches.len() == 0);
    eventually("nobody monitors", || !shared.clients.has_monitors());
}
