//! A table that grows while its slots are compared.

use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;

use super::*;
use crate::definition::{Definitions, FeatureView};
use crate::disk::{Disk, File, LockGuard, MemDisk, OpenMode};
use crate::engine::reads::Reads;
use crate::error::Error;
use crate::request::ApplyOptions;
use crate::store::{Row, Store};
use crate::time::Timestamp;
use crate::value::DataType;

const DIR: &str = "/checked";
const RESERVE_BYTES: u64 = 64 << 20;

/// Something that happens before a run is mapped, and may keep it from being mapped.
type Happening = Box<dyn FnMut() -> Result<()> + Send>;

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
            && let Some(happening) = self.happening.lock().unwrap().as_mut()
        {
            happening()?;
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

/// A store of thirty rows, sealed.
fn thirty(memory: &MemDisk) -> Store {
    let sizes = Sizes { table_reserve_bytes: RESERVE_BYTES, ..Sizes::default() };
    let writer = Store::builder().sizes(sizes).background(false).disk(Arc::new(memory.clone())).open(DIR).unwrap();
    let view = FeatureView::new("v").entity("thing").feature("text", DataType::String);
    let definitions = Definitions::new("checked").entity("thing", [("id", DataType::Int64)]).view(view);
    writer.apply(&definitions, ApplyOptions::default()).unwrap();
    writer.write_rows("v", (0..30).map(|id| row(id, 1))).unwrap();
    writer.seal().unwrap();
    writer
}

fn row(id: i64, text_bytes: usize) -> Row {
    Row::new().at(Timestamp(1)).set("id", id).set("text", "z".repeat(text_bytes))
}

/// Compares the slots of the table with the rows there are when it begins, while `happening` happens. Whether that could be told,
/// and what differs.
fn compare_while(memory: MemDisk, happening: Happening) -> (bool, Vec<String>) {
    let disk = Arc::new(Happens { inner: memory, happening: Mutex::default() });
    let reads = Reads::open(disk.clone(), Path::new(DIR), RESERVE_BYTES).unwrap();
    let sight = reads.sight().unwrap();
    let view = &sight.picture.views[&1];
    let table = view.table.as_ref().expect("the writer's");
    let mut comparing = Comparing::new(view, &sight.picture.tail, table, sight.seq, false);
    *disk.happening.lock().unwrap() = Some(happening);
    (comparing.all_slots(), comparing.differences)
}

#[test]
fn what_is_found_in_a_table_that_grows_meanwhile_is_not_told_and_the_walk_begins_anew() {
    let memory = MemDisk::volatile();
    let writer = thirty(&memory);
    // The first row that is compared is looked for in the run. When the walk goes on, the place that its slots were at is one of
    // long texts.
    let count = Arc::new(Mutex::new(0));
    let grown = Arc::clone(&count);
    let growing = move || {
        writer.write_rows("v", (30..100).map(|id| row(id, 1)))?;
        writer.write_rows("v", (100..110).map(|id| row(id, 700)))?;
        *grown.lock().unwrap() += 1;
        Ok(())
    };
    let (is_told, differences) = compare_while(memory, Box::new(growing));
    assert!(is_told, "the second walk");
    assert_eq!(*count.lock().unwrap(), 1, "the table grew during the first");
    assert_eq!(differences, Vec::<String>::new());
}

/// Whoever waits for a walk that nothing disturbs may wait for ever.
#[test]
fn a_table_that_grows_during_each_of_many_walks_is_not_judged() {
    let memory = MemDisk::volatile();
    let writer = thirty(&memory);
    let mut ids = 30_i64..;
    let mut written = 30;
    // Each of the thirty rows is looked for in a run that does not open, so that it is again for the next: a walk that nothing
    // disturbs would see the table double. After a hundred thousand rows nothing disturbs one any more.
    let growing = move || {
        if written < 100_000 {
            let rows = written / 25 + 1;
            writer.write_rows("v", ids.by_ref().take(rows).map(|id| row(id, 1)))?;
            written += rows;
        }
        Err(Error::io("map", Path::new("run"), io::ErrorKind::Other.into()))
    };
    assert_eq!(compare_while(memory, Box::new(growing)), (false, Vec::new()));
}

/// Bit 0 of the version of the slot that the only row has: as if somebody were writing to it.
fn tear_the_slot(memory: &MemDisk) {
    let reads = Reads::open(Arc::new(memory.clone()), Path::new(DIR), RESERVE_BYTES).unwrap();
    let sight = reads.sight().unwrap();
    let (table, mut slots) = (sight.picture.views[&1].table.as_ref().unwrap(), Vec::new());
    table.walk(true, |at, _| slots.push(at as u64 * 8));
    drop(reads);
    let folder = Path::new(DIR).join("latest");
    let path = folder.join(&memory.list(&folder).unwrap()[0]);
    let file = memory.open(&path, OpenMode::Write).unwrap();
    let mut byte = [0];
    file.read_at(slots[0], &mut byte).unwrap();
    file.write_at(slots[0], &[byte[0] | 1]).unwrap();
}

#[test]
fn a_slot_that_looks_written_to_is_a_finding_where_nobody_writes_and_none_once_somebody_does() {
    let memory = MemDisk::volatile();
    thirty(&memory).close().unwrap();
    tear_the_slot(&memory);
    // As another process finds it, which maps as much as it likes.
    let memory = memory.kill_image();
    let differences = |disk: Arc<dyn Disk>| -> Vec<String> {
        let report = crate::engine::check::check_store(&disk, Path::new(DIR), &mut |_| {}).unwrap();
        report.problems.into_iter().map(|problem| problem.what).collect()
    };
    let found = differences(Arc::new(memory.clone()));
    assert!(found.iter().any(|what| what.contains("a slot looks as if it were being written to")), "{found:?}");
    // Somebody takes the store while its runs are read, and may be what the slot looks like.
    let lock = Path::new(DIR).join("LOCK");
    let held = Mutex::new(None);
    let holder = memory.clone();
    let holding = move || {
        let mut held = held.lock().unwrap();
        if held.is_none() {
            *held = holder.try_lock(&lock)?;
            assert!(held.is_some(), "nobody had it");
        }
        Ok(())
    };
    let disk = Happens { inner: memory, happening: Mutex::new(Some(Box::new(holding))) };
    assert_eq!(differences(Arc::new(disk)), [] as [String; 0]);
}
