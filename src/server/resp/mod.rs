//! The Redis protocol, RESP2 and RESP3.
//!
//! Event loops, one for two cores, serve connections: a connection's bytes become commands where they lie, all commands that are there
//! are done as one batch and answered with one write. Batches that only look at keys are done where they came in, those of several
//! connections in one round (`round`), under one lock for reading. From its first write on a batch goes to the executor, a thread that
//! does those of all connections as one group: one lock, one sync. So answers leave in the order of the commands, and nobody is told what
//! a crash could take back.
//!
//! Keys of database 0 that name entities of feature views are hashes of their rows (`entities`).

mod charge;
mod clients;
pub mod command;
mod config;
mod connection;
mod entities;
mod event_loop;
mod eviction;
mod executor;
pub mod glob;
pub mod hashes;
mod input;
mod job;
pub mod keys;
pub mod long_double;
mod mailbox;
mod memory;
mod notify;
pub mod number;
mod options;
mod outbox;
mod output;
pub mod protocol;
mod pubsub;
mod random;
mod round;
mod running;
mod scan;
mod session;
mod shared;
mod statistics;
pub mod strings;
mod sync;
mod tally;
mod tracking;
mod transport;
mod watch;

pub use options::ServerOptions;
pub use running::{RedisServer, RunningServer, Stopper};

#[cfg(test)]
mod tests;
