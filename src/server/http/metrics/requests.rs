//! Requests of each route: how many of each status, and how long they took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::histogram::{Counts, Histogram};

/// Requests of one route.
#[derive(Debug)]
pub(in crate::server::http) struct RouteRequests {
    /// As it stands in the table of routes.
    pub path: &'static str,
    ok: AtomicU64,
    /// By status, those that are not 200.
    others: Mutex<BTreeMap<u16, u64>>,
    times: Histogram,
}

impl RouteRequests {
    /// Counts one.
    pub(in crate::server::http) fn observe(&self, status: u16, took: Duration) {
        self.times.observe(took);
        match status {
            200 => drop(self.ok.fetch_add(1, Ordering::Relaxed)),
            other => *self.others.lock().unwrap_or_else(PoisonError::into_inner).entry(other).or_default() += 1,
        }
    }

    /// How many there were of each status.
    pub(super) fn statuses(&self) -> BTreeMap<u16, u64> {
        let mut statuses = self.others.lock().unwrap_or_else(PoisonError::into_inner).clone();
        statuses.insert(200, self.ok.load(Ordering::Relaxed));
        statuses
    }

    /// How long they took, until the head of the answer.
    pub(super) fn times(&self) -> Counts {
        self.times.read()
    }
}

/// Requests of all routes.
#[derive(Debug, Default)]
pub(in crate::server::http) struct Requests(Mutex<Vec<Arc<RouteRequests>>>);

impl Requests {
    /// Those of one more route.
    pub(in crate::server::http) fn of_route(&self, path: &'static str) -> Arc<RouteRequests> {
        let requests =
            RouteRequests { path, ok: AtomicU64::new(0), others: Mutex::default(), times: Histogram::default() };
        let requests = Arc::new(requests);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&requests));
        requests
    }

    /// Those of each.
    pub(super) fn all(&self) -> Vec<Arc<RouteRequests>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
