//! Two who would fill the same table, in the order in which a lock may let them.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::definition::{Definitions, FeatureView};
use crate::disk::MemDisk;
use crate::engine::row_stage::RowStage;
use crate::request::ApplyOptions;
use crate::store::{Row, Store};
use crate::time::Timestamp;
use crate::value::{DataType, Value};
use crate::{Features, options::Sizes};

/// A store of one view without a row.
fn store() -> Store {
    let sizes = Sizes { table_reserve_bytes: 32 << 20, ..Sizes::default() };
    let builder = Store::builder().sizes(sizes).background(false).disk(Arc::new(MemDisk::volatile()));
    let store = builder.open(Path::new("/filling")).unwrap();
    let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64);
    let definitions = Definitions::new("filling").entity("thing", [("id", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    store
}

fn row(x: i64) -> Row {
    Row::new().at(Timestamp(x)).set("id", 1_i64).set("x", x)
}

/// The value of the only key, and whether the table gave it.
fn x(store: &Store) -> (Option<i64>, bool) {
    let mut online = store.online(&Features::list(["v:x"]).unwrap()).unwrap();
    let key = online.key(&[("id", Value::Int64(1))]).unwrap();
    let row = online.get(&key, Timestamp(i64::MAX)).unwrap();
    (row.i64(0), row.is_from_latest_table(0))
}

/// What an import does once it is committed: under the lock it was committed in.
fn take(engine: &Engine, id: u32) -> Filling {
    let table = Engine::take_table(&mut engine.lock_core(), id).expect("nobody fills it");
    let (applied_seq, _) = table.applied();
    Filling { table, applied_seq }
}

#[test]
fn a_table_that_is_taken_as_soon_as_it_was_handed_over_is_filled_by_one_and_no_other() {
    // An import gave the table back to the committer, and told in a lock of its own that it filled it no more. One that came
    // in between took the table and was told of by nobody: upkeep found none, made another in its place, and the table that had
    // lost its name was called current again, for whoever had it mapped.
    let store = store();
    store.write_rows("v", [row(1)]).unwrap();
    let engine = store.engine().unwrap();
    let id = engine.view_ids()[0];

    let first = take(engine, id);
    engine.fill(id, || Ok(first)).unwrap();
    let second = take(engine, id);
    let mapped = second.table.open_reader();
    assert!(engine.lock_core().filling.contains(&id), "a table is filled, and nobody is told");
    engine.build_missing_table(id).unwrap();
    assert!(engine.lock_core().tables.is_empty() && !mapped.is_retired(), "another table was made beside it");
    store.write_rows("v", [row(2)]).unwrap();
    assert_eq!(x(&store), (Some(2), false), "while it is filled");
    engine.fill(id, || Ok(second)).unwrap();
    assert!(engine.lock_core().filling.is_empty() && mapped.is_current());
    store.write_rows("v", [row(3)]).unwrap();
    assert_eq!(x(&store), (Some(3), true), "out of the table that was filled last");
}

#[test]
fn a_table_that_another_replaces_is_retired() {
    let store = store();
    let engine = store.engine().unwrap();
    let id = engine.view_ids()[0];
    let first = engine.reads().picture().view(id).table.clone().expect("a table of no row");
    let second = engine.create_table(engine.reads().picture().view(id), 0, None).unwrap();
    let mut core = engine.lock_core();
    // As if it took back what it was told when the file lost its name.
    core.tables.get_mut(&id).unwrap().clear_behind();
    assert!(first.is_retired());
    engine.install_table(&mut core, id, second);
    drop(core);
    assert!(first.is_retired());
    store.write_rows("v", [row(1)]).unwrap();
    assert_eq!(x(&store), (Some(1), true));
}

#[test]
fn a_panic_over_the_filling_leaves_the_table_to_others() {
    // The view was told of as being filled for as long as the process lived, and nobody made its table anew.
    let store = store();
    store.write_rows("v", [row(1)]).unwrap();
    let engine = store.engine().unwrap();
    let id = engine.view_ids()[0];
    let taken = take(engine, id);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        engine.fill(id, || {
            drop(taken);
            // A panic, without the words that a test runner would print.
            std::panic::resume_unwind(Box::new("the hand of a test"))
        })
    }));
    panicked.unwrap_err();
    assert!(engine.lock_core().filling.is_empty());
    store.write_rows("v", [row(2)]).unwrap();
    assert_eq!(x(&store), (Some(2), false), "the table that was given up");
    engine.build_missing_table(id).unwrap();
    assert_eq!(x(&store), (Some(2), true));
}

#[test]
fn a_table_that_was_filled_when_the_store_was_closed_is_not_handed_over() {
    let store = store();
    store.write_rows("v", [row(1)]).unwrap();
    let engine = store.engine().unwrap();
    let id = engine.view_ids()[0];
    let filling = take(engine, id);
    // As far as the close of a store has come when its tables and HEAD are closed.
    engine.close().unwrap();
    let error = engine.fill(id, || Ok(filling)).unwrap_err();
    assert_eq!(error.to_string(), "the store was closed; open it again");
    let core = engine.lock_core();
    assert!(core.tables.is_empty() && core.filling.is_empty());
}

#[test]
fn a_table_that_was_being_filled_when_its_view_was_truncated_is_not_handed_over() {
    let store = store();
    let engine = store.engine().unwrap();
    let id = engine.view_ids()[0];
    let truncate = || {
        let view = store.entity_views().unwrap().views.remove(0);
        let group = |rows: &mut RowStage| rows.truncate(&view, rows.now).map(|is_one| (is_one, rows.now));
        let (is_one, now) = store.keyspace().unwrap().transact(|_, rows| group(rows)).unwrap().unwrap();
        assert!(is_one);
        now
    };
    store.write_rows("v", [row(1)]).unwrap();
    let taken = take(engine, id);
    let mapped = taken.table.open_reader();
    truncate();
    assert_eq!(x(&store), (None, false), "while it is filled");
    assert!(!engine.fill(id, || Ok(taken)).unwrap() && mapped.is_retired());
    // As a thread does that looks for missing tables.
    engine.build_missing_table(id).unwrap();
    let later = store.now().0 + 1;
    store.write_rows("v", [row(later)]).unwrap();
    assert_eq!(x(&store), (Some(later), true));

    // An import makes the other by itself.
    let Filling { table, .. } = take(engine, id);
    std::thread::sleep(std::time::Duration::from_micros(2));
    let now = truncate();
    engine.fill_after_import(id, table);
    let table = engine.reads().picture().view(id).table.clone().expect("a table");
    assert_eq!(table.floor().map(|floor| floor.event_ts), Some(now));
    assert_eq!((x(&store), table.is_current()), ((None, false), true));
}
