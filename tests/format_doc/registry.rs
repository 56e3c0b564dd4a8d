//! The registry's records: keys, and members of their JSON.

use std::collections::BTreeMap;

use asof::api_key::Scope;
use asof::definition::{Entity, EventTime, Feature, FeatureService, FeatureView, Rules, Selection, Source};
use asof::registry::records::{
    ClockRecord, CommitRecord, EntityRecord, FieldRecord, ImportRecord, KeyRecord, Meta, ProjectRecord, Record,
    RunRecord, RunSource, ServiceRecord, SnapshotRecord, SourceRecord, TruncateRecord, ViewRecord,
};
use asof::value::DataType;

use super::document::document;

/// Members of a record or an object as the document names them: each in backticks, before any bracket or semicolon.
fn assert_members(pattern: &str, record: &impl serde::Serialize) {
    let document = document();
    let start = format!("| `{pattern}` | ");
    let line = document.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{pattern}"));
    let json = serde_json::to_value(record).unwrap();
    let mut told: Vec<&str> = Vec::new();
    let mut depth = 0;
    for (i, piece) in line.split('`').enumerate() {
        if i % 2 == 1 && depth == 0 {
            told.push(piece);
        } else if i % 2 == 0 {
            depth += piece.matches('(').count();
            depth -= piece.matches(')').count();
            if piece.contains("; N is") {
                break;
            }
        }
    }
    told.sort_unstable();
    let mut found: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(told, found, "{pattern}");
}

#[test]
fn registry_records_have_the_members_that_the_document_says() {
    let run = RunRecord {
        id: 1,
        view_id: 2,
        group: 1,
        level: 0,
        source: RunSource::Seal,
        hash_lo: 0,
        hash_hi: 1,
        rows: 1,
        entities: 1,
        event_min_us: 0,
        event_max_us: 0,
        seq_min: 1,
        seq_max: 1,
        seq_base: 0,
        data_bytes: 1,
        index_bytes: 1,
        index_crc: 1,
    };
    let import = ImportRecord {
        digest: "d".into(),
        options_digest: "o".into(),
        view_id: 2,
        path: String::new(),
        rows_read: 0,
        rows_written: 0,
        rows_skipped: 0,
        rows_refused: 0,
        seq_first: 0,
        seq_last: 0,
        source_id: 0,
        at_us: 0,
    };
    let snapshot = SnapshotRecord { name: "s".into(), seq: 1, ingested_at_us: 0, created_at_us: 0 };
    let clock = ClockRecord {
        id: 3,
        file_name: String::new(),
        seq_first: 0,
        seq_last: 0,
        ingested_first_us: 0,
        ingested_last_us: 0,
    };
    let commit = CommitRecord { seq_first: 4, seq_last: 5, ingested_at_us: 0, what: String::new() };
    let source = SourceRecord { id: 6, name: String::new() };
    let truncate = TruncateRecord { view_id: 2, seq: 7, event_ts_us: 8, created_us: Some(9) };
    let api_key = KeyRecord {
        id: "0123456789ab".into(),
        name: "n".into(),
        sha256: String::new(),
        scopes: Scope::ALL.to_vec(),
        views: vec![],
        created_at_us: 0,
        revoked_at_us: Some(0),
    };
    assert_eq!(serde_json::to_value(&api_key).unwrap()["scopes"], serde_json::json!(["read", "write", "admin"]));
    assert_members("key/ID", &api_key);
    assert_eq!(api_key.key(), "key/0123456789ab");
    assert_members("meta", &Meta { has_keyspace: true, ..Meta::default() });
    assert_members("project", &ProjectRecord::default());
    assert_members("run/N", &run);
    assert_members("import/N/DIGEST-OPTIONS", &import);
    assert_members("snapshot/NAME", &snapshot);
    assert_members("clock/N", &clock);
    assert_members("commit/N", &commit);
    assert_members("source/N", &source);
    assert_members("truncate/N/SEQ", &truncate);
    let keys = [run.key(), import.key(), snapshot.key(), clock.key(), commit.key(), source.key(), truncate.key()];
    let (ten, twenty) = ("0".repeat(9), "0".repeat(19));
    assert_eq!(
        keys,
        [
            format!("run/{twenty}1"),
            format!("import/{ten}2/d-o"),
            "snapshot/s".to_owned(),
            format!("clock/{twenty}3"),
            format!("commit/{twenty}5"),
            format!("source/{ten}6"),
            format!("truncate/{ten}2/{twenty}7"),
        ]
    );
}

