//! Opening a file of any format as a stream of record batches.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use super::progress::{Counted, Progress, ProgressHook};
use super::{csv, jsonl, parquet_in};
use crate::definition::FeatureView;
use crate::error::{Error, ErrorKind, Result};
use crate::value::DataType;

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum FileFormat {
    Parquet,
    Csv,
    JsonLines,
    ArrowFile,
    ArrowStream,
}

/// How a file is read.
#[derive(Clone)]
pub struct SourceOptions {
    /// The format; by the file's first bytes and its extension when absent.
    pub format: Option<FileFormat>,
    /// Text columns to be parsed while reading, an unreadable cell being an error. Others stay
    /// text for [`accept_batch`](crate::format::accept::accept_batch), which can set rows aside.
    pub columns: BTreeMap<String, DataType>,
    /// CSV: the column delimiter; a comma when absent, a tab for `.tsv`.
    pub delimiter: Option<char>,
    /// The strftime format of the timestamps among `columns`.
    pub timestamp_format: Option<String>,
    /// Most rows in a batch.
    pub batch_rows: usize,
    /// Threads that decode Parquet.
    pub threads: usize,
    /// Called after each batch.
    pub progress: Option<ProgressHook>,
}

impl Default for SourceOptions {
    fn default() -> Self {
        SourceOptions {
            format: None,
            columns: BTreeMap::new(),
            delimiter: None,
            timestamp_format: None,
            batch_rows: 65_536,
            threads: 2,
            progress: None,
        }
    }
}

impl SourceOptions {
    /// What `view` says about its files.
    pub fn for_view(view: &FeatureView) -> Self {
        SourceOptions { delimiter: view.source.delimiter, ..SourceOptions::default() }
    }
}

/// The batches of one file.
pub struct SourceReader {
    inner: Box<dyn RecordBatchReader + Send>,
    path: PathBuf,
    bytes: Arc<AtomicU64>,
    rows: u64,
    progress: Option<ProgressHook>,
}

impl SourceReader {
    /// The next batch, errors naming the file.
    ///
    /// # Errors
    /// The file is cut short, damaged, or holds what cannot be read.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let batch = match self.inner.next() {
            None => return Ok(None),
            Some(Ok(batch)) => batch,
            Some(Err(error)) => return Err(source_error(&self.path, error)),
        };
        self.rows += batch.num_rows() as u64;
        if let Some(progress) = &self.progress {
            progress(Progress { rows: self.rows, bytes: self.bytes.load(Ordering::Relaxed) });
        }
        Ok(Some(batch))
    }
}

impl fmt::Debug for SourceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceReader").field("path", &self.path).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Iterator for SourceReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().map_err(|error| ArrowError::ExternalError(Box::new(error))).transpose()
    }
}

impl RecordBatchReader for SourceReader {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

/// The error inside Arrow's, or Arrow's as one that names the file.
pub fn source_error(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(inner) => unreadable(path, inner.to_string()),
        },
        ArrowError::IoError(_, error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::io("read", path, error)
        }
        other => unreadable(path, other.to_string()),
    }
}

pub(super) fn unreadable(path: &Path, why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Damaged, format!("cannot be read to its end: {why}"))
        .at(path.display())
        .remedy("the file is cut short or damaged; write or fetch it again")
}

/// Opens a file by its first bytes, then its extension.
///
/// # Errors
/// The file is missing, of no known format, or unreadable.
pub fn open_source(path: &Path, options: &SourceOptions) -> Result<SourceReader> {
    let format = match options.format {
        Some(format) => format,
        None => detect(path)?,
    };
    let bytes = Arc::new(AtomicU64::new(0));
    let open = || -> Result<BufReader<Counted<File>>> {
        let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        Ok(BufReader::with_capacity(1 << 18, Counted { inner: file, bytes: bytes.clone() }))
    };
    let inner: Box<dyn RecordBatchReader + Send> = match format {
        FileFormat::Parquet => Box::new(parquet_in::open(path, options, bytes.clone())?),
        FileFormat::Csv => Box::new(csv::CsvReader::open(path, open()?, options)?),
        FileFormat::JsonLines => Box::new(jsonl::JsonLinesReader::open(path, open()?, options)?),
        FileFormat::ArrowFile => {
            let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
            let len = file.metadata().map_err(|error| Error::io("stat", path, error))?.len();
            bytes.store(len, Ordering::Relaxed);
            Box::new(
                arrow_ipc::reader::FileReader::try_new_buffered(file, None)
                    .map_err(|error| source_error(path, error))?,
            )
        }
        FileFormat::ArrowStream => Box::new(
            arrow_ipc::reader::StreamReader::try_new(open()?, None).map_err(|error| source_error(path, error))?,
        ),
    };
    Ok(SourceReader { inner, path: path.to_owned(), bytes, rows: 0, progress: options.progress.clone() })
}

fn detect(path: &Path) -> Result<FileFormat> {
    let mut file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let mut magic = Vec::new();
    file.by_ref().take(8).read_to_end(&mut magic).map_err(|error| Error::io("read", path, error))?;
    if magic.starts_with(b"PAR1") {
        return Ok(FileFormat::Parquet);
    }
    if magic.starts_with(b"ARROW1") {
        return Ok(FileFormat::ArrowFile);
    }
    if magic.starts_with(&[0xff; 4]) {
        return Ok(FileFormat::ArrowStream);
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
    match extension.as_str() {
        "csv" | "tsv" => Ok(FileFormat::Csv),
        "jsonl" | "ndjson" | "json" => Ok(FileFormat::JsonLines),
        "parquet" | "pq" => Err(unreadable(path, "it does not begin as a Parquet file does")),
        "arrow" | "feather" | "ipc" | "arrows" => Err(unreadable(path, "it does not begin as an Arrow file does")),
        _ => Err(Error::invalid("a file of no known format")
            .at(path.display())
            .remedy("name it .parquet, .csv, .jsonl or .arrow")),
    }
}

/// The files behind a path: itself, or every data file below a folder, in order: what `export` wrote.
///
/// # Errors
/// The path is missing, or the folder holds no data file.
pub fn expand_source(path: &Path) -> Result<Vec<PathBuf>> {
    let metadata = std::fs::metadata(path).map_err(|error| Error::io("open", path, error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| Error::io("list", &folder, error))? {
            let entry = entry.map_err(|error| Error::io("list", &folder, error))?;
            let child = entry.path();
            // Names with a dot in front are writes that never finished.
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if child.is_dir() {
                folders.push(child);
            } else if detect(&child).is_ok() {
                files.push(child);
            }
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::not_found("no data file in this folder").at(path.display()));
    }
    Ok(files)
}
