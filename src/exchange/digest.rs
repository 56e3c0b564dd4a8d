//! A file's digest, by which a second import of the same contents, read in the same way, is known.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use xxhash_rust::xxh3::Xxh3Default;

use super::file::SourceFile;
use super::kind::FileKind;
use crate::definition::FeatureView;
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

/// What the import ledger knows a file by: the digest of its contents and of the format it is read as, for the same bytes are other rows in
/// another.
///
/// # Errors
/// As for [`file_digest`]; the file's format is not known.
pub(super) fn import_digest(view: &FeatureView, path: &Path) -> Result<String> {
    let format = match FileKind::of_file(&SourceFile::open(path, Arc::default())?)? {
        FileKind::Parquet => "parquet",
        FileKind::Csv if view.source.delimiter.is_none() && FileKind::default_delimiter(path) == b'\t' => "tsv",
        FileKind::Csv => "csv",
        FileKind::JsonLines => "jsonl",
        FileKind::Arrow => "arrow",
    };
    let text = format!("{} {format}", file_digest(path)?);
    Ok(format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes())))
}
