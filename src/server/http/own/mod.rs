//! asof's own paths: reads of now and of then, point-in-time joins, writes, what the store holds, where a value came from.

mod catalog;
mod explain;
mod get;
mod get_arrow;
mod history;
mod write;

pub(super) use catalog::{entities, find_view, may_read, runs, services, snapshot, snapshots, stats, view, views};
pub(super) use explain::explain;
pub(super) use get::get;
pub(super) use history::history;
pub(super) use write::write;
