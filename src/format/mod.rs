//! Bytes to structs and back, without I/O. What these modules say in code, storage_format.md says
//! in tables.

pub mod accept;
pub mod checkpoint;
pub mod columns;
pub mod commits;
pub mod keyspace;
pub mod log;
pub mod manifest;
pub mod row;
pub mod row_kind;
pub mod run_index;
pub mod sector;
pub mod slot_sum;
pub mod table;
pub mod truncate;
pub mod value;
