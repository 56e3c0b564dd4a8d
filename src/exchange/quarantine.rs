//! Rows that an import set aside: one JSON line each, with its reason, in place before the commit.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType as ArrowType;
use serde_json::Value as Json;

use super::cells::Cells;
use super::source_options::BadRow;
use crate::disk::{Disk, File, LockGuard, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::format::accept::TEXT_FORM_KEY;
use crate::text::json_text;
use crate::value::Value;

const BUFFER_BYTES: usize = 256 << 10;

/// Writes the rows set aside as `{"file", "row", "reason", "values"}`, one a line. Values are in the
/// JSON text forms, in which the `values` of a mended line can be imported as JSON Lines; those of a CSV line that could
/// not be read are its texts as they stood there, each a string.
///
/// Nothing bears the name before [`QuarantineWriter::finish`]; without any row nothing ever does.
pub struct QuarantineWriter {
    disk: Arc<dyn Disk>,
    target: PathBuf,
    temporary: PathBuf,
    file: Option<Claimed>,
    text: Vec<u8>,
    written_bytes: u64,
    rows: u64,
}

/// A file that is somebody's for as long as its lock is held: whoever opens the store for writing removes those of nobody. The one
/// who holds the store is not always the one who sets rows aside.
struct Claimed {
    file: Arc<dyn File>,
    _lock: Box<dyn LockGuard>,
}

impl Claimed {
    fn create(disk: &dyn Disk, path: &Path) -> Result<Claimed> {
        let taken = || {
            Error::new(ErrorKind::Locked, "another import sets rows aside in this file")
                .at(path.display())
                .remedy("import again when that one has ended")
        };
        if disk.exists(path)? {
            // What a crashed import left under this name is worth nothing.
            let _nobodys = disk.try_lock(path)?.ok_or_else(taken)?;
            disk.remove(path)?;
        }
        let file = disk.open(path, OpenMode::Create)?;
        let lock = disk.try_lock(path)?.ok_or_else(taken)?;
        Ok(Claimed { file, _lock: lock })
    }
}

impl QuarantineWriter {
    /// A writer of the file `target`, whose folder exists.
    pub fn new(disk: Arc<dyn Disk>, target: &Path) -> QuarantineWriter {
        let mut temporary = target.as_os_str().to_owned();
        temporary.push(".tmp");
        QuarantineWriter {
            disk,
            target: target.to_path_buf(),
            temporary: temporary.into(),
            file: None,
            text: Vec::new(),
            written_bytes: 0,
            rows: 0,
        }
    }

    /// Sets aside row `index` of a batch; `row` is its number in `file`, from 1. A value without a text form, which may be
    /// why the row is bad, is shown as Arrow shows it.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn add(&mut self, file: &str, batch: &RecordBatch, index: usize, row: u64, reason: &str) -> Result<()> {
        let one = batch.slice(index, 1);
        let columns = batch.schema_ref().fields().iter().zip(one.columns());
        let values: BTreeMap<&str, String> = columns
            .map(|(field, column)| {
                let text = match (Cells::new(field, column), field.metadata().get(TEXT_FORM_KEY)) {
                    (Ok(cells), Some(form)) if form == "json" => match cells.value(0) {
                        // A line end can only stand between its tokens.
                        Value::String(text) => text.replace('\r', " "),
                        _ => "null".to_owned(),
                    },
                    (Ok(cells), _) => json_text(cells.dtype(), &cells.value(0)),
                    (Err(_), _) => shown(column).map_or_else(|| "null".to_owned(), |text| Json::from(text).to_string()),
                };
                (field.name().as_str(), text)
            })
            .collect();
        let members: Vec<String> =
            values.into_iter().map(|(name, text)| format!("{}:{text}", Json::from(name))).collect();
        self.add_line(file, row, reason, &format!("{{{}}}", members.join(",")))
    }

    /// Sets aside a row that could not even be read.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn add_unread(&mut self, row: &BadRow) -> Result<()> {
        self.add_line(&row.file.to_string_lossy(), row.row, &row.reason, &row.values)
    }

    /// How many rows were set aside.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Makes the file durable and gives it its name; says how many rows it holds.
    ///
    /// # Errors
    /// The disk refuses; nothing bears the name then.
    pub fn finish(mut self) -> Result<u64> {
        if self.rows == 0 {
            return Ok(0);
        }
        self.flush()?;
        if let Some(Claimed { file, .. }) = &self.file {
            file.sync()?;
            self.disk.rename(&self.temporary, &self.target)?;
            self.file = None;
            self.disk.sync_dir(super::temporary::parent_of(&self.target))?;
        }
        Ok(self.rows)
    }

    /// `values` is a JSON object on one line.
    fn add_line(&mut self, file: &str, row: u64, reason: &str, values: &str) -> Result<()> {
        let (file, reason) = (Json::from(file), Json::from(reason));
        let line = format!("{{\"file\":{file},\"reason\":{reason},\"row\":{row},\"values\":{values}}}\n");
        self.text.extend_from_slice(line.as_bytes());
        self.rows += 1;
        if self.text.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let Claimed { file, .. } = match &self.file {
            Some(claimed) => claimed,
            None => self.file.insert(Claimed::create(&*self.disk, &self.temporary)?),
        };
        file.write_at(self.written_bytes, &self.text)?;
        self.written_bytes = self.written_bytes.saturating_add(u64::try_from(self.text.len()).unwrap_or(u64::MAX));
        self.text.clear();
        Ok(())
    }
}

/// The only value of a column as Arrow shows it; an instant beyond Arrow's calendar as its number. `None` for null, and
/// for what cannot be shown.
fn shown(column: &ArrayRef) -> Option<String> {
    let options = FormatOptions::new().with_display_error(false);
    let show = |column: &dyn Array| {
        let formatter = ArrayFormatter::try_new(column, &options).ok()?;
        formatter.value(0).try_to_string().ok()
    };
    if column.is_null(0) {
        return None;
    }
    show(column).or_else(|| show(&arrow_cast::cast(column, &ArrowType::Int64).ok()?))
}

impl Drop for QuarantineWriter {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Nothing can be done about a failure here; the next opening for writing removes the file.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}

impl fmt::Debug for QuarantineWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuarantineWriter")
            .field("target", &self.target)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}
