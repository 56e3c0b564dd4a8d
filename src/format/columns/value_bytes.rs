//! How many bytes values take when each has bytes of its own: what an array shows many times, through views, dictionaries or runs, counts
//! as often. So much is allocated when it becomes an array of the same values without them.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::ByteViewType;
use arrow_array::{Array, ArrayRef, GenericByteViewArray, OffsetSizeTrait, RecordBatch, downcast_run_array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;

/// A null in a column without a type becomes one of some type.
const NULL_BYTES: u64 = 16;

/// Bytes of the values of an array.
#[derive(Debug)]
pub enum ValueBytes {
    /// Of so many each.
    Same(u64),
    /// What stands between two offsets, in bytes of others.
    Offsets(OffsetBuffer<i32>, Box<ValueBytes>),
    /// The same, of long arrays.
    LongOffsets(OffsetBuffer<i64>, Box<ValueBytes>),
    /// So many others each.
    Times(u64, Box<ValueBytes>),
    /// Several beside each other.
    Beside(Vec<ValueBytes>),
    /// What the first so many take together, from none on.
    Sums(Vec<u64>),
    /// Runs of equal values: where each ends, what one of its values takes, and what all take that came before it.
    Runs(Vec<(u64, u64, u64)>),
}

impl ValueBytes {
    /// Those of an array.
    pub fn of(array: &dyn Array) -> ValueBytes {
        let of = |array: &dyn Array| Box::new(ValueBytes::of(array));
        let byte = || Box::new(ValueBytes::Same(1));
        match array.data_type() {
            ArrowType::Null => ValueBytes::Same(NULL_BYTES),
            ArrowType::Boolean => ValueBytes::Same(1),
            ArrowType::FixedSizeBinary(width) => ValueBytes::Same(u64::try_from(*width).unwrap_or(0)),
            ArrowType::Utf8 => ValueBytes::Offsets(array.as_string::<i32>().offsets().clone(), byte()),
            ArrowType::Binary => ValueBytes::Offsets(array.as_binary::<i32>().offsets().clone(), byte()),
            ArrowType::LargeUtf8 => ValueBytes::LongOffsets(array.as_string::<i64>().offsets().clone(), byte()),
            ArrowType::LargeBinary => ValueBytes::LongOffsets(array.as_binary::<i64>().offsets().clone(), byte()),
            ArrowType::Utf8View => of_views(array.as_string_view()),
            ArrowType::BinaryView => of_views(array.as_binary_view()),
            ArrowType::Dictionary(..) => of_dictionary(array),
            ArrowType::RunEndEncoded(..) => of_runs(array),
            ArrowType::List(_) => {
                let list = array.as_list::<i32>();
                ValueBytes::Offsets(from_nought(list.offsets()), of(&shown(list.values(), list.offsets())))
            }
            ArrowType::LargeList(_) => {
                let list = array.as_list::<i64>();
                ValueBytes::LongOffsets(from_nought(list.offsets()), of(&shown(list.values(), list.offsets())))
            }
            ArrowType::Map(..) => {
                let (map, entries) = (array.as_map(), Arc::new(array.as_map().entries().clone()) as ArrayRef);
                ValueBytes::Offsets(from_nought(map.offsets()), of(&shown(&entries, map.offsets())))
            }
            ArrowType::ListView(_) => {
                let list = array.as_list_view::<i32>();
                of_list_views(list.values(), list.offsets(), list.sizes())
            }
            ArrowType::LargeListView(_) => {
                let list = array.as_list_view::<i64>();
                of_list_views(list.values(), list.offsets(), list.sizes())
            }
            ArrowType::FixedSizeList(_, count) => {
                ValueBytes::Times(length(*count), of(array.as_fixed_size_list().values()))
            }
            ArrowType::Struct(_) => {
                ValueBytes::Beside(array.as_struct().columns().iter().map(|column| ValueBytes::of(column)).collect())
            }
            other => ValueBytes::Same(match other.primitive_width() {
                Some(width) => width as u64,
                None => array.get_array_memory_size().div_ceil(array.len().max(1)) as u64,
            }),
        }
    }

    /// What the first `count` of them take.
    pub fn of_first(&self, count: u64) -> u64 {
        let index = usize::try_from(count).unwrap_or(usize::MAX);
        match self {
            ValueBytes::Same(width) => width.saturating_mul(count),
            ValueBytes::Offsets(offsets, others) => others.between(length_at(offsets, 0), length_at(offsets, index)),
            ValueBytes::LongOffsets(offsets, others) => {
                others.between(length_at(offsets, 0), length_at(offsets, index))
            }
            ValueBytes::Times(times, others) => others.of_first(times.saturating_mul(count)),
            ValueBytes::Beside(all) => all.iter().map(|one| one.of_first(count)).fold(0, u64::saturating_add),
            ValueBytes::Sums(sums) => sums.get(index).copied().unwrap_or(0),
            ValueBytes::Runs(runs) => {
                let run = runs.partition_point(|(end, ..)| *end < count);
                let start = run.checked_sub(1).and_then(|before| runs.get(before)).map_or(0, |(end, ..)| *end);
                runs.get(run).map_or(0, |(_, each, before)| {
                    count.saturating_sub(start).saturating_mul(*each).saturating_add(*before)
                })
            }
        }
    }

    fn between(&self, from: u64, to: u64) -> u64 {
        self.of_first(to).saturating_sub(self.of_first(from))
    }
}

fn length<N>(number: N) -> u64
where
    u64: TryFrom<N>,
{
    u64::try_from(number).unwrap_or(0)
}

fn length_at<N: Copy>(offsets: &[N], index: usize) -> u64
where
    u64: TryFrom<N>,
{
    offsets.get(index).copied().map_or(0, length)
}

/// What lists between these offsets show of their elements: a slice of lists has all elements that the whole has.
fn shown<O: OffsetSizeTrait>(elements: &ArrayRef, offsets: &OffsetBuffer<O>) -> ArrayRef {
    let first = offsets[0].as_usize();
    elements.slice(first, offsets[offsets.len() - 1].as_usize() - first)
}

fn from_nought<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> OffsetBuffer<O> {
    let first = offsets[0];
    match first.is_zero() {
        true => offsets.clone(),
        false => OffsetBuffer::new(offsets.iter().map(|offset| *offset - first).collect()),
    }
}

fn of_views<T: ByteViewType + ?Sized>(array: &GenericByteViewArray<T>) -> ValueBytes {
    // The length is in the low bits.
    sums(array.views().iter().map(|view| (view & u128::from(u32::MAX)) as u64))
}

fn of_list_views<O: OffsetSizeTrait>(elements: &ArrayRef, starts: &[O], counts: &[O]) -> ValueBytes {
    let ranges = || {
        let ranges = starts.iter().zip(counts).map(|(start, count)| (start.as_usize(), count.as_usize()));
        ranges.filter(|(_, count)| *count > 0)
    };
    let first = ranges().map(|(start, _)| start).min().unwrap_or(0);
    let end = ranges().map(|(start, count)| start + count).max().unwrap_or(0);
    let shown = ValueBytes::of(&elements.slice(first, end - first));
    let ranges = starts.iter().zip(counts).map(|(start, count)| (start.as_usize(), count.as_usize() as u64));
    of_ranges(&shown, ranges.map(|(start, count)| (start.saturating_sub(first) as u64, count)))
}

fn of_dictionary(array: &dyn Array) -> ValueBytes {
    let dictionary = array.as_any_dictionary();
    if dictionary.values().is_empty() {
        return ValueBytes::Same(0);
    }
    let values = ValueBytes::of(dictionary.values());
    let keys = dictionary.keys();
    let ranges = dictionary.normalized_keys().into_iter().enumerate();
    of_ranges(&values, ranges.map(|(row, key)| (key as u64, u64::from(keys.is_valid(row)))))
}

fn of_runs(array: &dyn Array) -> ValueBytes {
    downcast_run_array!(
        array => {
            let values = ValueBytes::of(&array.values_slice());
            let mut runs = Vec::new();
            let (mut before, mut start) = (0_u64, 0);
            for (run, end) in array.run_ends().sliced_values().map(length).enumerate() {
                let each = values.between(run as u64, run as u64 + 1);
                runs.push((end, each, before));
                before = before.saturating_add(each.saturating_mul(end - start));
                start = end;
            }
            ValueBytes::Runs(runs)
        },
        _ => ValueBytes::Same(0)
    )
}

fn of_ranges(values: &ValueBytes, ranges: impl Iterator<Item = (u64, u64)>) -> ValueBytes {
    sums(ranges.map(|(start, count)| values.between(start, start.saturating_add(count))))
}

fn sums(lengths: impl Iterator<Item = u64>) -> ValueBytes {
    let mut sum = 0_u64;
    let after = lengths.map(|length| {
        sum = sum.saturating_add(length);
        sum
    });
    ValueBytes::Sums(std::iter::once(0).chain(after).collect())
}

/// The bytes that an array's values take, each by itself.
pub fn value_bytes(array: &dyn Array) -> u64 {
    ValueBytes::of(array).of_first(array.len() as u64)
}

/// A batch in parts of at most so many rows, whose values take at most so many bytes, each by itself, or that are one row.
#[derive(Debug)]
pub struct Parts {
    batch: RecordBatch,
    bytes_max: u64,
    rows_max: usize,
    from: usize,
}

impl Parts {
    /// Those of a batch. One without rows is a part too; one without columns is one part.
    pub fn new(batch: RecordBatch, bytes_max: u64, rows_max: usize) -> Parts {
        Parts { batch, bytes_max, rows_max, from: 0 }
    }
}

impl Iterator for Parts {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        let (from, rows) = (self.from, self.batch.num_rows());
        if from >= rows {
            // Whoever reads on, knows the columns.
            let is_first = rows == 0 && from == 0;
            self.from = 1;
            return is_first.then(|| self.batch.clone());
        }
        // Rows of nothing are as many as somebody says.
        if self.batch.num_columns() == 0 {
            self.from = rows;
            return Some(self.batch.clone());
        }
        // What few rows take is asked of few rows: they may say that there are very many.
        let part = self.batch.slice(from, self.rows_max.min(rows - from));
        let bytes = ValueBytes::Beside(part.columns().iter().map(|column| ValueBytes::of(column)).collect());
        let fits = |count: usize| bytes.of_first(count as u64) <= self.bytes_max;
        // The greatest number of rows that fits, of which there is always one.
        let (mut count, mut beyond) = match fits(part.num_rows()) {
            true => (part.num_rows(), part.num_rows() + 1),
            false => (1, part.num_rows()),
        };
        while beyond - count > 1 {
            let middle = count + (beyond - count) / 2;
            if fits(middle) { count = middle } else { beyond = middle }
        }
        self.from = from + count;
        Some(part.slice(0, count))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::StringRunBuilder;
    use arrow_array::types::{Int8Type, Int32Type};
    use arrow_array::{
        DictionaryArray, FixedSizeListArray, Int64Array, ListArray, ListViewArray, NullArray, RecordBatchOptions,
        StringArray, StringViewArray, StructArray,
    };
    use arrow_schema::Schema;

    use super::*;

    #[test]
    fn what_is_shown_often_counts_as_often() {
        let texts = || vec![Some("abc"), None, Some("a longer text than is inlined"), Some("abc")];
        let plain: ArrayRef = Arc::new(StringArray::from(texts()));
        let views: ArrayRef = Arc::new(StringViewArray::from(texts()));
        let dictionary: ArrayRef = Arc::new(texts().into_iter().collect::<DictionaryArray<Int8Type>>());
        let mut runs = StringRunBuilder::<Int32Type>::new();
        runs.extend(texts());
        let runs: ArrayRef = Arc::new(runs.finish());
        let list = |elements: ArrayRef| -> ArrayRef {
            let field = Arc::new(arrow_schema::Field::new("item", elements.data_type().clone(), true));
            let offsets = OffsetBuffer::new(vec![0, 0, 1, 3, 4].into());
            Arc::new(ListArray::new(field, offsets, elements, None))
        };
        for array in [&plain, &views, &dictionary, &runs] {
            let firsts = |array: &dyn Array| -> Vec<u64> {
                let bytes = ValueBytes::of(array);
                (0..=array.len() as u64).map(|count| bytes.of_first(count)).collect()
            };
            let name = array.data_type();
            assert_eq!(firsts(array), [0, 3, 3, 32, 35], "{name}");
            assert_eq!(firsts(&array.slice(2, 2)), [0, 29, 32], "{name}");
            let lists = list(Arc::clone(array));
            assert_eq!(firsts(&lists), [0, 0, 3, 32, 35], "lists of {name}");
            assert_eq!(firsts(&lists.slice(2, 2)), [0, 29, 32], "some lists of {name}");
            let field = Arc::new(arrow_schema::Field::new("item", array.data_type().clone(), true));
            let pairs = FixedSizeListArray::new(Arc::clone(&field), 2, Arc::clone(array), None);
            assert_eq!(firsts(&pairs), [0, 3, 35], "pairs of {name}");
            let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
            let number = Arc::new(arrow_schema::Field::new("number", ArrowType::Int64, true));
            let both = StructArray::from(vec![(field, Arc::clone(array)), (number, numbers)]);
            assert_eq!(firsts(&both), [0, 11, 19, 56, 67], "structs of {name}");
        }
        assert_eq!(value_bytes(&NullArray::new(1 << 40)), 1 << 44);
    }

    /// Of each part of a batch, what the whole had in its lists and runs was gone through again.
    #[test]
    fn a_slice_is_asked_for_what_it_shows() {
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..1_000).map(|n| n.to_string())));
        let ends: arrow_array::Int32Array = (1..=1_000).map(|n| 2 * n).collect();
        let runs = arrow_array::RunArray::<Int32Type>::try_new(&ends, &texts).unwrap();
        let field = Arc::new(arrow_schema::Field::new("item", texts.data_type().clone(), true));
        let lists = ListArray::new(field, OffsetBuffer::from_lengths([2; 500]), texts, None);
        let ValueBytes::Offsets(_, elements) = ValueBytes::of(&lists.slice(100, 5)) else { panic!("offsets of lists") };
        let ValueBytes::Sums(sums) = *elements else { panic!("sums of views") };
        assert_eq!(sums, (0..=10).map(|count| 3 * count).collect::<Vec<_>>());
        let ValueBytes::Runs(runs) = ValueBytes::of(&runs.slice(201, 4)) else { panic!("runs") };
        assert_eq!(runs, [(1, 3, 0), (3, 3, 3), (4, 3, 9)]);
        assert_eq!(value_bytes(&lists.slice(0, 0)), 0);
        // Out of order, one within another, of nothing far away.
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..1_000).map(|n| n.to_string())));
        let field = Arc::new(arrow_schema::Field::new("item", texts.data_type().clone(), true));
        let (starts, counts) = (vec![990, 100, 101, 1_000, 5], vec![2, 4, 1, 0, 3]);
        let views = ListViewArray::new(field, starts.into(), counts.into(), texts, None);
        let firsts = |bytes: &ValueBytes| (0..=3).map(|count| bytes.of_first(count)).collect::<Vec<_>>();
        assert_eq!(firsts(&ValueBytes::of(&views)), [0, 6, 18, 21]);
        assert_eq!(firsts(&ValueBytes::of(&views.slice(2, 3))), [0, 3, 3, 6]);
    }

    #[test]
    fn a_batch_goes_in_parts_within_the_bound() {
        let long = "x".repeat(1_000);
        let texts: StringViewArray = (0..10).map(|row| if row == 2 { None } else { Some(long.as_str()) }).collect();
        let numbers: Int64Array = (0..10).collect();
        let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef), ("t", Arc::new(texts))]).unwrap();
        let rows = |bytes_max| -> Vec<usize> {
            Parts::new(batch.clone(), bytes_max, 100).map(|part| part.num_rows()).collect()
        };
        assert_eq!(rows(9_080), [10]);
        assert_eq!(rows(9_079), [9, 1]);
        assert_eq!(rows(2_024), [3, 2, 2, 2, 1]);
        let few = Parts::new(batch.clone(), u64::MAX, 4).map(|part| part.num_rows());
        assert_eq!(few.collect::<Vec<_>>(), [4, 4, 2]);
        // A row that is longer alone is a part.
        assert_eq!(rows(5), [1; 10]);
        assert_eq!(Parts::new(batch.slice(0, 0), 5, 100).map(|part| part.num_rows()).collect::<Vec<_>>(), [0]);
        let rows_of_nothing = RecordBatchOptions::new().with_row_count(Some(usize::MAX));
        let of_nothing =
            RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &rows_of_nothing).unwrap();
        let rows: Vec<usize> = Parts::new(of_nothing, 5, 100).map(|part| part.num_rows()).collect();
        assert_eq!(rows, [usize::MAX]);
    }
}
