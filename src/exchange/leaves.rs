//! Columns with other types at their leaves: lists, structs and maps stay, what is in them is as somebody wants it.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType as ArrowType, Field, FieldRef, SchemaRef};

use crate::error::{Error, Result};

/// The field with each of its leaves, first to last, of the type that `leaf` says. A dictionary is a leaf.
///
/// # Errors
/// Those of `leaf`.
pub(super) fn with_leaves(field: &FieldRef, leaf: &mut dyn FnMut(&Field) -> Result<ArrowType>) -> Result<FieldRef> {
    let dtype = match field.data_type() {
        ArrowType::List(element) => ArrowType::List(with_leaves(element, leaf)?),
        ArrowType::LargeList(element) => ArrowType::LargeList(with_leaves(element, leaf)?),
        ArrowType::FixedSizeList(element, len) => ArrowType::FixedSizeList(with_leaves(element, leaf)?, *len),
        ArrowType::ListView(element) => ArrowType::ListView(with_leaves(element, leaf)?),
        ArrowType::LargeListView(element) => ArrowType::LargeListView(with_leaves(element, leaf)?),
        ArrowType::Struct(fields) => {
            let fields: Result<Vec<FieldRef>> = fields.iter().map(|field| with_leaves(field, leaf)).collect();
            ArrowType::Struct(fields?.into())
        }
        ArrowType::Map(entries, is_sorted) => ArrowType::Map(with_leaves(entries, leaf)?, *is_sorted),
        _ => leaf(field)?,
    };
    Ok(Arc::new(field.as_ref().clone().with_data_type(dtype)))
}

/// The rows under a schema of the same columns, whose leaves may be of other types.
///
/// # Errors
/// A value does not convert; the error names the column.
pub(super) fn cast_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = batch.columns().iter().zip(schema.fields()).map(cast_column).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|source| Error::invalid("the rows make no batch").caused_by(source))
}

fn cast_column((column, field): (&ArrayRef, &FieldRef)) -> Result<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(column.clone());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, field.data_type(), &options).map_err(|source| {
        let what = format!("column {}: {} does not become {}", field.name(), column.data_type(), field.data_type());
        Error::invalid(format!("{what}: {source}"))
    })
}
