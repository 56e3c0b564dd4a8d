//! asof's own paths.

use serde_json::{Value as Json, json};

use super::{Peer, serve, spool_of};
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

/// Rows of a training set, as the store joins them itself.
fn joined(store: &Store, features: &[&str], known_at: Option<crate::KnownAt>) -> Json {
    let spine = [("JFK", "2013-01-01T13:00:00Z"), ("JFK", "2012-01-01"), ("X", "2013-01-03"), ("JFK", "2013-01-02")];
    let rows = spine.map(|(origin, at)| {
        let options =
            crate::GetOptions { at: Some(at.parse().unwrap()), known_at: known_at.clone(), ..Default::default() };
        let answer =
            store.get(&crate::Features::list(features).unwrap(), &[("origin", origin.into())], &options).unwrap();
        let mut row = json!({ "origin": origin, "event_timestamp": at });
        for feature in answer {
            row[feature.feature] = crate::text::to_json(&feature.dtype, &feature.value);
        }
        row
    });
    Json::Array(rows.into())
}

/// With times in their one text form, which a spine may write otherwise.
fn with_times(mut rows: Json) -> Json {
    for row in rows.as_array_mut().unwrap() {
        let at: crate::time::Timestamp = row["event_timestamp"].as_str().unwrap().parse().unwrap();
        row["event_timestamp"] = at.to_string().into();
    }
    rows
}

