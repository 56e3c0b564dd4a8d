//! Copies rows out of several pieces into one, in a given order.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt8Array, make_array};
use arrow_buffer::{BooleanBufferBuilder, MutableBuffer, NullBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_data::transform::MutableArrayData;
use arrow_schema::DataType as ArrowType;

use crate::error::Result;
use crate::format::row::RowKind;
use crate::history::column_builder::arrow_fault;
use crate::history::rows::RowColumns;
use crate::history::schema::RunSchema;
use crate::value::timestamp_arrow_type;

/// Consecutive rows of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Which piece.
    pub piece: u32,
    /// The first row.
    pub start: u32,
    /// How many.
    pub len: u32,
}

impl Extent {
    #[inline]
    pub(crate) fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// Copies the rows of `extents` out of `pieces`, into the columns of `schema`. Pieces may lack
/// features that `schema` has; their rows are null there. `seq_bases` are added to each piece's numbers.
///
/// # Errors
/// A column of variable length grows beyond what Arrow's offsets hold.
pub(crate) fn gather_rows(
    schema: &RunSchema,
    pieces: &[&RowColumns],
    seq_bases: &[u64],
    extents: &[Extent],
) -> Result<RowColumns> {
    let row_count = extents.iter().map(|extent| extent.len as usize).sum();
    let mut event_ts: Vec<i64> = Vec::with_capacity(row_count);
    let mut seq: Vec<u64> = Vec::with_capacity(row_count);
    for extent in extents {
        let piece = pieces[extent.piece as usize];
        event_ts.extend_from_slice(&piece.event_ts[extent.range()]);
        let base = seq_bases[extent.piece as usize];
        seq.extend(piece.seq[extent.range()].iter().map(|relative| base + relative));
    }
    Ok(RowColumns {
        event_ts: event_ts.into(),
        seq: seq.into(),
        features: (0..schema.fields().len())
            .map(|ordinal| gather_feature(schema, pieces, ordinal, extents, row_count).map(Some))
            .collect::<Result<_>>()?,
        ..gather_marks(schema, pieces, extents, row_count)?
    })
}

/// [`gather_rows`] of one feature.
pub(crate) fn gather_feature(
    schema: &RunSchema,
    pieces: &[&RowColumns],
    ordinal: usize,
    extents: &[Extent],
    row_count: usize,
) -> Result<ArrayRef> {
    let arrays: Vec<Option<&ArrayRef>> =
        pieces.iter().map(|piece| piece.features.get(ordinal).and_then(Option::as_ref)).collect();
    gather(&arrays, &schema.fields()[ordinal].1.to_arrow(), extents, row_count)
}

/// [`gather_rows`] of all but event timestamps, numbers and features.
pub(crate) fn gather_marks(
    schema: &RunSchema,
    pieces: &[&RowColumns],
    extents: &[Extent],
    row_count: usize,
) -> Result<RowColumns> {
    let optional = |column: fn(&RowColumns) -> &Option<ArrayRef>, data_type: &ArrowType| {
        let arrays: Vec<Option<&ArrayRef>> = pieces.iter().map(|piece| column(piece).as_ref()).collect();
        if arrays.iter().all(Option::is_none) {
            return Ok(None);
        }
        gather(&arrays, data_type, extents, row_count).map(Some)
    };
    let instant = timestamp_arrow_type();
    let absent_bytes = i32::try_from(schema.absent_bytes()).unwrap_or(i32::MAX);
    Ok(RowColumns {
        created: match schema.declares_created() {
            true => Some(
                optional(|piece| &piece.created, &instant)?
                    .unwrap_or_else(|| arrow_array::new_null_array(&instant, row_count)),
            ),
            false => None,
        },
        kind: gather_kinds(pieces, extents, row_count),
        absent: gather_absent(pieces, extents, absent_bytes)?,
        deadline: optional(|piece| &piece.deadline, &instant)?.filter(has_values),
        field_deadlines: optional(|piece| &piece.field_deadlines, &ArrowType::Binary)?.filter(has_values),
        event_id: optional(|piece| &piece.event_id, &ArrowType::Binary)?.filter(has_values),
        ..RowColumns::default()
    })
}

fn has_values(array: &ArrayRef) -> bool {
    array.null_count() < array.len()
}

fn gather_kinds(pieces: &[&RowColumns], extents: &[Extent], row_count: usize) -> Option<ArrayRef> {
    if pieces.iter().all(|piece| piece.kind.is_none()) {
        return None;
    }
    let values: Vec<Option<&UInt8Array>> =
        pieces.iter().map(|piece| piece.kind.as_ref().and_then(|kind| kind.as_any().downcast_ref())).collect();
    let mut kinds: Vec<u8> = Vec::with_capacity(row_count);
    for extent in extents {
        match values[extent.piece as usize] {
            Some(array) => kinds.extend_from_slice(&array.values()[extent.range()]),
            None => kinds.resize(kinds.len() + extent.len as usize, RowKind::Value as u8),
        }
    }
    // A file of values needs no column that says so of each.
    kinds.iter().any(|kind| *kind != RowKind::Value as u8).then(|| Arc::new(UInt8Array::from(kinds)) as ArrayRef)
}

/// Bitmaps widen with the features: what a piece does not know of is not absent but null.
fn gather_absent(pieces: &[&RowColumns], extents: &[Extent], width: i32) -> Result<Option<ArrayRef>> {
    if pieces.iter().all(|piece| piece.absent.is_none()) {
        return Ok(None);
    }
    let width_bytes = usize::try_from(width).unwrap_or(0);
    let mut bytes: Vec<u8> = Vec::new();
    for extent in extents {
        let array = pieces[extent.piece as usize].absent.as_ref();
        let array = array.and_then(|array| array.as_any().downcast_ref::<arrow_array::FixedSizeBinaryArray>());
        for row in extent.range() {
            let start = bytes.len();
            if let Some(array) = array {
                let bits = array.value(row);
                bytes.extend_from_slice(&bits[..bits.len().min(width_bytes)]);
            }
            bytes.resize(start + width_bytes, 0);
        }
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let array = arrow_array::FixedSizeBinaryArray::try_new(width, bytes.into(), None).map_err(arrow_fault)?;
    Ok(Some(Arc::new(array)))
}

fn gather(
    arrays: &[Option<&ArrayRef>],
    data_type: &ArrowType,
    extents: &[Extent],
    row_count: usize,
) -> Result<ArrayRef> {
    match data_type {
        ArrowType::Int32 | ArrowType::Float32 | ArrowType::Date32 => {
            gather_fixed::<4>(arrays, data_type, extents, row_count)
        }
        ArrowType::Int64 | ArrowType::Float64 | ArrowType::Timestamp(..) => {
            gather_fixed::<8>(arrays, data_type, extents, row_count)
        }
        ArrowType::Decimal128(..) | ArrowType::FixedSizeBinary(16) => {
            gather_fixed::<16>(arrays, data_type, extents, row_count)
        }
        _ => gather_any(arrays, data_type, extents, row_count),
    }
}

fn gather_fixed<const W: usize>(
    arrays: &[Option<&ArrayRef>],
    data_type: &ArrowType,
    extents: &[Extent],
    row_count: usize,
) -> Result<ArrayRef> {
    let data: Vec<Option<ArrayData>> = arrays.iter().map(|array| array.map(|array| array.to_data())).collect();
    let sources: Vec<Option<&[[u8; W]]>> = data
        .iter()
        .map(|data| {
            let data = data.as_ref()?;
            data.buffers()[0].as_slice().as_chunks::<W>().0.get(data.offset()..data.offset() + data.len())
        })
        .collect();
    let mut out = MutableBuffer::with_capacity(row_count * W);
    let zero = [[0u8; W]; 1];
    for extent in extents {
        match sources[extent.piece as usize] {
            Some(values) if extent.len == 1 => out.extend_from_slice(&values[extent.start as usize]),
            Some(values) => out.extend_from_slice(values[extent.range()].as_flattened()),
            None => (0..extent.len).for_each(|_| out.extend_from_slice(&zero[0])),
        }
    }
    let nulls: Vec<Option<&NullBuffer>> = data.iter().map(|data| data.as_ref().and_then(ArrayData::nulls)).collect();
    let nulls = gather_nulls(&nulls, &sources.iter().map(Option::is_none).collect::<Vec<_>>(), extents, row_count);
    let built = ArrayData::builder(data_type.clone()).len(row_count).add_buffer(out.into()).nulls(nulls).build();
    Ok(make_array(built.map_err(arrow_fault)?))
}

fn gather_nulls(
    nulls: &[Option<&NullBuffer>],
    is_missing: &[bool],
    extents: &[Extent],
    row_count: usize,
) -> Option<NullBuffer> {
    if nulls.iter().all(Option::is_none) && !is_missing.contains(&true) {
        return None;
    }
    let mut bits = BooleanBufferBuilder::new(row_count);
    for extent in extents {
        let piece = extent.piece as usize;
        match nulls[piece] {
            _ if is_missing[piece] => bits.append_n(extent.len as usize, false),
            None => bits.append_n(extent.len as usize, true),
            Some(nulls) => extent.range().for_each(|row| bits.append(nulls.is_valid(row))),
        }
    }
    let nulls = NullBuffer::new(bits.finish());
    (nulls.null_count() > 0).then_some(nulls)
}

fn gather_any(
    arrays: &[Option<&ArrayRef>],
    data_type: &ArrowType,
    extents: &[Extent],
    row_count: usize,
) -> Result<ArrayRef> {
    let data: Vec<Option<ArrayData>> = arrays.iter().map(|array| array.map(|array| array.to_data())).collect();
    let sources: Vec<&ArrayData> = data.iter().flatten().collect();
    if sources.is_empty() {
        return Ok(arrow_array::new_null_array(data_type, row_count));
    }
    let mut next = 0;
    let source_of: Vec<Option<usize>> = data
        .iter()
        .map(|data| {
            data.as_ref().map(|_| {
                next += 1;
                next - 1
            })
        })
        .collect();
    let mut out = MutableArrayData::try_new(sources, true, row_count).map_err(arrow_fault)?;
    for extent in extents {
        let range = extent.range();
        match source_of[extent.piece as usize] {
            Some(source) => out.try_extend(source, range.start, range.end),
            None => out.try_extend_nulls(range.len()),
        }
        .map_err(arrow_fault)?;
    }
    Ok(make_array(out.freeze()))
}

/// The same rows in the order of `order`.
pub(crate) fn permute(columns: &RowColumns, order: &[u32]) -> Result<RowColumns> {
    let indices = arrow_array::UInt32Array::from(order.to_vec());
    let take = |array: &Option<ArrayRef>| -> Result<Option<ArrayRef>> {
        let taken = array.as_ref().map(|array| arrow_select::take::take(array, &indices, None));
        taken.transpose().map_err(arrow_fault)
    };
    let pick = |values: &[i64]| -> ScalarBuffer<i64> { order.iter().map(|&i| values[i as usize]).collect() };
    Ok(RowColumns {
        event_ts: pick(&columns.event_ts),
        seq: order.iter().map(|&i| columns.seq[i as usize]).collect(),
        created: take(&columns.created)?,
        kind: take(&columns.kind)?,
        absent: take(&columns.absent)?,
        deadline: take(&columns.deadline)?,
        field_deadlines: take(&columns.field_deadlines)?,
        event_id: take(&columns.event_id)?,
        features: columns.features.iter().map(take).collect::<Result<_>>()?,
    })
}
