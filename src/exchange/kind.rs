//! What sort of file a path holds: by its extension, checked against its first bytes.

use std::path::Path;

use super::file::SourceFile;
use crate::error::{Error, Result};

/// A file format that rows are read from or written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Apache Parquet.
    Parquet,
    /// Delimiter-separated text with a header line.
    Csv,
    /// One JSON object a line.
    JsonLines,
    /// Arrow IPC, the file or the stream form; the first bytes tell which.
    Arrow,
}

const EXTENSIONS: [(&str, FileKind); 9] = [
    ("parquet", FileKind::Parquet),
    ("csv", FileKind::Csv),
    ("tsv", FileKind::Csv),
    ("jsonl", FileKind::JsonLines),
    ("ndjson", FileKind::JsonLines),
    ("arrow", FileKind::Arrow),
    ("arrows", FileKind::Arrow),
    ("feather", FileKind::Arrow),
    ("ipc", FileKind::Arrow),
];
/// Every Parquet file begins and ends with these.
pub(super) const PARQUET_MAGIC: &[u8] = b"PAR1";
/// An Arrow IPC file, as opposed to a stream, begins with these.
pub(super) const ARROW_FILE_MAGIC: &[u8] = b"ARROW1";
const FEATHER_1_MAGIC: &[u8] = b"FEA1";
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

impl FileKind {
    /// The format that a path's extension names.
    pub fn of_path(path: &Path) -> Option<FileKind> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|&(_, kind)| kind)
    }

    /// The delimiter of a text file whose definition names none: a tab in `.tsv`, else a comma.
    pub(super) fn default_delimiter(path: &Path) -> u8 {
        let is_tsv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
        if is_tsv { b'\t' } else { b',' }
    }

    /// The format of an open file.
    pub(super) fn of_file(file: &SourceFile) -> Result<FileKind> {
        let mut head = [0; 6];
        let len = file.read_up_to(0, &mut head)?;
        let head = &head[..len];
        let held = if head.starts_with(PARQUET_MAGIC) {
            Some((FileKind::Parquet, "Parquet"))
        } else if head.starts_with(ARROW_FILE_MAGIC) {
            Some((FileKind::Arrow, "Arrow IPC"))
        } else {
            None
        };
        let path = file.path();
        match (FileKind::of_path(path), held) {
            (Some(named), None) => {
                if head.starts_with(GZIP_MAGIC) {
                    return Err(Error::invalid("is compressed with gzip")
                        .at(path.display())
                        .remedy("decompress it first: gzip -d"));
                }
                if head.starts_with(FEATHER_1_MAGIC) {
                    return Err(Error::invalid("is a Feather file of version 1, which is not read")
                        .at(path.display())
                        .remedy("write it again as version 2, which is Arrow IPC"));
                }
                Ok(named)
            }
            (Some(named), Some((held, _))) if named == held => Ok(held),
            (None, Some((held, _))) => Ok(held),
            (Some(_), Some((_, name))) => {
                Err(Error::invalid(format!("holds {name}, which its extension does not say")).at(path.display()))
            }
            (None, None) => Err(unknown_extension(path)),
        }
    }
}

/// The error for a path whose extension names no format.
pub(super) fn unknown_extension(path: &Path) -> Error {
    let known: Vec<String> = EXTENSIONS.iter().map(|(extension, _)| format!(".{extension}")).collect();
    Error::invalid("the file's extension names no known format")
        .at(path.display())
        .remedy(format!("known are {}", known.join(", ")))
}
