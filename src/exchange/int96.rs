//! INT96, as which Spark and Impala keep times: a day and the nanoseconds in it, of any year.
//!
//! The library makes of them 64 bits of the unit that it is told, nanoseconds if of none, and wraps what these do not hold. In
//! microseconds that begins 292,000 years from here, where seconds hold everything: both are read, and compared.

use std::sync::Arc;

use arrow_array::Array;
use arrow_data::ArrayData;
use arrow_schema::{DataType as ArrowType, Field, FieldRef, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;

use super::leaves::with_leaves;
use crate::error::{Error, Result};
use crate::time::MICROS_PER_SECOND;

/// The metadata with INT96 times in `unit`; `None` where there are none.
pub(super) fn in_unit(
    metadata: &ArrowReaderMetadata,
    unit: TimeUnit,
) -> std::result::Result<Option<ArrowReaderMetadata>, ParquetError> {
    let leaves = metadata.parquet_schema().columns();
    if leaves.iter().all(|leaf| leaf.physical_type() != PhysicalType::INT96) {
        return Ok(None);
    }
    // The leaves of both schemas are the same, in the same order.
    let mut leaves = leaves.iter();
    let mut timed = |field: &Field| -> Result<ArrowType> {
        let is_int96 = leaves.next().is_some_and(|leaf| leaf.physical_type() == PhysicalType::INT96);
        let plain = match field.data_type() {
            ArrowType::Dictionary(_, values) => values,
            other => other,
        };
        Ok(match plain {
            ArrowType::Timestamp(_, zone) if is_int96 => ArrowType::Timestamp(unit, zone.clone()),
            _ => field.data_type().clone(),
        })
    };
    let schema = metadata.schema();
    let fields: Result<Vec<FieldRef>> = schema.fields().iter().map(|field| with_leaves(field, &mut timed)).collect();
    let fields = fields.map_err(|error| ParquetError::ArrowError(error.to_string()))?;
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).map(Some)
}

/// Compares a column in microseconds with the same in seconds.
///
/// # Errors
/// A time does not fit into microseconds.
pub(super) fn check(name: &str, micros: &dyn Array, seconds: &dyn Array) -> Result<()> {
    if agree(&micros.to_data(), &seconds.to_data()) {
        return Ok(());
    }
    Err(Error::invalid("an INT96 time is out of range in microseconds").at(format!("column {name}")))
}

/// Whether times are the same in both units. What lies under nulls is, too: it was made of the same twelve bytes.
fn agree(micros: &ArrayData, seconds: &ArrayData) -> bool {
    if let (ArrowType::Timestamp(TimeUnit::Microsecond, _), ArrowType::Timestamp(TimeUnit::Second, _)) =
        (micros.data_type(), seconds.data_type())
    {
        let (micros, seconds) = (micros.buffer::<i64>(0), seconds.buffer::<i64>(0));
        return micros.iter().zip(seconds).all(|(micros, seconds)| micros.div_euclid(MICROS_PER_SECOND) == *seconds);
    }
    micros.child_data().iter().zip(seconds.child_data()).all(|(micros, seconds)| agree(micros, seconds))
}
