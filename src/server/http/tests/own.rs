//! asof's own paths.

use serde_json::{Value as Json, json};

use super::{Peer, serve};
use crate::ApplyOptions;
use crate::definition::{Definitions, FeatureService, FeatureView, Selection};
use crate::store::{Row, Store, TemporaryStore};
use crate::value::{DataType, Value};

/// Two views of airports and one of pairs of them; JFK's weather was corrected after its first day.
pub(super) fn store() -> TemporaryStore {
    let store = Store::builder().background(false).temporary().unwrap();
    let weather = FeatureView::new("weather").entity("airport").ttl(std::time::Duration::from_secs(3 * 86_400));
    let selection = |view: &str, features: &[&str]| Selection {
        view: view.parse().unwrap(),
        alias: None,
        join_keys: Default::default(),
        features: features.iter().map(|feature| (*feature).to_owned()).collect(),
    };
    let mut definitions = Definitions::new("flights")
        .entity("airport", [("origin", DataType::String)])
        .entity("route", [("origin", DataType::String), ("number", DataType::Int32)])
        .view(weather.feature("temp", DataType::Float64).feature("note", DataType::String))
        .view(FeatureView::new("airport").entity("airport").feature("lat", DataType::Float64))
        .view(FeatureView::new("route").entity("route").feature("temp", DataType::Int64));
    let features = vec![selection("weather", &["temp"]), selection("airport", &["lat"])];
    definitions.services.insert("all".to_owned(), FeatureService { features, ..FeatureService::default() });
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let row = |at: &str| Row::new().at(at.parse().unwrap()).set("origin", "JFK");
    store.write_rows("weather", [row("2013-01-01").set("temp", 39.0).set("note", "a \"b\"\n")]).unwrap();
    store.write_rows("weather", [row("2013-01-02").set("temp", f64::NAN).set("note", Value::Null)]).unwrap();
    store.snapshot("first_model").unwrap();
    store.write_rows("weather", [row("2013-01-01T12:00:00Z").set("temp", -1.5).set("note", Value::Null)]).unwrap();
    store.write_rows("airport", [row("2013-01-01").set("lat", 40.5)]).unwrap();
    store.write_rows("route", [row("2013-01-01").set("number", 7_i32).set("temp", 70_i64)]).unwrap();
    store
}

#[track_caller]
fn get(store: &TemporaryStore, body: &Json) -> (u16, Json) {
    let answer = Peer::new(&serve(store)).post("/v1/get", body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    (answer.status, answer.json())
}

#[test]
fn rows_come_with_statuses_and_event_times_of_now_and_of_then() {
    let store = store();
    let features = json!(["weather:temp", "airport:lat", "weather:note"]);
    let (status, now) =
        get(&store, &json!({ "features": features, "entities": [{ "origin": "JFK" }, { "origin": "X" }] }));
    assert_eq!(status, 200, "{now}");
    assert_eq!(now["columns"][0], json!({ "name": "temp", "view": "weather", "feature": "temp", "dtype": "float64" }));
    assert_eq!(
        now["rows"],
        json!([
            {
                "values": [null, 40.5, null],
                "statuses": ["OUTSIDE_MAX_AGE", "PRESENT", "OUTSIDE_MAX_AGE"],
                "event_timestamps": ["2013-01-02T00:00:00Z", "2013-01-01T00:00:00Z", "2013-01-02T00:00:00Z"],
            },
            { "values": [null, null, null], "statuses": ["NOT_FOUND", "NOT_FOUND", "NOT_FOUND"], "event_timestamps": [null, null, null] },
        ])
    );
    let then = |at: &str, more: Json| {
        let mut body =
            json!({ "features": ["weather:temp", "weather:note"], "entities": { "origin": ["JFK"] }, "at": at });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, answer) = get(&store, &body);
        assert_eq!(status, 200, "{body}: {answer}");
        assert_eq!(answer["rows"].as_array().unwrap().len(), 1);
        (answer["rows"][0]["values"].clone(), answer["rows"][0]["statuses"].clone(), answer["seq"].clone())
    };
    let present = "PRESENT";
    let (values, statuses, seq) = then("2013-01-03", json!({}));
    assert_eq!((values, statuses), (json!(["NaN", null]), json!([present, "NULL_VALUE"])));
    assert_eq!(then("2013-01-01T13:00:00Z", json!({})).0, json!([-1.5, null]));
    let known = then("2013-01-01T13:00:00Z", json!({ "known_at": "first_model" }));
    assert_eq!(known.0, json!([39.0, "a \"b\"\n"]));
    assert!(known.2.as_u64() < seq.as_u64(), "{known:?} {seq}");
    assert_eq!(then("2013-01-01T13:00:00Z", json!({ "known_at": known.2, "definitions": "current" })), known);
}