#[test]
fn definitions_have_the_members_that_the_document_says() {
    let tags = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
    let rules =
        Rules { not_null: true, min: Some("0".into()), max: Some("1".into()), one_of: vec!["0".into(), "1".into()] };
    let feature = Feature {
        name: "x".into(),
        dtype: DataType::Int64,
        description: "d".into(),
        rules: rules.clone(),
        tags: tags.clone(),
    };
    let source = Source {
        path: Some("a.csv".into()),
        event_timestamp: EventTime::Constant(7),
        created_timestamp: Some("c".into()),
        rename: tags.clone(),
        push: Some("p".into()),
        delimiter: Some(';'),
        timestamp_format: Some("%Y".into()),
    };
    let view = FeatureView {
        owner: "o".into(),
        description: "d".into(),
        tags: tags.clone(),
        event_id: vec![("e".into(), DataType::Int64)],
        redis_keys: vec!["v:{e}:x".parse().unwrap()],
        features: vec![feature.clone()],
        source: source.clone(),
        ..FeatureView::new("v")
    };
    let selection = Selection {
        view: "v@2".parse().unwrap(),
        alias: Some("a".into()),
        join_keys: tags.clone(),
        features: vec!["x".into()],
    };
    let service = FeatureService {
        features: vec![selection.clone()],
        description: "d".into(),
        owner: "o".into(),
        tags: tags.clone(),
    };
    let entity = Entity { join_keys: vec![("id".into(), DataType::Int64)], description: "d".into(), tags };
    assert_members("FeatureView", &view);
    assert_members("Feature", &feature);
    assert_members("Rules", &rules);
    assert_members("Source", &source);
    assert_members("FeatureService", &service);
    assert_members("Selection", &selection);
    assert_members("Entity", &entity);
    let json = |value: serde_json::Result<String>| value.unwrap();
    assert_eq!(json(serde_json::to_string(&source.event_timestamp)), r#"{"constant":7}"#);
    assert_eq!(json(serde_json::to_string(&EventTime::Column("at".into()))), r#"{"column":"at"}"#);
    assert_eq!(json(serde_json::to_string(&entity.join_keys)), r#"[["id","int64"]]"#);
    assert_eq!(json(serde_json::to_string(&selection.view)), r#""v@2""#);

    let field = FieldRecord { name: "x".into(), dtype: DataType::Int64, added_seq: 3 };
    let view = ViewRecord {
        id: 7,
        revision: 2,
        seq: 3,
        applied_at_us: 4,
        first_seq: 1,
        dropped_seq: Some(3),
        fields: vec![field],
        definition: view,
    };
    let service = ServiceRecord { name: "s".into(), revision: 2, seq: 3, applied_at_us: 4, definition: Some(service) };
    let entity = EntityRecord { name: "e".into(), revision: 2, seq: 3, applied_at_us: 4, definition: Some(entity) };
    assert_members("view/N/rev/N", &view);
    assert_members("service/NAME/rev/N", &service);
    assert_members("entity/NAME/rev/N", &entity);
    assert_eq!(
        json(serde_json::to_string(&view.fields)),
        r#"[{"name":"x","dtype":"int64","added_seq":3}]"#,
        "each `name`, `dtype`, `added_seq`"
    );
    let two = "0000000002";
    let keys = [view.key(), service.key(), entity.key()];
    assert_eq!(
        keys,
        [format!("view/0000000007/rev/{two}"), format!("service/s/rev/{two}"), format!("entity/e/rev/{two}")]
    );
}
