//! CSV with the one distinction that RFC 4180 readers lose: an empty field is null, `""` is the
//! empty string. So a small tokenizer of our own.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchReader, UInt64Array};
use arrow_schema::{ArrowError, DataType as ArrowType, Field, Schema, SchemaRef};

use super::source::SourceOptions;
use crate::error::{Error, Result};
use crate::format::accept::{LINE_COLUMN, TEXT_FORM_KEY};
use crate::format::columns::array_from_values;
use crate::text::{clip, parse_timestamp_as, parse_value};
use crate::value::{DataType, Value};

/// One record's cells: `None` for an empty field without quotes.
#[derive(Debug, Default)]
pub(super) struct Record {
    bytes: Vec<u8>,
    cells: Vec<Option<std::ops::Range<usize>>>,
}

impl Record {
    fn cell(&self, index: usize) -> Option<&[u8]> {
        self.cells[index].as_ref().map(|range| &self.bytes[range.clone()])
    }
}

/// Splits a stream into records, one at a time.
pub(super) struct Tokenizer<R> {
    input: R,
    delimiter: u8,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Tokenizer<R> {
    pub(super) fn new(input: R, delimiter: u8) -> Self {
        Tokenizer { input, delimiter, line: 0, buffer: Vec::new() }
    }

    /// Reads the next record and gives its first line; `None` at the end. Empty lines are skipped
    /// where `skip_empty` holds; where a record has one column, an empty line is its null.
    pub(super) fn read(&mut self, record: &mut Record, skip_empty: bool) -> Result<Option<u64>> {
        loop {
            record.bytes.clear();
            record.cells.clear();
            let first_line = self.line + 1;
            if !self.next_line()? {
                return Ok(None);
            }
            if self.buffer.is_empty() && skip_empty {
                continue;
            }
            let mut at = 0;
            loop {
                let start = record.bytes.len();
                if self.buffer.get(at) == Some(&b'"') {
                    at = self.quoted(at + 1, first_line, &mut record.bytes)?;
                    record.cells.push(Some(start..record.bytes.len()));
                    if at < self.buffer.len() && self.buffer[at] != self.delimiter {
                        return Err(Error::invalid("text after a closing quote").at(format!("line {}", self.line)));
                    }
                } else {
                    let rest = &self.buffer[at..];
                    let len = rest.iter().position(|byte| *byte == self.delimiter).unwrap_or(rest.len());
                    record.bytes.extend_from_slice(&rest[..len]);
                    record.cells.push((len > 0).then(|| start..record.bytes.len()));
                    at += len;
                }
                if at >= self.buffer.len() {
                    return Ok(Some(first_line));
                }
                at += 1;
            }
        }
    }

    /// Copies a quoted cell from `at` and gives the place after its closing quote.
    fn quoted(&mut self, mut at: usize, first_line: u64, out: &mut Vec<u8>) -> Result<usize> {
        loop {
            let rest = &self.buffer[at..];
            match rest.iter().position(|byte| *byte == b'"') {
                Some(len) => {
                    out.extend_from_slice(&rest[..len]);
                    at += len + 1;
                    if self.buffer.get(at) != Some(&b'"') {
                        return Ok(at);
                    }
                    out.push(b'"');
                    at += 1;
                }
                None => {
                    out.extend_from_slice(rest);
                    out.push(b'\n');
                    at = 0;
                    if !self.next_line()? {
                        return Err(Error::invalid("a quoted field that does not end").at(format!("line {first_line}")));
                    }
                }
            }
        }
    }

    /// The next line without its end.
    fn next_line(&mut self) -> Result<bool> {
        self.buffer.clear();
        let read = self.input.read_until(b'\n', &mut self.buffer);
        let count = read.map_err(|error| Error::io("read", Path::new(""), error))?;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            if self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
        }
        if self.line == 0 && self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.buffer.drain(..3);
        }
        self.line += u64::from(count > 0);
        Ok(count > 0)
    }
}

/// Batches of a CSV file with a header.
pub(super) struct CsvReader<R> {
    tokens: Tokenizer<R>,
    path: PathBuf,
    schema: SchemaRef,
    types: Vec<Option<DataType>>,
    timestamp_format: Option<String>,
    batch_rows: usize,
}