/// Each way of reading gives the same, entity by entity.
#[test]
fn what_is_answered_is_what_the_store_says() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    // As one text they are no reference, whatever was asked for before.
    for (features, status) in
        [(json!(["weather:temp,weather:note"]), 400), (json!(["weather:temp", "weather:note"]), 200)]
    {
        let body = json!({ "features": features, "entities": [{ "origin": "JFK" }] });
        assert_eq!(
            (peer.post("/v1/get", &body).status, peer.post("/v1/get", &body).status),
            (status, status),
            "{body}"
        );
    }
    for at in [json!(null), json!("2013-01-01"), json!("2013-01-02T01:00:00Z")] {
        let body = json!({ "service": "all", "entities": { "origin": ["JFK", "LGA"] }, "at": at, "full_names": true });
        let answer = peer.post("/v1/get", &body).json();
        let names: Vec<&Json> = answer["columns"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
        assert_eq!(names, ["weather__temp", "airport__lat"]);
        let options = crate::GetOptions { at: at.as_str().map(|at| at.parse().unwrap()), ..Default::default() };
        for (entity, row) in ["JFK", "LGA"].iter().zip(answer["rows"].as_array().unwrap()) {
            let features = crate::Features::service("all");
            let wanted = store.get(&features, &[("origin", (*entity).into())], &options).unwrap();
            for (at, wanted) in wanted.iter().enumerate() {
                assert_eq!(row["statuses"][at], wanted.status.name(), "{entity}");
                assert_eq!(row["values"][at], crate::text::to_json(&wanted.dtype, &wanted.value), "{entity}");
                assert_eq!(row["event_timestamps"][at], json!(wanted.event_ts.map(|at| at.to_string())), "{entity}");
            }
        }
    }
}

#[test]
fn mistakes_are_told_with_their_place_and_a_way_out() {
    let store = store();
    let one = json!([{ "origin": "JFK" }]);
    for (body, status, says) in [
        (json!({ "features": ["weather:tmp"], "entities": one }), 404, "did you mean weather:temp?"),
        (json!({ "features": ["weather"], "entities": one }), 400, "weather"),
        (json!({ "features": [], "entities": one }), 400, "no feature is asked for"),
        (json!({ "service": "al", "entities": one }), 404, "did you mean all?"),
        (json!({ "service": "all", "features": ["weather:temp"], "entities": one }), 400, "both asked for"),
        (json!({ "service": "all", "entities": "JFK" }), 400, "array of objects"),
        (json!({ "service": "all", "entities": ["JFK"] }), 400, "entity 0"),
        (json!({ "service": "all", "entities": { "origin": "JFK" } }), 400, "join key origin"),
        (json!({ "service": "all", "entities": [{ "origin": null }] }), 400, "entity 0: join key origin"),
        (json!({ "service": "all", "entities": [{ "orign": "JFK" }] }), 400, "did you mean origin?"),
        (json!({ "features": ["route:temp"], "entities": { "origin": ["JFK"], "number": [1, 2] } }), 400, "one length"),
        (json!({ "features": ["route:temp"], "entities": [{ "origin": "JFK", "number": "x" }] }), 400, "int32"),
        (
            json!({ "features": ["route:temp", "weather:temp"], "entities": [{ "origin": "JFK", "number": 7 }] }),
            400,
            "ask for full names",
        ),
        (json!({ "service": "all", "entities": one, "at": "yesterday" }), 400, "at"),
        (json!({ "service": "all", "entities": one, "known_at": "no such" }), 400, "known_at"),
        (json!({ "service": "all", "entities": one, "known_at": "no_such" }), 404, "no_such"),
        (json!({ "service": "all", "entities": one, "fullnames": true }), 400, "unknown field"),
        (json!({ "service": "all" }), 400, "missing field `entities`"),
        (json!([]), 400, "the body is not what this path takes"),
    ] {
        let (answered, answer) = get(&store, &body);
        assert_eq!(answered, status, "{body}: {answer}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{body}: {detail}");
        assert!(answer["kind"].is_string());
    }
    let wide: serde_json::Map<String, Json> = (0..200).map(|at| (format!("c{at}"), json!(1))).collect();
    assert_eq!(get(&store, &json!({ "service": "all", "entities": [wide] })).0, 400);
    // What no stored key can be matches nothing, as everywhere.
    let large = json!({ "features": ["route:temp"], "entities": [{ "origin": "JFK", "number": 1_u64 << 40 }] });
    assert_eq!(get(&store, &large).1["rows"][0]["statuses"], json!(["NOT_FOUND"]));
    assert_eq!(get(&store, &json!({ "service": "all", "entities": [] })).1["rows"], json!([]));
}

