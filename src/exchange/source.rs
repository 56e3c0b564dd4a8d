//! Rows out of files, whatever their format: [`open_source`].

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, Schema, SchemaRef};

use super::csv::{self, CsvReader};
use super::file::SourceFile;
use super::folder::files_of_folder;
use super::infer::ColumnGuesses;
use super::ipc::IpcReader;
use super::jsonl::{self, JsonLinesReader};
use super::kind::FileKind;
use super::parquet_reader::ParquetReader;
use super::source_options::{SourceOptions, WHOLE_WAY_OUT};
use crate::error::{Error, Result};
use crate::format::accept::TEXT_FORM_KEY;
use crate::format::columns::value_bytes;

/// A batch and where it stands in its file.
pub(super) struct Part {
    pub batch: RecordBatch,
    /// Number of the first row, from 1.
    pub first_row: u64,
    /// Numbers of bad rows that were left out.
    pub skipped: Vec<u64>,
}

impl Part {
    /// A whole batch that begins at `next_row`, which moves beyond it.
    pub fn following(next_row: &mut u64, batch: RecordBatch) -> Part {
        let first_row = *next_row;
        *next_row = next_row.saturating_add(u64::try_from(batch.num_rows()).unwrap_or(u64::MAX));
        Part { batch, first_row, skipped: Vec::new() }
    }
}

/// What a format's reader does.
pub(super) trait PartReader: Send {
    fn schema(&self) -> SchemaRef;
    fn next_part(&mut self) -> Result<Option<Part>>;
    /// The columns that its rows were found to have, where nothing before them says so.
    fn met_columns(&self) -> MetColumns {
        MetColumns::default()
    }
}

/// The columns of a file that shows them by its rows alone.
#[derive(Clone, Debug, Default)]
pub(super) struct MetColumns {
    /// Those asked for that a row had.
    pub read: Vec<String>,
    /// Those that nobody asked for and that the first rows do not have, but for the last of very many.
    pub late: Vec<String>,
}

/// Where the rows of a batch stand: for messages and reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    file: PathBuf,
    first_row: u64,
    skipped: Vec<u64>,
}

impl Origin {
    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The number in the file, from 1, of the row at `index` of the batch.
    pub fn row(&self, index: usize) -> u64 {
        let mut row = self.first_row.saturating_add(u64::try_from(index).unwrap_or(u64::MAX));
        for &skipped in &self.skipped {
            if skipped <= row {
                row += 1;
            }
        }
        row
    }
}

/// Record batches out of one file or all files of a folder, all of one schema.
///
/// The iterator's errors are this crate's own: [`source_error`] unwraps them. After an error it ends.
pub struct Source {
    schema: SchemaRef,
    options: SourceOptions,
    current: Option<Box<dyn PartReader>>,
    waiting: VecDeque<PathBuf>,
    origin: Origin,
    rows: u64,
    met_columns: MetColumns,
    bytes_read: Arc<AtomicU64>,
    bytes_total: u64,
}

/// Opens a file, or every file of a known format below a folder in the order of their paths.
///
/// Folders whose names begin with `.` or `_` are left out, as are such files; links are followed; the `key=value` names
/// of partition folders add no columns. Every file must have the columns of the first, but for JSON Lines whose types are
/// inferred: they have the keys of all files together.
///
/// # Errors
/// There is no such file, its format is unknown, or it is not what its extension says; a link below the folder leads nowhere, or to
/// what is read already.
pub fn open_source(path: &Path, options: &SourceOptions) -> Result<Box<Source>> {
    let mut waiting = if path.is_dir() { files_of_folder(path)?.files } else { VecDeque::from([path.to_path_buf()]) };
    let bytes_read = Arc::new(AtomicU64::new(0));
    // A file whose length cannot be asked is told of when it is opened.
    let bytes_total = waiting.iter().map(|path| std::fs::metadata(path).map_or(0, |about| about.len())).sum();
    let Some(first) = waiting.pop_front() else {
        return Err(Error::not_found("no file of a known format in this folder").at(path.display()));
    };
    let mut options = options.clone();
    if options.infer_types {
        options.infer(&first, &waiting, bytes_total)?;
    }
    let reader = open_file(&first, &options, &bytes_read)?;
    let schema = reader.schema();
    if !waiting.is_empty() {
        options.settle_types(&schema);
    }
    let origin = Origin { file: first, ..Origin::default() };
    Ok(Box::new(Source {
        schema,
        options,
        current: Some(reader),
        waiting,
        origin,
        rows: 0,
        met_columns: MetColumns::default(),
        bytes_read,
        bytes_total,
    }))
}

/// The columns that [`open_source`] would deliver of one file, without reading its rows but for what text files are guessed by.
///
/// # Errors
/// As [`open_source`].
pub(super) fn source_schema(path: &Path, options: &SourceOptions) -> Result<SchemaRef> {
    let file = SourceFile::open(path, Arc::new(AtomicU64::new(0)))?;
    Ok(match FileKind::of_file(&file)? {
        FileKind::Parquet => ParquetReader::schema_of(&file, options)?,
        FileKind::Csv => CsvReader::open(file, options)?.schema(),
        FileKind::JsonLines => JsonLinesReader::open(file, options)?.schema(),
        FileKind::Arrow => IpcReader::open(file, options)?.schema(),
    })
}

/// This crate's error out of what a [`Source`] yields as a `RecordBatchReader`.
pub fn source_error(error: ArrowError) -> Error {
    Error::of_reader(error, "the source cannot be read")
}

impl Source {
    /// Where the last batch stands.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Rows delivered so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns that the rows of the file done with last were found to have.
    pub(super) fn met_columns(&self) -> &MetColumns {
        &self.met_columns
    }

