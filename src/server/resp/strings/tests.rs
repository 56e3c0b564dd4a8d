use crate::server::resp::command::testing::{Client, check_events};
use crate::server::resp::protocol::Version;

const SYNTAX: &str = "-ERR syntax error";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_INTEGER: &str = "-ERR value is not an integer or out of range";
const NO_FLOAT: &str = "-ERR value is not a valid float";
const TOO_LONG: &str = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";

#[test]
fn set_does_what_its_options_say() {
    Client::default().check(&[
        ("SET k 1 XX", "$-1|"),
        ("SET k 1 NX", "+OK|"),
        ("SET k 2 NX", "$-1|"),
        ("SET k 2 XX GET", "$1|1|"),
        ("SET k 3 NX GET", "$1|2|"),
        ("GET k", "$1|2|"),
        ("SET new 1 GET", "$-1|"),
        ("SET new 2 PX 1500", "+OK|"),
        ("PTTL new", ":1500|"),
        ("SET new 3 KEEPTTL", "+OK|"),
        ("PTTL new", ":1500|"),
        ("SET new 4", "+OK|"),
        ("PTTL new", ":-1|"),
        ("SET new 5 EX 10 EX 20", "+OK|"),
        ("TTL new", ":20|"),
        ("SET new 6 EXAT 1700000100", "+OK|"),
        ("TTL new", ":100|"),
        ("SET new 7 PXAT 1700000000001", "+OK|"),
        ("PTTL new", ":1|"),
        ("HSET h f v", ":1|"),
        ("SET h 1 GET", WRONG_TYPE),
        ("SET h 1 KEEPTTL", "+OK|"),
    ]);
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    for command in [
        "SET k v NX XX",
        "SET k v XX NX",
        "SET k v EX 1 PX 1",
        "SET k v EX 1 KEEPTTL",
        "SET k v KEEPTTL EX 1",
        "SET k v EX",
        "SET k v PERSIST",
        "SET k v foo",
        "SET k v ''",
        "GETEX k EX 1 PERSIST",
        "GETEX k PERSIST PXAT 1",
        "GETEX k KEEPTTL",
        "GETEX k NX",
        "GETEX k EXAT",
    ] {
        assert_eq!(Client::default().send(command), SYNTAX, "{command}");
    }
}

#[test]
fn a_time_that_is_none_changes_nothing() {
    let mut client = Client::default();
    client.send("SET k v EX 100");
    for (command, name) in [
        ("SET k x EX 0", "set"),
        ("SET k x PX -1", "set"),
        ("SET k x EX 9223372036854776", "set"),
        ("SET k x EXAT 9223372036854776", "set"),
        ("SET k x PX 9223372036854775807", "set"),
        ("SETEX k 0 x", "setex"),
        ("PSETEX k 9223372036854775807 x", "psetex"),
        ("GETEX k EX -5", "getex"),
    ] {
        assert_eq!(client.send(command), format!("-ERR invalid expire time in '{name}' command"), "{command}");
    }
    client.check(&[
        ("SET k x EX a", NO_INTEGER),
        ("GETEX nokey EX -5", "$-1|"),
        ("GET k", "$1|v|"),
        ("TTL k", ":100|"),
    ]);
}

#[test]
fn a_string_that_is_set_to_go_in_the_past_is_not_there() {
    let mut client = Client::default();
    client.check(&[("SET k v PXAT 1", "+OK|"), ("GET k", "$-1|"), ("EXISTS k", ":0|"), ("SET k w NX", "+OK|")]);
    assert_eq!(
        client.events(),
        ["New 0:k new", "String 0:k set", "Generic 0:k expire", "Expired 0:k expired", "New 0:k new", "String 0:k set"]
    );
}

#[test]
fn a_string_goes_at_its_deadline_to_the_microsecond() {
    let mut client = Client::default();
    client.now += 999;
    client.send("PSETEX k 2 v");
    client.now += 1_999;
    assert_eq!(client.send("GET k"), "$1|v|");
    client.now += 1;
    client.check(&[("GET k", "$-1|"), ("TTL k", ":-2|"), ("INCR k", ":1|"), ("TTL k", ":-1|")]);
}

#[test]
fn what_changes_a_string_in_place_keeps_its_deadline() {
    for command in ["INCR k", "DECRBY k 5", "INCRBYFLOAT k 1.5", "APPEND k 1", "SETRANGE k 2 x", "SET k 1 KEEPTTL"] {
        let mut client = Client::default();
        client.send("SET k 10 EX 100");
        client.send(command);
        assert_eq!(client.send("TTL k"), ":100|", "{command}");
    }
    for command in ["SET k 1", "GETSET k 1", "MSET k 1", "GETEX k PERSIST"] {
        let mut client = Client::default();
        client.send("SET k 10 EX 100");
        client.send(command);
        assert_eq!(client.send("TTL k"), ":-1|", "{command}");
    }
}

