//! Bulk import: batches of columns are partitioned by hash as they come, then each range of hashes is
//! sorted and written as a run file. What does not fit into memory waits in sorted files.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::ScalarBuffer;

use crate::error::{Error, Result};
use crate::history::budget::StagingBudget;
use crate::history::gather::permute;
use crate::history::keys::Keys;
use crate::history::known::KnownRows;
use crate::history::merge::merge_without;
use crate::history::order::{Sorted, sort_into};
use crate::history::output::{RunFileMeta, RunOutput, SortedJobs, index_path, plan_files, run_path};
use crate::history::reader::RunFile;
use crate::history::rows::{RowColumns, UnsortedRows};
use crate::history::schema::RunSchema;
use crate::key::key_hash;
use crate::threads;

/// Rows are partitioned into this many buckets by their first hash bits.
const BUCKET_BITS: u32 = 10;
const BUCKETS: usize = 1 << BUCKET_BITS;
/// Most bytes of rows in a sorted piece's file: half of what the offsets of its keys can tell.
const SPILLED_FILE_BYTES: u64 = 1 << 30;
/// Batches are partitioned in slices of this many rows, whose columns stay in the second-level cache.
const SLICE_ROWS: usize = 64 << 10;

/// Rows of a view in columns of exactly its types.
#[derive(Clone, Debug)]
pub struct BulkBatch {
    /// Join keys in key order, without nulls.
    pub keys: Vec<ArrayRef>,
    /// Event timestamps.
    pub event_ts: ScalarBuffer<i64>,
    /// Created timestamps, `Timestamp(us, UTC)`; only where the view declares them.
    pub created: Option<ArrayRef>,
    /// Row kinds, `UInt8`; every row is a value without it.
    pub kind: Option<ArrayRef>,
    /// Event ids, `Binary`.
    pub event_id: Option<ArrayRef>,
    /// Features by ordinal. Floats hold no NaN but the canonical one.
    pub features: Vec<ArrayRef>,
}

impl BulkBatch {
    /// Takes the columns of `batch` by position: join keys, event timestamp (`Int64` or `Timestamp(us)`), created
    /// (`Timestamp(us, UTC)`) where the view declares it, features by ordinal.
    ///
    /// # Errors
    /// The columns are not those.
    pub fn from_record_batch(schema: &RunSchema, batch: &RecordBatch) -> Result<BulkBatch> {
        let key_count = schema.keys().columns().len();
        let created_count = usize::from(schema.declares_created());
        if batch.num_columns() != key_count + 1 + created_count + schema.fields().len() {
            return Err(Error::invalid(format!("{} columns are not those of {}", batch.num_columns(), schema.view())));
        }
        let columns = batch.columns();
        let event_ts = &columns[key_count];
        let values = event_ts
            .as_primitive_opt::<Int64Type>()
            .map(|array| array.values().clone())
            .or_else(|| event_ts.as_primitive_opt::<TimestampMicrosecondType>().map(|array| array.values().clone()))
            .filter(|_| event_ts.null_count() == 0)
            .ok_or_else(|| Error::invalid("event timestamps are whole microseconds, and none is null"))?;
        Ok(BulkBatch {
            keys: columns[..key_count].to_vec(),
            event_ts: values,
            created: schema.declares_created().then(|| columns[key_count + 1].clone()),
            kind: None,
            event_id: None,
            features: columns[key_count + 1 + created_count..].to_vec(),
        })
    }

    fn slice(&self, start: usize, len: usize) -> BulkBatch {
        let cut = |array: &ArrayRef| array.slice(start, len);
        BulkBatch {
            keys: self.keys.iter().map(cut).collect(),
            event_ts: self.event_ts.slice(start, len),
            created: self.created.as_ref().map(cut),
            kind: self.kind.as_ref().map(cut),
            event_id: self.event_id.as_ref().map(cut),
            features: self.features.iter().map(cut).collect(),
        }
    }

    fn check(&self, schema: &RunSchema) -> Result<()> {
        let place = |name: &str| format!("{}:{name}", schema.view());
        if self.keys.len() != schema.keys().columns().len() || self.features.len() != schema.fields().len() {
            return Err(Error::invalid("the columns are not the view's").at(schema.view()));
        }
        for (array, (name, data_type)) in self.features.iter().zip(schema.fields()) {
            if *array.data_type() != data_type.to_arrow() || array.len() != self.event_ts.len() {
                return Err(Error::invalid(format!("wants {data_type}, got {}", array.data_type())).at(place(name)));
            }
        }
        let instant = crate::value::timestamp_arrow_type();
        for (array, data_type) in [
            (&self.created, &instant),
            (&self.kind, &arrow_schema::DataType::UInt8),
            (&self.event_id, &arrow_schema::DataType::Binary),
        ] {
            if let Some(array) = array.as_ref().filter(|array| array.data_type() != data_type) {
                return Err(Error::invalid(format!("wants {data_type}, got {}", array.data_type())).at(schema.view()));
            }
        }
        Ok(())
    }
}