#[test]
fn what_the_store_holds_is_told() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let mut ask = |path: &str| {
        let answer = peer.ask("GET", path, "", "");
        (answer.status, answer.json())
    };
    let views = ask("/v1/views").1;
    let names: Vec<&Json> = views.as_array().unwrap().iter().map(|view| &view["view"]).collect();
    assert_eq!(names.len(), 3);
    let weather = ask("/v1/views/weather").1;
    assert_eq!((&weather["rows"], &weather["event_max"]), (&json!(3), &json!("2013-01-02T00:00:00Z")));
    assert!(views.as_array().unwrap().contains(&weather));
    let (status, wrong) = ask("/v1/views/wether");
    assert_eq!((status, wrong["detail"].as_str().unwrap().contains("did you mean weather?")), (404, true));
    assert_eq!(ask("/v1/services").1[0]["name"], "all");
    assert_eq!(ask("/v1/entities").1.as_array().unwrap().len(), 2);
    assert_eq!(ask("/v1/snapshots").1[0]["name"], "first_model");
    assert_eq!(ask("/v1/stats").1["rows"], 5);
    assert_eq!(ask("/v1/runs").1, json!([]));
    store.seal().unwrap();
    assert_eq!(ask("/v1/runs").1.as_array().unwrap().len(), 3);
}

#[test]
fn what_was_known_is_named_and_read_by_its_name() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let made = peer.ask("POST", "/v1/snapshots/model_2", "", "").json();
    assert_eq!((&made["name"], &made["seq"]), (&json!("model_2"), &json!(store.summary().unwrap().seq)));
    let listed = peer.ask("GET", "/v1/snapshots", "", "").json();
    assert!(listed.as_array().unwrap().contains(&made), "{listed}");
    let ask = json!({ "features": ["weather:temp"], "entities": [{ "origin": "JFK" }], "known_at": "model_2" });
    let before = peer.post("/v1/get", &ask).json();
    let row = json!([{ "origin": "JFK", "event_timestamp": "2013-01-09", "temp": 99 }]);
    assert_eq!(peer.post("/v1/write/weather", &row).status, 200);
    assert_eq!(peer.post("/v1/get", &ask).json()["rows"], before["rows"]);
    assert_eq!(peer.ask("POST", "/v1/snapshots/model_2", "", "").status, 409);
    assert_eq!(peer.ask("POST", "/v1/snapshots/model_3?known_at=2013-01-01", "", "").status, 400);
    assert_eq!(peer.post("/v1/snapshots/model_3", &json!({ "known_at": "2013-01-01" })).status, 400);
    assert!(store.snapshots().unwrap().iter().all(|snapshot| snapshot.name != "model_3"));
    assert_eq!(peer.ask("POST", "/v1/snapshots/a%20b", "", "").status, 400);
}

#[test]
fn an_explanation_names_the_row_that_decided() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let mut ask = |query: &str| {
        let answer = peer.ask("GET", &format!("/v1/explain?{query}"), "", "");
        (answer.status, answer.json())
    };
    let (status, told) = ask("feature=weather:temp&origin=JFK&at=2013-01-01T13:00:00Z");
    assert_eq!((status, &told["value"], &told["row"]["kind"]), (200, &json!(-1.5), &json!("value")), "{told}");
    let (_, known) = ask("feature=weather%3Atemp&key.origin=JFK&at=2013-01-01T13:00:00Z&known_at=first_model");
    assert_eq!(known["value"], 39.0);
    for (query, status, says) in [
        ("origin=JFK", 400, "feature=weather:temp"),
        ("feature=weather:temp", 400, "the join key origin (string) is missing"),
        ("feature=weather:temp&orign=JFK", 400, "did you mean origin?"),
        ("feature=weather:temp&origin=JFK&at=x", 400, "at"),
        ("feature=weather:temp&feature=weather:note&origin=JFK", 400, "given twice"),
        ("feature=weather:temp&origin=JFK&key.origin=LGA", 400, "given twice"),
        ("feature=weather:temp&origin=JFK&definitions=current", 400, "known_at is not"),
        ("feature=weather:tmp&origin=JFK", 404, "did you mean weather:temp?"),
        ("feature=weather:temp&origin=JFK&definitions=old", 400, "current"),
    ] {
        let (answered, answer) = ask(query);
        assert_eq!(answered, status, "{query}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(says), "{query}: {answer}");
    }
}

