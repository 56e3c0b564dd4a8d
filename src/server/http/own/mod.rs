//! asof's own paths: reads of now and of then, what the store holds, where a value came from.

mod catalog;
mod explain;
mod get;

pub(super) use catalog::{entities, find_view, runs, services, snapshots, stats, view, views};
pub(super) use explain::explain;
pub(super) use get::get;
