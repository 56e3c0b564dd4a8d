//! A disk that is full, or fails, at one operation after the other: nothing acknowledged is lost, nothing is half
//! there, the error says what to do, reads go on, and after reopening so do writes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asof::definition::{Definitions, FeatureView};
use asof::disk::{CrashMode, FaultyDisk, MemDisk, Operation, Verdict};
use asof::value::DataType;
use asof::{ApplyOptions, ErrorKind, Row, Store};

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
        // Of a log that was written to, or synced, nobody knows what it kept.
        let may_be_there =
            error.kind() == ErrorKind::Io && error.to_string().contains("look before doing it once more");
        let is_right = error.kind() == kind || tells_later || may_be_there;
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

/// What an error said of a change of the registry.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    DidNotTakePlace,
    MayHave,
    TookPlace,
}

/// A named snapshot on a disk that fails once, at the `number`-th operation that `matches`: what the error says is what the
/// next process finds. `None` where there is no such operation; else what it said, and whether the store took the next
/// write without being opened again.
fn snapshot_on_a_failing_disk(
    number: u64,
    kind: io::ErrorKind,
    matches: fn(Operation) -> bool,
) -> Option<(Said, bool)> {
    let (memory, seen) = (MemDisk::new(), Arc::new(AtomicU64::new(u64::MAX / 2)));
    let counter = Arc::clone(&seen);
    let disk = FaultyDisk::new(Arc::new(memory.clone()), move |operation, _: &Path| {
        match matches(operation) && counter.fetch_add(1, Ordering::SeqCst) == number {
            true => Verdict::Fail(kind),
            false => Verdict::Proceed,
        }
    });
    let builder = Store::builder().background(false);
    let store = builder.clone().disk(Arc::new(disk)).open("/failing").unwrap();
    let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64);
    let definitions = Definitions::new("failing").entity("thing", [("id", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let row = |x: i64| Row::new().at(store.now()).set("id", 1).set("x", x);
    store.write_rows("v", [row(1)]).unwrap();
    seen.store(0, Ordering::SeqCst);
    let failed = store.snapshot("early").err();
    seen.store(u64::MAX / 2, Ordering::SeqCst);
    let error = failed?;
    let goes_on = store.write_rows("v", [row(2)]).is_ok();
    let said = match error.way_out().unwrap_or_default() {
        text if text.contains("it took place, and shows when") => Said::TookPlace,
        text if text.contains("whether it took place shows when") => Said::MayHave,
        _ => Said::DidNotTakePlace,
    };
    assert!(goes_on || said != Said::DidNotTakePlace || kind != io::ErrorKind::StorageFull, "{number}: {error}");
    if goes_on {
        store.snapshot("late").unwrap();
    }
    drop(store);
    let store = builder.disk(Arc::new(memory)).open("/failing").unwrap();
    let names: Vec<_> = store.snapshots().unwrap().into_iter().map(|snapshot| snapshot.name).collect();
    let is_there = names.iter().any(|name| name == "early");
    assert!(
        said == Said::MayHave || is_there == (said == Said::TookPlace),
        "{number}: {error:?}, and there are {names:?}"
    );
    assert_eq!(names.iter().any(|name| name == "late"), goes_on, "{number}: {names:?}");
    Some((said, goes_on))
}

#[test]
fn what_an_error_says_of_a_change_is_what_the_next_process_finds() {
    let all = |kind, matches| -> Vec<(Said, bool)> {
        (0..).map_while(|number| snapshot_on_a_failing_disk(number, kind, matches)).collect()
    };
    let failing = all(io::ErrorKind::Other, |_| true);
    for said in [Said::DidNotTakePlace, Said::MayHave, Said::TookPlace] {
        assert!(failing.iter().any(|(found, _)| *found == said), "{said:?} is among what was said: {failing:?}");
    }
    let full = all(io::ErrorKind::StorageFull, |operation| {
        use Operation::{Allocate, Create, CreateDir, SetLen, Write};
        matches!(operation, Allocate | Create | CreateDir | SetLen | Write)
    });
    assert!(full.len() > 3, "{full:?}");
    let gone_on = full.iter().filter(|(said, goes_on)| *said == Said::DidNotTakePlace && *goes_on).count();
    assert!(gone_on * 2 > full.len(), "once there is space again, most stores go on: {full:?}");
}