#[test]
fn answers_in_arrow_say_what_those_in_json_do() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let arrow = "application/vnd.apache.arrow.stream";
    for (query, more) in [("", json!({})), ("&at=2013-01-01T18:00:00Z", json!({ "at": "2013-01-01T18:00:00Z" }))] {
        let mut body = json!({ "features": ["weather:temp", "weather:note", "airport:lat"], "entities": { "origin": ["JFK", "X"] } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let json = peer.post("/v1/get", &body).json();
        let answer = peer.ask_with("POST", "/v1/get", &[("accept", arrow)], body.to_string().as_bytes());
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(arrow)), "{answer:?}");
        let batch = batch_of(&answer.body);
        let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names[..4], ["temp", "note", "lat", "temp__status"]);
        assert_eq!(names[8], "lat__event_timestamp");
        assert_eq!(batch.schema_ref().metadata()["seq"], json["seq"].to_string());
        for (at, row) in json["rows"].as_array().unwrap().iter().enumerate() {
            for feature in 0..3 {
                let cell = |column: usize| {
                    let dtype = match column {
                        0 | 2 => DataType::Float64,
                        6..9 => DataType::Timestamp,
                        _ => DataType::String,
                    };
                    crate::value_at(batch.column(column), &dtype, at)
                };
                let text = |value: Value| match value {
                    Value::Null => Json::Null,
                    Value::Float64(value) => json!(value),
                    Value::Timestamp(at) => json!(crate::time::Timestamp(at).to_string()),
                    Value::String(text) => json!(text),
                    other => panic!("{other:?}"),
                };
                assert_eq!(text(cell(feature)), row["values"][feature]);
                assert_eq!(text(cell(3 + feature)), row["statuses"][feature]);
                assert_eq!(text(cell(6 + feature)), row["event_timestamps"][feature]);
            }
        }
        // Entities as Arrow: the answer's own statuses do, whose column is called as the key is.
        let spine = "{\"origin\":\"JFK\",\"event_timestamp\":\"2013-01-01\"}\n{\"origin\":\"X\",\"event_timestamp\":\"2013-01-01\"}\n";
        let headers = [("content-type", "application/x-ndjson"), ("accept", arrow)];
        let spine = peer.ask_with("POST", "/v1/history?features=airport:lat", &headers, spine.as_bytes()).body;
        let path = format!("/v1/get?features=weather:temp,note,airport:lat{query}");
        let strange = peer.ask_with("POST", &path, &[("content-type", arrow)], &spine);
        assert_eq!(strange.status, 400, "it has columns that are no join keys");
        let keys = keys_of(&spine);
        let of_arrow = peer.ask_with("POST", &path, &[("content-type", arrow)], &keys);
        assert_eq!((of_arrow.status, of_arrow.header("content-type")), (200, Some(arrow)), "{of_arrow:?}");
        assert_eq!(batch_of(&of_arrow.body).columns(), batch.columns());
        let headers = [("content-type", arrow), ("accept", "application/json")];
        assert_eq!(peer.ask_with("POST", &path, &headers, &keys).json()["rows"], json["rows"]);
    }
    let body = json!({ "features": ["weather:temp"], "entities": [] }).to_string();
    for (headers, path, status) in [
        (&[("accept", "text/csv")][..], "/v1/get", 406),
        (&[("content-type", "text/csv")], "/v1/get", 415),
        (&[], "/v1/get?at=2013-01-01", 400),
        (&[("content-type", arrow)], "/v1/get?features=weather:temp", 400),
    ] {
        assert_eq!(peer.ask_with("POST", path, headers, body.as_bytes()).status, status, "{path} {headers:?}");
    }
}

pub(super) fn batch_of(stream: &[u8]) -> arrow_array::RecordBatch {
    let mut batches = arrow_ipc::reader::StreamReader::try_new(stream, None).unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    batch
}

/// The first column of a stream, as a stream.
fn keys_of(stream: &[u8]) -> Vec<u8> {
    let keys = batch_of(stream).project(&[0]).unwrap();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), keys.schema_ref()).unwrap();
    writer.write(&keys).unwrap();
    writer.into_inner().unwrap()
}
