//! Entities among the names of keys.

use super::*;

#[test]
fn entities_are_listed_counted_and_flushed_with_the_keys() {
    let served = serve();
    let mut peer = served.peer();
    let sorted = |answer: String| {
        let mut names: Vec<&str> =
            answer.trim_matches(['[', ']']).split(", ").filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.join(" ")
    };
    let mut names = |pattern: &str| {
        peer.send(&format!("KEYS {pattern}|"));
        sorted(peer.answer())
    };
    assert_eq!(names("*"), "");
    let mut writer = served.peer();
    writer.talk(&[
        ("HSET weather:JFK temp 1", ":1"),
        ("HSET weather:LGA temp 1", ":1"),
        ("HSET plane:7 seats 3", ":1"),
        ("SET k v", "+OK"),
    ]);
    writer.talk(&[("SELECT 1", "+OK"), ("SET weather:JFK v", "+OK"), ("SELECT 0", "+OK")]);
    assert_eq!(names("*"), "k plane:7:about weather:JFK weather:LGA");
    assert_eq!(names("weather:J*"), "weather:JFK");
    // What log and runs have says the same as the table.
    served.store.seal().unwrap();
    assert_eq!(names("*"), "k plane:7:about weather:JFK weather:LGA");
    writer.talk(&[
        ("DBSIZE", ":4"),
        ("DEL weather:LGA", ":1"),
        ("DBSIZE", ":3"),
        ("SCAN 0 COUNT 100 TYPE string", "[0, [k]]"),
    ]);
    // Of many, each comes once, whatever is asked for at a time, and in the middle of a transaction too.
    let rows = (0..3_000)
        .map(|n| Row::new().at(NOW.parse().unwrap()).set("tailnum", n).set("seats", 1).set("photo", None::<&str>));
    served.store.write_rows("plane", rows).unwrap();
    let mut peer = served.peer();
    for count in [1, 7, 1_000] {
        let (mut cursor, mut found, mut steps) = ("0".to_owned(), Vec::new(), 0);
        loop {
            peer.send(&format!("SCAN {cursor} COUNT {count} MATCH plane:*|"));
            let answer = peer.answer();
            let (next, some) = answer.trim_start_matches('[').split_once(", ").unwrap();
            found.extend(some.trim_matches(['[', ']']).split(", ").filter(|name| !name.is_empty()).map(str::to_owned));
            steps += 1;
            if next == "0" {
                break;
            }
            cursor = next.to_owned();
        }
        found.sort_unstable();
        assert!(found.windows(2).all(|pair| pair[0] != pair[1]), "one came twice, of {count} at a time");
        assert_eq!(found.len(), 3_000, "of {count} at a time");
        assert!(steps >= 3_000 / count / 8, "{steps} steps of {count}");
    }
    peer.ask(
        "MULTI|HSET weather:SFO temp 1|DBSIZE|FLUSHDB|DBSIZE|HSET weather:SFO temp 2|DBSIZE|EXEC|",
        "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*6|:1|:3003|+OK|:0|:1|:1|",
    );
    peer.talk(&[
        ("KEYS *", "[weather:SFO]"),
        ("RANDOMKEY", "weather:SFO"),
        ("FLUSHALL", "+OK"),
        ("RANDOMKEY", "nil"),
        ("KEYS *", "[]"),
    ]);
    // History stays.
    assert_eq!(served.stored("weather:temp", None), " NOT_FOUND");
    peer.talk(&[("ASOF weather:JFK 2026-03-01T11:00:00Z", "nil"), ("ASOF weather:JFK NOW KNOWN 3", "[temp, 1.0]")]);
}

#[test]
fn a_flush_truncates_views_and_so_deletes_what_is_too_old_to_be_seen() {
    let served = serve();
    let mut peer = served.peer();
    peer.talk(&[("HSET weather:JFK temp 1", ":1"), ("HSET route:JFK:UA delay 2", ":1")]);
    served.wait(4 * 3_600);
    peer.talk(&[("HSET weather:LGA temp 1", ":1"), ("KEYS weather:*", "[weather:LGA]")]);
    assert_eq!(served.stored("weather:temp", None), " OUTSIDE_MAX_AGE");
    peer.talk(&[("SELECT 1", "+OK"), ("FLUSHDB", "+OK"), ("SELECT 0", "+OK"), ("EXISTS weather:LGA", ":1")]);
    let before = served.store.summary().unwrap().seq;
    let mut other = served.peer();
    other.talk(&[("WATCH weather:LGA", "+OK"), ("MULTI", "+OK"), ("PING", "+QUEUED")]);
    peer.talk(&[("FLUSHDB", "+OK"), ("DBSIZE", ":0")]);
    other.talk(&[("EXEC", "nil")]);
    // Of the two views that had rows, and of the database.
    let given = served.store.summary().unwrap().seq - before;
    assert!((2..=3).contains(&given), "{given} rows");
    assert_eq!(served.stored("weather:temp", None), " NOT_FOUND");
    let explained = served.store.explain("weather:temp", &[("origin", "LGA".into())], &GetOptions::default()).unwrap();
    assert_eq!(explained.row.unwrap().kind, "truncate");
    // An entity whose first row comes later, with an earlier time, is deleted too; one of now is there.
    peer.talk(&[
        ("HSET weather:SFO temp 1 _ts 2026-03-01T15:00:00Z", ":1"),
        ("EXISTS weather:SFO", ":0"),
        ("HSET weather:SFO temp 2", ":1"),
        ("HGETALL weather:SFO", "[temp, 2.0]"),
        ("HGETALL route:JFK:UA", "[]"),
        ("HSET route:JFK:UA delay 3", ":1"),
        ("HGETALL route:JFK:UA", "[delay, 3.0]"),
        ("KEYS *", "[route:JFK:UA, weather:SFO]"),
    ]);
}

#[test]
fn a_flush_that_the_group_has_no_room_for_truncates_with_the_next_one() {
    let served = serve();
    let mut peer = served.peer();
    peer.talk(&[("HSET weather:JFK temp 1", ":1")]);
    let before = served.store.summary().unwrap().seq;
    // More than a group takes before it has enough; the two commands end in one read, and are done as one batch.
    let value = "v".repeat(5 << 20);
    peer.ask(&format!("*3|$3|SET|$3|big|${}|{value}|FLUSHALL|", value.len()), "+OK|+OK|");
    // The value and, in the next group, one truncate and a flush of each database. In a group, rows come before keys.
    assert_eq!(served.store.summary().unwrap().seq - before, 1 + 1 + 16);
    let known = |seq: u64| format!("ASOF weather:JFK NOW KNOWN {seq}");
    peer.talk(&[(&known(before + 1), "[temp, 1.0]"), (&known(before + 2), "nil")]);
    peer.talk(&[("EXISTS weather:JFK big", ":0")]);
}
