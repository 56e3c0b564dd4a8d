//! Rows of the oracle as a store takes them: as columns, or one by one.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use asof::definition::{EventTime, FeatureView};
use asof::format::columns::array_from_values;
use asof::time::Timestamp;
use asof::value::{DataType, Value};

use super::definitions::{COLUMNS, CONSTANT_TIME, EVENT_ID, Entity, KEY_COLUMNS, KeyTypes, View};
use super::oracle::{Marks, Row};
use super::steps::NewRow;
use super::values::{CROWD, crowd_value, feature_value, key_value};

/// A new row as one of a view.
pub fn row_of(view: &View, new: &NewRow, keys: &KeyTypes) -> Row {
    let definition = &view.definition;
    let event_id = match definition.event_id.first() {
        // A delete need not have one.
        Some((_, dtype)) if !new.is_delete || new.event_id > 1 => key_value(dtype, new.event_id),
        _ => Value::Null,
    };
    let numbers = definition.features.iter().zip(new.values.iter().cycle());
    let values = numbers.filter_map(|(feature, number)| {
        let value = if feature.name == EVENT_ID {
            Some(event_id.clone())
        } else {
            number.map(|number| feature_value(&feature.dtype, number))
        };
        Some((feature.name.clone(), value?))
    });
    let is_constant = definition.source.event_timestamp == EventTime::Constant(CONSTANT_TIME) && !new.is_delete;
    Row {
        view: view.id,
        key: key_of(definition, &new.key, keys),
        event_ts: if is_constant { CONSTANT_TIME } else { new.event_ts },
        created: new.created.filter(|_| definition.has_created()),
        seq: 0,
        values: (!new.is_delete).then(|| values.collect()),
        event_id,
        marks: Marks::default(),
    }
}

/// The key that numbers of join key columns stand for.
pub fn key_of(definition: &FeatureView, numbers: &[u8; KEY_COLUMNS], keys: &KeyTypes) -> Vec<Value> {
    let mut entity = Entity::default();
    entity[..KEY_COLUMNS].copy_from_slice(numbers);
    definition.join_keys.iter().map(|(name, _)| keys.value(name, &entity)).collect()
}

/// More keys of a view than a new latest table has room for, where their types have so many.
pub fn crowd_of(definition: &FeatureView) -> impl Iterator<Item = Vec<Value>> {
    (0..CROWD).map(|number| definition.join_keys.iter().map(|(_, dtype)| crowd_value(dtype, number)).collect())
}

/// The columns of a view's rows, without a column that means nothing there.
pub fn batch_of(definition: &FeatureView, rows: &[Row]) -> RecordBatch {
    let mut columns = Columns { rows, fields: Vec::new(), arrays: Vec::new() };
    for (at, (name, dtype)) in definition.join_keys.iter().enumerate() {
        columns.add(name, dtype, |row| row.key[at].clone());
    }
    columns.add("event_timestamp", &DataType::Timestamp, |row| Value::Timestamp(row.event_ts));
    if definition.has_created() {
        columns.add("created", &DataType::Timestamp, |row| row.created.map_or(Value::Null, Value::Timestamp));
    }
    if let Some((name, dtype)) = definition.event_id.first() {
        columns.add(name, dtype, |row| row.event_id.clone());
    }
    for feature in definition.features.iter().filter(|feature| feature.name != EVENT_ID) {
        columns.add(&feature.name, &feature.dtype, |row| feature_of(row, &feature.name));
    }
    if rows.iter().any(|row| row.values.is_none()) {
        columns.add("_deleted", &DataType::Bool, |row| Value::Bool(row.values.is_none()));
    }
    RecordBatch::try_new(Arc::new(Schema::new(columns.fields)), columns.arrays).unwrap()
}

/// What a row says of a feature.
pub fn feature_of(row: &Row, feature: &str) -> Value {
    row.values.as_ref().and_then(|values| values.get(feature)).cloned().unwrap_or(Value::Null)
}

struct Columns<'a> {
    rows: &'a [Row],
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns<'_> {
    fn add(&mut self, name: &str, dtype: &DataType, value: impl Fn(&Row) -> Value) {
        let values: Vec<Value> = self.rows.iter().map(value).collect();
        self.fields.push(dtype.to_field(name));
        self.arrays.push(array_from_values(dtype, &values).unwrap());
    }
}

/// The rows one by one.
pub fn rows_of(definition: &FeatureView, rows: &[Row]) -> Vec<asof::Row> {
    let has_time = definition.source.event_timestamp != EventTime::Constant(CONSTANT_TIME);
    let rows = rows.iter().map(|row| {
        let mut out = asof::Row::new();
        for ((name, _), value) in definition.join_keys.iter().zip(&row.key) {
            out = out.set(name, value.clone());
        }
        if has_time || row.values.is_none() {
            out = out.at(Timestamp(row.event_ts));
        }
        if let Some(created) = row.created {
            out = out.created(Timestamp(created));
        }
        for (name, _) in &definition.event_id {
            out = out.set(name, row.event_id.clone());
        }
        if row.values.is_none() {
            return out.deleted();
        }
        for feature in &definition.features {
            out = out.set(&feature.name, feature_of(row, &feature.name));
        }
        out
    });
    rows.collect()
}

/// A spine: a column for each of [`COLUMNS`], in two batches.
pub fn spine_of(spine: &[(Option<i64>, Entity)], keys: &KeyTypes) -> Vec<RecordBatch> {
    let mut fields = vec![DataType::Timestamp.to_field("event_timestamp")];
    let times: Vec<Value> = spine.iter().map(|(time, _)| time.map_or(Value::Null, Value::Timestamp)).collect();
    let mut arrays = vec![array_from_values(&DataType::Timestamp, &times).unwrap()];
    for column in COLUMNS {
        let values: Vec<Value> = spine.iter().map(|(_, entity)| keys.value(column, entity)).collect();
        fields.push(keys.of(column).to_field(column));
        arrays.push(array_from_values(keys.of(column), &values).unwrap());
    }
    let options = RecordBatchOptions::new().with_row_count(Some(spine.len()));
    let whole = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).unwrap();
    let first = spine.len() / 2;
    vec![whole.slice(0, first), whole.slice(first, spine.len() - first)]
}
