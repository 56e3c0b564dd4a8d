//! What somebody does who wants the server to fail: attacks that other servers met, and limits, one after the other.

use super::*;
use crate::server::auth::Authenticator;

fn protected() -> RunningServer {
    let authenticator = Authenticator::Password((*b"secret").into());
    RedisServer::start(keyspace(Duration::ZERO), ServerOptions { authenticator, ..options() }).unwrap()
}

fn input_bytes(server: &RunningServer) -> usize {
    server.shared().input_bytes.load(SeqCst)
}

#[test]
fn requests_that_are_too_long_before_the_password_are_refused_by_what_they_announce_and_by_what_they_are() {
    let server = protected();
    let kilobyte = "x".repeat(1_000);
    let bulk = format!("$1000|{kilobyte}|");
    for (request, expected) in [
        ("*9|".to_owned(), "unauthenticated multibulk length"),
        ("a b c d e f g h i|".to_owned(), "invalid multibulk length"),
        ("*2|$4|AUTH|$4097|".to_owned(), "unauthenticated bulk length"),
        (format!("*8|{}", bulk.repeat(5)), "too big command"),
        (kilobyte.repeat(5), "too big inline request"),
    ] {
        let mut peer = Peer::new(&server);
        peer.send(&request);
        assert_eq!(peer.rest(), format!("-ERR Protocol error: {expected}|"));
    }
}

/// CVE-2021-32675: clients that did not authenticate announced many long arguments, and memory was set aside for them.
#[test]
fn lengths_that_are_announced_take_no_memory_with_or_without_the_password() {
    let server = protected();
    for announced in ["*1048576|$536870912|", "*1048576|", "*8|$536870912|"] {
        let mut peers: Vec<Peer> = (0..50).map(|_| Peer::new(&server)).collect();
        peers.iter_mut().for_each(|peer| peer.send(announced));
        peers.iter_mut().for_each(|peer| assert!(peer.rest().starts_with("-ERR Protocol error: unauthenticated ")));
    }
    assert_eq!(input_bytes(&server), 0);
    let mut peers: Vec<Peer> = (0..50).map(|_| Peer::new(&server)).collect();
    for peer in &mut peers {
        peer.ask("AUTH secret|PING|", "+OK|+PONG|");
        peer.send("*1048576|$536870912|abc");
    }
    eventually("what they announced was read", || {
        let clients = server.shared().clients.all();
        clients.iter().filter(|client| client.details.lock().unwrap().input_bytes.0 > 0).count() == 50
    });
    assert!(input_bytes(&server) < 50 << 10, "{}", input_bytes(&server));
}

/// CVE-2025-46686: commands of very many short arguments took memory beside that of their bytes, which nobody counted.
#[test]
fn many_arguments_count_as_the_memory_that_they_take_and_it_is_given_back() {
    let options = ServerOptions { input_bytes_max_in_all: 20 << 20, ..options() };
    let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
    // A megabyte on the wire, and more than two for where its arguments lie.
    let arguments = 200_000;
    let begin = format!("*{}|$6|EXISTS|", arguments + 1);
    let mut whole = Peer::new(&server);
    whole.send(&begin);
    whole.ask(&"$0||".repeat(arguments), ":0|");
    eventually("the memory is given back", || input_bytes(&server) < 64 << 10);
    let mut halves: Vec<Peer> = (0..6).map(|_| Peer::new(&server)).collect();
    halves.iter_mut().for_each(|peer| peer.ask("PING|", "+PONG|"));
    for peer in &mut halves {
        // Who is cut off meanwhile cannot be sent all of it.
        let _ = peer.0.write_all(begin.replace('|', "\r\n").as_bytes());
        let _ = peer.0.write_all("$0\r\n\r\n".repeat(arguments - 1).as_bytes());
    }
    eventually("some are cut off", || server.shared().clients.len() < 7);
    assert!(input_bytes(&server) <= 28 << 20, "{}", input_bytes(&server));
    whole.ask("PING|", "+PONG|");
}

