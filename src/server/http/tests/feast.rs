//! Requests that were sent to `feast serve` 0.67, and what it answered: this server answers the same, but where the head of
//! [`super::super::feast`] says otherwise.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Answer, HttpOptions, HttpServer, PATIENCE, Peer, options, serve};
use crate::definition::{Definitions, FeatureService, FeatureView, Selection};
use crate::store::{Row, Store, TemporaryStore};
use crate::time::ManualClock;
use crate::value::{DataType, Value};
use crate::{ApplyOptions, time::Timestamp};

/// The store that Feast had: views and rows as far as the recorded answers tell of them.
fn store() -> TemporaryStore {
    store_at("2026-11-21T02:25:00Z")
}

fn store_at(now: &str) -> TemporaryStore {
    let now: Timestamp = now.parse().unwrap();
    let store = Store::builder().background(false).clock(Arc::new(ManualClock::new(now))).temporary().unwrap();
    let float = DataType::Float64;
    let driver = |name: &str, push: &str| {
        let mut view = FeatureView::new(name);
        view.source.push = Some(push.to_owned());
        view.source.created_timestamp = Some("created".to_owned());
        view.entity("driver")
            .feature("conv_rate", float.clone())
            .feature("acc_rate", float.clone())
            .feature("avg_daily_trips", DataType::Int64)
            .feature("is_active", DataType::Bool)
            .feature("city", DataType::String)
            .feature("recent", DataType::List(Box::new(float.clone())))
    };
    let select = |view: &str, features: &[&str]| Selection {
        view: view.parse().unwrap(),
        alias: None,
        join_keys: BTreeMap::new(),
        features: features.iter().map(|feature| (*feature).to_owned()).collect(),
    };
    let services = [select("driver_stats", &["conv_rate", "city"]), select("pair_stats", &["trips", "last_fare"])];
    let mut definitions = Definitions::new("fsx")
        .entity("driver", [("driver_id", DataType::Int64)])
        .entity("customer", [("customer_id", DataType::String)])
        .view(driver("driver_stats", "driver_stats_push"))
        .view(driver("driver_fresh", "driver_push"))
        .view(
            FeatureView::new("old_stats")
                .entity("driver")
                .ttl(std::time::Duration::from_secs(3_600))
                .feature("old_score", float.clone()),
        )
        .view(
            FeatureView::new("pair_stats")
                .entity("driver")
                .entity("customer")
                .feature("trips", DataType::Int64)
                .feature("last_fare", float.clone()),
        )
        .view(FeatureView::new("glob_stats").feature("surge", float));
    let service = FeatureService { features: services.into(), ..FeatureService::default() };
    definitions.services.insert("svc".to_owned(), service);
    store.apply(&definitions, ApplyOptions::default()).unwrap();

    let row = |at: &str| Row::new().at(at.parse().unwrap());
    let list = |values: [f64; 3]| Value::List(values.map(Value::Float64).into());
    let one = "2026-11-21T01:00:00Z";
    let drivers = [
        (
            1001_i64,
            0.6250954866409302,
            578_i64,
            "c7",
            true,
            [0.30016628491122543, 0.8735534453962619, 0.005265304565574724],
        ),
        (1002, 0.33268144726753235, 731, "c1", false, [0.2129081949753392, 0.9154643971239083, 0.8401688171583896]),
        (1003, 0.5, 769, "c2", true, [0.25, 0.5, 0.75]),
    ];
    let drivers = drivers.map(|(id, rate, trips, city, is_active, recent)| {
        let row = row(one).set("driver_id", id).set("conv_rate", rate).set("avg_daily_trips", trips);
        row.set("city", city).set("acc_rate", Value::Null).set("is_active", is_active).set("recent", list(recent))
    });
    store.write_rows("driver_stats", drivers).unwrap();
    store
        .write_rows("old_stats", [row("2026-11-11T02:00:00Z").set("driver_id", 1001_i64).set("old_score", 1001.0)])
        .unwrap();
    let pair = row("2026-11-21T00:00:00Z").set("driver_id", 1001_i64).set("customer_id", "alice");
    store.write_rows("pair_stats", [pair.set("trips", 6_i64).set("last_fare", 143.0)]).unwrap();
    store.write_rows("glob_stats", [row(one).set("surge", 1.1)]).unwrap();
    store
}

/// What an answer says of each column, in whatever order they come.
fn columns(answer: &Json) -> BTreeMap<String, Json> {
    let names = answer["metadata"]["feature_names"].as_array().unwrap();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(names.len(), results.len());
    names.iter().map(|name| name.as_str().unwrap().to_owned()).zip(results.iter().cloned()).collect()
}

/// Recordings that need what asof does not have (functions in Python).
const OF_FUNCTIONS: [&str; 2] = ["gof_odfv", "gof_odfv_missing_request_data"];

