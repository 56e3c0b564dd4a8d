//! Rows one by one, for services that learn of them so.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};

use super::writing::check_vectors;
use super::{Store, WriteReport};
use crate::definition::{EventTime, FeatureView};
use crate::error::{Error, Result, nearest};
use crate::format::accept::{
    DELETED_COLUMN, EVENT_TIMESTAMP_COLUMN, NAMES_KEY, VIEW_NAMES, accept_batch, accept_column,
};
use crate::format::columns::{array_from_values, value_at};
use crate::request::{BadRows, WriteOptions};
use crate::time::Timestamp;
use crate::value::{DECIMAL_PRECISION_MAX, DataType, Value};

/// One row of a view: its join keys and features by name, and when it was true.
///
/// ```
/// use asof::Row;
/// use asof::time::Timestamp;
///
/// let noon: Timestamp = "2026-03-01T12:00:00Z".parse()?;
/// let row = Row::new().at(noon).set("origin", "JFK").set("temp", 39.0).set("visib", None::<f64>);
/// let gone = Row::new().at(noon).set("origin", "LGA").deleted();
/// # let _ = (row, gone);
/// # Ok::<(), asof::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    values: Vec<(String, Value)>,
    event_ts: Option<Timestamp>,
    created: Option<Timestamp>,
    is_deleted: bool,
}

impl Row {
    /// A row that says nothing yet.
    pub fn new() -> Row {
        Row::default()
    }

    /// When it was true.
    #[must_use]
    pub fn at(mut self, event_ts: Timestamp) -> Row {
        self.event_ts = Some(event_ts);
        self
    }

    /// When its source recorded it, in views that declare that.
    #[must_use]
    pub fn created(mut self, created: Timestamp) -> Row {
        self.created = Some(created);
        self
    }

    /// A join key, a feature or a column of the event id, by its name in the view. `None` is null.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Row {
        let name = name.into();
        let value = value.into();
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.values.push((name, value)),
        }
        self
    }

    /// A delete of the entity from that time on, instead of values.
    #[must_use]
    pub fn deleted(mut self) -> Row {
        self.is_deleted = true;
        self
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl Store {
    /// Writes rows into a view, whole or not at all, as [`Store::write`] does a batch: one call, one commit.
    /// Every join key and every feature is set in each row; what is not known is set to `None`.
    ///
    /// ```
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # use asof::{ApplyOptions, Row, Store};
    /// # let store = Store::temporary()?;
    /// # let definitions = Definitions::new("flights")
    /// #     .entity("airport", [("origin", DataType::String)])
    /// #     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// let row = Row::new().at(store.now()).set("origin", "JFK").set("temp", 39.0);
    /// assert_eq!(store.write_rows("weather", [row])?.rows, 1);
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// A name is unknown or not set, a value is not of its type or breaks a rule, a time is missing or too far ahead: the
    /// error names row and column, and nothing is written. The disk fails.
    pub fn write_rows(&self, view: &str, rows: impl IntoIterator<Item = Row>) -> Result<WriteReport> {
        self.write_rows_with(view, rows, &WriteOptions::default())
    }

    /// Whether [`Store::write_rows`] would take these rows; nothing is written.
    ///
    /// # Errors
    /// As [`Store::write_rows`], but for those of the disk.
    pub fn check_rows(&self, view: &str, rows: &[Row]) -> Result<()> {
        let definition = self.view(view)?.record.definition.clone();
        let batch =
            batch_of(&definition, rows).map_err(|error| error.at(format!("view {}", definition.reference())))?;
        let accept = self.accept_options(false, BadRows::default());
        accept_batch(&definition, &batch, &accept).map(drop)
    }

    /// [`Store::write_rows`] with options.
    ///
    /// # Errors
    /// As [`Store::write_rows`].
    pub fn write_rows_with(
        &self,
        view: &str,
        rows: impl IntoIterator<Item = Row>,
        options: &WriteOptions,
    ) -> Result<WriteReport> {
        let rows: Vec<Row> = rows.into_iter().collect();
        let definition = self.view(view)?.record.definition.clone();
        let batch =
            batch_of(&definition, &rows).map_err(|error| error.at(format!("view {}", definition.reference())))?;
        self.write_with(view, &batch, options)
    }
}

/// The rows as a batch whose columns go by the view's names.
pub(crate) fn batch_of(view: &FeatureView, rows: &[Row]) -> Result<RecordBatch> {
    check_names(view, rows)?;
    check_vectors(view, rows.len())?;
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let mut add = |name: &str, array: ArrayRef| {
        if columns.iter().all(|(known, _)| known != name) {
            columns.push((name.to_owned(), array));
        }
    };
    for (name, dtype) in &view.join_keys {
        add(name, column(name, dtype, rows, |row| row.value(name).cloned())?);
    }
    let (event_time, constant) = match &view.source.event_timestamp {
        EventTime::Column(name) => (name.as_str(), None),
        EventTime::Constant(at) => (EVENT_TIMESTAMP_COLUMN, Some(Timestamp(*at))),
    };
    let times = column(event_time, &DataType::Timestamp, rows, |row| row.event_ts.or(constant).map(Value::from))
        .map_err(|error| if error.way_out().is_some() { error } else { error.remedy("give it with Row::at") })?;
    add(event_time, times);
    if let Some(name) = &view.source.created_timestamp {
        add(name, column(name, &DataType::Timestamp, rows, |row| Some(row.created.into()))?);
    }
    // A delete says nothing but its key and its times.
    let or_null = |row: &Row, name: &str| row.value(name).cloned().or(row.is_deleted.then_some(Value::Null));
    for (name, dtype) in &view.event_id {
        add(name, column(name, dtype, rows, |row| or_null(row, name))?);
    }
    for feature in &view.features {
        add(&feature.name, column(&feature.name, &feature.dtype, rows, |row| or_null(row, &feature.name))?);
    }
    add(DELETED_COLUMN, column(DELETED_COLUMN, &DataType::Bool, rows, |row| Some(row.is_deleted.into()))?);
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    let names = std::collections::HashMap::from([(NAMES_KEY.to_owned(), VIEW_NAMES.to_owned())]);
    let schema = Arc::new(Schema::new_with_metadata(fields, names));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect())
        .map_err(|source| Error::invalid(format!("the rows do not make a batch: {source}")))
}

