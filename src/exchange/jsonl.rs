//! JSON Lines: one object a line. Cells stay JSON text, so that decimals and documents keep every digit.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchReader, UInt64Array};
use arrow_schema::{ArrowError, DataType as ArrowType, Field, Schema, SchemaRef};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::csv::text_field;
use super::source::{SourceOptions, source_error};
use crate::error::{Error, Result};
use crate::format::accept::LINE_COLUMN;
use crate::format::columns::array_from_values;
use crate::text::{clip, parse_json_text, parse_timestamp_as};
use crate::value::{DataType, Value};

/// The members of one object in order, their values unread.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(name), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Batches of a JSON Lines file. The first batch says which columns there are; a member that first
/// appears later is not seen, one that a later object lacks is null.
pub(super) struct JsonLinesReader<R> {
    input: R,
    path: PathBuf,
    line: u64,
    schema: SchemaRef,
    types: Vec<Option<DataType>>,
    timestamp_format: Option<String>,
    pending: Vec<(u64, String)>,
    batch_rows: usize,
}

impl<R: BufRead> JsonLinesReader<R> {
    pub(super) fn open(path: &Path, input: R, options: &SourceOptions) -> Result<Self> {
        let mut reader = JsonLinesReader {
            input,
            path: path.to_owned(),
            line: 0,
            schema: Arc::new(Schema::empty()),
            types: Vec::new(),
            timestamp_format: options.timestamp_format.clone(),
            pending: Vec::new(),
            batch_rows: options.batch_rows.max(1),
        };
        reader.pending = reader.read_lines().map_err(|error| error.at(path.display()))?;
        let mut names: Vec<String> = Vec::new();
        let mut seen: HashMap<String, ()> = HashMap::new();
        for (line, text) in &reader.pending {
            for (name, _) in parse_line(*line, text).map_err(|error| error.at(path.display()))?.0 {
                if seen.insert(name.to_string(), ()).is_none() {
                    names.push(name.into_owned());
                }
            }
        }
        let mut fields = Vec::new();
        for name in &names {
            let dtype = options.columns.get(name).cloned();
            fields.push(match &dtype {
                Some(dtype) => Field::new(name, dtype.to_arrow(), true),
                None => text_field(name, "json"),
            });
            reader.types.push(dtype);
        }
        fields.push(Field::new(LINE_COLUMN, ArrowType::UInt64, false));
        reader.schema = Arc::new(Schema::new(fields));
        Ok(reader)
    }

    fn read_lines(&mut self) -> Result<Vec<(u64, String)>> {
        let mut lines = Vec::new();
        while lines.len() < self.batch_rows {
            let mut bytes = Vec::new();
            let read = self.input.read_until(b'\n', &mut bytes);
            if read.map_err(|error| Error::io("read", &self.path, error))? == 0 {
                break;
            }
            self.line += 1;
            let text = String::from_utf8(bytes)
                .map_err(|_| Error::invalid("text that is not UTF-8").at(format!("line {}", self.line)))?;
            if !text.trim().is_empty() {
                lines.push((self.line, text));
            }
        }
        Ok(lines)
    }

    fn read_batch(&mut self) -> Result<Option<RecordBatch>> {
        let lines = match std::mem::take(&mut self.pending) {
            pending if !pending.is_empty() => pending,
            _ => self.read_lines()?,
        };
        if lines.is_empty() {
            return Ok(None);
        }
        let index: HashMap<&str, usize> =
            self.schema.fields().iter().enumerate().map(|(i, field)| (field.name().as_str(), i)).collect();
        let mut texts: Vec<StringBuilder> = self.types.iter().map(|_| StringBuilder::new()).collect();
        let mut cells: Vec<Option<&str>> = Vec::new();
        for (line, text) in &lines {
            let members = parse_line(*line, text)?;
            cells.clear();
            cells.resize(texts.len(), None);
            for (name, value) in &members.0 {
                if let Some(cell) = index.get(name.as_ref()).and_then(|&i| cells.get_mut(i)) {
                    *cell = (value.get() != "null").then_some(value.get());
                }
            }
            texts.iter_mut().zip(&cells).for_each(|(column, cell)| column.append_option(*cell));
        }
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(texts.len() + 1);
        for (i, mut column) in texts.into_iter().enumerate() {
            let texts = column.finish();
            let Some(dtype) = &self.types[i] else {
                arrays.push(Arc::new(texts));
                continue;
            };
            let mut values = Vec::with_capacity(lines.len());
            for (text, (line, _)) in texts.iter().zip(&lines) {
                let parsed = match (text, dtype, &self.timestamp_format) {
                    (None, _, _) => Ok(Value::Null),
                    (Some(text), DataType::Timestamp, Some(format)) => {
                        parse_timestamp_as(format, text.trim_matches('"')).map(Value::Timestamp)
                    }
                    (Some(text), _, _) => parse_json_text(dtype, text),
                };
                values.push(
                    parsed.map_err(|error| error.at(format!("line {line}: column {}", self.schema.field(i).name())))?,
                );
            }
            arrays.push(array_from_values(dtype, &values)?);
        }
        arrays.push(Arc::new(lines.iter().map(|(line, _)| *line).collect::<UInt64Array>()));
        let batch = RecordBatch::try_new(self.schema.clone(), arrays);
        batch.map(Some).map_err(|error| source_error(&self.path, error))
    }
}

fn parse_line(line: u64, text: &str) -> Result<Members<'_>> {
    serde_json::from_str(text).map_err(|error| {
        Error::invalid(format!("no JSON object ({error}): '{}'", clip(text.trim()))).at(format!("line {line}"))
    })
}

impl<R: BufRead> Iterator for JsonLinesReader<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.read_batch().map_err(|error| error.at(self.path.display()));
        batch.map_err(|error| ArrowError::ExternalError(Box::new(error))).transpose()
    }
}

impl<R: BufRead> RecordBatchReader for JsonLinesReader<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
