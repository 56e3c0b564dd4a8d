//! Files into a view: read, checked, sorted into runs, committed as one.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arrow_array::RecordBatch;

use super::digest::import_digest;
use super::file::check_file;
use super::folder::files_of_folder;
use super::quarantine::QuarantineWriter;
use super::source::{Source, open_source};
use super::source_options::SourceOptions;
use super::view_source::{ViewSource, unspoken_features};
use crate::error::{Error, Result};
use crate::format::accept::BAD_ROW_WAY_OUT;
use crate::request::{BadRows, BulkOptions};
use crate::store::{BulkWriter, ImportReport, Store};

/// So many of a file's columns are named that the view does not know and that are met far down: keys may differ from row to row.
const LATE_NAMED_MAX: usize = 100;

/// Told how far an import is.
pub type ImportProgressHandler = Arc<dyn Fn(&ImportProgress) + Send + Sync>;

/// How files are imported.
#[derive(Clone, Default)]
pub struct ImportOptions {
    /// Take event timestamps however far ahead of the clock.
    pub allow_future: bool,
    /// What to do with rows that cannot be read or stored.
    pub bad_rows: BadRows,
    /// Import every row of every file, those imported before too. Otherwise such files are skipped, and rows equal to stored ones
    /// are left out: see [`BulkOptions::append`].
    pub append: bool,
    /// Who imports; kept beside the files' names and shown by `explain`.
    pub source: Option<String>,
    /// What to call the file instead of its path where it is kept and shown: one that has no name that lasts.
    pub called: Option<String>,
    /// Refuse files that take more bytes of memory at once: see [`SourceOptions::decoded_bytes_max`].
    pub decoded_bytes_max: Option<u64>,
    /// Told of every batch read.
    pub progress: Option<ImportProgressHandler>,
}

impl fmt::Debug for ImportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportOptions")
            .field("allow_future", &self.allow_future)
            .field("bad_rows", &self.bad_rows)
            .field("append", &self.append)
            .finish_non_exhaustive()
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Files done with.
    pub files: usize,
    /// Files there are.
    pub files_total: usize,
    /// Rows read.
    pub rows: u64,
    /// Bytes of the files read, or skipped with their files.
    pub bytes: u64,
    /// Bytes there are.
    pub bytes_total: u64,
}

impl Store {
    /// Imports files into a view, all of them or nothing: Parquet, CSV, JSON Lines, Arrow IPC; a folder stands for all files of such
    /// formats below it. Columns are found as the view's `source` says.
    ///
    /// A file that was imported before is skipped: the store remembers the digest of its contents and format. So is one that was imported before
    /// features were added, where it says nothing of them: its rows are stored, with nulls there. Otherwise rows fully equal
    /// to stored ones (key, clocks, values) are added only as often as the file holds them beyond the store, so that a file that
    /// grew adds what it gained. Several files add what they would one after the other.
    ///
    /// ```
    /// use asof::definition::{Definitions, FeatureView};
    /// use asof::value::DataType;
    /// use asof::{ApplyOptions, ImportOptions, Store};
    ///
    /// let store = Store::temporary()?;
    /// let view = FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64);
    /// let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(view);
    /// store.apply(&definitions, ApplyOptions::default())?;
    /// let file = store.path().with_file_name("weather.csv");
    /// std::fs::write(&file, "origin,event_timestamp,temp\nJFK,2024-03-01T13:00:00Z,39.0\n")?;
    /// let report = store.import_files("weather", &[file.clone()], &ImportOptions::default())?;
    /// assert_eq!((report.rows_read, report.rows_written), (1, 1));
    /// let again = store.import_files("weather", &[file], &ImportOptions::default())?;
    /// assert!(again.files[0].was_imported);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is no such view or file; a file is not what its name says, or lacks columns; a row cannot be read or stored: the
    /// error names file, row, column and types. Nothing was imported then.
    pub fn import_files(&self, view: &str, paths: &[PathBuf], options: &ImportOptions) -> Result<ImportReport> {
        let files = expand(paths)?;
        let bulk = BulkOptions {
            allow_future: options.allow_future,
            bad_rows: options.bad_rows,
            append: options.append,
            source: options.source.clone(),
        };
        let mut run = Run {
            writer: self.bulk_writer(view, bulk)?,
            options,
            set_aside: SetAside::default(),
            digests: HashSet::new(),
            ignored: Vec::new(),
            ignored_more: false,
            progress: ImportProgress {
                files_total: files.len(),
                bytes_total: files.iter().map(|file| file.len_bytes).sum(),
                ..ImportProgress::default()
            },
        };
        let mut target = None;
        if options.bad_rows == BadRows::Quarantine {
            let path = run.writer.quarantine_file()?;
            *run.set_aside.lock() = Some(QuarantineWriter::new(Arc::clone(self.disk()), &path));
            target = Some(path);
        }
        for file in &files {
            run.import(file)?;
        }
        // In place before the commit: a row is never in neither place.
        let set_aside = run.set_aside.lock().take().map(QuarantineWriter::finish).transpose()?;
        let mut report = run.writer.commit()?;
        report.quarantine = target.filter(|_| set_aside.is_some_and(|rows| rows > 0));
        (report.ignored, report.ignored_more) = (run.ignored, run.ignored_more);
        Ok(report)
    }

