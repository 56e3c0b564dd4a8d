//! Parquet, decoded by two threads.
//!
//! The columns are shared out, not the row groups: each thread decodes its share of the columns of
//! the same rows, and the halves of a batch are put together again. So order needs no care, a file of
//! one row group gains as much as one of many, and what waits is a few batches, not row groups.

use std::sync::Arc;
use std::thread;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Schema, SchemaRef, TimeUnit};
use crossbeam_channel::Receiver;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use super::file::SourceFile;
use super::int96;
use super::kind::PARQUET_MAGIC;
use super::parquet_bounds::{Shown, as_views, batch_rows};
use super::source::{Part, PartReader};
use super::source_options::SourceOptions;
use crate::caught::caught;
use crate::error::{Error, ErrorKind, Result};

/// Threads that decode one file.
const DECODERS_MAX: usize = 2;
/// Below this many rows a thread costs more than it brings.
const PARALLEL_ROWS_MIN: i64 = 100_000;
/// Decoded batches that wait for each decoder's turn.
const BATCHES_WAITING: usize = 3;

type Decoded = std::result::Result<RecordBatch, ArrowError>;

/// Reads a Parquet file in batches.
pub(super) struct ParquetReader {
    file: SourceFile,
    schema: SchemaRef,
    /// As it is decoded.
    decoded: SchemaRef,
    shown: Shown,
    shares: Vec<Share>,
    /// The columns with INT96 times once more, in seconds.
    in_seconds: Option<Share>,
    next_row: u64,
}

/// The columns that one decoder delivers.
struct Share {
    /// Where each of its columns stands in the file's schema.
    columns: Vec<usize>,
    batches: Batches,
}

enum Batches {
    Here(Box<ParquetRecordBatchReader>),
    Thread(Receiver<Decoded>),
}

impl Batches {
    fn next(&mut self) -> Option<Decoded> {
        match self {
            Batches::Here(reader) => next_of(reader),
            Batches::Thread(receiver) => receiver.recv().ok(),
        }
    }
}

impl ParquetReader {
    pub fn open(file: SourceFile, options: &SourceOptions) -> Result<ParquetReader> {
        let damaged = |error: ParquetError| damaged(&file, &error.to_string());
        let Loaded { metadata, wanted, schema, decoded } = load(&file, options)?;
        let batch_rows = batch_rows(&metadata, &wanted, options.batch_rows.max(1));
        let rows = metadata.metadata().file_metadata().num_rows();
        let share_count = match thread::available_parallelism() {
            Ok(cores) if rows >= PARALLEL_ROWS_MIN => cores.get().min(DECODERS_MAX).min(wanted.len()),
            _ => 1,
        };
        let reader_of = |metadata: &ArrowReaderMetadata, columns: &[usize]| {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone())
                .with_projection(ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied()))
                .with_batch_size(batch_rows)
                .build()
                .map_err(damaged)
        };
        // Within the delivered schema, not the file's.
        let delivered = |columns: Vec<usize>| {
            columns.iter().filter_map(|column| wanted.iter().position(|i| i == column)).collect::<Vec<usize>>()
        };
        let mut shares = Vec::new();
        for columns in share_out(&metadata, &wanted, share_count.max(1)) {
            let reader = reader_of(&metadata, &columns)?;
            let batches = match share_count {
                0 | 1 => Batches::Here(Box::new(reader)),
                _ => Batches::Thread(decode_apart(&file, reader)?),
            };
            shares.push(Share { columns: delivered(columns), batches });
        }
        let in_seconds = match int96::in_unit(&metadata, TimeUnit::Second).map_err(damaged)? {
            Some(seconds) => {
                let differs = |i: &usize| seconds.schema().field(*i) != metadata.schema().field(*i);
                let columns: Vec<usize> = wanted.iter().copied().filter(differs).collect();
                let batches = Batches::Here(Box::new(reader_of(&seconds, &columns)?));
                Some(Share { columns: delivered(columns), batches }).filter(|share| !share.columns.is_empty())
            }
            None => None,
        };
        let shown = Shown::default();
        Ok(ParquetReader { file, schema, decoded, shown, shares, in_seconds, next_row: 1 })
    }

    /// The columns that a reader delivers.
    pub fn schema_of(file: &SourceFile, options: &SourceOptions) -> Result<SchemaRef> {
        load(file, options).map(|loaded| loaded.schema)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.schema.fields().len()];
        let mut rows = None;
        for (i, share) in self.shares.iter_mut().enumerate() {
            let batch = share.batches.next().transpose().map_err(|error| damaged(&self.file, &error.to_string()))?;
            let found = batch.as_ref().map(RecordBatch::num_rows);
            if i > 0 && found != rows {
                return Err(damaged(&self.file, "its columns differ in length"));
            }
            rows = found;
            for (at, column) in share.columns.iter().zip(batch.iter().flat_map(RecordBatch::columns)) {
                columns[*at] = Some(column.clone());
            }
        }
        let Some(rows) = rows else { return Ok(None) };
        if let Some(share) = &mut self.in_seconds {
            let seconds = share.batches.next().transpose().map_err(|error| damaged(&self.file, &error.to_string()))?;
            for (at, seconds) in share.columns.iter().zip(seconds.iter().flat_map(RecordBatch::columns)) {
                if let Some(micros) = &columns[*at] {
                    int96::check(self.schema.field(*at).name(), micros, seconds)
                        .map_err(|error| error.at(self.file.path().display()))?;
                }
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = columns.into_iter().flatten().collect();
        let batch = RecordBatch::try_new_with_options(self.decoded.clone(), columns, &options);
        // The library takes the file's word that elements which must not be null are none.
        let nested = |column: &&ArrayRef| column.data_type().is_nested();
        let checked = batch.and_then(|batch| {
            batch.columns().iter().filter(nested).try_for_each(|column| column.to_data().validate_nulls())?;
            Ok(batch)
        });
        checked.map(Some).map_err(|error| damaged(&self.file, &error.to_string()))
    }
}

