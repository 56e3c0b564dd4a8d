//! A view's rows as a folder of Parquet files, in one piece or by day: `DIR/VIEW/v1/part-00000.parquet`,
//! `DIR/VIEW/v1/date=2026-03-01/part-00000.parquet`. The folder can be read back with `open_source`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take_record_batch;

use super::sink::{Sink, create_sink};
use super::spill::DayBuffers;
use super::temporary::{create_beside, create_folder, parent_of, sync_folder};
use crate::definition::{EventTime, FeatureView};
use crate::error::{Error, Result};
use crate::format::accept::EVENT_TIMESTAMP_COLUMN;
use crate::text::format_value;
use crate::time::MICROS_PER_DAY;
use crate::value::{DataType, Value, timestamp_arrow_type};

/// Rows of a file, after which the next part begins.
const PART_ROWS_MAX: u64 = 16 << 20;
/// Rows waiting to be sorted by day, beyond which they go to disk.
const BUFFER_BYTES_MAX: usize = 256 << 20;

/// How the rows of an export are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partition {
    /// One folder.
    #[default]
    None,
    /// A folder for each UTC day of event time, `date=YYYY-MM-DD`.
    Date,
}

/// What stands in an export's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderReport {
    /// The folder that holds the files.
    pub folder: PathBuf,
    /// Rows written.
    pub rows: u64,
    /// Files written.
    pub files: u64,
    /// Their lengths together.
    pub bytes: u64,
}

/// Writes an export. The folder appears whole at [`PartitionedWriter::finish`]; dropped before,
/// nothing is left of it.
///
/// Rows of a day keep the order in which they came, so rows in row order within a key stay in it.
pub struct PartitionedWriter {
    layout: Layout,
    /// The column that rows are partitioned by.
    event_time: String,
    temporary: PathBuf,
    /// The temporary folder is somebody's for as long as this is open.
    _claim: File,
    /// Dropped after the temporary folder was removed.
    parents: NewFolders,
    schema: SchemaRef,
    metadata: Vec<(String, String)>,
    report: FolderReport,
    published: bool,
}

enum Layout {
    Whole(Parts),
    ByDay(DayBuffers),
}

impl PartitionedWriter {
    /// Begins an export of `view` below `folder`. The schema has the event time under the name that the
    /// view's source gives it, `event_timestamp` where that is a constant, in microseconds, UTC; `metadata` goes
    /// into every file.
    ///
    /// # Errors
    /// The view's folder is there and not empty, or cannot be made; the schema has no event time.
    pub fn create(
        folder: &Path,
        view: &FeatureView,
        partition: Partition,
        schema: &SchemaRef,
        metadata: Vec<(String, String)>,
    ) -> Result<PartitionedWriter> {
        Self::with_buffer(folder, view, partition, schema, metadata, BUFFER_BYTES_MAX)
    }

    pub(super) fn with_buffer(
        folder: &Path,
        view: &FeatureView,
        partition: Partition,
        schema: &SchemaRef,
        metadata: Vec<(String, String)>,
        buffer_bytes_max: usize,
    ) -> Result<PartitionedWriter> {
        let target = folder.join(&view.name).join(format!("v{}", view.version));
        if fs::read_dir(&target).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(not_empty(&target));
        }
        let event_time = match &view.source.event_timestamp {
            EventTime::Column(name) => name.clone(),
            EventTime::Constant(_) => EVENT_TIMESTAMP_COLUMN.to_owned(),
        };
        if !schema.field_with_name(&event_time).is_ok_and(|field| *field.data_type() == timestamp_arrow_type()) {
            return Err(Error::invalid(format!("an export has a column {event_time} in microseconds, UTC")));
        }
        let parents = NewFolders::create(parent_of(&target))?;
        let (temporary, claim) = create_beside(&target, create_folder)?;
        let layout = match partition {
            Partition::None => Layout::Whole(Parts::new(temporary.clone())),
            Partition::Date => Layout::ByDay(DayBuffers::new(&temporary, schema.clone(), buffer_bytes_max)),
        };
        let report = FolderReport { folder: target, ..FolderReport::default() };
        Ok(PartitionedWriter {
            layout,
            event_time,
            temporary,
            _claim: claim,
            parents,
            schema: schema.clone(),
            metadata,
            report,
            published: false,
        })
    }

    /// Appends rows of the export's schema.
    ///
    /// # Errors
    /// An event timestamp is null or beyond the calendar, or the disk refuses.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.schema_ref().fields() != self.schema.fields() {
            return Err(Error::invalid("the rows are not of the export's schema"));
        }
        match &mut self.layout {
            Layout::Whole(parts) => parts.write(batch, &self.metadata, &mut self.report),
            Layout::ByDay(buffers) => {
                for (day, rows) in by_day(batch, &self.event_time)? {
                    buffers.add(day, rows)?;
                }
                Ok(())
            }
        }
    }

    /// Completes the files and gives the folder its name.
    ///
    /// # Errors
    /// The disk refuses, or somebody has put files under that name meanwhile; nothing is left then.
    pub fn finish(mut self) -> Result<FolderReport> {
        match &mut self.layout {
            Layout::Whole(parts) => parts.close(&mut self.report)?,
            Layout::ByDay(buffers) => {
                for day in buffers.days() {
                    let folder = self.temporary.join(format!("date={}", day_text(day)));
                    fs::create_dir(&folder).map_err(|error| Error::io("create the folder", &folder, error))?;
                    let mut parts = Parts::new(folder);
                    buffers.read(day, |rows| parts.write(rows, &self.metadata, &mut self.report))?;
                    parts.close(&mut self.report)?;
                }
                buffers.clear()?;
            }
        }
        if self.report.files == 0 {
            // An export of no rows is a file without rows, not an empty folder.
            let mut parts = Parts::new(self.temporary.clone());
            parts.write(&RecordBatch::new_empty(self.schema.clone()), &self.metadata, &mut self.report)?;
            parts.close(&mut self.report)?;
        }
        let target = &self.report.folder;
        sync_folder(&self.temporary)?;
        fs::rename(&self.temporary, target).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => not_empty(target),
            _ => Error::io("rename into place", target, error),
        })?;
        self.published = true;
        sync_folder(parent_of(target))?;
        // The folders above it are as new, and as easily lost.
        self.parents.0.iter().try_for_each(|folder| sync_folder(parent_of(folder)))?;
        Ok(self.report.clone())
    }
}

