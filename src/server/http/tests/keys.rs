//! Keys: what each route takes, of whom.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Answer, HttpOptions, HttpServer, Peer, options};
use crate::ApplyOptions;
use crate::api_key::Scope;
use crate::definition::{Definitions, FeatureService, FeatureView, Selection};
use crate::server::auth::{Authenticator, KeyRing};
use crate::server::http::{RunningHttp, routes};
use crate::store::{Row, Store, TemporaryStore};
use crate::value::DataType;

/// Two views, `a` and `b`, each with a row, a service of each, and a server that asks for keys once there are some.
fn serve_with_keys() -> (TemporaryStore, RunningHttp) {
    let store = Store::builder().background(false).temporary().unwrap();
    let view = |name: &str| FeatureView::new(name).entity("thing").feature("x", DataType::Int64);
    let mut definitions =
        Definitions::new("p").entity("thing", [("id", DataType::Int64)]).view(view("a")).view(view("b"));
    for name in ["a", "b"] {
        let all = Selection {
            view: name.parse().unwrap(),
            alias: None,
            join_keys: Default::default(),
            features: vec!["x".to_owned()],
        };
        let service = FeatureService { features: vec![all], ..FeatureService::default() };
        definitions.services.insert(format!("of_{name}"), service);
    }
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    for (view, x) in [("a", 111_111_i64), ("b", 222_222)] {
        store.write_rows(view, [Row::new().at(store.now()).set("id", 1_i64).set("x", x)]).unwrap();
    }
    store.seal().unwrap();
    store.snapshot("then").unwrap();
    let keys = Arc::new(KeyRing::new(store.key_records().unwrap()));
    let options = HttpOptions { authenticator: Authenticator::Keys(keys), ..options() };
    let server = HttpServer::start((*store).clone(), options).unwrap();
    (store, server)
}

fn ask_as(server: &RunningHttp, key: &str, method: &str, path: &str, body: &Json) -> Answer {
    let header = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Peer::new(server).ask(method, path, &header, &body)
}