    /// Imports the source of every view that names one, one view after the other; `done` is told of each view's name and what
    /// became of its files once they are imported. Paths are relative to `project`, the folder of the definitions file.
    ///
    /// # Errors
    /// A source is not there: nothing is imported then. As [`Store::import_files`], naming the view: the views that `done` was
    /// told of are imported.
    pub fn import_all(
        &self,
        project: &Path,
        options: &ImportOptions,
        mut done: impl FnMut(String, ImportReport),
    ) -> Result<()> {
        let views = self.view_definitions()?;
        let sources = views.iter().filter_map(|view| Some((view, project.join(view.source.path.as_ref()?))));
        let sources: Vec<_> = sources.collect();
        for (view, path) in &sources {
            expand(std::slice::from_ref(path)).map_err(|error| error.at(format!("view {}", view.reference_text())))?;
        }
        for (view, path) in sources {
            let place = format!("view {}", view.reference());
            let report = self.import_files(&view.reference().to_string(), &[path], options).map_err(|error| {
                let is_named = error.place().is_some_and(|inner| inner.contains(&place));
                if is_named { error } else { error.at(&place) }
            })?;
            done(view.reference_text(), report);
        }
        Ok(())
    }
}

/// A file to be imported.
struct InputFile {
    path: PathBuf,
    len_bytes: u64,
    modified: Option<SystemTime>,
}

impl InputFile {
    fn new(path: PathBuf) -> Result<InputFile> {
        let about = check_file(&path)?;
        Ok(InputFile { len_bytes: about.len(), modified: about.modified().ok(), path })
    }

    /// # Errors
    /// The file is another than before: what was read is not what its digest says.
    fn check_unchanged(&self) -> Result<()> {
        let now = InputFile::new(self.path.clone())?;
        if (now.len_bytes, now.modified) == (self.len_bytes, self.modified) {
            return Ok(());
        }
        Err(Error::refused("the file was changed while it was read")
            .at(self.path.display())
            .remedy("import it when nothing writes to it"))
    }
}

