//! The digest by which the import ledger knows a file again.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};

/// xxh3-128 of a file's bytes.
///
/// # Errors
/// The file cannot be read.
pub fn content_digest(path: &Path) -> Result<u128> {
    let mut file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(|error| Error::io("read", path, error))? {
            0 => return Ok(hash.digest128()),
            count => hash.update(&buffer[..count]),
        }
    }
}
