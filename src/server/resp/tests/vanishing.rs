use super::*;

/// Ways to be in the middle of something.
const BEGINNINGS: [&str; 9] = [
    "",
    "*3|$3|SET|$1|a|$100|abc",
    "MULTI|SET a 1|INCR b|",
    "WATCH a b c|MULTI|",
    "SUBSCRIBE a b|PSUBSCRIBE c*|",
    "SET a 1|WATCH a|SUBSCRIBE a|",
    "MONITOR|",
    "SET a 1|",
    "DEBUG SLEEP 100|PING|",
];

#[test]
fn a_client_that_vanishes_leaves_nothing_behind() {
    let server = RedisServer::start(keyspace(Duration::from_millis(5)), options()).unwrap();
    for beginning in BEGINNINGS {
        for wait in [Duration::ZERO, Duration::from_millis(2), Duration::from_millis(20)] {
            let mut peer = Peer::new(&server);
            peer.send(beginning);
            std::thread::sleep(wait);
            drop(peer);
            expect_nothing_left(&server);
        }
    }
}

#[test]
fn a_client_that_is_killed_leaves_nothing_behind() {
    let server = start();
    let mut killer = Peer::new(&server);
    killer.ask("PING|", "+PONG|");
    let mut peers: Vec<Peer> = BEGINNINGS.iter().map(|_| Peer::new(&server)).collect();
    for (peer, beginning) in peers.iter_mut().zip(BEGINNINGS) {
        peer.send(beginning);
    }
    eventually("all are there", || server.shared().clients.len() == 10);
    std::thread::sleep(Duration::from_millis(50));
    killer.ask("CLIENT KILL TYPE normal|CLIENT KILL TYPE pubsub|", ":7|:2|");
    peers.iter_mut().for_each(|peer| drop(peer.rest()));
    drop(killer);
    expect_nothing_left(&server);
}

#[test]
fn a_client_that_is_killed_while_its_group_is_synced_leaves_nothing_behind() {
    let (keyspace, syncs) = keyspace_and_syncs(Duration::ZERO);
    let server = RedisServer::start(keyspace, options()).unwrap();
    let mut killer = Peer::new(&server);
    killer.ask("PING|", "+PONG|");
    let begun = syncs.begun.load(SeqCst);
    syncs.hold.store(true, SeqCst);
    // What follows the write would be done once it is durable.
    let mut peers: Vec<Peer> = BEGINNINGS.iter().map(|_| Peer::new(&server)).collect();
    for (peer, beginning) in peers.iter_mut().zip(BEGINNINGS) {
        peer.send(&format!("SET n 1|{beginning}"));
    }
    eventually("all are there", || server.shared().clients.len() == 10);
    eventually("a group is synced", || syncs.begun.load(SeqCst) > begun);
    killer.ask("CLIENT KILL TYPE normal|", ":9|");
    for peer in &mut peers {
        assert_eq!(peer.rest(), "", "it went on");
    }
    syncs.hold.store(false, SeqCst);
    killer.ask("GET n|", "$1|1|");
    drop(killer);
    expect_nothing_left(&server);
}

#[test]
fn clients_that_kill_each_other_in_one_round_leave_nothing_behind() {
    let keyspace = keyspace(Duration::ZERO);
    let options = ServerOptions { event_loops: NonZero::new(1), ..options() };
    let server = RedisServer::start(keyspace.clone(), options).unwrap();
    for _ in 0..20 {
        let mut blocker = Peer::new(&server);
        let mut peers: Vec<Peer> = (0..40).map(|_| Peer::new(&server)).collect();
        eventually("all are there", || server.shared().clients.len() == 41);
        keyspace
            .transact(|_, _| {
                // The only loop waits for the keys meanwhile, so that the others are mostly ready all at once when it goes on.
                blocker.send("GET a|");
                std::thread::sleep(Duration::from_millis(5));
                for (at, peer) in peers.iter_mut().enumerate() {
                    let kinds = ["GET a|CLIENT KILL TYPE normal|PING|", "GET a|PING|", "SET a 1|MONITOR|"];
                    peer.send(kinds[at % 3]);
                }
            })
            .unwrap();
        eventually("only one of them is left, or the first", || server.shared().clients.len() <= 2);
        drop((blocker, peers));
        expect_nothing_left(&server);
    }
}

#[test]
fn half_of_a_command_is_not_done() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.send("SET a 1|*3|$3|SET|$1|a|$1|");
    peer.expect("+OK|");
    drop(peer);
    Peer::new(&server).ask("GET a|", "$1|1|");
}

#[test]
fn a_client_that_sends_no_more_is_answered_what_it_sent() {
    let server = RedisServer::start(keyspace(Duration::from_millis(20)), options()).unwrap();
    let mut peer = Peer::new(&server);
    peer.send("PING|SET a 1|GET a|");
    peer.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(peer.rest(), "+PONG|+OK|$1|1|");
    expect_nothing_left(&server);
}

/// What that takes of memory is seen where the server has a process of its own: `clients/tests/connections.rs`.
#[test]
fn thousands_of_connections_come_and_go_and_nothing_is_left() {
    let server = start();
    // Descriptors of both ends are of this process.
    let count = 200;
    for _ in 0..20 {
        let mut peers: Vec<Peer> = (0..count).map(|_| Peer::new(&server)).collect();
        for (at, peer) in peers.iter_mut().enumerate() {
            peer.send(BEGINNINGS[at % 6]);
        }
        eventually("all are there", || server.shared().clients.len() == count);
        drop(peers);
        expect_nothing_left(&server);
    }
}

#[test]
fn a_server_that_is_dropped_ends_its_threads_and_connections() {
    let server = RedisServer::start(keyspace(Duration::from_millis(20)), options()).unwrap();
    let mut peers: Vec<Peer> = BEGINNINGS.iter().map(|_| Peer::new(&server)).collect();
    for (peer, beginning) in peers.iter_mut().zip(BEGINNINGS) {
        peer.send(beginning);
    }
    std::thread::sleep(Duration::from_millis(10));
    let (pubsub, watches) = (server.shared().pubsub.clone(), server.shared().watches.clone());
    drop(server);
    peers.iter_mut().for_each(|peer| drop(peer.rest()));
    assert_eq!((pubsub.counts(), watches.len()), ((0, 0), 0));
}
