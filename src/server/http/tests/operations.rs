//! What those who run the server ask of it.

use serde_json::json;

use super::own::store;
use super::{Peer, serve};

#[test]
fn a_server_is_ready_as_long_as_the_log_takes_writes() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    assert_eq!(peer.ask("GET", "/ready", "", "").json(), json!({ "status": "ready" }));
    store.close().unwrap();
    let answer = peer.ask("GET", "/ready", "", "");
    assert_eq!((answer.status, answer.json()["kind"].as_str()), (503, Some("unavailable")));
    assert_eq!(peer.ask("GET", "/health", "", "").status, 200, "alive");
}

#[test]
fn metrics_count_what_was_asked_and_what_was_not_there() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let entities = json!([{ "origin": "JFK" }, { "origin": "X" }]);
    for features in [json!(["weather:temp", "airport:lat"]), json!(["airport:lat"]), json!(["no:such"])] {
        peer.post("/v1/get", &json!({ "features": features, "entities": entities }));
    }
    let columns = json!({ "features": ["airport:lat"], "entities": { "origin": ["JFK"] } });
    assert_eq!(peer.post("/get-online-features", &columns).status, 200);
    let answer = peer.ask("GET", "/metrics", "", "");
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"), "{answer:?}");
    let text = String::from_utf8(answer.body).unwrap();
    let value = |series: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} in {text}")).parse::<f64>().unwrap()
    };
    for (series, wanted) in [
        ("asof_http_requests_total{path=\"/v1/get\",status=\"200\"}", 2.0),
        ("asof_http_requests_total{path=\"/v1/get\",status=\"404\"}", 1.0),
        ("asof_http_requests_total{path=\"/v1/history\",status=\"200\"}", 0.0),
        ("asof_http_request_duration_seconds_count{path=\"/v1/get\"}", 3.0),
        ("asof_http_request_duration_seconds_bucket{le=\"+Inf\",path=\"/v1/get\"}", 3.0),
        ("asof_http_connections", 1.0),
        ("asof_feature_values_total{view=\"airport\"}", 5.0),
        ("asof_feature_values_missing_total{view=\"airport\"}", 2.0),
        ("feature_missing_rate{view=\"airport\"}", 0.4),
        // Older than the view's TTL, or never there.
        ("feature_missing_rate{view=\"weather\"}", 1.0),
        ("asof_view_rows{view=\"weather\"}", 3.0),
        ("asof_rows", 5.0),
        ("asof_seq", store.summary().unwrap().seq as f64),
        ("asof_writable", 1.0),
        ("asof_commit_duration_seconds_count", 5.0),
    ] {
        assert_eq!(value(series), wanted, "{series} in {text}");
    }
    let age = (store.now().0 - "2013-01-02".parse::<crate::time::Timestamp>().unwrap().0) as f64 / 1e6;
    assert!((value("feature_freshness{view=\"weather\"}") - age).abs() < 60.0);
    assert!(value("asof_commit_duration_seconds_sum") > 0.0);
    assert!(value("asof_log_bytes") > 0.0);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn every_answer_has_the_id_of_its_request() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let mut id = |path: &str, given: &str| {
        let header = if given.is_empty() { String::new() } else { format!("X-Request-Id: {given}\r\n") };
        peer.ask("GET", path, &header, "").header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id("/health", "abc-1"), "abc-1");
    assert_eq!(id("/nowhere", "abc-2"), "abc-2");
    let (one, two) = (id("/v1/views", ""), id("/health", "not plain"));
    assert!(one != two && two != "not plain" && one.len() > 16, "{one} {two}");
}
