//! What rows say beyond their key and clocks, compared as their encoded bytes would be.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt8Type,
};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, TimestampMicrosecondArray};
use arrow_buffer::NullBuffer;

use crate::error::Result;
use crate::format::columns::value_at;
use crate::format::row::RowKind;
use crate::format::value::encode_value;
use crate::history::rows::RowColumns;
use crate::history::schema::RunSchema;
use crate::value::DataType;

/// The contents of a piece's rows, ready to be compared with those of other pieces.
pub(crate) struct Contents<'a> {
    kind: Option<&'a [u8]>,
    absent: Option<&'a FixedSizeBinaryArray>,
    deadline: Option<&'a TimestampMicrosecondArray>,
    field_deadlines: Option<&'a BinaryArray>,
    event_id: Option<&'a BinaryArray>,
    /// By ordinal; `None` for features that are younger than the piece.
    features: Vec<Option<Cells<'a>>>,
}

/// A column's values as bytes.
enum Cells<'a> {
    Bool(&'a BooleanArray),
    Fixed { width: usize, bytes: &'a [u8], nulls: Option<&'a NullBuffer> },
    Variable { offsets: &'a [i32], bytes: &'a [u8], nulls: Option<&'a NullBuffer> },
    Nested(&'a ArrayRef, &'a DataType),
}

impl<'a> Cells<'a> {
    fn new(array: &'a ArrayRef, data_type: &'a DataType) -> Cells<'a> {
        let nulls = array.nulls();
        macro_rules! fixed {
            ($arrow:ty, $width:literal) => {
                Cells::Fixed { width: $width, bytes: array.as_primitive::<$arrow>().values().inner().as_slice(), nulls }
            };
        }
        match data_type {
            DataType::Bool => Cells::Bool(array.as_boolean()),
            DataType::Int32 => fixed!(Int32Type, 4),
            DataType::Float32 => fixed!(Float32Type, 4),
            DataType::Date => fixed!(Date32Type, 4),
            DataType::Int64 => fixed!(Int64Type, 8),
            DataType::Float64 => fixed!(Float64Type, 8),
            DataType::Timestamp => fixed!(TimestampMicrosecondType, 8),
            DataType::Decimal { .. } => fixed!(Decimal128Type, 16),
            DataType::String | DataType::Json => {
                let strings = array.as_string::<i32>();
                Cells::Variable { offsets: strings.value_offsets(), bytes: strings.value_data(), nulls }
            }
            DataType::Bytes => {
                let strings = array.as_binary::<i32>();
                Cells::Variable { offsets: strings.value_offsets(), bytes: strings.value_data(), nulls }
            }
            DataType::Uuid | DataType::List(_) | DataType::Vector(_) => Cells::Nested(array, data_type),
        }
    }

    /// The bytes of a value; `None` is null.
    fn get<'b>(&'b self, row: usize, scratch: &'b mut Vec<u8>) -> Result<Option<&'b [u8]>> {
        let is_null = |nulls: &Option<&NullBuffer>| nulls.is_some_and(|nulls| nulls.is_null(row));
        Ok(match self {
            Cells::Bool(array) => array.is_valid(row).then(|| if array.value(row) { &[1][..] } else { &[0] }),
            Cells::Fixed { width, bytes, nulls } => (!is_null(nulls)).then(|| &bytes[row * width..(row + 1) * width]),
            Cells::Variable { offsets, bytes, nulls } => {
                let at = |i: usize| usize::try_from(offsets[i]).unwrap_or(0);
                (!is_null(nulls)).then(|| &bytes[at(row)..at(row + 1)])
            }
            Cells::Nested(array, _) if array.is_null(row) => None,
            Cells::Nested(array, data_type) => {
                scratch.clear();
                encode_value(data_type, &value_at(array, data_type, row), scratch)?;
                Some(scratch)
            }
        })
    }
}

/// A row of a piece.
pub(crate) type ContentAt<'a> = (&'a Contents<'a>, usize);

/// Memory for values that have to be encoded to be compared.
#[derive(Default)]
pub(crate) struct Scratch(Vec<u8>, Vec<u8>);

