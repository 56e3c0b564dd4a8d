//! Scalar conversions, one match per target type.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, FixedSizeBinaryArray, PrimitiveArray, StringArray, new_null_array,
};
use arrow_buffer::{Buffer, NullBuffer, ScalarBuffer, i256};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType as ArrowType, TimeUnit};

use super::{Refusal, nested};
use crate::error::{Error, Result};
use crate::format::columns::value_bytes;
use crate::format::value::{canonical_f32, canonical_f64};
use crate::text::{clip, is_json, parse_uuid, rescale, why_unexpected};
use crate::time::{MICROS_PER_DAY, Timestamp};
use crate::value::{DECIMAL_PRECISION_MAX, DataType};

/// Values of a column that are shown by views, dictionaries or runs may take so many bytes when each has its own.
const COPIED_BYTES_MAX: u64 = i32::MAX as u64;
const MILLIS_PER_DAY: i64 = MICROS_PER_DAY / 1_000;

pub(super) fn convert(dtype: &DataType, array: &ArrayRef, refused: &mut Vec<Refusal>) -> Result<ArrayRef> {
    match array.data_type() {
        ArrowType::Null => return Ok(new_null_array(&dtype.to_arrow(), array.len())),
        ArrowType::Dictionary(_, values) => return convert(dtype, &cast(array, values)?, refused),
        ArrowType::RunEndEncoded(_, values) => return convert(dtype, &cast(array, values.data_type())?, refused),
        _ => {}
    }
    match dtype {
        DataType::Bool if *array.data_type() == ArrowType::Boolean => Ok(array.clone()),
        DataType::Bool => Err(mismatch(dtype, array)),
        DataType::Int32 => integer::<Int32Type>(dtype, array, refused),
        DataType::Int64 => integer::<Int64Type>(dtype, array, refused),
        DataType::Float32 => float32(dtype, array, refused),
        DataType::Float64 => float64(dtype, array, refused),
        DataType::String => Ok(Arc::new(strings(dtype, array, refused)?)),
        DataType::Json => {
            let strings = strings(dtype, array, refused)?;
            let before = refused.len();
            for (row, text) in strings.iter().enumerate() {
                if let Some(text) = text.filter(|text| !is_json(text)) {
                    refused.push(Refusal::new(row, why_unexpected(dtype, text)));
                }
            }
            let nulls = without(strings.nulls(), strings.len(), &refused[before..]);
            let (offsets, bytes, _) = strings.into_parts();
            Ok(Arc::new(StringArray::new(offsets, bytes, nulls)))
        }
        DataType::Bytes => match array.data_type() {
            ArrowType::Binary => Ok(array.clone()),
            ArrowType::LargeBinary | ArrowType::BinaryView | ArrowType::FixedSizeBinary(_) => {
                cast(array, &ArrowType::Binary)
            }
            _ => Err(mismatch(dtype, array)),
        },
        DataType::Timestamp => timestamp(dtype, array, refused),
        DataType::Date => date(dtype, array, refused),
        DataType::Decimal { precision, scale } => decimal(dtype, *precision, *scale, array, refused),
        DataType::Uuid => uuid(dtype, array, refused),
        DataType::List(element) => nested::list(dtype, element, array, refused),
        DataType::Vector(len) => nested::vector(dtype, *len, array, refused),
    }
}

/// The error for a column none of whose values could convert.
pub(super) fn mismatch(dtype: &DataType, array: &dyn Array) -> Error {
    let mut error = Error::invalid(format!("wants {dtype}, got {}", array.data_type()));
    if *dtype == DataType::Timestamp && array.data_type().is_integer() {
        // Seconds, milliseconds or microseconds: nobody can know.
        error = error.remedy(
            "write the column as a timestamp type, which says its unit; a view's source may also be CSV with timestamp_format = \"%s\"",
        );
    }
    if *dtype == DataType::Timestamp && array.data_type().is_string() {
        error = error.remedy(
            "cast the column to a timestamp type, or write the file as CSV or JSON Lines, whose times are text",
        );
    }
    match (0..array.len()).find(|&row| array.is_valid(row)) {
        Some(row) => error.at(format!("row {row}")),
        None => error,
    }
}

