//! Arrow IPC, file and stream. What the bytes say is checked as they are read.
//!
//! Arrow answers some damaged files with a panic. Calls into it are therefore made within
//! `catch_unwind`, and a panic is one more way of finding damage.

use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatchReader;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, SchemaRef};

use super::file::SourceFile;
use super::kind::ARROW_FILE_MAGIC;
use super::source::{Part, PartReader, SourceOptions};
use crate::error::{Error, ErrorKind, Result};

const BUFFER_BYTES: usize = 1 << 20;

/// Reads an Arrow IPC file or stream, batch by batch as it was written.
pub(super) struct IpcReader {
    file: SourceFile,
    batches: Box<dyn RecordBatchReader + Send>,
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
        guarded(&file, || if is_file { check_file_lengths(&file) } else { check_stream_lengths(&file) })?;
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
        Ok(IpcReader { file, batches, next_row: 1 })
    }
}

impl PartReader for IpcReader {
    fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }

    fn next_part(&mut self) -> Result<Option<Part>> {
        let Some(batch) = guarded(&self.file, || self.batches.next().transpose())? else { return Ok(None) };
        Ok(Some(Part::following(&mut self.next_row, batch)))
    }
}

fn beyond() -> ArrowError {
    ArrowError::IpcError("a length in it is greater than the file".to_owned())
}

/// The bytes of the file in this range, which it must have.
fn bytes_at(file: &SourceFile, offset: u64, len: u64) -> std::result::Result<Vec<u8>, ArrowError> {
    if offset.checked_add(len).is_none_or(|end| end > file.len_bytes()) {
        return Err(beyond());
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| beyond())?];
    let read = file.read_up_to(offset, &mut bytes).map_err(|error| ArrowError::IpcError(error.to_string()))?;
    if read == bytes.len() { Ok(bytes) } else { Err(beyond()) }
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

/// Arrow allocates what a footer declares, so every block is held against the file's length first.
fn check_file_lengths(file: &SourceFile) -> std::result::Result<(), ArrowError> {
    let len = file.len_bytes();
    let tail = len.checked_sub(10).ok_or_else(beyond)?;
    let footer_len = u64::from(u32_of(&bytes_at(file, tail, 4)?));
    let footer = bytes_at(file, tail.checked_sub(footer_len).ok_or_else(beyond)?, footer_len)?;
    let footer = arrow_ipc::root_as_footer(&footer).map_err(|error| ArrowError::IpcError(error.to_string()))?;
    let blocks = footer.recordBatches().into_iter().flatten().chain(footer.dictionaries().into_iter().flatten());
    for block in blocks {
        let parts = [Some(block.offset()), Some(block.metaDataLength().into()), Some(block.bodyLength())];
        let end = parts.into_iter().try_fold(0_u64, |end, part| end.checked_add(u64::try_from(part?).ok()?));
        if end.is_none_or(|end| end > len) {
            return Err(beyond());
        }
    }
    Ok(())
}

/// The same for a stream, message by message.
fn check_stream_lengths(file: &SourceFile) -> std::result::Result<(), ArrowError> {
    const CONTINUATION: u32 = u32::MAX;
    let mut at = 0;
    while at + 4 <= file.len_bytes() {
        let mut len = u32_of(&bytes_at(file, at, 4)?);
        at += 4;
        if len == CONTINUATION {
            len = u32_of(&bytes_at(file, at, 4)?);
            at += 4;
        }
        if len == 0 {
            break;
        }
        let message = bytes_at(file, at, len.into())?;
        let message = arrow_ipc::root_as_message(&message).map_err(|error| ArrowError::IpcError(error.to_string()))?;
        let body = u64::try_from(message.bodyLength()).map_err(|_| beyond())?;
        at = at.checked_add(u64::from(len)).and_then(|at| at.checked_add(body)).ok_or_else(beyond)?;
        if at > file.len_bytes() {
            return Err(beyond());
        }
    }
    Ok(())
}

/// Indices of the columns asked for; `None` for all.
fn projection(schema: &SchemaRef, options: &SourceOptions) -> Option<Vec<usize>> {
    options.projection.as_ref()?;
    let fields = schema.fields().iter().enumerate();
    Some(fields.filter(|(_, field)| options.wants(field.name())).map(|(i, _)| i).collect())
}

fn guarded<T>(file: &SourceFile, calls: impl FnOnce() -> std::result::Result<T, ArrowError>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(calls)) {
        Ok(result) => result.map_err(|error| damaged(file, &error.to_string())),
        Err(_) => Err(damaged(file, "a length or offset in it is impossible")),
    }
}

fn damaged(file: &SourceFile, error: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("cannot be read as Arrow IPC: {error}"))
        .at(file.path().display())
        .remedy("the file is cut short or not what its extension says; write it again")
}
