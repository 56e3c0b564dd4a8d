use super::*;

#[test]
fn one_connection_too_many_is_told_so() {
    let server = RedisServer::start(keyspace(Duration::ZERO), ServerOptions { clients_max: 2, ..options() }).unwrap();
    let (mut first, mut second) = (Peer::new(&server), Peer::new(&server));
    first.ask("PING|", "+PONG|");
    second.ask("PING|", "+PONG|");
    assert_eq!(Peer::new(&server).rest(), "-ERR max number of clients reached|");
    drop(second);
    eventually("its place is free", || server.shared().clients.len() == 1);
    Peer::new(&server).ask("PING|", "+PONG|");
}

#[test]
fn an_idle_connection_is_closed_when_the_configuration_says_so_and_a_subscriber_is_not() {
    let server = start();
    let (mut idle, mut subscriber) = (Peer::new(&server), Peer::new(&server));
    idle.ask("CONFIG SET timeout 1|", "+OK|");
    subscriber.ask("SUBSCRIBE a|", "*3|$9|subscribe|$1|a|:1|");
    assert_eq!(idle.rest(), "");
    subscriber.ask("PING|", "*2|$4|pong|$0||");
}

#[test]
fn a_subscriber_that_reads_nothing_is_cut_off_and_the_publisher_is_not() {
    let options = ServerOptions { output_bytes_max: 1 << 20, ..options() };
    let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
    let (mut subscriber, mut publisher) = (Peer::new(&server), Peer::new(&server));
    subscriber.ask("SUBSCRIBE a|", "*3|$9|subscribe|$1|a|:1|");
    let message = "m".repeat(100_000);
    let start = Instant::now();
    while server.shared().pubsub.counts().0 == 1 {
        assert!(start.elapsed() < PATIENCE, "it is still there");
        publisher.send(&format!("*3|$7|PUBLISH|$1|a|$100000|{message}|"));
        // One listener, or none any more.
        publisher.0.read_exact(&mut [0; 4]).unwrap();
        assert!(server.shared().output_bytes.load(std::sync::atomic::Ordering::SeqCst) <= 2 << 20);
    }
    publisher.ask("PING|", "+PONG|");
}

#[test]
fn a_reader_that_takes_nothing_is_cut_off_after_a_while() {
    let options = ServerOptions { stall_time: Duration::from_millis(300), ..options() };
    let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
    let mut peer = Peer::new(&server);
    let value = "v".repeat(60_000);
    peer.ask(&format!("SET a {value}|"), "+OK|");
    peer.send(&"GET a|".repeat(1_000));
    eventually("it waits for its reader", || {
        server.shared().output_bytes.load(std::sync::atomic::Ordering::SeqCst) > 0
    });
    // No more than one batch's answers are made ahead, however long it waits.
    std::thread::sleep(Duration::from_millis(100));
    assert!(server.shared().output_bytes.load(std::sync::atomic::Ordering::SeqCst) < 4 << 20);
    expect_nothing_left(&server);
}

#[test]
fn connections_together_leave_no_more_lying_than_they_may() {
    let options = ServerOptions { output_bytes_max_in_all: 3 << 20, ..options() };
    let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
    Peer::new(&server).ask(&format!("SET a {}|", "v".repeat(60_000)), "+OK|");
    let mut peers: Vec<Peer> = (0..10).map(|_| Peer::new(&server)).collect();
    peers.iter_mut().for_each(|peer| peer.send(&"GET a|".repeat(1_000)));
    eventually("some are cut off", || server.shared().clients.len() < 10);
    assert!(server.shared().output_bytes.load(std::sync::atomic::Ordering::SeqCst) <= 5 << 20);
    Peer::new(&server).ask("PING|", "+PONG|");
}

#[test]
fn beyond_maxmemory_only_what_takes_no_memory_is_done() {
    let server = start();
    let mut peer = Peer::new(&server);
    let refused = "-OOM command not allowed when used memory > 'maxmemory'.|";
    peer.ask(
        "SET a 1|CONFIG SET maxmemory 1|SET a 2|MULTI|SET a 2|EXEC|GET a|DEL a|",
        &format!("+OK|+OK|{refused}+OK|{refused}-EXECABORT Transaction discarded because of previous errors.|$1|1|:1|"),
    );
    std::thread::sleep(Duration::from_millis(20));
    peer.ask("CONFIG SET maxmemory 0|SET a 2|", "+OK|+OK|");
}

#[test]
fn halves_of_commands_take_no_more_memory_together_than_they_may() {
    let options = ServerOptions { input_bytes_max_in_all: 4 << 20, ..options() };
    let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
    let mut peers: Vec<Peer> = (0..10).map(|_| Peer::new(&server)).collect();
    for peer in &mut peers {
        peer.send("*3|$3|SET|$1|a|$100000000|");
        // Some of them are cut off while they send.
        let _ = peer.0.write_all(&vec![b'x'; 1 << 20]);
    }
    eventually("some are cut off", || server.shared().clients.len() < 10);
    assert!(server.shared().input_bytes.load(std::sync::atomic::Ordering::SeqCst) <= 8 << 20);
    drop(peers);
    expect_nothing_left(&server);
}