/// What is to be read of a file.
struct Loaded {
    metadata: ArrowReaderMetadata,
    /// The columns that are asked for.
    wanted: Vec<usize>,
    /// What is delivered of them, and what is decoded.
    schema: SchemaRef,
    decoded: SchemaRef,
}

fn load(file: &SourceFile, options: &SourceOptions) -> Result<Loaded> {
    check_magic(file)?;
    let damaged = |error: ParquetError| damaged(file, &error.to_string());
    let found = ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).map_err(damaged)?;
    let metadata = int96::in_unit(&found, TimeUnit::Microsecond).map_err(damaged)?.unwrap_or(found);
    let is_wanted = |i: &usize| options.wants(metadata.schema().field(*i).name());
    let wanted: Vec<usize> = (0..metadata.schema().fields().len()).filter(is_wanted).collect();
    let of_wanted = |metadata: &ArrowReaderMetadata| {
        metadata.schema().project(&wanted).map(Arc::new).map_err(|error| damaged(error.into()))
    };
    let schema = of_wanted(&metadata)?;
    let metadata = as_views(&metadata, file.path()).unwrap_or(metadata);
    let decoded = of_wanted(&metadata)?;
    Ok(Loaded { metadata, wanted, schema, decoded })
}

impl PartReader for ParquetReader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn next_part(&mut self) -> Result<Option<Part>> {
        loop {
            let shown = self.shown.next(&self.schema).map_err(|error| damaged(&self.file, &error.to_string()))?;
            if let Some(batch) = shown {
                return Ok(Some(Part::following(&mut self.next_row, batch)));
            }
            match self.next_batch()? {
                Some(batch) => self.shown.put(batch),
                None => return Ok(None),
            }
        }
    }
}

/// The next batch. The library asserts over some impossible lengths and offsets: to it they are damage.
fn next_of(reader: &mut ParquetRecordBatchReader) -> Option<Decoded> {
    caught(|| reader.next())
        .unwrap_or_else(|_| Some(Err(ArrowError::ParquetError("a length or offset in it is impossible".to_owned()))))
}

/// Decodes on a thread of its own until the file ends or nobody listens any more.
fn decode_apart(file: &SourceFile, mut reader: ParquetRecordBatchReader) -> Result<Receiver<Decoded>> {
    let (sender, receiver) = crossbeam_channel::bounded(BATCHES_WAITING);
    thread::Builder::new()
        .name("asof-parquet".to_owned())
        .spawn(move || {
            while let Some(batch) = next_of(&mut reader) {
                let is_last = batch.is_err();
                if sender.send(batch).is_err() || is_last {
                    break;
                }
            }
        })
        .map_err(|error| Error::io("start a thread to decode", file.path(), error))?;
    Ok(receiver)
}

/// Deals the columns out, the largest first, each to the share with the least so far.
fn share_out(metadata: &ArrowReaderMetadata, wanted: &[usize], share_count: usize) -> Vec<Vec<usize>> {
    let mut sizes: Vec<(i64, usize)> = wanted.iter().map(|&column| (0, column)).collect();
    let schema: &Schema = metadata.schema();
    debug_assert!(wanted.iter().all(|&i| i < schema.fields().len()), "indices of the file's own columns");
    for group in metadata.metadata().row_groups() {
        for (leaf, chunk) in group.columns().iter().enumerate() {
            let root = metadata.parquet_schema().get_column_root_idx(leaf);
            if let Some((bytes, _)) = sizes.iter_mut().find(|(_, column)| *column == root) {
                *bytes = bytes.saturating_add(chunk.uncompressed_size());
            }
        }
    }
    sizes.sort_by_key(|&(bytes, column)| (std::cmp::Reverse(bytes), column));
    let mut shares = vec![(0_i64, Vec::new()); share_count];
    for (bytes, column) in sizes {
        if let Some((sum, columns)) = shares.iter_mut().min_by_key(|(sum, columns)| (*sum, columns.len())) {
            *sum = sum.saturating_add(bytes);
            columns.push(column);
        }
    }
    // A decoder delivers its columns in the file's order.
    shares.iter_mut().for_each(|(_, columns)| columns.sort_unstable());
    shares.into_iter().map(|(_, columns)| columns).collect()
}

fn check_magic(file: &SourceFile) -> Result<()> {
    let mut magic = [0; 4];
    let len = file.read_up_to(0, &mut magic)?;
    if &magic[..len] != PARQUET_MAGIC {
        return Err(
            Error::new(ErrorKind::Damaged, "is no Parquet file: it does not begin with PAR1").at(file.path().display())
        );
    }
    let len = file.read_up_to(file.len_bytes().saturating_sub(4), &mut magic)?;
    if file.len_bytes() < 12 || &magic[..len] != PARQUET_MAGIC {
        return Err(damaged(file, "it does not end with PAR1"));
    }
    Ok(())
}

fn damaged(file: &SourceFile, what: &str) -> Error {
    if let Some((_, codec)) = what.split_once("Disabled feature at compile time: ") {
        return Error::invalid(format!("is compressed with {codec}, which is not read"))
            .at(file.path().display())
            .remedy("write it with zstd, snappy, gzip or without compression");
    }
    Error::new(ErrorKind::Damaged, format!("cannot be read as Parquet: {what}"))
        .at(file.path().display())
        .remedy("the file is cut short or damaged; write it again")
}
