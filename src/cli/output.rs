//! Printing what was asked for: as a table for people, as JSON or CSV for programs.

use std::io::{self, Write};

use serde_json::Value as Json;

use super::args::Format;

/// Rows under named columns. A cell is JSON; null prints as an empty cell in tables and CSV.
#[derive(Debug)]
pub struct Sheet {
    columns: Vec<String>,
    rows: Vec<Vec<Json>>,
}

impl Sheet {
    /// An empty sheet with these columns.
    pub fn new<T: Into<String>>(columns: impl IntoIterator<Item = T>) -> Self {
        Sheet { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row, one cell per column.
    pub fn push(&mut self, row: impl IntoIterator<Item = Json>) {
        let row: Vec<Json> = row.into_iter().collect();
        assert_eq!(row.len(), self.columns.len(), "one cell per column");
        self.rows.push(row);
    }

    /// Prints the only row of the sheet as one JSON object.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn print_object(&self, out: &mut impl Write) -> io::Result<()> {
        let [row] = self.rows.as_slice() else { unreachable!("a report has one row") };
        writeln!(out, "{:#}", self.object(row))
    }

    fn object(&self, row: &[Json]) -> Json {
        Json::Object(self.columns.iter().cloned().zip(row.iter().cloned()).collect())
    }

    /// Prints the sheet on `out`. JSON is an array of objects, one a row.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn print(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Json => {
                let objects: Json = self.rows.iter().map(|row| self.object(row)).collect();
                writeln!(out, "{objects:#}")
            }
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(&self.columns)?;
                for row in &self.rows {
                    writer.write_record(row.iter().map(plain))?;
                }
                writer.flush()
            }
            Format::Table => {
                let mut table = comfy_table::Table::new();
                table.load_style(comfy_table::presets::NOTHING);
                table.set_header(&self.columns);
                for row in &self.rows {
                    table.add_row(row.iter().map(plain));
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

/// A cell without quotes around it.
fn plain(cell: &Json) -> String {
    match cell {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
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
    fn numbers_for_people() {
        assert_eq!(human_count(336776), "336,776");
        assert_eq!(human_count(12), "12");
        assert_eq!(human_bytes(999), "999 B");
        assert_eq!(human_bytes(1_400_000), "1.4 MB");
    }
}
