//! What is sent, as this version of the protocol says it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Call, PROTOCOL_VERSION};
use crate::api_key::Scope;
use crate::definition::{
    Definitions, Entity, EventTime, Feature, FeatureService, FeatureView, Rules, Selection, ServeSettings, Source,
    StoreSettings, ViewKind, ViewRef,
};
use crate::engine::summary::KeySummary;
use crate::format::accept::Refusal;
use crate::registry::records::{KeyRecord, SnapshotRecord};
use crate::request::{BadRows, BulkOptions, DeleteOptions, WriteOptions};
use crate::store::{DeleteReport, FileReport, ImportReport, WriteReport};
use crate::time::Timestamp;
use crate::value::DataType;

fn text(text: &str) -> String {
    text.to_owned()
}

fn pair<T>(name: &str, value: T) -> BTreeMap<String, T> {
    BTreeMap::from([(text(name), value)])
}

/// Every field of everything there is to define.
fn definitions() -> Definitions {
    let rules = Rules { not_null: true, min: Some(text("1")), max: Some(text("2")), one_of: vec![text("1")] };
    let feature = Feature {
        name: text("x"),
        dtype: DataType::Int64,
        description: text("d"),
        rules,
        tags: pair("tier", text("gold")),
    };
    let source = Source {
        path: Some("v.csv".into()),
        event_timestamp: EventTime::Constant(7),
        created_timestamp: Some(text("created")),
        rename: pair("X", text("x")),
        push: Some(text("p")),
        delimiter: Some(';'),
        timestamp_format: Some(text("%Y")),
    };
    let view = FeatureView {
        name: text("v"),
        version: 2,
        kind: ViewKind::Event,
        entities: vec![text("thing")],
        join_keys: vec![(text("id"), DataType::Int64)],
        features: vec![feature],
        ttl_us: 1,
        retention_us: 2,
        freshness_sla_us: 3,
        event_id: vec![(text("event"), DataType::String)],
        redis_keys: vec!["v:{id}:x".parse().unwrap()],
        source,
        owner: text("o"),
        description: text("d"),
        tags: pair("tier", text("gold")),
    };
    let selection = Selection {
        view: ViewRef { name: text("v"), version: Some(2) },
        alias: Some(text("w")),
        join_keys: pair("id", text("key")),
        features: vec![text("x")],
    };
    let service = FeatureService {
        features: vec![selection],
        description: text("d"),
        owner: text("o"),
        tags: pair("tier", text("gold")),
    };
    let entity = Entity {
        join_keys: vec![(text("id"), DataType::Int64)],
        description: text("d"),
        tags: pair("tier", text("gold")),
    };
    Definitions {
        project: text("p"),
        store: StoreSettings::default(),
        serve: ServeSettings::default(),
        entities: pair("thing", entity),
        views: vec![view],
        services: pair("s", service),
    }
}

/// The definitions as they are sent, and as the registry has them.
fn definitions_sent() -> Value {
    let tags = json!({"tier": "gold"});
    json!({
        "project": "p",
        "entities": {"thing": {"join_keys": [["id", "int64"]], "description": "d", "tags": tags}},
        "views": [{
            "name": "v", "version": 2, "kind": "event", "entities": ["thing"], "join_keys": [["id", "int64"]],
            "features": [{
                "name": "x", "dtype": "int64", "description": "d", "tags": tags,
                "rules": {"not_null": true, "min": "1", "max": "2", "one_of": ["1"]},
            }],
            "ttl_us": 1, "retention_us": 2, "freshness_sla_us": 3, "event_id": [["event", "string"]],
            "redis_keys": ["v:{id}:x"],
            "source": {
                "path": "v.csv", "event_timestamp": {"constant": 7}, "created_timestamp": "created",
                "rename": {"X": "x"}, "push": "p", "delimiter": ";", "timestamp_format": "%Y",
            },
            "owner": "o", "description": "d", "tags": tags,
        }],
        "services": {"s": {
            "features": [{"view": "v@2", "alias": "w", "join_keys": {"id": "key"}, "features": ["x"]}],
            "description": "d", "owner": "o", "tags": tags,
        }},
    })
}

fn key_record() -> KeyRecord {
    KeyRecord {
        id: text("i"),
        name: text("n"),
        sha256: text("d"),
        scopes: vec![Scope::Read, Scope::Admin],
        views: vec![text("v")],
        created_at_us: 1,
        revoked_at_us: Some(2),
    }
}

