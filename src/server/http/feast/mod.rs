//! Feast's feature server, as its clients know it: paths, bodies, words and codes of errors.
//!
//! Where Feast answers 500 for a mistake of the caller's, this answers 400 with a body of the same form. Features come in the order in which
//! they were asked for; a value that is older than its view's TTL is `OUTSIDE_MAX_AGE` and null, an entity without a row `NOT_FOUND`.

mod flag;
mod frame;
mod keys;
mod materialize;
mod online;
mod refusal;
mod request;
mod select;
mod write;

pub(super) use materialize::{materialize, materialize_incremental};
pub(super) use online::get_online_features;
pub(super) use write::{push, write_to_online_store};
