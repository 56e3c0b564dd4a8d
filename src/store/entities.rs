//! The entities of views one after the other, for those who copy them elsewhere.

use super::Store;
use crate::engine::entities::{EntityView, EntityViews};
use crate::engine::entity_keys::EntityKeys;
use crate::error::Result;

impl Store {
    /// The views that take rows, all versions of them, at the present revision of the definitions.
    ///
    /// # Errors
    /// The store was closed.
    pub fn entity_views(&self) -> Result<EntityViews> {
        self.reads.entity_views()
    }

    /// About `count` entities of a view whose key hash is at or above `from`, in the order of these hashes, those that were deleted too;
    /// more in a view that was truncated. The hash is the store's own.
    ///
    /// # Errors
    /// A run is damaged; the store was closed.
    pub fn entity_keys(&self, view: &EntityView, from: u64, count: usize) -> Result<EntityKeys> {
        self.reads.entity_keys_ever(view, from, count)
    }
}
