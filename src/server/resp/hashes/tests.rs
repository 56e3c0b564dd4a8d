use std::collections::HashSet;

use crate::server::resp::command::testing::{Client, check_events};
use crate::server::resp::protocol::Version;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_INTEGER: &str = "-ERR value is not an integer or out of range";

/// A hash `h` with the fields a, b and c.
fn with_hash() -> Client {
    let mut client = Client::default();
    client.check(&[("HSET h a 1 b 2 c 3", ":3|")]);
    client
}

#[test]
fn each_field_gets_a_deadline_of_its_own() {
    let mut client = with_hash();
    client.check(&[
        ("HPEXPIRE h 1400 FIELDS 2 a nofield", "*2|:1|:-2|"),
        ("HEXPIREAT h 1700000100 FIELDS 1 b", "*1|:1|"),
        ("HPTTL h FIELDS 4 a b c nofield", "*4|:1400|:100000|:-1|:-2|"),
        // Rounded up.
        ("HTTL h FIELDS 2 a b", "*2|:2|:100|"),
        ("HEXPIRETIME h FIELDS 2 a c", "*2|:1700000002|:-1|"),
        ("HPEXPIRETIME h FIELDS 1 a", "*1|:1700000001400|"),
        ("OBJECT ENCODING h", "$10|listpackex|"),
    ]);
    client.wait_ms(1_399);
    client.check(&[("HGET h a", "$1|1|"), ("HLEN h", ":3|")]);
    client.wait_ms(1);
    client.check(&[
        ("HGET h a", "$-1|"),
        ("HLEN h", ":2|"),
        ("HEXISTS h a", ":0|"),
        ("HSTRLEN h a", ":0|"),
        ("HGETALL h", "*4|$1|b|$1|2|$1|c|$1|3|"),
        ("HSCAN h 0", "*2|$1|0|*4|$1|b|$1|2|$1|c|$1|3|"),
        ("HTTL h FIELDS 1 a", "*1|:-2|"),
        ("HDEL h a", ":0|"),
        ("HSETNX h a 5", ":1|"),
        ("HTTL h FIELDS 1 a", "*1|:-1|"),
    ]);
    assert_eq!(
        client.events(),
        ["New 0:h new", "Hash 0:h hset", "Hash 0:h hexpire", "Hash 0:h hexpire", "Hash 0:h hexpired", "Hash 0:h hset"]
    );
    client.check(&[("HDEL h a b c", ":3|"), ("HSET h a 1", ":1|"), ("HPEXPIRE h 1 FIELDS 1 a", "*1|:1|")]);
    client.wait_ms(1);
    client.events();
    client.check(&[("HSETNX h b 1", ":1|")]);
    // The key went with its last field, and is another now.
    assert_eq!(client.events(), ["Hash 0:h hexpired", "Generic 0:h del", "New 0:h new", "Hash 0:h hset"]);
}

#[test]
fn a_hash_goes_with_the_last_of_its_fields() {
    let mut client = with_hash();
    client.check(&[("HPEXPIRE h 5 FIELDS 3 a b c", "*3|:1|:1|:1|"), ("EXISTS h", ":1|")]);
    client.wait_ms(5);
    client.check(&[
        ("EXISTS h", ":0|"),
        ("TYPE h", "+none|"),
        ("HGETALL h", "*0|"),
        ("HPERSIST h FIELDS 1 a", "*1|:-2|"),
        ("SET h x", "+OK|"),
    ]);
}

#[test]
fn a_deadline_in_the_past_takes_the_field_away() {
    let mut client = with_hash();
    client.events();
    client.check(&[
        ("HPEXPIREAT h 1 NX FIELDS 3 a a b", "*3|:2|:-2|:2|"),
        ("HKEYS h", "*1|$1|c|"),
        ("HEXPIRE h 100 FIELDS 1 c", "*1|:1|"),
        // Terms are looked at first.
        ("HPEXPIREAT h 1 GT FIELDS 1 c", "*1|:0|"),
        ("HEXPIRE h 0 FIELDS 2 c d", "*2|:2|:-2|"),
        ("EXISTS h", ":0|"),
    ]);
    assert_eq!(client.events(), ["Hash 0:h hdel", "Hash 0:h hexpire", "Hash 0:h hdel", "Generic 0:h del"]);
}

#[test]
fn terms_say_which_deadlines_are_replaced() {
    let mut client = with_hash();
    client.check(&[
        ("HEXPIRE h 100 FIELDS 1 a", "*1|:1|"),
        ("HEXPIRE h 50 NX FIELDS 2 a b", "*2|:0|:1|"),
        ("HEXPIRE h 60 XX FIELDS 2 b c", "*2|:1|:0|"),
        ("HEXPIRE h 70 gt FIELDS 3 a b c", "*3|:0|:1|:0|"),
        ("HEXPIRE h 80 LT FIELDS 3 a b c", "*3|:1|:0|:1|"),
        ("HTTL h FIELDS 3 a b c", "*3|:80|:70|:80|"),
    ]);
}

