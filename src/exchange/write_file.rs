//! A file's rows into the log, as one commit.

use std::path::Path;

use super::source::open_source;
use super::source_options::SourceOptions;
use super::view_source::ViewSource;
use crate::error::Result;
use crate::format::columns::value_bytes;
use crate::format::log::FRAME_BYTES_MAX;
use crate::request::WriteOptions;
use crate::store::{Store, WriteReport};

/// No commit has more.
const FILE_BYTES_MAX: u64 = FRAME_BYTES_MAX as u64;

impl Store {
    /// Writes the rows of a file to a view as [`Store::write_with`] does: into the log, all of them as one commit, or none. Columns are found
    /// as [`Store::import_files`] finds them. For what takes up to a gigabyte of memory: much at once is better imported.
    ///
    /// ```
    /// use asof::definition::{Definitions, FeatureView};
    /// use asof::value::DataType;
    /// use asof::{ApplyOptions, Store, WriteOptions};
    ///
    /// let store = Store::temporary()?;
    /// let view = FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64);
    /// let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(view);
    /// store.apply(&definitions, ApplyOptions::default())?;
    /// let file = store.path().with_file_name("weather.jsonl");
    /// std::fs::write(&file, "{\"origin\": \"JFK\", \"event_timestamp\": \"2024-03-01T13:00:00Z\", \"temp\": 39.0}\n")?;
    /// // Sent again, as after an answer that was lost, it is written once.
    /// let options = WriteOptions { idempotency_key: Some("hour 13".to_owned()), ..WriteOptions::default() };
    /// let first = store.write_file("weather", &file, &options)?;
    /// let again = store.write_file("weather", &file, &options)?;
    /// assert_eq!((first.rows, first.first_seq), (again.rows, again.first_seq));
    /// assert!(again.was_written_before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is no such view or file; a row cannot be read or stored: the error names file, row and column. As [`Store::write_with`].
    pub fn write_file(&self, view: &str, path: &Path, options: &WriteOptions) -> Result<WriteReport> {
        self.write_file_within(view, path, options, FILE_BYTES_MAX, |_| ())
    }

    /// [`Store::write_file`] of what takes so many bytes of memory at most; `read` is told how many it takes until it is written.
    ///
    /// # Errors
    /// It takes more. As there.
    pub(crate) fn write_file_within(
        &self,
        view: &str,
        path: &Path,
        options: &WriteOptions,
        bytes_max: u64,
        read: impl FnOnce(u64),
    ) -> Result<WriteReport> {
        let definition = self.view_definition(view)?;
        let within =
            SourceOptions { decoded_bytes_max: Some(bytes_max), is_read_whole: true, ..SourceOptions::default() };
        let found = ViewSource::find(&definition, path, within)?;
        let mut source = open_source(path, &found.options)?;
        let batch = source.read_all()?;
        let vectors: usize = definition.features.iter().map(|feature| feature.dtype.vector_bytes()).sum();
        let vectors = vectors.saturating_mul(batch.num_rows()) as u64;
        read(batch.columns().iter().map(|column| value_bytes(column)).fold(vectors, u64::saturating_add));
        found.check_met(&definition, path, source.met_columns())?;
        let mut report = self.write_with(view, &batch, options).map_err(|error| error.at(path.display()))?;
        let met = source.met_columns();
        let mut ignored = found.ignored.clone();
        ignored.extend(found.unused(met).into_iter().chain(met.late.iter().cloned()));
        ignored.retain(|name| !report.ignored.contains(name));
        report.ignored.append(&mut ignored);
        Ok(report)
    }
}
