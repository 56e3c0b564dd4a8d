//! The layout of Feast's Redis store: one hash for each entity, with the features of all views over the same join keys.
//!
//! | part | bytes |
//! | --- | --- |
//! | key | how many join keys; their names in order, their values: see `key.rs`; then the project's name |
//! | field of a feature | Murmur3, 32 bits, seed 0, of `view:feature`, little-endian |
//! | its value | Feast's `Value`, a Protocol Buffers message: see `value.rs`; of a null no bytes |
//! | field `_ts:view` | the event time, a `Timestamp` message |

mod field;
mod group;
mod key;
mod outgoing;
mod protobuf;
mod value;

#[cfg(test)]
pub(super) use field::of_feature as field_of_feature;
pub(super) use group::{FeastView, groups};
pub(super) use key::{decode as decode_key, suffix_pattern};
pub(super) use outgoing::Feast;
pub(super) use protobuf::timestamp_of;
pub(super) use value::{decode as decode_value, to_join_key};