#[test]
fn a_value_takes_the_deadline_away_and_an_increment_keeps_it() {
    let mut client = with_hash();
    client.check(&[
        ("HEXPIRE h 100 FIELDS 3 a b c", "*3|:1|:1|:1|"),
        ("HSET h a 5", ":0|"),
        ("HINCRBY h b 1", ":3|"),
        ("HINCRBYFLOAT h c 1.5", "$3|4.5|"),
        ("HTTL h FIELDS 3 a b c", "*3|:-1|:100|:100|"),
        ("HPERSIST h FIELDS 4 a b c d", "*4|:-1|:1|:1|:-2|"),
        ("HTTL h FIELDS 3 a b c", "*3|:-1|:-1|:-1|"),
        ("OBJECT ENCODING h", "$8|listpack|"),
    ]);
    client.send("HPEXPIRE h 10 FIELDS 1 b");
    client.wait_ms(10);
    // Of a field that is gone nothing is left, its deadline neither.
    client.check(&[("HINCRBY h b 1", ":1|"), ("HTTL h FIELDS 1 b", "*1|:-1|")]);
}

#[test]
fn deadlines_of_fields_come_along_with_their_key() {
    let mut client = with_hash();
    client.send("HEXPIRE h 100 FIELDS 1 a");
    client.send("HPEXPIRE h 10 FIELDS 1 b");
    client.wait_ms(10);
    client.check(&[
        ("COPY h copy DB 3", ":1|"),
        ("RENAME h renamed", "+OK|"),
        ("HTTL renamed FIELDS 3 a b c", "*3|:100|:-2|:-1|"),
    ]);
    client.database = 3;
    client.check(&[("HTTL copy FIELDS 3 a b c", "*3|:100|:-2|:-1|"), ("HLEN copy", ":2|")]);
}

#[test]
fn what_is_said_wrongly_of_fields_is_refused_in_redis_s_order() {
    let mut client = with_hash();
    client.send("SET s v");
    let misplaced = "-ERR Mandatory argument FIELDS is missing or not at the right position";
    let mismatch = "-ERR The `numfields` parameter must match the number of arguments";
    let to_write = "-ERR Parameter `numFields` should be greater than 0";
    let to_read = "-ERR Number of fields must be a positive integer";
    client.check(&[
        ("HEXPIRE s abc FIELDS 1 a", WRONG_TYPE),
        ("HEXPIRE h abc FIELD 1 a", NO_INTEGER),
        ("HEXPIRE h -1 FIELD 1 a", "-ERR invalid expire time, must be >= 0"),
        ("HEXPIRE h 99999999999 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command"),
        ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hpexpireat' command"),
        ("HPEXPIREAT h 70368744177663 FIELDS 1 a", "*1|:1|"),
        ("HEXPIRE h 10 FIELD 1 a", misplaced),
        ("HEXPIRE h 10 NX XX FIELDS 1 a", misplaced),
        ("HEXPIRE h 10 FIELDS 0 a", to_write),
        ("HEXPIRE h 10 FIELDS x a", to_write),
        ("HEXPIRE h 10 NX FIELDS -1 a", to_write),
        ("HEXPIRE h 10 FIELDS 2 a", mismatch),
        ("HEXPIRE h 10 FIELDS 1 a b", mismatch),
        ("HEXPIRE h 10 NX FIELDS 1", mismatch),
        ("HEXPIRE h 10 FIELDS 1", "-ERR wrong number of arguments for 'hexpire' command"),
        ("HEXPIRE nokey 10 FIELDS 2 a b", "*2|:-2|:-2|"),
        ("HEXPIRE nokey 10 FIELDS 2 a", mismatch),
        ("HTTL s FIELD 1 a", WRONG_TYPE),
        ("HTTL h FIELD 1 a", misplaced),
        ("HTTL h FIELDS 0 a", to_read),
        ("HPEXPIRETIME h FIELDS 2 a", mismatch),
        ("HPTTL nokey FIELDS 1 a", "*1|:-2|"),
        ("HPERSIST h FIELDS 0 a", to_read),
        ("HPERSIST h FIELDS 1", "-ERR wrong number of arguments for 'hpersist' command"),
        ("HPERSIST s FIELDS 1 a", WRONG_TYPE),
    ]);
}

#[test]
fn a_large_hash_keeps_deadlines_too() {
    let mut client = Client::default();
    for i in 0..2_000 {
        client.send(&format!("HSET h f{i} {i}"));
        client.send(&format!("HPEXPIRE h {} FIELDS 1 f{i}", 1_000 + i));
    }
    client.wait_ms(2_000);
    assert_eq!(client.send("OBJECT ENCODING h"), "$9|hashtable|");
    client.check(&[("HLEN h", ":999|"), ("HGET h f1000", "$-1|"), ("HGET h f1001", "$4|1001|")]);
    for _ in 0..50 {
        let field = client.send("HRANDFIELD h");
        let number: u32 = field.trim_matches('|').rsplit('f').next().unwrap().parse().unwrap();
        assert!(number > 1_000, "{field}");
    }
}

