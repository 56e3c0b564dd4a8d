//! What is kept of each feature's column in a run's index.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::ToByteSlice;

use crate::format::run_index::FeatureStats;
use crate::value::DataType;

/// Null count, and least and greatest value where the type is a number or an instant.
pub(crate) fn stats_of(data_type: &DataType, array: &ArrayRef) -> FeatureStats {
    let bounds = match data_type {
        DataType::Int32 => bounds::<Int32Type>(array),
        DataType::Int64 => bounds::<Int64Type>(array),
        DataType::Float32 => bounds::<Float32Type>(array),
        DataType::Float64 => bounds::<Float64Type>(array),
        DataType::Timestamp => bounds::<TimestampMicrosecondType>(array),
        DataType::Date => bounds::<Date32Type>(array),
        DataType::Decimal { .. } => bounds::<Decimal128Type>(array),
        _ => None,
    };
    let (min, max) = bounds.unzip();
    FeatureStats { null_count: array.null_count() as u64, min, max }
}

fn bounds<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<(Vec<u8>, Vec<u8>)> {
    let array = array.as_primitive::<T>();
    // A NaN is neither less nor greater than anything, and no bound.
    let fold = |bounds: Option<(T::Native, T::Native)>, value: T::Native| match bounds {
        _ if value.partial_cmp(&value).is_none() => bounds,
        None => Some((value, value)),
        Some((min, max)) => Some((if value < min { value } else { min }, if value > max { value } else { max })),
    };
    let (min, max) = match array.nulls() {
        None => array.values().iter().copied().fold(None, fold),
        Some(_) => array.iter().flatten().fold(None, fold),
    }?;
    Some((min.to_byte_slice().to_vec(), max.to_byte_slice().to_vec()))
}
