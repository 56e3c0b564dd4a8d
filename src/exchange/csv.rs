//! CSV: a header line, then a record a row. An empty field is null, `""` the empty string. A column without a name, as the
//! index is that pandas writes, is called as pandas calls it: `Unnamed: 0` where it is the first,
//! `Unnamed: 0.1` where another is called so.

use std::collections::HashSet;
use std::io::BufReader;

use arrow_schema::SchemaRef;
use serde_json::{Map, Value as Json};

use super::csv_tokens::{CsvTokens, Fault};
use super::file::{Cursor, SourceFile};
use super::infer::{ColumnGuesses, LOOK_ROWS};
use super::kind::FileKind;
use super::rows::RowBatcher;
use super::source::{Part, PartReader};
use super::source_options::SourceOptions;
use crate::error::{Error, Result};
use crate::text::{TimestampFormat, clip, parse_value};
use crate::value::{DataType, Value};

const BUFFER_BYTES: usize = 256 << 10;
/// What a column without a name is called, before its number from 0.
const UNNAMED: &str = "Unnamed:";

/// Reads a CSV file in batches.
pub(super) struct CsvReader {
    file: SourceFile,
    tokens: CsvTokens<BufReader<Cursor>>,
    header: Vec<String>,
    /// For each column of the file, where it goes; `None` for those not asked for.
    targets: Vec<Option<usize>>,
    batcher: RowBatcher,
    timestamp_format: Option<TimestampFormat>,
    done: bool,
}

impl CsvReader {
    pub fn open(file: SourceFile, options: &SourceOptions) -> Result<CsvReader> {
        let (tokens, header) = start(&file, options)?;
        let mut targets = Vec::with_capacity(header.len());
        let mut columns: Vec<(String, DataType)> = Vec::new();
        for name in &header {
            targets.push(options.wants(name).then_some(columns.len()));
            if options.wants(name) {
                columns.push((name.clone(), options.type_of(name).unwrap_or(DataType::String)));
            }
        }
        let batcher = RowBatcher::new(file.path(), columns, options, "text");
        let timestamp_format = options.timestamp_format()?;
        Ok(CsvReader { file, tokens, header, targets, batcher, timestamp_format, done: false })
    }

    fn read_row(&mut self) -> Result<()> {
        let found = self.tokens.field_count();
        if found == self.header.len() {
            for (i, &target) in self.targets.iter().enumerate() {
                if let Some(column) = target {
                    let (bytes, quoted) = self.tokens.field(i);
                    let cell = push_cell(&mut self.batcher, column, bytes, quoted, self.timestamp_format.as_ref());
                    self.batcher.settle(column, cell);
                }
            }
        } else {
            self.batcher.settle_row(Error::invalid(format!(
                "the header has {} columns, this row has {found}",
                self.header.len()
            )));
        }
        let (header, tokens) = (&self.header, &self.tokens);
        self.batcher
            .end_row(tokens.record_line(), tokens.record_bytes(), || Json::Object(texts_of(header, tokens)).to_string())
    }
}

impl PartReader for CsvReader {
    fn schema(&self) -> SchemaRef {
        self.batcher.schema()
    }

    fn next_part(&mut self) -> Result<Option<Part>> {
        while !self.done && !self.batcher.is_full() {
            if !self.tokens.advance().map_err(|fault| fault_of(&self.file, fault))? {
                self.done = true;
            } else if !(self.tokens.is_blank() && self.header.len() > 1) {
                self.read_row()?;
            }
        }
        self.batcher.take()
    }
}

fn push_cell(
    batcher: &mut RowBatcher,
    column: usize,
    bytes: &[u8],
    quoted: bool,
    timestamp_format: Option<&TimestampFormat>,
) -> Result<()> {
    let builder = batcher.column(column);
    if bytes.is_empty() && !quoted {
        builder.push_null();
        return Ok(());
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Error::invalid(format!("not UTF-8: '{}'", clip(&String::from_utf8_lossy(bytes)))))?;
    if builder.push_string(text) {
        return Ok(());
    }
    let value = match (builder.dtype(), timestamp_format) {
        (DataType::Timestamp, Some(format)) => Value::Timestamp(format.parse(text)?),
        (dtype, _) => parse_value(dtype, text)?,
    };
    builder.push(value)
}

