//! Parquet, its row groups decoded in parallel and handed out in file order.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use crossbeam_channel::{Receiver, bounded};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::source::{SourceOptions, unreadable};
use crate::error::{Error, Result};

/// Decoded batches that wait on each thread.
const BATCHES_AHEAD: usize = 4;

enum Piece {
    Batch(RecordBatch),
    GroupEnd,
    Failed(Error),
}

/// Thread `i` of `n` decodes row groups i, i + n, i + 2n, ...; the reader takes them in turn.
pub(super) struct ParquetReader {
    path: PathBuf,
    schema: SchemaRef,
    threads: Vec<Receiver<Piece>>,
    group: usize,
    group_count: usize,
}

pub(super) fn open(path: &Path, options: &SourceOptions, bytes: Arc<AtomicU64>) -> Result<ParquetReader> {
    let open = |path: &Path| File::open(path).map_err(|error| Error::io("open", path, error));
    let metadata =
        ArrowReaderMetadata::load(&open(path)?, ArrowReaderOptions::new()).map_err(|error| unreadable(path, error))?;
    let group_count = metadata.metadata().num_row_groups();
    let thread_count = options.threads.clamp(1, group_count.max(1));
    let batch_rows = options.batch_rows.max(1);
    let mut threads = Vec::with_capacity(thread_count);
    for first in 0..thread_count {
        let (send, receive) = bounded(BATCHES_AHEAD);
        let (file, metadata, bytes) = (open(path)?, metadata.clone(), bytes.clone());
        let owned_path = path.to_owned();
        let work = move || {
            for group in (first..group_count).step_by(thread_count) {
                let decode = || -> std::result::Result<bool, parquet::errors::ParquetError> {
                    let file =
                        file.try_clone().map_err(|error| parquet::errors::ParquetError::External(error.into()))?;
                    let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
                        .with_row_groups(vec![group])
                        .with_batch_size(batch_rows)
                        .build()?;
                    for batch in batches {
                        if send.send(Piece::Batch(batch?)).is_err() {
                            return Ok(false);
                        }
                    }
                    Ok(true)
                };
                match decode() {
                    Ok(true) => {}
                    // Nobody listens any more.
                    Ok(false) => return,
                    Err(error) => {
                        let _ =
                            send.send(Piece::Failed(unreadable(&owned_path, format!("row group {group}: {error}"))));
                        return;
                    }
                }
                let size = metadata.metadata().row_group(group).compressed_size();
                bytes.fetch_add(u64::try_from(size).unwrap_or(0), Ordering::Relaxed);
                if send.send(Piece::GroupEnd).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("asof-parquet".to_owned())
            .spawn(work)
            .map_err(|error| Error::io("start a thread to read", path, error))?;
        threads.push(receive);
    }
    Ok(ParquetReader { path: path.to_owned(), schema: metadata.schema().clone(), threads, group: 0, group_count })
}

impl Iterator for ParquetReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.group < self.group_count {
            let error = match self.threads[self.group % self.threads.len()].recv() {
                Ok(Piece::Batch(batch)) => return Some(Ok(batch)),
                Ok(Piece::GroupEnd) => {
                    self.group += 1;
                    continue;
                }
                Ok(Piece::Failed(error)) => error,
                // The decoder panicked over the file's bytes.
                Err(_) => unreadable(&self.path, format!("row group {} cannot be decoded", self.group)),
            };
            self.group = self.group_count;
            return Some(Err(ArrowError::ExternalError(Box::new(error))));
        }
        None
    }
}

impl RecordBatchReader for ParquetReader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
