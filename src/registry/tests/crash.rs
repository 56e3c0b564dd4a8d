//! Power failures at every operation of commit and publish.
//!
//! A disk that notes every operation, and the images that a crash could leave: each prefix of the
//! operations, with what was synced kept and any part of the rest, by sectors, kept or lost.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;

use super::*;
use crate::disk::{File, LockGuard, MapAccess, SharedMap};

#[derive(Clone, Debug)]
enum Step {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir,
    Write(u64, u64, Vec<u8>),
    SetLen(u64, u64),
    Sync(u64),
}

type Steps = Arc<Mutex<Vec<Step>>>;

#[derive(Debug)]
struct NotingDisk {
    inner: MemDisk,
    steps: Steps,
}

#[derive(Debug)]
struct NotingFile {
    inner: Arc<dyn File>,
    inode: u64,
    steps: Steps,
}

fn note(steps: &Steps, step: Step) {
    steps.lock().unwrap().push(step);
}

impl Disk for NotingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        let inner = self.inner.open(path, mode)?;
        let inode = inner.identity()?.1;
        if mode == OpenMode::Create {
            note(&self.steps, Step::Create(path.to_owned(), inode));
        }
        Ok(Arc::new(NotingFile { inner, inode, steps: Arc::clone(&self.steps) }))
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        note(&self.steps, Step::Rename(from.to_owned(), to.to_owned()));
        self.inner.rename(from, to)
    }
    fn remove(&self, path: &Path) -> Result<()> {
        self.inner.remove(path)?;
        note(&self.steps, Step::Remove(path.to_owned()));
        Ok(())
    }
    fn create_dir(&self, path: &Path) -> Result<()> {
        self.inner.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.inner.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> Result<()> {
        note(&self.steps, Step::SyncDir);
        self.inner.sync_dir(path)
    }
    fn list(&self, path: &Path) -> Result<Vec<String>> {
        self.inner.list(path)
    }
    fn exists(&self, path: &Path) -> Result<bool> {
        self.inner.exists(path)
    }
    fn map(&self, path: &Path) -> Result<Bytes> {
        self.inner.map(path)
    }
    fn map_shared(&self, path: &Path, access: MapAccess, reserve_bytes: u64) -> Result<Arc<SharedMap>> {
        self.inner.map_shared(path, access, reserve_bytes)
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

impl File for NotingFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.inner.read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        note(&self.steps, Step::Write(self.inode, offset, bytes.to_vec()));
        self.inner.write_at(offset, bytes)
    }
    fn len_bytes(&self) -> Result<u64> {
        self.inner.len_bytes()
    }
    fn set_len(&self, len_bytes: u64) -> Result<()> {
        note(&self.steps, Step::SetLen(self.inode, len_bytes));
        self.inner.set_len(len_bytes)
    }
    fn allocate(&self, len_bytes: u64) -> Result<()> {
        self.set_len(len_bytes)
    }
    fn sync(&self) -> Result<()> {
        note(&self.steps, Step::Sync(self.inode));
        self.inner.sync()
    }
    fn identity(&self) -> Result<(u64, u64)> {
        self.inner.identity()
    }
}

/// What a crash keeps of the operations that were not synced.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Nothing,
    Everything,
    /// This seed's choice, sector by sector.
    Some(u64),
}

/// The disk's durable side, built up step by step.
#[derive(Clone, Default)]
struct Medium {
    names: BTreeMap<PathBuf, u64>,
    names_pending: Vec<Step>,
    files: BTreeMap<u64, Vec<u8>>,
    files_pending: BTreeMap<u64, Vec<Step>>,
}

