//! Deadlines of fields, which Debian's Redis does not have yet: answers as their documentation says.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::time::Duration;

use asof_clients::{Connection, Server};

/// Plays lines `command -> answer`. Answers are written with `[...]` for arrays; `~N` is an integer not far below N.
#[track_caller]
fn play(connection: &mut Connection, script: &str) {
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (command, expected) = line.split_once(" -> ").unwrap();
        let reply = connection.words(command);
        let found = match reply.kind {
            b'*' => format!("[{}]", reply.items().iter().map(|item| item.text()).collect::<Vec<_>>().join(" ")),
            b'-' | b':' | b'+' => reply.text(),
            _ if reply.is_null() => "nil".to_owned(),
            _ => format!("\"{}\"", reply.text()),
        };
        match expected.strip_prefix("[~").and_then(|near| near.strip_suffix(']')?.parse::<i64>().ok()) {
            Some(near) => {
                let number = reply.items()[0].integer().unwrap();
                assert!((near - near / 10 - 2..=near).contains(&number), "{command}: {found}, not near {near}");
            }
            None => assert_eq!(found, expected, "{command}"),
        }
    }
}

/// 2 is "the field was removed, for the deadline was past", 1 "set", 0 "the condition was not met", -1 "no deadline", -2 "no field".
#[test]
fn every_command_answers_as_documented() {
    let server = Server::asof();
    let mut connection = server.connect();
    play(
        &mut connection,
        "
        HSET h a 1 b 2 c 3 -> 3
        HEXPIRE h 100 FIELDS 1 a -> [1]
        HTTL h FIELDS 3 a b none -> [100 -1 -2]
        HPTTL h FIELDS 1 a -> [~100000]
        HEXPIRE h 100 NX FIELDS 2 a b -> [0 1]
        HEXPIRE h 200 XX FIELDS 2 a c -> [1 0]
        HEXPIRE h 150 GT FIELDS 1 a -> [0]
        HEXPIRE h 250 GT FIELDS 1 a -> [1]
        HEXPIRE h 250 GT FIELDS 1 c -> [0]
        HEXPIRE h 300 LT FIELDS 1 a -> [0]
        HEXPIRE h 150 LT FIELDS 1 a -> [1]
        HEXPIRE h 150 LT FIELDS 1 c -> [1]
        HPEXPIRE h 90000 FIELDS 1 a -> [1]
        HTTL h FIELDS 1 a -> [90]
        HPERSIST h FIELDS 3 a b none -> [1 1 -2]
        HPERSIST h FIELDS 1 a -> [-1]
        HEXPIREAT h 4000000000 FIELDS 1 a -> [1]
        HEXPIRETIME h FIELDS 2 a b -> [4000000000 -1]
        HPEXPIRETIME h FIELDS 1 a -> [4000000000000]
        HPEXPIREAT h 4000000000123 FIELDS 1 a -> [1]
        HPEXPIRETIME h FIELDS 1 a -> [4000000000123]
        HEXPIRETIME h FIELDS 1 a -> [4000000001]
        HEXPIRE h 0 FIELDS 1 a -> [2]
        HEXISTS h a -> 0
        HEXPIREAT h 1 FIELDS 2 b none -> [2 -2]
        HPEXPIREAT h 1 FIELDS 1 c -> [2]
        EXISTS h -> 0
        HEXPIRE none 10 FIELDS 2 a b -> [-2 -2]
        HTTL none FIELDS 1 a -> [-2]
        HPERSIST none FIELDS 2 a b -> [-2 -2]
        HEXPIRETIME none FIELDS 1 a -> [-2]
        ",
    );
}

#[test]
fn what_changes_a_field_keeps_or_drops_its_deadline() {
    let server = Server::asof();
    let mut connection = server.connect();
    play(
        &mut connection,
        "
        HSET h a 1 b 2 -> 2
        HEXPIRE h 100 FIELDS 2 a b -> [1 1]
        HSET h a 5 -> 0
        HTTL h FIELDS 2 a b -> [-1 100]
        HINCRBY h b 1 -> 3
        HTTL h FIELDS 1 b -> [~100]
        HINCRBYFLOAT h b 0.5 -> \"3.5\"
        HTTL h FIELDS 1 b -> [~100]
        HDEL h b -> 1
        HSET h b 1 -> 1
        HTTL h FIELDS 1 b -> [-1]
        HEXPIRE h 100 FIELDS 1 b -> [1]
        RENAME h renamed -> OK
        HTTL renamed FIELDS 1 b -> [~100]
        COPY renamed copied -> 1
        HTTL copied FIELDS 1 b -> [~100]
        PERSIST copied -> 0
        HTTL copied FIELDS 1 b -> [~100]
        EXPIRE copied 50 -> 1
        HTTL copied FIELDS 1 b -> [~100]
        ",
    );
}

#[test]
fn a_field_past_its_deadline_is_nowhere() {
    let server = Server::asof();
    let mut connection = server.connect();
    play(
        &mut connection,
        "
        HSET h a 1 b 2 -> 2
        HPEXPIRE h 30 FIELDS 1 a -> [1]
        HSET last x 1 -> 1
        HPEXPIRE last 30 FIELDS 1 x -> [1]
        ",
    );
    std::thread::sleep(Duration::from_millis(60));
    play(
        &mut connection,
        "
        HGET h a -> nil
        HMGET h a b -> [ 2]
        HGETALL h -> [b 2]
        HKEYS h -> [b]
        HVALS h -> [2]
        HLEN h -> 1
        HEXISTS h a -> 0
        HSTRLEN h a -> 0
        HTTL h FIELDS 1 a -> [-2]
        HDEL h a -> 0
        HSETNX h a 7 -> 1
        HTTL h FIELDS 1 a -> [-1]
        EXISTS last -> 0
        TYPE last -> none
        KEYS * -> [h]
        ",
    );
}

#[test]
fn wrong_arguments_are_refused_with_documented_texts() {
    let server = Server::asof();
    let mut connection = server.connect();
    play(
        &mut connection,
        "
        SET text 1 -> OK
        HSET h a 1 -> 1
        HEXPIRE text 10 FIELDS 1 a -> WRONGTYPE Operation against a key holding the wrong kind of value
        HTTL text FIELDS 1 a -> WRONGTYPE Operation against a key holding the wrong kind of value
        HEXPIRE h 10 -> ERR wrong number of arguments for 'hexpire' command
        HTTL h -> ERR wrong number of arguments for 'httl' command
        HPERSIST h FIELDS -> ERR wrong number of arguments for 'hpersist' command
        HEXPIRE h abc FIELDS 1 a -> ERR value is not an integer or out of range
        HEXPIRE h -1 FIELDS 1 a -> ERR invalid expire time, must be >= 0
        HEXPIRE h 9223372036854775807 FIELDS 1 a -> ERR invalid expire time in 'hexpire' command
        HEXPIRE h 10 FIELDS 0 a -> ERR Parameter `numFields` should be greater than 0
        HEXPIRE h 10 FIELDS 2 a -> ERR The `numfields` parameter must match the number of arguments
        ",
    );
}
