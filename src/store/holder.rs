//! Where a store's writes go: into this process's engine, to another process, nowhere.

use std::sync::{Arc, Weak};

use super::Store;
use super::control::Client;
use crate::engine::Engine;
use crate::time::Clock;

/// Where writes go.
#[derive(Clone)]
pub(super) enum Writes {
    /// To this process's engine.
    Here(Arc<Engine>),
    /// To the process that holds the store.
    There(Arc<Client>),
    /// Nowhere: the store was opened for reading.
    Nowhere,
    /// Nowhere: it was closed, and its engine given up.
    Closed,
}

/// A store for its own threads, which must not keep it open.
#[derive(Clone)]
pub(super) struct WeakStore {
    pub engine: Weak<Engine>,
    pub has_upkeep: bool,
    pub clock: Arc<dyn Clock>,
    pub max_future_skew_us: i64,
}

impl WeakStore {
    /// The store, unless it was closed.
    pub fn upgrade(&self) -> Option<Store> {
        let engine = self.engine.upgrade()?;
        Some(Store {
            background: None,
            has_upkeep: self.has_upkeep,
            reads: Arc::clone(engine.reads()),
            writes: Writes::Here(engine),
            clock: Arc::clone(&self.clock),
            max_future_skew_us: self.max_future_skew_us,
        })
    }
}
