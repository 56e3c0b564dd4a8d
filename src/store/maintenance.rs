//! The threads that keep a store in shape: sealing the log, merging runs, building lost tables; and syncing at intervals.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

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
        maintenance.spawn(engine, "asof-maintenance", LOOK_AGAIN, move |engine| work(engine, &*clock))?;
        if let Durability::Interval(every) = durability {
            maintenance.spawn(engine, "asof-sync", every, Engine::sync)?;
        }
        Ok(maintenance)
    }

    fn spawn(
        &mut self,
        engine: &Arc<Engine>,
        name: &str,
        every: Duration,
        work: impl Fn(&Engine) -> Result<()> + Send + 'static,
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

fn run(engine: &Weak<Engine>, bell: &Bell, every: Duration, work: impl Fn(&Engine) -> Result<()>) {
    let mut failed = None;
    while let Some(engine) = engine.upgrade() {
        let outcome = work(&engine);
        drop(engine);
        // The same failure again and again is one line in the log.
        let said = outcome.err().map(|error| error.to_string());
        if let Some(error) = said.as_ref().filter(|_| said != failed) {
            tracing::warn!(error, "upkeep of the store failed; it is tried again");
        }
        failed = said;
        let is_over = bell.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_over, _) =
            bell.rung.wait_timeout_while(is_over, every, |is_over| !*is_over).unwrap_or_else(PoisonError::into_inner);
        if *is_over {
            return;
        }
    }
}

fn work(engine: &Engine, clock: &dyn Clock) -> Result<()> {
    let built = engine.build_missing_tables();
    engine.seal_full(clock.now())?;
    engine.merge(clock.now())?;
    built
}