/// Refuses names that the view does not have, and times that it does not keep.
fn check_names(view: &FeatureView, rows: &[Row]) -> Result<()> {
    let keys = view.join_keys.iter().chain(&view.event_id).map(|(name, _)| name.as_str());
    let names: Vec<&str> = keys.chain(view.features.iter().map(|feature| feature.name.as_str())).collect();
    for (number, row) in rows.iter().enumerate() {
        let place = format!("row {number}");
        if let Some((name, _)) = row.values.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            let error = Error::invalid(format!("the view has no join key or feature {name}")).at(place);
            return Err(match nearest(name, names.iter().copied()) {
                Some(near) => error.remedy(format!("did you mean {near}?")),
                None => error.remedy(format!("it has {}", names.join(", "))),
            });
        }
        if row.created.is_some() && !view.has_created() {
            return Err(Error::invalid("the view declares no created timestamp").at(place));
        }
        if let (EventTime::Constant(at), Some(_), false) = (&view.source.event_timestamp, row.event_ts, row.is_deleted)
        {
            return Err(Error::invalid(format!("every row of the view is of {}", Timestamp(*at)))
                .at(place)
                .remedy("leave Row::at out"));
        }
    }
    Ok(())
}

/// A column of what `value` takes out of each row; `None` is a value that was not set.
fn column(name: &str, dtype: &DataType, rows: &[Row], value: impl Fn(&Row) -> Option<Value>) -> Result<ArrayRef> {
    let mut values = Vec::with_capacity(rows.len());
    for (number, row) in rows.iter().enumerate() {
        let place = || format!("row {number}");
        let found = value(row).ok_or_else(|| Error::invalid("is not set").at(name).at(place()))?;
        values.push(convert(dtype, found).map_err(|error| error.at(name).at(place()))?);
    }
    array_from_values(dtype, &values).map_err(|error| error.at(name))
}

/// A value as one of `dtype`, by the rules that columns are accepted by.
fn convert(dtype: &DataType, value: Value) -> Result<Value> {
    let natural = natural_type(dtype, &value);
    if value.is_null() || natural == *dtype && !is_checked(dtype) {
        return Ok(value);
    }
    let what = |error: Error| Error::invalid(error.what());
    let array = array_from_values(&natural, std::slice::from_ref(&value)).map_err(what)?;
    let accepted = accept_column(dtype, &array).map_err(what)?;
    Ok(value_at(&accepted, dtype, 0))
}

/// Whether not every value of the variant is one of the type.
fn is_checked(dtype: &DataType) -> bool {
    matches!(
        dtype,
        DataType::Json | DataType::Decimal { .. } | DataType::List(_) | DataType::Float32 | DataType::Float64
    )
}

/// The type that a value is of by itself; where that needs more than the value says, as `wanted` has it.
fn natural_type(wanted: &DataType, value: &Value) -> DataType {
    match value {
        Value::Null => wanted.clone(),
        Value::Bool(_) => DataType::Bool,
        Value::Int32(_) => DataType::Int32,
        Value::Int64(_) => DataType::Int64,
        Value::Float32(_) => DataType::Float32,
        Value::Float64(_) => DataType::Float64,
        Value::String(_) => DataType::String,
        Value::Bytes(_) => DataType::Bytes,
        Value::Timestamp(_) => DataType::Timestamp,
        Value::Date(_) => DataType::Date,
        Value::Decimal(_) => match wanted {
            // The scale is the type's; the digits are to be counted.
            DataType::Decimal { scale, .. } => DataType::Decimal { precision: DECIMAL_PRECISION_MAX, scale: *scale },
            _ => DataType::Decimal { precision: DECIMAL_PRECISION_MAX, scale: 0 },
        },
        Value::Uuid(_) => DataType::Uuid,
        Value::Json(_) => DataType::Json,
        Value::List(elements) => {
            let wanted = match wanted {
                DataType::List(element) => element,
                other => other,
            };
            let first = elements.iter().find(|element| !element.is_null()).unwrap_or(&Value::Null);
            DataType::List(Box::new(natural_type(wanted, first)))
        }
        Value::Vector(floats) => DataType::Vector(u32::try_from(floats.len()).unwrap_or(u32::MAX)),
    }
}