#[test]
fn commands_that_wait_for_exec_count_as_well() {
    let options = ServerOptions { input_bytes_max_in_all: 4 << 20, ..options() };
    let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
    let mut peers: Vec<Peer> = (0..6).map(|_| Peer::new(&server)).collect();
    let value = "v".repeat(1 << 20);
    peers.iter_mut().for_each(|peer| peer.ask("MULTI|", "+OK|"));
    for peer in &mut peers {
        let _ = peer.0.write_all(format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1048576\r\n{value}\r\n").as_bytes());
    }
    eventually("some are cut off", || server.shared().clients.len() < 6);
    drop(peers);
    expect_nothing_left(&server);
}

/// CVE-2024-31228: a pattern of very many stars was matched by a function that called itself.
#[test]
fn a_pattern_of_very_many_stars_is_matched_without_end_of_stack_or_time() {
    let server = start();
    let mut peer = Peer::new(&server);
    let name = "a".repeat(10_000);
    peer.ask(&format!("SET {name} 1|"), "+OK|");
    for pattern in ["*".repeat(60_000), "a*".repeat(30_000), format!("{}b", "*a".repeat(5_000)), "[".repeat(60_000)] {
        let start = Instant::now();
        for command in [format!("KEYS {pattern}|"), format!("PUBSUB CHANNELS {pattern}|")] {
            peer.send(&command);
            let count = peer.line();
            if count == "*1" {
                peer.expect(&format!("$10000|{name}|"));
            }
        }
        peer.send(&format!("SCAN 0 MATCH {pattern}|"));
        peer.expect("*2|$1|0|");
        if peer.line() == "*1" {
            peer.expect(&format!("$10000|{name}|"));
        }
        assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    }
    peer.ask("PING|", "+PONG|");
}

#[test]
fn a_command_holds_no_command_and_an_argument_no_list() {
    let server = start();
    for (request, got) in [("*1|*1|*1|*1|$4|PING|", "*"), ("*2|$4|ECHO|*1|$1|a|", "*"), ("*1|:1|", ":")] {
        let mut peer = Peer::new(&server);
        peer.send(request);
        assert_eq!(peer.rest(), format!("-ERR Protocol error: expected '$', got '{got}'|"));
    }
    let mut peer = Peer::new(&server);
    peer.ask("MULTI|MULTI|EXEC|", "+OK|-ERR MULTI calls can not be nested|*0|");
}

#[test]
fn arguments_and_commands_are_no_longer_than_the_configuration_says() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.ask("CONFIG SET proto-max-bulk-len 1mb client-query-buffer-limit 3mb|", "+OK|");
    for (request, expected) in [
        ("*1048577|", "invalid multibulk length"),
        ("*2|$4|ECHO|$1048577|", "invalid bulk length"),
        ("*2|$4|ECHO|$-1|", "invalid bulk length"),
        ("*2|$4|ECHO|$99999999999999999999|", "invalid bulk length"),
    ] {
        let mut peer = Peer::new(&server);
        peer.send(request);
        assert_eq!(peer.rest(), format!("-ERR Protocol error: {expected}|"));
    }
    let megabyte = format!("$1048576|{}|", "x".repeat(1 << 20));
    peer.send(&format!("*2|$4|ECHO|{megabyte}"));
    peer.expect(&megabyte);
    peer.send(&format!("*4|$6|EXISTS|{}", megabyte.repeat(2)));
    peer.0.write_all(b"$1048576\r\n").unwrap();
    assert_eq!(peer.rest(), "-ERR Protocol error: too big command|");
}