/// Mistakes that are told as Feast tells them.
const IN_THE_SAME_WORDS: [&str; 10] = [
    "gof_bad_ref",
    "gof_collision",
    "gof_no_features",
    "gof_ragged",
    "gof_unknown_feature",
    "materialize_bad_order",
    "materialize_no_ts",
    "push_bad_to",
    "push_missing_col",
    "push_missing_ts",
];

#[test]
fn recorded_requests_are_answered_as_they_were() {
    let store = store();
    let server = serve(&store);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/http/tests/feast");
    let mut replayed = 0;
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // So that what reads a row follows what wrote it.
    files.sort_unstable();
    for file in files {
        let recorded: Json = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let name = recorded["name"].as_str().unwrap();
        if OF_FUNCTIONS.contains(&name) {
            continue;
        }
        let body = match &recorded["request"] {
            Json::Null => String::new(),
            Json::String(text) => text.clone(),
            json => json.to_string(),
        };
        let mut peer = Peer::new(&server);
        let answer = peer.ask(recorded["method"].as_str().unwrap(), recorded["path"].as_str().unwrap(), "", &body);
        compare(name, &recorded, &answer);
        replayed += 1;
    }
    assert_eq!(replayed, 52, "recordings");
}

fn compare(name: &str, recorded: &Json, answer: &Answer) {
    let expected = &recorded["response"];
    let status = recorded["status"].as_u64().unwrap();
    match (name, status) {
        (_, 200) if expected == "" => assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]), "{name}"),
        (_, 200) if expected.is_null() => assert_eq!((answer.status, answer.json()), (200, Json::Null), "{name}"),
        // A value older than its view's TTL is none.
        ("gof_ttl_expired", _) => {
            let score = &columns(&answer.json())["old_score"];
            let column = json!({ "values": [null], "statuses": ["OUTSIDE_MAX_AGE"], "event_timestamps": ["2026-11-11T02:00:00Z"] });
            assert_eq!(*score, column);
        }
        (_, 200) => {
            let (answer, expected) = (answer.json(), columns(expected));
            let answered = columns(&answer);
            assert_eq!(answered.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}");
            for (column, mut expected) in expected {
                let answered = &answered[&column];
                // What is not there is said so.
                for row in 0..expected["values"].as_array().unwrap().len() {
                    if expected["values"][row].is_null() && expected["event_timestamps"][row] == "1970-01-01T00:00:00Z"
                    {
                        expected["statuses"][row] = "NOT_FOUND".into();
                    }
                }
                assert_eq!(*answered, expected, "{name}: {column}");
            }
            assert_eq!(
                answer["metadata"]["feature_view_metadata"],
                recorded["response"]["metadata"]["feature_view_metadata"]
            );
        }
        // A mistake of the caller's: a string, as Feast's.
        (_, 500) => {
            assert_eq!(answer.status, 400, "{name}: {answer:?}");
            assert!(answer.json().is_string(), "{name}: {answer:?}");
            if IN_THE_SAME_WORDS.contains(&name) {
                assert_eq!(answer.json(), *expected, "{name}");
            }
        }
        (_, status) => {
            assert_eq!(u64::from(answer.status), status, "{name}: {answer:?}");
            if name == "bad_json" {
                assert_eq!(answer.json()["detail"][0]["loc"], expected["detail"][0]["loc"]);
                assert_eq!(answer.json()["detail"][0]["type"], expected["detail"][0]["type"]);
            } else {
                assert_eq!(answer.json(), *expected, "{name}");
            }
        }
    }
    if expected != "" {
        assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
    }
}

#[test]
fn features_come_in_the_order_of_the_request() {
    let store = store();
    let server = serve(&store);
    let features = json!(["driver_stats:recent", "glob_stats:surge", "driver_stats:city", "driver_stats:acc_rate"]);
    let answer = Peer::new(&server)
        .post("/get-online-features", &json!({ "features": features, "entities": { "driver_id": [1002, 7] } }))
        .json();
    assert_eq!(answer["metadata"]["feature_names"], json!(["driver_id", "recent", "surge", "city", "acc_rate"]));
    assert_eq!(answer["results"][2]["values"], json!([1.1, 1.1]));
    assert_eq!(answer["results"][3]["values"], json!(["c1", null]));
    // A null is there, an entity without a row is not.
    assert_eq!(answer["results"][4]["statuses"], json!(["PRESENT", "NOT_FOUND"]));
}

