//! Runs against a naive model: a sorted vector of rows.

mod bulk;
mod damage;
mod model;
mod runs;
