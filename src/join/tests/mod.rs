//! Tests of the join as a whole; each step's own lie beside it.

mod filtered;
mod fixtures;
mod loops;
mod spine;
mod types;