/// The array in another layout of the same values.
pub(super) fn cast(array: &dyn Array, to: &ArrowType) -> Result<ArrayRef> {
    let shown_bytes = if may_repeat(array.data_type()) { value_bytes(array).max(array.len() as u64) } else { 0 };
    if shown_bytes > COPIED_BYTES_MAX {
        let why = format!("values of a column of {} take {shown_bytes} bytes when each has its own", array.data_type());
        return Err(Error::invalid(why).remedy("hand over fewer rows at a time"));
    }
    arrow_cast::cast(array, to).map_err(|error| {
        Error::invalid(format!("{} does not become {to}: {error}", array.data_type()))
            .remedy("hand over fewer rows at a time, if the batch is very large")
    })
}

/// Whether arrays of a type may show the same bytes many times.
fn may_repeat(dtype: &ArrowType) -> bool {
    match dtype {
        ArrowType::Dictionary(..)
        | ArrowType::RunEndEncoded(..)
        | ArrowType::Utf8View
        | ArrowType::BinaryView
        | ArrowType::ListView(_)
        | ArrowType::LargeListView(_) => true,
        ArrowType::List(element) | ArrowType::LargeList(element) | ArrowType::FixedSizeList(element, _) => {
            may_repeat(element.data_type())
        }
        _ => false,
    }
}

/// `nulls` and the rows refused.
pub(super) fn without(nulls: Option<&NullBuffer>, len: usize, refused: &[Refusal]) -> Option<NullBuffer> {
    if refused.is_empty() {
        return nulls.cloned();
    }
    let mut valid = vec![true; len];
    refused.iter().for_each(|refusal| valid[refusal.row] = false);
    NullBuffer::union(nulls, Some(&NullBuffer::from(valid)))
}

fn map<S: ArrowPrimitiveType, T: ArrowPrimitiveType>(
    dtype: &DataType,
    array: &dyn Array,
    refused: &mut Vec<Refusal>,
    convert: impl Fn(S::Native) -> Option<T::Native>,
) -> Result<ArrayRef> {
    let source = array.as_primitive::<S>();
    let before = refused.len();
    let mut values = Vec::with_capacity(source.len());
    for (row, value) in source.values().iter().enumerate() {
        values.push(convert(*value).unwrap_or_else(|| {
            if source.is_valid(row) {
                let options = FormatOptions::new().with_display_error(false);
                let shown = ArrayFormatter::try_new(source, &options).and_then(|text| text.value(row).try_to_string());
                // What has no text is no time that there is.
                let shown = shown.unwrap_or_else(|_| format!("{value:?}, which is out of range"));
                refused.push(Refusal::new(row, format!("wants {dtype}, got {} {shown}", source.data_type())));
            }
            T::Native::default()
        }));
    }
    let nulls = without(source.nulls(), source.len(), &refused[before..]);
    let column = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls);
    Ok(Arc::new(column.with_data_type(dtype.to_arrow())))
}

fn integer<T: ArrowPrimitiveType>(dtype: &DataType, array: &ArrayRef, refused: &mut Vec<Refusal>) -> Result<ArrayRef>
where
    T::Native: TryFrom<i64> + TryFrom<u64> + TryFrom<i128>,
{
    fn whole<N: TryFrom<i64>>(value: f64) -> Option<N> {
        // 2^63 is the first float beyond i64; below it a whole one is an i64 exactly.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        let is_whole = value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value);
        is_whole.then(|| N::try_from(value as i64).ok()).flatten()
    }
    fn from_decimal<N: TryFrom<i128>>(value: i128, scale: i8) -> Option<N> {
        N::try_from(rescale(value, i32::from(scale), 0, DECIMAL_PRECISION_MAX)?).ok()
    }
    let a = array.as_ref();
    match array.data_type() {
        same if *same == dtype.to_arrow() => Ok(array.clone()),
        ArrowType::Int8 => map::<Int8Type, T>(dtype, a, refused, |v| i64::from(v).try_into().ok()),
        ArrowType::Int16 => map::<Int16Type, T>(dtype, a, refused, |v| i64::from(v).try_into().ok()),
        ArrowType::Int32 => map::<Int32Type, T>(dtype, a, refused, |v| i64::from(v).try_into().ok()),
        ArrowType::Int64 => map::<Int64Type, T>(dtype, a, refused, |v| v.try_into().ok()),
        ArrowType::UInt8 => map::<UInt8Type, T>(dtype, a, refused, |v| u64::from(v).try_into().ok()),
        ArrowType::UInt16 => map::<UInt16Type, T>(dtype, a, refused, |v| u64::from(v).try_into().ok()),
        ArrowType::UInt32 => map::<UInt32Type, T>(dtype, a, refused, |v| u64::from(v).try_into().ok()),
        ArrowType::UInt64 => map::<UInt64Type, T>(dtype, a, refused, |v| v.try_into().ok()),
        ArrowType::Float16 => map::<Float16Type, T>(dtype, a, refused, |v| whole(f64::from(v))),
        ArrowType::Float32 => map::<Float32Type, T>(dtype, a, refused, |v| whole(f64::from(v))),
        ArrowType::Float64 => map::<Float64Type, T>(dtype, a, refused, whole),
        ArrowType::Decimal32(_, s) => map::<Decimal32Type, T>(dtype, a, refused, |v| from_decimal(v.into(), *s)),
        ArrowType::Decimal64(_, s) => map::<Decimal64Type, T>(dtype, a, refused, |v| from_decimal(v.into(), *s)),
        ArrowType::Decimal128(_, s) => map::<Decimal128Type, T>(dtype, a, refused, |v| from_decimal(v, *s)),
        _ => Err(mismatch(dtype, array)),
    }
}