impl Medium {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Create(..) | Step::Rename(..) | Step::Remove(_) => self.names_pending.push(step.clone()),
            Step::SyncDir => {
                std::mem::take(&mut self.names_pending).iter().for_each(|step| apply_name(&mut self.names, step))
            }
            Step::Write(inode, ..) | Step::SetLen(inode, _) => {
                self.files_pending.entry(*inode).or_default().push(step.clone());
            }
            Step::Sync(inode) => {
                let file = self.files.entry(*inode).or_default();
                let pending = self.files_pending.remove(inode).unwrap_or_default();
                pending.iter().for_each(|step| apply_bytes(file, step, &mut || true));
            }
        }
    }

    /// A disk as it could be found after a crash now.
    fn image(&self, kept: Kept) -> Arc<dyn Disk> {
        let mut random = if let Kept::Some(seed) = kept { seed } else { 0 };
        let mut choose = || match kept {
            Kept::Nothing => false,
            Kept::Everything => true,
            Kept::Some(_) => {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                random >> 63 == 1
            }
        };
        let mut names = self.names.clone();
        // Names change in order: what is kept is a prefix.
        self.names_pending.iter().take_while(|_| choose()).for_each(|step| apply_name(&mut names, step));
        let (_, disk) = disk();
        for (path, inode) in names {
            let mut bytes = self.files.get(&inode).cloned().unwrap_or_default();
            for step in self.files_pending.get(&inode).into_iter().flatten() {
                apply_bytes(&mut bytes, step, &mut choose);
            }
            disk.open(&path, OpenMode::Create).unwrap().write_at(0, &bytes).unwrap();
        }
        disk
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, u64>, step: &Step) {
    match step {
        Step::Create(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        Step::Rename(from, to) => {
            let inode = names.remove(from).unwrap();
            names.insert(to.clone(), inode);
        }
        Step::Remove(path) => {
            names.remove(path);
        }
        _ => unreachable!("no change of names"),
    }
}

fn apply_bytes(file: &mut Vec<u8>, step: &Step, keep: &mut dyn FnMut() -> bool) {
    match step {
        Step::SetLen(_, len) if keep() => file.resize(usize::try_from(*len).unwrap(), 0),
        Step::Write(_, offset, bytes) => {
            let mut at = usize::try_from(*offset).unwrap();
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (sector, tail) = rest.split_at(rest.len().min(512 - at % 512));
                if keep() {
                    file.resize(file.len().max(at + sector.len()), 0);
                    file[at..at + sector.len()].copy_from_slice(sector);
                }
                at += sector.len();
                rest = tail;
            }
        }
        _ => {}
    }
}

#[test]
fn a_crash_at_any_operation_leaves_the_state_before_or_after_and_loses_nothing_committed() {
    let (inner, _) = disk();
    let steps = Steps::default();
    let disk: Arc<dyn Disk> = Arc::new(NotingDisk { inner, steps: Arc::clone(&steps) });
    let registry = created(&disk);
    let len = || steps.lock().unwrap().len();
    // (operations done, mark): when a commit began, and when it returned.
    let mut begun = vec![(len(), 0)];
    let mut acknowledged = vec![(len(), 0)];
    for seq in 1..=3 {
        begun.push((len(), seq));
        commit_mark(&registry, seq).unwrap();
        // Durable on return, before it is published.
        acknowledged.push((len(), seq));
        publish(&disk, &registry);
    }
    drop(registry);
    begun.push((len(), 3));
    let first = acknowledged[0].0;
    let steps = steps.lock().unwrap().clone();
    let reached = |stages: &[(usize, u64)], done: usize| {
        stages.iter().take_while(|(at, _)| *at <= done).map(|(_, mark)| *mark).last().unwrap()
    };

    let mut medium = Medium::default();
    let mut images = 0;
    for (done, step) in (1..).zip(&steps) {
        medium.step(step);
        if done < first {
            continue;
        }
        let (least, most) = (reached(&acknowledged, done), reached(&begun, done));
        let seeds = (0..6_u64).map(|seed| Kept::Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ done as u64));
        for kept in [Kept::Nothing, Kept::Everything].into_iter().chain(seeds) {
            let case = format!("crash after operation {done} of {}, {kept:?} kept", steps.len());
            let image = medium.image(kept);
            let opened = open(&image).unwrap_or_else(|error| panic!("{case}: {error}"));
            let found = mark(&opened.registry);
            assert!((least..=most).contains(&found), "{case}: found {found}, expected {least} to {most}");
            if opened.must_publish {
                publish(&image, &opened.registry);
            }
            commit_mark(&opened.registry, found + 1).unwrap();
            images += 1;
        }
    }
    assert!(images > 200, "{images}");
}

/// STORE comes last, so a creation cut short is no store, and the next attempt begins afresh.
#[test]
fn a_creation_cut_short_can_be_made_again() {
    let (inner, _) = disk();
    let steps = Steps::default();
    let disk: Arc<dyn Disk> = Arc::new(NotingDisk { inner, steps: Arc::clone(&steps) });
    drop(created(&disk));
    let identity = crate::identity::Identity::new(UUID, 1);
    identity.write(&*disk, dir()).unwrap();
    let steps = steps.lock().unwrap().clone();
    let mut medium = Medium::default();
    for (done, step) in (1..).zip(&steps) {
        medium.step(step);
        for kept in [Kept::Nothing, Kept::Everything, Kept::Some(done)] {
            let image = medium.image(kept);
            if crate::identity::exists(&*image, dir()).unwrap() {
                assert_eq!(crate::identity::Identity::read(&*image, dir()).unwrap(), identity);
                assert_eq!(mark(&open(&image).unwrap().registry), 0);
            } else {
                crate::identity::check_vacant(&*image, dir()).unwrap();
                assert_eq!(mark(&created(&image)), 0);
            }
        }
    }
}
