//! Imports that set rows aside, cut short anywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use asof::disk::{CrashMode, Disk, FaultyDisk, MemDisk, Operation, Verdict};
use asof::exchange::{BadRow, QuarantineWriter};
use asof::{BadRows, ImportOptions, Severity, Store};

use super::image::{STORE, path};
use super::windows::{apply, builder, builder_on, read, x};

/// So long a text in a bad row that the file of all of them is written in more than one piece.
const TEXT_BYTES: usize = 400;

/// A folder for files to import, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("asof-set-aside-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    /// Nine rows that can be stored, and a thousand that cannot.
    fn rows(&self) -> PathBuf {
        let good = (0..9).map(|id| format!("{id},2024-03-01T13:00:00Z,7\n"));
        let bad = (0..1_000).map(|id| format!("{id},2024-03-01T13:00:00Z,{:->TEXT_BYTES$}\n", "no number"));
        let lines = std::iter::once("id,event_timestamp,x\n".to_owned()).chain(good).chain(bad);
        let file = self.0.join("rows.csv");
        fs::write(&file, lines.collect::<String>()).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn import(store: &Store, file: &Path) -> PathBuf {
    let options = ImportOptions { bad_rows: BadRows::Quarantine, ..ImportOptions::default() };
    store.import_files("v", &[file.to_path_buf()], &options).unwrap().quarantine.unwrap()
}

/// What lies in `quarantine/` with this ending.
fn set_aside(disk: &MemDisk, ending: &str) -> Vec<PathBuf> {
    let names = disk.list(&path("quarantine")).unwrap_or_default();
    names.into_iter().filter(|name| name.ends_with(ending)).map(|name| path("quarantine").join(name)).collect()
}

/// It stayed for ever once: its name has the number of a run, which never comes again.
#[test]
fn what_a_killed_import_was_setting_aside_goes_at_the_next_opening_as_a_check_says() {
    let folder = Folder::new("killed");
    let file = folder.rows();
    let disk = MemDisk::new();
    let store = builder(&disk).open(STORE).unwrap();
    apply(&store);
    let images: Arc<Mutex<Vec<MemDisk>>> = Arc::default();
    let taken = Arc::clone(&images);
    disk.on_operation(move |info| taken.lock().unwrap().push(info.disk.kill_image()));
    import(&store, &file);
    let images = std::mem::take(&mut *images.lock().unwrap());
    let mut left = 0;
    for (moment, image) in images.into_iter().enumerate() {
        let unfinished = set_aside(&image, ".tmp");
        left += unfinished.len();
        let check = || Store::builder().disk(Arc::new(image.clone())).check(STORE, &mut |_| ()).unwrap().problems;
        for path in unfinished {
            let found = check().into_iter().find(|problem| Path::new(STORE).join(&problem.file) == path).unwrap();
            assert_eq!(found.severity, Severity::Leftover);
            assert!(found.remedy.contains("it is removed when"), "moment {moment}: {found:?}");
        }
        let store = builder(&image).open(STORE).unwrap();
        assert_eq!(set_aside(&image, ".tmp"), Vec::<PathBuf>::new(), "moment {moment}");
        store.close().unwrap();
        assert_eq!(check(), [], "moment {moment}");
    }
    assert!(left > 3, "{left} images with a file that was being written");
}

/// The process that held the store for an import of another's may be gone, and a third one opens it.
#[test]
fn what_is_still_being_written_stays_when_the_store_is_opened() {
    let disk = MemDisk::new();
    builder(&disk).open(STORE).unwrap().close().unwrap();
    let target = path("quarantine/0000000007-v.jsonl");
    let mut writer = QuarantineWriter::new(Arc::new(disk.clone()), &target);
    let values = format!("{{\"x\":\"{}\"}}", "-".repeat(300_000));
    let row = BadRow { file: "rows.csv".into(), row: 1, reason: "it is long".to_owned(), values };
    writer.add_unread(&row).unwrap();
    assert_eq!(set_aside(&disk, ".tmp").len(), 1);
    let store = builder(&disk).open(STORE).unwrap();
    assert_eq!(set_aside(&disk, ".tmp").len(), 1, "its writer lives");
    let mut other = QuarantineWriter::new(Arc::new(disk.clone()), &target);
    let error = other.add_unread(&row).unwrap_err();
    assert_eq!(error.kind(), asof::ErrorKind::Locked, "{error}");
    drop(other);
    assert_eq!(writer.finish().unwrap(), 1);
    assert_eq!((set_aside(&disk, ".tmp").len(), set_aside(&disk, ".jsonl")), (0, vec![target]));
    store.close().unwrap();
}

/// Imports on a disk that believes such operations done, and looks at an image of every moment: what is wrong with the first
/// that lacks a row which it should have.
fn first_loss(name: &str, is_left_out: fn(Operation, &Path) -> bool) -> Option<String> {
    let folder = Folder::new(name);
    let file = folder.rows();
    let disk = MemDisk::new();
    let careless = FaultyDisk::at(Arc::new(disk.clone()), Verdict::Skip, 0, u64::MAX, is_left_out);
    let store = builder_on(Arc::new(careless)).open(STORE).unwrap();
    apply(&store);
    let images: Arc<Mutex<Vec<(String, MemDisk)>>> = Arc::default();
    let taken = Arc::clone(&images);
    disk.on_operation(move |info| {
        let random = [0, 1, 2].map(|seed| CrashMode::Random(info.number * 3 + seed));
        let modes = [CrashMode::DropAll, CrashMode::KeepAll].into_iter().chain(random);
        let image = |mode: CrashMode| {
            let (number, operation, path) = (info.number, info.operation, info.path.display());
            (format!("before operation {number}, {operation:?} of {path}, {mode:?}"), info.disk.crash_image(mode))
        };
        taken.lock().unwrap().extend(modes.map(image));
    });
    let target = import(&store, &file);
    store.close().unwrap();
    let images = std::mem::take(&mut *images.lock().unwrap());
    let whole = read(&disk, &target);
    assert_eq!(whole.iter().filter(|byte| **byte == b'\n').count(), 1_000);
    let mut found = [0, 0];
    for (moment, image) in images {
        let store = builder(&image).open(STORE).unwrap();
        let is_imported = x(&store, 3).is_some();
        found[usize::from(is_imported)] += 1;
        // Before the commit it may be there or not, but not in part.
        let files = set_aside(&image, ".jsonl");
        if files.len() != 1 && (is_imported || !files.is_empty()) {
            return Some(format!("{moment}: the import is there, and of rows that were set aside {files:?}"));
        }
        if files.iter().any(|file| read(&image, file) != whole) {
            return Some(format!("{moment}: {files:?} lacks rows that were set aside"));
        }
    }
    assert!(found[0] > 50 && found[1] > 10, "some before the commit, some after it: {found:?}");
    None
}

#[test]
fn rows_set_aside_are_durable_wherever_their_import_is() {
    assert_eq!(first_loss("sound", |_, _| false), None);
}

#[test]
fn what_makes_rows_set_aside_durable_is_missed_when_it_is_left_out() {
    fn is_in(path: &Path) -> bool {
        path.starts_with(super::image::path("quarantine"))
    }
    let file = first_loss("file", |operation, path| operation == Operation::Sync && is_in(path));
    let folder = first_loss("folder", |operation, path| operation == Operation::SyncDir && is_in(path));
    println!("{file:?}\n{folder:?}");
    assert!(file.is_some() && folder.is_some(), "without a sync of the file: {file:?}; of its folder: {folder:?}");
}