/// What Feast's own client sent, `RemoteOnlineStore` among it, and what it was answered.
#[test]
fn recorded_requests_of_the_remote_client_are_answered_as_they_were() {
    let store = store_at("2026-11-21T02:26:00Z");
    let bob =
        Row::new().at("2026-11-21T00:00:00Z".parse().unwrap()).set("driver_id", 1002_i64).set("customer_id", "bob");
    store.write_rows("pair_stats", [bob.set("trips", 5_i64).set("last_fare", Value::Null)]).unwrap();
    let server = serve(&store);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/http/tests/feast_remote");
    let mut names: Vec<String> = std::fs::read_dir(folder.clone())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    // What was written is read afterwards.
    names.sort_unstable_by_key(|name| (name.ends_with("_get"), name.clone()));
    assert_eq!(names.len(), 17, "recordings");
    for name in names {
        let recorded = std::fs::read(folder.join(format!("{name}.json"))).unwrap();
        let mut recorded: Json = serde_json::from_slice(&recorded).unwrap();
        let fields = recorded.as_object_mut().unwrap();
        let response = fields.remove("resp").unwrap();
        fields.insert("response".to_owned(), response);
        let (method, path) = (recorded["method"].as_str().unwrap(), recorded["path"].as_str().unwrap());
        let answer = Peer::new(&server).ask(method, path, "", &recorded["req"].to_string());
        compare(&name, &recorded, &answer);
    }
}

/// What a source has gained since is there once it was asked for.
#[test]
fn sources_of_views_are_imported_as_far_as_they_are_new() {
    let store = Store::builder().background(false).temporary().unwrap();
    let folder = store.path().with_file_name("data");
    std::fs::create_dir_all(&folder).unwrap();
    let mut view = FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64);
    view.source.path = Some("weather.csv".into());
    let pushed = FeatureView::new("pushed").entity("airport").feature("x", DataType::Int64);
    let mut outside = FeatureView::new("outside").entity("airport").feature("x", DataType::Int64);
    outside.source.path = Some("../outside.csv".into());
    let definitions = Definitions::new("fsx").entity("airport", [("origin", DataType::String)]);
    store.apply(&definitions.view(view).view(pushed).view(outside), ApplyOptions::default()).unwrap();
    std::fs::write(store.path().with_file_name("outside.csv"), "origin,event_timestamp,x\nJFK,2013-01-01,1\n").unwrap();
    let file = folder.join("weather.csv");
    let mut text = "origin,event_timestamp,temp\nJFK,2013-01-01,39\n".to_owned();
    std::fs::write(&file, &text).unwrap();
    let options = HttpOptions { source_folder: folder.clone(), import_folder: Some(folder), ..options() };
    let server = HttpServer::start((*store).clone(), options).unwrap();
    let mut peer = Peer::new(&server);
    let rows = || store.summary().unwrap().rows;
    let of_all = json!({ "end_ts": "2026-01-01T00:00:00", "feature_views": ["weather", "pushed"] });
    for (more, wanted) in [("", 1), ("", 1), ("LGA,2013-01-01,40\n", 2)] {
        text.push_str(more);
        std::fs::write(&file, &text).unwrap();
        let answer = peer.post("/materialize-incremental", &of_all);
        assert_eq!((answer.status, answer.json()), (200, Json::Null), "{answer:?}");
        assert_eq!(rows(), wanted);
    }
    text.push_str("EWR,2013-01-01,41\n");
    std::fs::write(&file, &text).unwrap();
    let body = json!({ "start_ts": "2013-01-01", "end_ts": "2026-01-01", "feature_views": ["weather"] });
    let answer = peer.post("/materialize?async=true", &body);
    assert_eq!((answer.status, answer.json()), (202, json!({ "status": "accepted", "feature_views": ["weather"] })));
    let asked = std::time::Instant::now();
    while rows() < 3 {
        assert!(asked.elapsed() < PATIENCE, "it is imported though nobody waits");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let answer =
        peer.post("/materialize-incremental", &json!({ "end_ts": "2026-01-01", "feature_views": ["outside"] }));
    assert_eq!(answer.status, 409, "{answer:?}");
    std::fs::remove_file(&file).unwrap();
    let answer = peer.post("/materialize-incremental", &of_all);
    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!(rows(), 3);
}

/// Each view is a commit of its own: the first was written, and the second refused.
#[test]
fn rows_for_several_views_are_written_to_all_of_them_or_to_none() {
    let store = Store::builder().background(false).temporary().unwrap();
    let mut definitions = Definitions::new("fsx").entity("airport", [("origin", DataType::String)]);
    for name in ["first", "second"] {
        let mut view = FeatureView::new(name).entity("airport").feature("temp", DataType::Float64);
        view.source.push = Some("weather".to_owned());
        view.features[0].rules.not_null = name == "second";
        definitions = definitions.view(view);
    }
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let server = serve(&store);
    let push = |temp: Json| {
        let df = json!({ "origin": ["JFK"], "event_timestamp": ["2013-01-01"], "temp": [temp] });
        Peer::new(&server).post("/push", &json!({ "push_source_name": "weather", "df": df, "to": "online" })).status
    };
    assert_eq!((push(Json::Null), store.summary().unwrap().rows), (400, 0));
    assert_eq!((push(json!(1.5)), store.summary().unwrap().rows), (200, 2));
}
