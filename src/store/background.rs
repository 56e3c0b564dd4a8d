//! The store's own threads, in the process that writes: when they go round, how they stop, and what a panic in one does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::control::Server;
use super::upkeep::{Attempts, Piece, go_round};
use crate::caught::message;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::options::Durability;

/// How often the thread looks for work that nobody told it of.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What goes on beside the caller's threads; dropped with the store's last clone, before the engine closes.
#[derive(Debug)]
pub(super) struct Background {
    /// First: no call begins any more, and those under way end.
    _server: Option<Server>,
    upkeep: Mutex<Option<Threads>>,
}

impl Background {
    pub fn new(server: Option<Server>, upkeep: Option<Threads>) -> Background {
        Background { _server: server, upkeep: Mutex::new(upkeep) }
    }

    /// Waits for the piece of upkeep under way; no other begins. Whoever else closes the store waits with it.
    pub fn end_upkeep(&self) {
        drop(self.upkeep.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The threads of the upkeep, until dropped: one after the other, they then end the piece they are at and are joined.
#[derive(Debug)]
pub(super) struct Threads(Vec<(Arc<Bell>, JoinHandle<()>)>);

/// Rung when a thread is to end.
#[derive(Debug, Default)]
pub(super) struct Bell {
    is_over: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_all();
    }

    /// Asked between two pieces of work.
    pub fn has_rung(&self) -> bool {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; whether it rang meanwhile.
    fn wait(&self, time: Duration) -> bool {
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.rung.wait_timeout_while(is_over, time, |is_over| !*is_over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Threads {
    /// Starts the threads: one for the upkeep, and one that syncs where that is done at intervals, because a merge may
    /// take longer than one.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(engine: &Arc<Engine>, durability: Durability) -> Result<Threads> {
        let mut threads = Threads(Vec::new());
        threads.spawn(engine, "asof-upkeep", LOOK_AGAIN, go_round)?;
        // Ends last: rows that come while a piece of upkeep is waited for are synced too.
        if let Durability::Interval(every) = durability {
            threads.spawn(engine, "asof-sync", every, |engine, attempts, _| {
                attempts.attempt(Piece::Sync, || engine.sync().map(|()| false));
            })?;
        }
        Ok(threads)
    }

    fn spawn(
        &mut self,
        engine: &Arc<Engine>,
        name: &'static str,
        every: Duration,
        round: impl Fn(&Engine, &mut Attempts, &Bell) + Send + 'static,
    ) -> Result<()> {
        let (weak, bell) = (Arc::downgrade(engine), Arc::new(Bell::default()));
        let rung_for_it = Arc::clone(&bell);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let rounds = catch_unwind(AssertUnwindSafe(|| go_on(&weak, &rung_for_it, every, round)));
                if let (Err(panic), Some(engine)) = (rounds, weak.upgrade()) {
                    // Rows would no longer be synced, or the log grow without end, and nobody would know.
                    engine.take_no_more_writes(&format!("its thread {name} panicked: {}", message(&*panic)));
                }
            })
            .map_err(|source| Error::io("start a thread", engine.reads().dir(), source))?;
        self.0.push((bell, thread));
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for (bell, thread) in self.0.drain(..) {
            bell.ring();
            // The engine has been told of a panic there.
            let _ = thread.join();
        }
    }
}

fn go_on(engine: &Weak<Engine>, bell: &Bell, every: Duration, round: impl Fn(&Engine, &mut Attempts, &Bell)) {
    let mut attempts = Attempts::default();
    while let Some(engine) = engine.upgrade() {
        attempts.begin_round();
        round(&engine, &mut attempts, bell);
        drop(engine);
        if bell.wait(every) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::definition::{Definitions, FeatureView};
    use crate::disk::{CrashMode, FaultyDisk, MemDisk, Operation, Verdict};
    use crate::options::Sizes;
    use crate::time::Timestamp;
    use crate::value::{DataType, Value};
    use crate::{ApplyOptions, ErrorKind, Features, GetOptions, KnownAt, Row, Store};

    const VIEWS: [&str; 4] = ["a", "b", "c", "d"];
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A store of four views with four runs each, whose upkeep has not begun.
    fn store(disk: FaultyDisk) -> Store {
        let sizes = Sizes { table_reserve_bytes: 32 << 20, merge_fanout: 2, ..Sizes::default() };
        let store = Store::builder().sizes(sizes).disk(Arc::new(disk)).background(false).open("/upkeep").unwrap();
        let view = |name: &&str| FeatureView::new(*name).entity("thing").feature("x", DataType::Int64);
        let definitions = Definitions::new("upkeep").entity("thing", [("id", DataType::Int64)]);
        let definitions = VIEWS.iter().map(view).fold(definitions, Definitions::view);
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        for at in 0..4 {
            for view in VIEWS {
                store.write_rows(view, [row(at)]).unwrap();
            }
            store.seal().unwrap();
        }
        assert_eq!(runs(&store), [4; 4]);
        store
    }

    fn row(at: i64) -> Row {
        Row::new().at(Timestamp(at)).set("id", 1_i64).set("x", at)
    }

    fn runs(store: &Store) -> Vec<usize> {
        store.views().unwrap().iter().map(|view| view.runs).collect()
    }

    fn start(store: &Store, durability: Durability) -> Threads {
        Threads::start(store.engine().unwrap(), durability).unwrap()
    }

    fn wait_for(what: &str, is_so: impl Fn() -> bool) {
        let began = std::time::Instant::now();
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_run(path: &Path) -> bool {
        path.extension().is_some_and(|ending| ending == "arrow")
    }

    #[test]
    fn a_view_whose_runs_cannot_be_merged_is_tried_seldom_and_keeps_no_other_from_it() {
        let (tries, is_ill) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (tried, ill) = (Arc::clone(&tries), Arc::clone(&is_ill));
        let store = store(FaultyDisk::new(Arc::new(MemDisk::volatile()), move |operation, path: &Path| {
            let is_hit = operation == Operation::Create && is_run(path) && path.to_string_lossy().contains("1-a@1");
            if !is_hit || !ill.load(Ordering::SeqCst) {
                return Verdict::Proceed;
            }
            tried.fetch_add(1, Ordering::SeqCst);
            Verdict::Fail(std::io::ErrorKind::Other)
        }));
        is_ill.store(true, Ordering::SeqCst);
        let threads = start(&store, Durability::Fsync);
        std::thread::sleep(10 * LOOK_AGAIN);
        assert!(runs(&store)[1..].iter().all(|runs| *runs < 4), "the other views are merged");
        assert_eq!(runs(&store)[0], 4);
        let tries = tries.load(Ordering::SeqCst);
        assert!((1..=4).contains(&tries), "{tries} tries in about ten rounds");
        is_ill.store(false, Ordering::SeqCst);
        wait_for("it is tried again", || runs(&store)[0] < 4);
        drop(threads);
    }

    #[test]
    fn a_store_that_is_closed_waits_for_the_piece_of_upkeep_under_way_and_for_no_other() {
        let (is_held, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (held, begins) = (Arc::clone(&is_held), Arc::clone(&begun));
        let mut store = store(FaultyDisk::new(Arc::new(MemDisk::volatile()), move |operation, path: &Path| {
            begins.fetch_add(usize::from(operation == Operation::Create && is_run(path)), Ordering::SeqCst);
            while is_run(path) && held.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Verdict::Proceed
        }));
        begun.store(0, Ordering::SeqCst);
        is_held.store(true, Ordering::SeqCst);
        store.background = Some(Arc::new(Background::new(None, Some(start(&store, Durability::Fsync)))));
        wait_for("a merge begins", || begun.load(Ordering::SeqCst) > 0);
        std::thread::scope(|scope| {
            let closing = scope.spawn(|| store.close());
            std::thread::sleep(Duration::from_millis(50));
            let is_waiting = !closing.is_finished();
            is_held.store(false, Ordering::SeqCst);
            closing.join().unwrap().unwrap();
            assert!(is_waiting, "a merge was under way");
        });
        assert_eq!(begun.load(Ordering::SeqCst), 1, "one merge was under way");
        // A closed store does not say.
        let runs: Vec<usize> = store.reads.picture().views.values().map(|view| view.runs.len()).collect();
        assert!(runs[0] < 4, "and was done");
        assert_eq!(runs[1..], [4; 3], "no other view was taken up");
    }

    #[test]
    fn a_panic_in_the_upkeep_is_told_by_the_next_write_and_by_the_close() {
        // While files of a merge are written, and while it is committed, which nobody else can do meanwhile.
        for (ill_operation, ill_path) in [(Operation::SyncDir, "1-a@1"), (Operation::Rename, "MANIFEST.tmp")] {
            let memory = MemDisk::volatile();
            let is_ill = Arc::new(AtomicBool::new(false));
            let ill = Arc::clone(&is_ill);
            let store = store(FaultyDisk::new(Arc::new(memory.clone()), move |operation, path: &Path| {
                if operation == ill_operation && path.ends_with(ill_path) && ill.load(Ordering::SeqCst) {
                    // A panic, without the words that a test runner would print.
                    std::panic::resume_unwind(Box::new("the hand of a test"));
                }
                Verdict::Proceed
            }));
            is_ill.store(true, Ordering::SeqCst);
            let threads = start(&store, Durability::Fsync);
            let write = || store.write_rows("a", [row(9)]);
            wait_for("a write is refused", || write().is_err());
            drop(threads);
            for error in [write().unwrap_err(), store.close().unwrap_err(), store.seal().unwrap_err()] {
                assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
                assert!(error.to_string().contains("asof-upkeep panicked: the hand of a test"), "{error}");
            }
            assert_eq!(x(&store, "b"), 3_i64.into(), "reads go on");
            // A merge gives no numbers: what is known now is certain, whatever became of it.
            let options = GetOptions { known_at: Some(KnownAt::Time(store.now())), ..GetOptions::default() };
            store.get(&Features::list(["b:x"]).unwrap(), &[("id", 1_i64.into())], &options).unwrap();
            drop(store);
            // Nothing is lost, and the next process goes on.
            let store = Store::builder().background(false).disk(Arc::new(memory.kill_image())).open("/upkeep").unwrap();
            assert_eq!(x(&store, "b"), 3_i64.into());
            store.write_rows("a", [row(10)]).unwrap();
            store.compact().unwrap();
            store.close().unwrap();
        }
    }

    #[test]
    fn what_was_acknowledged_before_a_panic_is_synced_by_the_close_that_says_so() {
        let memory = MemDisk::new();
        let builder = Store::builder().durability(Durability::Interval(PATIENCE)).disk(Arc::new(memory.clone()));
        let store = builder.open("/upkeep").unwrap();
        store.background.as_ref().unwrap().end_upkeep();
        let view = FeatureView::new("a").entity("thing").feature("x", DataType::Int64);
        let definitions = Definitions::new("upkeep").entity("thing", [("id", DataType::Int64)]).view(view);
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        store.write_rows("a", [row(7)]).unwrap();
        let after_power_loss = || {
            let disk = Arc::new(memory.crash_image(CrashMode::DropAll));
            x(&Store::builder().background(false).disk(disk).open("/upkeep").unwrap(), "a")
        };
        assert_eq!(after_power_loss(), Value::Null, "the row waits for a sync");
        store.engine().unwrap().take_no_more_writes("the hand of a test");
        assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(after_power_loss(), 7_i64.into());
    }

    #[test]
    fn a_table_that_a_change_of_its_view_took_is_built_by_the_upkeep_and_where_there_is_none_by_the_apply() {
        for has_upkeep in [true, false] {
            let builders: Arc<Mutex<Vec<String>>> = Arc::default();
            let seen = Arc::clone(&builders);
            let disk = FaultyDisk::new(Arc::new(MemDisk::volatile()), move |operation, path: &Path| {
                if operation == Operation::Create && path.ends_with("latest/1-a@1") {
                    seen.lock().unwrap().push(std::thread::current().name().unwrap_or_default().to_owned());
                }
                Verdict::Proceed
            });
            let sizes = Sizes { table_reserve_bytes: 32 << 20, ..Sizes::default() };
            let builder = Store::builder().sizes(sizes).disk(Arc::new(disk)).background(has_upkeep);
            let store = builder.open("/upkeep").unwrap();
            let view = FeatureView::new("a").entity("thing").feature("x", DataType::Int64);
            let definitions = Definitions::new("upkeep").entity("thing", [("id", DataType::Int64)]);
            store.apply(&definitions.clone().view(view.clone()), ApplyOptions::default()).unwrap();
            store.write_rows("a", [row(7)]).unwrap();
            builders.lock().unwrap().clear();
            let wider = definitions.view(view.feature("y", DataType::Int64));
            store.apply(&wider, ApplyOptions::default()).unwrap();
            wait_for("the table is built", || !builders.lock().unwrap().is_empty());
            let this = std::thread::current();
            let builder = if has_upkeep { "asof-upkeep" } else { this.name().unwrap_or_default() };
            assert_eq!(*builders.lock().unwrap(), [builder]);
        }
    }

    fn x(store: &Store, view: &str) -> Value {
        let features = Features::list([format!("{view}:x")]).unwrap();
        store.get(&features, &[("id", 1_i64.into())], &GetOptions::default()).unwrap()[0].value.clone()
    }
}
