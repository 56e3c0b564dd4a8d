//! The engine: commit, recover, seal, import, read. It composes the floors below and knows no
//! terminal, no socket and no clock of its own.

mod api_keys;
pub mod apply;
pub mod as_of;
mod building;
pub mod check;
pub mod commit;
mod core;
mod dating;
pub mod entities;
pub mod entity;
pub mod entity_keys;
pub mod explain;
mod filling;
mod follow;
pub mod get;
mod heads;
pub mod historical;
pub mod import;
mod import_build;
pub mod keyspace;
mod known_at;
mod known_rows;
pub mod online;
mod open;
mod orphans;
mod outlived;
pub mod picture;
pub mod provenance;
pub mod reads;
mod replay;
pub mod resolve;
pub mod row_stage;
pub mod run_source;
pub mod scan;
mod seal;
mod summarize;
pub mod summary;
mod tables;
pub mod tail_source;
pub mod winner;
mod winners;
pub mod write;

pub use core::{Engine, EngineOptions};
pub(crate) use reads::closed;
pub use reads::{Reads, Sight};
