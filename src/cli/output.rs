//! Printing what was asked for: as a table for people, as JSON or CSV for programs.

use std::ffi::OsStr;
use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::args::Format;
use crate::text::{raw_json, to_json};
use crate::value::{DataType, Value};

/// Rows under named columns. Null prints as an empty cell in tables, and as an empty field in CSV, where an empty string is
/// `""`.
#[derive(Debug)]
pub struct Sheet {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// What a sheet holds in one place.
#[derive(Debug)]
pub enum Cell {
    /// What asof says: a number, a text, null.
    Plain(Json),
    /// A stored value that is one of those. Tables cut it where it is long.
    Value(Json),
    /// A stored value whose text is JSON, printed as it is written: read, a document would lose digits of long numbers and the order
    /// of its members.
    Document(Box<RawValue>),
}

impl From<Json> for Cell {
    fn from(value: Json) -> Cell {
        Cell::Plain(value)
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Plain(value) | Cell::Value(value) => value.serialize(serializer),
            Cell::Document(document) => document.serialize(serializer),
        }
    }
}

impl Cell {
    /// A stored value. Only its type tells a document that is a text, or null, from a text and from no value.
    pub fn of_value(dtype: &DataType, value: &Value) -> Cell {
        match value {
            Value::Json(_) | Value::List(_) | Value::Vector(_) => Cell::Document(raw_json(dtype, value)),
            _ => Cell::Value(to_json(dtype, value)),
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Cell::Plain(Json::Null) | Cell::Value(Json::Null))
    }

    fn is_number(&self) -> bool {
        matches!(self, Cell::Plain(Json::Number(_)) | Cell::Value(Json::Number(_)))
    }

    /// Without quotes around it.
    fn text(&self) -> String {
        match self {
            Cell::Plain(Json::Null) | Cell::Value(Json::Null) => String::new(),
            Cell::Plain(Json::String(text)) | Cell::Value(Json::String(text)) => text.clone(),
            Cell::Plain(other) | Cell::Value(other) => other.to_string(),
            Cell::Document(document) => document.get().to_owned(),
        }
    }

    /// As a table shows it, on one line.
    fn shown(&self) -> String {
        match self {
            Cell::Plain(_) => one_line(&self.text()),
            Cell::Value(_) | Cell::Document(_) => clipped(&self.text()),
        }
    }
}

/// A row as a JSON object.
struct Object<'a> {
    columns: &'a [String],
    row: &'a [Cell],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, cell) in self.columns.iter().zip(self.row) {
            map.serialize_entry(column, cell)?;
        }
        map.end()
    }
}

impl Sheet {
    /// An empty sheet with these columns.
    pub fn new<T: Into<String>>(columns: impl IntoIterator<Item = T>) -> Self {
        Sheet { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row, one cell per column.
    pub fn push<T: Into<Cell>>(&mut self, row: impl IntoIterator<Item = T>) {
        let row: Vec<Cell> = row.into_iter().map(Into::into).collect();
        assert_eq!(row.len(), self.columns.len(), "one cell per column");
        self.rows.push(row);
    }

    /// Prints the only row of the sheet as one JSON object.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn print_object(&self, out: &mut impl Write) -> io::Result<()> {
        let [row] = self.rows.as_slice() else { unreachable!("a report has one row") };
        serde_json::to_writer_pretty(&mut *out, &self.object(row))?;
        writeln!(out)
    }

    fn object<'a>(&'a self, row: &'a [Cell]) -> Object<'a> {
        Object { columns: &self.columns, row }
    }

    /// Prints the sheet on `out`. JSON is an array of objects, one a row.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn print(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Json => {
                let objects: Vec<Object<'_>> = self.rows.iter().map(|row| self.object(row)).collect();
                serde_json::to_writer_pretty(&mut *out, &objects)?;
                writeln!(out)
            }
            Format::Csv => {
                let columns: Vec<Cell> = self.columns.iter().map(|column| Json::from(column.as_str()).into()).collect();
                for row in std::iter::once(&columns).chain(&self.rows) {
                    let fields: Vec<String> = row.iter().map(csv_field).collect();
                    writeln!(out, "{}", fields.join(","))?;
                }
                Ok(())
            }
            Format::Table => {
                let mut table = comfy_table::Table::new();
                table.load_style(comfy_table::presets::NOTHING);
                table.set_header(&self.columns);
                for row in &self.rows {
                    table.add_row(row.iter().map(Cell::shown));
                }
                for (position, column) in table.column_iter_mut().enumerate() {
                    let numeric = self.rows.iter().any(|row| row[position].is_number())
                        && self.rows.iter().all(|row| row[position].is_number() || row[position].is_null());
                    if numeric {
                        column.set_cell_alignment(comfy_table::CellAlignment::Right);
                    }
                }
                for line in table.lines() {
                    writeln!(out, "{}", line.trim_end())?;
                }
                Ok(())
            }
        }
    }
}

