//! What the tests of this package stand on: servers that are started and stopped, and a client that keeps every byte of an answer.
//!
//! `cargo test -p asof-clients` starts `asof serve` and Debian's `redis-server` on free loopback ports and has the same clients talk
//! to both. What differs fails the test.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

pub mod cluster;
pub mod process;
pub mod random;
pub mod server;
pub mod wire;

pub use cluster::Cluster;
pub use process::Folder;
pub use random::Random;
pub use server::Server;
pub use wire::{Connection, Reply};