impl<'a> Contents<'a> {
    pub(crate) fn new(schema: &'a RunSchema, columns: &'a RowColumns) -> Contents<'a> {
        let features = columns.features.iter().zip(schema.fields());
        Contents {
            kind: columns.kind.as_ref().map(|kind| &**kind.as_primitive::<UInt8Type>().values()),
            absent: columns.absent.as_ref().map(|bits| bits.as_fixed_size_binary()),
            deadline: columns.deadline.as_ref().map(|times| times.as_primitive::<TimestampMicrosecondType>()),
            field_deadlines: columns.field_deadlines.as_ref().map(|bytes| bytes.as_binary::<i32>()),
            event_id: columns.event_id.as_ref().map(|ids| ids.as_binary::<i32>()),
            features: features
                .map(|(array, (_, data_type))| array.as_ref().map(|array| Cells::new(array, data_type)))
                .collect(),
        }
    }

    fn kind(&self, row: usize) -> u8 {
        self.kind.map_or(RowKind::Value as u8, |kinds| kinds[row])
    }

    fn deadline(&self, row: usize) -> Option<i64> {
        self.deadline.filter(|times| times.is_valid(row)).map(|times| times.value(row))
    }

    /// Bit by bit whether fields are absent; a piece without the column has none.
    fn absent(&self, row: usize) -> &[u8] {
        let bits = self.absent.map_or(&[][..], |bits| bits.value(row));
        let end = bits.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &bits[..end]
    }

    fn has_fields(&self, row: usize) -> bool {
        RowKind::from_byte(self.kind(row)).is_some_and(RowKind::has_image)
    }

    /// What is said of the row beside its fields.
    fn marks(&self, row: usize) -> (u8, Option<i64>, &[u8], &[u8], &[u8]) {
        // What tells a delete's event id from none decides nothing: it has one where it came out of a file with a clock in
        // the event id, and none where it was asked for.
        let (absent, event_id) = match self.has_fields(row) {
            true => (self.absent(row), binary(self.event_id, row)),
            false => (&[][..], &[][..]),
        };
        let deadlines = binary(self.field_deadlines, row);
        (self.kind(row), self.deadline(row), absent, deadlines, event_id)
    }

    /// The bytes of a field; `None` is null, as is a feature younger than the piece.
    fn value<'b>(&'b self, field: usize, row: usize, scratch: &'b mut Vec<u8>) -> Result<Option<&'b [u8]>> {
        match self.features.get(field) {
            Some(Some(cells)) => cells.get(row, scratch),
            _ => Ok(None),
        }
    }

    /// The values of a field of eight bytes without a null: the commonest by far, compared without a call.
    fn words(&self, field: usize) -> Option<&[[u8; 8]]> {
        match self.features.get(field) {
            Some(Some(Cells::Fixed { width: 8, bytes, nulls: None })) => Some(bytes.as_chunks().0),
            _ => None,
        }
    }

    /// Appends bytes that are equal for equal rows and different for others.
    pub(crate) fn push_bytes(&self, row: usize, field_count: usize, out: &mut Vec<u8>) -> Result<()> {
        let mut push = |bytes: Option<&[u8]>| {
            out.extend(bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(bytes.unwrap_or_default());
        };
        let (kind, deadline, absent, field_deadlines, event_id) = self.marks(row);
        push(Some(&[kind]));
        push(deadline.map(i64::to_le_bytes).as_ref().map(|bytes| &bytes[..]));
        [absent, field_deadlines, event_id].into_iter().for_each(|bytes| push(Some(bytes)));
        if self.has_fields(row) {
            let mut scratch = Vec::new();
            for field in 0..field_count {
                push(self.value(field, row, &mut scratch)?);
            }
        }
        Ok(())
    }
}

fn binary(array: Option<&BinaryArray>, row: usize) -> &[u8] {
    array.filter(|array| array.is_valid(row)).map_or(&[], |array| array.value(row))
}

/// Whether two rows of equal key and clocks are equal in all else.
pub(crate) fn equal_contents(
    (left, left_row): ContentAt<'_>,
    (right, right_row): ContentAt<'_>,
    scratch: &mut Scratch,
) -> Result<bool> {
    if left.marks(left_row) != right.marks(right_row) {
        return Ok(false);
    }
    if !left.has_fields(left_row) {
        return Ok(true);
    }
    for field in 0..left.features.len().max(right.features.len()) {
        let is_equal = match (left.words(field), right.words(field)) {
            (Some(left), Some(right)) => left[left_row] == right[right_row],
            _ => left.value(field, left_row, &mut scratch.0)? == right.value(field, right_row, &mut scratch.1)?,
        };
        if !is_equal {
            return Ok(false);
        }
    }
    Ok(true)
}