/// The files, and those below the folders.
fn expand(paths: &[PathBuf]) -> Result<Vec<InputFile>> {
    if paths.is_empty() {
        return Err(Error::invalid("no file is named").remedy("name the files to import"));
    }
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = files_of_folder(path)?.files;
            if found.is_empty() {
                return Err(Error::not_found("no file of a known format in this folder").at(path.display()));
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    files.into_iter().map(InputFile::new).collect()
}

/// Where bad rows go; shared with the readers of text files.
#[derive(Clone, Default)]
struct SetAside(Arc<Mutex<Option<QuarantineWriter>>>);

impl SetAside {
    fn lock(&self) -> MutexGuard<'_, Option<QuarantineWriter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An import under way.
struct Run<'a> {
    writer: BulkWriter,
    options: &'a ImportOptions,
    set_aside: SetAside,
    /// Of the files imported by this run.
    digests: HashSet<String>,
    ignored: Vec<String>,
    ignored_more: bool,
    progress: ImportProgress,
}

impl Run<'_> {
    fn import(&mut self, file: &InputFile) -> Result<()> {
        let digest = import_digest(self.writer.definition(), &file.path)?;
        if !self.options.append && self.is_known(file, &digest)? {
            self.writer.skip_file(self.name_of(file))?;
        } else {
            self.writer.begin_file(self.name_of(file))?;
            let rows_unread = self.read(file)?;
            file.check_unchanged()?;
            self.writer.end_file(digest.as_str(), rows_unread)?;
            self.digests.insert(digest);
        }
        self.progress.files += 1;
        self.progress.bytes += file.len_bytes;
        self.tell(0, 0);
        Ok(())
    }

    fn name_of(&self, file: &InputFile) -> String {
        self.options.called.clone().unwrap_or_else(|| file.path.to_string_lossy().into_owned())
    }

    /// Whether the rows of a file of this digest are stored: it was imported before, or when the view had all but the features that
    /// the file says nothing of.
    fn is_known(&mut self, file: &InputFile, digest: &str) -> Result<bool> {
        if self.digests.contains(digest) || self.writer.was_imported(digest)? {
            return Ok(true);
        }
        let (unspoken, ignored) =
            unspoken_features(self.writer.definition(), &file.path, self.options.decoded_bytes_max)?;
        let is_known = !unspoken.is_empty() && self.writer.was_imported_without(digest, &unspoken)?;
        if is_known {
            // One of them may be what a feature was added for.
            self.tell_ignored(ignored);
        }
        Ok(is_known)
    }

    fn tell_ignored(&mut self, columns: Vec<String>) {
        for column in columns {
            if !self.ignored.contains(&column) {
                self.ignored.push(column);
            }
        }
    }

    /// Reads a file into the writer; how many of its rows could not be read.
    fn read(&mut self, file: &InputFile) -> Result<u64> {
        let rows_unread = Arc::new(Mutex::new(0_u64));
        let decoded_bytes_max = self.options.decoded_bytes_max;
        let mut options = SourceOptions { decoded_bytes_max, ..SourceOptions::default() };
        if self.options.bad_rows == BadRows::Quarantine {
            let (set_aside, rows_unread) = (self.set_aside.clone(), rows_unread.clone());
            options.on_bad_row = Some(Arc::new(move |row| {
                *rows_unread.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                set_aside.lock().as_mut().map_or(Ok(()), |writer| writer.add_unread(&row))
            }));
        }
        let found = ViewSource::find(self.writer.definition(), &file.path, options)?;
        let mut options = found.options.clone();
        self.tell_ignored(found.ignored.clone());
        if self.options.bad_rows == BadRows::Fail {
            // Who reads the file does not know that an import can do without the row.
            options.on_bad_row =
                Some(Arc::new(|row| Err(Error::invalid(row.reason).at(row.file.display()).remedy(BAD_ROW_WAY_OUT))));
        }
        let mut source = open_source(&file.path, &options)?;
        while let Some(batch) = source.next_batch()? {
            self.write(file, &source, &batch)?;
            self.tell(batch.num_rows() as u64, source.bytes_read().min(file.len_bytes));
        }
        found.check_met(self.writer.definition(), &file.path, source.met_columns())?;
        self.tell_ignored(found.unused(source.met_columns()));
        let late = &source.met_columns().late;
        self.tell_ignored(late.iter().take(LATE_NAMED_MAX).cloned().collect());
        self.ignored_more |= late.len() > LATE_NAMED_MAX;
        let rows_unread = *rows_unread.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(rows_unread)
    }

    fn write(&mut self, file: &InputFile, source: &Source, batch: &RecordBatch) -> Result<()> {
        let refused = self.writer.write(batch).map_err(|error| error.at(file.path.display()))?;
        if let Some(set_aside) = self.set_aside.lock().as_mut() {
            for refusal in refused {
                let reason = match &refusal.column {
                    Some(column) => format!("column {column}: {}", refusal.reason),
                    None => refusal.reason,
                };
                set_aside.add(&self.name_of(file), batch, refusal.row, source.origin().row(refusal.row), &reason)?;
            }
        }
        Ok(())
    }

    /// `rows` more were read, and `bytes` of the present file.
    fn tell(&mut self, rows: u64, bytes: u64) {
        self.progress.rows += rows;
        if let Some(progress) = &self.options.progress {
            progress(&ImportProgress { bytes: self.progress.bytes + bytes, ..self.progress });
        }
    }
}
