//! Columns to rows: entity keys, and row records as [`crate::format::row`] lays them out.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, ArrowNativeTypeOp, Int64Array};
use arrow_buffer::{BooleanBuffer, NullBuffer};

use super::values::value_at;
use crate::error::{Error, Result};
use crate::format::row::{
    FieldState, INLINE_BYTES_MAX, RECORD_HEADER_BYTES, Reference, RowHead, RowKind, RowLayout, push_record,
    set_field_state, states_len_bytes,
};
use crate::format::value::{VARIABLE_BYTES_MAX, canonical_f32, canonical_f64, encode_value};
use crate::key::{KeySchema, check_key_len};
use crate::value::DataType;

/// Rows whose records are written together: their bytes stay in cache while column after column is filled in.
const CHUNK_ROWS: usize = 256;

/// Byte strings back to back: the encoded keys or event ids of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedKeys {
    /// All of them.
    pub bytes: Vec<u8>,
    /// Where each begins; one more entry for the end.
    pub offsets: Vec<usize>,
}

impl EncodedKeys {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one of `row`.
    pub fn get(&self, row: usize) -> &[u8] {
        &self.bytes[self.offsets[row]..self.offsets[row + 1]]
    }

    /// All, in row order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.offsets.windows(2).map(|ends| &self.bytes[ends[0]..ends[1]])
    }
}

/// Encodes the entity keys of `row_count` rows, from one canonical column per join key in key order.
///
/// # Errors
/// A key is null or longer than [`crate::key::KEY_BYTES_MAX`]; the error names the row.
pub fn encode_keys(schema: &KeySchema, columns: &[ArrayRef], row_count: usize) -> Result<EncodedKeys> {
    for ((name, dtype), column) in schema.columns().iter().zip(columns) {
        assert_eq!(column.data_type(), &dtype.to_arrow(), "key column {name} is canonical");
        assert_eq!(column.len(), row_count, "key column {name} is as long as the batch");
        if let Some(row) = first_null(column.as_ref()) {
            return Err(Error::invalid("the join key is null").at(format!("row {row}")).at(name));
        }
    }
    assert_eq!(schema.columns().len(), columns.len(), "one column per join key");
    if let ([(_, DataType::Int64)], [column]) = (schema.columns(), columns) {
        let values = column.as_primitive::<Int64Type>().values();
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        return Ok(EncodedKeys { bytes, offsets: (0..=row_count).map(|row| row * 8).collect() });
    }
    let last = columns.len().saturating_sub(1);
    let mut lengths = vec![0_usize; row_count];
    for (i, ((_, dtype), column)) in schema.columns().iter().zip(columns).enumerate() {
        match variable_bytes(dtype, column.as_ref()) {
            Some(bytes) => {
                let prefix = if i == last { 0 } else { 4 };
                lengths.iter_mut().enumerate().for_each(|(row, len)| *len += prefix + bytes.get(row).len());
            }
            None => lengths.iter_mut().for_each(|len| *len += dtype.fixed_width_bytes()),
        }
    }
    let mut offsets = Vec::with_capacity(row_count + 1);
    let mut end = 0;
    offsets.push(0);
    for (row, len) in lengths.iter().enumerate() {
        check_key_len(*len).map_err(|error| error.at(format!("row {row}")))?;
        end += len;
        offsets.push(end);
    }
    let mut bytes = vec![0; end];
    let mut cursors = offsets[..row_count].to_vec();
    for (i, ((_, dtype), column)) in schema.columns().iter().zip(columns).enumerate() {
        if let Some(values) = variable_bytes(dtype, column.as_ref()) {
            for (row, cursor) in cursors.iter_mut().enumerate() {
                let value = values.get(row);
                if i != last {
                    // A key fits KEY_BYTES_MAX, checked above.
                    let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
                    bytes[*cursor..*cursor + 4].copy_from_slice(&len.to_le_bytes());
                    *cursor += 4;
                }
                bytes[*cursor..*cursor + value.len()].copy_from_slice(value);
                *cursor += value.len();
            }
        } else {
            scatter_fixed(dtype, column.as_ref(), 0, &cursors, 0, &mut bytes);
            cursors.iter_mut().for_each(|cursor| *cursor += dtype.fixed_width_bytes());
        }
    }
    Ok(EncodedKeys { bytes, offsets })
}

/// The columns of a batch of rows, all canonical and of one length.
#[derive(Clone, Copy, Debug)]
pub struct RowColumns<'a> {
    /// The entity keys.
    pub keys: &'a EncodedKeys,
    /// Microseconds since 1970.
    pub event_ts: &'a [i64],
    /// Where the view declares created; null for absent.
    pub created: Option<&'a Int64Array>,
    /// Encoded as keys are; empty for none.
    pub event_ids: Option<&'a EncodedKeys>,
    /// One column per field of the layout.
    pub features: &'a [ArrayRef],
    /// Rows that are deletes; their features are not looked at.
    pub deleted: Option<&'a BooleanBuffer>,
}

