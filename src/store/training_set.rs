//! The answer of a point-in-time join, batch by batch.

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::concat::concat_batches;

use crate::engine::historical::HistoricalJoin;
use crate::error::{Error, Result};

/// Spine rows are joined in chunks of about this many: enough to visit runs in order, few enough to stream.
const CHUNK_ROWS: usize = 1 << 20;

/// A training set: the spine's columns, then the features', in the spine's order. Streams: give it a spine of any length.
#[derive(Debug)]
pub struct TrainingSet<R> {
    join: HistoricalJoin,
    spine: R,
    is_done: bool,
}

impl<R: RecordBatchReader> TrainingSet<R> {
    pub(super) fn new(join: HistoricalJoin, spine: R) -> Self {
        TrainingSet { join, spine, is_done: false }
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.join.schema().clone()
    }

    /// Rows up to this number were known; also in the schema's metadata.
    pub fn known_at_seq(&self) -> u64 {
        self.join.known_at_seq()
    }

    fn chunk(&mut self) -> Result<Option<RecordBatch>> {
        let unreadable = |error: ArrowError| Error::invalid(format!("the spine cannot be read: {error}"));
        let mut batches = Vec::new();
        let mut rows = 0;
        while rows < CHUNK_ROWS {
            match self.spine.next() {
                Some(batch) => {
                    let batch = batch.map_err(unreadable)?;
                    rows += batch.num_rows();
                    batches.push(batch);
                }
                None => {
                    self.is_done = true;
                    break;
                }
            }
        }
        match batches.len() {
            0 => Ok(None),
            1 => Ok(batches.pop()),
            _ => concat_batches(&self.spine.schema(), &batches).map(Some).map_err(unreadable),
        }
    }
}

impl<R: RecordBatchReader> Iterator for TrainingSet<R> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let joined = self.chunk().and_then(|chunk| chunk.map(|chunk| self.join.join(&chunk)).transpose());
        if joined.is_err() {
            self.is_done = true;
        }
        joined.transpose()
    }
}
