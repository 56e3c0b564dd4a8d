//! The program as it is typed: what it prints, what it leaves, its exit status.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

mod bad_input;
mod commands;
mod damage;
mod demo;
mod descriptors;
mod documents;
mod exports;
mod full_disk;
mod keys;
mod manifest;
mod misspelt;
mod serving;
mod shown;
mod support;
mod types;
