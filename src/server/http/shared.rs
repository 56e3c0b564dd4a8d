//! What all requests of a server have in common.

use std::sync::Arc;

use super::options::HttpOptions;
use super::prepared::Pool;
use super::registered::Registered;
use crate::error::Result;
use crate::store::Store;

#[derive(Debug)]
pub(super) struct Shared {
    pub store: Store,
    pub options: HttpOptions,
    pub pool: Pool,
    registered: Registered,
}

impl Shared {
    pub(super) fn new(store: Store, options: HttpOptions) -> Shared {
        Shared { store, options, pool: Pool::default(), registered: Registered::default() }
    }

    /// The definitions in force.
    ///
    /// # Errors
    /// The store was closed.
    pub(super) fn definitions(&self) -> Result<Arc<super::registered::InForce>> {
        self.registered.now(&self.store)
    }
}