#[test]
fn a_spine_of_any_form_comes_back_with_its_features_in_any_form() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let features = ["weather:temp", "weather:note", "airport:lat"];
    let spine: Vec<Json> = joined(&store, &features, None)
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!({ "origin": row["origin"], "event_timestamp": row["event_timestamp"] }))
        .collect();
    let answer = peer.post("/v1/history", &json!({ "features": features, "spine": spine }));
    assert_eq!(answer.status, 200, "{answer:?}");
    let wanted = with_times(joined(&store, &features, None));
    assert_eq!(with_times(answer.json()["rows"].clone()), wanted);
    assert_eq!(answer.header("asof-known-at-seq").unwrap(), answer.json()["known_at_seq"].to_string());
    let known = json!({ "features": features, "spine": spine, "known_at": "first_model" });
    let then = with_times(joined(&store, &features, Some(crate::KnownAt::Snapshot("first_model".to_owned()))));
    assert_eq!(with_times(peer.post("/v1/history", &known).json()["rows"].clone()), then);
    assert_ne!(then, wanted);
    let guides = json!({ "feature_refs": features, "entity_rows": spine });
    assert_eq!(with_times(peer.post("/features/batch", &guides).json()["rows"].clone()), wanted);

    // From every form into every other, and back to JSON.
    let lines = spine.iter().map(|row| format!("{row}\n")).collect::<String>().into_bytes();
    let path = "/v1/history?features=weather:temp,note,airport:lat";
    let bare = "/v1/history?features=airport:lat&full_names=true";
    let forms =
        ["application/x-ndjson", "text/csv", "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"];
    for form in forms {
        let converted = peer.ask_with("POST", bare, &[("content-type", forms[0]), ("accept", form)], &lines);
        assert_eq!((converted.status, converted.header("content-type")), (200, Some(form)), "{converted:?}");
        for into in forms {
            let answer = peer.ask_with("POST", path, &[("content-type", form), ("accept", into)], &converted.body);
            assert_eq!((answer.status, answer.header("content-type")), (200, Some(into)), "{form}: {answer:?}");
            let again = "/v1/history?features=route:temp&full_names=true";
            let again = format!("{again}&known_at={}", answer.header("asof-known-at-seq").unwrap());
            let json =
                peer.ask_with("POST", &again, &[("content-type", into), ("accept", "application/json")], &answer.body);
            // It lacks a key of that view: an error that says so, whatever came before.
            assert_eq!(json.status, 400, "{json:?}");
            assert!(json.json()["detail"].as_str().unwrap().contains("number"), "{json:?}");
        }
        let json =
            peer.ask_with("POST", path, &[("content-type", form), ("accept", "application/json")], &converted.body);
        let mut rows = with_times(json.json()["rows"].clone());
        rows.as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|row| drop(row.as_object_mut().unwrap().remove("airport__lat")));
        assert_eq!(rows, wanted, "{form}");
    }
    assert_eq!(std::fs::read_dir(spool_of(&store)).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_spine_that_cannot_be_joined_is_told_of_and_leaves_nothing() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let good = r#"{"origin":"JFK","event_timestamp":"2013-01-01"}"#;
    let (json, lines, parquet) = ("application/json", "application/x-ndjson", "application/vnd.apache.parquet");
    for (query, media, body, status, says) in [
        ("?features=weather:temp", lines, "{\"origin\":\"JFK\"}\n", 400, "event_timestamp"),
        ("?features=weather:temp", lines, "{\"event_timestamp\":\"2013-01-01\"}\n", 400, "origin"),
        ("?features=weather:temp", lines, "{\"origin\":\"JFK\",\"event_timestamp\":\"x\"}\n", 400, "the body: line 1"),
        ("?features=weather:temp", lines, "", 400, "no columns"),
        ("?features=weather:temp", lines, "nonsense\n", 400, "the body"),
        ("?features=weather:tmp", lines, good, 404, "did you mean weather:temp?"),
        ("", lines, good, 400, "no feature is asked for"),
        ("?features=weather:temp&timestamp=origin", lines, good, 400, "origin"),
        ("?features=weather:temp&known_at=nothing", lines, good, 404, "nothing"),
        ("?features=weather:temp&more=1", lines, good, 400, "more"),
        ("?features=weather:temp&features=weather:note", lines, good, 400, "duplicate field"),
        ("?features=weather:temp", parquet, good, 400, "the body"),
        ("?features=weather:temp", "image/png", good, 415, "image/png"),
        ("?features=weather:temp", json, "{\"spine\": []}", 400, "the body says what is asked for"),
        ("", json, "{\"features\": [\"weather:temp\"]}", 400, "missing field `spine`"),
        ("", json, "{\"features\": [\"weather:temp\"], \"spine\": [1]}", 400, "the body"),
    ] {
        let answer = peer.ask_with("POST", &format!("/v1/history{query}"), &[("content-type", media)], body.as_bytes());
        assert_eq!(answer.status, status, "{query} {body}: {answer:?}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains(says) && !text.contains("asof-http"), "{query} {body}: {text}");
    }
    let unheard = peer.ask_with("POST", "/v1/history", &[("accept", "image/png")], b"{}");
    assert_eq!(unheard.status, 406);
    assert_eq!(std::fs::read_dir(spool_of(&store)).unwrap().count(), 0, "nothing is left");
}

#[test]
fn rows_of_json_are_written_all_or_none() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let rows = json!([
        { "origin": "LGA", "event_timestamp": "2013-01-05", "temp": 10, "note": "x", "humid": 1 },
        { "origin": "LGA", "event_timestamp": "2013-01-06", "temp": "NaN" },
        { "origin": "LGA", "event_timestamp": "2013-01-07", "_deleted": true },
    ]);
    let answer = peer.post("/v1/write/weather?source=curl", &rows);
    assert_eq!((answer.status, &answer.json()["rows"], &answer.json()["ignored"]), (200, &json!(3), &json!(["humid"])));
    let mut at = |at: &str| {
        let body = json!({ "features": ["weather:temp", "weather:note"], "entities": [{ "origin": "LGA" }], "at": at });
        peer.post("/v1/get", &body).json()["rows"][0].clone()
    };
    assert_eq!(at("2013-01-05T01:00:00Z")["values"], json!([10.0, "x"]));
    assert_eq!(at("2013-01-06T01:00:00Z")["statuses"], json!(["PRESENT", "NULL_VALUE"]));
    assert_eq!(at("2013-01-07T01:00:00Z")["statuses"], json!(["NOT_FOUND", "NOT_FOUND"]));
    let told = peer.ask("GET", "/v1/explain?feature=weather:temp&origin=LGA&at=2013-01-05T01:00:00Z", "", "").json();
    assert_eq!(
        (&told["row"]["provenance"]["source"], &told["row"]["seq"]),
        (&json!("curl"), &answer.json()["first_seq"])
    );

    let good = json!({ "origin": "LGA", "event_timestamp": "2013-01-08", "temp": 1 });
    let with = |name: &str, value: Json| {
        let mut row = good.clone();
        row[name] = value;
        json!({ "rows": [good, row] })
    };
    let (rows_before, path) = (store.summary().unwrap().rows, "/v1/write/weather");
    for (path, body, status, says) in [
        (path, with("temp", json!("warm")), 400, "temp: row 1"),
        (path, with("origin", json!(null)), 400, "origin"),
        (path, with("event_timestamp", json!(null)), 400, "event_timestamp: row 1"),
        (path, with("event_timestamp", json!("2113-01-01")), 400, "2113"),
        (path, with("_deleted", json!("yes")), 400, "_deleted: row 1"),
        (path, json!({ "rows": 1 }), 400, "array of objects"),
        (path, json!([1]), 400, "row 0"),
        ("/v1/write/wether", json!([good]), 404, "did you mean weather?"),
        ("/v1/write/weather@2", json!([good]), 404, "weather@2"),
        ("/v1/write/weather?allow=1", json!([good]), 400, "allow"),
    ] {
        let answer = peer.post(path, &body);
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains(says), "{path} {body}: {text}");
    }
    assert_eq!(store.summary().unwrap().rows, rows_before, "nothing of these was written");
    let ahead = peer.post("/v1/write/weather@1?allow_future=true", &with("event_timestamp", json!("2113-01-01")));
    assert_eq!(ahead.status, 200, "{ahead:?}");
}