    /// Bytes of all its files.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// Bytes read so far, ahead of the rows delivered. What a file says of itself counts each time it is read, and what nobody
    /// asks for not at all: in the end they need not be [`Source::bytes_total`].
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// A row or a file that cannot be read, by name and place.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        self.advance().inspect_err(|_| {
            self.current = None;
            self.waiting.clear();
        })
    }

    /// All that is left, as one batch.
    ///
    /// # Errors
    /// As [`Source::next_batch`]; there is more than [`SourceOptions::decoded_bytes_max`].
    pub fn read_all(&mut self) -> Result<RecordBatch> {
        let bytes_max = self.options.decoded_bytes_max.unwrap_or(u64::MAX);
        let (mut batches, mut bytes) = (Vec::new(), 0_u64);
        while let Some(batch) = self.next_batch()? {
            // Empty values take something too, and so does a row of none.
            let rows = batch.num_rows() as u64;
            let of_columns = batch.columns().iter().map(|column| value_bytes(column).saturating_add(rows));
            bytes = of_columns.fold(bytes.saturating_add(rows), u64::saturating_add);
            if bytes > bytes_max {
                return Err(Error::invalid(format!("its values take more than {bytes_max} bytes together"))
                    .at(self.origin.file.display())
                    .remedy(WHOLE_WAY_OUT));
            }
            batches.push(batch);
        }
        arrow_select::concat::concat_batches(&self.schema(), &batches).map_err(source_error)
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let Some(reader) = &mut self.current else { return Ok(None) };
            let Some(part) = reader.next_part()? else {
                self.met_columns = reader.met_columns();
                self.current = None;
                let Some(path) = self.waiting.pop_front() else { return Ok(None) };
                self.current = Some(open_file(&path, &self.options, &self.bytes_read)?);
                self.origin = Origin { file: path, ..Origin::default() };
                continue;
            };
            self.origin.first_row = part.first_row;
            self.origin.skipped = part.skipped;
            let batch = self.conform(part.batch)?;
            self.rows = self.rows.saturating_add(u64::try_from(batch.num_rows()).unwrap_or(u64::MAX));
            if let Some(progress) = &self.options.progress {
                progress(self.rows, self.bytes_read.load(Ordering::Relaxed));
            }
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
    }

    /// A batch of a later file in the order of the first file's columns.
    fn conform(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if batch.schema_ref() == &self.schema {
            return Ok(batch);
        }
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let trouble = |what: String| Error::invalid(what).at(self.origin.file.display());
            let Some((index, own)) = batch.schema_ref().column_with_name(field.name()) else {
                return Err(trouble(format!("has no column '{}', which the first file has", field.name())));
            };
            let column = batch.column(index);
            if own.metadata().get(TEXT_FORM_KEY) != field.metadata().get(TEXT_FORM_KEY) {
                return Err(trouble(format!("column '{}' is written otherwise than in the first file", field.name())));
            }
            if column.data_type() != field.data_type() {
                return Err(trouble(format!(
                    "column '{}' is {}, in the first file {}",
                    field.name(),
                    column.data_type(),
                    field.data_type()
                )));
            }
            columns.push(column.clone());
        }
        RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|error| Error::invalid(error.to_string()).at(self.origin.file.display()))
    }
}

impl SourceOptions {
    /// Gives the columns of text files the types that all their rows have, in all of the files.
    fn infer(&mut self, first: &Path, others: &VecDeque<PathBuf>, bytes_total: u64) -> Result<()> {
        let mut guesses = ColumnGuesses::default();
        // What is read twice counts once, for those who ask about the rows.
        let looked = Arc::new(AtomicU64::new(0));
        let tell = || {
            if let Some(inferring) = &self.inferring {
                inferring(looked.load(Ordering::Relaxed).min(bytes_total), bytes_total);
            }
        };
        for path in std::iter::once(first).chain(others.iter().map(PathBuf::as_path)) {
            let file = SourceFile::open(path, looked.clone())?;
            match FileKind::of_file(&file)? {
                FileKind::Csv => csv::look(&file, self, &mut guesses, &tell)?,
                FileKind::JsonLines => jsonl::look(&file, self, &mut guesses, &tell)?,
                // The first file's columns hold for all of them.
                FileKind::Parquet | FileKind::Arrow if path == first => return Ok(()),
                FileKind::Parquet | FileKind::Arrow => {}
            }
        }
        self.column_types = Some(guesses.into_types(self));
        Ok(())
    }

    /// The first file's columns and types hold for the files after it.
    fn settle_types(&mut self, schema: &Schema) {
        let mut types = self.column_types.take().unwrap_or_default();
        for field in schema.fields() {
            if let Some(dtype) = super::cells::canonical_type(field)
                && !types.iter().any(|(name, _)| name == field.name())
            {
                types.push((field.name().clone(), dtype));
            }
        }
        self.column_types = Some(types);
    }
}

impl Iterator for Source {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch().transpose()?;
        Some(next.map_err(|error| ArrowError::ExternalError(Box::new(error))))
    }
}

impl RecordBatchReader for Source {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

fn open_file(path: &Path, options: &SourceOptions, bytes_read: &Arc<AtomicU64>) -> Result<Box<dyn PartReader>> {
    let file = SourceFile::open(path, bytes_read.clone())?;
    Ok(match FileKind::of_file(&file)? {
        FileKind::Parquet => Box::new(ParquetReader::open(file, options)?),
        FileKind::Csv => Box::new(CsvReader::open(file, options)?),
        FileKind::JsonLines => Box::new(JsonLinesReader::open(file, options)?),
        FileKind::Arrow => Box::new(IpcReader::open(file, options)?),
    })
}
