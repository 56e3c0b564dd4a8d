//! Worn tables: what was lost to kills, or is damaged, goes with the file.

use std::path::Path;
use std::sync::Arc;

use crate::definition::{Definitions, FeatureView};
use crate::disk::{Disk, MemDisk, OpenMode};
use crate::options::Sizes;
use crate::request::ApplyOptions;
use crate::store::{Row, Store};
use crate::time::Timestamp;
use crate::value::{DataType, Value};
use crate::{Features, OnlineHandle};

const DIR: &str = "/worn";
const PATH: &str = "/worn/latest/1-v@1";

fn open(disk: &MemDisk) -> Store {
    let sizes = Sizes { table_reserve_bytes: 64 << 20, ..Sizes::default() };
    Store::builder().sizes(sizes).background(false).disk(Arc::new(disk.clone())).open(DIR).unwrap()
}

/// A store of one view without a row.
fn store(disk: &MemDisk) -> Store {
    let store = open(disk);
    let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64).feature("text", DataType::String);
    let definitions = Definitions::new("worn").entity("thing", [("id", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    store
}

fn rows(keys: i64, x: i64) -> impl Iterator<Item = Row> {
    let row = move |id| Row::new().at(Timestamp(x)).set("id", id).set("x", x).set("text", "z".repeat(2_000));
    (0..keys).map(row)
}

/// The value of a key, and whether the table gave it.
fn x(store: &Store, id: i64) -> (Option<i64>, bool) {
    let mut online: OnlineHandle = store.online(&Features::list(["v:x"]).unwrap()).unwrap();
    let key = online.key(&[("id", Value::Int64(id))]).unwrap();
    let row = online.get(&key, Timestamp(i64::MAX)).unwrap();
    (row.i64(0), row.is_from_latest_table(0))
}

/// Which file the table is.
fn file(disk: &MemDisk) -> (u64, u64) {
    disk.open(Path::new(PATH), OpenMode::Read).unwrap().identity().unwrap()
}

#[test]
fn a_table_that_kills_have_worn_is_built_anew_at_an_opening() {
    let mut disk = MemDisk::volatile();
    store(&disk).close().unwrap();
    let first = file(&disk);
    let mut at = 0;
    for kills in 0.. {
        let store = open(&disk);
        if file(&disk) != first {
            assert!(kills > 0);
            assert_eq!((x(&store, 0), x(&store, 39)), ((Some(at), true), (Some(at), true)));
            return;
        }
        assert!(kills < 100, "it is worn, and stays");
        // What rows free is known to nobody after a kill.
        for _ in 0..3 {
            at += 1;
            store.write_rows("v", rows(40, at)).unwrap();
        }
        disk = disk.kill_image();
    }
}

#[test]
fn a_table_in_which_damage_was_met_is_built_anew_after_it_was_closed() {
    for is_damaged in [false, true] {
        let disk = MemDisk::volatile();
        let store = store(&disk);
        store.write_rows("v", rows(3, 1)).unwrap();
        let first = file(&disk);
        let table = store.engine().unwrap().reads().picture().views[&1].table.clone().expect("a table of three keys");
        let mut slots = Vec::new();
        table.walk(true, |at, _| slots.push(at as u64 * 8));
        assert_eq!(slots.len(), 3);
        if is_damaged {
            let file = disk.open(Path::new(PATH), OpenMode::Write).unwrap();
            for at in slots {
                let mut byte = [0];
                file.read_at(at + 13, &mut byte).unwrap();
                file.write_at(at + 13, &[byte[0] ^ 1]).unwrap();
            }
        }
        store.write_rows("v", rows(3, 2)).unwrap();
        assert_eq!(x(&store, 1).0, Some(2));
        store.close().unwrap();
        drop((store, table));
        let store = open(&disk);
        assert_eq!(file(&disk) != first, is_damaged, "whether it is another file");
        assert_eq!(x(&store, 1), (Some(2), true));
    }
}