#[test]
fn integers_do_not_leave_their_range() {
    let overflow = "-ERR increment or decrement would overflow";
    Client::default().check(&[
        ("SET k 9223372036854775806", "+OK|"),
        ("INCR k", ":9223372036854775807|"),
        ("INCR k", overflow),
        ("INCRBY k 1", overflow),
        ("DECRBY k -1", overflow),
        ("DECRBY k -9223372036854775808", "-ERR decrement would overflow"),
        ("INCRBY k 9223372036854775808", NO_INTEGER),
        ("SET k -9223372036854775808", "+OK|"),
        ("DECR k", overflow),
        ("GET k", "$20|-9223372036854775808|"),
        ("SET k 01", "+OK|"),
        ("INCR k", NO_INTEGER),
        ("INCRBY new -5", ":-5|"),
    ]);
}

#[test]
fn floats_add_up_as_in_redis() {
    Client::default().check(&[
        ("INCRBYFLOAT k 0.1", "$3|0.1|"),
        ("INCRBYFLOAT k 0.2", "$3|0.3|"),
        ("INCRBYFLOAT k 5.0e3", "$22|5000.29999999999999982|"),
        ("INCRBYFLOAT k inf", "-ERR increment would produce NaN or Infinity"),
        ("INCRBYFLOAT k nan", NO_FLOAT),
        ("SET s a", "+OK|"),
        ("INCRBYFLOAT s 1", NO_FLOAT),
        ("HSET h f 1", ":1|"),
        ("INCRBYFLOAT h 1", WRONG_TYPE),
    ]);
}

#[test]
fn a_string_is_no_longer_than_512_megabytes() {
    let mut client = Client::default();
    client.check(&[
        ("SETRANGE k 536870911 xy", TOO_LONG),
        ("SETRANGE k 9223372036854775807 x", TOO_LONG),
        ("SETRANGE k -1 x", "-ERR offset is out of range"),
        // Nothing is written, so that nothing is too long.
        ("SETRANGE k 9223372036854775807 ''", ":0|"),
        ("EXISTS k", ":0|"),
        ("SETRANGE k 3 x", ":4|"),
        ("GET k", "$4|\\x00\\x00\\x00x|"),
        ("SETRANGE k 1 ab", ":4|"),
        ("GET k", "$4|\\x00abx|"),
    ]);
    client.keyspace.set_string((0, b"long"), vec![0; 512 << 20], None);
    client.check(&[("APPEND long ''", ":536870912|"), ("APPEND long x", TOO_LONG), ("STRLEN long", ":536870912|")]);
}

#[test]
fn who_names_a_long_value_again_and_again_is_refused() {
    let mut client = Client::default();
    client.send_words(&[b"SET", b"k", &[b'x'; 1 << 20]]);
    assert!(client.send("MGET k k k").starts_with("*3|$1048576|"));
    assert_eq!(client.send(&format!("MGET{}", " k".repeat(20))), "-ERR the answer would be too long");
}

#[test]
fn pairs_are_set_all_or_none() {
    let mut client = Client::default();
    client.check(&[
        ("MSET a 1 b 2 a 3", "+OK|"),
        ("MGET a b c", "*3|$1|3|$1|2|$-1|"),
        ("MSETNX c 1 a 1", ":0|"),
        ("MSETNX c 1 d 1", ":1|"),
        ("MSET a", "-ERR wrong number of arguments for 'mset' command"),
        ("MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command"),
        ("HSET h f v", ":1|"),
        ("MGET h d", "*2|$-1|$1|1|"),
        ("EXISTS a b c d", ":4|"),
    ]);
    client.version = Version::Resp3;
    client.check(&[("MGET h d", "*2|_|$1|1|"), ("GET none", "_|"), ("SET d 1 NX", "_|")]);
}

#[test]
fn commands_of_strings_tell_of_what_they_change() {
    check_events(&[
        ("", "SET k v", &["New 0:k new", "String 0:k set"]),
        ("SET k v", "SET k v EX 5", &["String 0:k set", "Generic 0:k expire"]),
        ("SET k v", "SET k v NX", &[]),
        ("", "SETEX k 5 v", &["New 0:k new", "String 0:k set", "Generic 0:k expire"]),
        ("SET a 1", "MSET a 1 b 2", &["String 0:a set", "New 0:b new", "String 0:b set"]),
        ("SET k 1", "GETSET k 2", &["String 0:k set"]),
        ("SET k 1", "GETDEL k", &["Generic 0:k del"]),
        ("", "GETDEL k", &[]),
        ("SET k 1", "GETEX k", &[]),
        ("SET k 1", "GETEX k EX 5", &["Generic 0:k expire"]),
        ("SET k 1", "GETEX k PXAT 5", &["Generic 0:k del"]),
        ("SET k 1", "GETEX k PERSIST", &[]),
        ("SET k 1 EX 5", "GETEX k PERSIST", &["Generic 0:k persist"]),
        ("", "INCR k", &["New 0:k new", "String 0:k incrby"]),
        ("SET k 1", "DECRBY k 2", &["String 0:k incrby"]),
        ("SET k 1", "INCRBYFLOAT k 2", &["String 0:k incrbyfloat"]),
        ("SET k a", "INCR k", &[]),
        ("", "APPEND k v", &["New 0:k new", "String 0:k append"]),
        ("SET k 1", "APPEND k ''", &["String 0:k append"]),
        ("", "SETRANGE k 1 v", &["New 0:k new", "String 0:k setrange"]),
        ("SET k 1", "SETRANGE k 1 ''", &[]),
    ]);
}
