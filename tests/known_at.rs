//! A wall-clock time as a state of knowledge: whoever asks for it again gets the same, whatever was under way when it was asked for first.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, TimestampMicrosecondArray};
use asof::definition::{Definitions, FeatureView};
use asof::disk::{Disk, FaultyDisk, MemDisk, Operation, Verdict};
use asof::format::manifest::VALUE_BYTES_MAX;
use asof::options::Sizes;
use asof::time::{Clock, ManualClock, Timestamp};
use asof::value::DataType;
use asof::{ApplyOptions, BulkOptions, Error, ErrorKind, HistoricalRequest, KnownAt, Store, StoreBuilder};

const DIR: &str = "/known_at";
const PATIENCE: Duration = Duration::from_secs(20);

fn builder(disk: Arc<dyn Disk>, clock: &Arc<ManualClock>) -> StoreBuilder {
    let sizes = Sizes { segment_bytes: 16 << 10, table_reserve_bytes: 16 << 20, ..Sizes::default() };
    let clock: Arc<dyn Clock> = clock.clone();
    Store::builder().sizes(sizes).background(false).clock(clock).disk(disk)
}

fn definitions(features: usize) -> Definitions {
    let view = FeatureView::new("v").entity("thing");
    let view = ["x", "y"][..features].iter().fold(view, |view, name| view.feature(*name, DataType::Int64));
    Definitions::new("known").entity("thing", [("id", DataType::Int64)]).view(view)
}

fn batch(x: i64) -> RecordBatch {
    RecordBatch::try_from_iter([
        ("id", Arc::new((0..5).collect::<Int64Array>()) as ArrayRef),
        ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![0; 5]))),
        ("x", Arc::new(Int64Array::from(vec![x; 5]))),
    ])
    .unwrap()
}

/// The seq that a training set known at `time` says.
fn seq_at(store: &Store, time: Timestamp) -> Result<u64, Error> {
    let spine = batch(0).project(&[0, 1]).unwrap();
    let request = HistoricalRequest { known_at: Some(KnownAt::Time(time)), ..HistoricalRequest::features(["v:x"])? };
    let schema = spine.schema();
    Ok(store.get_historical_features(RecordBatchIterator::new([Ok(spine)], schema), &request)?.known_at_seq())
}

fn import(store: &Store, x: i64) {
    let mut import = store.bulk_writer("v", BulkOptions::default()).unwrap();
    import.write(&batch(x)).unwrap();
    import.commit().unwrap();
}

/// A store with one commit, on a disk that calls `on` before each operation but those of threads named `reader`.
fn store_on(
    memory: &MemDisk,
    clock: &Arc<ManualClock>,
    on: impl Fn(Operation, &Path) -> Verdict + Send + Sync + 'static,
) -> Store {
    let disk = FaultyDisk::new(Arc::new(memory.clone()), move |operation, path: &Path| {
        if std::thread::current().name() == Some("reader") { Verdict::Proceed } else { on(operation, path) }
    });
    let store = builder(Arc::new(disk), clock).open(DIR).unwrap();
    store.apply(&definitions(1), ApplyOptions::default()).unwrap();
    clock.set(Timestamp(1_000));
    store.write("v", &batch(1)).unwrap();
    store
}