#[test]
fn a_body_that_is_a_file_is_imported_once() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let lines = "{\"origin\":\"LGA\",\"event_timestamp\":\"2013-01-05\",\"temp\":1}\n{\"origin\":\"EWR\",\"event_timestamp\":\"2013-01-05\",\"humid\":2}\n";
    let csv = "origin,event_timestamp,temp,note\nLGA,2013-01-06,2,\n";
    for (media, body, rows, ignored) in
        [("application/x-ndjson", lines.as_bytes(), 2, json!(["humid"])), ("text/csv", csv.as_bytes(), 1, json!([]))]
    {
        let mut send = |query: &str| {
            let answer = peer.ask_with("POST", &format!("/v1/write/weather{query}"), &[("content-type", media)], body);
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json()
        };
        let first = send("");
        assert_eq!(
            (&first["rows"], &first["was_imported"], &first["ignored"]),
            (&json!(rows), &json!(false), &ignored)
        );
        let again = send("");
        assert_eq!((&again["rows"], &again["was_imported"]), (&json!(0), &json!(true)));
        assert_eq!(send("?append=true")["rows"], json!(rows));
    }
    // As a reader of another process would send it: what history gives back.
    let spine = r#"{"origin":"LGA","event_timestamp":"2013-01-07"}"#;
    let arrow = "application/vnd.apache.arrow.stream";
    let path = "/v1/history?features=weather:temp,note";
    let rows =
        peer.ask_with("POST", path, &[("content-type", "application/x-ndjson"), ("accept", arrow)], spine.as_bytes());
    let answer = peer.ask_with("POST", "/v1/write/weather", &[("content-type", arrow)], &rows.body);
    assert_eq!((answer.status, &answer.json()["rows"]), (200, &json!(1)), "{answer:?}");
    let bad = peer.ask_with(
        "POST",
        "/v1/write/weather",
        &[("content-type", "text/csv")],
        b"origin,event_timestamp,temp,note\nLGA,x,2,\n",
    );
    let said = String::from_utf8_lossy(&bad.body).into_owned();
    assert!(bad.status == 400 && said.contains("the body: line 2") && !said.contains("asof-http"), "{said}");
    assert!(said.contains("bad_rows=quarantine"), "{said}");
    let two = b"origin,event_timestamp,temp,note\nLGA,x,2,\nLGA,2013-01-09,3,\n";
    let path = "/v1/write/weather?bad_rows=quarantine";
    let kept = peer.ask_with("POST", path, &[("content-type", "text/csv")], two).json();
    assert_eq!((&kept["rows"], &kept["rows_refused"]), (&json!(1), &json!(1)), "{kept}");
    let set_aside = store.path().join("quarantine").join(kept["quarantine"].as_str().unwrap());
    assert!(std::fs::read_to_string(set_aside).unwrap().contains("event_timestamp"));
    assert_eq!(std::fs::read_dir(spool_of(&store)).unwrap().count(), 0, "nothing is left");
}

/// Read into values, they came back in the order of the alphabet, and rounded.
#[test]
fn a_spine_of_json_keeps_its_columns_in_order_and_what_they_say() {
    let store = store();
    let server = serve(&store);
    let body = br#"{"features": ["airport:lat"], "spine": [{"zulu": 12345678901234567890123,
        "origin": "JFK", "event_timestamp": "2013-01-02T00:00:00Z", "a": 1.10}]}"#;
    let answer = Peer::new(&server).ask_with("POST", "/v1/history", &[("accept", "text/csv")], body);
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(text, "zulu,origin,event_timestamp,a,lat\n12345678901234567890123,JFK,2013-01-02T00:00:00Z,1.10,40.5\n");
}

#[test]
fn requests_that_keep_files_are_so_many_and_leave_none() {
    let store = store();
    let spool_folder = spool_of(&store);
    std::fs::create_dir_all(&spool_folder).unwrap();
    // Of a process that was killed, of one that is alive, and of somebody else.
    let (dead, alive, other) = ("asof-http-4194999-0", "asof-http-1-0", "asof-http-x-0");
    for name in [dead, alive, other] {
        std::fs::create_dir(spool_folder.join(name)).unwrap();
    }
    let options = super::HttpOptions { spools_max: 1, spool_folder: spool_folder.clone(), ..super::options() };
    let server = super::HttpServer::start((*store).clone(), options).unwrap();
    assert!(
        !spool_folder.join(dead).exists() && spool_folder.join(alive).exists() && spool_folder.join(other).exists()
    );
    let mut first = Peer::new(&server);
    first.send(b"POST /v1/write/weather HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(first.answer().status, 100);
    let mut second = Peer::new(&server);
    let full = second.ask_with("POST", "/v1/write/weather", &[("content-type", "text/csv")], b"origin\n");
    assert_eq!((full.status, full.header("retry-after")), (503, Some("1")), "{full:?}");
    drop(first);
    let waited = std::time::Instant::now();
    while second.ask_with("POST", "/v1/write/weather", &[("content-type", "text/csv")], b"origin\n").status == 503 {
        assert!(waited.elapsed() < super::PATIENCE, "the place of a peer that is gone is free again");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(std::fs::read_dir(spool_folder).unwrap().count(), 2);
}
