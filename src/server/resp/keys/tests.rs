use std::collections::HashSet;

use crate::server::resp::command::testing::{Client, check_events};

const SYNTAX: &str = "-ERR syntax error";
const NO_KEY: &str = "-ERR no such key";
const SAME: &str = "-ERR source and destination objects are the same";
const NO_DATABASE: &str = "-ERR DB index is out of range";

#[test]
fn times_are_told_in_seconds_and_milliseconds() {
    let mut client = Client::default();
    client.check(&[
        ("SET k v", "+OK|"),
        ("TTL k", ":-1|"),
        ("EXPIRETIME k", ":-1|"),
        ("PTTL nokey", ":-2|"),
        ("PEXPIRETIME nokey", ":-2|"),
        ("PEXPIRE k 1499", ":1|"),
        // To the nearest second.
        ("TTL k", ":1|"),
        ("EXPIRETIME k", ":1700000001|"),
        ("PEXPIRE k 1500", ":1|"),
        ("TTL k", ":2|"),
        ("PTTL k", ":1500|"),
        ("PEXPIRETIME k", ":1700000001500|"),
        ("EXPIREAT k 1700000010", ":1|"),
        ("TTL k", ":10|"),
        ("PERSIST k", ":1|"),
        ("PERSIST k", ":0|"),
        ("PERSIST nokey", ":0|"),
        ("EXPIRE nokey 10", ":0|"),
    ]);
}

