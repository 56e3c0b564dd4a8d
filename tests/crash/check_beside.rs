//! A check of a store, and a reader of one that lost its power, to which a writer comes meanwhile, at every moment there is.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use asof::definition::{Definitions, FeatureView};
use asof::disk::{CrashMode, Disk, File, LockGuard, MemDisk, OpenMode};
use asof::value::{DataType, Value};
use asof::{ApplyOptions, BulkOptions, Features, GetOptions, Problem, Result, Severity, Store};
use bytes::Bytes;

use super::image::{STORE, path};
use super::windows::{apply, batch, builder};

/// A disk on which something happens before one of the looks that a process takes at it.
struct Looked {
    inner: MemDisk,
    looks: AtomicU64,
    moment: u64,
    happening: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looked").field("moment", &self.moment).finish_non_exhaustive()
    }
}

impl Looked {
    fn at(&self) -> &MemDisk {
        if self.looks.fetch_add(1, Ordering::SeqCst) == self.moment {
            (self.happening)();
        }
        &self.inner
    }
}

impl Disk for Looked {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        self.at().open(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.at().rename(from, to)
    }
    fn remove(&self, path: &Path) -> Result<()> {
        self.at().remove(path)
    }
    fn create_dir(&self, path: &Path) -> Result<()> {
        self.at().create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.at().remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.at().sync_dir(path)
    }
    fn list(&self, path: &Path) -> Result<Vec<String>> {
        self.at().list(path)
    }
    fn exists(&self, path: &Path) -> Result<bool> {
        self.at().exists(path)
    }
    fn map(&self, path: &Path) -> Result<Bytes> {
        self.at().map(path)
    }
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn LockGuard>>> {
        self.at().try_lock(path)
    }
    fn is_locked(&self, path: &Path) -> Result<bool> {
        self.at().is_locked(path)
    }
    fn boot_id(&self) -> [u8; 16] {
        self.inner.boot_id()
    }
}

/// With the sizes that a check has.
fn open(disk: &MemDisk) -> Store {
    Store::builder().background(false).disk(Arc::new(disk.clone())).open(STORE).unwrap()
}

/// A store with rows, as it is on the disk while its writer has it.
fn written() -> (MemDisk, Store) {
    let disk = MemDisk::new();
    let store = open(&disk);
    apply(&store);
    store.write("v", &batch(0..9, 1, 1)).unwrap();
    (disk, store)
}

/// What a check finds wrong where somebody comes before one of its looks, with the number of that look: of all looks that there
/// are. What `comes` gives stays until the check is done.
fn problems_beside<T: Send + 'static>(
    image: impl Fn() -> MemDisk,
    comes: impl Fn(&MemDisk) -> T + Copy + Send + Sync + 'static,
) -> Vec<(u64, Problem)> {
    let mut problems = Vec::new();
    for moment in 0.. {
        let inner = image();
        let stays: Arc<Mutex<Option<T>>> = Arc::default();
        let (disk, came) = (inner.clone(), Arc::clone(&stays));
        let happening = Box::new(move || *came.lock().unwrap() = Some(comes(&disk)));
        let disk = Arc::new(Looked { inner, looks: AtomicU64::new(0), moment, happening });
        let report = Store::builder().disk(disk).check(STORE, &mut |_| ()).unwrap();
        problems.extend(report.problems.into_iter().map(|problem| (moment, problem)));
        if stays.lock().unwrap().is_none() {
            assert!(moment > 30, "only {moment} looks");
            break;
        }
    }
    problems
}

#[test]
fn a_writer_that_comes_and_seals_while_a_store_is_checked_damages_nothing() {
    let (disk, store) = written();
    let killed = disk.kill_image();
    store.close().unwrap();
    let seals = |disk: &MemDisk| {
        let store = open(disk);
        store.write("v", &batch(0..9, 2, 2)).unwrap();
        store.seal().unwrap();
        store.write("v", &batch(0..9, 3, 3)).unwrap();
        store
    };
    for (image, last) in [(disk.kill_image(), "closed the store"), (killed, "was killed")] {
        let mut damages = problems_beside(|| image.kill_image(), seals);
        damages.retain(|(_, problem)| problem.severity == Severity::Damage);
        assert_eq!(damages, [], "before that look; the last writer {last}");
    }
}

