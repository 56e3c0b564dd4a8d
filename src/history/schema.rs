//! What the columns of a view's runs are.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType as ArrowType, Field, Schema, SchemaRef};

use crate::format::row::RowLayout;
use crate::key::KeySchema;
use crate::value::{DataType, timestamp_arrow_type};

/// Metadata key: the version of the run's layout.
pub const META_FORMAT: &str = "asof.format";
/// Metadata key: what the file is.
pub const META_KIND: &str = "asof.kind";
/// Metadata key: the view and its version.
pub const META_VIEW: &str = "asof.view";
/// Metadata key: the order of rows.
pub const META_SORTED_BY: &str = "asof.sorted_by";
/// The layout's version.
pub const RUN_FORMAT: u32 = 1;

/// Column of event timestamps.
pub const EVENT_TIMESTAMP: &str = "_event_timestamp";
/// Column of created timestamps.
pub const CREATED_TIMESTAMP: &str = "_created_timestamp";
/// Column of sequence numbers, relative to the run's base.
pub const SEQ: &str = "_seq";
/// Column of row kinds; without it every row is a value.
pub const KIND: &str = "_kind";
/// Column of bitmaps of absent fields, by ordinal; without it none is.
pub const ABSENT: &str = "_absent";
/// Column of row deadlines.
pub const DEADLINE: &str = "_deadline";
/// Column of encoded field deadlines.
pub const FIELD_DEADLINES: &str = "_field_deadlines";
/// Column of event ids.
pub const EVENT_ID: &str = "_event_id";

/// The columns of a view version: its join keys, and its fields by ordinal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSchema {
    view: String,
    keys: KeySchema,
    fields: Vec<(String, DataType)>,
    declares_created: bool,
    layout: RowLayout,
}

/// Which of the columns that only some rows need a run has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionalColumns {
    /// `KIND`
    pub kind: bool,
    /// `ABSENT`
    pub absent: bool,
    /// `DEADLINE`
    pub deadline: bool,
    /// `FIELD_DEADLINES`
    pub field_deadlines: bool,
    /// `EVENT_ID`
    pub event_id: bool,
}

impl RunSchema {
    /// The runs of `view`, written `name@version`, with these fields in the order they were added.
    pub fn new(
        view: impl Into<String>,
        keys: KeySchema,
        fields: Vec<(String, DataType)>,
        declares_created: bool,
    ) -> RunSchema {
        let layout = RowLayout::new(fields.iter().map(|(_, data_type)| data_type.clone()));
        RunSchema { view: view.into(), keys, fields, declares_created, layout }
    }

    /// The view, as `name@version`.
    pub fn view(&self) -> &str {
        &self.view
    }

    /// The join keys.
    pub fn keys(&self) -> &KeySchema {
        &self.keys
    }

    /// Names and types by ordinal.
    pub fn fields(&self) -> &[(String, DataType)] {
        &self.fields
    }

    /// Whether rows carry a created timestamp.
    pub fn declares_created(&self) -> bool {
        self.declares_created
    }

    /// The layout of the view's row records.
    pub fn layout(&self) -> &RowLayout {
        &self.layout
    }

    /// Bytes of an `ABSENT` bitmap.
    pub fn absent_bytes(&self) -> usize {
        self.fields.len().div_ceil(8).max(1)
    }

    /// The schema of a run file with these optional columns.
    pub fn arrow_schema(&self, optional: OptionalColumns) -> SchemaRef {
        let mut columns: Vec<Field> = Vec::new();
        for (name, data_type) in self.keys.columns() {
            let dictionary = ArrowType::Dictionary(Box::new(ArrowType::Int32), Box::new(data_type.to_arrow()));
            columns.push(Field::new(name, dictionary, true));
        }
        columns.push(Field::new(EVENT_TIMESTAMP, timestamp_arrow_type(), false));
        if self.declares_created {
            columns.push(Field::new(CREATED_TIMESTAMP, timestamp_arrow_type(), true));
        }
        columns.push(Field::new(SEQ, ArrowType::UInt64, false));
        let absent = ArrowType::FixedSizeBinary(i32::try_from(self.absent_bytes()).unwrap_or(i32::MAX));
        for (present, name, data_type, nullable) in [
            (optional.kind, KIND, ArrowType::UInt8, false),
            (optional.absent, ABSENT, absent, false),
            (optional.deadline, DEADLINE, timestamp_arrow_type(), true),
            (optional.field_deadlines, FIELD_DEADLINES, ArrowType::Binary, true),
            (optional.event_id, EVENT_ID, ArrowType::Binary, true),
        ] {
            if present {
                columns.push(Field::new(name, data_type, nullable));
            }
        }
        columns.extend(self.fields.iter().map(|(name, data_type)| Field::new(name, data_type.to_arrow(), true)));
        let metadata = HashMap::from([
            (META_FORMAT.to_owned(), RUN_FORMAT.to_string()),
            (META_KIND.to_owned(), "run".to_owned()),
            (META_VIEW.to_owned(), self.view.clone()),
            (
                META_SORTED_BY.to_owned(),
                "hash(key), key, _event_timestamp, _created_timestamp nulls first, _seq".to_owned(),
            ),
        ]);
        Arc::new(Schema::new_with_metadata(columns, metadata))
    }
}