impl Drop for PartitionedWriter {
    fn drop(&mut self) {
        if !self.published {
            // An open part would otherwise write into a folder that is gone.
            if let Layout::Whole(parts) = &mut self.layout {
                parts.open = None;
            }
            let _ = fs::remove_dir_all(&self.temporary);
        }
    }
}

/// Folders that were not there before, the deepest first. Dropped, it removes those that nothing was put into.
struct NewFolders(Vec<PathBuf>);

impl NewFolders {
    /// Makes `folder`, and those that it lies in.
    fn create(folder: &Path) -> Result<NewFolders> {
        let new = NewFolders(folder.ancestors().take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect());
        fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))?;
        Ok(new)
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        // Of a folder that holds something nothing is removed.
        self.0.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

fn not_empty(folder: &Path) -> Error {
    let error = Error::refused("the folder is not empty").at(folder.display());
    error.remedy("export into another folder, or remove this one first")
}

/// The part files of one folder, one open at a time.
struct Parts {
    folder: PathBuf,
    count: u64,
    open: Option<(Box<dyn Sink>, u64)>,
}

impl Parts {
    fn new(folder: PathBuf) -> Parts {
        Parts { folder, count: 0, open: None }
    }

    fn write(&mut self, rows: &RecordBatch, metadata: &[(String, String)], report: &mut FolderReport) -> Result<()> {
        if self.open.as_ref().is_some_and(|(_, written)| *written >= PART_ROWS_MAX) {
            self.close(report)?;
        }
        let (sink, written) = match &mut self.open {
            Some(open) => open,
            None => {
                let path = self.folder.join(format!("part-{:05}.parquet", self.count));
                self.open.insert((create_sink(&path, rows.schema_ref(), metadata.to_vec())?, 0))
            }
        };
        sink.write(rows)?;
        *written = written.saturating_add(u64::try_from(rows.num_rows()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn close(&mut self, report: &mut FolderReport) -> Result<()> {
        if let Some((sink, _)) = self.open.take() {
            let part = sink.finish()?;
            self.count += 1;
            report.files += 1;
            report.rows = report.rows.saturating_add(part.rows);
            report.bytes = report.bytes.saturating_add(part.bytes);
        }
        Ok(())
    }
}

/// A batch's rows by day, each with memory of its own, in their order.
fn by_day(batch: &RecordBatch, event_time: &str) -> Result<Vec<(i32, RecordBatch)>> {
    let column: &ArrayRef = batch.column_by_name(event_time).ok_or_else(|| Error::invalid("no event times"))?;
    let times = column.as_primitive::<TimestampMicrosecondType>();
    if times.null_count() > 0 {
        return Err(Error::invalid(format!("{event_time} is null in a row to export")));
    }
    let mut rows = Vec::with_capacity(times.len());
    for (row, &us) in (0_u64..).zip(times.values()) {
        let day = i32::try_from(us.div_euclid(MICROS_PER_DAY))
            .map_err(|_| Error::invalid(format!("event time {us}us lies beyond the calendar of days")))?;
        rows.push((day, row));
    }
    rows.sort_unstable();
    let mut days = Vec::new();
    for group in rows.chunk_by(|a, b| a.0 == b.0) {
        let indices = UInt64Array::from_iter_values(group.iter().map(|&(_, row)| row));
        let taken = take_record_batch(batch, &indices).map_err(|error| Error::invalid(error.to_string()))?;
        days.push((group[0].0, taken));
    }
    Ok(days)
}

fn day_text(day: i32) -> String {
    format_value(&DataType::Date, &Value::Date(day))
}
