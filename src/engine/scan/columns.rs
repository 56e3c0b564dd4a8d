//! What a scan's columns are, and gathered rows as a batch of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType as ArrowType, Field, Schema, SchemaRef};
use arrow_select::nullif::nullif;

use crate::definition::EventTime;
use crate::engine::historical::KNOWN_AT_KEY;
use crate::error::{Error, Result};
use crate::format::accept::{DELETED_COLUMN, EVENT_TIMESTAMP_COLUMN, NAMES_KEY, VIEW_KEY, VIEW_NAMES};
use crate::format::row::RowKind;
use crate::history::{Keys, RowColumns};
use crate::key::KeySchema;
use crate::registry::records::ViewRecord;
use crate::value::{DataType, timestamp_arrow_type};

/// Where a column's values come from.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// A join key, by position.
    Key(usize),
    EventTime,
    Created,
    /// A column of the event id, by position.
    EventId(usize),
    /// A feature, by ordinal.
    Feature(usize),
    Deleted,
}

/// The columns of a scan.
#[derive(Debug)]
pub struct Columns {
    schema: SchemaRef,
    origins: Vec<Origin>,
    keys: KeySchema,
    event_id: KeySchema,
}

impl Columns {
    /// The columns that this revision of a view names.
    pub fn new(record: &ViewRecord, known_at: u64) -> Columns {
        let definition = &record.definition;
        let mut columns: Vec<(Field, Origin)> = Vec::new();
        // One of the source's clocks may be in the event id as well. It stands once then; all other names differ.
        let mut add = |name: &str, dtype: &DataType, origin: Origin| {
            if columns.iter().all(|(field, _)| field.name() != name) {
                columns.push((dtype.to_field(name), origin));
            }
        };
        for (index, (name, dtype)) in definition.join_keys.iter().enumerate() {
            add(name, dtype, Origin::Key(index));
        }
        let event_time = match &definition.source.event_timestamp {
            EventTime::Column(name) => name.as_str(),
            EventTime::Constant(_) => EVENT_TIMESTAMP_COLUMN,
        };
        add(event_time, &DataType::Timestamp, Origin::EventTime);
        if let Some(name) = &definition.source.created_timestamp {
            add(name, &DataType::Timestamp, Origin::Created);
        }
        for (index, (name, dtype)) in definition.event_id.iter().enumerate() {
            if definition.feature_index(name).is_none() {
                add(name, dtype, Origin::EventId(index));
            }
        }
        for feature in &definition.features {
            if let Some(ordinal) = record.ordinal(&feature.name) {
                add(&feature.name, &feature.dtype, Origin::Feature(ordinal));
            }
        }
        columns.push((Field::new(DELETED_COLUMN, ArrowType::Boolean, false), Origin::Deleted));
        let metadata = HashMap::from([
            (KNOWN_AT_KEY.to_owned(), known_at.to_string()),
            (VIEW_KEY.to_owned(), definition.reference().to_string()),
            (NAMES_KEY.to_owned(), VIEW_NAMES.to_owned()),
        ]);
        let (fields, origins): (Vec<Field>, Vec<Origin>) = columns.into_iter().unzip();
        Columns {
            schema: Arc::new(Schema::new_with_metadata(fields, metadata)),
            origins,
            keys: definition.key_schema(),
            event_id: KeySchema::new(definition.event_id.clone()),
        }
    }

    /// Names and types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A batch of these rows, whose keys are `keys`.
    ///
    /// # Errors
    /// A key or an event id is none of the view's: it was damaged.
    pub fn batch(&self, keys: &Keys, rows: &RowColumns) -> Result<RecordBatch> {
        let count = rows.len();
        let key_columns = keys.to_columns(&self.keys)?;
        let deleted = deleted(rows);
        let event_ids = self.event_ids(rows, &deleted)?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.origins.len());
        for (origin, field) in self.origins.iter().zip(self.schema.fields()) {
            columns.push(match origin {
                Origin::Key(index) => Arc::clone(&key_columns[*index]),
                Origin::EventTime => {
                    let times = TimestampMicrosecondArray::new(rows.event_ts.clone(), None);
                    Arc::new(times.with_timezone("UTC"))
                }
                Origin::Created => {
                    rows.created.clone().unwrap_or_else(|| new_null_array(&timestamp_arrow_type(), count))
                }
                Origin::EventId(index) => Arc::clone(&event_ids[*index]),
                Origin::Feature(ordinal) => match rows.features.get(*ordinal).and_then(Option::as_ref) {
                    // What an import was told of a deleted row's features is nobody's to see.
                    Some(column) if deleted.true_count() > 0 => nullif(column, &deleted).map_err(unfit)?,
                    Some(column) => Arc::clone(column),
                    None => new_null_array(field.data_type(), count),
                },
                Origin::Deleted => Arc::new(deleted.clone()),
            });
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(unfit)
    }

    /// The columns of the event id, null where a row has none.
    fn event_ids(&self, rows: &RowColumns, deleted: &BooleanArray) -> Result<Vec<ArrayRef>> {
        if self.event_id.columns().is_empty() {
            return Ok(Vec::new());
        }
        let none: ArrayRef = new_null_array(&ArrowType::Binary, rows.len());
        let ids = rows.event_id.as_ref().unwrap_or(&none).as_binary::<i32>();
        let mut present = Keys::default();
        let mut places: Vec<Option<u32>> = Vec::with_capacity(ids.len());
        for (row, id) in ids.iter().enumerate() {
            // An id of no bytes is kept as none; only deletes have none.
            let id = id.or((!deleted.value(row)).then_some(&[][..]));
            places.push(id.map(|id| {
                present.push(id);
                u32::try_from(present.len() - 1).unwrap_or(u32::MAX)
            }));
        }
        let places = arrow_array::UInt32Array::from(places);
        let columns = present.to_columns(&self.event_id)?;
        columns.iter().map(|column| arrow_select::take::take(column, &places, None).map_err(unfit)).collect()
    }
}

fn deleted(rows: &RowColumns) -> BooleanArray {
    let bits = match &rows.kind {
        None => BooleanBuffer::new_unset(rows.len()),
        Some(kinds) => {
            kinds.as_primitive::<UInt8Type>().values().iter().map(|kind| *kind != RowKind::Value as u8).collect()
        }
    };
    BooleanArray::new(bits, None)
}

fn unfit(source: arrow_schema::ArrowError) -> Error {
    Error::invalid(format!("the scanned columns do not fit together: {source}"))
}
