//! JSON Lines: one object a line. A missing key is null; blank lines are skipped.
//!
//! Columns: the keys of the first rows, in order of appearance, then those that a type was given for, present
//! or not, since a key that is always null may never be written.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{BufRead, BufReader};

use arrow_schema::SchemaRef;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::json;
use serde_json::value::RawValue;

use super::columns::ColumnBuilder;
use super::file::{Cursor, SourceFile};
use super::infer::{COLUMNS_MAX, ColumnGuesses, LOOK_ROWS};
use super::rows::RowBatcher;
use super::source::{MetColumns, Part, PartReader};
use super::source_options::SourceOptions;
use crate::error::{Error, Result};
use crate::text::{TimestampFormat, parse_json_text, parse_value};
use crate::value::{DataType, Value};

const BUFFER_BYTES: usize = 256 << 10;
/// Longest line, in bytes: a file that is not made of lines must not be read into memory whole.
const LINE_BYTES_MAX: usize = 64 << 20;
/// In how many rows the columns that nobody spoke of are looked for.
const SAMPLE_ROWS: usize = 10_000;
/// How many keys first met beyond the sample are kept: in some files they differ from row to row.
const LATE_KEYS_MAX: usize = 10_000;

/// Reads a JSON Lines file in batches.
pub(super) struct JsonLinesReader {
    lines: Lines,
    /// Key -> column; `None` for keys known and not asked for.
    columns: HashMap<String, Option<usize>>,
    names: Vec<String>,
    batcher: RowBatcher,
    timestamp_format: Option<TimestampFormat>,
    /// For each column whether nobody gave it a type: then, as a string, it takes any JSON as it is written.
    loose: Vec<bool>,
    /// For each column whether it takes any JSON as it is written, strings too.
    as_written: Vec<bool>,
    /// For each column the last row that had it, counted from 1.
    seen: Vec<u64>,
    /// Keys first met beyond the sample, but for the last of very many.
    late: Vec<String>,
    rows: u64,
    done: bool,
}

/// Whether the columns that [`JsonLinesReader::open`] finds are those of all rows, and not of the first ones of a long file.
pub(super) fn is_sample_all(file: SourceFile) -> bool {
    let mut lines = Lines::new(file);
    (0..SAMPLE_ROWS).any(|_| !matches!(lines.advance(), Ok(true))) || !matches!(lines.advance(), Ok(true))
}

impl JsonLinesReader {
    pub fn open(file: SourceFile, options: &SourceOptions) -> Result<JsonLinesReader> {
        let mut names: Vec<String> = Vec::new();
        let mut known: HashSet<String> = HashSet::new();
        let mut sample = Lines::new(file.clone());
        for _ in 0..SAMPLE_ROWS {
            // Faults are left for the reading proper to report.
            let Ok(true) = sample.advance() else { break };
            let Ok(object) = serde_json::from_slice::<Object>(&sample.line) else { continue };
            for (key, _) in object.0 {
                if !known.contains(key.as_ref()) {
                    known.insert(key.to_string());
                    names.push(key.into_owned());
                }
            }
        }
        let given = options.column_types.iter().flatten().map(|(name, _)| name);
        names.extend(given.filter(|name| !known.contains(*name)).cloned());
        let mut columns = HashMap::new();
        let mut typed = Vec::new();
        for name in names {
            columns.insert(name.clone(), options.wants(&name).then_some(typed.len()));
            if options.wants(&name) {
                let dtype = options.type_of(&name).unwrap_or(DataType::String);
                typed.push((name, dtype));
            }
        }
        let given = |name: &str| options.column_types.iter().flatten().any(|(known, _)| known == name);
        Ok(JsonLinesReader {
            loose: typed.iter().map(|(name, _)| !given(name)).collect(),
            as_written: typed.iter().map(|(name, _)| options.is_as_written(name)).collect(),
            seen: vec![0; typed.len()],
            names: typed.iter().map(|(name, _)| name.clone()).collect(),
            batcher: RowBatcher::new(file.path(), typed, options, "json"),
            lines: Lines::new(file),
            columns,
            timestamp_format: options.timestamp_format()?,
            late: Vec::new(),
            rows: 0,
            done: false,
        })
    }

