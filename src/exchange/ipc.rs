//! Arrow IPC, file and stream. What the bytes say is checked as they are read.
//!
//! Arrow answers some damaged files with a panic. Calls into it are therefore made within
//! [`caught`], and a panic is one more way of finding damage. What would end the process instead is
//! found before, by `ipc_lengths`.

use std::io::BufReader;

use arrow_array::RecordBatchReader;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, SchemaRef};

use super::file::SourceFile;
use super::ipc_lengths::{check_file_lengths, check_stream_lengths};
use super::kind::ARROW_FILE_MAGIC;
use super::source::{Part, PartReader};
use super::source_options::SourceOptions;
use crate::caught::caught;
use crate::error::{Error, ErrorKind, Result};
use crate::format::columns::Parts;

const BUFFER_BYTES: usize = 1 << 20;

/// Batches come in parts of so many bytes at most, where a row is not longer: a text that a million rows show is a few bytes in the file.
const PART_BYTES_MAX: u64 = 128 << 20;

/// Reads an Arrow IPC file or stream, batch by batch as it was written, long ones in parts.
pub(super) struct IpcReader {
    file: SourceFile,
    batches: Box<dyn RecordBatchReader + Send>,
    parts: Option<Parts>,
    rows_max: usize,
    next_row: u64,
}

impl IpcReader {
    pub fn open(file: SourceFile, options: &SourceOptions) -> Result<IpcReader> {
        let mut head = [0; 6];
        let len = file.read_up_to(0, &mut head)?;
        if len == 0 {
            return Err(Error::new(ErrorKind::Damaged, "is empty, and so no Arrow IPC file").at(file.path().display()));
        }
        let is_file = head.starts_with(ARROW_FILE_MAGIC);
        guarded(&file, || {
            if is_file { check_file_lengths(&file, options) } else { check_stream_lengths(&file, options) }
        })?;
        let input = || BufReader::with_capacity(BUFFER_BYTES, file.cursor());
        let batches = guarded(&file, || -> std::result::Result<Box<dyn RecordBatchReader + Send>, ArrowError> {
            Ok(if is_file {
                let schema = FileReader::try_new(input(), None)?.schema();
                Box::new(FileReader::try_new(input(), projection(&schema, options))?)
            } else {
                let schema = StreamReader::try_new(input(), None)?.schema();
                Box::new(StreamReader::try_new(input(), projection(&schema, options))?)
            })
        })?;
        Ok(IpcReader { file, batches, parts: None, rows_max: options.batch_rows.max(1), next_row: 1 })
    }
}

impl PartReader for IpcReader {
    fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }

    fn next_part(&mut self) -> Result<Option<Part>> {
        loop {
            let next = guarded(&self.file, || Ok(self.parts.as_mut().and_then(Iterator::next)))?;
            if let Some(batch) = next {
                return Ok(Some(Part::following(&mut self.next_row, batch)));
            }
            let read = guarded(&self.file, || {
                let batch = self.batches.next().transpose()?;
                Ok(batch.map(|batch| Parts::new(batch, PART_BYTES_MAX, self.rows_max)))
            })?;
            let Some(parts) = read else { return Ok(None) };
            self.parts = Some(parts);
        }
    }
}

/// Indices of the columns asked for; `None` for all.
fn projection(schema: &SchemaRef, options: &SourceOptions) -> Option<Vec<usize>> {
    options.projection.as_ref()?;
    let fields = schema.fields().iter().enumerate();
    Some(fields.filter(|(_, field)| options.wants(field.name())).map(|(i, _)| i).collect())
}

fn guarded<T>(file: &SourceFile, calls: impl FnOnce() -> std::result::Result<T, ArrowError>) -> Result<T> {
    match caught(calls) {
        Ok(Err(ArrowError::ExternalError(inner))) if inner.is::<Error>() => {
            Err(Error::of_reader(ArrowError::ExternalError(inner), "cannot be read as Arrow IPC"))
        }
        Ok(result) => result.map_err(|error| damaged(file, &error.to_string())),
        Err(_) => Err(damaged(file, "a length or offset in it is impossible")),
    }
}

fn damaged(file: &SourceFile, error: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("cannot be read as Arrow IPC: {error}"))
        .at(file.path().display())
        .remedy("the file is cut short or not what its extension says; write it again")
}
