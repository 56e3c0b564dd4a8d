//! The store whose views were truncated: by a row that is sealed, and by one in the log.

use std::path::Path;

use asof::value::Value;
use asof::{EntityField, EntityRow, EntityView, KnownAt, Location, Status, Store};

use super::{answers, at, check_is_in_table, get, guests, open, reading};

/// When the last of it was written, in seconds.
pub const WRITTEN: i64 = 4_000;
/// When the first truncate was.
const FIRST: i64 = 3_000;

fn view(store: &Store, name: &str) -> EntityView {
    let views = store.entity_views().unwrap().views;
    views.into_iter().find(|view| view.definition().reference().to_string() == name).unwrap()
}

fn truncate(store: &Store, names: &[&str]) {
    let views: Vec<EntityView> = names.iter().map(|name| view(store, name)).collect();
    let keys = store.keyspace().unwrap();
    let truncated = keys.transact(|_, rows| views.iter().map(|view| rows.truncate(view, rows.now)).collect());
    let truncated: asof::Result<Vec<bool>> = truncated.unwrap();
    assert_eq!(truncated.unwrap(), vec![true; names.len()]);
}

/// Goes on with the store that has the views.
pub fn write(path: &Path) {
    let store = open(path, FIRST);
    truncate(&store, &["readings@1", "visits@1"]);
    store.write_rows("readings@1", [reading(1, FIRST, 7)]).unwrap();
    store.seal().unwrap();
    store.snapshot("flushed").unwrap();
    store.close().unwrap();
    drop(store);
    let store = open(path, WRITTEN);
    truncate(&store, &["readings@1"]);
    // After it, and of before it.
    store.write_rows("readings@1", [reading(3, WRITTEN, 8), reading(4, WRITTEN - 1, 9)]).unwrap();
    store.close().unwrap();
}

/// What there was before each of them, and what there is. `all_sealed`: the log has none of them any more.
pub fn check(store: &Store, all_sealed: bool) {
    let gone = Err(Status::NotFound);
    assert_eq!(answers(store, 3, FIRST - 100, None), Ok(6));
    assert_eq!((answers(store, 3, FIRST, None), answers(store, 1, FIRST, None)), (gone, Ok(7)));
    assert_eq!((answers(store, 1, WRITTEN - 1, None), answers(store, 1, WRITTEN, None)), (Ok(7), gone));
    assert_eq!((answers(store, 4, WRITTEN - 1, None), answers(store, 4, WRITTEN, None)), (Ok(9), gone));
    assert_eq!(answers(store, 3, WRITTEN, None), Ok(8));
    // The table of after the last truncate has it, and nothing of before.
    check_is_in_table(store, 3, WRITTEN, 8);
    // As it was known between the two.
    let flushed = || Some(KnownAt::Snapshot("flushed".to_owned()));
    assert_eq!((answers(store, 1, WRITTEN, flushed()), answers(store, 3, WRITTEN, flushed())), (Ok(7), gone));
    assert_eq!(guests(store, "Oslo", FIRST - 1), (Status::Present, Value::Float64(6.0)));
    assert_eq!(guests(store, "Oslo", FIRST).0, Status::NotFound);
    for (feature, entity, is_sealed) in [
        ("visits:guests", vec![("country", "NO".into()), ("city", "Oslo".into())], true),
        ("readings@1:count", vec![("id", Value::Int64(1))], false),
    ] {
        let options = asof::GetOptions { at: Some(at(WRITTEN)), ..asof::GetOptions::default() };
        let row = store.explain(feature, &entity, &options).unwrap().row.unwrap();
        assert_eq!(row.kind, "truncate", "{feature}");
        let in_registry = matches!(row.location, Location::Registry { .. });
        assert_eq!(in_registry, is_sealed || all_sealed, "{feature}: {:?}", row.location);
    }
    assert_eq!(
        get(store, &["readings@2:label"], &[("id", 1_i64.into())], &Default::default())[0].status,
        Status::Present
    );
}

/// It takes rows, and truncates, still.
pub fn write_on(store: &Store) {
    let view = view(store, "readings@2");
    let written = store.keyspace().unwrap().transact(|_, rows| {
        assert!(rows.truncate(&view, rows.now)?);
        let label = EntityField { value: Some(Value::String("again".to_owned())), deadline: None };
        let row = EntityRow { event_ts: rows.now, deadline: None, fields: vec![label] };
        rows.put(&view, &1_i64.to_le_bytes(), &row, None)
    });
    written.unwrap().unwrap();
    let found = get(store, &["readings@2:label"], &[("id", 1_i64.into())], &Default::default());
    assert_eq!(found[0].value, Value::String("again".to_owned()));
}
