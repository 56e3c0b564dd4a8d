//! Rows and keys that are written, read and watched together.

use super::*;

#[test]
fn a_pipeline_and_a_transaction_see_what_they_wrote() {
    let served = serve();
    let mut peer = served.peer();
    peer.ask(
        "HSET weather:JFK temp 1|HINCRBYFLOAT weather:JFK temp 1.5|HGET weather:JFK temp|SET k 1|DEL weather:JFK k|HGET weather:JFK temp|",
        ":1|$3|2.5|$3|2.5|+OK|:2|$-1|",
    );
    peer.ask(
        "MULTI|HSET weather:JFK temp 1|HSET weather:JFK visib 2|HMGET weather:JFK temp visib|EXEC|",
        "+OK|+QUEUED|+QUEUED|+QUEUED|*3|:1|:1|*2|$3|1.0|$3|2.0|",
    );
    let mut other = served.peer();
    peer.ask("WATCH weather:JFK|", "+OK|");
    other.ask("HSET weather:JFK temp 3|HSET weather:JFK temp 1|", ":0|:0|");
    peer.ask("MULTI|HSET weather:JFK temp 9|EXEC|HGET weather:JFK temp|", "+OK|+QUEUED|*-1|$3|1.0|");
    // Whoever writes it.
    peer.ask("WATCH weather:JFK|", "+OK|");
    let row = Row::new().at(NOW.parse().unwrap()).set("origin", "JFK").set("temp", 4.0).set("visib", None::<f64>);
    served.store.write_rows("weather", [row.set("sky", None::<&str>).set("flights", None::<i64>)]).unwrap();
    peer.ask("MULTI|HSET weather:JFK temp 9|EXEC|", "+OK|+QUEUED|*-1|");
    peer.ask("WATCH weather:JFK|MULTI|HSET weather:JFK temp 9|EXEC|", "+OK|+OK|+QUEUED|*1|:0|");
}

#[test]
fn what_is_written_after_a_flush_has_nothing_of_what_was_before() {
    let served = serve();
    let mut peer = served.peer();
    let write_before = "HSET weather:JFK temp 1 sky clear|EXPIRE weather:JFK 100|HSET route:JFK:UA delay 2|";
    peer.ask(write_before, ":2|:1|:1|");
    // One group, whose rows are completed from those before it: the latest table has them still.
    peer.ask(
        "FLUSHDB|HSET weather:JFK temp 2|HGETALL weather:JFK|TTL weather:JFK|HINCRBY weather:JFK flights 3|HINCRBYFLOAT route:JFK:UA delay 0.5|",
        "+OK|:1|*2|$4|temp|$3|2.0|:-1|:3|$3|0.5|",
    );
    peer.talk(&[("HGETALL weather:JFK", "[temp, 2.0, flights, 3]"), ("HGETALL route:JFK:UA", "[delay, 0.5]")]);
    peer.ask(
        "MULTI|HSET weather:JFK visib 5|FLUSHALL|EXISTS weather:JFK|HSET weather:JFK sky low|EXEC|",
        "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*4|:1|+OK|:0|:1|",
    );
    peer.talk(&[("HGETALL weather:JFK", "[sky, low]"), ("EXISTS route:JFK:UA", ":0"), ("DBSIZE", ":1")]);
    served.store.seal().unwrap();
    peer.talk(&[("HSET weather:JFK temp 3", ":1"), ("HGETALL weather:JFK", "[temp, 3.0, sky, low]")]);
    peer.talk(&[("HSET route:JFK:UA delay 4", ":1"), ("HGETALL route:JFK:UA", "[delay, 4.0]")]);
}

#[test]
fn changes_of_entities_are_told_of() {
    let served = serve();
    let (mut peer, mut listener) = (served.peer(), served.peer());
    peer.ask("CONFIG SET notify-keyspace-events KEA|", "+OK|");
    listener.ask("SUBSCRIBE __keyspace@0__:weather:JFK|", "*3|$9|subscribe|$26|__keyspace@0__:weather:JFK|:1|");
    peer.talk(&[
        ("HSET weather:JFK temp x", "-ERR weather:temp wants float64, got 'x'"),
        ("HSET weather:JFK temp 1", ":1"),
        ("DEL weather:JFK", ":1"),
    ]);
    listener.expect(
        "*3|$7|message|$26|__keyspace@0__:weather:JFK|$4|hset|*3|$7|message|$26|__keyspace@0__:weather:JFK|$3|del|",
    );
}

#[test]
fn a_transaction_that_reads_rows_and_keys_sees_one_state_of_them() {
    let served = serve();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (mut peer, stop) = (served.peer(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut number = 0;
            while !stop.load(SeqCst) {
                number += 1;
                peer.send(&format!(
                    "MULTI|SET k {number}|HSET weather:A flights {number}|HSET weather:B flights {number}|EXEC|"
                ));
                (0..5).for_each(|_| drop(peer.answer()));
            }
        })
    };
    let mut peer = served.peer();
    for _ in 0..500 {
        peer.send("MULTI|HGET weather:A flights|GET k|HGET weather:B flights|EXEC|");
        (0..4).for_each(|_| drop(peer.answer()));
        let answer = peer.answer();
        let parts: Vec<&str> = answer.trim_matches(['[', ']']).split(", ").collect();
        assert!(parts.windows(2).all(|pair| pair[0] == pair[1]), "{answer}");
    }
    stop.store(true, SeqCst);
    writer.join().unwrap();
}
