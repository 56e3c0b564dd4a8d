//! Importing many rows past the log.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};

use super::control::RemoteImport;
use super::local_import::LocalImport;
use super::{Store, Writes};
use crate::definition::FeatureView;
use crate::engine::picture::ViewPicture;
use crate::error::{Error, Result};
use crate::format::accept::Refusal;
use crate::request::BulkOptions;

/// An import under way: give it batches, then commit. Dropped before that, it leaves nothing. An error ends it: whatever is asked
/// of it afterwards fails, the commit too, and nothing is added.
#[derive(Debug)]
pub struct BulkWriter {
    definition: FeatureView,
    side: Side,
    /// What ended it.
    failed: Option<String>,
}

/// Whose engine takes the rows.
#[derive(Debug)]
enum Side {
    Here(Box<LocalImport>),
    There(RemoteImport),
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Rows given, and rows of files that could not be read.
    pub rows_read: u64,
    /// Rows added.
    pub rows_written: u64,
    /// Rows left out because the store had them.
    pub rows_skipped: u64,
    /// Rows left out because they could not be stored or read, where the caller asked for that.
    pub rows_refused: u64,
    /// The numbers of the first and last row taken in. Rows are numbered as they came; those the store had leave gaps. `None`
    /// when no row was added.
    pub seq: Option<(u64, u64)>,
    /// Columns that the view does not know.
    pub ignored: Vec<String>,
    /// Whether there are more of those: of the keys that a JSON Lines file first has far down, a hundred are named.
    pub ignored_more: bool,
    /// The first hundred of the rows that could not be stored, by their place among all rows given.
    pub refused: Vec<Refusal>,
    /// File by file, where files were imported.
    pub files: Vec<FileReport>,
    /// Where the rows were set aside that could not be read or stored.
    pub quarantine: Option<std::path::PathBuf>,
}

/// What became of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// The file as the caller named it.
    pub path: String,
    /// It was imported before, content and options the same, and not read again.
    pub was_imported: bool,
    /// Rows in it.
    pub rows_read: u64,
    /// Rows added.
    pub rows_written: u64,
    /// Rows that the store had.
    pub rows_skipped: u64,
    /// Rows that could not be read or stored.
    pub rows_refused: u64,
}

impl BulkWriter {
    pub(super) fn begin(store: &Store, view: &Arc<ViewPicture>, options: BulkOptions) -> Result<BulkWriter> {
        let definition = view.record.definition.clone();
        match &store.writes {
            Writes::There(holder) => {
                let import = holder.import(&definition.reference().to_string(), &options)?;
                Ok(BulkWriter { definition, side: Side::There(import), failed: None })
            }
            Writes::Here(_) | Writes::Nowhere | Writes::Closed => {
                BulkWriter::begin_here(store, view, options, definition, false)
            }
        }
    }

    /// A writer whose batches are read as `definition` says: the view's own but for its source.
    pub(super) fn begin_here(
        store: &Store,
        view: &Arc<ViewPicture>,
        options: BulkOptions,
        definition: FeatureView,
        copies_version: bool,
    ) -> Result<BulkWriter> {
        let import = LocalImport::begin(store, view, options, definition.clone(), copies_version)?;
        Ok(BulkWriter { definition, side: Side::Here(Box::new(import)), failed: None })
    }

    /// The definition of the view that is imported into.
    pub fn definition(&self) -> &FeatureView {
        &self.definition
    }

    /// A step of the import, unless an earlier one failed.
    fn step<T>(&mut self, step: impl FnOnce(&mut Side) -> Result<T>) -> Result<T> {
        self.check_going_on()?;
        step(&mut self.side).inspect_err(|error| self.failed = Some(error.as_cause()))
    }

    fn check_going_on(&self) -> Result<()> {
        let Some(cause) = &self.failed else { return Ok(()) };
        Err(Error::refused(format!("the import ended, and nothing of it was added, since: {cause}"))
            .remedy("begin it again, without what was refused"))
    }

    /// Where this import sets rows aside.
    pub(crate) fn quarantine_file(&mut self) -> Result<PathBuf> {
        self.step(|side| match side {
            Side::Here(import) => import.quarantine_file(),
            Side::There(import) => import.quarantine_file(),
        })
    }

    /// Whether a file of this digest, such as its contents have ([`file_digest`](crate::exchange::file_digest)), was imported with the
    /// same options before. [`Store::import_files`] has digests of its own, for it knows a file's format too.
    ///
    /// # Errors
    /// The process that holds the store ended; an earlier error ended the import.
    pub fn was_imported(&mut self, digest: &str) -> Result<bool> {
        self.was_imported_without(digest, &[])
    }

    /// Whether a file of this content was imported when the view had all but these features, and was otherwise what it is now.
    pub(crate) fn was_imported_without(&mut self, digest: &str, features: &[String]) -> Result<bool> {
        self.step(|side| match side {
            Side::Here(import) => import.was_imported_without(digest, features),
            Side::There(import) => import.was_imported_without(digest, features),
        })
    }

    /// What is written from here on comes from a file of its own: messages count its rows from 1. Several files add what they
    /// would if they were imported one after the other.
    ///
    /// # Errors
    /// As [`BulkWriter::was_imported`].
    pub fn begin_file(&mut self, path: impl Into<String>) -> Result<()> {
        self.step(|side| match side {
            Side::Here(import) => {
                import.begin_file(path.into());
                Ok(())
            }
            Side::There(import) => import.begin_file(path.into()),
        })
    }

    /// The file that was begun last was written whole, but for `rows_unread` rows of it that could not be read. Its digest goes
    /// into the import ledger with the commit.
    ///
    /// # Errors
    /// As [`BulkWriter::was_imported`].
    pub fn end_file(&mut self, digest: impl Into<String>, rows_unread: u64) -> Result<()> {
        self.step(|side| match side {
            Side::Here(import) => {
                import.end_file(digest.into(), rows_unread);
                Ok(())
            }
            Side::There(import) => import.end_file(digest.into(), rows_unread),
        })
    }

    /// A file that is not read, because it was imported before, for the report.
    ///
    /// # Errors
    /// As [`BulkWriter::was_imported`].
    pub fn skip_file(&mut self, path: impl Into<String>) -> Result<()> {
        self.step(|side| match side {
            Side::Here(import) => {
                import.skip_file(path.into());
                Ok(())
            }
            Side::There(import) => import.skip_file(path.into()),
        })
    }

    /// Adds a batch; columns as in [`Store::write`]. Gives the rows left out, by their place in the batch, where the options
    /// ask for that.
    ///
    /// # Errors
    /// A column is missing or of a wrong type, a row is refused, the disk fails: the import is over, and nothing of it is added.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Refusal>> {
        self.step(|side| match side {
            Side::Here(import) => import.write(batch),
            Side::There(import) => import.write(batch),
        })
    }

    /// Commits what was written: visible at once, durable on return.
    ///
    /// # Errors
    /// An earlier error ended the import; the view was dropped meanwhile; the disk is full: nothing was added. The disk fails: the
    /// error says where it may have been, or was.
    pub fn commit(self) -> Result<ImportReport> {
        self.check_going_on()?;
        match self.side {
            Side::Here(import) => import.commit(),
            Side::There(import) => import.commit(),
        }
    }
}
