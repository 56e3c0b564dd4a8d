//! The command line: what is typed, what is printed, exit codes.

pub mod args;
pub mod output;
