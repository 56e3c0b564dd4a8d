//! The thread that keeps a store in shape: seals the log, merges runs, builds lost tables, keeps the sync interval.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::options::Durability;
use crate::time::Clock;

/// How often the thread looks for work that nobody told it of.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The thread, until dropped: it then ends what it is at and is joined.
#[derive(Debug)]
pub(super) struct Maintenance {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Bell {
    is_over: Mutex<bool>,
    rung: Condvar,
}

impl Maintenance {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(engine: &Arc<Engine>, clock: &Arc<dyn Clock>, durability: Durability) -> Result<Maintenance> {
        let bell = Arc::new(Bell::default());
        let every = match durability {
            Durability::Interval(every) => every.min(LOOK_AGAIN),
            Durability::Fsync | Durability::Os => LOOK_AGAIN,
        };
        let (weak, clock, heard) = (Arc::downgrade(engine), Arc::clone(clock), Arc::clone(&bell));
        let thread = std::thread::Builder::new()
            .name("asof-maintenance".to_owned())
            .spawn(move || run(&weak, &*clock, &heard, every, durability))
            .map_err(|source| Error::io("start a thread", engine.reads().dir(), source))?;
        Ok(Maintenance { bell, thread: Some(thread) })
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        *self.bell.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.rung.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the store itself is sound, for it is recovered from any point.
            let _ = thread.join();
        }
    }
}

fn run(engine: &Weak<Engine>, clock: &dyn Clock, bell: &Bell, every: Duration, durability: Durability) {
    let mut failed = None;
    while let Some(engine) = engine.upgrade() {
        let outcome = work(&engine, clock, durability);
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

fn work(engine: &Engine, clock: &dyn Clock, durability: Durability) -> Result<()> {
    if matches!(durability, Durability::Interval(_)) {
        engine.sync()?;
    }
    engine.build_missing_tables()?;
    engine.seal_full(clock.now())?;
    engine.merge(clock.now())?;
    Ok(())
}
