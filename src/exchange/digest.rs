//! A file's digest, by which a second import of the same contents is known.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use xxhash_rust::xxh3::Xxh3Default;

use super::file::SourceFile;
use crate::error::{Error, Result};

const BUFFER_BYTES: usize = 1 << 20;

/// The xxh3-128 of a file's contents, as 32 hexadecimal digits.
///
/// # Errors
/// The file cannot be read.
pub fn file_digest(path: &Path) -> Result<String> {
    let mut input = SourceFile::open(path, Arc::new(AtomicU64::new(0)))?.cursor();
    let mut hasher = Xxh3Default::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match input.read(&mut buffer).map_err(|error| Error::io("read", path, error))? {
            0 => return Ok(format!("{:032x}", hasher.digest128())),
            count => hasher.update(&buffer[..count]),
        }
    }
}