    fn read_row(&mut self) -> Result<()> {
        self.rows += 1;
        let line = std::mem::take(&mut self.lines.line);
        match serde_json::from_slice::<Object>(&line) {
            Ok(object) => self.read_object(object),
            Err(error) => self.batcher.settle_row(no_object(&line, &error)),
        }
        // As it is written: read into values, numbers would lose digits.
        let values = || {
            let text = String::from_utf8_lossy(&line);
            match serde_json::from_str::<Object>(&text) {
                // Within an object a line end can only stand between tokens.
                Ok(_) => text.trim().replace('\r', " "),
                Err(_) => json!({ "line": text }).to_string(),
            }
        };
        self.batcher.end_row(self.lines.number, line.len(), values)?;
        // Its memory serves the next line.
        self.lines.line = line;
        Ok(())
    }

    fn read_object(&mut self, object: Object<'_>) {
        let mut trouble = None;
        for (key, raw) in object.0 {
            match self.columns.get(key.as_ref()) {
                Some(&Some(column)) if self.seen[column] == self.rows => {
                    trouble = Some(Error::invalid(format!("the key '{}' stands twice", self.names[column])));
                }
                Some(&Some(column)) => {
                    self.seen[column] = self.rows;
                    let builder = self.batcher.column(column);
                    let is_text = self.as_written[column] || self.loose[column] && !raw.get().starts_with('"');
                    let cell = if is_text && raw.get() != "null" && builder.push_string(raw.get()) {
                        Ok(())
                    } else {
                        push_cell(builder, raw.get(), self.timestamp_format.as_ref())
                    };
                    self.batcher.settle(column, cell);
                }
                None if self.late.len() < LATE_KEYS_MAX => {
                    self.columns.insert(key.to_string(), None);
                    self.late.push(key.into_owned());
                }
                Some(None) | None => {}
            }
        }
        for column in 0..self.seen.len() {
            if self.seen[column] != self.rows {
                self.batcher.column(column).push_null();
            }
        }
        if let Some(error) = trouble {
            self.batcher.fail_row(error);
        }
    }
}

impl PartReader for JsonLinesReader {
    fn schema(&self) -> SchemaRef {
        self.batcher.schema()
    }

    fn next_part(&mut self) -> Result<Option<Part>> {
        while !self.done && !self.batcher.is_full() {
            match self.lines.advance()? {
                true => self.read_row()?,
                false => self.done = true,
            }
        }
        self.batcher.take()
    }

    fn met_columns(&self) -> MetColumns {
        let read = self.names.iter().zip(&self.seen).filter(|(_, row)| **row > 0);
        MetColumns { read: read.map(|(name, _)| name.clone()).collect(), late: self.late.clone() }
    }
}

/// Takes note of what the columns are that nobody gave a type. Faults are left for the reading proper to report.
/// `tell` is called now and then.
///
/// # Errors
/// The file has too many keys to be columns.
pub(super) fn look(
    file: &SourceFile,
    options: &SourceOptions,
    guesses: &mut ColumnGuesses,
    tell: &dyn Fn(),
) -> Result<()> {
    let mut lines = Lines::new(file.clone());
    let mut rows = 0_u64;
    // Key -> place of its guess, and whether one is wanted; `None` for keys not asked for.
    let mut columns: HashMap<String, Option<(usize, bool)>> = HashMap::new();
    let (mut first_fault, mut objects, mut guessed) = (None, 0_u64, 0_usize);
    while let Ok(true) = lines.advance() {
        rows += 1;
        if rows.is_multiple_of(LOOK_ROWS) {
            tell();
        }
        let object = match serde_json::from_slice::<Object>(&lines.line) {
            Ok(object) => {
                objects += 1;
                object
            }
            Err(error) => {
                first_fault.get_or_insert_with(|| lines.at(no_object(&lines.line, &error)));
                continue;
            }
        };
        for (key, raw) in object.0 {
            let column = match columns.get(key.as_ref()) {
                Some(column) => *column,
                None => {
                    let is_open = options.type_of(&key).is_none();
                    let column = options.wants(&key).then(|| (guesses.place(&key), is_open));
                    guessed += usize::from(matches!(column, Some((_, true))));
                    columns.insert(key.into_owned(), column);
                    column
                }
            };
            if let Some((place, true)) = column {
                guesses.guess(place).see_json(raw);
            }
        }
        if guessed > COLUMNS_MAX {
            let what = format!("more than {COLUMNS_MAX} different keys up to here, each of which would be a column");
            let way_out = "put keys that differ from row to row into one object: {\"extra\": {..}}";
            return Err(lines.at(Error::invalid(what).remedy(way_out)));
        }
    }
    // Of a file that has no object nobody could say what its columns are.
    first_fault.filter(|_| objects == 0 && options.on_bad_row.is_none()).map_or(Ok(()), Err)
}

