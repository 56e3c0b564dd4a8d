//! The campaign against stores that are made wrong on purpose: each must be found out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use asof::disk::{Disk, FaultyDisk, MemDisk, Operation, Verdict};

use super::image::STORE;
use super::life::{Campaign, lock};

/// What a broken store may be given to be found out.
const IMAGES: u64 = 12_000;

/// The first violation that a campaign finds, and after how many images.
fn found_out(campaign: Campaign, first_seed: u64) -> Option<String> {
    super::quiet_panics_within_checks();
    let campaign = Arc::new(campaign);
    campaign.run(first_seed..);
    let violations = lock(&campaign.violations);
    let images = campaign.images.load(std::sync::atomic::Ordering::Relaxed);
    violations.first().map(|violation| format!("after {images} images: {violation}"))
}

/// A campaign in which each opened store believes of such syncs that they were done.
fn without(is_left_out: IsSync) -> Campaign {
    let mut campaign = Campaign::new(IMAGES);
    campaign.wrap =
        Box::new(move |disk| Arc::new(FaultyDisk::at(Arc::new(disk), Verdict::Skip, 0, u64::MAX, is_left_out)));
    campaign
}

fn is_named(path: &Path, name: &str) -> bool {
    path.file_name().is_some_and(|file| file.to_string_lossy().ends_with(name))
}

fn lies_in(path: &Path, folder: &str) -> bool {
    path.starts_with(Path::new(STORE).join(folder))
}

/// Whether an operation on a path is the sync that is left out.
type IsSync = fn(Operation, &Path) -> bool;

/// Each sync that something relies on. Those of the latest tables are not among them, nor those of HEAD: what a crash leaves
/// of a table is told by its own checksums nearly always, and a clean HEAD of an earlier day by what lies beside it, too
/// rarely otherwise for a short test. `old_head` asks whether HEAD's mark is taken back in time.
const SYNCS: [(&str, IsSync); 12] = [
    ("the log", |operation, path| operation == Operation::Sync && lies_in(path, "log")),
    ("the log's folder", |operation, path| operation == Operation::SyncDir && lies_in(path, "log")),
    ("the registry", |operation, path| operation == Operation::Sync && is_named(path, "registry.redb")),
    ("MANIFEST", |operation, path| operation == Operation::Sync && is_named(path, "MANIFEST.tmp")),
    ("STORE", |operation, path| operation == Operation::Sync && is_named(path, "STORE.tmp")),
    ("the store's folder", |operation, path| operation == Operation::SyncDir && path == Path::new(STORE)),
    ("the folder above", |operation, path| operation == Operation::SyncDir && path == Path::new("/")),
    ("runs", |operation, path| operation == Operation::Sync && is_named(path, ".arrow")),
    ("indexes of runs", |operation, path| operation == Operation::Sync && is_named(path, ".idx")),
    ("a view's folder", |operation, path| {
        operation == Operation::SyncDir && lies_in(path, "history") && !is_named(path, "history")
    }),
    ("the folder of views' folders", |operation, path| operation == Operation::SyncDir && is_named(path, "history")),
    ("clock files", |operation, path| {
        operation == Operation::Sync && lies_in(path, "history") && is_named(path, ".tmp")
    }),
];

#[test]
fn each_sync_that_is_left_out_is_noticed() {
    let mut unnoticed = Vec::new();
    for (seed, (name, is_left_out)) in (0..).zip(SYNCS) {
        match found_out(without(is_left_out), 10_000 + seed * 1_000) {
            Some(violation) => println!("{name}: {violation}"),
            None => unnoticed.push(name),
        }
    }
    assert!(unnoticed.is_empty(), "nobody noticed that these were not synced: {unnoticed:?}");
}

#[cfg(debug_assertions)]
#[test]
fn a_log_whose_checksums_nobody_looks_at_is_noticed() {
    let mut campaign = Campaign::new(IMAGES);
    campaign.checks_are_off = true;
    let violation = found_out(campaign, 30_000);
    println!("{violation:?}");
    assert!(violation.is_some());
}

/// A disk on which MANIFEST gets its name only when the files that it no longer names are gone.
fn late_manifest(disk: MemDisk) -> FaultyDisk {
    let (inner, held) = (disk.clone(), Mutex::new(None::<PathBuf>));
    FaultyDisk::new(Arc::new(disk), move |operation, path| {
        let is_manifest = is_named(path, "MANIFEST.tmp");
        // It is removed, made anew, or something else is changed.
        let is_time = match operation {
            Operation::Remove => is_manifest,
            Operation::Create | Operation::OpenWrite | Operation::Rename | Operation::CreateDir => true,
            _ => false,
        };
        let mut held = lock(&held);
        if is_time && let Some(from) = held.take() {
            inner.rename(&from, &from.with_extension("")).unwrap();
            inner.sync_dir(Path::new(STORE)).unwrap();
        }
        if operation == Operation::Rename && is_manifest && inner.exists(&path.with_extension("")).unwrap() {
            *held = Some(path.to_owned());
            return Verdict::Skip;
        }
        Verdict::Proceed
    })
}

#[test]
fn a_manifest_published_after_the_files_are_gone_is_noticed() {
    let mut campaign = Campaign::new(IMAGES);
    campaign.wrap = Box::new(|disk| Arc::new(late_manifest(disk)));
    let violation = found_out(campaign, 40_000);
    println!("{violation:?}");
    assert!(violation.is_some());
}
