//! Rows that an import set aside: one JSON object a line, with the file, the row's number in it, the
//! reason, and the row in text forms.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, RecordBatch, UInt32Array};
use serde_json::{Map, Value as Json, json};

use super::source::source_error;
use super::write::{publish, temporary_path, text_column};
use crate::error::{Error, Result};
use crate::format::accept::{LINE_COLUMN, Refusal, TEXT_FORM_KEY};
use crate::format::columns::value_at;
use crate::text::to_json;

/// Writes `quarantine/RUN-VIEW.jsonl`. Dropped before [`QuarantineWriter::finish`] it leaves nothing.
pub struct QuarantineWriter {
    path: PathBuf,
    temporary: PathBuf,
    out: Option<BufWriter<File>>,
    rows: u64,
}

impl QuarantineWriter {
    /// Begins the file of one run and view in `folder`, which is made when missing.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn create(folder: &Path, run: u64, view: &str) -> Result<QuarantineWriter> {
        std::fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))?;
        let path = folder.join(format!("{run}-{view}.jsonl"));
        let temporary = temporary_path(&path);
        let file = File::create_new(&temporary).map_err(|error| Error::io("create", &temporary, error))?;
        Ok(QuarantineWriter { path, temporary, out: Some(BufWriter::new(file)), rows: 0 })
    }

    /// Sets aside the refused rows of a batch that came from `source`; `first_row` is the batch's
    /// first row in it. Text files count lines, which `_line` holds.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn push(&mut self, source: &Path, first_row: u64, batch: &RecordBatch, refused: &[Refusal]) -> Result<()> {
        let rows: std::result::Result<Vec<u32>, _> = refused.iter().map(|refusal| u32::try_from(refusal.row)).collect();
        let rows = rows.map_err(|_| Error::invalid("the batch has more rows than 32 bits count"))?;
        // Only the refused rows are put into text forms.
        let bad = arrow_select::take::take_record_batch(batch, &UInt32Array::from(rows))
            .map_err(|error| source_error(source, error))?;
        let columns: Vec<_> = bad
            .schema_ref()
            .fields()
            .iter()
            .zip(bad.columns())
            .map(|(field, column)| text_column(field, column))
            .collect::<Result<_>>()?;
        let schema = bad.schema();
        for (row, refusal) in refused.iter().enumerate() {
            let mut number = first_row + refusal.row as u64;
            let mut values = Map::new();
            for (field, (dtype, column)) in schema.fields().iter().zip(&columns) {
                if field.name() == LINE_COLUMN {
                    number = bad.column_by_name(LINE_COLUMN).map_or(number, |lines| {
                        lines.as_primitive_opt::<UInt64Type>().map_or(number, |lines| lines.value(row))
                    });
                    continue;
                }
                let is_json = field.metadata().get(TEXT_FORM_KEY).is_some_and(|form| form == "json");
                let value = match column.as_string_opt::<i32>() {
                    Some(texts) if is_json && texts.is_valid(row) => {
                        serde_json::from_str(texts.value(row)).unwrap_or_else(|_| Json::from(texts.value(row)))
                    }
                    _ => to_json(dtype, &value_at(column, dtype, row)),
                };
                values.insert(field.name().clone(), value);
            }
            let reason = match &refusal.column {
                Some(column) => format!("{column}: {}", refusal.reason),
                None => refusal.reason.clone(),
            };
            let line = json!({ "file": source.to_string_lossy(), "row": number, "reason": reason, "values": values });
            if let Some(out) = &mut self.out {
                writeln!(out, "{line}").map_err(|error| Error::io("write", &self.path, error))?;
            }
            self.rows += 1;
        }
        Ok(())
    }

    /// Puts the file in place, synced: before the commit that leaves these rows out. A file without
    /// rows is not kept; `None` then.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> Result<Option<PathBuf>> {
        let Some(out) = self.out.take().filter(|_| self.rows > 0) else { return Ok(None) };
        let file = out.into_inner().map_err(|error| Error::io("write", &self.path, error.into_error()))?;
        publish(&file, &self.temporary, &self.path)?;
        Ok(Some(self.path.clone()))
    }
}

impl Drop for QuarantineWriter {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.temporary);
    }
}
