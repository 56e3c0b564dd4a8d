//! Out into a Redis and back: asof's own server stands in for one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redis::Connection;

use super::*;
use crate::definition::{Definitions, FeatureView, Rules};
use crate::request::BadRows;
use crate::store::{Row, Store, TemporaryStore};
use crate::testing::RedisServer;
use crate::time::Timestamp;
use crate::value::DataType;
use crate::{ApplyOptions, DeleteOptions, Features, GetOptions};

type Hash = BTreeMap<String, String>;

const HOUR_US: i64 = 3_600_000_000;

fn definitions() -> Definitions {
    let weather = FeatureView::new("weather").entity("airport").ttl(std::time::Duration::from_secs(3 * 3_600));
    let weather = weather.feature("temp", DataType::Float64).feature("sky", DataType::String);
    let mut runways = FeatureView::new("runways").entity("airport").feature("count", DataType::Int32);
    runways.features[0].rules = Rules { max: Some("99".into()), ..Rules::default() };
    let route = FeatureView::new("route").entity("carrier").entity("airport").feature("photo", DataType::Bytes);
    Definitions::new("flights")
        .entity("airport", [("origin", DataType::String)])
        .entity("carrier", [("carrier", DataType::Int64)])
        .view(weather)
        .view(runways)
        .view(route)
}

fn store() -> TemporaryStore {
    let store = Store::temporary().unwrap();
    store.apply(&definitions(), ApplyOptions::default()).unwrap();
    store
}

/// An hour ago, in whole microseconds.
fn an_hour_ago(store: &Store) -> Timestamp {
    store.now().saturating_sub(HOUR_US)
}

fn with_rows() -> (TemporaryStore, Timestamp) {
    let store = store();
    let at = an_hour_ago(&store);
    let weather = |origin: &str| Row::new().at(at).set("origin", origin);
    let rows = [
        weather("JFK").set("temp", 39.5).set("sky", "a: %b"),
        weather("LGA").set("temp", None::<f64>).set("sky", ""),
        weather("EWR").set("temp", 1.0).set("sky", "gone"),
        weather("ORD").set("temp", None::<f64>).set("sky", None::<&str>),
        weather("SFO").at(at.saturating_sub(3 * HOUR_US)).set("temp", 2.0).set("sky", "old"),
    ];
    store.write_rows("weather", rows).unwrap();
    store.delete("weather", &[("origin", "EWR".into())], &DeleteOptions::default()).unwrap();
    let runways = |origin: &str, count: i32| Row::new().at(at).set("origin", origin).set("count", count);
    store.write_rows("runways", [runways("JFK", 4), runways("SFO", 8)]).unwrap();
    let photo = Row::new().at(at).set("carrier", 7_i64).set("origin", "J:K").set("photo", vec![0_u8, 255]);
    store.write_rows("route", [photo]).unwrap();
    (store, at)
}

struct Remote {
    server: RedisServer,
    url: RedisUrl,
}

impl Remote {
    fn new() -> Remote {
        let server = RedisServer::start().unwrap();
        let url = format!("{}/3", server.url()).parse().unwrap();
        Remote { server, url }
    }

    fn connect(&self) -> Connection {
        redis::Client::open(format!("{}/3", self.server.url())).unwrap().get_connection().unwrap()
    }

    fn keys(&self) -> Vec<String> {
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut self.connect()).unwrap();
        let mut keys: Vec<String> = keys.iter().map(|key| key.escape_ascii().to_string()).collect();
        keys.sort();
        keys
    }

    fn hash(&self, key: &[u8]) -> Hash {
        let all: Vec<(Vec<u8>, Vec<u8>)> = redis::cmd("HGETALL").arg(key).query(&mut self.connect()).unwrap();
        let text = |bytes: Vec<u8>| bytes.escape_ascii().to_string();
        all.into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn ask(&self, words: &[&[u8]]) -> redis::Value {
        let mut command = redis::Cmd::new();
        words.iter().for_each(|word| {
            command.arg(*word);
        });
        command.query(&mut self.connect()).unwrap()
    }
}

