//! The HTTP API: Feast's feature server, and asof's own paths. Two faces over the same store, none with logic of its own.
//!
//! A request goes through the table of routes (`routes.rs`), which says what scope it takes; who shows no key that has it gets no further.
//! Reads of now are done where they arrive, for they do not wait. What takes long leaves its thread to others, and what waits for the disk does
//! so on a thread of its own.

mod answer;
mod ask;
mod body;
mod columns;
mod connections;
mod entities;
mod feast;
mod front;
mod guard;
mod health;
mod joining;
mod json;
mod media;
mod metrics;
mod names;
mod openapi;
mod options;
mod own;
mod params;
mod platform;
mod prepared;
mod problem;
mod rates;
mod reading;
mod registered;
mod request_log;
mod routes;
mod rows;
mod running;
mod shared;
mod spool;
mod stripes;

pub use options::HttpOptions;
pub use running::{HttpServer, HttpStopper, RunningHttp};

#[cfg(test)]
mod tests;