/// The file's records after its header, and the header.
fn start(file: &SourceFile, options: &SourceOptions) -> Result<(CsvTokens<BufReader<Cursor>>, Vec<String>)> {
    let delimiter = options.delimiter_byte()?.unwrap_or_else(|| FileKind::default_delimiter(file.path()));
    let mut tokens = CsvTokens::new(BufReader::with_capacity(BUFFER_BYTES, file.cursor()), delimiter);
    let header = read_header(file, &mut tokens)?;
    Ok((tokens, header))
}

fn read_header(file: &SourceFile, tokens: &mut CsvTokens<BufReader<Cursor>>) -> Result<Vec<String>> {
    let trouble = |what: String| Error::invalid(what).at("line 1").at(file.path().display());
    if !tokens.advance().map_err(|fault| fault_of(file, fault))? {
        return Err(trouble("the file is empty; a header line with column names comes first".to_owned()));
    }
    let is_cr_in = |(bytes, quoted): (&[u8], bool)| !quoted && bytes.contains(&b'\r');
    if (0..tokens.field_count()).any(|i| is_cr_in(tokens.field(i))) {
        let error = trouble("lines end with CR alone, or a name holds one".to_owned());
        return Err(error.remedy("save the file with LF or CRLF line ends: tr '\\r' '\\n' makes them"));
    }
    let mut header: Vec<String> = Vec::with_capacity(tokens.field_count());
    let mut known = HashSet::with_capacity(tokens.field_count());
    for i in 0..tokens.field_count() {
        let name = String::from_utf8(tokens.field(i).0.to_vec())
            .map_err(|_| trouble(format!("the name of column {} is not UTF-8", i + 1)))?;
        if !name.is_empty() && !known.insert(name.clone()) {
            return Err(trouble(format!("two columns are named '{}'", clip(&name))));
        }
        header.push(name);
    }
    if known.is_empty() {
        return Err(trouble("no column has a name".to_owned()));
    }
    for (i, name) in header.iter_mut().enumerate().filter(|(_, name)| name.is_empty()) {
        let mut free = (0_u32..).map(|n| if n == 0 { format!("{UNNAMED} {i}") } else { format!("{UNNAMED} {i}.{n}") });
        *name = free.find(|name| !known.contains(name)).unwrap_or_default();
        known.insert(name.clone());
    }
    Ok(header)
}

/// Takes note of what the columns are that nobody gave a type. Faults are left for the reading proper to report.
/// `tell` is called now and then.
pub(super) fn look(
    file: &SourceFile,
    options: &SourceOptions,
    guesses: &mut ColumnGuesses,
    tell: &dyn Fn(),
) -> Result<()> {
    let (mut tokens, header) = start(file, options)?;
    let wanted: Vec<(usize, usize)> = header
        .iter()
        .enumerate()
        .filter(|(_, name)| options.wants(name))
        .map(|(i, name)| (i, guesses.place(name)))
        .collect();
    let open: Vec<(usize, usize)> =
        wanted.into_iter().filter(|&(i, _)| options.type_of(&header[i]).is_none()).collect();
    let mut rows = 0_u64;
    while !open.is_empty() && matches!(tokens.advance(), Ok(true)) {
        rows += 1;
        if rows.is_multiple_of(LOOK_ROWS) {
            tell();
        }
        if tokens.field_count() == header.len() {
            for &(i, place) in &open {
                let (bytes, quoted) = tokens.field(i);
                if quoted || !bytes.is_empty() {
                    guesses.guess(place).see_text(std::str::from_utf8(bytes).unwrap_or_default());
                }
            }
        }
    }
    Ok(())
}

fn texts_of(header: &[String], tokens: &CsvTokens<BufReader<Cursor>>) -> Map<String, Json> {
    let mut texts = Map::new();
    for i in 0..tokens.field_count() {
        let (bytes, quoted) = tokens.field(i);
        let name = header.get(i).cloned().unwrap_or_else(|| format!("column {}", i + 1));
        let is_null = bytes.is_empty() && !quoted;
        texts.insert(name, if is_null { Json::Null } else { String::from_utf8_lossy(bytes).into() });
    }
    texts
}

fn fault_of(file: &SourceFile, fault: Fault) -> Error {
    match fault {
        Fault::Io(error) => Error::io("read", file.path(), error),
        Fault::Syntax { line, what, delimiter } => {
            let error = Error::invalid(what).at(format!("line {line}")).at(file.path().display());
            match delimiter.map(|sign| sign.to_string()) {
                Some(sign) => {
                    error.remedy(format!(
                        "source = {{ delimiter = {sign:?} }} in its view in asof.toml has fields end there; those of a spine end at commas, or at tabs in .tsv"
                    ))
                }
                None => error,
            }
        }
    }
}
