//! `asof`: an embedded feature store.

pub mod definition;
pub mod disk;
pub mod error;
#[cfg(feature = "parquet")]
pub mod exchange;
pub mod format;
pub mod key;
pub mod options;
pub mod text;
pub mod time;
pub mod value;

pub use error::{Error, ErrorKind, Result};
