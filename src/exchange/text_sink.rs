//! CSV and JSON Lines out, in the text forms of values.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use serde_json::Value as Json;

use super::cells::{Cells, canonical_type};
use super::sink::{Sink, SinkReport, add_rows};
use super::temporary::TemporaryFile;
use crate::error::{Error, Result};
use crate::text::{format_value, json_text};
use crate::value::Value;

/// Writes a CSV file: a header line, then a record a row. Null is an empty field, an empty string `""`.
pub(super) struct CsvSink {
    file: TemporaryFile,
    delimiter: u8,
    columns: usize,
    rows: u64,
    /// Text of the batch being written.
    text: Vec<u8>,
}

impl CsvSink {
    pub fn new(file: TemporaryFile, schema: &SchemaRef, delimiter: u8) -> Result<CsvSink> {
        check_types(schema)?;
        let mut sink = CsvSink { file, delimiter, columns: schema.fields().len(), rows: 0, text: Vec::new() };
        for (i, field) in schema.fields().iter().enumerate() {
            sink.push_field(i, field.name(), false);
        }
        sink.end_record()?;
        Ok(sink)
    }

    fn push_field(&mut self, column: usize, text: &str, is_null: bool) {
        if column > 0 {
            self.text.push(self.delimiter);
        }
        let bytes = text.as_bytes();
        let is_plain = !bytes.iter().any(|&b| b == self.delimiter || matches!(b, b'"' | b'\n' | b'\r'));
        // A byte order mark at the very start would be taken for one.
        if is_null || (is_plain && !bytes.is_empty() && bytes[0] != 0xef) {
            self.text.extend_from_slice(bytes);
            return;
        }
        self.text.push(b'"');
        for &byte in bytes {
            if byte == b'"' {
                self.text.push(b'"');
            }
            self.text.push(byte);
        }
        self.text.push(b'"');
    }

    fn end_record(&mut self) -> Result<()> {
        self.text.push(b'\n');
        if self.text.len() > 1 << 20 {
            self.flush_text()?;
        }
        Ok(())
    }

    fn flush_text(&mut self) -> Result<()> {
        write_out(&mut self.file, &mut self.text)
    }
}

impl Sink for CsvSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = cells_of(batch, self.columns)?;
        for row in 0..batch.num_rows() {
            for (i, cells) in columns.iter().enumerate() {
                match cells.value(row) {
                    Value::String(text) | Value::Json(text) => self.push_field(i, &text, false),
                    value => self.push_field(i, &format_value(cells.dtype(), &value), value.is_null()),
                }
            }
            self.end_record()?;
        }
        add_rows(&mut self.rows, batch);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<SinkReport> {
        self.flush_text()?;
        Ok(SinkReport { rows: self.rows, bytes: self.file.publish()? })
    }
}

/// Writes a JSON Lines file: one object a line, every column in it, null where there is no value.
pub(super) struct JsonLinesSink {
    file: TemporaryFile,
    /// Each column's name as a JSON string with its colon.
    keys: Vec<String>,
    rows: u64,
    text: Vec<u8>,
}

impl JsonLinesSink {
    pub fn new(file: TemporaryFile, schema: &SchemaRef) -> Result<JsonLinesSink> {
        check_types(schema)?;
        let keys = schema.fields().iter().map(|field| format!("{}:", Json::from(field.name().as_str()))).collect();
        Ok(JsonLinesSink { file, keys, rows: 0, text: Vec::new() })
    }
}

impl Sink for JsonLinesSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = cells_of(batch, self.keys.len())?;
        for row in 0..batch.num_rows() {
            for (i, (key, cells)) in self.keys.iter().zip(&columns).enumerate() {
                self.text.push(if i == 0 { b'{' } else { b',' });
                self.text.extend_from_slice(key.as_bytes());
                self.text.extend_from_slice(json_text(cells.dtype(), &cells.value(row)).as_bytes());
            }
            self.text.extend_from_slice(if columns.is_empty() { b"{}\n" } else { b"}\n" });
            if self.text.len() > 1 << 20 {
                write_out(&mut self.file, &mut self.text)?;
            }
        }
        add_rows(&mut self.rows, batch);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<SinkReport> {
        write_out(&mut self.file, &mut self.text)?;
        Ok(SinkReport { rows: self.rows, bytes: self.file.publish()? })
    }
}

fn write_out(file: &mut TemporaryFile, text: &mut Vec<u8>) -> Result<()> {
    file.write_all(text).map_err(|error| Error::io("write", file.target(), error))?;
    text.clear();
    Ok(())
}

/// Refuses at once what would be refused at the first row.
fn check_types(schema: &SchemaRef) -> Result<()> {
    for field in schema.fields() {
        if canonical_type(field).is_none() {
            return Err(Error::invalid(format!("columns of Arrow type {} have no text form", field.data_type()))
                .at(format!("column {}", field.name()))
                .remedy("write Parquet or Arrow instead"));
        }
    }
    Ok(())
}

fn cells_of(batch: &RecordBatch, columns: usize) -> Result<Vec<Cells>> {
    if batch.num_columns() != columns {
        return Err(Error::invalid(format!("the file has {columns} columns, this batch {}", batch.num_columns())));
    }
    Cells::of_batch(batch)
}