fn float64(dtype: &DataType, array: &ArrayRef, refused: &mut Vec<Refusal>) -> Result<ArrayRef> {
    type T = Float64Type;
    fn exact(value: i64) -> Option<f64> {
        let float = value as f64;
        // i128, because i64::MAX as float64 is 2^63, which the cast back to i64 would hide.
        (float as i128 == i128::from(value)).then_some(float)
    }
    let a = array.as_ref();
    match array.data_type() {
        ArrowType::Float64 => {
            let column = array.as_primitive::<T>();
            let is_canonical = |v: &f64| !v.is_nan() || v.to_bits() == f64::NAN.to_bits();
            match column.values().iter().all(is_canonical) {
                true => Ok(array.clone()),
                false => Ok(Arc::new(column.unary::<_, T>(canonical_f64))),
            }
        }
        ArrowType::Float16 => map::<Float16Type, T>(dtype, a, refused, |v| Some(canonical_f64(v.into()))),
        ArrowType::Float32 => map::<Float32Type, T>(dtype, a, refused, |v| Some(canonical_f64(v.into()))),
        ArrowType::Int8 => map::<Int8Type, T>(dtype, a, refused, |v| Some(v.into())),
        ArrowType::Int16 => map::<Int16Type, T>(dtype, a, refused, |v| Some(v.into())),
        ArrowType::Int32 => map::<Int32Type, T>(dtype, a, refused, |v| Some(v.into())),
        ArrowType::Int64 => map::<Int64Type, T>(dtype, a, refused, exact),
        ArrowType::UInt8 => map::<UInt8Type, T>(dtype, a, refused, |v| Some(v.into())),
        ArrowType::UInt16 => map::<UInt16Type, T>(dtype, a, refused, |v| Some(v.into())),
        ArrowType::UInt32 => map::<UInt32Type, T>(dtype, a, refused, |v| Some(v.into())),
        ArrowType::UInt64 => map::<UInt64Type, T>(dtype, a, refused, |v| i64::try_from(v).ok().and_then(exact)),
        _ => Err(mismatch(dtype, array)),
    }
}

// Into float32 it rounds: that is the contract, and why the casts here may.
fn float32(dtype: &DataType, array: &ArrayRef, refused: &mut Vec<Refusal>) -> Result<ArrayRef> {
    type T = Float32Type;
    fn round(value: f64) -> Option<f32> {
        let rounded = value as f32;
        // A finite number that would round to infinity is out of range.
        (rounded.is_finite() || !value.is_finite()).then(|| canonical_f32(rounded))
    }
    let a = array.as_ref();
    match array.data_type() {
        ArrowType::Float32 => {
            let column = array.as_primitive::<T>();
            let is_canonical = |v: &f32| !v.is_nan() || v.to_bits() == f32::NAN.to_bits();
            match column.values().iter().all(is_canonical) {
                true => Ok(array.clone()),
                false => Ok(Arc::new(column.unary::<_, T>(canonical_f32))),
            }
        }
        ArrowType::Float16 => map::<Float16Type, T>(dtype, a, refused, |v| Some(canonical_f32(v.into()))),
        ArrowType::Float64 => map::<Float64Type, T>(dtype, a, refused, round),
        ArrowType::Int8 => map::<Int8Type, T>(dtype, a, refused, |v| Some(v.into())),
        ArrowType::Int16 => map::<Int16Type, T>(dtype, a, refused, |v| Some(v.into())),
        ArrowType::Int32 => map::<Int32Type, T>(dtype, a, refused, |v| Some(v as f32)),
        ArrowType::Int64 => map::<Int64Type, T>(dtype, a, refused, |v| Some(v as f32)),
        ArrowType::UInt8 => map::<UInt8Type, T>(dtype, a, refused, |v| Some(v.into())),
        ArrowType::UInt16 => map::<UInt16Type, T>(dtype, a, refused, |v| Some(v.into())),
        ArrowType::UInt32 => map::<UInt32Type, T>(dtype, a, refused, |v| Some(v as f32)),
        ArrowType::UInt64 => map::<UInt64Type, T>(dtype, a, refused, |v| Some(v as f32)),
        _ => Err(mismatch(dtype, array)),
    }
}