fn hash(fields: &[(&str, &str)]) -> Hash {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn feast() -> RedisLayout {
    RedisLayout::Feast { project: "flights".to_owned() }
}

fn export(store: &Store, remote: &Remote, layout: RedisLayout) -> RedisExportReport {
    store.export_redis(&remote.url, &RedisExportOptions { layout, ..RedisExportOptions::default() }).unwrap()
}

fn import(store: &Store, remote: &Remote, layout: RedisLayout) -> RedisImportReport {
    store.import_redis(&remote.url, &RedisImportOptions { layout, ..RedisImportOptions::default() }).unwrap()
}

/// What a store says of an airport: value and status of all its features; the event time of the first.
fn answer(store: &Store, origin: &str) -> (Vec<String>, Option<Timestamp>) {
    let features = Features::list(["weather:temp", "weather:sky", "runways:count"]).unwrap();
    let answer = store.get(&features, &[("origin", origin.into())], &GetOptions::default()).unwrap();
    let shown = answer.iter().map(|value| format!("{:?} {}", value.value, value.status.name()));
    (shown.collect(), answer[0].event_ts)
}

#[test]
fn plain_hashes_are_those_that_the_server_shows_and_come_back() {
    let (store, at) = with_rows();
    let remote = Remote::new();
    // In the way: a field that is no more, a string, an entity that is gone; and beside it what is nobody's business.
    remote.ask(&[b"HSET", b"weather:JFK", b"old", b"1"]);
    remote.ask(&[b"SET", b"weather:LGA", b"text"]);
    remote.ask(&[b"HSET", b"weather:EWR", b"temp", b"1"]);
    remote.ask(&[b"SET", b"other", b"1"]);
    let report = export(&store, &remote, RedisLayout::Plain);
    assert_eq!((report.entities, report.fields, report.gone, report.resumed), (5, 6, 3, false), "{report:?}");
    assert_eq!(remote.keys(), ["other", "route:7:J%3AK", "runways:JFK", "runways:SFO", "weather:JFK", "weather:LGA"]);
    assert_eq!(remote.hash(b"weather:JFK"), hash(&[("temp", "39.5"), ("sky", "a: %b")]));
    assert_eq!(remote.hash(b"weather:LGA"), hash(&[("sky", "")]));
    assert_eq!(remote.hash(b"route:7:J%3AK"), hash(&[("photo", "\\x00\\xff")]));
    // The view's TTL, from the row's own time on.
    let gone_at = (at.micros() + 3 * HOUR_US).div_euclid(1_000);
    assert_eq!(remote.ask(&[b"PEXPIRETIME", b"weather:JFK"]), redis::Value::Int(gone_at));
    assert_eq!(remote.ask(&[b"PEXPIRETIME", b"runways:JFK"]), redis::Value::Int(-1));

    let copy = self::store();
    let report = import(&copy, &remote, RedisLayout::Plain);
    assert_eq!((report.keys, report.keys_of_others, report.deadlines_left_out), (6, 1, 2), "{report:?}");
    let written: Vec<(&str, u64)> = report.views.iter().map(|(view, report)| (&**view, report.rows_written)).collect();
    assert_eq!(written, [("route", 1), ("runways", 2), ("weather", 2)]);
    for origin in ["JFK", "LGA"] {
        assert_eq!(answer(&copy, origin).0.len(), 3);
        assert_eq!(answer(&copy, origin).0, answer(&store, origin).0, "{origin}");
    }
    assert_eq!(answer(&copy, "EWR").0[0], "Null NOT_FOUND");
    // Nothing has changed there: no row is added.
    for (view, report) in import(&copy, &remote, RedisLayout::Plain).views {
        assert_eq!((report.rows_written, report.rows_skipped), (0, report.rows_read), "{view}");
    }
    remote.ask(&[b"HSET", b"weather:JFK", b"temp", b"40"]);
    import(&copy, &remote, RedisLayout::Plain);
    assert_eq!(answer(&copy, "JFK").0, ["Float64(40.0) PRESENT", "String(\"a: %b\") PRESENT", "Int32(4) PRESENT"]);
}

#[test]
fn entities_that_a_truncate_of_their_view_deleted_are_removed_there() {
    let (store, _) = with_rows();
    let remote = Remote::new();
    export(&store, &remote, RedisLayout::Plain);
    let of_weather = |remote: &Remote| remote.keys().iter().filter(|key| key.starts_with("weather:")).count();
    assert_eq!(of_weather(&remote), 2);
    let views = store.entity_views().unwrap().views;
    let weather = views.iter().find(|view| view.definition().name == "weather").unwrap();
    store.keyspace().unwrap().transact(|_, rows| rows.truncate(weather, rows.now)).unwrap().unwrap();
    store
        .write_rows("weather", [Row::new().at(store.now()).set("origin", "JFK").set("temp", 1.0).set("sky", "")])
        .unwrap();
    export(&store, &remote, RedisLayout::Plain);
    assert_eq!(of_weather(&remote), 1);
    assert_eq!(remote.hash(b"weather:JFK"), hash(&[("temp", "1.0"), ("sky", "")]));
}

#[test]
fn feasts_hashes_hold_all_views_of_an_entity_and_come_back_with_their_times() {
    let (store, at) = with_rows();
    let remote = Remote::new();
    let jfk = b"\x01\0\0\0\x02\0\0\0\x06\0\0\0origin\x02\0\0\0\x03\0\0\0JFKflights";
    let ewr = b"\x01\0\0\0\x02\0\0\0\x06\0\0\0origin\x02\0\0\0\x03\0\0\0EWRflights";
    let temp = super::feast::field_of_feature("weather", "temp");
    let sky = super::feast::field_of_feature("weather", "sky");
    let count = super::feast::field_of_feature("runways", "count");
    // Of another view in the same hash, and of an entity that is gone.
    remote.ask(&[b"HSET", jfk, b"_ts:other", b"", b"abcd", b"x"]);
    remote.ask(&[b"HSET", ewr, b"_ts:weather", b"", &temp, b"x"]);
    let report = export(&store, &remote, feast());
    assert_eq!((report.entities, report.fields, report.gone), (5, 9, 1), "{report:?}");
    let found: BTreeMap<Vec<u8>, Vec<u8>> = redis::cmd("HGETALL").arg(jfk).query(&mut remote.connect()).unwrap();
    assert_eq!(found.len(), 7, "{found:?}");
    assert_eq!(found[temp.as_slice()], [&[0x29][..], &39.5_f64.to_le_bytes()].concat());
    assert_eq!(found[sky.as_slice()], b"\x12\x05a: %b");
    assert_eq!(found[count.as_slice()], b"\x18\x04");
    assert_eq!(super::feast::timestamp_of(&found[&b"_ts:weather"[..]]), Some(at));
    assert_eq!(super::feast::timestamp_of(&found[&b"_ts:runways"[..]]), Some(at));
    assert!(!remote.keys().iter().any(|key| key.contains("EWR") || key.contains("export")), "{:?}", remote.keys());
    // A view without a TTL lies in the hash; where there is none such, it goes with the row.
    assert_eq!(remote.ask(&[b"PEXPIRETIME", jfk]), redis::Value::Int(-1));
    let lga = b"\x01\0\0\0\x02\0\0\0\x06\0\0\0origin\x02\0\0\0\x03\0\0\0LGAflights";
    let gone_at = (at.micros() + 3 * HOUR_US).div_euclid(1_000);
    assert_eq!(remote.ask(&[b"PEXPIRETIME", lga]), redis::Value::Int(gone_at));
    // Two join keys lie in the order of their names.
    let route = b"\x02\0\0\0\x02\0\0\0\x07\0\0\0carrier\x02\0\0\0\x06\0\0\0origin\x04\0\0\0\x08\0\0\0\x07\0\0\0\0\0\0\0\x02\0\0\0\x03\0\0\0J:Kflights";
    assert_eq!(remote.hash(route).len(), 2);

    let copy = self::store();
    let report = import(&copy, &remote, feast());
    let written: Vec<(&str, u64)> = report.views.iter().map(|(view, report)| (&**view, report.rows_written)).collect();
    assert_eq!(written, [("route", 1), ("runways", 2), ("weather", 3)]);
    for origin in ["JFK", "LGA", "ORD"] {
        let (ours, theirs) = (answer(&copy, origin), answer(&store, origin));
        assert_eq!(ours, theirs, "{origin}");
    }
    for (view, report) in import(&copy, &remote, feast()).views {
        assert_eq!((report.rows_written, report.rows_skipped), (0, report.rows_read), "{view}");
    }
    // Of another project there is nothing.
    let other = RedisLayout::Feast { project: "elsewhere".to_owned() };
    assert_eq!(
        import(&copy, &remote, other),
        RedisImportReport { source: remote.url.to_string(), ..Default::default() }
    );
}

#[test]
fn deadlines_of_rows_and_values_go_with_them() {
    let (store, _) = with_rows();
    let server = RedisServer::start_with((*store).clone()).unwrap();
    let mut own = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let ms = store.now().micros() / 1_000 + 60_000;
    redis::cmd("PEXPIREAT").arg("runways:JFK").arg(ms).exec(&mut own).unwrap();
    let answer: Vec<i64> =
        redis::cmd("HPEXPIREAT").arg("weather:JFK").arg(ms).arg("FIELDS").arg(1).arg("temp").query(&mut own).unwrap();
    assert_eq!(answer, [1]);
    let remote = Remote::new();
    let report = export(&store, &remote, RedisLayout::Plain);
    assert_eq!(report.field_deadlines_left_out, 0);
    assert_eq!(remote.ask(&[b"PEXPIRETIME", b"runways:JFK"]), redis::Value::Int(ms));
    let fields: Vec<i64> = redis::cmd("HPEXPIRETIME")
        .arg("weather:JFK")
        .arg("FIELDS")
        .arg(2)
        .arg(&["temp", "sky"])
        .query(&mut remote.connect())
        .unwrap();
    assert_eq!(fields, [ms, -1]);
}

/// The first batch is there, and says so; then the export dies.
#[test]
fn an_interrupted_export_goes_on_from_where_it_was() {
    let store = store();
    let at = an_hour_ago(&store);
    let rows = (0..1_500).map(|n| Row::new().at(at).set("origin", format!("A{n}")).set("count", n % 90));
    store.write_rows("runways", rows).unwrap();
    let remote = Remote::new();
    let dies = RedisExportOptions { progress: Some(Arc::new(|_| panic!("stopped"))), ..RedisExportOptions::default() };
    catch_unwind(AssertUnwindSafe(|| store.export_redis(&remote.url, &dies))).unwrap_err();
    let pushed = remote.keys().len() - 1;
    assert!((1..1_500).contains(&pushed), "{pushed}");
    // Another export does not go on from there, and takes the place of this one.
    let of_weather = RedisExportOptions { views: vec!["weather".to_owned()], ..RedisExportOptions::default() };
    let mark = remote.ask(&[b"GET", checkpoint::CHECKPOINT_KEY]);
    assert!(!store.export_redis(&remote.url, &of_weather).unwrap().resumed);
    let redis::Value::BulkString(mark) = mark else { panic!("{mark:?}") };
    remote.ask(&[b"SET", checkpoint::CHECKPOINT_KEY, &mark]);
    let report = export(&store, &remote, RedisLayout::Plain);
    assert!(report.resumed);
    assert_eq!(report.entities, 1_500 - u64::try_from(pushed).unwrap());
    assert_eq!(remote.keys().len(), 1_500);
    assert!(!export(&store, &remote, RedisLayout::Plain).resumed, "it was done");
}

/// The key of an airport's hash in Feast's layout.
fn feast_key(origin: &str) -> Vec<u8> {
    let len = u32::try_from(origin.len()).unwrap().to_le_bytes();
    [b"\x01\0\0\0\x02\0\0\0\x06\0\0\0origin\x02\0\0\0", &len[..], origin.as_bytes(), b"flights"].concat()
}

#[test]
fn what_was_refused_is_pushed_by_the_next_export() {
    let (store, _) = with_rows();
    let remote = Remote::new();
    remote.ask(&[b"SET", &feast_key("JFK"), b"no hash"]);
    let options = RedisExportOptions { layout: feast(), ..RedisExportOptions::default() };
    let error = store.export_redis(&remote.url, &options).unwrap_err().to_string();
    assert!(error.contains("WRONGTYPE") && error.contains("start again"), "{error}");
    remote.ask(&[b"DEL", &feast_key("JFK")]);
    store.export_redis(&remote.url, &options).unwrap();
    assert_eq!(remote.hash(&feast_key("JFK")).len(), 5, "two features and a time, one feature and a time");
}

#[test]
fn an_entity_that_another_view_gets_a_row_of_meanwhile_is_pushed() {
    let store = store();
    let at = an_hour_ago(&store);
    let runways = move |origin: String| Row::new().at(at).set("origin", origin).set("count", 1);
    store.write_rows("runways", (0..1_500).map(|n| runways(format!("A{n}")))).unwrap();
    let weather = |n: i32| Row::new().at(at).set("origin", format!("Z{n}")).set("temp", 1.0).set("sky", "x");
    store.write_rows("weather", (0..200).map(weather)).unwrap();
    let remote = Remote::new();
    let (writer, is_first) = ((*store).clone(), std::sync::atomic::AtomicBool::new(true));
    // In the turn of the runways, some of which were passed by then.
    let meanwhile = move |_| {
        if is_first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            writer.write_rows("runways", (0..200).map(|n| runways(format!("Z{n}")))).unwrap();
        }
    };
    let options =
        RedisExportOptions { layout: feast(), progress: Some(Arc::new(meanwhile)), ..RedisExportOptions::default() };
    store.export_redis(&remote.url, &options).unwrap();
    for n in 0..200 {
        let found = remote.hash(&feast_key(&format!("Z{n}")));
        assert!(found.contains_key("_ts:weather"), "Z{n}: {found:?}");
    }
}