/// A holder that does not know a field drops it without a word. So where this test has to change, or a struct in it has got a
/// field, [`PROTOCOL_VERSION`] has to be raised with it, once
/// there is a release.
#[test]
fn what_is_sent_is_what_this_version_says() {
    assert_eq!(PROTOCOL_VERSION, 1);
    let write = WriteOptions {
        allow_future: true,
        bad_rows: BadRows::Quarantine,
        source: Some(text("s")),
        idempotency_key: Some(text("k")),
    };
    let bulk = BulkOptions { allow_future: true, bad_rows: BadRows::Fail, append: true, source: None };
    let delete = DeleteOptions { at: Some(Timestamp(7)), created: None, allow_future: true };
    let at = "1970-01-01T00:00:00.000007Z";
    let (view, digest, path) = (|| text("v"), || text("d"), || text("f"));
    for (call, expected) in [
        (
            Call::Apply { definitions: definitions(), prune: true },
            json!({"Apply": {"definitions": definitions_sent(), "prune": true}}),
        ),
        (
            Call::Write { view: view(), options: write },
            json!({"Write": {"view": "v", "options": {"allow_future": true, "bad_rows": "Quarantine", "source": "s", "idempotency_key": "k"}}}),
        ),
        (
            Call::Delete { view: view(), key: vec![7], options: delete },
            json!({"Delete": {"view": "v", "key": [7], "options": {"at": at, "created": null, "allow_future": true}}}),
        ),
        (Call::Snapshot { name: text("n") }, json!({"Snapshot": {"name": "n"}})),
        (
            Call::AddKey { record: key_record() },
            json!({"AddKey": {"record": {
                "id": "i", "name": "n", "sha256": "d", "scopes": ["read", "admin"], "views": ["v"], "created_at_us": 1,
                "revoked_at_us": 2,
            }}}),
        ),
        (Call::RevokeKey { key: text("n") }, json!({"RevokeKey": {"key": "n"}})),
        (
            Call::ImportVersion { view: view(), from_version: 1 },
            json!({"ImportVersion": {"view": "v", "from_version": 1}}),
        ),
        (Call::Compact, json!("Compact")),
        (
            Call::Import { view: view(), options: bulk },
            json!({"Import": {
                "view": "v", "options": {"allow_future": true, "bad_rows": "Fail", "append": true, "source": null},
            }}),
        ),
        (
            Call::WasImported { digest: digest(), without: vec![text("x")] },
            json!({"WasImported": {"digest": "d", "without": ["x"]}}),
        ),
        (Call::BeginFile { path: path() }, json!({"BeginFile": {"path": "f"}})),
        (Call::EndFile { digest: digest(), rows_unread: 7 }, json!({"EndFile": {"digest": "d", "rows_unread": 7}})),
        (Call::SkipFile { path: path() }, json!({"SkipFile": {"path": "f"}})),
        (Call::QuarantineFile, json!("QuarantineFile")),
        (Call::Batch, json!("Batch")),
        (Call::Commit, json!("Commit")),
    ] {
        assert_eq!(serde_json::to_value(&call).unwrap(), expected);
    }
    let refused = || vec![Refusal { row: 7, column: Some(text("x")), reason: text("r") }];
    let refused_sent = json!([{"row": 7, "column": "x", "reason": "r"}]);
    let report =
        WriteReport { rows: 1, first_seq: 2, ignored: vec![text("i")], refused: refused(), was_written_before: true };
    let expected =
        json!({"rows": 1, "first_seq": 2, "ignored": ["i"], "refused": refused_sent, "was_written_before": true});
    assert_eq!(serde_json::to_value(report).unwrap(), expected);
    let report = DeleteReport { seq: 1, created: Some(Timestamp(7)) };
    assert_eq!(serde_json::to_value(report).unwrap(), json!({"seq": 1, "created": at}));
    let record = SnapshotRecord { name: text("n"), seq: 1, ingested_at_us: 2, created_at_us: 3 };
    let expected = json!({"name": "n", "seq": 1, "ingested_at_us": 2, "created_at_us": 3});
    assert_eq!(serde_json::to_value(record).unwrap(), expected);
    let expected = json!({"id": "i", "name": "n", "scopes": ["read", "admin"], "views": ["v"],
        "created_at": "1970-01-01T00:00:00.000001Z", "revoked_at": "1970-01-01T00:00:00.000002Z"});
    assert_eq!(serde_json::to_value(KeySummary::from(&key_record())).unwrap(), expected);
    let file = FileReport {
        path: path(),
        was_imported: false,
        rows_read: 1,
        rows_written: 2,
        rows_skipped: 3,
        rows_refused: 4,
    };
    let report = ImportReport {
        rows_read: 1,
        rows_written: 2,
        rows_skipped: 3,
        rows_refused: 4,
        seq: Some((5, 6)),
        ignored: vec![],
        ignored_more: true,
        refused: refused(),
        files: vec![file],
        quarantine: Some("q".into()),
    };
    let counts = |mut value: Value| {
        let counts = json!({"rows_read": 1, "rows_written": 2, "rows_skipped": 3, "rows_refused": 4});
        value.as_object_mut().unwrap().extend(counts.as_object().unwrap().clone());
        value
    };
    let file = counts(json!({"path": "f", "was_imported": false}));
    let expected = counts(json!({"seq": [5, 6], "ignored": [], "ignored_more": true, "refused": refused_sent,
        "files": [file], "quarantine": "q"}));
    assert_eq!(serde_json::to_value(report).unwrap(), expected);
}
