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

#[test]
fn an_answer_that_would_be_too_long_is_refused_and_the_connection_stays() {
    let options = ServerOptions { output_bytes_max: 4 << 20, ..options() };
    let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
    let mut peer = Peer::new(&server);
    let value = "v".repeat(50_000);
    for field in 0..100 {
        peer.ask(&format!("HSET h {field} {value}|"), ":1|");
    }
    let refused = "-ERR the answer would be too long|";
    peer.ask("HGETALL h|HVALS h|HSCAN h 0 COUNT 200|HRANDFIELD h -100 WITHVALUES|", &refused.repeat(4));
    peer.ask("HLEN h|HSTRLEN h 7|", ":100|:50000|");
    // Of a transaction all answers count together.
    let get = format!("HMGET h{}|", " 0".repeat(60));
    peer.send(&format!("MULTI|{get}{get}EXEC|"));
    peer.expect("+OK|+QUEUED|+QUEUED|*2|");
    peer.expect(&format!("*60|{}", format!("$50000|{value}|").repeat(60)));
    peer.expect(refused);
    peer.ask(&format!("SET {} 1|", "k".repeat(100)), "+OK|");
}

#[test]
fn who_publishes_more_than_is_handed_out_waits() {
    let options = ServerOptions { output_bytes_max_in_all: 1 << 20, ..options() };
    let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
    let mut publisher = Peer::new(&server);
    publisher.ask("PUBLISH a x|", ":0|");
    let bytes = &server.shared().mail_bytes;
    bytes.fetch_add(2 << 20, SeqCst);
    publisher.send("GET a|PUBLISH a x|");
    publisher.expect("$-1|");
    publisher.expect_nothing(Duration::from_millis(50));
    bytes.fetch_sub(2 << 20, SeqCst);
    publisher.expect(":0|");
}

#[test]
fn keys_make_room_where_the_policy_says_so() {
    let server = start();
    let (mut peer, mut subscriber) = (Peer::new(&server), Peer::new(&server));
    peer.ask("CONFIG SET notify-keyspace-events Ee maxmemory-policy volatile-ttl|", "+OK|");
    subscriber.ask("PSUBSCRIBE *|", "*3|$10|psubscribe|$1|*|:1|");
    peer.ask("SET stays 1|SET goes 1 EX 1000|CONFIG SET maxmemory 1|", "+OK|+OK|+OK|");
    subscriber.expect("*4|$8|pmessage|$1|*|$22|__keyevent@0__:evicted|$4|goes|");
    peer.ask("EXISTS goes stays|", ":1|");
    // The one that is left may not go.
    eventually("nothing can be done", || server.shared().is_out_of_memory());
    peer.ask("SET a 1|", "-OOM command not allowed when used memory > 'maxmemory'.|");
    peer.ask("CONFIG SET maxmemory-policy allkeys-lru|", "+OK|");
    subscriber.expect("*4|$8|pmessage|$1|*|$22|__keyevent@0__:evicted|$5|stays|");
    // All keys together take less than that, whatever the process takes.
    peer.ask("CONFIG SET maxmemory 100000|SET a 1|", "+OK|+OK|");
    std::thread::sleep(Duration::from_millis(250));
    peer.ask("GET a|", "$1|1|");
}

#[test]
fn few_connections_are_served_by_one_loop_and_many_by_all() {
    let options = ServerOptions { connections_together: 2, ..options() };
    let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
    let mut peers: Vec<Peer> = (0..6).map(|_| Peer::new(&server)).collect();
    peers.iter_mut().for_each(|peer| peer.ask("PING|", "+PONG|"));
    let of_first = || server.shared().clients.all().iter().filter(|client| client.event_loop == 0).count();
    assert_eq!(of_first(), 3);
    peers.clear();
    eventually("all are gone", || server.shared().clients.len() == 0);
    let mut peers = [Peer::new(&server), Peer::new(&server)];
    peers.iter_mut().for_each(|peer| peer.ask("PING|", "+PONG|"));
    assert_eq!(of_first(), 2);
}
