//! Point-in-time joins, in every form.

use serde_json::{Value as Json, json};

use super::own::store;
use super::{Peer, serve, spool_of};
use crate::store::Store;

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