#[test]
fn a_hash_without_any_feature_changes_no_row() {
    let (store, _) = with_rows();
    let remote = Remote::new();
    remote.ask(&[b"HSET", b"runways:JFK", b"lights", b"yes"]);
    let before = answer(&store, "JFK");
    let options = RedisImportOptions { views: vec!["runways".to_owned()], ..RedisImportOptions::default() };
    let report = store.import_redis(&remote.url, &options).unwrap();
    assert_eq!(
        (answer(&store, "JFK"), report.views.iter().map(|(_, view)| view.rows_written).sum::<u64>()),
        (before, 0)
    );
}

#[test]
fn hashes_that_are_no_rows_are_refused_or_set_aside() {
    let store = store();
    let remote = Remote::new();
    remote.ask(&[b"HSET", b"runways:ORD", b"count", b"100"]);
    let options = RedisImportOptions { views: vec!["runways".to_owned()], ..RedisImportOptions::default() };
    let error = store.import_redis(&remote.url, &options).unwrap_err().to_string();
    assert!(error.contains("view runways@1") && error.contains("key 'runways:ORD': column count"), "{error}");
    remote.ask(&[b"HSET", b"runways:JFK", b"count", b"4", b"lights", b"yes"]);
    remote.ask(&[b"HSET", b"runways:LGA", b"count", b"four"]);
    remote.ask(&[b"SET", b"runways:EWR", b"text"]);
    remote.ask(&[b"HSET", b"runways:a:b", b"count", b"4"]);
    let error = store.import_redis(&remote.url, &options).unwrap_err().to_string();
    assert!(error.contains("view runways@1") && error.contains("key 'runways:"), "{error}");
    assert_eq!(answer(&store, "JFK").0[2], "Null NOT_FOUND", "nothing was imported");
    let options = RedisImportOptions { bad_rows: BadRows::Quarantine, ..options };
    let report = store.import_redis(&remote.url, &options).unwrap();
    let (_, runways) = &report.views[0];
    assert_eq!((runways.rows_written, runways.rows_refused, runways.rows_read), (1, 4, 5));
    assert_eq!(runways.ignored, ["lights"]);
    let lines = std::fs::read_to_string(runways.quarantine.as_ref().unwrap()).unwrap();
    for reason in
        ["count: wants int32, got 'four'", "it is no hash", "a : in a value is written %3A", "key 'runways:ORD'"]
    {
        assert!(lines.contains(reason), "{reason}: {lines}");
    }
    assert_eq!(answer(&store, "JFK").0[2], "Int32(4) PRESENT");
}

