//! A few rows of the training set, for people.

use std::path::Path;

use arrow_array::{ArrayRef, RecordBatch};
use serde_json::{Value as Json, json};

use crate::cli::output::Sheet;
use crate::error::{Error, Result};
use crate::exchange::{SourceOptions, open_source};
use crate::format::accept::accept_column;
use crate::format::columns::value_at;
use crate::text::to_json;
use crate::time::Timestamp;
use crate::value::{DataType, Value};

/// A departure worth a look.
struct Departure {
    due: &'static str,
    carrier: &'static str,
    flight: i32,
    remark: &'static str,
}

const DEPARTURES: [Departure; 5] = [
    Departure { due: "2013-01-01T10:15:00Z", carrier: "UA", flight: 1545, remark: "a fine day" },
    Departure { due: "2013-02-08T22:15:00Z", carrier: "DL", flight: 1585, remark: "a blizzard: cancelled" },
    Departure {
        due: "2013-05-20T12:20:00Z",
        carrier: "MQ",
        flight: 4655,
        remark: "fog; the aircraft is not registered",
    },
    Departure { due: "2013-06-07T23:00:00Z", carrier: "US", flight: 2187, remark: "a tropical storm" },
    Departure { due: "2013-12-31T12:20:00Z", carrier: "EV", flight: 4551, remark: "no observation within three hours" },
];

/// Training set columns, their types and how the table calls them.
const COLUMNS: [(&str, DataType, &str); 11] = [
    ("scheduled_departure", DataType::Timestamp, "due (UTC)"),
    ("carrier", DataType::String, "by"),
    ("flight", DataType::Int32, "flight"),
    ("origin", DataType::String, "from"),
    ("dest", DataType::String, "to"),
    ("weather__wind_speed", DataType::Float64, "wind"),
    ("weather__precip", DataType::Float64, "rain"),
    ("weather__visib", DataType::Float64, "sight"),
    ("plane__manufactured", DataType::Int32, "built"),
    ("plane__seats", DataType::Int32, "seats"),
    ("dep_delay", DataType::Float64, "late"),
];
const DUE: usize = 0;
const CARRIER: usize = 1;
const FLIGHT: usize = 2;

/// The departures worth a look, out of the training set.
///
/// # Errors
/// The file cannot be read, or lacks a column.
pub(super) fn departures(training_set: &Path) -> Result<Sheet> {
    let options = SourceOptions {
        projection: Some(COLUMNS.iter().map(|(name, _, _)| (*name).to_owned()).collect()),
        ..SourceOptions::default()
    };
    let mut source = open_source(training_set, &options)?;
    let mut rows: Vec<Option<Vec<Json>>> = vec![None; DEPARTURES.len()];
    let wanted: Vec<[Value; 3]> = DEPARTURES
        .iter()
        .map(|departure| {
            let due: Timestamp = departure.due.parse()?;
            Ok([Value::Timestamp(due.0), Value::String(departure.carrier.to_owned()), Value::Int32(departure.flight)])
        })
        .collect::<Result<_>>()?;
    while let Some(batch) = source.next_batch()? {
        let columns = columns(&batch)?;
        let cell = |column: usize, row: usize| value_at(&columns[column], &COLUMNS[column].1, row);
        for row in 0..batch.num_rows() {
            let due = cell(DUE, row);
            for (found, wanted) in rows.iter_mut().zip(&wanted) {
                if wanted[0] == due && wanted[1] == cell(CARRIER, row) && wanted[2] == cell(FLIGHT, row) {
                    let cells = (0..COLUMNS.len()).map(|column| readable(column, &cell(column, row)));
                    *found = Some(cells.collect());
                }
            }
        }
    }
    let mut sheet = Sheet::new(COLUMNS.iter().map(|(_, _, title)| *title).chain([""]));
    for (row, departure) in rows.into_iter().zip(&DEPARTURES) {
        if let Some(row) = row {
            sheet.push(row.into_iter().chain([json!(departure.remark)]));
        }
    }
    Ok(sheet)
}

/// The batch's columns in our order and types.
fn columns(batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let find = |(name, dtype, _): &(&str, DataType, &str)| {
        let column = batch.column_by_name(name);
        let column = column.ok_or_else(|| Error::not_found(format!("the training set has no column {name}")))?;
        accept_column(dtype, column).map_err(|error| error.at(name))
    };
    COLUMNS.iter().map(find).collect()
}

/// A cell as the table shows it: times to the minute, floats to two digits at most.
fn readable(column: usize, value: &Value) -> Json {
    match value {
        Value::Timestamp(us) => {
            json!(Timestamp(*us).to_string().chars().take(16).collect::<String>().replace('T', " "))
        }
        Value::Float64(number) => json!((number * 100.0).round() / 100.0),
        other => to_json(&COLUMNS[column].1, other),
    }
}
