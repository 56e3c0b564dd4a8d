//! What killed processes left beside an output, and what only looks like it.

use super::*;
use crate::exchange::temporary::TemporaryFile;

fn rows() -> RecordBatch {
    batch(&[("event_timestamp", "timestamp", vec![Value::Timestamp(7)])])
}

fn view() -> crate::definition::FeatureView {
    let json = serde_json::json!({ "name": "v", "version": 2, "entities": [], "join_keys": [], "features": [] });
    serde_json::from_value(json).unwrap()
}

fn sink(path: &Path) -> Box<dyn Sink> {
    create_sink(path, &rows().schema(), Vec::new()).unwrap()
}

#[test]
fn what_a_killed_process_left_is_removed_by_the_next_one_that_writes_the_same_file() {
    let folder = Folder::new();
    // The number may be that of a process that lives by now.
    let own = format!(".t.csv.asof-tmp-{}-9999999", std::process::id());
    for name in [".t.csv.asof-tmp-1-0", ".t.csv.asof-tmp-4000000000-12", &own] {
        folder.file(name, "half a row");
    }
    folder.file(".t.csv.asof-tmp-2-0/spilled", "");
    let mut others = vec![
        ".t.csv.asof-tmp-1",
        ".t.csv.asof-tmp-1-",
        ".t.csv.asof-tmp-1-0.bak",
        ".t.csv.asof-tmp-x-0",
        ".u.csv.asof-tmp-1-0",
        "t.csv.asof-tmp-1-0",
        ".t.csv.tmp-2024-01",
    ];
    others.iter().for_each(|name| drop(folder.file(name, "mine")));
    others.push(".t.csv.asof-tmp-3-0");
    std::os::unix::fs::symlink(folder.path(others[0]), folder.path(others[7])).unwrap();
    others.push("t.csv");
    others.sort_unstable();
    let mut file = sink(&folder.path("t.csv"));
    file.write(&rows()).unwrap();
    file.finish().unwrap();
    assert_eq!(folder.names(), others);
    assert_eq!(fs::read_to_string(folder.path(".t.csv.asof-tmp-1")).unwrap(), "mine");
}

#[test]
fn what_is_still_being_written_is_left_alone() {
    let folder = Folder::new();
    let target = folder.path("t.csv");
    let mut first = sink(&target);
    let second = sink(&target);
    assert_eq!(folder.names().len(), 2);
    first.write(&rows()).unwrap();
    first.finish().unwrap();
    let third = sink(&target);
    assert_eq!(folder.names().len(), 3, "the second's, the third's, and the file");
    second.finish().unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "event_timestamp\n");
    drop(third);
    assert_eq!(folder.names(), ["t.csv"]);
}

#[test]
fn an_exports_folder_is_removed_when_its_process_is_gone_and_not_before() {
    let folder = Folder::new();
    let view = view();
    folder.file("v/.v2.asof-tmp-1-0/date=2026-03-01/part-00000.parquet", "half");
    let begin = || PartitionedWriter::create(&folder.0, &view, Partition::None, &rows().schema(), Vec::new()).unwrap();
    let names = || fs::read_dir(folder.path("v")).unwrap().count();
    let mut first = begin();
    assert_eq!(names(), 1, "its own");
    let second = begin();
    assert_eq!(names(), 2);
    first.write(&rows()).unwrap();
    assert_eq!(first.finish().unwrap().rows, 1);
    drop(second);
    assert_eq!(names(), 1, "the export");
}

/// Each takes the others' for leftovers unless it is locked, between its making and its locking too.
#[test]
fn many_that_make_the_same_file_at_once_all_succeed() {
    let folder = Folder::new();
    let target = folder.path("t.csv");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let mut file = sink(&target);
                    file.write(&rows()).unwrap();
                    file.finish().unwrap();
                }
            });
        }
    });
    assert_eq!(folder.names(), ["t.csv"]);
}

#[test]
fn a_file_takes_the_place_of_one_as_it_was_reached_and_with_its_permissions() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new();
    let target = folder.file("own.csv", "before");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&target, folder.path("link.csv")).unwrap();
    sink(&folder.path("link.csv")).finish().unwrap();
    assert!(fs::symlink_metadata(folder.path("link.csv")).unwrap().is_symlink(), "the link leads where it did");
    assert_eq!(fs::read_to_string(&target).unwrap(), "event_timestamp\n");
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    let long = format!("{}.csv", "\u{e9}".repeat(125));
    sink(&folder.path(&long)).finish().unwrap();
    assert_eq!(folder.names(), ["link.csv", "own.csv", &long]);
}

#[test]
fn what_is_no_file_is_refused_before_anything_is_written() {
    let folder = Folder::new();
    fs::create_dir(folder.path("d.csv")).unwrap();
    for (path, what) in [(folder.path("d.csv"), "it is a folder"), (PathBuf::from("/dev/null"), "a device")] {
        let Err(error) = TemporaryFile::create(&path) else { panic!("{path:?} was begun") };
        assert!(error.to_string().contains(what) && error.to_string().contains("name a file"), "{error}");
    }
    assert_eq!(folder.names(), ["d.csv"]);
}

/// Everything was written once, and then said to have failed; a second try found a folder that was not empty.
#[cfg(target_os = "linux")]
#[test]
fn into_a_folder_that_may_be_written_to_and_not_read_an_output_goes_as_into_any() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let drop_box = folder.path("drop");
    let allow = |mode| fs::set_permissions(&drop_box, fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir(&drop_box).unwrap();
    allow(0o333);
    let view = view();
    let written = std::thread::scope(|scope| {
        let write = scope.spawn(|| {
            // To root modes mean nothing: this thread does without what makes them so.
            let mut own = capabilities(None).unwrap();
            own.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
            set_capabilities(None, own).unwrap();
            assert_eq!(fs::read_dir(&drop_box).map(drop).unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
            let mut file = sink(&drop_box.join("t.csv"));
            file.write(&rows()).unwrap();
            file.finish().unwrap();
            let (below, schema) = (drop_box.join("new"), rows().schema());
            let mut parts = PartitionedWriter::create(&below, &view, Partition::None, &schema, Vec::new()).unwrap();
            parts.write(&rows()).unwrap();
            parts.finish().unwrap();
        });
        write.join()
    });
    allow(0o700);
    written.unwrap();
    assert!(fs::read_to_string(drop_box.join("t.csv")).unwrap().starts_with("event_timestamp\n"));
    assert!(drop_box.join("new/v/v2/part-00000.parquet").exists(), "{:?}", fs::read_dir(drop_box.join("new/v/v2")));
}
