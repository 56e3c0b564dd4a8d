//! The answer of a point-in-time join, batch by batch.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, RecordBatchOptions, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::concat::concat;

use crate::engine::historical::HistoricalJoin;
use crate::error::{Error, Result};
use crate::join::is_too_long;
use crate::threads;

use super::row_bytes::{FeatureBytes, row_bytes};

/// Spine rows are joined in chunks of this many, or fewer: enough to visit runs in order, few enough to stream.
const CHUNK_ROWS: usize = 1 << 20;
/// A chunk of wide rows ends here, its spine and its features together.
const CHUNK_BYTES: usize = 256 << 20;
/// Fewer rows than this are put together sooner than a thread is started.
const PARALLEL_ROWS_MIN: usize = 1 << 16;

/// A training set: the spine's columns, then the features', in the spine's order. Streams: give it a spine of any length.
#[derive(Debug)]
pub struct TrainingSet<R> {
    join: HistoricalJoin,
    spine: R,
    /// At most so many rows are joined at once: what was too many is not tried again.
    chunk_rows: usize,
    /// So many bytes are joined at once, by what is known of the rows' lengths.
    chunk_bytes: usize,
    feature_bytes: FeatureBytes,
    /// What is left of the batch that was read last, and the bytes of a row of it.
    rest: Option<(RecordBatch, usize)>,
    /// Rows that were read, in pieces that are joined one by one.
    chunks: VecDeque<RecordBatch>,
    is_done: bool,
}

impl<R: RecordBatchReader> TrainingSet<R> {
    pub(super) fn new(join: HistoricalJoin, spine: R) -> Self {
        let feature_bytes = FeatureBytes::of(join.feature_types());
        TrainingSet {
            join,
            spine,
            chunk_rows: CHUNK_ROWS,
            chunk_bytes: CHUNK_BYTES,
            feature_bytes,
            rest: None,
            chunks: VecDeque::new(),
            is_done: false,
        }
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.join.schema().clone()
    }

    /// Rows up to this number were known; also in the schema's metadata.
    pub fn known_at_seq(&self) -> u64 {
        self.join.known_at_seq()
    }

    fn read_chunk(&mut self) -> Result<()> {
        let feature_bytes = self.feature_bytes.of_row();
        let mut pieces = Vec::new();
        let (mut rows_left, mut bytes_left) = (self.chunk_rows, self.chunk_bytes);
        while rows_left > 0 {
            let (batch, spine_bytes) = match self.rest.take() {
                Some(rest) => rest,
                None => match self.spine.next() {
                    Some(batch) => {
                        let batch = batch.map_err(|error| Error::of_reader(error, "the spine cannot be read"))?;
                        let bytes = row_bytes(&batch);
                        (batch, bytes)
                    }
                    None => break,
                },
            };
            // The spine is there twice: as it was read, and put together.
            let of_row = feature_bytes.saturating_add(2 * spine_bytes).max(1);
            let room = (bytes_left / of_row).max(usize::from(rows_left == self.chunk_rows)).min(rows_left);
            let taken = batch.num_rows().min(room);
            if room > 0 {
                pieces.push(batch.slice(0, taken));
            }
            rows_left -= taken;
            bytes_left = bytes_left.saturating_sub(taken.saturating_mul(of_row));
            if taken < batch.num_rows() {
                self.rest = Some((batch.slice(taken, batch.num_rows() - taken), spine_bytes));
                break;
            }
        }
        gather_pieces(&self.spine.schema(), &pieces, self.join.threads(), &mut self.chunks);
        Ok(())
    }

    fn next_joined(&mut self) -> Result<Option<RecordBatch>> {
        if self.chunks.is_empty() {
            self.read_chunk()?;
        }
        let joined = join_first(&mut self.chunks, &mut self.chunk_rows, |rows| self.join.join(rows))?;
        if let Some(joined) = &joined {
            self.feature_bytes.learn(&joined.columns()[self.spine.schema().fields().len()..]);
        }
        Ok(joined)
    }
}

/// Joins the first rows of the chunks: `rows_max` of them, which is halved for as long as what they become does not fit into Arrow
/// arrays.
fn join_first(
    chunks: &mut VecDeque<RecordBatch>,
    rows_max: &mut usize,
    mut join: impl FnMut(&RecordBatch) -> Result<RecordBatch>,
) -> Result<Option<RecordBatch>> {
    let Some(chunk) = chunks.pop_front() else { return Ok(None) };
    loop {
        let taken = chunk.num_rows().min(*rows_max);
        match join(&chunk.slice(0, taken)) {
            Err(error) if is_too_long(&error) && taken > 1 => *rows_max = taken / 2,
            joined => {
                if taken < chunk.num_rows() {
                    chunks.push_front(chunk.slice(taken, chunk.num_rows() - taken));
                }
                return joined.map(Some);
            }
        }
    }
}