/// Applies one more view, and writes a row to it.
fn write_to_a_new_view(store: &Store) {
    let view = FeatureView::new("b").entity("thing").feature("x", DataType::Int64);
    let definitions = Definitions::new("windows").entity("thing", [("id", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    store.write("b", &batch(0..1, 2, 2)).unwrap();
}

/// Who checks recovers the log for itself then, by a MANIFEST that was read before: a row of a view that came since was damage.
#[test]
fn a_writer_that_comes_with_a_new_view_while_a_check_recovers_for_itself_damages_nothing() {
    let (disk, _store) = written();
    let comes = |disk: &MemDisk| {
        let store = open(disk);
        write_to_a_new_view(&store);
        store
    };
    let mut damages = problems_beside(|| disk.crash_image(CrashMode::KeepAll), comes);
    damages.extend(problems_beside(|| disk.crash_image(CrashMode::KeepAll), move |disk| comes(disk).close().unwrap()));
    damages.retain(|(_, problem)| problem.severity == Severity::Damage);
    assert_eq!(damages, [], "before that look");
}

/// The folders were compared with a MANIFEST that was read before: runs with all the rows there are were said to be a crash's,
/// and their removal a thing of course.
#[test]
fn what_writers_leave_that_come_and_go_while_a_store_is_checked_is_no_leftover() {
    let (disk, store) = written();
    let killed = disk.kill_image();
    store.close().unwrap();
    let imports = |disk: &MemDisk| {
        for round in 2..4 {
            let store = builder(disk).open(STORE).unwrap();
            let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
            bulk.write(&batch(0..9, round, round)).unwrap();
            bulk.commit().unwrap();
            store.close().unwrap();
        }
        let store = builder(disk).open(STORE).unwrap();
        write_to_a_new_view(&store);
        store.compact().unwrap();
        store.close().unwrap();
    };
    for image in [&disk, &killed] {
        assert_eq!(problems_beside(|| image.kill_image(), imports), [], "before that look, beside imports");
    }
    // After a writer that was killed, the next begins a segment.
    let writes = |disk: &MemDisk| {
        let store = open(disk);
        store.write("v", &batch(0..9, 2, 2)).unwrap();
        store.close().unwrap();
    };
    assert_eq!(problems_beside(|| killed.kill_image(), writes), [], "before that look, beside a write");
}

/// A writer that is killed between registry.redb and MANIFEST has committed: the next one takes what the first of them says.
#[test]
fn a_leftover_that_is_removed_at_the_next_opening_is_one() {
    let (disk, store) = written();
    store.close().unwrap();
    drop(store);
    let images: Arc<Mutex<Vec<MemDisk>>> = Arc::default();
    let taken = Arc::clone(&images);
    disk.on_operation(move |info| taken.lock().unwrap().push(info.disk.kill_image()));
    let store = builder(&disk).open(STORE).unwrap();
    for round in 2..4 {
        let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
        bulk.write(&batch(0..9, round, round)).unwrap();
        bulk.commit().unwrap();
    }
    write_to_a_new_view(&store);
    store.compact().unwrap();
    let mut leftovers = 0;
    let mut kept = Vec::new();
    for (number, image) in images.lock().unwrap().iter().enumerate() {
        let report = Store::builder().disk(Arc::new(image.clone())).check(STORE, &mut |_| ()).unwrap();
        drop(open(image));
        for problem in report.problems.into_iter().filter(|problem| problem.severity == Severity::Leftover) {
            leftovers += 1;
            if image.exists(&path(problem.file.to_str().unwrap())).unwrap() {
                kept.push((number, problem));
            }
        }
    }
    assert!(leftovers > 9, "only {leftovers}");
    assert_eq!(kept, [], "killed before that operation, and kept by the next writer");
}

/// Who reads recovers the log for itself then; a segment that the writer sealed and removed meanwhile was damage to it.
#[test]
fn a_writer_that_comes_and_seals_while_a_reader_recovers_for_itself_hides_nothing() {
    let (written, _store) = written();
    for stays in [true, false] {
        let mut refused = Vec::new();
        for moment in 0.. {
            let inner = written.crash_image(CrashMode::KeepAll);
            let writer: Arc<Mutex<Option<Store>>> = Arc::default();
            let has_come = Arc::new(AtomicU64::new(0));
            let (disk, came, counted) = (inner.clone(), Arc::clone(&writer), Arc::clone(&has_come));
            let happening = Box::new(move || {
                counted.fetch_add(1, Ordering::SeqCst);
                let store = open(&disk);
                store.write("v", &batch(0..9, 2, 2)).unwrap();
                store.seal().unwrap();
                if stays {
                    *came.lock().unwrap() = Some(store);
                } else {
                    store.close().unwrap();
                }
            });
            let disk = Arc::new(Looked { inner, looks: AtomicU64::new(0), moment, happening });
            let reader = Store::builder().background(false).disk(disk).open_read_only(STORE);
            let answer = reader.and_then(|reader| {
                reader.get(&Features::list(["v:x"])?, &[("id", Value::Int64(3))], &GetOptions::default())
            });
            match answer {
                Ok(x) => assert!([Value::Int64(1), Value::Int64(2)].contains(&x[0].value), "before look {moment}"),
                Err(error) => refused.push((moment, error.to_string())),
            }
            if has_come.load(Ordering::SeqCst) == 0 {
                assert!(moment > 9, "only {moment} looks");
                break;
            }
        }
        assert_eq!(refused, [], "before that look; the writer stays: {stays}");
    }
}
