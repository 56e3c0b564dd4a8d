use super::*;

#[test]
fn a_read_of_what_is_not_durable_yet_waits_for_it() {
    let server = RedisServer::start(keyspace(Duration::from_secs(2)), options()).unwrap();
    let (mut writer, mut reader, mut other) = (Peer::new(&server), Peer::new(&server), Peer::new(&server));
    writer.send("SET a 1|");
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    reader.send("GET a|PING|");
    other.ask("PING|", "+PONG|");
    assert!(start.elapsed() < Duration::from_millis(1_000), "who asks for nothing of it does not wait");
    reader.expect("$1|1|+PONG|");
    assert!(start.elapsed() > Duration::from_millis(1_000), "{:?}", start.elapsed());
    writer.expect("+OK|");
}

#[test]
fn writes_that_are_not_made_durable_are_undone_and_told_to_writers_and_readers() {
    let (keyspace, syncs) = keyspace_and_syncs(Duration::from_millis(400));
    let server = RedisServer::start(keyspace, options()).unwrap();
    let (mut writer, mut reader) = (Peer::new(&server), Peer::new(&server));
    writer.ask("SET a 1|", "+OK|");
    syncs.fail.store(true, SeqCst);
    writer.send("PING|GET a|SET a 2|GET a|MULTI|INCR a|EXEC|PING|");
    std::thread::sleep(Duration::from_millis(100));
    reader.send("PING|GET a|ECHO x|");
    writer.expect("+PONG|$1|1|");
    let mut why = Vec::new();
    for expected in ["-MISCONF Errors writing to the log: ", "-MISCONF ", "+OK|", "+QUEUED|", "-MISCONF ", "+PONG|"] {
        let line = writer.line();
        assert!(line.starts_with(expected.trim_end_matches('|')), "{line:?} instead of {expected:?}");
        why.push(line);
    }
    assert_eq!(why[0], why[1]);
    reader.expect("+PONG|-MISCONF Errors writing to the log: a group of writes was undone|$1|x|");
    // The log takes no more, and reads go on.
    syncs.fail.store(false, SeqCst);
    reader.ask("GET a|", "$1|1|");
    writer.send("SET a 3|GET a|");
    assert!(writer.line().starts_with("-MISCONF "));
    reader.ask("GET a|", "$1|1|");
}

#[test]
fn all_that_read_what_is_undone_are_told() {
    let (keyspace, syncs) = keyspace_and_syncs(Duration::ZERO);
    let server = RedisServer::start(keyspace, ServerOptions { event_loops: NonZero::new(1), ..options() }).unwrap();
    let mut writer = Peer::new(&server);
    writer.ask("MSET a 1 b 1|", "+OK|");
    syncs.fail.store(true, SeqCst);
    syncs.hold.store(true, SeqCst);
    let mut readers: Vec<Peer> = (0..30).map(|_| Peer::new(&server)).collect();
    let begun = syncs.begun.load(SeqCst);
    writer.send("SET a 2|");
    eventually("its group is synced", || syncs.begun.load(SeqCst) > begun);
    for (at, reader) in readers.iter_mut().enumerate() {
        reader.send(if at % 3 == 0 { "PING|GET b|" } else { "PING|GET a|GET b|" });
    }
    // Those are answered at once that wait for nothing; the loop came to the others before the last of them.
    readers.iter_mut().step_by(3).for_each(|reader| reader.expect("+PONG|$1|1|"));
    Peer::new(&server).ask("PING|", "+PONG|");
    syncs.hold.store(false, SeqCst);
    for (at, reader) in readers.iter_mut().enumerate() {
        if at % 3 != 0 {
            reader.expect("+PONG|-MISCONF Errors writing to the log: a group of writes was undone|$1|1|");
        }
    }
    assert!(writer.line().starts_with("-MISCONF "));
    readers.iter_mut().for_each(|reader| reader.ask("GET a|", "$1|1|"));
}

#[test]
fn changes_that_were_undone_are_told_to_nobody() {
    let (keyspace, syncs) = keyspace_and_syncs(Duration::ZERO);
    let server = RedisServer::start(keyspace, options()).unwrap();
    let (mut writer, mut subscriber) = (Peer::new(&server), Peer::new(&server));
    writer.ask("CONFIG SET notify-keyspace-events KA|", "+OK|");
    subscriber.ask("SUBSCRIBE __keyspace@0__:a|", "*3|$9|subscribe|$16|__keyspace@0__:a|:1|");
    writer.ask("SET a 1|", "+OK|");
    subscriber.expect("*3|$7|message|$16|__keyspace@0__:a|$3|set|");
    syncs.fail.store(true, SeqCst);
    writer.send("SET a 2|");
    assert!(writer.line().starts_with("-MISCONF "));
    subscriber.expect_nothing(Duration::from_millis(30));
}

#[test]
fn writes_of_many_connections_become_durable_together() {
    let (keyspace, syncs) = keyspace_and_syncs(Duration::from_millis(200));
    let server = RedisServer::start(keyspace, options()).unwrap();
    let mut peers: Vec<Peer> = (0..50).map(|_| Peer::new(&server)).collect();
    let before = syncs.count.load(SeqCst);
    peers.iter_mut().for_each(|peer| peer.send("INCR n|"));
    for peer in &mut peers {
        assert!(peer.0.read(&mut [0; 16]).unwrap() > 0);
    }
    let count = syncs.count.load(SeqCst) - before;
    assert!(count < 25, "{count} syncs for 50 writes");
    peers[0].ask("GET n|", "$2|50|");
}
