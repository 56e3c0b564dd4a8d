//! Rows into files, whatever their format: [`create_sink`].

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType as ArrowType, Field, FieldRef, Schema, SchemaRef};

use super::kind::{FileKind, unknown_extension};
use super::leaves::{cast_batch, with_leaves};
use super::parquet_sink::ParquetSink;
use super::temporary::TemporaryFile;
use super::text_sink::{CsvSink, JsonLinesSink};
use crate::error::{Error, Result};

/// What a finished file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkReport {
    /// Rows written.
    pub rows: u64,
    /// The file's length.
    pub bytes: u64,
}

/// A file being written. It bears its name only once it is finished; dropped before, it leaves nothing.
pub trait Sink: Send {
    /// Appends rows.
    ///
    /// # Errors
    /// The batch is not of the sink's schema, a value has no text form, or the disk refuses.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Completes the file, makes it durable and gives it its name.
    ///
    /// # Errors
    /// The disk refuses; nothing is left then.
    fn finish(self: Box<Self>) -> Result<SinkReport>;
}

/// Begins a file of the format that `path`'s extension names: Parquet, Arrow IPC, CSV (`.tsv` with
/// tabs) or JSON Lines. Equal input gives equal bytes.
///
/// `metadata` goes into the file where the format has a place for it: Parquet's key-value metadata,
/// the Arrow schema's.
///
/// # Errors
/// The extension names no format, or the file cannot be made.
pub fn create_sink(path: &Path, schema: &SchemaRef, metadata: Vec<(String, String)>) -> Result<Box<dyn Sink>> {
    let kind = FileKind::of_path(path).ok_or_else(|| unknown_extension(path))?;
    if kind == FileKind::Arrow && path.extension().is_some_and(|extension| extension == "arrows") {
        return Err(Error::invalid("Arrow IPC is written as a file, not as a stream")
            .at(path.display())
            .remedy("call the file .arrow"));
    }
    let file = TemporaryFile::create(path)?;
    Ok(match kind {
        FileKind::Parquet => Box::new(ParquetSink::new(file, schema, metadata)?),
        FileKind::Arrow => Box::new(IpcSink::new(file, schema, metadata)?),
        FileKind::Csv => Box::new(CsvSink::new(file, schema, FileKind::default_delimiter(path))?),
        FileKind::JsonLines => Box::new(JsonLinesSink::new(file, schema)?),
    })
}

/// Counts rows for the reports.
pub(super) fn add_rows(rows: &mut u64, batch: &RecordBatch) {
    *rows = rows.saturating_add(u64::try_from(batch.num_rows()).unwrap_or(u64::MAX));
}

struct IpcSink {
    writer: FileWriter<TemporaryFile>,
    schema: SchemaRef,
    rows: u64,
}

impl IpcSink {
    fn new(file: TemporaryFile, schema: &SchemaRef, metadata: Vec<(String, String)>) -> Result<IpcSink> {
        let mut all = schema.metadata().clone();
        all.extend(metadata);
        let fields: Vec<FieldRef> =
            schema.fields().iter().map(|field| with_leaves(field, &mut unpacked)).collect::<Result<_>>()?;
        let schema = Arc::new(Schema::new_with_metadata(fields, all));
        let target = file.target().to_path_buf();
        let writer = FileWriter::try_new(file, &schema).map_err(|error| arrow_error(&target, error))?;
        Ok(IpcSink { writer, schema, rows: 0 })
    }
}

/// What a dictionary holds: a file has one dictionary for all its batches, and theirs may differ.
fn unpacked(leaf: &Field) -> Result<ArrowType> {
    match leaf.data_type() {
        ArrowType::Dictionary(_, values) => {
            let values = Arc::new(leaf.clone().with_data_type(values.as_ref().clone()));
            Ok(with_leaves(&values, &mut unpacked)?.data_type().clone())
        }
        other => Ok(other.clone()),
    }
}

impl Sink for IpcSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let plain = cast_batch(batch, &self.schema)?;
        self.writer.write(&plain).map_err(|error| arrow_error(self.writer.get_ref().target(), error))?;
        add_rows(&mut self.rows, batch);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<SinkReport> {
        self.writer.finish().map_err(|error| arrow_error(self.writer.get_ref().target(), error))?;
        let target = self.writer.get_ref().target().to_path_buf();
        let file = self.writer.into_inner().map_err(|error| arrow_error(&target, error))?;
        Ok(SinkReport { rows: self.rows, bytes: file.publish()? })
    }
}

/// What a format's writer says, as this crate's error. A full disk keeps its kind.
pub(super) fn arrow_error(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => Error::io("write", path, error),
        other => Error::invalid(other.to_string()).at(path.display()),
    }
}
