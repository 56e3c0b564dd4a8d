//! Very many connections, and connections that end in the middle of something: neither leaves anything behind.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use asof_clients::{Random, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections that come and go.
const CONNECTIONS: usize = 10_000;
/// Most that a server takes at a time, less a few of the test's own.
const AT_ONCE: usize = 9_900;
/// What the server may take more after many connections than after as many before.
const GROWTH_BYTES_MAX: u64 = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// As many descriptors as the system lets this process have, and the servers it starts; how many that is.
fn raise_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    limit.maximum.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap())
}

/// Connects so many clients, has each answered, and lets them go: half in order, half without a word.
fn come_and_go(server: &Server, count: usize) {
    let mut clients: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        // Nothing is written: a store keeps its newest rows in memory, and that is not what is measured.
        client.write_all(format!("PING\r\nGET key\r\nHGET key:{number} f\r\n").as_bytes()).unwrap();
    }
    for client in &mut clients {
        let mut answers = [0; 23];
        client.read_exact(&mut answers).unwrap();
        assert_eq!(&answers, b"+PONG\r\n$5\r\nvalue\r\n$-1\r\n");
    }
    assert_eq!(server.info("connected_clients"), i64::try_from(count).unwrap() + 1);
    for client in clients.iter_mut().step_by(2) {
        client.write_all(b"QUIT\r\n").unwrap();
    }
}

/// Waits until nobody is connected but who asks.
fn wait_until_alone(server: &Server) {
    let until = Instant::now() + PATIENCE;
    while server.info("connected_clients") > 1 {
        assert!(Instant::now() < until, "clients are left: {}", server.connect().words("CLIENT LIST").text());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ten_thousand_connections_come_and_go_with_flat_memory() {
    let at_once = AT_ONCE.min(raise_descriptors() - 200);
    let server = Server::asof();
    server.connect().words("SET key value");
    let round = || {
        let mut left = CONNECTIONS;
        while left > 0 {
            come_and_go(&server, left.min(at_once));
            wait_until_alone(&server);
            left -= left.min(at_once);
        }
        server.resident_bytes()
    };
    let first = round();
    let later: Vec<u64> = (0..3).map(|_| round()).collect();
    println!(
        "{at_once} at a time; resident after {CONNECTIONS}: {} KiB, later {:?} KiB",
        first >> 10,
        later.iter().map(|bytes| bytes >> 10).collect::<Vec<_>>()
    );
    assert!(later.iter().all(|bytes| *bytes < first + GROWTH_BYTES_MAX), "{first} bytes, and then {later:?}");
}

/// What a client has begun when it vanishes, and how much of it there is to be seen.
const BEGUN: &[&str] = &[
    "*3\r\n$3\r\nSET\r\n$5\r\nhello\r\n$100000\r\nhalf a val",
    "*2\r\n$3\r\nGE",
    "*1000000\r\n$4\r\nMSET\r\n",
    "GET hel",
    "MULTI\r\nSET never 1\r\nHSET never:too f v\r\n",
    "WATCH watched another\r\nMULTI\r\nSET never 1\r\n",
    "WATCH watched\r\n",
    "SUBSCRIBE channel another\r\nPSUBSCRIBE c* d*\r\n",
    "HELLO 3\r\nSUBSCRIBE channel\r\nGET x\r\n",
    "MONITOR\r\n",
    "CLIENT REPLY OFF\r\nSET quiet 1\r\n",
    "CLIENT SETNAME somebody\r\nSELECT 7\r\n",
    "SET key value\r\nGET key\r\nSET key value\r\nGET key\r\n",
    "\"an unbalanced quot",
];

#[test]
fn clients_that_vanish_in_the_middle_leave_nothing() {
    const CLIENTS: usize = 1_400;
    raise_descriptors();
    let server = Server::asof();
    let mut random = Random::new(7);
    let mut all_at_once = || {
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let mut client = TcpStream::connect(server.address()).unwrap();
            client.write_all(BEGUN[number % BEGUN.len()].as_bytes()).unwrap();
            clients.push(client);
        }
        // All of them are there, with what they began.
        assert!(server.info("pubsub_channels") > 0 && server.info("watched_keys") > 0);
        // They go in any order, some with answers they never read.
        while !clients.is_empty() {
            drop(clients.swap_remove(random.below(clients.len())));
        }
        wait_until_alone(&server);
    };
    all_at_once();
    let first = server.resident_bytes();
    (0..3).for_each(|_| all_at_once());
    assert!(server.resident_bytes() < first + GROWTH_BYTES_MAX, "{first} bytes, and then {}", server.resident_bytes());

    for left in ["pubsub_channels", "pubsub_patterns", "watched_keys", "mem_clients_normal"] {
        assert_eq!(server.info(left), 0, "{left}");
    }
    let mut connection = server.connect();
    assert_eq!(connection.words("CLIENT LIST").text().lines().count(), 1);
    assert_eq!(connection.words("PUBSUB NUMSUB channel").items()[1].integer(), Some(0));
    assert_eq!(connection.words("PUBLISH channel x").integer(), Some(0));
    // Nothing of a transaction was done, and nothing of half a command.
    assert_eq!(connection.words("EXISTS never never:too hello").integer(), Some(0));
    assert_eq!(connection.words("EXISTS key quiet").integer(), Some(2));
}