#[test]
fn a_connection_that_leaves_one_long_answer_lying_is_cut_off_beyond_its_limit() {
    let options = ServerOptions { output_bytes_max: 1 << 20, ..options() };
    let server = RedisServer::start(keyspace(Duration::ZERO), options).unwrap();
    let (mut writer, mut reader) = (Peer::new(&server), Peer::new(&server));
    // Longer than may be left lying, and not refused as an answer by itself; many of them are more than the system takes.
    let value = "v".repeat(3 << 19);
    writer.ask(&format!("*3|$3|SET|$1|a|${}|{value}|", value.len()), "+OK|");
    reader.send(&"GET a|".repeat(16));
    eventually("it is cut off", || server.shared().clients.len() == 1);
    assert!(server.shared().output_bytes.load(SeqCst) <= 1 << 20);
    writer.ask("PING|", "+PONG|");
}

#[test]
fn requests_of_other_protocols_are_not_answered_before_the_password_either() {
    let server = protected();
    for request in ["POST / HTTP/1.1|Host: localhost||", "GET / HTTP/1.1|Host: localhost||"] {
        let mut peer = Peer::new(&server);
        peer.send(request);
        let answered = peer.rest();
        assert!(!answered.contains("Host") && answered.len() < 64, "{answered}");
    }
}

/// A name that no record can say ended the server once, which then could not be closed in order.
#[test]
fn a_name_that_is_too_long_for_a_record_is_refused_by_every_command_that_writes() {
    let server = start();
    let mut peer = Peer::new(&server);
    peer.ask("SET a 1|", "+OK|");
    for len in [65_531, 65_532, 1 << 20] {
        let long = "n".repeat(len);
        for command in [
            "SET N v",
            "SETEX N 9 v",
            "SETNX N v",
            "GETSET N v",
            "MSET a 1 N v",
            "MSETNX b 1 N v",
            "APPEND N v",
            "SETRANGE N 0 v",
            "INCR N",
            "INCRBYFLOAT N 1",
            "HSET N f v",
            "HMSET N f v",
            "HSETNX N f v",
            "HINCRBY N f 1",
            "HINCRBYFLOAT N f 1",
            "RENAME a N",
            "RENAME N a",
            "COPY a N",
            "COPY N a",
            "MOVE N 1",
            "EXPIRE N 9",
            "DEL N",
        ] {
            let words: Vec<&str> = command.split(' ').map(|word| if word == "N" { &*long } else { word }).collect();
            let request: String = words.iter().map(|word| format!("${}|{word}|", word.len())).collect();
            peer.send(&format!("*{}|{request}", words.len()));
            let answer = peer.answer();
            assert_eq!(answer.contains("at most 65531 are stored"), len > 65_531, "{command} of {len}: {answer}");
            let del = format!("*2|$3|DEL|${}|{long}|", long.len());
            peer.send(&del);
            peer.answer();
            peer.ask("SET a 1|", "+OK|");
            peer.send("DEL b|");
            peer.answer();
        }
    }
    let field = "f".repeat((8 << 20) + 1);
    peer.send(&format!("*4|$4|HSET|$1|h|${}|{field}|$1|v|", field.len()));
    assert_eq!(peer.answer(), "-ERR a field's name takes at most 8388608 bytes");
    peer.ask("EXISTS h|", ":0|");
}

/// Large values of some clients failed small ones of others, whose group they shared: a group has enough long before the log's frame has.
#[test]
fn who_writes_much_fails_nobody_else() {
    let server = start();
    let value = format!("${}|{}|", 8 << 20, "v".repeat(8 << 20));
    let sets: String = (0..4).map(|n| format!("*3|$3|SET|$1|{n}|{value}")).collect();
    let mut peer = Peer::new(&server);
    // Of one connection too they go on in the next group.
    peer.send(&sets);
    assert_eq!([(); 4].map(|()| peer.answer()), ["+OK"; 4]);
    // A transaction is one group, and what is too much for it is refused alone.
    peer.send(&format!("MULTI|{sets}EXEC|"));
    let answers: Vec<String> = (0..6).map(|_| peer.answer()).collect();
    let refused = "-ERR the transaction writes more than fits into one";
    assert_eq!(answers[5], format!("[+OK, +OK, {refused}, {refused}]"));
}
