//! Rows of text files on their way into record batches: cells that cannot be read make their row a
//! bad one, and bad rows are an error or set aside.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef};

use super::cells::typed_field;
use super::columns::ColumnBuilder;
use super::source::Part;
use super::source_options::{BadRow, SourceOptions};
use crate::error::{Error, Result};
use crate::format::accept::TEXT_FORM_KEY;
use crate::value::DataType;

/// A batch ends early when its text takes more than this: rows can be long.
const BATCH_TEXT_BYTES_MAX: usize = 32 << 20;
/// The same of its vectors, which take their memory where they are null too.
const BATCH_VECTORS_BYTES_MAX: usize = 128 << 20;

/// Gathers rows, cell by cell, into batches.
pub(super) struct RowBatcher {
    path: PathBuf,
    schema: SchemaRef,
    names: Vec<String>,
    builders: Vec<ColumnBuilder>,
    options: SourceOptions,
    rows_max: usize,
    /// Number of the batch's first row in its file, from 1.
    first_row: u64,
    rows: usize,
    text_bytes: usize,
    /// Rows of this batch that are to be left out.
    bad: Vec<usize>,
    trouble: Option<Error>,
}

impl RowBatcher {
    /// `form` is the text form of what is delivered as it is written.
    pub fn new(path: &Path, columns: Vec<(String, DataType)>, options: &SourceOptions, form: &str) -> RowBatcher {
        let field = |(name, dtype): &(String, DataType)| {
            let field = typed_field(name, dtype);
            match options.is_as_written(name) {
                true => field.with_metadata([(TEXT_FORM_KEY.to_owned(), form.to_owned())]),
                false => field,
            }
        };
        let fields: Vec<Field> = columns.iter().map(field).collect();
        let vectors_bytes: usize = columns.iter().map(|(_, dtype)| dtype.vector_bytes()).sum();
        let rows_max = options.batch_rows.min(BATCH_VECTORS_BYTES_MAX / vectors_bytes.max(1)).max(1);
        RowBatcher {
            path: path.to_path_buf(),
            schema: Arc::new(Schema::new(fields)),
            builders: columns.iter().map(|(_, dtype)| ColumnBuilder::new(dtype)).collect(),
            names: columns.into_iter().map(|(name, _)| name).collect(),
            options: options.clone(),
            rows_max,
            first_row: 1,
            rows: 0,
            text_bytes: 0,
            bad: Vec::new(),
            trouble: None,
        }
    }

    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    pub fn column(&mut self, column: usize) -> &mut ColumnBuilder {
        &mut self.builders[column]
    }

    /// Settles one cell. A cell that could not be read becomes null and its row a bad one.
    pub fn settle(&mut self, column: usize, cell: Result<()>) {
        if let Err(error) = cell {
            self.builders[column].push_null();
            let place = format!("column {}", self.names[column]);
            self.trouble.get_or_insert(error.at(place));
        }
    }

    /// A whole row that could not be read: null in every column.
    pub fn settle_row(&mut self, error: Error) {
        self.builders.iter_mut().for_each(ColumnBuilder::push_null);
        self.fail_row(error);
    }

    /// Makes a row bad for a reason that lies in none of its columns.
    pub fn fail_row(&mut self, error: Error) {
        self.trouble.get_or_insert(error);
    }

    /// Ends a row of which every column was settled. `values` says what the file holds there, as a JSON object, for
    /// the report of a bad row.
    ///
    /// # Errors
    /// The row is bad and bad rows are not set aside.
    pub fn end_row(&mut self, line: u64, bytes: usize, values: impl FnOnce() -> String) -> Result<()> {
        if let Some(error) = self.trouble.take() {
            let Some(set_aside) = &self.options.on_bad_row else {
                return Err(error.at(format!("line {line}")).at(self.path.display()));
            };
            let row = self.first_row.saturating_add(u64::try_from(self.rows).unwrap_or(u64::MAX));
            let reason = error.at(format!("line {line}")).to_string();
            set_aside(BadRow { file: self.path.clone(), row, reason, values: values() })?;
            self.bad.push(self.rows);
        }
        self.rows += 1;
        self.text_bytes += bytes;
        Ok(())
    }

    /// Whether the batch should be taken now.
    pub fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.text_bytes > BATCH_TEXT_BYTES_MAX
    }

    /// The rows so far, without the bad ones; `None` when there were no rows at all.
    pub fn take(&mut self) -> Result<Option<Part>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let columns = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let mut batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| Error::invalid(error.to_string()).at(self.path.display()))?;
        let number = |row: usize| self.first_row.saturating_add(u64::try_from(row).unwrap_or(u64::MAX));
        let skipped: Vec<u64> = self.bad.iter().map(|&row| number(row)).collect();
        if !self.bad.is_empty() {
            let mut keep = vec![true; self.rows];
            for &row in &self.bad {
                keep[row] = false;
            }
            batch = arrow_select::filter::filter_record_batch(&batch, &BooleanArray::from(keep))
                .map_err(|error| Error::invalid(error.to_string()).at(self.path.display()))?;
        }
        let part = Part { batch, first_row: self.first_row, skipped };
        self.first_row = number(self.rows);
        self.rows = 0;
        self.text_bytes = 0;
        self.bad.clear();
        Ok(Some(part))
    }
}
