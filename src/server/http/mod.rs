//! The HTTP API: Feast's feature server, and asof's own paths. Two faces over the same store, none with logic of its own.
//!
//! A request goes through the table of routes (`routes.rs`), which says what scope it takes; who shows no key that has it gets no further.
//! Reads are done where they arrive, for they do not wait; what writes waits for the disk on a thread of its own.

mod answer;
mod ask;
mod asked;
mod body;
mod columns;
mod connections;
mod entities;
mod feast;
mod guard;
mod json;
mod media;
mod options;
mod own;
mod platform;
mod prepared;
mod problem;
mod registered;
mod routes;
mod running;
mod shared;
mod spool;

pub use options::HttpOptions;
pub use running::{HttpServer, HttpStopper, RunningHttp};

#[cfg(test)]
mod tests;
