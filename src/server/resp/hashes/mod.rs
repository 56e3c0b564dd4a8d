//! Commands of hashes.

mod deadline;
mod get;
mod increment;
mod random;
mod scan;
mod set;

pub use deadline::{
    expire_at_milliseconds, expire_at_seconds, expire_in_milliseconds, expire_in_seconds, persist,
    time_in_milliseconds, time_in_seconds, time_to_live_in_milliseconds, time_to_live_in_seconds,
};
pub use get::{exists, get, get_all, get_many, keys, length, value_length, values};
pub use increment::{increment_by, increment_by_float};
pub use random::random_field;
pub use scan::scan;
pub use set::{delete, set, set_if_none, set_many};

#[cfg(test)]
mod tests;
