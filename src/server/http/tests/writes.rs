//! Writes, and what goes through files.

use serde_json::{Value as Json, json};

use super::own::store;
use super::{Peer, serve, spool_of};
use crate::definition::{Definitions, FeatureView};
use crate::value::DataType;
use crate::{ApplyOptions, Store};

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

/// Read as JSON it would be other digits, in another order.
#[test]
fn a_document_is_kept_as_it_is_written() {
    let store = Store::temporary().unwrap();
    let view = FeatureView::new("doc").entity("thing").feature("d", DataType::Json);
    let view = view.feature("exact", DataType::Decimal { precision: 38, scale: 2 });
    let definitions = Definitions::new("docs").entity("thing", [("id", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let (document, number) =
        (r#"{"z":1.10,"a":[123456789012345678901234567890]}"#, "123456789012345678901234567890.12");
    let row = |id: &str| format!(r#"{{"id":{id},"event_timestamp":"2013-01-05","d":{document},"exact":{number}}}"#);
    for (id, body) in [("7", format!("[{}]", row("7"))), ("8", format!(" {{\"rows\": [{}]}}", row("\"8\"")))] {
        let written = peer.ask("POST", "/v1/write/doc", "", &body);
        assert_eq!((written.status, &written.json()["rows"]), (200, &json!(1)), "{written:?}");
        let body = format!(r#"{{"features":["doc:d","doc:exact"],"entities":[{{"id":{id}}}]}}"#);
        let answer = String::from_utf8(peer.ask("POST", "/v1/get", "", &body).body).unwrap();
        assert!(answer.contains(document) && answer.contains(number), "{answer}");
    }
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
            let path = format!("/v1/write/weather?import=true{query}");
            let answer = peer.ask_with("POST", &path, &[("content-type", media)], body);
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
        assert_eq!(send("&append=true")["rows"], json!(rows));
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

#[test]
fn requests_that_keep_files_are_so_many_and_leave_none() {
    let store = store();
    let spool_folder = spool_of(&store);
    std::fs::create_dir_all(&spool_folder).unwrap();
    // Of processes that were killed, long ago and just now, of one that is alive, of one that has just made it, and of somebody else.
    let young = &*format!("asof-http-{}-999999999", std::process::id());
    let (dead, restarted, alive, other) = ("asof-http-4194999-0", "asof-http-4194999-1", "asof-http-1-0", "asof-0");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3_600);
    let folders = [dead, alive, young, other, restarted].map(|name| {
        std::fs::create_dir(spool_folder.join(name)).unwrap();
        let folder = std::fs::File::open(spool_folder.join(name)).unwrap();
        if name != young && name != restarted {
            folder.set_modified(long_ago).unwrap();
        }
        folder
    });
    folders[1].lock().unwrap();
    let options = super::HttpOptions { spools_max: 1, spool_folder: spool_folder.clone(), ..super::options() };
    let server = super::HttpServer::start((*store).clone(), options).unwrap();
    let is_there = [dead, alive, young, other, restarted].map(|name| spool_folder.join(name).exists());
    assert_eq!(is_there, [false, true, true, true, false]);
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
    assert_eq!(std::fs::read_dir(spool_folder).unwrap().count(), 3);
}

#[test]
fn json_lines_and_arrow_go_into_the_log_unless_they_are_to_be_imported() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let lines = "{\"origin\":\"LGA\",\"event_timestamp\":\"2013-01-05\",\"temp\":1,\"humid\":2}\n{\"origin\":\"EWR\",\"event_timestamp\":\"2013-01-05\"}\n";
    let before = store.summary().unwrap();
    let media = ("content-type", "application/x-ndjson");
    let answer = peer.ask_with("POST", "/v1/write/weather?source=hourly", &[media], lines.as_bytes()).json();
    assert_eq!((&answer["rows"], &answer["ignored"]), (&json!(2), &json!(["humid"])), "{answer}");
    assert_eq!(answer["first_seq"], json!(before.seq + 1));
    let after = store.summary().unwrap();
    assert_eq!(after.rows_in_log, before.rows_in_log + 2, "not in a run of their own");
    let told = peer.ask("GET", "/v1/explain?feature=weather:temp&origin=LGA&at=2013-01-05T01:00:00Z", "", "").json();
    assert_eq!(told["row"]["provenance"]["source"], json!("hourly"));
    for (query, says) in [("?append=true", "append is of imports"), ("?bad_rows=quarantine", "import=true")] {
        let refused = peer.ask_with("POST", &format!("/v1/write/weather{query}"), &[media], lines.as_bytes());
        assert!(refused.status == 400 && String::from_utf8_lossy(&refused.body).contains(says), "{refused:?}");
    }
    let bad = b"{\"origin\":\"LGA\",\"event_timestamp\":\"2013-01-06\",\"temp\":1}\n{\"origin\":\"LGA\",\"event_timestamp\":\"x\"}\n";
    let refused = peer.ask_with("POST", "/v1/write/weather", &[media], bad);
    let said = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(refused.status == 400 && said.contains("the body: line 2") && !said.contains("asof-http"), "{said}");
    assert_eq!(store.summary().unwrap().rows, after.rows, "all of them or none");
    let import =
        peer.ask_with("POST", "/v1/write/weather?import=true", &[media], lines.replace("2013", "2014").as_bytes());
    assert_eq!(import.json()["rows"], json!(2));
    let told = peer.ask("GET", "/v1/explain?feature=weather:temp&origin=LGA&at=2014-01-05T01:00:00Z", "", "").json();
    assert_eq!(told["row"]["provenance"]["by"], json!("POST /v1/write/weather@1"), "{told}");
}

#[test]
fn a_write_with_an_idempotency_key_is_done_once() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let rows = |temp: i32| json!([{ "origin": "LGA", "event_timestamp": "2013-01-05", "temp": temp }]).to_string();
    let mut send = |key: &str, body: &str| {
        peer.ask_with("POST", "/v1/write/weather", &[("idempotency-key", key)], body.as_bytes())
    };
    let first = send("a", &rows(1)).json();
    assert_eq!((&first["rows"], &first["was_written_before"]), (&json!(1), &json!(false)));
    let count = store.summary().unwrap().rows;
    let again = send("a", &rows(1)).json();
    assert_eq!(
        (&again["rows"], &again["first_seq"], &again["was_written_before"]),
        (&json!(1), &first["first_seq"], &json!(true))
    );
    assert_eq!(store.summary().unwrap().rows, count);
    let others = send("a", &rows(2));
    assert_eq!((others.status, others.json()["kind"].as_str()), (409, Some("refused")), "{others:?}");
    assert_eq!(send("b", &rows(1)).json()["was_written_before"], json!(false));
    assert_eq!((send("", &rows(1)).status, send(&"k".repeat(201), &rows(1)).status), (400, 400));
    let lines = rows(3).trim_matches(['[', ']']).to_owned();
    let mut stream = |key: &str| {
        let headers = [("idempotency-key", key), ("content-type", "application/x-ndjson")];
        peer.ask_with("POST", "/v1/write/weather", &headers, lines.as_bytes()).json()
    };
    assert_eq!(stream("c")["was_written_before"], json!(false));
    assert_eq!(stream("c")["was_written_before"], json!(true));
    // A view of its own: the key says nothing there.
    let airport = json!([{ "origin": "LGA", "event_timestamp": "2013-01-05", "lat": 1 }]).to_string();
    let other = peer.ask_with("POST", "/v1/write/airport", &[("idempotency-key", "a")], airport.as_bytes());
    assert_eq!(other.json()["was_written_before"], json!(false));
}
