//! An import into this process's engine: batches checked, counted file by file, handed to the engine.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;

use super::Store;
use super::bulk::{FileReport, ImportReport};
use crate::definition::{FeatureView, Source};
use crate::engine::import::{Import, LedgerFile};
use crate::engine::picture::ViewPicture;
use crate::error::{Error, Result};
use crate::format::accept::{Refusal, accept_batch};
use crate::request::{BadRows, BulkOptions};

/// A report names this many refused rows; it counts all.
const REFUSED_NAMED_MAX: usize = 100;

/// An import into this process's engine.
#[derive(Debug)]
pub(super) struct LocalImport {
    store: Store,
    /// What columns are called, and which rules they follow.
    definition: FeatureView,
    options: BulkOptions,
    options_digest: String,
    /// Rows come with the clocks that they have in another version.
    copies_version: bool,
    import: Import,
    report: ImportReport,
    /// Rows of the file, or of the import where no file was begun, given so far.
    rows_of_part: u64,
    refused_of_part: u64,
    /// The part of the import that each file of the report is.
    parts: Vec<Option<usize>>,
}

impl LocalImport {
    /// A writer whose batches are read as `definition` says: the view's own but for its source.
    pub fn begin(
        store: &Store,
        view: &Arc<ViewPicture>,
        options: BulkOptions,
        definition: FeatureView,
        copies_version: bool,
    ) -> Result<LocalImport> {
        let import = Import::begin(store.engine()?, view, options.append, options.source.as_deref())?;
        let options_digest = options_digest(&definition, &options)?;
        Ok(LocalImport {
            store: store.clone(),
            definition,
            options,
            options_digest,
            copies_version,
            import,
            report: ImportReport::default(),
            rows_of_part: 0,
            refused_of_part: 0,
            parts: Vec::new(),
        })
    }

    /// Where this import sets rows aside.
    pub fn quarantine_file(&self) -> Result<PathBuf> {
        let engine = self.store.engine()?;
        let name = format!("{:010}-{}.jsonl", engine.next_run_id(), self.definition.reference_text());
        Ok(engine.reads().dir().join("quarantine").join(name))
    }

    /// Whether a file of this digest was imported with the same options before, when the view had all but these features.
    pub fn was_imported_without(&self, digest: &str, features: &[String]) -> Result<bool> {
        if self.options.append {
            return Ok(false);
        }
        if features.is_empty() {
            return Ok(self.import.is_in_ledger(digest, &self.options_digest));
        }
        let mut before = self.definition.clone();
        before.features.retain(|feature| !features.contains(&feature.name));
        before.source.rename.retain(|_, to| !features.contains(to));
        Ok(self.import.is_in_ledger(digest, &options_digest(&before, &self.options)?))
    }

    /// What is written from here on comes from a file of its own: messages count its rows from 1. Several files add what they
    /// would if they were imported one after the other.
    pub fn begin_file(&mut self, path: String) {
        let part = self.import.begin_part();
        self.report.files.push(FileReport { path, ..FileReport::default() });
        self.parts.push(Some(part));
        (self.rows_of_part, self.refused_of_part) = (0, 0);
    }

    /// The file that was begun last was written whole, but for `rows_unread` rows of it that could not be read. Its digest goes
    /// into the import ledger with the commit.
    pub fn end_file(&mut self, digest: String, rows_unread: u64) {
        let Some(file) = self.report.files.last_mut() else { return };
        file.rows_read = self.rows_of_part + rows_unread;
        file.rows_refused = self.refused_of_part + rows_unread;
        self.report.rows_read += rows_unread;
        self.report.rows_refused += rows_unread;
        self.import.end_file(LedgerFile {
            path: file.path.clone(),
            digest,
            options_digest: self.options_digest.clone(),
            rows_read: file.rows_read,
            rows_refused: file.rows_refused,
        });
    }

    /// A file that is not read, because it was imported before, for the report.
    pub fn skip_file(&mut self, path: String) {
        self.report.files.push(FileReport { path, was_imported: true, ..FileReport::default() });
        self.parts.push(None);
    }

    /// Adds a batch; columns as in [`Store::write`]. Gives the rows left out, by their place in the batch, where the options ask for
    /// that.
    ///
    /// # Errors
    /// A column is missing or of a wrong type, a row is refused, the disk fails: the import cannot go on, which the caller sees to.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Refusal>> {
        let mut accept = self.store.accept_options(self.options.allow_future, self.options.bad_rows);
        accept.refuse_undated_deletes = !self.copies_version;
        accept.first_row = self.rows_of_part + u64::from(!self.parts.is_empty());
        let accepted = accept_batch(&self.definition, batch, &accept)?;
        let rows_before = usize::try_from(self.report.rows_read).unwrap_or(usize::MAX);
        let room = REFUSED_NAMED_MAX.saturating_sub(self.report.refused.len());
        self.report.refused.extend(
            accepted
                .refused
                .iter()
                .take(room)
                .map(|refusal| Refusal { row: refusal.row.saturating_add(rows_before), ..refusal.clone() }),
        );
        let refused = accepted.refused.len() as u64;
        self.report.rows_refused += refused;
        self.refused_of_part += refused;
        self.report.rows_read += batch.num_rows() as u64;
        self.rows_of_part += batch.num_rows() as u64;
        for column in &accepted.ignored {
            if !self.report.ignored.contains(column) {
                self.report.ignored.push(column.clone());
            }
        }
        if accepted.row_count > 0 {
            self.import.push(&accepted)?;
        }
        Ok(accepted.refused)
    }

    /// Commits what was written: visible at once, durable on return.
    ///
    /// # Errors
    /// The disk is full: nothing was added. It fails: the error says where it may have been, or was.
    pub fn commit(self) -> Result<ImportReport> {
        let imported = self.import.commit()?;
        let mut report = self.report;
        for (file, part) in report.files.iter_mut().zip(self.parts) {
            if let Some(counts) = part.and_then(|part| imported.parts.get(part)) {
                (file.rows_written, file.rows_skipped) = (counts.rows, counts.known);
            }
        }
        Ok(ImportReport { rows_written: imported.rows, rows_skipped: imported.known, seq: imported.seq, ..report })
    }
}

/// A digest of all that decides what a file's rows become: what they must be, and what is done with those that are not.
fn options_digest(view: &FeatureView, options: &BulkOptions) -> Result<String> {
    let mut view = view.clone();
    // What these say has no part in it.
    (view.ttl_us, view.retention_us, view.freshness_sla_us) = (0, 0, 0);
    (view.owner, view.description, view.tags) = Default::default();
    view.source = Source { path: None, push: None, ..view.source };
    for feature in &mut view.features {
        (feature.description, feature.tags) = Default::default();
    }
    let sets_aside = options.bad_rows == BadRows::Quarantine;
    let text = serde_json::to_vec(&(view, options.allow_future, sets_aside))
        .map_err(|source| Error::invalid("the definition cannot be written as JSON").caused_by(source))?;
    Ok(format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&text)))
}