/// A slice of input, its rows gathered by bucket.
struct Piece {
    rows: UnsortedRows,
    /// Where each bucket begins, and the end of the last.
    starts: Vec<u32>,
    bytes: usize,
}

impl Piece {
    fn bucket(&self, bucket: usize) -> Range<u32> {
        self.starts[bucket]..self.starts[bucket + 1]
    }
}

#[derive(Default)]
struct Staged {
    pieces: Vec<Piece>,
    bytes: usize,
}

/// Collects the batches of one import and turns them into one run.
///
/// Rows get sequence numbers by their position in the input, from 0: the registry's commit fixes the base.
pub struct BulkBuilder<'a> {
    schema: &'a RunSchema,
    hash_seed: u64,
    output: RunOutput<'a>,
    scratch: &'a Path,
    budget: Arc<StagingBudget>,
    staged: Mutex<Staged>,
    spilled: Mutex<Vec<RunFileMeta>>,
    next_spill: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What a panicking thread leaves behind is whole: pieces are pushed in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> BulkBuilder<'a> {
    /// A builder that writes to `output`, and sorted pieces beyond the budget to the folder `scratch`, which exists and is empty.
    pub fn new(
        schema: &'a RunSchema,
        hash_seed: u64,
        output: RunOutput<'a>,
        scratch: &'a Path,
        budget: Arc<StagingBudget>,
    ) -> BulkBuilder<'a> {
        BulkBuilder {
            schema,
            hash_seed,
            output,
            scratch,
            budget,
            staged: Mutex::default(),
            spilled: Mutex::default(),
            next_spill: AtomicU64::new(0),
        }
    }

    /// Adds rows, the first of which is row `first_row` of the input. Threads may call it together.
    ///
    /// # Errors
    /// The columns are not the view's; the disk's, when rows spill.
    pub fn push(&self, first_row: u64, batch: &BulkBatch) -> Result<()> {
        batch.check(self.schema)?;
        let row_count = batch.event_ts.len();
        for start in (0..row_count).step_by(SLICE_ROWS) {
            let len = SLICE_ROWS.min(row_count - start);
            self.budget.wait_for_room();
            let piece = self.partition(first_row + start as u64, &batch.slice(start, len))?;
            let full = {
                let mut staged = lock(&self.staged);
                let bytes = piece.bytes;
                staged.bytes += bytes;
                staged.pieces.push(piece);
                self.budget.stage(bytes, staged.bytes).map(|writing| (writing, std::mem::take(&mut *staged)))
            };
            if let Some((_writing, staged)) = full {
                self.spill(staged)?;
            }
        }
        Ok(())
    }

    /// Adds all batches in order, partitioning on the output's threads; gives the number of rows.
    ///
    /// # Errors
    /// An error among the batches; those of [`BulkBuilder::push`].
    pub fn extend(&self, batches: impl Iterator<Item = Result<BulkBatch>> + Send) -> Result<u64> {
        let source = Mutex::new((batches, 0u64));
        let work = || -> Result<()> {
            loop {
                let (first_row, batch) = {
                    let mut source = lock(&source);
                    let Some(batch) = source.0.next().transpose()? else { return Ok(()) };
                    let first_row = source.1;
                    source.1 += batch.event_ts.len() as u64;
                    (first_row, batch)
                };
                self.push(first_row, &batch)?;
            }
        };
        threads::each(0..self.output.threads.max(1), |_| work()).into_iter().collect::<Result<()>>()?;
        Ok(lock(&source).1)
    }

    fn partition(&self, first_row: u64, batch: &BulkBatch) -> Result<Piece> {
        let row_count = batch.event_ts.len();
        let keys = Keys::from_columns(self.schema.keys(), &batch.keys, row_count)?;
        let hashes: Vec<u64> = (0..row_count).map(|row| key_hash(self.hash_seed, keys.get(row))).collect();
        let bucket_of = |hash: u64| usize::try_from(hash >> (64 - BUCKET_BITS)).unwrap_or(0);
        let mut starts = vec![0u32; BUCKETS + 1];
        hashes.iter().for_each(|hash| starts[bucket_of(*hash) + 1] += 1);
        (0..BUCKETS).for_each(|bucket| starts[bucket + 1] += starts[bucket]);
        let mut next = starts.clone();
        let mut order = vec![0u32; row_count];
        for (hash, row) in hashes.iter().zip(0..) {
            let place = &mut next[bucket_of(*hash)];
            order[*place as usize] = row;
            *place += 1;
        }
        let columns = RowColumns {
            event_ts: batch.event_ts.clone(),
            created: batch.created.clone(),
            seq: (first_row..first_row + row_count as u64).collect(),
            kind: batch.kind.clone(),
            event_id: batch.event_id.clone(),
            features: batch.features.iter().cloned().map(Some).collect(),
            ..RowColumns::default()
        };
        let rows = UnsortedRows {
            hashes: order.iter().map(|&row| hashes[row as usize]).collect(),
            keys: keys.take(&order),
            columns: permute(&columns, &order)?,
        };
        let bytes =
            rows.columns.memory_bytes() + rows.keys.memory_bytes() + row_count * 8 + size_of_val(starts.as_slice());
        Ok(Piece { rows, starts, bytes })
    }

    /// Sorts what is staged and writes it as a run.
    fn sort(&self, staged: &Staged, output: &RunOutput<'_>, known: Option<&KnownRows<'_>>) -> Result<Vec<RunFileMeta>> {
        let rows: Vec<&UnsortedRows> = staged.pieces.iter().map(|piece| &piece.rows).collect();
        let columns: Vec<&RowColumns> = rows.iter().map(|rows| &rows.columns).collect();
        let seq_bases = vec![0; columns.len()];
        let row_count: usize = columns.iter().map(|columns| columns.len()).sum();
        let row_bytes = (staged.bytes / row_count.max(1)) as u64;
        let bucket_bytes: Vec<u64> = (0..BUCKETS)
            .map(|bucket| staged.pieces.iter().map(|piece| piece.bucket(bucket).len() as u64 * row_bytes).sum())
            .collect();
        let plan = plan_files(&bucket_bytes, output.file_bytes);
        let (pieces, seq_bases) = (&columns[..], &seq_bases[..]);
        let jobs = SortedJobs { schema: self.schema, pieces, seq_bases, row_bytes, splits: true, known };
        jobs.write(output, plan.len(), |job| {
            let mut sorted = Sorted::default();
            for bucket in plan[job].clone() {
                let ranges = (0..).zip(&staged.pieces).map(|(i, piece)| (i, piece.bucket(bucket)));
                sort_into(&rows, ranges, BUCKET_BITS, self.schema.keys().hash_is_key(), &mut sorted);
            }
            Ok(sorted)
        })
    }

    fn spill(&self, staged: Staged) -> Result<()> {
        if staged.pieces.is_empty() {
            return Ok(());
        }
        let next_id = || self.next_spill.fetch_add(1, Ordering::Relaxed);
        // Read once, in order, and by nobody after a crash.
        let output = RunOutput {
            dir: self.scratch,
            next_id: &next_id,
            threads: 1,
            file_bytes: SPILLED_FILE_BYTES,
            is_durable: false,
            ..self.output
        };
        let files = self.sort(&staged, &output, None)?;
        lock(&self.spilled).extend(files);
        Ok(())
    }

    /// Writes the run; gives its files. Nothing of it counts before the registry says so.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(self) -> Result<Vec<RunFileMeta>> {
        self.finish_without(None)
    }

    /// [`BulkBuilder::finish`], leaving out the rows that are known.
    ///
    /// # Errors
    /// The disk's; a run with known rows is damaged.
    pub fn finish_without(self, known: Option<&KnownRows<'_>>) -> Result<Vec<RunFileMeta>> {
        let known = known.filter(|known| !known.is_empty());
        let staged = std::mem::take(&mut *lock(&self.staged));
        let writing = self.budget.begin_writing(staged.bytes);
        if lock(&self.spilled).is_empty() {
            return self.sort(&staged, &self.output, known);
        }
        self.spill(staged)?;
        drop(writing);
        let spilled = std::mem::take(&mut *lock(&self.spilled));
        let disk = self.output.disk;
        let open =
            |file: &RunFileMeta| RunFile::open(disk, self.scratch, file.id, self.schema, 0, Some(file.index_checksum));
        let runs: Vec<RunFile> = spilled.iter().map(open).collect::<Result<_>>()?;
        let merged = merge_without(&runs.iter().collect::<Vec<_>>(), self.schema, &self.output, known)?;
        drop(runs);
        for file in &spilled {
            disk.remove(&run_path(self.scratch, file.id))?;
            disk.remove(&index_path(self.scratch, file.id))?;
        }
        Ok(merged)
    }
}

impl Drop for BulkBuilder<'_> {
    fn drop(&mut self) {
        self.budget.give_back(lock(&self.staged).bytes);
    }
}
