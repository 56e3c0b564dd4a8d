//! Values out of Arrow columns of any layout, for the text formats.

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType as ArrowType, Field};

use crate::error::{Error, Result};
use crate::format::accept::accept_column_collecting;
use crate::format::columns::value_at;
use crate::value::{DataType, Value};

/// The type whose text form a column takes: the one that loses nothing. `None` for Arrow types that
/// have no text form (structs, maps, intervals).
pub(super) fn canonical_type(field: &Field) -> Option<DataType> {
    let told = field.metadata().get(super::TYPE_METADATA_KEY).and_then(|text| text.parse::<DataType>().ok());
    let found = type_of_arrow(field.data_type());
    match (told, found) {
        (Some(told), Some(found)) if told.to_arrow() == found.to_arrow() => Some(told),
        (_, found) => found,
    }
}

/// The nullable field of a column of `dtype`, as [`DataType::to_field`] makes it.
pub fn typed_field(name: &str, dtype: &DataType) -> Field {
    dtype.to_field(name)
}

fn type_of_arrow(arrow: &ArrowType) -> Option<DataType> {
    Some(match arrow {
        ArrowType::Boolean => DataType::Bool,
        ArrowType::Int8 | ArrowType::Int16 | ArrowType::Int32 | ArrowType::UInt8 | ArrowType::UInt16 => DataType::Int32,
        ArrowType::UInt32 | ArrowType::Int64 => DataType::Int64,
        ArrowType::UInt64 => DataType::Decimal { precision: 20, scale: 0 },
        ArrowType::Float16 | ArrowType::Float32 => DataType::Float32,
        ArrowType::Float64 => DataType::Float64,
        // A column of nulls alone may as well be of strings.
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View | ArrowType::Null => DataType::String,
        ArrowType::FixedSizeBinary(16) => DataType::Uuid,
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView | ArrowType::FixedSizeBinary(_) => {
            DataType::Bytes
        }
        ArrowType::Timestamp(..) | ArrowType::Date64 => DataType::Timestamp,
        ArrowType::Date32 => DataType::Date,
        ArrowType::Decimal32(precision, scale)
        | ArrowType::Decimal64(precision, scale)
        | ArrowType::Decimal128(precision, scale) => {
            DataType::Decimal { precision: *precision, scale: u8::try_from(*scale).ok()? }
        }
        ArrowType::Dictionary(_, values) => type_of_arrow(values)?,
        ArrowType::FixedSizeList(element, len) if *element.data_type() == ArrowType::Float32 => {
            DataType::Vector(u32::try_from(*len).ok()?)
        }
        ArrowType::List(element) | ArrowType::LargeList(element) | ArrowType::FixedSizeList(element, _) => {
            match type_of_arrow(element.data_type())? {
                DataType::List(_) | DataType::Vector(_) => return None,
                element => DataType::List(Box::new(element)),
            }
        }
        _ => return None,
    })
}

/// A column in the layout that [`value_at`] reads.
#[derive(Debug)]
pub struct Cells {
    dtype: DataType,
    array: ArrayRef,
}

impl Cells {
    /// The columns of a batch.
    ///
    /// # Errors
    /// A column's type has no text form; the error names the column.
    pub fn of_batch(batch: &RecordBatch) -> Result<Vec<Cells>> {
        let pairs = batch.schema_ref().fields().iter().zip(batch.columns());
        pairs.map(|(field, array)| Cells::new(field, array)).collect()
    }

    /// A column of a batch.
    ///
    /// # Errors
    /// Its type has no text form, or a value has none that is of the column's canonical type.
    pub fn new(field: &Field, array: &ArrayRef) -> Result<Cells> {
        let trouble = |what: String| Error::invalid(what).at(format!("column {}", field.name()));
        let dtype = canonical_type(field)
            .ok_or_else(|| trouble(format!("columns of Arrow type {} have no text form", field.data_type())))?;
        if *array.data_type() == dtype.to_arrow() {
            return Ok(Cells { dtype, array: array.clone() });
        }
        let mut refused = Vec::new();
        let array = accept_column_collecting(&dtype, array, &mut refused)
            .map_err(|error| error.at(format!("column {}", field.name())))?;
        match refused.into_iter().next() {
            Some(refusal) => Err(trouble(refusal.reason)),
            None => Ok(Cells { dtype, array }),
        }
    }

    /// The type whose text form the column takes.
    pub fn dtype(&self) -> &DataType {
        &self.dtype
    }

    /// The value in a row.
    pub fn value(&self, row: usize) -> Value {
        value_at(self.array.as_ref(), &self.dtype, row)
    }
}
