//! Runs against a naive model: a sorted vector of rows.

mod bulk;
mod damage;
mod known;
mod model;
mod runs;
