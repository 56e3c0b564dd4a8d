//! Rows of feature views as hashes.

mod groups;
mod listing;
mod whole;

use std::sync::Arc;

use super::*;
use crate::api_key::Scope;
use crate::definition::{Definitions, FeatureView, Rules, Source};
use crate::server::auth::Authenticator;
use crate::server::auth::KeyRing;
use crate::time::{Clock as _, ManualClock, Timestamp};
use crate::value::{DataType, Value};
use crate::{ApplyOptions, Features, GetOptions, Row};

const NOW: &str = "2026-03-01T12:00:00Z";

struct Served {
    store: Store,
    clock: Arc<ManualClock>,
    server: RunningServer,
}

impl Served {
    fn peer(&self) -> Peer {
        Peer::new(&self.server)
    }

    fn wait(&self, seconds: i64) {
        self.clock.set(Timestamp(self.clock.now().micros() + seconds * 1_000_000));
    }

    /// A feature of JFK as the store answers it: value and status.
    fn stored(&self, feature: &str, at: Option<&str>) -> String {
        let options = GetOptions { at: at.map(|at| at.parse().unwrap()), ..GetOptions::default() };
        let features = Features::list([feature]).unwrap();
        let answer = self.store.get(&features, &[("origin", "JFK".into())], &options).unwrap().remove(0);
        format!("{} {}", crate::text::format_value(&answer.dtype, &answer.value), answer.status.name())
    }
}

fn definitions() -> Definitions {
    let weather = FeatureView::new("weather").entity("airport").ttl(Duration::from_secs(3 * 3_600));
    let weather = weather.feature("temp", DataType::Float64).feature("visib", DataType::Float64);
    let weather = weather.feature("sky", DataType::String).feature("flights", DataType::Int64);
    let plane = FeatureView::new("plane").entity("tail").redis_key("plane:{tailnum}:about".parse().unwrap());
    let plane = plane.redis_key("p:{tailnum}".parse().unwrap());
    let mut plane = plane.feature("seats", DataType::Int32).feature("photo", DataType::Bytes);
    plane.features[0].rules = Rules { not_null: true, min: Some("1".into()), ..Rules::default() };
    let route = FeatureView::new("route").entity("airport").entity("carrier").feature("delay", DataType::Float32);
    let route = route.source(Source::default().created_timestamp("recorded"));
    Definitions::new("flights")
        .entity("airport", [("origin", DataType::String)])
        .entity("tail", [("tailnum", DataType::Int64)])
        .entity("carrier", [("carrier", DataType::String)])
        .view(weather)
        .view(plane)
        .view(route)
}

fn serve() -> Served {
    let clock = Arc::new(ManualClock::new(NOW.parse().unwrap()));
    let disk = Arc::new(MemDisk::volatile());
    let builder = Store::builder().background(false).clock(Arc::clone(&clock) as Arc<_>).disk(disk);
    let store = builder.open("/entities").unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    let server = RedisServer::start(store.keyspace().unwrap(), options()).unwrap();
    Served { store, clock, server }
}

