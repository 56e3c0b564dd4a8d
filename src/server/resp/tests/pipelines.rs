use super::*;

#[test]
fn answers_come_in_the_order_of_the_commands_where_reads_follow_writes() {
    for writes_on_event_loops in [false, true] {
        let options = ServerOptions { writes_on_event_loops, ..options() };
        let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
        let mut peer = Peer::new(&server);
        for _ in 0..50 {
            peer.ask(
                "GET a|SET a 1|GET a|INCR a|GET a|SELECT 1|GET a|SELECT 0|DEL a|GET a|PING|",
                "$-1|+OK|$1|1|:2|$1|2|+OK|$-1|+OK|:1|$-1|+PONG|",
            );
        }
    }
}

#[test]
fn a_pipeline_is_answered_whole_however_it_is_cut() {
    let server = start();
    let request = "*3|$3|SET|$1|a|$5|hello|*2|$3|GET|$1|a|PING|*2|$3|DEL|$1|a|".replace('|', "\r\n");
    for step in [1, 2, 3, 5, 11] {
        let mut peer = Peer::new(&server);
        for part in request.as_bytes().chunks(step) {
            peer.0.write_all(part).unwrap();
            std::thread::sleep(Duration::from_micros(200));
        }
        peer.expect("+OK|$5|hello|+PONG|:1|");
    }
}

#[test]
fn commands_sent_while_a_write_is_on_its_way_wait_for_it() {
    let server = RedisServer::start(keyspace(Duration::from_millis(30)), options()).unwrap();
    let mut peer = Peer::new(&server);
    peer.send("SET a 1|");
    std::thread::sleep(Duration::from_millis(10));
    peer.send("GET a|PING|");
    peer.send("SET a 2|GET a|");
    peer.expect("+OK|$1|1|+PONG|+OK|$1|2|");
}

#[test]
fn many_connections_count_to_the_same_number() {
    count_together(false);
    count_together(true);
}

fn count_together(writes_on_event_loops: bool) {
    let options = ServerOptions { writes_on_event_loops, ..options() };
    let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
    let address = server.address();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                for _ in 0..50 {
                    stream.write_all(&b"INCR n\r\n".repeat(10)).unwrap();
                    let mut lines = 0;
                    let mut buffer = [0; 512];
                    while lines < 10 {
                        let bytes = stream.read(&mut buffer).unwrap();
                        lines += buffer[..bytes].iter().filter(|byte| **byte == b'\n').count();
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    Peer::new(&server).ask("GET n|", "$4|4000|");
}

#[test]
fn a_pipeline_of_long_answers_arrives_whole_at_a_slow_reader() {
    let server = start();
    let mut peer = Peer::new(&server);
    let value = "v".repeat(100_000);
    peer.ask(&format!("*3|$3|SET|$1|a|$100000|{value}|"), "+OK|");
    // 20 MB, which neither the server's bound for a batch nor the sockets hold.
    peer.send(&"GET a|".repeat(200));
    std::thread::sleep(Duration::from_millis(50));
    let answer = format!("$100000|{value}|");
    (0..200).for_each(|_| peer.expect(&answer));
    peer.ask("PING|", "+PONG|");
}

#[test]
fn a_stream_out_of_step_is_told_after_the_answers_before_it_and_closed() {
    let server = start();
    for (request, expected) in [
        ("PING|*1|:3|", "+PONG|-ERR Protocol error: expected '$', got ':'|"),
        ("SET a 1|*abc|PING|", "+OK|-ERR Protocol error: invalid multibulk length|"),
        ("PING \"x|", "-ERR Protocol error: unbalanced quotes in request|"),
    ] {
        let mut peer = Peer::new(&server);
        peer.send(request);
        assert_eq!(peer.rest(), expected);
    }
}

#[test]
fn requests_of_other_protocols_are_not_answered() {
    let server = start();
    for request in [
        "POST / HTTP/1.1|Host: localhost|Content-Length: 10||SET a evil|",
        "GET / HTTP/1.1|Host: localhost||",
        "host: x|",
    ] {
        let mut peer = Peer::new(&server);
        peer.send(request);
        assert_eq!(peer.rest(), "");
    }
    Peer::new(&server).ask("GET a|", "$-1|");
}

#[test]
fn what_is_unknown_is_told_in_redis_words() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.ask("FOO|", "-ERR unknown command 'FOO', with args beginning with: |");
    peer.ask("Foo a 'b c'|", "-ERR unknown command 'Foo', with args beginning with: 'a' 'b c' |");
    let long = "x".repeat(200);
    let cut = "x".repeat(128);
    peer.ask(
        &format!("{long} {long} y|"),
        &format!("-ERR unknown command '{cut}', with args beginning with: '{cut}' |"),
    );
    peer.ask("CLIENT foo|", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.|");
    peer.ask("ECHO|", "-ERR wrong number of arguments for 'echo' command|");
    peer.send("CLIENT SETNAME|");
    let mut answer = [0; 58];
    peer.0.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"-ERR wrong number of arguments for 'client|setname' command\r\n".first_chunk().unwrap());
}

#[test]
fn quit_is_answered_and_nothing_after_it_is_done() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.send("SET a 1|QUIT|SET a 2|");
    assert_eq!(peer.rest(), "+OK|+OK|");
    Peer::new(&server).ask("GET a|", "$1|1|");
}