#[test]
fn no_message_holds_the_password() {
    let store = store();
    let remote = Remote::new();
    let nobody: RedisUrl = "redis://app:secret@127.0.0.1:1/0".parse().unwrap();
    let refused: RedisUrl = format!("redis://app:secret@{}/0", remote.server.address()).parse().unwrap();
    for url in [nobody, refused] {
        let export = store.export_redis(&url, &RedisExportOptions::default()).unwrap_err();
        let import = store.import_redis(&url, &RedisImportOptions::default()).unwrap_err();
        for error in [export, import] {
            let text = format!("{error} {error:?}");
            assert!(text.contains("127.0.0.1") && !text.contains("secret"), "{text}");
            assert!(error.way_out().is_some(), "{error}");
        }
    }
    for text in ["http://app:secret@host", "redis://app:secret@", "secret", "redis://app:secret@host/x"] {
        let error = text.parse::<RedisUrl>().unwrap_err().to_string();
        assert!(!error.contains("secret") && error.contains("rediss://"), "{error}");
    }
}

#[test]
fn views_that_are_not_there_and_layouts_without_a_form_are_refused() {
    let store = store();
    let remote = Remote::new();
    let options = |views: &[&str], layout: RedisLayout| RedisExportOptions {
        views: views.iter().map(|view| (*view).to_owned()).collect(),
        layout,
        ..RedisExportOptions::default()
    };
    let error = store.export_redis(&remote.url, &options(&["wether"], RedisLayout::Plain)).unwrap_err();
    assert_eq!(error.way_out(), Some("did you mean weather?"));
    let by_day = FeatureView::new("by_day").entity("day").feature("x", DataType::Int64);
    let definitions = definitions().entity("day", [("day", DataType::Date)]).view(by_day);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let error = store.export_redis(&remote.url, &options(&[], feast())).unwrap_err().to_string();
    assert!(error.contains("date") && error.contains("by_day"), "{error}");
    let report = store.export_redis(&remote.url, &options(&["weather"], feast())).unwrap();
    assert_eq!(report.views, ["weather@1"]);
}