#[test]
fn an_entity_is_a_typed_hash_whose_other_features_keep_their_values() {
    let served = serve();
    let mut peer = served.peer();
    peer.talk(&[
        ("HGET weather:JFK temp", "nil"),
        ("EXISTS weather:JFK", ":0"),
        ("TYPE weather:JFK", "+none"),
        ("HGETALL weather:JFK", "[]"),
        ("HSET weather:JFK temp 39.50 visib 10", ":2"),
        ("HGET weather:JFK temp", "39.5"),
        ("HMGET weather:JFK visib sky nothing temp _ts", "[10.0, nil, nil, 39.5, 2026-03-01T12:00:00Z]"),
        ("HSET weather:JFK sky overcast temp 40", ":1"),
        ("HGETALL weather:JFK", "[temp, 40.0, visib, 10.0, sky, overcast]"),
        ("HKEYS weather:JFK", "[temp, visib, sky]"),
        ("HVALS weather:JFK", "[40.0, 10.0, overcast]"),
        ("HLEN weather:JFK", ":3"),
        ("HEXISTS weather:JFK flights", ":0"),
        ("HEXISTS weather:JFK sky", ":1"),
        ("HSTRLEN weather:JFK sky", ":8"),
        ("TYPE weather:JFK", "+hash"),
        ("OBJECT ENCODING weather:JFK", "listpack"),
        ("HSCAN weather:JFK 0 MATCH t*", "[0, [temp, 40.0]]"),
        ("TTL weather:JFK", ":-1"),
        ("HSETNX weather:JFK sky clear", ":0"),
        ("HSETNX weather:JFK flights 7", ":1"),
        ("HINCRBY weather:JFK flights 5", ":12"),
        ("HINCRBYFLOAT weather:JFK temp 0.1", "40.1"),
        ("HINCRBY weather:JFK sky 1", "-ERR hash value is not an integer"),
        ("HMSET weather:JFK temp 41", "+OK"),
        ("HGET weather@1:JFK temp", "41.0"),
        ("HDEL weather:JFK flights nothing", ":1"),
        ("HGET weather:JFK flights", "nil"),
        ("HLEN weather:JFK", ":3"),
        ("EXISTS weather:JFK weather:LGA weather:JFK other", ":2"),
        ("SET other v", "+OK"),
        ("MGET weather:JFK other", "[nil, v]"),
        ("MGET weather:JFK", "[nil]"),
    ]);
    assert_eq!(served.stored("weather:temp", None), "41.0 PRESENT");
    assert_eq!(served.stored("weather:flights", None), " NOT_FOUND");
    // Each write is a row: those of one instant come one after the other.
    assert_eq!(served.store.views().unwrap().iter().map(|view| view.rows_in_log).sum::<u64>(), 7);
}

