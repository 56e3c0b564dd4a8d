//! `GET /metrics`: what requests ask, how long they take, how fresh what they are answered is, and what the store takes.

mod exposition;
mod requests;
mod served;

pub(super) use exposition::metrics;
pub(super) use requests::{Requests, RouteRequests};
pub(super) use served::{Served, ServedColumns};
