//! The paths of guides to feature platforms.

use serde_json::{Value as Json, json};

use super::own::store;
use super::{HttpOptions, HttpServer, Peer, options, serve};

#[test]
fn rows_of_features_come_with_their_entities() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let body = json!({
        "entity_rows": [{ "origin": "JFK" }, { "origin": "X" }],
        "feature_refs": ["airport:lat", "weather:temp"],
    });
    let answer = peer.post("/get-features", &body);
    assert_eq!(
        (answer.status, answer.json()),
        (
            200,
            json!({
                "results": [
                    { "origin": "JFK", "lat": 40.5, "temp": null },
                    { "origin": "X", "lat": null, "temp": null },
                ],
                "statuses": [
                    { "lat": "PRESENT", "temp": "OUTSIDE_MAX_AGE" },
                    { "lat": "NOT_FOUND", "temp": "NOT_FOUND" },
                ],
            })
        )
    );
    let full = json!({ "entity_rows": [{ "origin": "JFK" }], "feature_service": "all", "full_feature_names": true });
    assert_eq!(
        peer.post("/get-features", &full).json()["results"],
        json!([{ "origin": "JFK", "weather__temp": null, "airport__lat": 40.5 }])
    );
    for (body, says) in [
        (json!({ "entity_rows": {}, "feature_refs": ["airport:lat"] }), "expected a sequence"),
        (json!({ "entity_rows": [{}], "feature_refs": ["airport:lat"] }), "needs the join key origin"),
        (json!({ "entity_rows": [1], "feature_refs": ["airport:lat"] }), "entity 0"),
        (json!({ "entity_rows": [], "feature_refs": [] }), "no feature is asked for"),
    ] {
        let answer = peer.post("/get-features", &body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{body}: {answer:?}");
    }
}

fn ask(peer: &mut Peer, path: &str) -> (u16, Json) {
    let answer = peer.ask("GET", path, "", "");
    (answer.status, answer.json())
}

#[test]
fn an_entity_is_named_by_its_only_join_key() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let (status, answer) = ask(&mut peer, "/features/online/JFK?service=all&at=2013-01-01T13:00:00Z");
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["entity"], json!({ "origin": "JFK" }));
    assert_eq!(answer["features"], json!({ "temp": -1.5, "lat": 40.5 }));
    assert_eq!(answer["statuses"], json!({ "temp": "PRESENT", "lat": "PRESENT" }));
    assert_eq!(answer["event_timestamps"]["temp"], "2013-01-01T12:00:00Z");
    let (_, then) =
        ask(&mut peer, "/features/online/JFK?features=weather:temp,note&at=2013-01-01T13:00:00Z&known_at=first_model");
    assert_eq!(then["features"], json!({ "temp": 39.0, "note": "a \"b\"\n" }));
    let (_, now) = ask(&mut peer, "/features/online/%4AFK?features=airport:lat&full_names=true");
    assert_eq!(now["features"], json!({ "airport__lat": 40.5 }));
    let (_, nobody) = ask(&mut peer, "/features/online/%22%0A?features=airport:lat");
    assert_eq!((&nobody["entity"]["origin"], &nobody["statuses"]["lat"]), (&json!("\"\n"), &json!("NOT_FOUND")));
    for (path, status, says) in [
        ("JFK", 400, "no feature is asked for"),
        ("JFK?service=none", 404, "none"),
        ("JFK?features=route:temp", 400, "number, origin"),
        ("JFK?features=lat", 400, "lat"),
        ("JFK?service=all&at=x", 400, "at"),
    ] {
        let (answered, answer) = ask(&mut peer, &format!("/features/online/{path}"));
        assert_eq!(answered, status, "{path}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(says), "{path}: {answer}");
    }
}

#[test]
fn a_feature_is_described_and_traced() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let (status, note) = ask(&mut peer, "/features/note");
    assert_eq!((status, &note["name"], &note["feature"]["dtype"]), (200, &json!("weather:note"), &json!("string")));
    assert_eq!(ask(&mut peer, "/features/weather:note").1, note);
    let (_, lineage) = ask(&mut peer, "/features/weather:temp/lineage");
    assert_eq!((&lineage["view"], &lineage["services"]), (&json!("weather"), &json!(["all"])), "{lineage}");
    assert_eq!(ask(&mut peer, "/features/note/lineage").1["services"], json!([]));
    for (name, status, says) in [
        ("temp", 400, "weather:temp"),
        ("note2", 404, "did you mean note?"),
        ("weather:nots", 404, "did you mean weather:note?"),
        ("wether:note", 404, "did you mean weather?"),
    ] {
        let (answered, answer) = ask(&mut peer, &format!("/features/{name}"));
        assert_eq!(answered, status, "{name}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(says), "{name}: {answer}");
    }
    assert_eq!(ask(&mut peer, "/feature-views").1, ask(&mut peer, "/v1/views").1);
}

#[test]
fn features_are_registered_where_no_file_has_the_definitions() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let body = json!({
        "entities": { "plane": { "join_keys": { "tailnum": "string" } } },
        "views": { "plane": { "entities": ["plane"], "features": { "seats": "int32" } } },
    });
    let answer = peer.post("/features", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["items"].as_array().unwrap().len() >= 2, "{answer:?}");
    assert_eq!(ask(&mut peer, "/features/seats").1["view"], "plane");
    assert_eq!(ask(&mut peer, "/features/note").0, 200, "what was there is there");
    let row = json!([{ "tailnum": "N1", "event_timestamp": "2013-01-01", "seats": 55 }]);
    assert_eq!(peer.post("/v1/write/plane", &row).status, 200);
    assert_eq!(ask(&mut peer, "/features/online/N1?features=plane:seats").1["features"], json!({ "seats": 55 }));
    let retyped = json!({ "views": { "plane": { "entities": ["plane"], "features": { "seats": "string" } } } });
    let answer = peer.post("/features", &retyped);
    assert!(answer.status == 400 || answer.status == 409, "{answer:?}");
    assert_eq!(ask(&mut peer, "/features/seats").1["feature"]["dtype"], "int32");

    let options = HttpOptions { managed_by: Some("asof.toml".to_owned()), ..options() };
    let managed = HttpServer::start((*store).clone(), options).unwrap();
    let answer = Peer::new(&managed).post("/features", &body);
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.json()["detail"].as_str().unwrap().contains("asof.toml"));
}