#[test]
fn what_is_no_value_of_a_feature_is_refused_and_changes_nothing() {
    let served = serve();
    let mut peer = served.peer();
    peer.talk(&[
        ("HSET weather:JFK temp abc", "-ERR weather:temp wants float64, got 'abc'"),
        ("HSET weather:JFK visib 3 flights 1.5", "-ERR weather:flights wants int64, got '1.5'"),
        ("HSET weather:JFK tmp 3", "-ERR weather has no feature 'tmp'; did you mean temp?"),
        ("HSET weather:JFK temp 3 sky", "-ERR wrong number of arguments for 'hset' command"),
        ("HSET weather:JFK _ts 2026-03-01", "-ERR weather is to be given a feature beside _ts"),
        ("HSETNX weather:JFK flights x", "-ERR weather:flights wants int64, got 'x'"),
        ("HINCRBYFLOAT weather:JFK flights 0.5", "-ERR weather:flights wants int64, got '0.5'"),
        ("EXISTS weather:JFK", ":0"),
        ("SET weather:JFK x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("MSET a 1 weather:JFK x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("INCR weather:JFK", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("GET a", "nil"),
        ("RENAME weather:JFK b", "-ERR weather:JFK or b is a row of a feature view, which cannot be renamed or copied"),
        ("HSET plane:1:about photo x", "-ERR plane:seats: null, and the rule is not_null"),
        ("HSET plane:1:about seats 0", "-ERR plane:seats: 0 is below min = 1"),
        ("HSET plane:1:about seats 1", ":1"),
        ("HDEL plane:1:about seats", "-ERR plane:seats: null, and the rule is not_null"),
        ("HGETALL plane:1:about", "[seats, 1]"),
    ]);
    // What the prefix of a view begins is never a key of the keyspace.
    for key in ["plane:x", "plane@9:1", "route:JFK", "route:JFK:AA:x", "weather:%zz"] {
        peer.send(&format!("HSET {key} a b|GET {key}|"));
        for _ in 0..2 {
            assert!(peer.line().starts_with("-ERR "), "{key}");
        }
    }
    // In other databases it is.
    peer.talk(&[("SELECT 1", "+OK"), ("SET weather:JFK x", "+OK"), ("GET weather:JFK", "x")]);
}

#[test]
fn templates_and_escapes_name_entities_too() {
    let served = serve();
    let mut peer = served.peer();
    peer.talk(&[
        ("HSET plane:7:about seats 150", ":1"),
        ("HGET plane:7 seats", "150"),
        ("HGET p:7 seats", "150"),
        ("HSET route:JFK:A%3AA delay 1.25", ":1"),
        ("HGET route:JFK:A%3aA delay", "1.25"),
        // No template's form.
        ("SET p:8:x v", "+OK"),
    ]);
    let features = Features::list(["route:delay"]).unwrap();
    let entity = [("origin", Value::from("JFK")), ("carrier", Value::from("A:A"))];
    let answer = served.store.get(&features, &entity, &GetOptions::default()).unwrap();
    assert_eq!(answer[0].value, Value::Float32(1.25));
    // Bytes are sent as they are.
    peer.0.write_all(b"*4\r\n$4\r\nHSET\r\n$3\r\np:7\r\n$5\r\nphoto\r\n$3\r\n\xff\x00\n\r\n").unwrap();
    peer.expect(":1|");
    peer.send("HGET p:7 photo|");
    let mut found = [0; 9];
    peer.0.read_exact(&mut found).unwrap();
    assert_eq!(&found, b"$3\r\n\xff\x00\n\r\n");
}

#[test]
fn a_row_of_an_older_time_goes_there_and_changes_no_later_one() {
    let served = serve();
    let mut peer = served.peer();
    peer.talk(&[
        ("HSET weather:JFK temp 10 visib 1 _ts 2026-03-01T10:00:00Z", ":2"),
        ("HSET weather:JFK temp 12", ":0"),
        // Completed from the row of ten, not from the one of now.
        ("HSET weather:JFK temp 11 _ts 2026-03-01T11:00:00Z", ":0"),
        ("HSET weather:JFK sky late _ts 1772359200000001", ":1"),
        ("HGETALL weather:JFK", "[temp, 12.0, visib, 1.0]"),
        ("ASOF weather:JFK 2026-03-01T11:30:00Z", "[temp, 11.0, visib, 1.0]"),
        ("ASOF weather:JFK 2026-03-01T11:30:00Z FIELDS sky temp", "[nil, 11.0]"),
        ("ASOF weather:JFK 2026-03-01T10:30:00Z", "[temp, 10.0, visib, 1.0, sky, late]"),
        ("ASOF weather:JFK 2026-03-01T10:00:00Z", "[temp, 10.0, visib, 1.0]"),
        ("ASOF weather:JFK 2026-03-01T09:59:59Z", "nil"),
        ("ASOF weather:JFK NOW KNOWN 2 FIELDS temp", "[10.0]"),
        (
            "HSET weather:JFK temp 1 _ts 2026-03-01T12:06:00Z",
            "-ERR 2026-03-01T12:06:00Z lies too far ahead of the clock (2026-03-01T12:00:00Z)",
        ),
        (
            "HSET weather:JFK temp 1 _ts yesterday",
            "-ERR weather:_ts wants timestamp (such as 2026-03-01T13:00:00Z), got 'yesterday'",
        ),
        ("ASOF weather:JFK", "-ERR wrong number of arguments for 'asof' command"),
        ("ASOF weather:JFK NOW KNOWN", "-ERR syntax error"),
        ("SET k 1", "+OK"),
        ("ASOF k NOW", "1"),
        ("ASOF k 2026-03-01T11:30:00Z", "nil"),
    ]);
    assert_eq!(served.stored("weather:temp", Some("2026-03-01T11:30:00Z")), "11.0 PRESENT");
    served.wait(3 * 3_600 + 1);
    peer.talk(&[
        // Too old by the view's TTL, and not brought back by a write beside it.
        ("HGETALL weather:JFK", "[]"),
        ("HSET weather:JFK sky clear", ":1"),
        ("HGETALL weather:JFK", "[sky, clear]"),
    ]);
}

#[test]
fn deletes_and_deadlines_of_entities_are_rows() {
    let served = serve();
    let mut peer = served.peer();
    peer.talk(&[
        ("HSET weather:JFK temp 1 visib 2 sky x", ":3"),
        ("EXPIRE weather:JFK 100", ":1"),
        ("TTL weather:JFK", ":100"),
        // Of a hash with a deadline, fields come and go.
        ("HSET weather:JFK temp 5", ":0"),
        ("TTL weather:JFK", ":100"),
        ("HPEXPIRE weather:JFK 50000 FIELDS 2 visib nothing", "[:1, :-2]"),
        ("HTTL weather:JFK FIELDS 2 visib temp", "[:50, :-1]"),
    ]);
    served.wait(50);
    peer.talk(&[
        ("HGETALL weather:JFK", "[temp, 5.0, sky, x]"),
        ("PERSIST weather:JFK", ":1"),
        ("TTL weather:JFK", ":-1"),
    ]);
    served.wait(60);
    peer.talk(&[("HGETALL weather:JFK", "[temp, 5.0, sky, x]"), ("EXPIRE weather:JFK 10", ":1")]);
    served.wait(10);
    peer.talk(&[
        ("EXISTS weather:JFK", ":0"),
        ("DEL weather:JFK", ":0"),
        ("HSET weather:JFK flights 1", ":1"),
        ("HGETALL weather:JFK", "[flights, 1]"),
        ("SET k v", "+OK"),
        ("DEL weather:JFK k weather:LGA", ":2"),
        ("HGETALL weather:JFK", "[]"),
        ("EXPIRE weather:JFK 10", ":0"),
        ("HSET weather:JFK flights 1", ":1"),
        ("EXPIRE weather:JFK -1", ":1"),
        ("EXISTS weather:JFK", ":0"),
    ]);
    assert_eq!(served.stored("weather:temp", Some("2026-03-01T12:01:00Z")), "5.0 PRESENT");
    assert_eq!(served.stored("weather:temp", None), " NOT_FOUND");
}

#[test]
fn rows_written_past_the_protocol_are_read_and_nulls_kept() {
    let served = serve();
    let mut peer = served.peer();
    let row = Row::new().at(NOW.parse().unwrap()).set("origin", "JFK").set("temp", 0.1_f64 + 0.2);
    let row = row.set("visib", None::<f64>).set("sky", "").set("flights", 3_i64);
    served.store.write_rows("weather", [row]).unwrap();
    peer.talk(&[
        ("HGETALL weather:JFK", "[temp, 0.30000000000000004, sky, , flights, 3]"),
        ("HGET weather:JFK visib", "nil"),
        ("HDEL weather:JFK visib", ":0"),
        ("HDEL weather:JFK flights", ":1"),
    ]);
    // The value was not taken through its text, and null stays null.
    assert_eq!(served.stored("weather:temp", None), "0.30000000000000004 PRESENT");
    assert_eq!(served.stored("weather:visib", None), " NULL_VALUE");
    assert_eq!(served.stored("weather:flights", None), " NOT_FOUND");
}

#[test]
fn definitions_that_are_applied_meanwhile_are_served() {
    let served = serve();
    let mut peer = served.peer();
    peer.talk(&[("HSET weather:JFK temp 1", ":1"), ("SET wind:1 x", "+OK"), ("DEL wind:1", ":1")]);
    let wind = FeatureView::new("wind").entity("tail").feature("speed", DataType::Int64);
    served.store.apply(&definitions().view(wind), ApplyOptions::default()).unwrap();
    peer.talk(&[("HSET wind:1 speed 3", ":1"), ("HGET wind:1 speed", "3"), ("HGET weather:JFK temp", "1.0")]);
    served.store.close().unwrap();
    peer.send("HGET weather:JFK temp|");
    assert_eq!(peer.line(), "-ERR the store was closed; open it again");
}

#[test]
fn a_key_for_one_view_opens_its_rows_alone() {
    let served = serve();
    let (key, _) = served.store.create_key("model", &[Scope::Read, Scope::Write], &["weather"]).unwrap();
    let authenticator = Authenticator::Keys(Arc::new(KeyRing::new(served.store.key_records().unwrap())));
    let options = ServerOptions { authenticator, ..options() };
    let server = RedisServer::start(served.store.keyspace().unwrap(), options).unwrap();
    let mut peer = Peer::new(&server);
    let refused = "-NOPERM this user has no permissions to access one of the keys used as arguments";
    let auth = format!("AUTH {}", key.text());
    peer.talk(&[
        (&auth, "+OK"),
        ("HSET weather:JFK temp 1", ":1"),
        ("HGET weather@1:JFK temp", "1.0"),
        ("ASOF weather:JFK NOW", "[temp, 1.0]"),
        ("HGET plane:1 seats", refused),
        ("HSET p:1 seats 3", refused),
        ("ASOF plane:1 NOW", refused),
        ("ASOF other NOW", refused),
        ("EXISTS weather:JFK plane:1", refused),
        ("GET other", refused),
        ("SELECT 1", "+OK"),
        // Of another database it is a key like any other.
        ("HGET weather:JFK temp", refused),
    ]);
}

/// Each was found by a reader of this change, and answered otherwise then.
#[test]
fn what_readers_found_stays_mended() {
    let served = serve();
    let mut peer = served.peer();
    // A deadline makes a row no younger: the view's TTL goes by its own time.
    peer.talk(&[("HSET weather:JFK temp 1", ":1")]);
    served.wait(2 * 3_600);
    peer.talk(&[("EXPIRE weather:JFK 100000", ":1"), ("HGET weather:JFK _ts", NOW)]);
    served.wait(2 * 3_600);
    peer.talk(&[("EXISTS weather:JFK", ":0")]);
    // What is no number is what it was.
    peer.talk(&[("HSET weather:JFK temp NaN", ":1")]);
    peer.ask("WATCH weather:JFK|SELECT 1|MULTI|PING|EXEC|SELECT 0|", "+OK|+OK|+OK|+QUEUED|*1|+PONG|+OK|");
    // A view's row is watched from whichever database.
    peer.ask("WATCH weather:LGA|SELECT 1|", "+OK|+OK|");
    let row = Row::new().at(served.clock.now()).set("origin", "LGA").set("temp", 1.0).set("visib", None::<f64>);
    served.store.write_rows("weather", [row.set("sky", None::<&str>).set("flights", None::<i64>)]).unwrap();
    peer.ask("MULTI|PING|EXEC|SELECT 0|", "+OK|+QUEUED|*-1|+OK|");
    // A moment of now is one after what was written before it.
    peer.ask("HSET weather:JFK temp 2|ASOF weather:JFK NOW FIELDS temp|SET k 1|ASOF k NOW|", ":0|*1|$3|2.0|+OK|$1|1|");
    // A rule that came later is kept by what is set from then on.
    let mut stricter = definitions();
    let weather = stricter.views.iter_mut().find(|view| view.name == "weather").unwrap();
    weather.features[2].rules = Rules { not_null: true, one_of: vec!["clear".into()], ..Rules::default() };
    served.store.apply(&stricter, ApplyOptions::default()).unwrap();
    peer.talk(&[
        ("HSET weather:JFK visib 3", ":1"),
        ("EXPIRE weather:JFK 1000", ":1"),
        ("HDEL weather:JFK visib", ":1"),
        ("HSET weather:JFK sky dark", "-ERR weather:sky: 'dark' is none of one_of = clear"),
        ("HSET weather:EWR temp 1", "-ERR weather:sky: null, and the rule is not_null"),
        (
            "HSET weather:JFK temp 1 _ts 9223372036854775807",
            "-ERR weather:_ts: 9223372036854775807 microseconds since 1970 are in none of the years 1 to 9999",
        ),
    ]);
}

#[test]
fn of_an_event_there_is_one_row_and_another_event_begins_anew() {
    let served = serve();
    let purchase = FeatureView::new("purchase").entity("tail").event_id("order_id", DataType::String);
    let purchase = purchase.feature("order_id", DataType::String).feature("amount", DataType::Int64);
    served.store.apply(&definitions().view(purchase), ApplyOptions::default()).unwrap();
    let mut peer = served.peer();
    peer.talk(&[("HSET purchase:5 amount 1", "-ERR purchase:order_id is its event id, and is not set; set it too")]);
    peer.talk(&[("HSET purchase:5 order_id a amount 99", ":2")]);
    served.wait(1);
    peer.talk(&[("HSET purchase:5 amount 98", ":0"), ("EXPIRE purchase:5 100", ":1"), ("HGET purchase:5 _ts", NOW)]);
    peer.talk(&[
        ("HSET purchase:5 order_id b", ":1"),
        ("HGETALL purchase:5", "[order_id, b]"),
        ("TTL purchase:5", ":-1"),
    ]);
    peer.talk(&[(&format!("ASOF purchase:5 {NOW}"), "[order_id, a, amount, 98]")]);
}