fn strings(dtype: &DataType, array: &ArrayRef, refused: &mut Vec<Refusal>) -> Result<StringArray> {
    match array.data_type() {
        ArrowType::Utf8 => Ok(array.as_string::<i32>().clone()),
        ArrowType::LargeUtf8 | ArrowType::Utf8View => Ok(cast(array, &ArrowType::Utf8)?.as_string::<i32>().clone()),
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView => {
            // Older Parquet writers leave strings without their type: text, when it is UTF-8.
            let binary = cast(array, &ArrowType::Binary)?;
            let text = |(row, bytes): (usize, Option<&[u8]>)| {
                let text = bytes.map(|bytes| std::str::from_utf8(bytes).map(str::to_owned)).transpose();
                text.unwrap_or_else(|_| {
                    refused.push(Refusal::new(row, format!("wants {dtype}, got bytes that are not UTF-8")));
                    None
                })
            };
            Ok(binary.as_binary::<i32>().iter().enumerate().map(text).collect())
        }
        _ => Err(mismatch(dtype, array)),
    }
}

fn timestamp(dtype: &DataType, array: &ArrayRef, refused: &mut Vec<Refusal>) -> Result<ArrayRef> {
    type T = TimestampMicrosecondType;
    let a = array.as_ref();
    match array.data_type() {
        // A zone says how an instant is shown; the number is UTC either way. Without a zone it is UTC.
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(Arc::new(array.as_primitive::<T>().clone().with_data_type(dtype.to_arrow())))
        }
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => {
            map::<TimestampNanosecondType, T>(dtype, a, refused, |v| Some(Timestamp::from_nanos(v).0))
        }
        ArrowType::Timestamp(TimeUnit::Millisecond, _) => {
            map::<TimestampMillisecondType, T>(dtype, a, refused, |v| v.checked_mul(1_000))
        }
        ArrowType::Timestamp(TimeUnit::Second, _) => {
            map::<TimestampSecondType, T>(dtype, a, refused, |v| v.checked_mul(1_000_000))
        }
        ArrowType::Date32 => map::<Date32Type, T>(dtype, a, refused, |v| i64::from(v).checked_mul(MICROS_PER_DAY)),
        ArrowType::Date64 => map::<Date64Type, T>(dtype, a, refused, |v| v.checked_mul(1_000)),
        _ => Err(mismatch(dtype, array)),
    }
}

fn date(dtype: &DataType, array: &ArrayRef, refused: &mut Vec<Refusal>) -> Result<ArrayRef> {
    type T = Date32Type;
    fn whole_days(value: i64, per_day: i64) -> Option<i32> {
        (value % per_day == 0).then(|| i32::try_from(value / per_day).ok()).flatten()
    }
    let a = array.as_ref();
    match array.data_type() {
        ArrowType::Date32 => Ok(array.clone()),
        ArrowType::Date64 => map::<Date64Type, T>(dtype, a, refused, |v| whole_days(v, MILLIS_PER_DAY)),
        ArrowType::Timestamp(TimeUnit::Second, _) => {
            map::<TimestampSecondType, T>(dtype, a, refused, |v| whole_days(v, MILLIS_PER_DAY / 1_000))
        }
        ArrowType::Timestamp(TimeUnit::Millisecond, _) => {
            map::<TimestampMillisecondType, T>(dtype, a, refused, |v| whole_days(v, MILLIS_PER_DAY))
        }
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            map::<TimestampMicrosecondType, T>(dtype, a, refused, |v| whole_days(v, MICROS_PER_DAY))
        }
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => {
            map::<TimestampNanosecondType, T>(dtype, a, refused, |v| whole_days(v, MICROS_PER_DAY * 1_000))
        }
        _ => Err(mismatch(dtype, array)),
    }
}