fn no_object(line: &[u8], error: &serde_json::Error) -> Error {
    let text = error.to_string();
    // The line's number is told by who reads the file.
    let error = Error::invalid(format!("not one JSON object: {}", text.replace(" at line 1 ", " at ")));
    if line.trim_ascii_start().starts_with(b"[") {
        return error.remedy("write one object a line, without the array around them: jq -c '.[]' does");
    }
    error
}

fn push_cell(builder: &mut ColumnBuilder, raw: &str, timestamp_format: Option<&TimestampFormat>) -> Result<()> {
    let value = match (builder.dtype(), timestamp_format) {
        _ if raw == "null" => Value::Null,
        (DataType::String, _) if raw.starts_with('"') => {
            let text: Cow<'_, str> = serde_json::from_str(raw).map_err(|error| Error::invalid(error.to_string()))?;
            builder.push_string(&text);
            return Ok(());
        }
        (DataType::Timestamp, Some(format)) => {
            let text: String = serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned());
            Value::Timestamp(format.parse(&text)?)
        }
        (dtype @ (DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64), _)
            if !raw.starts_with('"') =>
        {
            // The plain forms first; what they do not know (1e3 as an integer) goes the long way.
            parse_value(dtype, raw).or_else(|_| parse_json_text(dtype, raw))?
        }
        (dtype, _) => parse_json_text(dtype, raw)?,
    };
    builder.push(value)
}

/// The members of a JSON object, their values as they are written.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A key, borrowed where it holds no escapes: what `Cow` alone would always copy.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The lines of a file that are not blank.
struct Lines {
    file: SourceFile,
    input: BufReader<Cursor>,
    line: Vec<u8>,
    /// Of the current line, from 1.
    number: u64,
}

impl Lines {
    fn new(file: SourceFile) -> Lines {
        let input = BufReader::with_capacity(BUFFER_BYTES, file.cursor());
        Lines { file, input, line: Vec::new(), number: 0 }
    }

    fn advance(&mut self) -> Result<bool> {
        loop {
            self.line.clear();
            self.number += 1;
            loop {
                let chunk = self.input.fill_buf().map_err(|error| Error::io("read", self.file.path(), error))?;
                if chunk.is_empty() {
                    break;
                }
                let end = chunk.iter().position(|&b| b == b'\n');
                let taken = end.map_or(chunk.len(), |at| at + 1);
                self.line.extend_from_slice(&chunk[..taken]);
                self.input.consume(taken);
                if end.is_some() {
                    break;
                }
                if self.line.len() > LINE_BYTES_MAX {
                    let what = format!("the line takes more than {} MiB", LINE_BYTES_MAX >> 20);
                    return Err(self.at(Error::invalid(what)));
                }
            }
            if self.line.is_empty() {
                return Ok(false);
            }
            if self.number == 1 && self.line.starts_with(&[0xef, 0xbb, 0xbf]) {
                self.line.drain(..3);
            }
            self.line.truncate(self.line.trim_ascii_end().len());
            if !self.line.is_empty() {
                return Ok(true);
            }
        }
    }

    fn at(&self, error: Error) -> Error {
        error.at(format!("line {}", self.number)).at(self.file.path().display())
    }
}
