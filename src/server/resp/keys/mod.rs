//! Commands of keys, whatever they hold.

mod deadline;
mod flush;
mod object;
mod remove;
mod rename;
mod scan;

pub use deadline::{
    expire_at_milliseconds, expire_at_seconds, expire_in_milliseconds, expire_in_seconds, persist,
    time_in_milliseconds, time_in_seconds, time_to_live_in_milliseconds, time_to_live_in_seconds,
};
pub use flush::{count, flush_all, flush_database};
pub use object::{memory, object};
pub use remove::{delete, exists, key_type, touch};
pub use rename::{copy, move_key, rename, rename_if_none};
pub use scan::{keys, random_key, scan};

use crate::keyspace::KeyValue;

/// A type by Redis's name for it.
pub(in crate::server::resp) fn type_name(value: &KeyValue) -> &'static str {
    match value {
        KeyValue::String(_) => "string",
        KeyValue::Hash(_) => "hash",
    }
}

#[cfg(test)]
mod tests;