#[test]
fn a_route_opens_to_keys_of_its_scope_and_its_views() {
    let (store, server) = serve_with_keys();
    let body = json!({ "features": ["a:x", "b:x"], "entities": { "id": [1] }, "full_feature_names": true });
    let ask = |key: &str| ask_as(&server, key, "POST", "/get-online-features", &body);
    assert_eq!(ask("").status, 200, "a store that never had a key asks nobody");
    let key = |name: &str, scope, views: &[&str]| store.create_key(name, &[scope], views).unwrap().0.text().to_owned();
    let (reader, writer) = (key("reader", Scope::Read, &[]), key("writer", Scope::Write, &[]));
    let (of_a, admin) = (key("of_a", Scope::Read, &["a"]), key("admin", Scope::Admin, &[]));
    for (key, status) in [("", 401), ("wrong", 401), (&*writer, 403), (&*of_a, 403), (&*reader, 200), (&*admin, 200)] {
        let answer = ask(key);
        assert_eq!(answer.status, status, "{key}: {answer:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
    }
    store.revoke_key("reader").unwrap();
    assert_eq!(ask(&reader).status, 401);
    assert_eq!(Peer::new(&server).ask("GET", "/health", "", "").status, 200, "alive for everybody");
    assert_eq!(Peer::new(&server).ask("GET", "/nothing", "", "").status, 404);
}

/// A request of every route that is about view `a`, or about all views.
fn requests() -> Vec<(&'static str, &'static str, String, Json)> {
    let df = json!({ "id": [1], "x": [1], "event_timestamp": ["2026-01-01T00:00:00Z"] });
    let entities = json!({ "id": [1] });
    let spine = json!([{ "id": 1, "event_timestamp": "2026-01-01T00:00:00Z" }]);
    vec![
        ("/health", "GET", "/health".to_owned(), Json::Null),
        ("/ready", "GET", "/ready".to_owned(), Json::Null),
        ("/metrics", "GET", "/metrics".to_owned(), Json::Null),
        ("/openapi.json", "GET", "/openapi.json".to_owned(), Json::Null),
        ("/docs", "GET", "/docs".to_owned(), Json::Null),
        (
            "/get-online-features",
            "POST",
            "/get-online-features".to_owned(),
            json!({ "features": ["a:x"], "entities": entities }),
        ),
        ("/push", "POST", "/push".to_owned(), json!({ "push_source_name": "a", "df": df, "to": "online" })),
        (
            "/write-to-online-store",
            "POST",
            "/write-to-online-store".to_owned(),
            json!({ "feature_view_name": "a", "df": df }),
        ),
        (
            "/materialize",
            "POST",
            "/materialize".to_owned(),
            json!({ "disable_event_timestamp": true, "feature_views": ["a"] }),
        ),
        (
            "/materialize-incremental",
            "POST",
            "/materialize-incremental".to_owned(),
            json!({ "end_ts": "2026-01-01T00:00:00", "feature_views": ["a"] }),
        ),
        (
            "/get-features",
            "POST",
            "/get-features".to_owned(),
            json!({ "feature_refs": ["a:x"], "entity_rows": [{ "id": 1 }] }),
        ),
        ("/feature-views", "GET", "/feature-views".to_owned(), Json::Null),
        ("/features", "POST", "/features".to_owned(), json!({ "views": {} })),
        ("/features/{name}", "GET", "/features/a:x".to_owned(), Json::Null),
        ("/features/{name}/lineage", "GET", "/features/a:x/lineage".to_owned(), Json::Null),
        ("/features/online/{entity_id}", "GET", "/features/online/1?service=of_a".to_owned(), Json::Null),
        (
            "/v1/get",
            "POST",
            "/v1/get".to_owned(),
            json!({ "service": "of_a", "entities": entities, "known_at": "then" }),
        ),
        (
            "/features/batch",
            "POST",
            "/features/batch".to_owned(),
            json!({ "feature_service": "of_a", "entity_rows": spine }),
        ),
        ("/v1/history", "POST", "/v1/history".to_owned(), json!({ "features": ["a:x"], "spine": spine })),
        (
            "/v1/write/{view}",
            "POST",
            "/v1/write/a".to_owned(),
            json!([{ "id": 1, "x": 1, "event_timestamp": "2026-01-01T00:00:00Z" }]),
        ),
        ("/v1/views", "GET", "/v1/views".to_owned(), Json::Null),
        ("/v1/views/{view}", "GET", "/v1/views/a".to_owned(), Json::Null),
        ("/v1/services", "GET", "/v1/services".to_owned(), Json::Null),
        ("/v1/entities", "GET", "/v1/entities".to_owned(), Json::Null),
        ("/v1/runs", "GET", "/v1/runs".to_owned(), Json::Null),
        ("/v1/stats", "GET", "/v1/stats".to_owned(), Json::Null),
        ("/v1/snapshots", "GET", "/v1/snapshots".to_owned(), Json::Null),
        ("/v1/snapshots/{name}", "POST", "/v1/snapshots/of_now".to_owned(), Json::Null),
        ("/v1/explain", "GET", "/v1/explain?feature=a:x&id=1".to_owned(), Json::Null),
    ]
}

/// Lists: who may read some views gets those, and not a word of the others.
const LISTS: [&str; 5] = ["/feature-views", "/v1/views", "/v1/services", "/v1/entities", "/v1/runs"];

#[test]
fn every_route_opens_to_its_scope_and_view_and_to_nobody_else() {
    let (store, server) = serve_with_keys();
    let key = |name: &str, scope, views: &[&str]| store.create_key(name, &[scope], views).unwrap().0.text().to_owned();
    let keys: Vec<(Scope, &str, String)> = Scope::ALL
        .into_iter()
        .flat_map(|scope| [(scope, ""), (scope, "a"), (scope, "b")])
        // Admin is over all views.
        .filter(|(scope, view)| *scope != Scope::Admin || view.is_empty())
        .map(|(scope, view)| {
            let views: &[&str] = if view.is_empty() { &[] } else { &[view] };
            (scope, view, key(&format!("{}_{view}", scope.name()), scope, views))
        })
        .collect();
    let requests = requests();
    let routes = routes::scopes();
    let paths: Vec<&str> = requests.iter().map(|(route, ..)| *route).collect();
    assert_eq!(routes.iter().map(|(path, _)| *path).collect::<Vec<_>>(), paths, "a request of each route");
    for ((route, scope), (_, method, path, body)) in routes.into_iter().zip(&requests) {
        let anybody = ask_as(&server, "", method, path, body).status;
        assert_eq!(anybody, if scope.is_none() { 200 } else { 401 }, "{path} to anybody");
        assert_eq!(ask_as(&server, "asof_wrong", method, path, body).status, anybody, "{path} to a wrong key");
        let Some(scope) = scope else { continue };
        for (of, view, key) in &keys {
            let answer = ask_as(&server, key, method, path, body);
            let has_scope = *of == scope || *of == Scope::Admin;
            let is_of_all = ["/metrics", "/v1/stats", "/v1/snapshots"].contains(&route);
            let opens = has_scope && (view.is_empty() || LISTS.contains(&route) || (*view == "a" && !is_of_all));
            let place = format!("{path} to {} of {view:?}: {answer:?}", of.name());
            // The name is taken by then.
            let opened = if route == "/v1/snapshots/{name}" && answer.status == 409 { 409 } else { 200 };
            assert_eq!(answer.status, if opens { opened } else { 403 }, "{place}");
            if *view == "b" {
                let said = answer.body.utf8_chunks().map(|chunk| chunk.valid()).collect::<String>();
                for word in ["111111", "\"of_a\"", "\"a\""] {
                    assert!(!said.contains(word), "{word} in {place}");
                }
            }
        }
    }
}

/// Errors listed the names of all views, services and snapshots to keys of one view.
#[test]
fn a_key_of_some_views_is_not_told_what_else_there_is() {
    let store = Store::builder().background(false).temporary().unwrap();
    let view = |name: &str, feature: &str| FeatureView::new(name).entity("thing").feature(feature, DataType::Int64);
    let mut definitions = Definitions::new("p").entity("thing", [("id", DataType::Int64)]);
    definitions = definitions.view(view("a", "x")).view(view("secret", "hidden"));
    let all = Selection {
        view: "secret".parse().unwrap(),
        alias: None,
        join_keys: Default::default(),
        features: vec!["hidden".to_owned()],
    };
    let service = FeatureService { features: vec![all], ..FeatureService::default() };
    definitions.services.insert("of_hidden".to_owned(), service);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    store.write_rows("a", [Row::new().at(store.now()).set("id", 1_i64).set("x", 1_i64)]).unwrap();
    store.snapshot("hidden_day").unwrap();
    let keys = Arc::new(KeyRing::new(store.key_records().unwrap()));
    let options = HttpOptions { authenticator: Authenticator::Keys(keys), ..options() };
    let server = HttpServer::start((*store).clone(), options).unwrap();
    let reader = store.create_key("reader", &[Scope::Read, Scope::Write], &["a"]).unwrap().0.text().to_owned();
    let df = json!({ "id": [1], "x": [1], "event_timestamp": ["2026-01-01T00:00:00Z"] });
    let spine = json!([{ "id": 1, "event_timestamp": "2026-01-01T00:00:00Z" }]);
    // What the request itself does not say, no answer says.
    let mut asked: Vec<(String, Json, &str)> = Vec::new();
    for features in [json!(["secre:x"]), json!(["secret:hidde"]), json!(["secret:*", "secret:*"]), json!(["a:hidde"])] {
        let tells = if features.to_string().contains("secret") { "hidden" } else { "secret" };
        for (path, body) in [
            ("/get-online-features", json!({ "features": features, "entities": { "id": [1] } })),
            ("/v1/get", json!({ "features": features, "entities": [{ "id": 1 }] })),
            ("/v1/history", json!({ "features": features, "spine": spine })),
            ("/get-features", json!({ "feature_refs": features, "entity_rows": [{ "id": 1 }] })),
            ("/features/batch", json!({ "feature_refs": features, "entity_rows": spine })),
        ] {
            asked.push((path.to_owned(), body, tells));
        }
        let feature = features[0].as_str().unwrap();
        asked.push((format!("/features/online/1?features={feature}"), Json::Null, tells));
        asked.push((format!("/v1/explain?id=1&feature={feature}"), Json::Null, tells));
        asked.push((format!("/features/{feature}"), Json::Null, tells));
        asked.push((format!("/features/{feature}/lineage"), Json::Null, tells));
    }
    for service in ["of_hidde", "of_hidden"] {
        for (path, body) in [
            ("/get-online-features", json!({ "feature_service": service, "entities": { "id": [1] } })),
            ("/v1/get", json!({ "service": service, "entities": [{ "id": 1 }] })),
            ("/v1/history", json!({ "service": service, "spine": spine })),
            ("/get-features", json!({ "feature_service": service, "entity_rows": [{ "id": 1 }] })),
        ] {
            asked.push((path.to_owned(), body, "secret"));
        }
    }
    let of_a = |known_at: &str| json!({ "features": ["a:x"], "entities": [{ "id": 1 }], "known_at": known_at });
    asked.push(("/v1/get".to_owned(), of_a("hidden_da"), "hidden_day"));
    asked.push(("/v1/explain?id=1&feature=a:x&known_at=hidden_da".to_owned(), Json::Null, "hidden_day"));
    asked.push(("/v1/views/secre".to_owned(), Json::Null, "secret"));
    asked.push(("/v1/write/secre".to_owned(), json!([]), "secret"));
    asked.push(("/features/hidde".to_owned(), Json::Null, "hidden"));
    asked.push(("/write-to-online-store".to_owned(), json!({ "feature_view_name": "secre", "df": df }), "secret"));
    asked.push(("/push".to_owned(), json!({ "push_source_name": "secre", "df": df, "to": "online" }), "secret"));
    for (path, body, tells) in asked {
        let answer = ask_as(&server, &reader, if body.is_null() { "GET" } else { "POST" }, &path, &body);
        let said = String::from_utf8_lossy(&answer.body);
        assert!((400..500).contains(&answer.status), "{path} {body}: {said}");
        assert!(!said.contains(tells), "{path} {body}: {said}");
    }
    assert_eq!(ask_as(&server, &reader, "POST", "/v1/get", &of_a("hidden_day")).status, 200);
}

#[test]
fn a_key_that_is_revoked_while_a_body_is_on_its_way_opens_nothing() {
    let (store, server) = serve_with_keys();
    let rows = json!([{ "id": 9, "x": 9, "event_timestamp": "2026-01-01T00:00:00Z" }]).to_string();
    let before = store.summary().unwrap().rows;
    let line = &rows[1..rows.len() - 1];
    for (media, body) in [("application/json", rows.as_str()), ("application/x-ndjson", line)] {
        let key = store.create_key("writer", &[Scope::Write], &[]).unwrap().0.text().to_owned();
        let mut peer = Peer::new(&server);
        let length = body.len();
        let head = format!(
            "POST /v1/write/a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: {media}\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        peer.send(head.as_bytes());
        // The body is asked for once the head was looked at.
        assert_eq!(peer.answer().status, 100);
        store.revoke_key("writer").unwrap();
        peer.send(body.as_bytes());
        assert_eq!(peer.answer().status, 401, "{media}");
    }
    assert_eq!(store.summary().unwrap().rows, before);
}

#[test]
fn pages_of_other_sites_get_nothing_from_a_server_that_asks_for_no_key() {
    let (store, server) = serve_with_keys();
    let ask = |headers: &[(&str, &str)]| Peer::new(&server).ask_with("GET", "/v1/views", headers, b"").status;
    assert_eq!(ask(&[("Origin", "https://example.com")]), 403);
    assert_eq!(ask(&[]), 200);
    let key = store.create_key("reader", &[Scope::Read], &[]).unwrap().0.text().to_owned();
    let bearer = format!("Bearer {key}");
    assert_eq!(
        ask(&[("Origin", "https://example.com"), ("Authorization", &bearer)]),
        200,
        "who shows a key may be anywhere"
    );
}

#[test]
fn a_key_that_asks_too_often_is_told_when_to_ask_again() {
    let store = Store::builder().background(false).temporary().unwrap();
    let keys = Arc::new(KeyRing::new(store.key_records().unwrap()));
    let options = HttpOptions { authenticator: Authenticator::Keys(keys), requests_per_second: 1, ..options() };
    let server = HttpServer::start((*store).clone(), options).unwrap();
    let ask = |key: &str| ask_as(&server, key, "GET", "/v1/views", &Json::Null);
    assert!((0..10).all(|_| ask("").status == 200), "who needs no key is not limited");
    let [one, two] =
        ["one", "two"].map(|name| store.create_key(name, &[Scope::Read], &[]).unwrap().0.text().to_owned());
    assert_eq!(ask(&one).status, 200);
    let answer = ask(&one);
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{answer:?}");
    assert_eq!(ask(&two).status, 200, "each has its own");
}
