//! The threads that keep a store in shape: sealing the log, merging runs, building lost tables; and syncing at intervals.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::attempts::{Attempts, Work};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::options::Durability;
use crate::time::Clock;

/// How often the thread looks for work that nobody told it of.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The threads, until dropped: they then end what they are at and are joined.
#[derive(Debug)]
pub(super) struct Maintenance {
    bell: Arc<Bell>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Bell {
    is_over: Mutex<bool>,
    rung: Condvar,
}

impl Maintenance {
    /// Starts the threads: one for the upkeep, and one that syncs where that is done at intervals, because a merge may
    /// take longer than one.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(engine: &Arc<Engine>, clock: &Arc<dyn Clock>, durability: Durability) -> Result<Maintenance> {
        let mut maintenance = Maintenance { bell: Arc::default(), threads: Vec::new() };
        let clock = Arc::clone(clock);
        maintenance
            .spawn(engine, "asof-maintenance", LOOK_AGAIN, move |engine, attempts| work(engine, &*clock, attempts))?;
        if let Durability::Interval(every) = durability {
            maintenance.spawn(engine, "asof-sync", every, |engine, attempts| {
                attempts.attempt(Work::Sync, || engine.sync());
            })?;
        }
        Ok(maintenance)
    }

    fn spawn(
        &mut self,
        engine: &Arc<Engine>,
        name: &str,
        every: Duration,
        work: impl Fn(&Engine, &mut Attempts) + Send + 'static,
    ) -> Result<()> {
        let (weak, heard) = (Arc::downgrade(engine), Arc::clone(&self.bell));
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&weak, &heard, every, work))
            .map_err(|source| Error::io("start a thread", engine.reads().dir(), source))?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        *self.bell.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.rung.notify_all();
        for thread in self.threads.drain(..) {
            // A panic there has been printed; the store itself is sound, for it is recovered from any point.
            let _ = thread.join();
        }
    }
}

fn run(engine: &Weak<Engine>, bell: &Bell, every: Duration, work: impl Fn(&Engine, &mut Attempts)) {
    let mut attempts = Attempts::default();
    while let Some(engine) = engine.upgrade() {
        attempts.begin_round();
        work(&engine, &mut attempts);
        drop(engine);
        let is_over = bell.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_over, _) =
            bell.rung.wait_timeout_while(is_over, every, |is_over| !*is_over).unwrap_or_else(PoisonError::into_inner);
        if *is_over {
            return;
        }
    }
}

fn work(engine: &Engine, clock: &dyn Clock, attempts: &mut Attempts) {
    for id in engine.view_ids() {
        attempts.attempt(Work::Table(id), || engine.build_missing_table(id));
    }
    attempts.attempt(Work::Seal, || engine.seal_full(clock.now()).map(drop));
    for id in engine.view_ids() {
        attempts.attempt(Work::Merge(id), || engine.merge_view(id, clock.now()));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::definition::{Definitions, FeatureView};
    use crate::disk::{FaultyDisk, MemDisk, Operation, Verdict};
    use crate::options::Sizes;
    use crate::time::Timestamp;
    use crate::value::DataType;
    use crate::{ApplyOptions, Row, Store};

    #[test]
    fn a_view_whose_runs_cannot_be_merged_is_tried_seldom_and_keeps_no_other_from_it() {
        let (tries, is_ill) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (tried, ill) = (Arc::clone(&tries), Arc::clone(&is_ill));
        let disk = FaultyDisk::new(Arc::new(MemDisk::volatile()), move |operation, path: &Path| {
            let is_hit = operation == Operation::Create && path.extension().is_some_and(|ending| ending == "arrow");
            if !is_hit || ill.load(Ordering::SeqCst) == 0 || !path.to_string_lossy().contains("1-a@1") {
                return Verdict::Proceed;
            }
            tried.fetch_add(1, Ordering::SeqCst);
            Verdict::Fail(std::io::ErrorKind::Other)
        });
        let sizes = Sizes { table_reserve_bytes: 32 << 20, merge_fanout: 2, ..Sizes::default() };
        let store = Store::builder().sizes(sizes).disk(Arc::new(disk)).background(false).open("/upkeep").unwrap();
        let view = |name: &str| FeatureView::new(name).entity("thing").feature("x", DataType::Int64);
        let definitions = Definitions::new("upkeep").entity("thing", [("id", DataType::Int64)]);
        store.apply(&definitions.view(view("a")).view(view("b")), ApplyOptions::default()).unwrap();
        for at in 0..4 {
            for view in ["a", "b"] {
                store.write_rows(view, [Row::new().at(Timestamp(at)).set("id", 1_i64).set("x", at)]).unwrap();
            }
            store.seal().unwrap();
        }
        is_ill.store(1, Ordering::SeqCst);
        let runs = |view: usize| store.views().unwrap()[view].runs;
        assert_eq!((runs(0), runs(1)), (4, 4));
        let clock: Arc<dyn Clock> = Arc::new(crate::time::SystemClock);
        let maintenance = Maintenance::start(store.engine().unwrap(), &clock, Durability::Fsync).unwrap();
        std::thread::sleep(10 * LOOK_AGAIN);
        assert!(runs(1) < 4, "the other view is merged");
        assert_eq!(runs(0), 4);
        let tries = tries.load(Ordering::SeqCst);
        assert!((1..=4).contains(&tries), "{tries} tries in about ten rounds");
        is_ill.store(0, Ordering::SeqCst);
        let waited = (0..200).find(|_| {
            std::thread::sleep(LOOK_AGAIN / 5);
            runs(0) < 4
        });
        assert!(waited.is_some(), "it is tried again");
        drop(maintenance);
    }
}