#[test]
fn a_deadline_that_only_milliseconds_can_say_is_the_last_there_is() {
    Client::default().check(&[
        ("SET k v", "+OK|"),
        ("PEXPIREAT k 9223372036854775807", ":1|"),
        ("GET k", "$1|v|"),
        ("PEXPIRETIME k", ":9223372036854775|"),
        ("EXPIREAT k 9223372036854776", "-ERR invalid expire time in 'expireat' command"),
        ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
        ("EXPIRE k -9223372036854776", "-ERR invalid expire time in 'expire' command"),
        // As is told before whether the key is there.
        ("EXPIRE nokey 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
        ("EXISTS k", ":1|"),
        ("PEXPIRE k -9223372036854775808", ":1|"),
        ("EXISTS k", ":0|"),
    ]);
}

#[test]
fn terms_say_which_deadlines_are_replaced() {
    let not_first = "-ERR NX and XX, GT or LT options at the same time are not compatible";
    let both_ways = "-ERR GT and LT options at the same time are not compatible";
    Client::default().check(&[
        ("SET k v", "+OK|"),
        ("EXPIRE k 100 XX", ":0|"),
        ("EXPIRE k 100 GT", ":0|"),
        ("EXPIRE k 100 NX", ":1|"),
        ("EXPIRE k 50 nx", ":0|"),
        ("EXPIRE k 100 GT", ":0|"),
        ("EXPIRE k 200 GT XX", ":1|"),
        ("EXPIRE k 200 LT", ":0|"),
        ("EXPIRE k 150 LT LT", ":1|"),
        ("TTL k", ":150|"),
        ("EXPIRE k 100 NX XX", not_first),
        ("EXPIRE k 100 LT NX", not_first),
        ("EXPIRE k 100 GT LT", both_ways),
        ("EXPIRE k abc foo", "-ERR Unsupported option foo"),
        ("EXPIRE k abc", "-ERR value is not an integer or out of range"),
        // A past one that is allowed takes the key away, one that is not does not.
        ("EXPIRE k -1 GT", ":0|"),
        ("EXPIRE k 0 LT", ":1|"),
        ("EXISTS k", ":0|"),
    ]);
}

#[test]
fn a_renamed_key_keeps_its_deadline_and_replaces_what_was_there() {
    let mut client = Client::default();
    client.check(&[
        ("SET a 1 EX 100", "+OK|"),
        ("HSET b f v", ":1|"),
        ("RENAMENX a b", ":0|"),
        ("RENAMENX a a", ":0|"),
        ("RENAME a a", "+OK|"),
        ("RENAME a b", "+OK|"),
        ("GET b", "$1|1|"),
        ("TTL b", ":100|"),
        ("EXISTS a", ":0|"),
        ("RENAME a b", NO_KEY),
        ("RENAME a a", NO_KEY),
        ("RENAMENX a c", NO_KEY),
        ("RENAMENX b a", ":1|"),
        ("TTL a", ":100|"),
    ]);
    client.wait_ms(100_000);
    client.check(&[("RENAME a b", NO_KEY), ("SET c 1", "+OK|"), ("RENAMENX c a", ":1|"), ("TTL a", ":-1|")]);
}

#[test]
fn a_key_is_copied_and_moved_between_databases() {
    let mut client = Client::default();
    client.check(&[
        ("SET a 1 EX 100", "+OK|"),
        ("COPY a a", SAME),
        ("COPY a a DB 0", SAME),
        ("COPY a a DB 1", ":1|"),
        ("COPY a a DB 1", ":0|"),
        ("COPY a a DB 1 REPLACE", ":1|"),
        ("COPY nokey b", ":0|"),
        ("COPY a b DB", SYNTAX),
        ("COPY a b foo", SYNTAX),
        ("COPY a b DB 16", NO_DATABASE),
        ("COPY a b DB -1", NO_DATABASE),
        ("COPY a b DB x", "-ERR value is not an integer or out of range"),
        ("MOVE a 2147483648", "-ERR value is out of range, value must between -2147483648 and 2147483647"),
        ("MOVE a 0", SAME),
        ("MOVE a 1", ":0|"),
        ("MOVE nokey 2", ":0|"),
        ("MOVE a 2", ":1|"),
        ("EXISTS a", ":0|"),
    ]);
    for database in [1, 2] {
        client.database = database;
        client.check(&[("GET a", "$1|1|"), ("TTL a", ":100|")]);
    }
}

#[test]
fn commands_of_keys_tell_of_what_they_change() {
    check_events(&[
        ("MSET a 1 b 2", "DEL a nokey b", &["Generic 0:a del", "Generic 0:b del"]),
        ("SET a 1", "UNLINK a", &["Generic 0:a del"]),
        ("SET a 1", "EXPIRE a 10", &["Generic 0:a expire"]),
        ("SET a 1", "EXPIREAT a 10", &["Generic 0:a del"]),
        ("SET a 1", "EXPIRE a 0", &["Generic 0:a del"]),
        ("SET a 1", "EXPIRE a 10 XX", &[]),
        ("SET a 1 EX 5", "PERSIST a", &["Generic 0:a persist"]),
        ("SET a 1", "PERSIST a", &[]),
        ("SET a 1", "RENAME a b", &["New 0:b new", "Generic 0:a rename_from", "Generic 0:b rename_to"]),
        ("MSET a 1 b 2", "RENAME a b", &["New 0:b new", "Generic 0:a rename_from", "Generic 0:b rename_to"]),
        ("SET a 1", "RENAME a a", &[]),
        ("SET a 1", "COPY a b DB 4", &["New 4:b new", "Generic 4:b copy_to"]),
        ("SET a 1", "MOVE a 4", &["New 4:a new", "Generic 0:a move_from", "Generic 4:a move_to"]),
        ("SET a 1", "FLUSHALL", &[]),
        ("SET a 1", "TOUCH a", &[]),
    ]);
}

#[test]
fn a_key_that_is_written_to_after_its_deadline_is_told_to_be_gone_first() {
    for (command, expected) in [
        ("SET a 1", vec!["Expired 0:a expired", "New 0:a new", "String 0:a set"]),
        ("HSET a f v", vec!["Expired 0:a expired", "New 0:a new", "Hash 0:a hset"]),
        ("RENAME b a", vec!["Expired 0:a expired", "New 0:a new", "Generic 0:b rename_from", "Generic 0:a rename_to"]),
        ("DEL a", vec!["Expired 0:a expired"]),
    ] {
        let mut client = Client::default();
        client.check(&[("PSETEX a 10 v", "+OK|"), ("SET b v", "+OK|")]);
        client.wait_ms(10);
        client.events();
        client.send(command);
        assert_eq!(client.events(), expected, "{command}");
    }
}

#[test]
fn an_encoding_is_what_redis_would_have_chosen() {
    let mut client = Client::default();
    let (short, long) = ("x".repeat(44), "x".repeat(45));
    for (command, expected) in [
        ("SET k 9223372036854775807", "int"),
        ("SET k 9223372036854775808", "embstr"),
        ("SET k 007", "embstr"),
        (&*format!("SET k {short}"), "embstr"),
        (&*format!("SET k {long}"), "raw"),
        ("APPEND k x", "raw"),
        ("SETRANGE new 0 1", "raw"),
        ("APPEND new2 1", "int"),
        ("HSET h f v", "listpack"),
        (&*format!("HSET h2 f {}", "x".repeat(64)), "listpack"),
        (&*format!("HSET h2 f {}", "x".repeat(65)), "hashtable"),
    ] {
        client.send(command);
        let key = command.split_whitespace().nth(1).unwrap();
        let answer = client.send(&format!("OBJECT ENCODING {key}"));
        assert_eq!(answer, format!("${}|{expected}|", expected.len()), "{command}");
    }
    client.check(&[
        ("SET k 9999", "+OK|"),
        ("OBJECT REFCOUNT k", ":2147483647|"),
        ("SET k 10000", "+OK|"),
        ("OBJECT REFCOUNT k", ":1|"),
        ("OBJECT IDLETIME k", ":0|"),
        ("OBJECT FREQ nokey", "$-1|"),
        ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command"),
        ("OBJECT help x", "-ERR wrong number of arguments for 'object|help' command"),
        ("OBJECT foo k", "-ERR unknown subcommand 'foo'. Try OBJECT HELP."),
        ("MEMORY DOCTOR", "-ERR unknown subcommand 'DOCTOR'. Try MEMORY HELP."),
        ("MEMORY USAGE nokey SAMPLES 0", "$-1|"),
        ("MEMORY USAGE k SAMPLES -1", SYNTAX),
        ("MEMORY USAGE k SAMPLES", SYNTAX),
    ]);
    assert!(client.send("OBJECT FREQ k").starts_with("-ERR An LFU maxmemory policy is not selected"));
    assert!(client.send("OBJECT HELP").starts_with("*11|+OBJECT <subcommand>"));
}

#[test]
fn memory_usage_follows_what_is_stored() {
    let mut client = Client::default();
    let usage = |client: &mut Client, key: &str| -> usize {
        client.send(&format!("MEMORY USAGE {key}")).trim_matches([':', '|']).parse().unwrap()
    };
    client.send("SET k v");
    let small = usage(&mut client, "k");
    client.send_words(&[b"SET", b"k", &[b'x'; 10_000]]);
    let large = usage(&mut client, "k");
    assert!(small > 0 && small < 300 && (10_000..11_000).contains(&large), "{small} {large}");
    (0..2_000).for_each(|i| drop(client.send(&format!("HSET h field{i:04} {}", "v".repeat(40)))));
    let hash = usage(&mut client, "h");
    assert!((2_000 * 50..2_000 * 150).contains(&hash), "{hash}");
}

#[test]
fn a_scan_gives_keys_of_a_type_and_a_pattern() {
    let mut client = Client::default();
    for i in 0..1_000 {
        client.send(&format!("SET s{i} v"));
        client.send(&format!("HSET h{i} f v"));
    }
    let mut scan = |options: &str| -> HashSet<String> {
        let (mut cursor, mut found) = ("0".to_owned(), HashSet::new());
        loop {
            let answer = client.send(&format!("SCAN {cursor} {options}"));
            let parts: Vec<&str> = answer.split('|').collect();
            assert_eq!(parts[0], "*2");
            cursor = parts[2].to_owned();
            for name in parts[4..].iter().filter(|part| part.starts_with(['s', 'h'])) {
                assert!(found.insert((*name).to_owned()), "{name} twice");
            }
            if cursor == "0" {
                return found;
            }
        }
    };
    assert_eq!(scan("").len(), 2_000);
    assert_eq!(scan("TYPE string COUNT 100").len(), 1_000);
    assert_eq!(scan("type HASH match *7").len(), 100);
    assert_eq!(scan("MATCH s1?").len(), 10);
    assert!(scan("TYPE list").is_empty());
    client.check(&[
        ("KEYS s99[89]x", "*0|"),
        ("KEYS s999", "*1|$4|s999|"),
        ("DBSIZE", ":2000|"),
        ("FLUSHDB foo", SYNTAX),
        ("FLUSHDB ASYNC SYNC", SYNTAX),
        ("FLUSHDB async", "+OK|"),
        ("DBSIZE", ":0|"),
        ("RANDOMKEY", "$-1|"),
        ("KEYS *", "*0|"),
    ]);
}

#[test]
fn a_random_key_is_one_that_is_there() {
    let mut client = Client::default();
    (0..300).for_each(|i| drop(client.send(&format!("PSETEX gone{i} 10 v"))));
    client.check(&[("MSET k1 v k2 v", "+OK|")]);
    client.wait_ms(10);
    let found: HashSet<String> = (0..50).map(|_| client.send("RANDOMKEY")).collect();
    assert_eq!(found, HashSet::from(["$2|k1|".to_owned(), "$2|k2|".to_owned()]));
}

#[test]
fn an_answer_depends_on_the_last_change_of_what_it_saw() {
    let mut client = Client::default();
    // Tickets 1 to 5.
    for line in ["SET a 1", "SET b 1", "DEL a", "INCR b", "HSET c f 1"] {
        client.send(line);
    }
    for (line, expected) in [
        ("GET b", 4),
        ("GET a", 3),
        ("EXISTS b c", 5),
        ("MGET a b", 4),
        ("KEYS b*", 4),
        ("KEYS x*", 3),
        ("KEYS b", 4),
        ("SCAN 0", 5),
        ("DBSIZE", 5),
        ("HGET c f", 5),
        ("TTL a", 3),
        ("OBJECT ENCODING b", 4),
    ] {
        client.send(line);
        assert_eq!(client.depends_on, expected, "{line}");
    }
}

#[test]
fn a_key_is_idle_until_its_value_is_looked_at() {
    let mut client = Client::default();
    client.check(&[("SET k v", "+OK|"), ("OBJECT IDLETIME k", ":0|")]);
    client.wait_ms(5_000);
    client.check(&[("EXISTS k", ":1|"), ("TYPE k", "+string|"), ("TTL k", ":-1|")]);
    let idle: i64 = client.send("OBJECT IDLETIME k").trim_matches([':', '|']).parse().unwrap();
    assert!((4..=6).contains(&idle), "{idle}");
    client.check(&[("GET k", "$1|v|"), ("OBJECT IDLETIME k", ":0|")]);
    client.wait_ms(5_000);
    client.check(&[("TOUCH k nokey", ":1|"), ("OBJECT IDLETIME k", ":0|")]);
}