impl<R: BufRead> CsvReader<R> {
    pub(super) fn open(path: &Path, input: R, options: &SourceOptions) -> Result<Self> {
        let is_tsv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
        let delimiter = options.delimiter.unwrap_or(if is_tsv { '\t' } else { ',' });
        let delimiter = u8::try_from(delimiter).ok().filter(|byte| byte.is_ascii() && !b"\"\r\n".contains(byte));
        let delimiter = delimiter.ok_or_else(|| Error::invalid("a CSV delimiter is one ASCII character"))?;
        let mut tokens = Tokenizer::new(input, delimiter);
        let mut header = Record::default();
        if tokens.read(&mut header, true).map_err(|error| error.at(path.display()))?.is_none() {
            return Err(Error::invalid("the file is empty; its first line must name the columns").at(path.display()));
        }
        let mut fields = Vec::new();
        let mut types = Vec::new();
        for index in 0..header.cells.len() {
            let name = header.cell(index).map(std::str::from_utf8).transpose();
            let name = match name {
                Ok(name) => name.unwrap_or_default().to_owned(),
                Err(_) => {
                    return Err(Error::invalid("a column name that is not UTF-8").at("line 1").at(path.display()));
                }
            };
            let dtype = options.columns.get(&name).cloned();
            fields.push(match &dtype {
                Some(dtype) => Field::new(name, dtype.to_arrow(), true),
                None => text_field(&name, "text"),
            });
            types.push(dtype);
        }
        fields.push(Field::new(LINE_COLUMN, ArrowType::UInt64, false));
        Ok(CsvReader {
            tokens,
            path: path.to_owned(),
            schema: Arc::new(Schema::new(fields)),
            types,
            timestamp_format: options.timestamp_format.clone(),
            batch_rows: options.batch_rows.max(1),
        })
    }

    fn read_batch(&mut self) -> Result<Option<RecordBatch>> {
        let width = self.types.len();
        let mut columns: Vec<StringBuilder> = (0..width).map(|_| StringBuilder::new()).collect();
        let mut lines: Vec<u64> = Vec::new();
        let mut record = Record::default();
        while lines.len() < self.batch_rows {
            let Some(line) = self.tokens.read(&mut record, width > 1)? else { break };
            if record.cells.len() != width {
                return Err(Error::invalid(format!("{} fields, the header has {width}", record.cells.len()))
                    .at(format!("line {line}")));
            }
            for (index, column) in columns.iter_mut().enumerate() {
                match record.cell(index).map(std::str::from_utf8) {
                    None => column.append_null(),
                    Some(Ok(text)) => column.append_value(text),
                    Some(Err(_)) => {
                        return Err(Error::invalid("text that is not UTF-8")
                            .at(format!("line {line}: column {}", self.schema.field(index).name())));
                    }
                }
            }
            lines.push(line);
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(width + 1);
        for (index, mut column) in columns.into_iter().enumerate() {
            let texts = column.finish();
            let Some(dtype) = &self.types[index] else {
                arrays.push(Arc::new(texts));
                continue;
            };
            let mut values = Vec::with_capacity(lines.len());
            for (text, line) in texts.iter().zip(&lines) {
                let parsed = match (text, dtype, &self.timestamp_format) {
                    (None, _, _) => Ok(Value::Null),
                    (Some(text), DataType::Timestamp, Some(format)) => {
                        parse_timestamp_as(format, text).map(Value::Timestamp)
                    }
                    (Some(text), _, _) => parse_value(dtype, text),
                };
                values.push(parsed.map_err(|error| {
                    error.at(format!("line {line}: column {}", clip(self.schema.field(index).name())))
                })?);
            }
            arrays.push(array_from_values(dtype, &values)?);
        }
        arrays.push(Arc::new(UInt64Array::from(lines)));
        let batch = RecordBatch::try_new(self.schema.clone(), arrays);
        batch.map(Some).map_err(|error| super::source_error(&self.path, error))
    }
}

/// A nullable string column of text forms.
pub(super) fn text_field(name: &str, form: &str) -> Field {
    Field::new(name, ArrowType::Utf8, true).with_metadata(HashMap::from([(TEXT_FORM_KEY.to_owned(), form.to_owned())]))
}

impl<R: BufRead> Iterator for CsvReader<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.read_batch().map_err(|error| error.at(self.path.display()));
        batch.map_err(|error| ArrowError::ExternalError(Box::new(error))).transpose()
    }
}

impl<R: BufRead> RecordBatchReader for CsvReader<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Writes one record; `None` is null, an empty field, and the empty string is `""`.
pub(super) fn write_record<'a>(
    out: &mut impl Write,
    cells: impl IntoIterator<Item = Option<&'a str>>,
) -> std::io::Result<()> {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        match cell {
            None => {}
            Some(text) if !text.is_empty() && !text.contains(['"', ',', '\n', '\r']) => {
                out.write_all(text.as_bytes())?;
            }
            Some(text) => write!(out, "\"{}\"", text.replace('"', "\"\""))?,
        }
    }
    out.write_all(b"\n")
}