#[test]
fn random_fields_are_as_many_as_asked_for_and_different_unless_they_may_not_be() {
    for fields in [3_usize, 2_000] {
        let mut client = Client::default();
        (0..fields).for_each(|i| drop(client.send(&format!("HSET h f{i} v{i}"))));
        for wanted in [0, 1, 2, fields / 2, fields - 1, fields, fields + 1] {
            let answer = client.send(&format!("HRANDFIELD h {wanted}"));
            let names: Vec<&str> = answer.split('|').filter(|part| part.starts_with('f')).collect();
            assert_eq!(names.len(), wanted.min(fields));
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
            let answer = client.send(&format!("HRANDFIELD h -{wanted} WITHVALUES"));
            let parts: Vec<&str> = answer.split('|').filter(|part| part.starts_with(['f', 'v'])).collect();
            assert_eq!(parts.len(), wanted * 2);
            assert!(parts.chunks(2).all(|pair| pair[0][1..] == pair[1][1..]), "{answer}");
        }
    }
    let mut client = with_hash();
    client.check(&[
        ("HRANDFIELD nokey", "$-1|"),
        ("HRANDFIELD nokey 5 WITHVALUES", "*0|"),
        ("HRANDFIELD h 1 VALUES", "-ERR syntax error"),
        ("HRANDFIELD h 1 WITHVALUES x", "-ERR syntax error"),
        ("HRANDFIELD h 9223372036854775807 WITHVALUES", "-ERR value is out of range"),
        ("HDEL h b c", ":2|"),
        ("HRANDFIELD h -2 withvalues", "*4|$1|a|$1|1|$1|a|$1|1|"),
    ]);
    client.version = Version::Resp3;
    client.check(&[("HRANDFIELD h -2 WITHVALUES", "*2|*2|$1|a|$1|1|*2|$1|a|$1|1|"), ("HRANDFIELD nokey", "_|")]);
}

#[test]
fn an_answer_of_random_fields_ends_somewhere() {
    let mut client = Client::default();
    client.send_words(&[b"HSET", b"h", b"f", &vec![b'x'; 1 << 20]]);
    let refused = "-ERR the answer would be too long";
    assert_eq!(client.send("HRANDFIELD h -4611686018427387903 WITHVALUES"), refused);
}

#[test]
fn hscan_omits_values_where_that_is_asked_for() {
    let mut client = with_hash();
    client.check(&[
        ("HSCAN h 0 NOVALUES", "*2|$1|0|*3|$1|a|$1|b|$1|c|"),
        ("HSCAN h 0 MATCH [ac] novalues COUNT 1", "*2|$1|0|*2|$1|a|$1|c|"),
        ("HSCAN h 0 MATCH b", "*2|$1|0|*2|$1|b|$1|2|"),
        ("HSCAN h 0 COUNT 0", "-ERR syntax error"),
        ("HSCAN h 0 TYPE hash", "-ERR syntax error"),
        ("HSCAN nokey 0 TYPE hash", "*2|$1|0|*0|"),
        ("HSCAN nokey x", "-ERR invalid cursor"),
        ("SCAN 0 NOVALUES", "-ERR syntax error"),
    ]);
}

#[test]
fn what_cannot_be_added_makes_no_hash() {
    Client::default().check(&[
        ("HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity"),
        ("HINCRBYFLOAT h f a", "-ERR value is not a valid float"),
        ("HINCRBY h f 1.5", NO_INTEGER),
        ("EXISTS h", ":0|"),
        ("HSET h f a", ":1|"),
        ("HINCRBY h f 1", "-ERR hash value is not an integer"),
        ("HINCRBYFLOAT h f 1", "-ERR hash value is not a float"),
        ("HSET h f -9223372036854775808", ":0|"),
        ("HINCRBY h f -1", "-ERR increment or decrement would overflow"),
    ]);
}

#[test]
fn commands_of_hashes_tell_of_what_they_change() {
    check_events(&[
        ("", "HSET h a 1 b 2", &["New 0:h new", "Hash 0:h hset"]),
        ("HSET h a 1", "HMSET h a 1", &["Hash 0:h hset"]),
        ("HSET h a 1", "HSETNX h a 2", &[]),
        ("", "HSETNX h a 2", &["New 0:h new", "Hash 0:h hset"]),
        ("HSET h a 1 b 2", "HDEL h a nofield", &["Hash 0:h hdel"]),
        ("HSET h a 1", "HDEL h a", &["Hash 0:h hdel", "Generic 0:h del"]),
        ("HSET h a 1", "HDEL h nofield", &[]),
        ("", "HINCRBY h a 1", &["New 0:h new", "Hash 0:h hincrby"]),
        ("HSET h a 1", "HINCRBYFLOAT h a 1", &["Hash 0:h hincrbyfloat"]),
        ("HSET h a 1", "HEXPIRE h 5 FIELDS 1 a", &["Hash 0:h hexpire"]),
        ("HSET h a 1", "HEXPIRE h 5 XX FIELDS 1 a", &[]),
        ("HSET h a 1", "HPERSIST h FIELDS 1 a", &[]),
        ("HSET h a 1; HEXPIRE h 5 FIELDS 1 a", "HPERSIST h FIELDS 1 a", &["Hash 0:h hpersist"]),
    ]);
}