#[test]
fn answers_are_left_out_as_client_reply_says() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.ask("CLIENT REPLY OFF|SET a 1|GET a|CLIENT REPLY ON|GET a|", "+OK|$1|1|");
    peer.ask("CLIENT REPLY SKIP|INCR a|GET a|", "$1|2|");
}

#[test]
fn a_paused_server_does_what_it_was_sent_once_the_pause_is_over() {
    let server = start();
    let (mut pausing, mut peer) = (Peer::new(&server), Peer::new(&server));
    let start = Instant::now();
    pausing.ask("CLIENT PAUSE 100 WRITE|", "+OK|");
    peer.ask("GET a|", "$-1|");
    peer.ask("SET a 1|GET a|", "+OK|$1|1|");
    assert!(start.elapsed() > Duration::from_millis(80));
    pausing.ask("CLIENT PAUSE 60000|", "+OK|");
    peer.send("PING|");
    peer.expect_nothing(Duration::from_millis(50));
}

#[test]
fn shutdown_stops_all_threads_without_an_answer() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.send("SHUTDOWN NOSAVE|");
    assert_eq!(peer.rest(), "");
    let address = server.address();
    server.wait();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn connections_that_are_served_in_one_round_get_their_own_answers() {
    // More than a round takes, of all kinds: reads, writes, long answers, errors, other databases.
    let options = ServerOptions { event_loops: NonZero::new(1), ..options() };
    for (writes_on_event_loops, sync) in [(false, Duration::from_millis(2)), (true, Duration::ZERO)] {
        let server =
            RedisServer::start(keyspace(sync), ServerOptions { writes_on_event_loops, ..options.clone() }).unwrap();
        let mut first = Peer::new(&server);
        let long = "v".repeat(100_000);
        first.ask(&format!("*3|$3|SET|$4|long|$100000|{long}|"), "+OK|");
        let mut peers: Vec<Peer> = (0..150).map(|_| Peer::new(&server)).collect();
        for round in 0..5 {
            for (n, peer) in peers.iter_mut().enumerate() {
                peer.send(&match n % 6 {
                    0 => format!("GET k{n}|"),
                    1 => format!("SET k{n} {n}|GET k{n}|"),
                    2 => format!("PING|GET k{n}|SET k{n} {round}|GET k{n}|"),
                    3 => "GET long|".to_owned(),
                    4 => "NOSUCH|ASOF k1 NOW|".to_owned(),
                    _ => format!("INCR all|SELECT {}|GET k1|SELECT 0|", n % 16),
                });
            }
            for (n, peer) in peers.iter_mut().enumerate() {
                let length = n.to_string().len();
                match n % 6 {
                    0 => peer.expect("$-1|"),
                    1 => peer.expect(&format!("+OK|${length}|{n}|")),
                    2 if round == 0 => peer.expect("+PONG|$-1|+OK|$1|0|"),
                    2 => peer.expect(&format!("+PONG|$1|{}|+OK|$1|{round}|", round - 1)),
                    3 => peer.expect(&format!("$100000|{long}|")),
                    4 => {
                        assert!(peer.answer().starts_with("-ERR unknown command 'NOSUCH'"));
                        let then = peer.answer();
                        assert!(["nil", "1"].contains(&then.as_str()), "{then}");
                    }
                    _ => {
                        assert!(peer.answer().starts_with(':'));
                        let in_database = if n % 16 == 0 { ["nil", "1"] } else { ["nil", "nil"] };
                        assert_eq!(peer.answer(), "+OK");
                        let found = peer.answer();
                        assert!(in_database.contains(&found.as_str()), "{found} in database {}", n % 16);
                        assert_eq!(peer.answer(), "+OK");
                    }
                }
            }
        }
        first.ask("GET all|", "$3|125|");
    }
}