/// A cell as CSV has it: in quotes where it needs them, and where it is an empty string, which is no null.
fn csv_field(cell: &Cell) -> String {
    let text = cell.text();
    let needs_quotes = text.is_empty() || text.contains([',', '"', '\n', '\r']);
    if cell.is_null() || !needs_quotes { text } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

/// Longest stored value that a table shows, in characters; longer ones are cut, with what was cut counted.
const VALUE_CHARS_MAX: usize = 200;

/// A text as it may go to a terminal and fits a line: control characters escaped.
pub fn one_line(text: &str) -> String {
    escaped(text.chars(), false)
}

/// A text of any lines as it may go to a terminal: other control characters escaped. Names, values and messages of others are in
/// what asof says to people.
pub fn lines(text: &str) -> String {
    escaped(text.chars(), true)
}

fn clipped(text: &str) -> String {
    let mut chars = text.chars();
    let shown = escaped(chars.by_ref().take(VALUE_CHARS_MAX), false);
    match chars.count() {
        0 => shown,
        more => format!("{shown}... ({more} more)"),
    }
}

fn escaped(chars: impl Iterator<Item = char>, keeps_lines: bool) -> String {
    let mut shown = String::new();
    for c in chars {
        if is_control(c) && !(keeps_lines && matches!(c, '\n' | '\t')) {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
    }
    shown
}

/// Whether a terminal may take it for a command, or for another order of what stands beside it.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A path or word as it can be typed into a shell.
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A number of bytes for people: `1.4 MB`.
pub fn human_bytes(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// A count with separators: `336,776`.
pub fn human_count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_sheet_prints_three_ways() {
        let mut sheet = Sheet::new(["name", "rows"]);
        sheet.push([json!("weather"), json!(26115)]);
        sheet.push([json!("a,b"), Json::Null]);
        let print = |format| {
            let mut out = Vec::new();
            sheet.print(format, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(print(Format::Csv), "name,rows\nweather,26115\n\"a,b\",\n");
        assert_eq!(
            serde_json::from_str::<Json>(&print(Format::Json)).unwrap(),
            json!([{"name": "weather", "rows": 26115}, {"name": "a,b", "rows": null}])
        );
        assert!(print(Format::Table).contains("weather"), "{}", print(Format::Table));
    }

    #[test]
    fn csv_tells_null_from_an_empty_string_and_quotes_what_it_must() {
        let mut sheet = Sheet::new(["a", "b", "c"]);
        sheet.push([json!(""), Json::Null, json!("say \"hi\"\nnow")]);
        let mut out = Vec::new();
        sheet.print(Format::Csv, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a,b,c\n\"\",,\"say \"\"hi\"\"\nnow\"\n");
    }

    #[test]
    fn a_table_takes_neither_commands_nor_line_breaks_nor_what_is_too_long_from_a_value() {
        let mut sheet = Sheet::new(["value"]);
        let value = |text: &str| Cell::of_value(&DataType::String, &Value::String(text.to_owned()));
        sheet.push([value("\u{1b}[2Jgone\nnext\u{202e}")]);
        sheet.push([value(&"x".repeat(5_000))]);
        let mut out = Vec::new();
        sheet.print(Format::Table, &mut out).unwrap();
        let table = String::from_utf8(out).unwrap();
        assert_eq!(table.lines().count(), 3, "{table}");
        assert!(table.contains(r"\u{1b}[2Jgone\nnext\u{202e}") && !table.contains('\u{1b}'), "{table}");
        assert!(table.contains("... (4800 more)") && table.len() < 1_000, "{}", table.len());
        // What asof says is said to the end.
        let mut sheet = Sheet::new(["features"]);
        sheet.push([json!("\u{1b}x".repeat(5_000))]);
        let mut out = Vec::new();
        sheet.print(Format::Table, &mut out).unwrap();
        let table = String::from_utf8(out).unwrap();
        assert!(table.len() > 10_000 && !table.contains('\u{1b}'), "{}", table.len());
        assert_eq!(lines("a\u{9b}2J\n\tb"), "a\\u{9b}2J\n\tb");
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_cut_them() {
        for (word, typed) in [("a/b-1.csv", "a/b-1.csv"), ("my shop", "'my shop'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(quoted(word), typed);
        }
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(human_count(336776), "336,776");
        assert_eq!(human_count(12), "12");
        assert_eq!(human_bytes(999), "999 B");
        assert_eq!(human_bytes(1_400_000), "1.4 MB");
    }
}
