//! Columns that are copied out of their pieces while their file is written, a chunk at a time: what was copied is still
//! in the processor's cache when it is summed up and written, and no column is held whole.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};

use crate::error::Result;
use crate::format::run_index::FeatureStats;
use crate::history::gather::Extent;
use crate::history::rows::RowColumns;
use crate::value::DataType;

/// Rows copied at a time: with what they are copied from, they fit into the second-level cache.
const CHUNK_ROWS: usize = 32 << 10;

/// A column of fixed width in which nothing is null.
pub(crate) struct Stream<'a> {
    /// Which.
    pub(crate) column: Streamed,
    sources: Sources<'a>,
    bounds: Bounds,
}

/// Columns that can be streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streamed {
    EventTimestamp,
    Seq,
    Feature(usize),
}

/// The column's values in each piece.
enum Sources<'a> {
    Four(Vec<&'a [[u8; 4]]>),
    Eight(Vec<&'a [[u8; 8]]>),
    Sixteen(Vec<&'a [[u8; 16]]>),
    /// Numbers, and what is added to those of each piece.
    Seq(Vec<&'a [u64]>, &'a [u64]),
}

impl<'a> Stream<'a> {
    pub(crate) fn event_ts(pieces: &[&'a RowColumns]) -> Stream<'a> {
        let sources = pieces.iter().map(|piece| piece.event_ts.inner().as_slice().as_chunks().0).collect();
        Stream {
            column: Streamed::EventTimestamp,
            sources: Sources::Eight(sources),
            bounds: Bounds::Int64(MinMax { min: i64::MAX, max: i64::MIN }),
        }
    }

    pub(crate) fn seq(pieces: &[&'a RowColumns], bases: &'a [u64]) -> Stream<'a> {
        let sources = pieces.iter().map(|piece| &*piece.seq).collect();
        Stream {
            column: Streamed::Seq,
            sources: Sources::Seq(sources, bases),
            bounds: Bounds::UInt64(MinMax { min: u64::MAX, max: 0 }),
        }
    }

    /// A feature of every piece; `None` where it is of variable length, or a piece lacks it or a value of it.
    pub(crate) fn feature(pieces: &[&'a RowColumns], ordinal: usize, data_type: &DataType) -> Option<Stream<'a>> {
        let bounds = Bounds::of(data_type)?;
        let bytes = |piece: &&'a RowColumns| fixed_bytes(piece.features.get(ordinal)?.as_ref()?, data_type);
        let sources = pieces.iter().map(bytes).collect::<Option<Vec<&[u8]>>>()?.into_iter();
        let sources = match data_type.fixed_width_bytes() {
            4 => Sources::Four(sources.map(|bytes| bytes.as_chunks().0).collect()),
            8 => Sources::Eight(sources.map(|bytes| bytes.as_chunks().0).collect()),
            16 => Sources::Sixteen(sources.map(|bytes| bytes.as_chunks().0).collect()),
            _ => return None,
        };
        Some(Stream { column: Streamed::Feature(ordinal), sources, bounds })
    }

    pub(crate) fn width_bytes(&self) -> usize {
        match self.sources {
            Sources::Four(_) => 4,
            Sources::Eight(_) | Sources::Seq(..) => 8,
            Sources::Sixteen(_) => 16,
        }
    }

    /// Gives `put` the column's bytes in the order of `extents`.
    ///
    /// # Errors
    /// Those of `put`.
    pub(crate) fn copy(&mut self, extents: &[Extent], mut put: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let bounds = &mut self.bounds;
        let mut put = |chunk: &[u8]| {
            bounds.add(chunk);
            put(chunk)
        };
        match &self.sources {
            Sources::Four(sources) => copy_values(sources, extents, |_, value| value, &mut put),
            Sources::Eight(sources) => copy_values(sources, extents, |_, value| value, &mut put),
            Sources::Sixteen(sources) => copy_values(sources, extents, |_, value| value, &mut put),
            Sources::Seq(sources, bases) => {
                copy_values(sources, extents, |piece, seq: u64| (bases[piece] + seq).to_le_bytes(), &mut put)
            }
        }
    }

    /// Least and greatest event timestamp of what was copied.
    pub(crate) fn instants(&self) -> Option<(i64, i64)> {
        match &self.bounds {
            Bounds::Int64(bounds) => Some((bounds.min, bounds.max)),
            _ => None,
        }
    }

    /// Least and greatest number of what was copied.
    pub(crate) fn numbers(&self) -> Option<(u64, u64)> {
        match &self.bounds {
            Bounds::UInt64(bounds) => Some((bounds.min, bounds.max)),
            _ => None,
        }
    }

    /// What the index keeps of what was copied.
    pub(crate) fn stats(&self) -> FeatureStats {
        let (min, max) = self.bounds.bytes().unzip();
        FeatureStats { null_count: 0, min, max }
    }
}

/// The values of an array without nulls, where they lie ready.
fn fixed_bytes<'a>(array: &'a ArrayRef, data_type: &DataType) -> Option<&'a [u8]> {
    if array.null_count() > 0 {
        return None;
    }
    macro_rules! values {
        ($arrow:ty) => {
            array.as_primitive_opt::<$arrow>()?.values().inner().as_slice()
        };
    }
    Some(match data_type {
        DataType::Int32 => values!(Int32Type),
        DataType::Float32 => values!(Float32Type),
        DataType::Date => values!(Date32Type),
        DataType::Int64 => values!(Int64Type),
        DataType::Float64 => values!(Float64Type),
        DataType::Timestamp => values!(TimestampMicrosecondType),
        DataType::Decimal { .. } => values!(Decimal128Type),
        _ => return None,
    })
}

fn copy_values<T: Copy, const W: usize>(
    sources: &[&[T]],
    extents: &[Extent],
    value: impl Fn(usize, T) -> [u8; W],
    put: &mut impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut chunk: Vec<[u8; W]> = Vec::with_capacity(CHUNK_ROWS);
    let mut flush = |chunk: &mut Vec<[u8; W]>| {
        let done = put(chunk.as_flattened());
        chunk.clear();
        done
    };
    for some in extents.chunks(CHUNK_ROWS) {
        if some.iter().all(|extent| extent.len == 1) && chunk.is_empty() {
            // As rows come that were sorted one by one.
            chunk.extend(some.iter().map(|extent| {
                let piece = extent.piece as usize;
                value(piece, sources[piece][extent.start as usize])
            }));
            flush(&mut chunk)?;
            continue;
        }
        for extent in some {
            let piece = extent.piece as usize;
            let mut rest = &sources[piece][extent.range()];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(CHUNK_ROWS - chunk.len()));
                chunk.extend(now.iter().map(|from| value(piece, *from)));
                rest = later;
                if chunk.len() == CHUNK_ROWS {
                    flush(&mut chunk)?;
                }
            }
        }
    }
    if chunk.is_empty() { Ok(()) } else { flush(&mut chunk) }
}

/// Least and greatest value so far. A NaN is neither less nor greater than anything, and no bound.
enum Bounds {
    Int32(MinMax<i32>),
    Int64(MinMax<i64>),
    UInt64(MinMax<u64>),
    Int128(MinMax<i128>),
    Float32(MinMax<f32>),
    Float64(MinMax<f64>),
}

struct MinMax<T> {
    min: T,
    max: T,
}

impl Bounds {
    fn of(data_type: &DataType) -> Option<Bounds> {
        Some(match data_type {
            DataType::Int32 | DataType::Date => Bounds::Int32(MinMax { min: i32::MAX, max: i32::MIN }),
            DataType::Int64 | DataType::Timestamp => Bounds::Int64(MinMax { min: i64::MAX, max: i64::MIN }),
            DataType::Decimal { .. } => Bounds::Int128(MinMax { min: i128::MAX, max: i128::MIN }),
            DataType::Float32 => Bounds::Float32(MinMax { min: f32::INFINITY, max: f32::NEG_INFINITY }),
            DataType::Float64 => Bounds::Float64(MinMax { min: f64::INFINITY, max: f64::NEG_INFINITY }),
            _ => return None,
        })
    }

    fn add(&mut self, chunk: &[u8]) {
        match self {
            Bounds::Int32(bounds) => bounds.add(chunk, i32::from_le_bytes),
            Bounds::Int64(bounds) => bounds.add(chunk, i64::from_le_bytes),
            Bounds::UInt64(bounds) => bounds.add(chunk, u64::from_le_bytes),
            Bounds::Int128(bounds) => bounds.add(chunk, i128::from_le_bytes),
            Bounds::Float32(bounds) => bounds.add(chunk, f32::from_le_bytes),
            Bounds::Float64(bounds) => bounds.add(chunk, f64::from_le_bytes),
        }
    }

    fn bytes(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        macro_rules! bytes {
            ($bounds:expr) => {
                ($bounds.min <= $bounds.max)
                    .then(|| ($bounds.min.to_le_bytes().to_vec(), $bounds.max.to_le_bytes().to_vec()))
            };
        }
        match self {
            Bounds::Int32(bounds) => bytes!(bounds),
            Bounds::Int64(bounds) => bytes!(bounds),
            Bounds::UInt64(bounds) => bytes!(bounds),
            Bounds::Int128(bounds) => bytes!(bounds),
            Bounds::Float32(bounds) => bytes!(bounds),
            Bounds::Float64(bounds) => bytes!(bounds),
        }
    }
}

impl<T: Copy + PartialOrd> MinMax<T> {
    fn add<const W: usize>(&mut self, chunk: &[u8], from_bytes: impl Fn([u8; W]) -> T) {
        // Floats are compared in a fixed order: in lanes there are several, which the processor takes together.
        const LANES: usize = 8;
        let least = |min: T, value: T| if value < min { value } else { min };
        let greatest = |max: T, value: T| if value > max { value } else { max };
        let (mut mins, mut maxs) = ([self.min; LANES], [self.max; LANES]);
        let (whole, rest) = chunk.as_chunks::<W>().0.as_chunks::<LANES>();
        for values in whole {
            for (lane, bytes) in values.iter().enumerate() {
                let value = from_bytes(*bytes);
                (mins[lane], maxs[lane]) = (least(mins[lane], value), greatest(maxs[lane], value));
            }
        }
        let rest = rest.iter().map(|bytes| from_bytes(*bytes));
        self.min = mins.into_iter().chain(rest.clone()).fold(self.min, least);
        self.max = maxs.into_iter().chain(rest).fold(self.max, greatest);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int32Array};

    use super::*;
    use crate::history::gather::gather_rows;
    use crate::history::schema::RunSchema;
    use crate::history::stats::stats_of;
    use crate::key::KeySchema;

    fn piece(first: u32, rows: u32) -> RowColumns {
        let at = |row: u32| f64::from(row.wrapping_mul(2_654_435_761));
        let floats: Float64Array =
            (first..first + rows).map(|row| Some(if row % 1_000 == 7 { f64::NAN } else { -at(row) })).collect();
        let ints: Int32Array = (first..first + rows).map(|row| Some(row.cast_signed() - 40_000)).collect();
        RowColumns {
            event_ts: (first..first + rows).map(|row| 5 - i64::from(row)).collect(),
            seq: (0..u64::from(rows)).collect(),
            features: vec![Some(Arc::new(floats) as ArrayRef), Some(Arc::new(ints))],
            ..RowColumns::default()
        }
    }

    #[test]
    fn what_is_streamed_is_what_is_gathered_and_has_the_same_bounds() {
        let fields = vec![("x".to_owned(), DataType::Float64), ("n".to_owned(), DataType::Int32)];
        let schema = RunSchema::new("v@1", KeySchema::new(vec![("id".to_owned(), DataType::Int64)]), fields, false);
        let pieces = [piece(0, 90_000), piece(90_000, 50)];
        let pieces: Vec<&RowColumns> = pieces.iter().collect();
        let bases = [1_000, 5];
        let one = |piece: u32, start: u32| Extent { piece, start, len: 1 };
        let singles: Vec<Extent> =
            (0..70_000).map(|i| if i % 2_000 == 3 { one(1, i % 50) } else { one(0, i) }).collect();
        let long = vec![Extent { piece: 0, start: 3, len: 80_000 }, Extent { piece: 1, start: 0, len: 50 }, one(0, 1)];
        let mixed = [&singles[..], &long[..], &singles[..40_000]].concat();
        for extents in [singles, long, mixed, vec![one(1, 9)]] {
            let rows: usize = extents.iter().map(|extent| extent.len as usize).sum();
            let gathered = gather_rows(&schema, &pieces, &bases, &extents).unwrap();
            let copied = |stream: &mut Stream<'_>| {
                let mut bytes = Vec::new();
                let put = |chunk: &[u8]| {
                    assert!(chunk.len() <= CHUNK_ROWS * 8);
                    bytes.extend_from_slice(chunk);
                    Ok(())
                };
                stream.copy(&extents, put).unwrap();
                assert_eq!(bytes.len(), rows * stream.width_bytes());
                bytes
            };
            let mut times = Stream::event_ts(&pieces);
            assert!(copied(&mut times) == gathered.event_ts.inner().as_slice());
            assert_eq!(
                times.instants(),
                gathered.event_ts.iter().min().copied().zip(gathered.event_ts.iter().max().copied())
            );
            let mut seq = Stream::seq(&pieces, &bases);
            assert!(copied(&mut seq) == gathered.seq.inner().as_slice());
            assert_eq!(seq.numbers(), gathered.seq.iter().min().copied().zip(gathered.seq.iter().max().copied()));
            for (ordinal, (_, data_type)) in schema.fields().iter().enumerate() {
                let array = gathered.features[ordinal].as_ref().unwrap();
                let mut stream = Stream::feature(&pieces, ordinal, data_type).unwrap();
                assert!(copied(&mut stream) == fixed_bytes(array, data_type).unwrap());
                assert_eq!(stream.stats(), stats_of(data_type, array));
            }
        }
    }

    #[test]
    fn a_column_with_a_null_in_any_piece_or_missing_in_one_is_no_stream() {
        let whole = piece(0, 3);
        let some: Float64Array = [Some(1.0), None].into_iter().collect();
        let holed = RowColumns { features: vec![Some(Arc::new(some)), None], ..RowColumns::default() };
        assert!(Stream::feature(&[&whole], 0, &DataType::Float64).is_some());
        assert!(Stream::feature(&[&whole, &holed], 0, &DataType::Float64).is_none());
        assert!(Stream::feature(&[&whole, &holed], 1, &DataType::Int32).is_none());
        assert!(Stream::feature(&[&whole, &RowColumns::default()], 0, &DataType::Float64).is_none());
    }
}
