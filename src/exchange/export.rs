//! A view's history as a folder of Parquet files, which import takes back.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::partitioned::{FolderReport, Partition, PartitionedWriter};
use crate::error::Result;
use crate::request::{KnownAt, ScanOptions};
use crate::store::Store;
use crate::time::Timestamp;

/// Told how many rows were taken so far, after each batch.
pub type RowProgress = Arc<dyn Fn(u64) + Send + Sync>;

/// Which rows to export, and how to lay them out.
#[derive(Clone, Default)]
pub struct ExportOptions {
    /// Only rows with an event time from this instant on.
    pub from: Option<Timestamp>,
    /// Only rows with an event time before this instant.
    pub to: Option<Timestamp>,
    /// Only rows known by then, under the definitions of then.
    pub known_at: Option<KnownAt>,
    /// One folder, or one for each day of event time.
    pub partition: Partition,
    /// Told of every batch.
    pub progress: Option<RowProgress>,
}

impl fmt::Debug for ExportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportOptions")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("known_at", &self.known_at)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

/// What an export wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportReport {
    /// The view and its version.
    pub view: String,
    /// The folder that holds the files: `DIR/VIEW/vN`.
    pub folder: PathBuf,
    /// Rows written, deletes included.
    pub rows: u64,
    /// Files written.
    pub files: u64,
    /// Their lengths together.
    pub bytes: u64,
    /// Rows up to this number are in it; also in each file's metadata.
    pub known_at_seq: u64,
}

impl Store {
    /// Writes all rows of a view version below `dir`, as Parquet: `DIR/VIEW/v1/part-00000.parquet`, or with
    /// [`Partition::Date`] `DIR/VIEW/v1/date=2026-03-01/part-00000.parquet`. Columns and order are those of [`Store::scan`];
    /// deletes are rows with null features and `_deleted` = true. Imported into an empty view of the same
    /// definition, the files give equal rows.
    ///
    /// The folder appears whole or not at all.
    ///
    /// ```
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # use asof::{ApplyOptions, ExportOptions, Store};
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// # let folder = store.path().with_file_name("export");
    /// let report = store.export("weather", &folder, &ExportOptions::default())?;
    /// assert_eq!(report.folder, folder.join("weather/v1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::scan`]; the view's folder below `dir` holds something already; the disk refuses.
    pub fn export(&self, view: &str, dir: &Path, options: &ExportOptions) -> Result<ExportReport> {
        let scan = self.scan(
            view,
            &ScanOptions {
                from: options.from,
                to: options.to,
                known_at: options.known_at.clone(),
                ..ScanOptions::default()
            },
        )?;
        let definition = &scan.view().definition;
        let view = definition.reference().to_string();
        let known_at_seq = scan.known_at_seq();
        let metadata = scan.schema().metadata().iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut metadata: Vec<(String, String)> = metadata.collect();
        // Equal rows give equal bytes.
        metadata.sort();
        let mut writer = PartitionedWriter::create(dir, definition, options.partition, scan.schema(), metadata)?;
        let mut rows = 0_u64;
        for batch in scan {
            let batch = batch?;
            writer.write(&batch)?;
            rows = rows.saturating_add(u64::try_from(batch.num_rows()).unwrap_or(u64::MAX));
            if let Some(progress) = &options.progress {
                progress(rows);
            }
        }
        let FolderReport { folder, rows, files, bytes } = writer.finish()?;
        Ok(ExportReport { view, folder, rows, files, bytes, known_at_seq })
    }
}
