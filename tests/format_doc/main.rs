//! storage_format.md against the code: layout tables without gaps, constants of equal value, and one
//! known instance of each structure, byte by byte where the document says it lies.
//!
//! Files: `document` what the document says, `layouts` its tables and constants; then by what lies on disk: `store`
//! STORE, HEAD, MANIFEST, `log` the log and its rows, `runs`, `table`, `checkpoint`, and `registry`, whose records are JSON.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

mod checkpoint;
mod document;
mod layouts;
mod log;
mod registry;
mod runs;
mod store;
mod table;
