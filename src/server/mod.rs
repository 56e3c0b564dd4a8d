//! Servers: other protocols on the public `Store` API.

pub mod auth;
pub mod resp;
pub mod tls;
