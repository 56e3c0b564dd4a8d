//! What all requests of a server have in common.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use tokio::sync::Semaphore;

use super::body;
use super::metrics::{Requests, Served};
use super::options::HttpOptions;
use super::prepared::Pool;
use super::problem::Problem;
use super::rates::Rates;
use super::registered::Registered;
use crate::error::Result;
use crate::server::auth::Grant;
use crate::store::Store;

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
    /// Turns of joins: more at a time than there are cores would not be done sooner.
    pub joins: Semaphore,
    is_stopping: AtomicBool,
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
            joins: Semaphore::new(cores),
            store,
            options,
            pool: Pool::default(),
            is_stopping: AtomicBool::new(false),
            registered: Registered::default(),
        }
    }

    /// Connections that are open.
    pub(super) fn connections(&self) -> usize {
        self.options.connections_max.saturating_sub(self.places.available_permits())
    }

    /// The server stops: what takes long gives up.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        // Who waits for a turn has it no more.
        self.joins.close();
    }

    /// Whether it does.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Reads a body. The key may have been revoked meanwhile.
    ///
    /// # Errors
    /// Those of [`body::read`]; 401.
    pub(super) async fn receive(&self, grant: &Grant, body: Body) -> Result<Bytes, Problem> {
        let body = body::read(body, &self.options).await?;
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
