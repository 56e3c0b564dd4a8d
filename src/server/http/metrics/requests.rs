//! Requests of each route: how many of each status, and how long they took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::histogram::{Counts, Histogram};
use crate::server::http::stripes::Stripes;

/// Requests of one route.
#[derive(Debug)]
pub(in crate::server::http) struct RouteRequests {
    /// As it stands in the table of routes.
    pub path: &'static str,
    /// By status, those that are not 200.
    others: Mutex<BTreeMap<u16, u64>>,
    counts: Stripes<RouteCounts>,
}

/// What some threads counted of them.
#[derive(Debug, Default)]
struct RouteCounts {
    ok: AtomicU64,
    times: Histogram,
}

impl RouteRequests {
    /// Counts one.
    pub(in crate::server::http) fn observe(&self, status: u16, took: Duration) {
        let counts = self.counts.mine();
        counts.times.observe(took);
        match status {
            200 => drop(counts.ok.fetch_add(1, Ordering::Relaxed)),
            other => *self.others.lock().unwrap_or_else(PoisonError::into_inner).entry(other).or_default() += 1,
        }
    }

    /// How many there were of each status.
    pub(super) fn statuses(&self) -> BTreeMap<u16, u64> {
        let mut statuses = self.others.lock().unwrap_or_else(PoisonError::into_inner).clone();
        statuses.insert(200, self.counts.all().map(|counts| counts.ok.load(Ordering::Relaxed)).sum());
        statuses
    }

    /// How long they took, until the head of the answer.
    pub(super) fn times(&self) -> Counts {
        self.counts.all().map(|counts| counts.times.read()).sum()
    }
}

/// Requests of all routes.
#[derive(Debug, Default)]
pub(in crate::server::http) struct Requests(Mutex<Vec<Arc<RouteRequests>>>);

impl Requests {
    /// Those of one more route.
    pub(in crate::server::http) fn of_route(&self, path: &'static str) -> Arc<RouteRequests> {
        let requests = Arc::new(RouteRequests { path, others: Mutex::default(), counts: Stripes::default() });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&requests));
        requests
    }

    /// Those of each.
    pub(super) fn all(&self) -> Vec<Arc<RouteRequests>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