type Answer = (&'static str, Timestamp, Result<u64, Error>);

fn ask(who: &'static str, store: Store, time: Timestamp) -> JoinHandle<Answer> {
    let asking = std::thread::Builder::new().name("reader".into());
    asking.spawn(move || (who, time, seq_at(&store, time))).unwrap()
}

#[test]
fn a_time_asked_for_at_any_moment_of_a_commit_means_the_same_when_it_is_asked_for_again() {
    type Change = (&'static str, fn(&Store));
    let changes: [Change; 4] = [
        ("write", |store| drop(store.write("v", &batch(2)).unwrap())),
        ("import", |store| import(store, 2)),
        ("apply", |store| drop(store.apply(&definitions(2), ApplyOptions::default()).unwrap())),
        ("seal", |store| assert!(store.seal().unwrap())),
    ];
    for (what, change) in changes {
        let memory = MemDisk::volatile();
        let clock = Arc::new(ManualClock::new(Timestamp(500)));
        let asked: Arc<Mutex<Vec<JoinHandle<Answer>>>> = Arc::default();
        let stores: Arc<Mutex<Vec<(&'static str, Store)>>> = Arc::default();
        let (asking, asked_of, its_clock) = (Arc::clone(&asked), Arc::clone(&stores), Arc::clone(&clock));
        let store = store_on(&memory, &clock, move |_, _| {
            for (who, store) in asked_of.lock().unwrap().iter() {
                asking.lock().unwrap().push(ask(who, store.clone(), its_clock.now()));
            }
            // Who need not wait for the commit has answered by then.
            std::thread::sleep(Duration::from_millis(5));
            its_clock.set(its_clock.now().saturating_add(10));
            Verdict::Proceed
        });
        let reader = builder(Arc::new(memory.clone()), &clock).open_read_only(DIR).unwrap();
        stores.lock().unwrap().extend([("the writer", store.clone()), ("another process", reader.clone())]);
        clock.set(Timestamp(2_000));
        change(&store);
        stores.lock().unwrap().clear();
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        assert!(asked.len() >= 2, "{what} touches the disk");
        for asked in asked {
            let (who, time, seq) = asked.join().unwrap();
            assert_eq!(seq_at(&store, time).unwrap(), seq.unwrap(), "{what}, {who}, at {time}");
            assert_eq!(seq_at(&reader, time).unwrap(), seq_at(&store, time).unwrap());
        }
    }
}

#[test]
fn a_time_before_that_of_the_commit_under_way_is_not_waited_for() {
    let memory = MemDisk::volatile();
    let clock = Arc::new(ManualClock::new(Timestamp(500)));
    let (is_held, is_there) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (held, there) = (Arc::clone(&is_held), Arc::clone(&is_there));
    let store = store_on(&memory, &clock, move |operation, path| {
        while operation == Operation::Sync
            && path.starts_with(Path::new(DIR).join("log"))
            && held.load(Ordering::SeqCst)
        {
            there.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
        Verdict::Proceed
    });
    clock.set(Timestamp(2_000));
    is_held.store(true, Ordering::SeqCst);
    let writer = store.clone();
    let writing = std::thread::spawn(move || writer.write("v", &batch(2)).unwrap());
    let began = Instant::now();
    while !is_there.load(Ordering::SeqCst) {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    let early = seq_at(&store, Timestamp(999)).unwrap();
    assert_eq!(seq_at(&store, Timestamp(1_999)).unwrap(), 6, "the commit under way has a later time");
    let later = ask("the writer", store.clone(), Timestamp(2_000));
    std::thread::sleep(Duration::from_millis(30));
    assert!(!later.is_finished(), "the commit under way has that time");
    is_held.store(false, Ordering::SeqCst);
    let written = writing.join().unwrap();
    assert_eq!(early, 1);
    assert_eq!(later.join().unwrap().2.unwrap(), written.first_seq + 4);
    assert_eq!(seq_at(&store, Timestamp(1_999)).unwrap(), 6);
    assert_eq!(seq_at(&store, Timestamp(2_000)).unwrap(), written.first_seq + 4);
}

#[test]
fn a_commit_whose_writer_failed_or_was_killed_within_it_keeps_its_time_open_until_the_next_opening() {
    for is_kill in [true, false] {
        let memory = MemDisk::new();
        let clock = Arc::new(ManualClock::new(Timestamp(500)));
        let is_ill = Arc::new(AtomicBool::new(false));
        let killed: Arc<Mutex<Option<MemDisk>>> = Arc::default();
        let (ill, taken, disk) = (Arc::clone(&is_ill), Arc::clone(&killed), memory.clone());
        let store = store_on(&memory, &clock, move |operation, path| {
            let is_log_sync = operation == Operation::Sync && path.starts_with(Path::new(DIR).join("log"));
            if !is_log_sync || !ill.load(Ordering::SeqCst) {
                return Verdict::Proceed;
            }
            if is_kill {
                taken.lock().unwrap().get_or_insert_with(|| disk.kill_image());
                return Verdict::Proceed;
            }
            Verdict::Fail(std::io::ErrorKind::Other)
        });
        clock.set(Timestamp(2_000));
        is_ill.store(true, Ordering::SeqCst);
        let written = store.write("v", &batch(2));
        assert_eq!(written.is_ok(), is_kill);
        clock.set(Timestamp(3_000));
        // The one that failed, and another process after one that was killed.
        let image = killed.lock().unwrap().take();
        let left = match &image {
            Some(image) => builder(Arc::new(image.clone()), &clock).open_read_only(DIR).unwrap(),
            None => store.clone(),
        };
        let early = [999, 1_000, 1_999].map(|time| seq_at(&left, Timestamp(time)).unwrap());
        for time in [2_000, 2_500] {
            let error = seq_at(&left, Timestamp(time)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            assert!(error.to_string().contains("open the store for writing"), "{error}");
        }
        drop(store);
        let disk = image.unwrap_or_else(|| memory.kill_image());
        let next = builder(Arc::new(disk), &clock).open(DIR).unwrap();
        assert_eq!([999, 1_000, 1_999].map(|time| seq_at(&next, Timestamp(time)).unwrap()), early);
        let seqs = [1_999, 2_500].map(|time| seq_at(&next, Timestamp(time)).unwrap());
        assert!(seqs[0] < seqs[1] || !is_kill, "what was logged is found: {seqs:?}");
        if is_kill {
            assert_eq!(seq_at(&left, Timestamp(2_500)).unwrap(), seqs[1], "whoever was refused is answered");
        }
    }
}

#[test]
fn a_change_that_was_refused_leaves_no_time_open() {
    let memory = MemDisk::volatile();
    let clock = Arc::new(ManualClock::new(Timestamp(500)));
    let store = store_on(&memory, &clock, |_, _| Verdict::Proceed);
    let seq = seq_at(&store, Timestamp(1_000)).unwrap();
    // Refused when its record is made, which has the change's time in it: longer than the registry takes.
    let mut long = definitions(2);
    long.views[0].description = "x".repeat(VALUE_BYTES_MAX);
    let error = store.apply(&long, ApplyOptions::default()).unwrap_err();
    assert!(error.to_string().contains("too long for the registry"), "{error}");
    assert_eq!(seq_at(&store, Timestamp(1_000)).unwrap(), seq, "answered at once");
    // And one that took place and gave no number.
    store.snapshot("here").unwrap();
    assert_eq!(seq_at(&store, Timestamp(1_000)).unwrap(), seq, "answered at once");
    store.apply(&definitions(2), ApplyOptions::default()).unwrap();
}

#[test]
fn a_change_for_which_there_was_no_space_leaves_no_time_open() {
    let memory = MemDisk::volatile();
    let clock = Arc::new(ManualClock::new(Timestamp(500)));
    let is_full = Arc::new(AtomicBool::new(false));
    let full = Arc::clone(&is_full);
    let store = store_on(&memory, &clock, move |operation, path| {
        match full.load(Ordering::SeqCst) && operation == Operation::Create && path.ends_with("MANIFEST.tmp") {
            true => Verdict::Fail(std::io::ErrorKind::StorageFull),
            false => Verdict::Proceed,
        }
    });
    let seq = seq_at(&store, Timestamp(1_000)).unwrap();
    is_full.store(true, Ordering::SeqCst);
    // It had its time when it failed.
    store.apply(&definitions(2), ApplyOptions::default()).unwrap_err();
    assert_eq!(seq_at(&store, Timestamp(1_000)).unwrap(), seq, "answered at once");
    is_full.store(false, Ordering::SeqCst);
    store.apply(&definitions(2), ApplyOptions::default()).unwrap();
}

#[test]
fn a_change_that_panicked_within_its_time_keeps_it_open_and_lets_nobody_wait() {
    let memory = MemDisk::volatile();
    let clock = Arc::new(ManualClock::new(Timestamp(500)));
    let is_ill = Arc::new(AtomicBool::new(false));
    let ill = Arc::clone(&is_ill);
    let store = store_on(&memory, &clock, move |operation, path| {
        if ill.load(Ordering::SeqCst) && operation == Operation::Rename && path.ends_with("MANIFEST.tmp") {
            // A panic, without the words that a test runner would print.
            std::panic::resume_unwind(Box::new("the hand of a test"));
        }
        Verdict::Proceed
    });
    let early = seq_at(&store, Timestamp(1_000)).unwrap();
    clock.set(Timestamp(2_000));
    is_ill.store(true, Ordering::SeqCst);
    let applying = store.clone();
    std::thread::spawn(move || applying.apply(&definitions(2), ApplyOptions::default())).join().unwrap_err();
    assert_eq!(store.write("v", &batch(2)).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(seq_at(&store, Timestamp(2_000)).unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(seq_at(&store, Timestamp(1_999)).unwrap(), early);
}

#[test]
fn a_change_that_gives_no_numbers_is_not_waited_for() {
    // Every seal and merge had everybody wait who asked for what is known now.
    let memory = MemDisk::volatile();
    let clock = Arc::new(ManualClock::new(Timestamp(500)));
    let (is_held, is_there) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (held, there) = (Arc::clone(&is_held), Arc::clone(&is_there));
    let store = store_on(&memory, &clock, move |operation, path| {
        while operation == Operation::Rename && path.ends_with("MANIFEST.tmp") && held.load(Ordering::SeqCst) {
            there.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
        Verdict::Proceed
    });
    let seq = seq_at(&store, Timestamp(1_000)).unwrap();
    clock.set(Timestamp(2_000));
    type Change = fn(&Store);
    let seal: Change = |store| assert!(store.seal().unwrap());
    let snapshot: Change = |store| drop(store.snapshot("here").unwrap());
    for change in [seal, snapshot] {
        is_there.store(false, Ordering::SeqCst);
        is_held.store(true, Ordering::SeqCst);
        let changed = store.clone();
        let changing = std::thread::spawn(move || change(&changed));
        let began = Instant::now();
        while !is_there.load(Ordering::SeqCst) {
            assert!(began.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(1));
        }
        let asked = ask("the writer", store.clone(), Timestamp(2_000));
        while !asked.is_finished() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        let is_answered = asked.is_finished();
        is_held.store(false, Ordering::SeqCst);
        changing.join().unwrap();
        assert!(is_answered, "it waited for what gives no numbers");
        assert_eq!(asked.join().unwrap().2.unwrap(), seq);
    }
}
