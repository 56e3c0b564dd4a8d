//! What goes on beside the caller's threads, in the process that writes.

use super::control::Server;
use super::maintenance::Maintenance;

/// The store's own threads; dropped with its last clone, before the engine closes.
#[derive(Debug)]
pub(super) struct Background {
    /// First: no call begins any more, and those under way end.
    _server: Option<Server>,
    pub maintenance: Option<Maintenance>,
}

impl Background {
    pub fn new(server: Option<Server>, maintenance: Option<Maintenance>) -> Background {
        Background { _server: server, maintenance }
    }
}
