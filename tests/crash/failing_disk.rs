//! A disk that is full, or fails, at one operation after the other: nothing acknowledged is lost, nothing is half
//! there, the error says what to do, reads go on, and after reopening so do writes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asof::ErrorKind;
use asof::disk::{CrashMode, FaultyDisk, MemDisk, Operation, Verdict};

use super::examine::{Trouble, examine};
use super::image::write_on;
use super::life::{Campaign, Life};
use super::model::{Loss, Outcome};

/// Steps that a life takes before its disk is well again.
const STEPS: u64 = 10;

/// A life whose disk refuses the `number`-th operation that `matches`. Whether there was such an operation.
fn suffer(
    (seed, syncs_beside): (u64, bool),
    number: u64,
    kind: io::ErrorKind,
    matches: fn(Operation) -> bool,
) -> Result<bool, Trouble> {
    let seen = Arc::new(AtomicU64::new(0));
    let log_syncs_failed = Arc::new(AtomicU64::new(0));
    let mut campaign = Campaign::new(u64::MAX);
    let (counter, log_syncs) = (Arc::clone(&seen), Arc::clone(&log_syncs_failed));
    campaign.wrap = Box::new(move |disk: MemDisk| {
        let (counter, log_syncs, medium) = (Arc::clone(&counter), Arc::clone(&log_syncs), disk.clone());
        Arc::new(FaultyDisk::new(Arc::new(disk), move |operation, path: &Path| {
            if !matches(operation) || counter.fetch_add(1, Ordering::SeqCst) != number {
                return Verdict::Proceed;
            }
            if operation == Operation::Sync {
                // As on Linux: what this sync was to cover is never written by a later one.
                medium.forget_unsynced(path).unwrap();
                log_syncs.fetch_add(u64::from(path.extension().is_some_and(|end| end == "log")), Ordering::SeqCst);
            }
            Verdict::Fail(kind)
        }))
    });
    let mut life = Life::new(&Arc::new(campaign), seed);
    life.has_thread = false;
    life.syncs_beside = syncs_beside;
    let mut failed = None;
    match life.open(Loss::Process) {
        Ok(mut store) => {
            for _ in 0..STEPS {
                if let Err(error) = life.step(&mut store) {
                    failed = Some(error);
                    break;
                }
            }
            if let (Some(error), Some(opened)) = (&failed, &store) {
                let what = |text: &str| Trouble::Wrong(format!("{text} after {error:?}"));
                // Reads go on, of what they saw before.
                let model = life.model().clone();
                examine(opened, &model, Loss::Process, &mut life.dice).map_err(|trouble| match trouble {
                    Trouble::Wrong(wrong) => what(&wrong),
                    Trouble::Refused(refused) => what(&format!("reads stopped: {refused:?}")),
                })?;
                // The next write is refused, for the log's state is unknown, or it is taken and stays.
                let mut after = model;
                after.acts.retain(|act| act.outcome != Outcome::Open);
                if after.defined(&vec![true; after.acts.len()], after.acts.len()).is_some() {
                    match write_on(opened, &mut after) {
                        Ok(()) if log_syncs_failed.load(Ordering::SeqCst) > 0 => {
                            return Err(what("the log took a write"));
                        }
                        Ok(()) => life.model().shown = after.shown,
                        Err(Trouble::Refused(again)) if again.kind() == ErrorKind::Poisoned => {}
                        Err(again) => return Err(what(&format!("the next write went wrong, {again:?},"))),
                    }
                }
            }
        }
        Err(Trouble::Refused(error)) => failed = Some(error),
        Err(wrong) => return Err(wrong),
    }
    if let Some(error) = &failed {
        let is_full = kind == io::ErrorKind::StorageFull;
        // Where the failure was met by work that is done again later, the next write tells its cause.
        let tells_later = error.kind() == ErrorKind::Poisoned && error.to_string().contains("injected");
        let kind = if is_full { ErrorKind::NoSpace } else { ErrorKind::Io };
        let is_right = error.kind() == kind || tells_later;
        if !is_right || is_full && !error.to_string().contains("free some space") {
            return Err(Trouble::Wrong(format!("the error is {error:?}")));
        }
    }
    // The disk is well again: the next process, then one after a power failure.
    seen.store(u64::MAX / 2, Ordering::SeqCst);
    let was_reached = failed.is_some();
    let mut store = life.open(Loss::Process)?;
    life.step(&mut store)?;
    drop(store);
    life.disk = life.disk.crash_image(CrashMode::Random(seed ^ number));
    let store = life.open(Loss::Power)?;
    let mut model = life.model().clone();
    if let Some(store) = &store {
        write_on(store, &mut model)?;
    }
    Ok(was_reached)
}

/// Runs lives whose disks fail at one operation after the other, until one has no such operation left.
fn at_every_operation(kind: io::ErrorKind, matches: fn(Operation) -> bool) {
    let mut reached = 0;
    for life in [(3, false), (4, false), (4, true)] {
        let mut quiet = 0;
        for number in 0.. {
            match suffer(life, number, kind, matches) {
                Ok(true) => (reached, quiet) = (reached + 1, 0),
                // Some failures are nobody's business: a latest table that cannot be made is made later.
                Ok(false) => quiet += 1,
                Err(trouble) => panic!("life {life:?}, operation {number} fails with {kind:?}: {trouble:?}"),
            }
            if quiet > 40 {
                break;
            }
        }
    }
    assert!(reached > 100, "only {reached} failures were felt");
    println!("{kind:?}: {reached} operations failed in turn");
}

#[test]
fn a_disk_that_is_full_at_any_operation_loses_nothing_and_says_what_to_do() {
    at_every_operation(io::ErrorKind::StorageFull, |operation| {
        use Operation::{Allocate, Create, CreateDir, SetLen, Write};
        matches!(operation, Allocate | Create | CreateDir | SetLen | Write)
    });
}

#[test]
fn a_disk_that_fails_at_any_operation_loses_nothing_that_was_acknowledged() {
    at_every_operation(io::ErrorKind::Other, |_| true);
}