/// Whether no number has more digits than `precision`.
fn fits(column: &Decimal128Array, precision: u8) -> bool {
    let limit = 10_u128.pow(u32::from(precision));
    column.iter().flatten().all(|value| value.unsigned_abs() < limit)
}

fn decimal(
    dtype: &DataType,
    precision: u8,
    scale: u8,
    array: &ArrayRef,
    refused: &mut Vec<Refusal>,
) -> Result<ArrayRef> {
    type T = Decimal128Type;
    let to = i32::from(scale);
    let exact = |value: i128, from: i32| rescale(value, from, to, precision);
    let a = array.as_ref();
    match array.data_type() {
        // Arrow lets a column hold numbers that its own type has too few digits for.
        same if *same == dtype.to_arrow() && fits(array.as_primitive(), precision) => Ok(array.clone()),
        ArrowType::Decimal32(_, s) => map::<Decimal32Type, T>(dtype, a, refused, |v| exact(v.into(), i32::from(*s))),
        ArrowType::Decimal64(_, s) => map::<Decimal64Type, T>(dtype, a, refused, |v| exact(v.into(), i32::from(*s))),
        ArrowType::Decimal128(_, s) => map::<Decimal128Type, T>(dtype, a, refused, |v| exact(v, i32::from(*s))),
        ArrowType::Decimal256(_, s) => map::<Decimal256Type, T>(dtype, a, refused, |v| {
            let from = i32::from(*s);
            match v.to_i128() {
                Some(v) => exact(v, from),
                // Beyond i128 only as long as it carries zeros that the target's scale drops.
                None => {
                    let power = i256::from_i128(10).checked_pow(u32::try_from(from - to).ok()?)?;
                    let is_exact = v.checked_rem(power)? == i256::ZERO;
                    is_exact.then(|| v.checked_div(power)?.to_i128().and_then(|v| exact(v, to))).flatten()
                }
            }
        }),
        ArrowType::Int8 => map::<Int8Type, T>(dtype, a, refused, |v| exact(v.into(), 0)),
        ArrowType::Int16 => map::<Int16Type, T>(dtype, a, refused, |v| exact(v.into(), 0)),
        ArrowType::Int32 => map::<Int32Type, T>(dtype, a, refused, |v| exact(v.into(), 0)),
        ArrowType::Int64 => map::<Int64Type, T>(dtype, a, refused, |v| exact(v.into(), 0)),
        ArrowType::UInt8 => map::<UInt8Type, T>(dtype, a, refused, |v| exact(v.into(), 0)),
        ArrowType::UInt16 => map::<UInt16Type, T>(dtype, a, refused, |v| exact(v.into(), 0)),
        ArrowType::UInt32 => map::<UInt32Type, T>(dtype, a, refused, |v| exact(v.into(), 0)),
        ArrowType::UInt64 => map::<UInt64Type, T>(dtype, a, refused, |v| exact(v.into(), 0)),
        _ => Err(mismatch(dtype, array)),
    }
}

fn uuid(dtype: &DataType, array: &ArrayRef, refused: &mut Vec<Refusal>) -> Result<ArrayRef> {
    let before = refused.len();
    let mut bytes = Vec::with_capacity(array.len() * 16);
    match array.data_type() {
        ArrowType::FixedSizeBinary(16) => return Ok(array.clone()),
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => {
            let strings = cast(array, &ArrowType::Utf8)?;
            for (row, text) in strings.as_string::<i32>().iter().enumerate() {
                let uuid = text.and_then(parse_uuid);
                if let (None, Some(text)) = (uuid, text) {
                    refused.push(Refusal::new(row, format!("wants uuid, got '{}'", clip(text))));
                }
                bytes.extend(uuid.unwrap_or_default());
            }
        }
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView => {
            let binary = cast(array, &ArrowType::Binary)?;
            for (row, value) in binary.as_binary::<i32>().iter().enumerate() {
                let uuid: Option<[u8; 16]> = value.and_then(|value| value.try_into().ok());
                if let (None, Some(value)) = (uuid, value) {
                    refused.push(Refusal::new(row, format!("wants uuid, got {} bytes", value.len())));
                }
                bytes.extend(uuid.unwrap_or_default());
            }
        }
        _ => return Err(mismatch(dtype, array)),
    }
    let nulls = without(array.nulls(), array.len(), &refused[before..]);
    Ok(Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(bytes), nulls)))
}
