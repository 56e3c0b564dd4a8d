//! The Redis protocol, RESP2 and RESP3.

pub mod command;
pub mod glob;
pub mod hashes;
pub mod keys;
pub mod long_double;
pub mod number;
pub mod protocol;
mod random;
mod scan;
pub mod strings;
