//! Rows to write, out of JSON.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Display};

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::entities::check_values;
use crate::definition::{EventTime, FeatureView};
use crate::error::{Error, Result};
use crate::format::accept::DELETED_COLUMN;
use crate::store::Row;
use crate::text::{clip, from_json, parse_json_text, parse_value};
use crate::time::Timestamp;
use crate::value::{DataType, Value};

/// A cell of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'j> {
    /// As it was read.
    Read(&'j Json),
    /// As it is written: numbers have all their digits, documents their order.
    Written(&'j RawValue),
}

impl Cell<'_> {
    fn is_null(self) -> bool {
        match self {
            Cell::Read(json) => json.is_null(),
            Cell::Written(raw) => raw.get() == "null",
        }
    }

    /// True, false, or neither.
    fn as_bool(self) -> Option<bool> {
        match self {
            Cell::Read(json) => json.as_bool(),
            Cell::Written(raw) => raw.get().parse().ok(),
        }
    }

    fn value(self, dtype: &DataType) -> Result<Value> {
        // As join keys of a request may be.
        let may_be_text = matches!(dtype, DataType::Int32 | DataType::Int64 | DataType::Bool);
        match self {
            Cell::Read(Json::String(text)) if may_be_text => parse_value(dtype, text),
            Cell::Read(json) => from_json(dtype, json),
            Cell::Written(raw) if may_be_text && raw.get().starts_with('"') => {
                let text = serde_json::from_str::<String>(raw.get());
                parse_value(dtype, text.as_deref().unwrap_or(raw.get()))
            }
            Cell::Written(raw) => parse_json_text(dtype, raw.get()),
        }
    }
}

impl Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Read(json) => json.fmt(f),
            Cell::Written(raw) => f.write_str(&clip(raw.get())),
        }
    }
}

/// What the rows of a view are made of.
#[derive(Debug)]
pub(super) struct RowReader<'a> {
    view: &'a FeatureView,
    /// Join keys, what tells events apart, features: name, what the source calls it, type.
    pub columns: Vec<(&'a str, Option<&'a str>, &'a DataType)>,
}

impl<'a> RowReader<'a> {
    pub(super) fn new(view: &'a FeatureView) -> RowReader<'a> {
        let renamed =
            |name: &str| view.source.rename.iter().find(|(_, own)| *own == name).map(|(column, _)| column.as_str());
        let mut columns: Vec<(&str, Option<&str>, &DataType)> = Vec::new();
        let keys = view.join_keys.iter().chain(&view.event_id).map(|(name, dtype)| (name.as_str(), dtype));
        for (name, dtype) in keys.chain(view.features.iter().map(|feature| (feature.name.as_str(), &feature.dtype))) {
            if columns.iter().all(|(known, ..)| *known != name) {
                columns.push((name, renamed(name), dtype));
            }
        }
        RowReader { view, columns }
    }

    /// Refuses so many rows of the view where that is too much for memory: what a row does not say takes some too, and a vector as much as all
    /// of its elements.
    ///
    /// # Errors
    /// It is.
    pub(super) fn check_count(&self, rows: usize) -> Result<()> {
        let values = self.columns.iter().map(|(.., dtype)| (dtype.vector_bytes() / size_of::<f32>()).max(1)).sum();
        if check_values(rows, values).is_ok() {
            return Ok(());
        }
        let why = format!("{rows} rows of {values} values each are too many values");
        let import = format!("POST /v1/write/{}?import=true", self.view.reference());
        Err(Error::invalid(why).remedy(format!("send them in parts, or import them as JSON Lines: {import}")))
    }

    /// The row at a position; `cell` gives its value in a column, by the column's name. What is not given is null.
    ///
    /// # Errors
    /// It has no event time; a value is none of its column's type.
    pub(super) fn read<'j>(&self, at: usize, cell: impl Fn(&str) -> Option<Cell<'j>>) -> Result<Row> {
        let place = |name: &str| format!("{name}: row {at}");
        let instant = |name: &str| match cell(name) {
            Some(cell) if !cell.is_null() => {
                match cell.value(&DataType::Timestamp).map_err(|error| error.at(place(name)))? {
                    Value::Timestamp(micros) => Ok(Some(Timestamp(micros))),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        };
        let mut row = Row::new();
        match &self.view.source.event_timestamp {
            EventTime::Constant(micros) => row = row.at(Timestamp(*micros)),
            EventTime::Column(name) => {
                let found = instant(name)?;
                row = row.at(found.ok_or_else(|| {
                    Error::invalid("a row needs the time when it was true")
                        .at(place(name))
                        .remedy(format!("give it as {name}"))
                })?);
            }
        }
        if let Some(name) = &self.view.source.created_timestamp
            && let Some(created) = instant(name)?
        {
            row = row.created(created);
        }
        for (name, renamed, dtype) in &self.columns {
            let cell = cell(name).or_else(|| cell((*renamed)?));
            let value = cell.map_or(Ok(Value::Null), |cell| cell.value(dtype));
            row = row.set(*name, value.map_err(|error| error.at(place(name)))?);
        }
        match cell(DELETED_COLUMN).filter(|cell| !cell.is_null()).map(|cell| (cell.as_bool(), cell)) {
            None | Some((Some(false), _)) => Ok(row),
            Some((Some(true), _)) => Ok(row.deleted()),
            Some((None, other)) => {
                Err(Error::invalid(format!("is true or false, not {other}")).at(place(DELETED_COLUMN)))
            }
        }
    }

    /// Whether a column of this name says something of a row.
    fn knows(&self, name: &str) -> bool {
        let source = &self.view.source;
        let is_time = match &source.event_timestamp {
            EventTime::Column(column) => column == name,
            EventTime::Constant(_) => false,
        };
        is_time
            || name == DELETED_COLUMN
            || source.created_timestamp.as_deref() == Some(name)
            || self.columns.iter().any(|(known, renamed, _)| *known == name || *renamed == Some(name))
    }
}

/// Rows that are objects, and the names in them that the view does not know.
///
/// # Errors
/// They are too many; one is no object; those of [`RowReader::read`].
pub(super) fn rows_of_objects(view: &FeatureView, objects: &[&RawValue]) -> Result<(Vec<Row>, Vec<String>)> {
    let reader = RowReader::new(view);
    reader.check_count(objects.len())?;
    let mut ignored: BTreeSet<String> = BTreeSet::new();
    let mut rows = Vec::with_capacity(objects.len());
    for (at, object) in objects.iter().enumerate() {
        let cells: HashMap<String, &RawValue> = serde_json::from_str(object.get()).map_err(|error| {
            Error::invalid(format!("a row is an object of its columns: {error}")).at(format!("row {at}"))
        })?;
        rows.push(reader.read(at, |name| cells.get(name).map(|raw| Cell::Written(raw)))?);
        ignored.extend(cells.into_keys().filter(|name| !reader.knows(name)));
    }
    Ok((rows, ignored.into_iter().collect()))
}
