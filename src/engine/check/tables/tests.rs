//! A table that grows while its slots are compared.

use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;

use super::*;
use crate::definition::{Definitions, FeatureView};
use crate::disk::{Disk, File, LockGuard, MemDisk, OpenMode};
use crate::engine::reads::Reads;
use crate::request::ApplyOptions;
use crate::store::{Row, Store};
use crate::time::Timestamp;
use crate::value::DataType;

const DIR: &str = "/checked";

/// Something that happens once, before a run is mapped.
type Happening = Box<dyn FnOnce() + Send>;

/// A disk on which it happens.
struct Happens {
    inner: MemDisk,
    happening: Mutex<Option<Happening>>,
}

impl std::fmt::Debug for Happens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Happens").finish_non_exhaustive()
    }
}

impl Disk for Happens {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        self.inner.open(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, path: &Path) -> Result<()> {
        self.inner.remove(path)
    }
    fn create_dir(&self, path: &Path) -> Result<()> {
        self.inner.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.inner.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.inner.sync_dir(path)
    }
    fn list(&self, path: &Path) -> Result<Vec<String>> {
        self.inner.list(path)
    }
    fn exists(&self, path: &Path) -> Result<bool> {
        self.inner.exists(path)
    }
    fn map(&self, path: &Path) -> Result<Bytes> {
        if path.extension().is_some_and(|ending| ending == "arrow")
            && let Some(happening) = self.happening.lock().unwrap().take()
        {
            happening();
        }
        self.inner.map(path)
    }
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn LockGuard>>> {
        self.inner.try_lock(path)
    }
    fn is_locked(&self, path: &Path) -> Result<bool> {
        self.inner.is_locked(path)
    }
    fn boot_id(&self) -> [u8; 16] {
        self.inner.boot_id()
    }
}

fn rows(keys: std::ops::Range<i64>, text_bytes: usize) -> impl Iterator<Item = Row> {
    keys.map(move |id| Row::new().at(Timestamp(1)).set("id", id).set("text", "z".repeat(text_bytes)))
}

#[test]
fn what_is_found_in_a_table_that_grows_meanwhile_is_not_told_and_the_walk_begins_anew() {
    let memory = MemDisk::volatile();
    let sizes = Sizes { table_reserve_bytes: 64 << 20, ..Sizes::default() };
    let writer = Store::builder().sizes(sizes).background(false).disk(Arc::new(memory.clone())).open(DIR).unwrap();
    let view = FeatureView::new("v").entity("thing").feature("text", DataType::String);
    let definitions = Definitions::new("checked").entity("thing", [("id", DataType::Int64)]).view(view);
    writer.apply(&definitions, ApplyOptions::default()).unwrap();
    writer.write_rows("v", rows(0..30, 1)).unwrap();
    writer.seal().unwrap();

    let disk = Arc::new(Happens { inner: memory, happening: Mutex::default() });
    let reads = Reads::open(disk.clone(), Path::new(DIR), 64 << 20).unwrap();
    let sight = reads.sight().unwrap();
    let view = &sight.picture.views[&1];
    let table = view.table.as_ref().expect("the writer's");
    let copy = table.slot_copy();
    let mut comparing = Comparing {
        view,
        tail: &sight.picture.tail,
        table,
        seq: sight.seq,
        copy,
        compared: 0,
        differences: Vec::new(),
    };
    // The first row that is compared is looked for in the run. When the walk goes on, the place that its slots were at is one of
    // long texts.
    *disk.happening.lock().unwrap() = Some(Box::new(move || {
        writer.write_rows("v", rows(30..100, 1)).unwrap();
        writer.write_rows("v", rows(100..110, 700)).unwrap();
    }));
    assert!(comparing.all_slots(), "the second walk");
    assert!(disk.happening.lock().unwrap().is_none(), "the table grew during the first");
    assert_eq!(comparing.differences, Vec::<String>::new());
}