/// Puts pieces together, as far as they fit: a dictionary's keys or a column's offsets may be too small for all of them.
fn gather_pieces(schema: &SchemaRef, pieces: &[RecordBatch], threads: usize, chunks: &mut VecDeque<RecordBatch>) {
    match pieces {
        [] => {}
        [piece] => chunks.push_back(piece.clone()),
        _ => match put_together(schema, pieces, threads) {
            Ok(chunk) => chunks.push_back(chunk),
            Err(_) => {
                let (some, others) = pieces.split_at(pieces.len() / 2);
                gather_pieces(schema, some, threads, chunks);
                gather_pieces(schema, others, threads, chunks);
            }
        },
    }
}

/// One batch out of several, column by column over `threads` threads.
fn put_together(
    schema: &SchemaRef,
    pieces: &[RecordBatch],
    threads: usize,
) -> std::result::Result<RecordBatch, ArrowError> {
    let rows = pieces.iter().map(RecordBatch::num_rows).sum();
    let threads = if rows < PARALLEL_ROWS_MIN { 1 } else { threads };
    let columns = threads::over(threads, 0..schema.fields().len(), |column| {
        let parts: Vec<&dyn Array> = pieces.iter().map(|piece| piece.column(column).as_ref()).collect();
        concat(&parts)
    });
    let columns = columns.into_iter().collect::<std::result::Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

impl<R: RecordBatchReader> Iterator for TrainingSet<R> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let joined = self.next_joined();
        self.is_done = !matches!(joined, Ok(Some(_)));
        joined.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int64Type};
    use arrow_array::{
        ArrayRef, DictionaryArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array, RecordBatchIterator,
        StringArray, TimestampMicrosecondArray,
    };
    use arrow_schema::{ArrowError, Field, Schema};

    use super::*;
    use crate::definition::{Definitions, FeatureView};
    use crate::value::DataType;
    use crate::{ApplyOptions, ErrorKind, HistoricalRequest, Store, TemporaryStore};

    /// Key `n` of a thousand has x = n, 512 times that, and a text of eight bytes.
    fn store() -> TemporaryStore {
        let store = Store::temporary().unwrap();
        let view = FeatureView::new("v").entity("thing").feature("x", DataType::Float64);
        let view = view.feature("wide", DataType::Vector(512)).feature("text", DataType::String);
        let definitions = Definitions::new("spines").entity("thing", [("id", DataType::Int64)]).view(view);
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        let item = Field::new("item", arrow_schema::DataType::Float32, false);
        let floats = Arc::new((0..512_000).map(|at| Some((at / 512) as f32)).collect::<Float32Array>());
        let batch = RecordBatch::try_from_iter([
            ("id", Arc::new((0..1_000).collect::<Int64Array>()) as ArrayRef),
            ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![0; 1_000]))),
            ("x", Arc::new(Float64Array::from_iter_values((0..1_000).map(f64::from)))),
            ("wide", Arc::new(FixedSizeListArray::new(item.into(), 512, floats, None))),
            ("text", Arc::new((0..1_000).map(|n| Some(format!("{n:>8}"))).collect::<StringArray>())),
        ]);
        store.write("v", &batch.unwrap()).unwrap();
        store
    }

    fn spine(keys: std::ops::Range<i64>, times: ArrayRef) -> RecordBatch {
        let keys: ArrayRef = Arc::new(keys.collect::<Int64Array>());
        RecordBatch::try_from_iter([("id", keys), ("event_timestamp", times)]).unwrap()
    }

    fn timed(keys: std::ops::Range<i64>) -> RecordBatch {
        let count = usize::try_from(keys.end - keys.start).unwrap();
        spine(keys, Arc::new(TimestampMicrosecondArray::from(vec![1; count])))
    }

    type Spine = RecordBatchIterator<Vec<Result<RecordBatch, ArrowError>>>;

    fn asked(store: &Store, batches: Vec<Result<RecordBatch, ArrowError>>, feature: &str) -> TrainingSet<Spine> {
        let schema = batches.iter().flatten().next().unwrap().schema();
        let request = HistoricalRequest::features([feature]).unwrap();
        store.get_historical_features(RecordBatchIterator::new(batches, schema), &request).unwrap()
    }

    fn joined(
        store: &Store,
        batches: Vec<Result<RecordBatch, ArrowError>>,
        chunk_rows: usize,
    ) -> Vec<Result<RecordBatch>> {
        let mut set = asked(store, batches, "v:x");
        set.chunk_rows = chunk_rows;
        set.collect()
    }

    /// How many rows each batch has; all have the x of their keys, in order.
    fn lens_of(batches: Vec<Result<RecordBatch>>) -> Vec<usize> {
        let batches: Vec<RecordBatch> = batches.into_iter().map(Result::unwrap).collect();
        let x = batches.iter().flat_map(|batch| {
            let x = batch.column_by_name("x").unwrap().as_primitive::<Float64Type>().clone();
            (0..x.len()).map(move |row| x.value(row)).collect::<Vec<_>>()
        });
        assert!(x.enumerate().all(|(row, x)| x == f64::from(u32::try_from(row).unwrap())));
        batches.iter().map(RecordBatch::num_rows).collect()
    }

    #[test]
    fn a_batch_of_more_rows_than_a_chunk_is_joined_in_parts_and_small_ones_together() {
        // A spine of one batch was joined at once before, whatever it took.
        let store = store();
        let batches = [0..10, 10..10, 10..11, 11..12, 12..13].map(|keys| Ok(timed(keys)));
        assert_eq!(lens_of(joined(&store, batches.into(), 4)), [4, 4, 4, 1]);
        assert!(joined(&store, vec![Ok(timed(0..0))], 4).iter().all(|batch| batch.as_ref().unwrap().num_rows() == 0));
    }

    #[test]
    fn a_chunk_of_wide_rows_ends_at_its_bytes_however_many_rows_they_are() {
        // A million vectors of 256 were joined at once, in gigabytes. A row here is its features', and its spine's 16 bytes twice.
        let store = store();
        let lens = |feature: &str, chunk_bytes: usize| -> Vec<usize> {
            let mut set = asked(&store, vec![Ok(timed(0..300)), Ok(timed(300..1_000))], feature);
            set.chunk_bytes = chunk_bytes;
            let batches: Vec<RecordBatch> = set.map(Result::unwrap).collect();
            let ids = batches.iter().flat_map(|batch| batch["id"].as_primitive::<Int64Type>().values().to_vec());
            assert!(ids.eq(0..1_000), "{feature} in {chunk_bytes} bytes");
            for batch in batches.iter().filter(|batch| batch.column_by_name("wide").is_some()) {
                let of_key = |(row, id): (usize, &i64)| {
                    batch["wide"].as_fixed_size_list().value(row).as_primitive::<Float32Type>().value(511) == *id as f32
                };
                assert!(batch["id"].as_primitive::<Int64Type>().values().iter().enumerate().all(of_key));
            }
            batches.iter().map(RecordBatch::num_rows).collect()
        };
        assert_eq!(lens("v:x", CHUNK_BYTES), [1_000]);
        assert_eq!(lens("v:x", 40 * 450), [450, 450, 100]);
        assert_eq!(lens("v:wide", (2_048 + 32) * 450 + 1), [450, 450, 100]);
        assert_eq!(lens("v:x", 39).len(), 1_000, "a row that is too long alone");
        // Every text is taken for 4,096 bytes first, then for 512 and 64, and then for as many as the last ones had: 13, their offsets
        // included.
        assert_eq!(lens("v:text", (4_096 + 32) * 10), [10, 75, 430, 485]);
    }

    #[test]
    fn texts_that_few_rows_have_make_no_short_chunks() {
        // What all rows take beside their texts was once said of the only one that had one.
        let store = store();
        let mut set = asked(&store, vec![Ok(timed(990..3_000))], "v:text");
        set.chunk_bytes = (4_096 + 32) * 20;
        let lens: Vec<usize> = set.map(|batch| batch.unwrap().num_rows()).collect();
        assert!(lens[0] == 20 && lens[1] > 100 && lens[2] > 500 && lens.iter().sum::<usize>() == 2_010, "{lens:?}");
    }

    #[test]
    fn batches_that_do_not_fit_together_are_joined_apart() {
        // A Parquet file has a dictionary for each row group; those of three have more words than an int8 counts.
        let store = store();
        let batches = (0..6_i64).map(|part| {
            let words: Vec<String> = (0..50).map(|word| format!("{part}-{word}")).collect();
            let words: DictionaryArray<Int8Type> = words.iter().map(String::as_str).collect();
            let mut columns = timed(part * 50..part * 50 + 50).columns().to_vec();
            columns.push(Arc::new(words));
            RecordBatch::try_from_iter(["id", "event_timestamp", "word"].into_iter().zip(columns))
                .map_err(|_| unreachable!())
        });
        assert_eq!(lens_of(joined(&store, batches.collect(), CHUNK_ROWS)).iter().sum::<usize>(), 300);
    }

    #[test]
    fn rows_whose_columns_are_too_long_are_joined_in_halves_and_as_many_are_not_tried_again() {
        // Every chunk was joined whole first, and in vain: of long texts a join did most of its work several times.
        let mut chunks = VecDeque::from([timed(0..9), timed(9..10), timed(10..20)]);
        let (mut lens, mut rows_max, mut in_vain) = (Vec::new(), 100, 0);
        let too_long = || Error::refused("too long").caused_by(ArrowError::OffsetOverflowError(1));
        let mut join = |chunk: &RecordBatch| {
            in_vain += usize::from(chunk.num_rows() > 3);
            if chunk.num_rows() > 3 { Err(too_long()) } else { Ok(chunk.clone()) }
        };
        while let Some(chunk) = join_first(&mut chunks, &mut rows_max, &mut join).unwrap() {
            lens.push((chunk.num_rows(), chunk.column(0).as_primitive::<arrow_array::types::Int64Type>().value(0)));
        }
        let of_last = (10..20).step_by(2).map(|first| (2, first));
        assert_eq!(
            lens,
            [(2, 0), (2, 2), (2, 4), (2, 6), (1, 8), (1, 9)].into_iter().chain(of_last).collect::<Vec<_>>()
        );
        assert_eq!((in_vain, rows_max), (2, 2));
        let error = join_first(&mut VecDeque::from([timed(0..1)]), &mut rows_max, |_| Err(too_long())).unwrap_err();
        assert!(is_too_long(&error), "a row that is too long alone");
    }

    #[test]
    fn what_a_reader_of_this_crate_failed_with_stays_what_it_is() {
        let store = store();
        let damaged = Error::damaged(Path::new("spine.parquet"), "a page is damaged");
        let batches = vec![Ok(timed(0..1)), Err(ArrowError::ExternalError(Box::new(damaged)))];
        let outcomes = joined(&store, batches, CHUNK_ROWS);
        let error = outcomes.last().unwrap().as_ref().unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Damaged, "spine.parquet: a page is damaged")
        );
        let other = vec![Ok(timed(0..1)), Err(ArrowError::ParquetError("eof".into()))];
        let error = joined(&store, other, CHUNK_ROWS).pop().unwrap().unwrap_err().to_string();
        assert!(error.starts_with("the spine cannot be read") && error.contains("eof"), "{error}");
    }

    #[test]
    fn messages_count_the_rows_of_the_spine_from_1() {
        let store = store();
        let texts = |texts: &[&str]| spine(0..3, Arc::new(StringArray::from(texts.to_vec())));
        let good = texts(&["1970-01-02"; 3]);
        let batches = vec![Ok(good.clone()), Ok(good), Ok(texts(&["1970-01-02", "then", "1970-01-02"]))];
        let error = joined(&store, batches, 2).pop().unwrap().unwrap_err().to_string();
        assert!(error.starts_with("spine column event_timestamp: row 8: 'then'"), "{error}");
    }

    #[test]
    fn all_that_is_missing_unknown_or_doubled_is_one_error() {
        let store = store();
        let field = |name: &str| Field::new(name, arrow_schema::DataType::Int64, true);
        let ask = |names: &[&str], features: &[&str]| {
            let schema = Arc::new(Schema::new(names.iter().map(|name| field(name)).collect::<Vec<_>>()));
            let request = HistoricalRequest::features(features).unwrap();
            store.get_historical_features(RecordBatchIterator::new(Vec::new(), schema), &request).map(drop).unwrap_err()
        };
        let error = ask(&["id", "id", "other"], &["v:x", "v:y", "w:z"]).to_string();
        for part in [
            "feature view v has no feature y",
            "w",
            "no column event_timestamp (the time of each row)",
            "more than one column id (join key of v)",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        let error = ask(&["id", "event_timestamp", "event_timestamp"], &["v:x"]);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with("the spine has more than one column event_timestamp"), "{error}");
        let passing = ask(&["id", "event_timestamp", "label", "label"], &["v:x"]).to_string();
        assert!(passing.starts_with("the spine has more than one column label; "), "{passing}");
        assert_eq!(ask(&["id", "event_timestamp"], &["v:y"]).kind(), ErrorKind::NotFound);
    }
}
