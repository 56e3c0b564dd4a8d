//! Commands of strings.

mod get;
mod increment;
mod options;
mod part;
mod set;

pub use get::{get, get_and_delete, get_and_expire, get_and_set, mget};
pub use increment::{decrement, decrement_by, increment, increment_by, increment_by_float};
pub use part::{append, get_range, set_range, strlen};
pub use set::{mset, mset_if_none, set, set_for_milliseconds, set_for_seconds, set_if_none};

/// Longest string, in bytes: what `proto-max-bulk-len` says by default.
const STRING_BYTES_MAX: usize = 512 << 20;

#[cfg(test)]
mod tests;