/// Appends the records of these rows to `out`, and where each begins to `offsets`.
///
/// # Errors
/// A value, a key or an event id is too long; the error names the row. Nothing is appended then.
pub fn encode_records(
    layout: &RowLayout,
    columns: &RowColumns<'_>,
    out: &mut Vec<u8>,
    offsets: &mut Vec<usize>,
) -> Result<()> {
    assert_eq!(columns.features.len(), layout.field_count(), "one column per field");
    for (dtype, column) in layout.types().iter().zip(columns.features) {
        assert_eq!(column.data_type(), &dtype.to_arrow(), "feature columns are canonical");
        assert_eq!(column.len(), columns.event_ts.len(), "feature columns are as long as the batch");
    }
    let before = (out.len(), offsets.len());
    encode_all(layout, columns, out, offsets).inspect_err(|_| {
        out.truncate(before.0);
        offsets.truncate(before.1);
    })
}

fn encode_all(layout: &RowLayout, columns: &RowColumns<'_>, out: &mut Vec<u8>, offsets: &mut Vec<usize>) -> Result<()> {
    let rows = columns.event_ts.len();
    let field_count = layout.field_count();
    let is_deleted = |row: usize| columns.deleted.is_some_and(|deleted| deleted.value(row));
    let variable: Vec<Option<VariableBytes<'_>>> = layout
        .types()
        .iter()
        .zip(columns.features)
        .map(|(dtype, column)| variable_or_encoded(dtype, column.as_ref()))
        .collect::<Result<_>>()?;
    for bytes in variable.iter().flatten() {
        if let Some(row) = (0..rows).find(|&row| bytes.get(row).len() > VARIABLE_BYTES_MAX && !is_deleted(row)) {
            return Err(Error::invalid(format!(
                "the value takes {} bytes, at most {VARIABLE_BYTES_MAX} are stored",
                bytes.get(row).len()
            ))
            .at(format!("row {row}")));
        }
    }

    // Every field a value; null fields are marked afterwards.
    let mut template = vec![0; layout.variable_start(field_count)];
    for field in 0..field_count {
        set_field_state(&mut template, field, FieldState::Value);
    }
    let states_len = states_len_bytes(field_count);
    out.reserve(rows * (RECORD_HEADER_BYTES + template.len() + 16));
    offsets.reserve(rows);
    let mut images = Vec::with_capacity(CHUNK_ROWS);
    let mut ends = Vec::with_capacity(CHUNK_ROWS);
    for start in (0..rows).step_by(CHUNK_ROWS) {
        let end = rows.min(start + CHUNK_ROWS);
        images.clear();
        ends.clear();
        for row in start..end {
            let deleted = is_deleted(row);
            let head = RowHead {
                created: columns.created.and_then(|created| created.is_valid(row).then(|| created.value(row))),
                event_id: columns.event_ids.map_or(&[], |ids| ids.get(row)),
                ..RowHead::new(if deleted { RowKind::Delete } else { RowKind::Value }, columns.event_ts[row])
            };
            let record = out.len();
            offsets.push(record);
            let (count, image): (usize, &[u8]) = if deleted { (0, &[]) } else { (field_count, &template) };
            push_record(&head, columns.keys.get(row), count, image, out)
                .map_err(|error| error.at(format!("row {row}")))?;
            images.push(out.len() - image.len());
            if !deleted && variable.iter().any(Option::is_some) {
                let extra: usize = variable
                    .iter()
                    .flatten()
                    .map(|bytes| bytes.get(row).len())
                    .filter(|len| *len > INLINE_BYTES_MAX)
                    .sum();
                out.resize(out.len() + extra, 0);
                let len = u32::try_from(out.len() - record - 4)
                    .map_err(|_| Error::invalid("the row is too long to store").at(format!("row {row}")))?;
                out[record..record + 4].copy_from_slice(&len.to_le_bytes());
            }
            ends.push(images[row - start] + image.len());
        }
        for (field, dtype) in layout.types().iter().enumerate() {
            let column = columns.features[field].as_ref();
            let range = layout.fixed_range(field_count, field);
            if columns.deleted.is_none() && variable[field].is_none() {
                scatter_fixed(dtype, column, start, &images, range.start, out);
            } else if let Some(bytes) = &variable[field] {
                for row in (start..end).filter(|&row| !is_deleted(row)) {
                    let (image, heap) = (images[row - start], ends[row - start]);
                    let value = bytes.get(row);
                    let position = heap - image - template.len();
                    Reference::write(value, position as u64, &mut out[image + range.start..image + range.end]);
                    if value.len() > INLINE_BYTES_MAX {
                        out[heap..heap + value.len()].copy_from_slice(value);
                        ends[row - start] += value.len();
                    }
                }
            } else {
                for row in (start..end).filter(|&row| !is_deleted(row)) {
                    scatter_fixed(dtype, column, row, &images[row - start..=row - start], range.start, out);
                }
            }
            if let Some(nulls) = column.nulls().filter(|nulls| nulls.null_count() > 0) {
                for row in (start..end).filter(|&row| nulls.is_null(row) && !is_deleted(row)) {
                    let image = images[row - start];
                    set_field_state(&mut out[image..image + states_len], field, FieldState::Null);
                    out[image + range.start..image + range.end].fill(0);
                }
            }
        }
    }
    Ok(())
}

