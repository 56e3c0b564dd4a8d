//! asof's own paths: reads of now and of then, point-in-time joins, what the store holds, where a value came from.

mod catalog;
mod explain;
mod get;
mod history;

pub(super) use catalog::{entities, find_view, runs, services, snapshots, stats, view, views};
pub(super) use explain::explain;
pub(super) use get::get;
pub(super) use history::{Asked, history, join, write_lines};
