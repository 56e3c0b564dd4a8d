//! A check of a store that a writer comes to meanwhile, at every moment there is.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use asof::disk::{Disk, File, LockGuard, MemDisk, OpenMode};
use asof::{Problem, Result, Severity, Store};
use bytes::Bytes;

use super::image::STORE;
use super::windows::{apply, batch};

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

#[test]
fn a_writer_that_comes_and_seals_while_a_store_is_checked_damages_nothing() {
    let closed = MemDisk::new();
    let store = open(&closed);
    apply(&store);
    store.write("v", &batch(0..9, 1, 1)).unwrap();
    store.close().unwrap();
    drop(store);
    let mut damages = Vec::new();
    for moment in 0.. {
        let inner = closed.kill_image();
        let writer: Arc<Mutex<Option<Store>>> = Arc::default();
        let (disk, came) = (inner.clone(), Arc::clone(&writer));
        let happening = Box::new(move || {
            let store = open(&disk);
            store.write("v", &batch(0..9, 2, 2)).unwrap();
            store.seal().unwrap();
            store.write("v", &batch(0..9, 3, 3)).unwrap();
            *came.lock().unwrap() = Some(store);
        });
        let disk = Arc::new(Looked { inner, looks: AtomicU64::new(0), moment, happening });
        let report = Store::builder().disk(disk).check(STORE, &mut |_| ()).unwrap();
        let is_damage = |problem: &Problem| problem.severity == Severity::Damage;
        damages.extend(report.problems.into_iter().filter(is_damage).map(|problem| (moment, problem)));
        if writer.lock().unwrap().is_none() {
            assert!(moment > 30, "only {moment} looks");
            break;
        }
    }
    assert_eq!(damages, [], "before that look");
}