/// Writes the fixed-width values of rows `start..` at `places[i] + shift` of `out`. Null rows write anything.
fn scatter_fixed(dtype: &DataType, column: &dyn Array, start: usize, places: &[usize], shift: usize, out: &mut [u8]) {
    fn scatter<T: ArrowPrimitiveType, const N: usize>(
        column: &dyn Array,
        start: usize,
        places: &[usize],
        shift: usize,
        out: &mut [u8],
        to_bytes: impl Fn(T::Native) -> [u8; N],
    ) where
        T::Native: ArrowNativeTypeOp,
    {
        let values = &column.as_primitive::<T>().values()[start..start + places.len()];
        for (value, place) in values.iter().zip(places) {
            out[place + shift..place + shift + N].copy_from_slice(&to_bytes(*value));
        }
    }
    match dtype {
        DataType::Bool => {
            let values = column.as_boolean().values();
            for (i, place) in places.iter().enumerate() {
                out[place + shift] = u8::from(values.value(start + i));
            }
        }
        DataType::Int32 => scatter::<Int32Type, 4>(column, start, places, shift, out, i32::to_le_bytes),
        DataType::Date => scatter::<Date32Type, 4>(column, start, places, shift, out, i32::to_le_bytes),
        DataType::Int64 => scatter::<Int64Type, 8>(column, start, places, shift, out, i64::to_le_bytes),
        DataType::Timestamp => {
            scatter::<TimestampMicrosecondType, 8>(column, start, places, shift, out, i64::to_le_bytes);
        }
        DataType::Float32 => {
            scatter::<Float32Type, 4>(column, start, places, shift, out, |v| canonical_f32(v).to_le_bytes());
        }
        DataType::Float64 => {
            scatter::<Float64Type, 8>(column, start, places, shift, out, |v| canonical_f64(v).to_le_bytes());
        }
        DataType::Decimal { .. } => scatter::<Decimal128Type, 16>(column, start, places, shift, out, i128::to_le_bytes),
        DataType::Uuid => {
            let values = column.as_fixed_size_binary();
            for (i, place) in places.iter().enumerate() {
                out[place + shift..place + shift + 16].copy_from_slice(values.value(start + i));
            }
        }
        DataType::String | DataType::Bytes | DataType::Json | DataType::List(_) | DataType::Vector(_) => {
            unreachable!("variable-length columns are written through their references")
        }
    }
}

/// The bytes of a variable-length column, in the column's own buffers or encoded. Null rows have none.
enum VariableBytes<'a> {
    Borrowed { bytes: &'a [u8], offsets: &'a [i32], nulls: Option<&'a NullBuffer> },
    Encoded(EncodedKeys),
}

impl VariableBytes<'_> {
    #[inline]
    fn get(&self, row: usize) -> &[u8] {
        match self {
            VariableBytes::Borrowed { nulls: Some(nulls), .. } if nulls.is_null(row) => &[],
            // Arrow's offsets are never negative.
            VariableBytes::Borrowed { bytes, offsets, .. } => {
                &bytes[offsets[row].cast_unsigned() as usize..offsets[row + 1].cast_unsigned() as usize]
            }
            VariableBytes::Encoded(encoded) => encoded.get(row),
        }
    }
}

fn variable_bytes<'a>(dtype: &DataType, column: &'a dyn Array) -> Option<VariableBytes<'a>> {
    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
    match dtype {
        DataType::String | DataType::Json => {
            let column = column.as_string::<i32>();
            Some(VariableBytes::Borrowed { bytes: column.value_data(), offsets: column.value_offsets(), nulls })
        }
        DataType::Bytes => {
            let column = column.as_binary::<i32>();
            Some(VariableBytes::Borrowed { bytes: column.value_data(), offsets: column.value_offsets(), nulls })
        }
        _ => None,
    }
}

fn variable_or_encoded<'a>(dtype: &DataType, column: &'a dyn Array) -> Result<Option<VariableBytes<'a>>> {
    if !dtype.is_variable() {
        return Ok(None);
    }
    if let Some(borrowed) = variable_bytes(dtype, column) {
        return Ok(Some(borrowed));
    }
    let mut encoded = EncodedKeys { bytes: Vec::new(), offsets: vec![0] };
    for row in 0..column.len() {
        if let (DataType::Vector(_), true) = (dtype, column.is_valid(row)) {
            let vector = column.as_fixed_size_list().value(row);
            let floats = vector.as_primitive::<Float32Type>().values();
            encoded.bytes.extend(floats.iter().flat_map(|v| canonical_f32(*v).to_le_bytes()));
        } else if column.is_valid(row) {
            encode_value(dtype, &value_at(column, dtype, row), &mut encoded.bytes)
                .map_err(|error| error.at(format!("row {row}")))?;
        }
        encoded.offsets.push(encoded.bytes.len());
    }
    Ok(Some(VariableBytes::Encoded(encoded)))
}

fn first_null(column: &dyn Array) -> Option<usize> {
    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0)?;
    (0..column.len()).find(|&row| nulls.is_null(row))
}
