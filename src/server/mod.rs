//! Servers: other protocols on the public `Store` API.

pub mod auth;
mod descriptors;
mod exposure;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "resp")]
pub mod resp;
pub mod tls;
