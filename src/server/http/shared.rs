//! What all requests of a server have in common.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::on_disk;
use super::body::{self, BODY_UNIT_BYTES, Received};
use super::metrics::{Requests, Served};
use super::options::HttpOptions;
use super::prepared::Pool;
use super::problem::Problem;
use super::rates::Rates;
use super::registered::Registered;
use crate::error::Result;
use crate::server::auth::Grant;
use crate::store::Store;

/// Connections that are being refused at a time; others are closed unheard.
const REFUSALS_MAX: usize = 64;
/// Imports that nobody waits for, waiting or under way.
pub(super) const IMPORTS_WAITING_MAX: u32 = 64;

/// What takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turns {
    Joins,
    Imports,
    /// Bodies that are files and are read whole.
    Wholes,
}

/// A turn, until it is dropped.
pub(super) type Turn = OwnedSemaphorePermit;

#[derive(Debug)]
pub(super) struct Shared {
    pub store: Store,
    pub options: HttpOptions,
    pub pool: Pool,
    /// How many requests each key may make.
    pub rates: Rates,
    /// Requests of each route.
    pub requests: Requests,
    /// Feature values of each view.
    pub served: Served,
    /// Places for connections.
    pub places: Arc<Semaphore>,
    /// Places for requests that keep files.
    pub spools: Arc<Semaphore>,
    /// Places for connections that are refused, until they have heard it.
    pub refusals: Arc<Semaphore>,
    /// Places for imports that nobody waits for.
    pub imports_waiting: Arc<Semaphore>,
    /// Bytes of bodies that are held in memory, in units of [`BODY_UNIT_BYTES`].
    bodies: Arc<Semaphore>,
    /// Turns of each kind: more at a time than there are cores would not be done sooner.
    joins: Arc<Semaphore>,
    imports: Arc<Semaphore>,
    wholes: Arc<Semaphore>,
    /// No more work is begun.
    is_stopping: AtomicBool,
    /// Work that goes on gives up.
    has_no_time: AtomicBool,
    registered: Registered,
}

impl Shared {
    pub(super) fn new(store: Store, options: HttpOptions) -> Shared {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Shared {
            rates: Rates::new(options.requests_per_second),
            requests: Requests::default(),
            served: Served::default(),
            places: Arc::new(Semaphore::new(options.connections_max)),
            spools: Arc::new(Semaphore::new(options.spools_max)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            imports_waiting: Arc::new(Semaphore::new(IMPORTS_WAITING_MAX as usize)),
            bodies: Arc::new(Semaphore::new(options.bodies_bytes_max / BODY_UNIT_BYTES)),
            joins: Arc::new(Semaphore::new(cores)),
            imports: Arc::new(Semaphore::new(cores)),
            wholes: Arc::new(Semaphore::new(cores)),
            store,
            options,
            pool: Pool::default(),
            is_stopping: AtomicBool::new(false),
            has_no_time: AtomicBool::new(false),
            registered: Registered::default(),
        }
    }

    /// Connections that are open.
    pub(super) fn connections(&self) -> usize {
        self.options.connections_max.saturating_sub(self.places.available_permits())
    }

    /// The server stops: who waits for a turn has it no more.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.joins.close();
        self.imports.close();
        self.wholes.close();
    }

    /// The time is over that what goes on was given.
    pub(super) fn give_up(&self) {
        self.has_no_time.store(true, Ordering::Relaxed);
    }

    /// Does what takes long when its turn has come. The turn goes with the work, which may give it back before its end: a caller that leaves
    /// does not make room for another while the work goes on. The key may have been revoked meanwhile.
    ///
    /// # Errors
    /// Those of `work`; 401; 503 when the server stops before.
    pub(super) async fn in_turn<T: Send + 'static>(
        self: &Arc<Self>,
        turns: Turns,
        grant: Arc<Grant>,
        work: impl FnOnce(Turn) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turns = match turns {
            Turns::Joins => &self.joins,
            Turns::Imports => &self.imports,
            Turns::Wholes => &self.wholes,
        };
        let Ok(turn) = Arc::clone(turns).acquire_owned().await else { return Err(Problem::stopping()) };
        let shared = Arc::clone(self);
        on_disk(move || {
            shared.check_still(&grant)?;
            work(turn)
        })
        .await
    }

    /// Whether it stops: what has parts does not begin another.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Whether what goes on is to end at once.
    pub(super) fn has_no_time(&self) -> bool {
        self.has_no_time.load(Ordering::Relaxed)
    }

    /// Reads a body. The key may have been revoked meanwhile.
    ///
    /// # Errors
    /// Those of [`body::read`]; 401.
    pub(super) async fn receive(&self, grant: &Grant, body: Body) -> Result<Received, Problem> {
        let body = body::read(body, &self.options, &self.bodies).await?;
        self.check_still(grant)?;
        Ok(body)
    }

    /// Refuses a key that was revoked since it was looked at.
    ///
    /// # Errors
    /// 401.
    pub(super) fn check_still(&self, grant: &Grant) -> Result<(), Problem> {
        match self.options.authenticator.still_grants(grant) {
            true => Ok(()),
            false => Err(Problem::new(StatusCode::UNAUTHORIZED, format!("the key {} was revoked", grant.name))),
        }
    }

    /// The definitions in force.
    ///
    /// # Errors
    /// The store was closed.
    pub(super) fn definitions(&self) -> Result<Arc<super::registered::InForce>> {
        self.registered.now(&self.store)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    fn anybody() -> Arc<Grant> {
        HttpOptions::default().authenticator.unasked().unwrap()
    }

    /// A turn was given back when its caller left, while the work went on.
    #[test]
    fn a_turn_ends_with_the_work_and_not_with_its_caller() {
        let store = Store::temporary().unwrap();
        let shared = Arc::new(Shared::new((*store).clone(), HttpOptions::default()));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
        let turns = shared.joins.available_permits();
        let (begun, all_begun) = channel();
        let mut ends = Vec::new();
        let callers: Vec<_> = (0..turns)
            .map(|_| {
                let (shared, begun, (end, ended)) = (Arc::clone(&shared), begun.clone(), channel::<()>());
                ends.push(end);
                runtime.spawn(async move {
                    let work = move |_turn| {
                        begun.send(()).unwrap();
                        // Until its end is dropped.
                        let _ = ended.recv();
                        Ok(())
                    };
                    shared.in_turn(Turns::Joins, anybody(), work).await
                })
            })
            .collect();
        (0..turns).for_each(|_| all_begun.recv_timeout(Duration::from_secs(10)).unwrap());
        runtime.block_on(async {
            for caller in callers {
                caller.abort();
                assert!(caller.await.unwrap_err().is_cancelled());
            }
        });
        assert_eq!(shared.joins.available_permits(), 0, "the work goes on");
        let waiting = runtime.spawn({
            let shared = Arc::clone(&shared);
            async move { shared.in_turn(Turns::Joins, anybody(), |_turn| Ok(())).await }
        });
        shared.stop();
        assert_eq!(runtime.block_on(waiting).unwrap(), Err(Problem::stopping()));
        drop(ends);
    }
}
