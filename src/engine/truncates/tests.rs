use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};

use crate::definition::{Definitions, FeatureView, Source};
use crate::disk::{Disk, MemDisk, OpenMode};
use crate::engine::entities::{EntityField, EntityRow, EntityView};
use crate::engine::explain::{Checksum, Location, TableVerdict};
use crate::engine::row_stage::RowStage;
use crate::error::{Error, Result};
use crate::format::row::{RowHead, RowKind, RowLayout, RowRef, push_record};
use crate::identity::{FEATURE_KEYSPACE, FEATURE_TRUNCATES, Identity};
use crate::time::{Clock, ManualClock, Timestamp};
use crate::value::{DataType, Value};
use crate::{ApplyOptions, BulkOptions, Features, GetOptions, KnownAt, Row, ScanOptions, Status, Store, WriteOptions};

const DIR: &str = "/truncated";
const NOW: i64 = 1_000;

/// A store with a view of one integer and one that declares created, and its clock.
struct Made {
    disk: MemDisk,
    clock: Arc<ManualClock>,
    /// `None` between two openings.
    store: Option<Store>,
}

impl Made {
    fn new() -> Made {
        let (disk, clock) = (MemDisk::new(), Arc::new(ManualClock::new(Timestamp(NOW))));
        let store = open(&disk, &clock);
        let view = |name: &str| FeatureView::new(name).entity("thing").feature("x", DataType::Int64);
        let dated = view("dated").source(Source::default().created_timestamp("created"));
        let definitions = Definitions::new("truncated").entity("thing", [("id", DataType::Int64)]);
        let definitions = definitions.view(view("v")).view(dated).view(view("other"));
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        Made { disk, clock, store: Some(store) }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn close(&mut self) {
        self.store().close().unwrap();
        self.store = None;
    }

    fn open(&mut self) {
        self.store = Some(open(&self.disk, &self.clock));
    }

    fn reopen(&mut self) {
        self.close();
        self.open();
    }

    fn view(&self, name: &str) -> EntityView {
        let views = self.store().entity_views().unwrap().views;
        views.into_iter().find(|view| view.definition().name == name).unwrap()
    }

    fn group<T>(&self, group: impl FnOnce(&mut RowStage) -> Result<T>) -> T {
        self.store().keyspace().unwrap().transact(|_, rows| group(rows)).unwrap().unwrap()
    }

    /// Truncates a view; whether there was anything to delete.
    fn truncate(&self, view: &str, at: i64) -> bool {
        self.group(|rows| rows.truncate(&self.view(view), at))
    }

    fn write(&self, view: &str, rows: &[(i64, i64, i64)]) {
        let row = |&(id, at, x): &(i64, i64, i64)| Row::new().at(Timestamp(at)).set("id", id).set("x", x);
        let options = WriteOptions { allow_future: true, ..WriteOptions::default() };
        self.store().write_rows_with(view, rows.iter().map(row), &options).unwrap();
    }

    /// The value of an entity as of a time, or its status.
    fn get(&self, id: i64, at: i64, known_at: Option<KnownAt>) -> std::result::Result<i64, Status> {
        let options = GetOptions { at: Some(Timestamp(at)), known_at, ..GetOptions::default() };
        let features = Features::list(["v:x"]).unwrap();
        let found = self.store().get(&features, &[("id", id.into())], &options).unwrap().remove(0);
        if let Value::Int64(x) = found.value { Ok(x) } else { Err(found.status) }
    }

    /// What is there now, and whether the latest table says so.
    fn online(&self, id: i64) -> (Status, bool) {
        let mut handle = self.store().online(&Features::list(["v:x"]).unwrap()).unwrap();
        let key = handle.key(&[("id", id.into())]).unwrap();
        let row = handle.get(&key, self.clock.now()).unwrap();
        (row.status(0).0, row.is_from_latest_table(0))
    }

    /// Entities that are listed, and those that there ever were.
    fn listed(&self) -> [usize; 2] {
        let (view, reads) = (self.view("v"), self.store().engine().unwrap().reads().clone());
        let listed = reads.entity_keys(&view, 0, 100, 0).unwrap();
        let (mut ever, mut next) = (0, Some(0));
        while let Some(from) = next {
            let part = self.store().entity_keys(&view, from, 1).unwrap();
            (ever, next) = (ever + part.keys.len(), part.next);
        }
        [listed.keys.len(), ever]
    }

    fn table_says(&self, id: i64) -> Option<TableVerdict> {
        self.store().explain("v:x", &[("id", id.into())], &GetOptions::default()).unwrap().latest_table
    }
}

fn open(disk: &MemDisk, clock: &Arc<ManualClock>) -> Store {
    let builder = Store::builder().background(false).clock(Arc::clone(clock) as Arc<_>);
    builder.disk(Arc::new(disk.clone())).open(DIR).unwrap()
}

const GONE: std::result::Result<i64, Status> = Err(Status::NotFound);

#[test]
fn one_row_deletes_every_entity_at_its_place_in_row_order_and_history_stays() {
    let mut made = Made::new();
    made.write("v", &[(1, 10, 1), (2, 20, 2), (3, NOW + 50, 3)]);
    let before = made.store().summary().unwrap().seq;
    assert!(made.truncate("v", NOW));
    assert_eq!(made.store().summary().unwrap().seq, before + 1, "one row, whatever there was");
    // Of an earlier time, learned later.
    made.write("v", &[(2, 900, 4), (4, 30, 5)]);
    for what in ["in the log", "sealed", "merged, and opened again"] {
        assert_eq!([1, 2, 4].map(|id| made.get(id, NOW, None)), [GONE; 3], "{what}");
        assert_eq!([1, 2, 4].map(|id| made.get(id, NOW - 1, None)), [Ok(1), Ok(4), Ok(5)], "{what}");
        assert_eq!((made.get(3, NOW + 49, None), made.get(3, NOW + 50, None)), (GONE, Ok(3)), "{what}");
        let known = |seq| Some(KnownAt::Seq(seq));
        assert_eq!((made.get(1, NOW, known(before)), made.get(1, NOW, known(before + 1))), (Ok(1), GONE), "{what}");
        assert_eq!([1, 2, 4].map(|id| made.online(id).0), [Status::NotFound; 3], "{what}");
        // The one row that is left, of a later time.
        assert_eq!(made.listed(), [1, 4], "{what}");
        match what {
            "in the log" => _ = made.store().seal().unwrap(),
            _ => {
                made.store().compact().unwrap();
                made.reopen();
            }
        }
    }
    made.write("v", &[(1, NOW + 1, 6)]);
    assert_eq!((made.get(1, NOW + 1, None), made.get(1, NOW, None)), (Ok(6), GONE));
}

#[test]
fn an_entity_that_comes_again_is_out_of_a_table_that_has_no_other() {
    let made = Made::new();
    made.write("v", &[(1, 10, 1), (2, 20, 2)]);
    let mut before = made.store().online(&Features::list(["v:x"]).unwrap()).unwrap();
    let key = before.key(&[("id", 1_i64.into())]).unwrap();
    assert_eq!(before.get(&key, Timestamp(NOW)).unwrap().status(0).0, Status::Present);
    made.truncate("v", NOW);
    // Through a handle that was made before, and of an earlier time: that asks history.
    assert_eq!(before.get(&key, Timestamp(NOW)).unwrap().status(0).0, Status::NotFound);
    assert_eq!(before.get(&key, Timestamp(NOW - 1)).unwrap().status(0).0, Status::Present);
    made.write("v", &[(2, NOW, 3), (3, 5, 4)]);
    assert_eq!(
        [1, 2, 3].map(|id| made.online(id)),
        [(Status::NotFound, false), (Status::Present, true), (Status::NotFound, false)]
    );
    assert_eq!([1, 2, 9].map(|id| made.table_says(id)), [Some(TableVerdict::Answers); 3]);
    assert_eq!(made.store().views().unwrap().iter().find(|view| view.name == "v").unwrap().entity_count, Some(1));
}

#[test]
fn rows_of_a_group_are_before_or_after_its_truncate_as_they_were_written() {
    for name in ["v", "dated"] {
        let made = Made::new();
        let view = made.view(name);
        made.write("v", &[(9, NOW, 9)]);
        let id = |id: i64| id.to_le_bytes();
        let row = |x: i64| EntityRow {
            event_ts: NOW,
            deadline: None,
            fields: vec![EntityField { value: Some(x.into()), deadline: None }],
        };
        let seen = made.group(|rows| {
            let is_there = |rows: &RowStage, key: i64| rows.row(&view, &id(key), NOW).map(|row| row.is_some());
            rows.put(&view, &id(1), &row(1), None)?;
            let mut seen = vec![is_there(rows, 1)?];
            assert!(rows.truncate(&view, NOW)?);
            seen.push(is_there(rows, 1)?);
            assert!(rows.has_written(&view, &id(7)), "a truncate is a row of every key");
            rows.put(&view, &id(2), &row(2), None)?;
            seen.push(is_there(rows, 2)?);
            Ok(seen)
        });
        assert_eq!(seen, [true, false, true], "{name}");
        let features = Features::list([format!("{name}:x")]).unwrap();
        let status = |id: i64, at: i64| {
            let options = GetOptions { at: Some(Timestamp(at)), ..GetOptions::default() };
            made.store().get(&features, &[("id", id.into())], &options).unwrap()[0].status
        };
        assert_eq!([status(1, NOW), status(2, NOW)], [Status::NotFound, Status::Present], "{name}");
    }
}

#[test]
fn in_a_view_that_declares_created_it_wins_over_every_row_of_its_event_time() {
    let made = Made::new();
    let ahead = NOW + 77;
    let rows = [(1, NOW, ahead), (2, NOW, 5), (3, NOW - 1, ahead + 9)];
    let rows = rows
        .map(|(id, at, created)| Row::new().at(Timestamp(at)).created(Timestamp(created)).set("id", id).set("x", id));
    made.store().write_rows("dated", rows).unwrap();
    made.store().seal().unwrap();
    assert!(made.truncate("dated", NOW));
    let explain = |id: i64| made.store().explain("dated:x", &[("id", id.into())], &GetOptions::default()).unwrap();
    for id in [1, 2, 3] {
        let row = explain(id).row.unwrap();
        assert_eq!((row.kind, row.created), ("truncate", Some(Timestamp(ahead))), "{id}");
    }
}

#[test]
fn a_view_without_a_row_to_delete_gets_no_truncate() {
    let made = Made::new();
    let required = || Identity::read(&made.disk, Path::new(DIR)).unwrap().required_features;
    assert!(!made.truncate("v", NOW));
    assert_eq!(required(), 0, "nothing asks for a release that knows truncates");
    made.write("v", &[(1, 10, 1)]);
    assert!(made.truncate("v", NOW));
    assert_eq!(required(), FEATURE_TRUNCATES);
    assert!(!made.truncate("v", NOW + 5), "there is nothing left");
    assert!(made.truncate("v", NOW - 5), "an earlier one hides more");
    made.write("v", &[(1, NOW + 6, 1)]);
    assert!(made.truncate("v", NOW + 5), "what lies ahead of it is left");
    assert!(!made.truncate("other", NOW));
    made.store().keyspace().unwrap().change(|keys, _| keys.set_string((0, b"k"), Vec::new(), None)).unwrap();
    assert_eq!(required(), FEATURE_TRUNCATES | FEATURE_KEYSPACE);
}

#[test]
fn many_truncates_of_one_group_are_one_where_nothing_comes_between() {
    let made = Made::new();
    made.write("v", &[(1, 10, 1)]);
    let (view, before) = (made.view("v"), made.store().summary().unwrap().seq);
    let row = EntityRow { event_ts: NOW, deadline: None, fields: vec![EntityField { value: None, deadline: None }] };
    let truncated = made.group(|rows| {
        let mut truncated = vec![rows.truncate(&view, NOW)?, rows.truncate(&view, NOW)?];
        rows.put(&view, &2_i64.to_le_bytes(), &row, None)?;
        truncated.extend([rows.truncate(&view, NOW)?, rows.truncate(&view, NOW)?, rows.truncate(&view, NOW + 1)?]);
        Ok(truncated)
    });
    assert_eq!(truncated, [true, false, true, false, true]);
    assert_eq!(made.store().summary().unwrap().seq, before + 4);
}

#[test]
fn explain_names_the_truncate_wherever_it_lies_and_no_truncate_of_what_never_was() {
    let mut made = Made::new();
    made.write("v", &[(1, 10, 1)]);
    made.truncate("v", NOW);
    let seq = made.store().summary().unwrap().seq;
    for is_sealed in [false, true] {
        let explained = made.store().explain("v:x", &[("id", 1_i64.into())], &GetOptions::default()).unwrap();
        let row = explained.row.unwrap();
        assert_eq!((row.kind, row.seq, &row.checksum), ("truncate", seq, &Checksum::Good));
        assert_eq!(row.provenance.unwrap().ingested_at, Timestamp(NOW));
        assert_eq!(matches!(row.location, Location::Registry { .. }), is_sealed, "{:?}", row.location);
        assert!(explained.why.contains("the view was truncated at"), "{}", explained.why);
        let never = made.store().explain("v:x", &[("id", 2_i64.into())], &GetOptions::default()).unwrap();
        assert_eq!((never.row, never.latest_table), (None, Some(TableVerdict::Answers)));
        assert!(never.why.contains("no row of this entity"), "{}", never.why);
        made.store().seal().unwrap();
        made.reopen();
    }
}

#[test]
fn a_history_that_was_exported_has_its_deletes_and_adds_nothing_where_it_came_from() {
    let made = Made::new();
    made.write("v", &[(1, 10, 1), (2, 20, 2), (2, NOW - 1, 3), (3, NOW + 50, 4)]);
    made.truncate("v", NOW);
    made.write("v", &[(1, NOW, 5)]);
    made.truncate("v", NOW + 9);
    let deletes = |from: Option<i64>| {
        let options = ScanOptions { from: from.map(Timestamp), ..ScanOptions::default() };
        let batches: Vec<_> = made.store().scan("v", &options).unwrap().map(|batch| batch.unwrap()).collect();
        let mut found = Vec::new();
        for batch in &batches {
            let value = |name: &str, dtype, row| crate::value_at(batch.column_by_name(name).unwrap(), &dtype, row);
            for row in 0..batch.num_rows() {
                if value("_deleted", DataType::Bool, row) == Value::Bool(true) {
                    let Value::Int64(id) = value("id", DataType::Int64, row) else { panic!("an id") };
                    let Value::Timestamp(at) = value("event_timestamp", DataType::Timestamp, row) else { panic!() };
                    found.push((id, at));
                }
            }
        }
        found.sort_unstable();
        (found, batches)
    };
    assert_eq!(deletes(None).0, [(1, NOW), (1, NOW + 9), (2, NOW)]);
    // What is deleted within the range may have come before it.
    assert_eq!(deletes(Some(NOW)).0, [(1, NOW), (1, NOW + 9), (2, NOW)]);
    assert_eq!(deletes(Some(NOW + 1)).0, [(1, NOW + 9)]);
    let options = || BulkOptions { allow_future: true, ..BulkOptions::default() };
    let import = |store: &Store| {
        let mut bulk = store.bulk_writer("v", options()).unwrap();
        for batch in deletes(None).1 {
            bulk.write(&batch).unwrap();
        }
        bulk.commit().unwrap().rows_written
    };
    assert_eq!(import(made.store()), 0, "a truncate is a delete of every key");
    made.store().seal().unwrap();
    assert_eq!(import(made.store()), 0, "nor once it is sealed");
    let copy = Made::new();
    assert_eq!(import(copy.store()), 8);
    for (id, at) in
        [1, 2, 3].into_iter().flat_map(|id| [9, 20, NOW - 1, NOW, NOW + 8, NOW + 9, NOW + 50].map(|at| (id, at)))
    {
        assert_eq!(copy.get(id, at, None), made.get(id, at, None), "{id} at {at}");
    }
}

#[test]
fn older_rows_that_are_imported_are_history_and_none_of_them_is_in_the_table() {
    let made = Made::new();
    made.write("v", &[(1, 10, 1)]);
    made.truncate("v", NOW);
    let import = |at: i64, ids: std::ops::Range<i64>| {
        let ids: Vec<i64> = ids.collect();
        let times = TimestampMicrosecondArray::from(vec![at; ids.len()]);
        let ids: ArrayRef = Arc::new(Int64Array::from(ids));
        let columns: [(&str, ArrayRef); 3] =
            [("id", Arc::clone(&ids)), ("event_timestamp", Arc::new(times)), ("x", ids)];
        let options = BulkOptions { allow_future: true, ..BulkOptions::default() };
        let mut bulk = made.store().bulk_writer("v", options).unwrap();
        bulk.write(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        bulk.commit().unwrap();
    };
    let keys = || made.store().views().unwrap().iter().find(|view| view.name == "v").unwrap().entity_count;
    import(20, 0..5_000);
    assert_eq!(keys(), Some(0));
    // More than the table was made for: another takes its place.
    import(NOW, 0..4_000);
    made.store().compact().unwrap();
    assert_eq!(keys(), Some(4_000));
    assert_eq!([1, 4_500].map(|id| made.get(id, NOW - 1, None)), [Ok(1), Ok(4_500)]);
    assert_eq!([1, 4_500].map(|id| made.get(id, NOW, None)), [Ok(1), GONE]);
    assert_eq!([1, 4_500].map(|id| made.online(id)), [(Status::Present, true), (Status::NotFound, false)]);
    let later = NOW + 1;
    assert!(made.truncate("v", later));
    made.clock.set(Timestamp(later));
    assert_eq!((keys(), made.online(1), made.get(1, NOW, None)), (Some(0), (Status::NotFound, false), Ok(1)));
}

#[test]
fn who_reads_in_another_process_finds_what_is_left_and_what_was() {
    let made = Made::new();
    made.write("v", &[(1, 10, 1), (2, 20, 2)]);
    let builder = Store::builder().background(false).clock(Arc::clone(&made.clock) as Arc<_>);
    let beside = builder.disk(Arc::new(made.disk.clone())).open_read_only(DIR).unwrap();
    let mut handle = beside.online(&Features::list(["v:x"]).unwrap()).unwrap();
    let keys = [1_i64, 2].map(|id| handle.key(&[("id", id.into())]).unwrap());
    let mut read = |key: usize, at: i64| {
        let row = handle.get(&keys[key], Timestamp(at)).unwrap();
        (row.status(0).0, row.is_from_latest_table(0))
    };
    assert_eq!(read(0, NOW), (Status::Present, true));
    let before = made.store().summary().unwrap().seq;
    made.truncate("v", NOW);
    for what in ["in the log", "sealed"] {
        assert_eq!([read(0, NOW), read(1, NOW)], [(Status::NotFound, false); 2], "{what}");
        assert_eq!(read(0, NOW - 1), (Status::Present, false), "{what}");
        let options = GetOptions { known_at: Some(KnownAt::Seq(before)), ..GetOptions::default() };
        let known = beside.get(&Features::list(["v:x"]).unwrap(), &[("id", 1_i64.into())], &options).unwrap();
        assert_eq!(known[0].status, Status::Present, "{what}");
        made.store().seal().unwrap();
    }
    // It is looked for again now and then, and is there.
    made.write("v", &[(2, NOW, 3)]);
    let is_found = (0..1_000).any(|_| read(1, NOW) == (Status::Present, true));
    assert!(is_found, "the new table was never opened");
    assert_eq!([read(0, NOW), read(0, NOW - 1)], [(Status::NotFound, false), (Status::Present, false)]);
}

#[test]
fn a_table_of_before_a_truncate_is_not_taken_up_again() {
    let mut made = Made::new();
    made.write("v", &[(1, 10, 1)]);
    let id = made.store().views().unwrap().iter().find(|view| view.name == "v").unwrap().id;
    let path = Path::new(DIR).join("latest").join(format!("{id}-v@1"));
    made.close();
    let file = made.disk.open(&path, OpenMode::Read).unwrap();
    let mut copy = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
    file.read_at(0, &mut copy).unwrap();
    made.open();
    made.truncate("v", NOW);
    made.close();
    made.disk.remove(&path).unwrap();
    made.disk.open(&path, OpenMode::Create).unwrap().write_at(0, &copy).unwrap();
    made.open();
    assert_eq!(made.online(1).0, Status::NotFound);
    made.close();
    let report = Store::builder().disk(Arc::new(made.disk.clone())).check(DIR, &mut |_| {}).unwrap();
    assert_eq!(report.problems, []);
}

#[test]
fn a_truncate_with_a_key_a_deadline_or_an_image_is_no_row() {
    let layout = RowLayout::new([DataType::Int64]);
    let bare = RowHead::new(RowKind::ViewTruncate, 5);
    let says = |head: RowHead<'_>, key: &[u8], image: &[u8]| {
        let mut record = Vec::new();
        push_record(&head, key, 0, image, &mut record).unwrap();
        RowRef::parse(&record, &layout).map(drop)
    };
    assert_eq!(says(bare, b"", b""), Ok(()));
    assert_eq!(says(RowHead { created: Some(1), ..bare }, b"", b""), Ok(()));
    assert!(says(bare, b"k", b"").is_err());
    assert!(says(RowHead { deadline: Some(9), ..bare }, b"", b"").is_err());
    assert!(says(RowHead { event_id: b"e", ..bare }, b"", b"").is_err());
    assert!(says(bare, b"", b"i").is_err());
}

#[test]
fn views_are_truncated_by_those_who_have_their_present_definition() {
    let made = Made::new();
    let before = made.view("v");
    let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64).feature("y", DataType::Int64);
    let definitions = Definitions::new("truncated").entity("thing", [("id", DataType::Int64)]).view(view);
    made.store().apply(&definitions, ApplyOptions::default()).unwrap();
    let refused: Result<bool> =
        made.store().keyspace().unwrap().transact(|_, rows| rows.truncate(&before, NOW)).unwrap();
    assert_eq!(refused.map_err(|error: Error| error.kind()), Err(crate::ErrorKind::Refused));
}
