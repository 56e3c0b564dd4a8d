//! Importing many rows past the log.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::Store;
use crate::engine::import::Import;
use crate::engine::picture::ViewPicture;
use crate::error::Result;
use crate::format::accept::{Refusal, accept_batch};
use crate::request::BulkOptions;

/// An import under way: give it batches, then commit. Dropped before that, it leaves nothing.
#[derive(Debug)]
pub struct BulkWriter {
    store: Store,
    view: Arc<ViewPicture>,
    options: BulkOptions,
    import: Import,
    report: ImportReport,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportReport {
    /// Rows given.
    pub rows_read: u64,
    /// Rows added.
    pub rows_written: u64,
    /// The first and last number given; `None` when no row was added.
    pub seq: Option<(u64, u64)>,
    /// Columns that the view does not know.
    pub ignored: Vec<String>,
    /// Rows left out, where the caller asked for that, by their place among all rows given.
    pub refused: Vec<Refusal>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.reads.dir()).finish_non_exhaustive()
    }
}

impl BulkWriter {
    pub(super) fn begin(store: &Store, view: Arc<ViewPicture>, options: BulkOptions) -> Result<BulkWriter> {
        let import = Import::begin(store.engine()?, &view)?;
        Ok(BulkWriter { store: store.clone(), view, options, import, report: ImportReport::default() })
    }

    /// Adds a batch; columns as in [`Store::write`].
    ///
    /// # Errors
    /// A column is missing or of a wrong type, a row is refused, the disk fails: the import cannot go on.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut accept = self.store.accept_options(self.options.allow_future, self.options.bad_rows);
        accept.first_row = self.report.rows_read;
        let mut accepted = accept_batch(&self.view.record.definition, batch, &accept)?;
        for refusal in &mut accepted.refused {
            refusal.row += usize::try_from(self.report.rows_read).unwrap_or(usize::MAX);
        }
        self.report.refused.append(&mut accepted.refused);
        self.report.rows_read += batch.num_rows() as u64;
        if self.report.ignored.is_empty() {
            self.report.ignored.clone_from(&accepted.ignored);
        }
        if accepted.row_count > 0 { self.import.push(&accepted) } else { Ok(()) }
    }

    /// Commits what was written: visible at once, durable on return.
    ///
    /// # Errors
    /// The disk fails: nothing was added.
    pub fn commit(self) -> Result<ImportReport> {
        let imported = self.import.commit(self.store.now())?;
        Ok(ImportReport { rows_written: imported.rows, seq: imported.seq, ..self.report })
    }
}
