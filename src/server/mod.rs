//! Servers: other protocols on the public `Store` API.

pub mod resp;
