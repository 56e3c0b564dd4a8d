//! Writes the two files of a run.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use arrow_ipc::writer::FileWriter;

use crate::disk::{File, OpenMode};
use crate::error::{Error, Result};
use crate::format::run_index::{
    BLOCK_BYTES, FeatureStats, IndexSlot, RUN_ROWS_MAX, RunIndexHead, SlotMap, encode_index, encode_slots,
};
use crate::history::column_builder::arrow_fault;
use crate::history::output::{RunFileMeta, RunOutput, index_path, run_path};
use crate::history::rows::RunRows;
use crate::history::schema::RunSchema;
use crate::history::stats::stats_of;

/// Writes are gathered up to this size; larger ones go straight through.
const WRITE_BUFFER_BYTES: usize = 1 << 20;

/// Writes sorted rows as a pair of files under the next number, and syncs both where they are to be durable. The folder is not
/// synced.
///
/// # Errors
/// The disk's.
pub fn write_run(output: &RunOutput<'_>, schema: &RunSchema, rows: &RunRows) -> Result<RunFileMeta> {
    let (disk, dir, id) = (output.disk, output.dir, (output.next_id)());
    let row_count = rows.columns.len();
    assert!((1..=RUN_ROWS_MAX).contains(&row_count), "a run file holds rows, and not too many");
    assert_eq!(rows.ranges.len(), rows.keys.len(), "each range has its key");
    assert!(rows.ranges.is_sorted_by_key(|range| range.hash), "keys come in hash order");
    let batch = record_batch(schema, rows)?;
    let path = run_path(dir, id);
    let mut sink = BlockWriter::new(disk.open(&path, OpenMode::Create)?);
    let written = (|| {
        let mut writer = FileWriter::try_new(&mut sink, &batch.schema())?;
        writer.write(&batch)?;
        writer.finish()
    })();
    if let Err(error) = written {
        return Err(sink.failed.unwrap_or_else(|| arrow_fault(error)).at(path.display()));
    }
    let (run_bytes, run_checksums) = sink.finish(output.is_durable)?;

    let (first, last) = (rows.ranges[0].hash, rows.ranges[rows.ranges.len() - 1].hash);
    let slot_map = SlotMap::new(first, last, rows.ranges.len());
    let slots = encode_slots(
        &slot_map,
        rows.ranges.iter().map(|range| IndexSlot { hash: range.hash, start: range.start, len: range.len }),
    );
    let features: Vec<FeatureStats> = schema
        .fields()
        .iter()
        .zip(&rows.columns.features)
        .map(|((_, data_type), array)| array.as_ref().map_or_else(FeatureStats::default, |a| stats_of(data_type, a)))
        .collect();
    let bounds = |values: &[i64]| {
        values.iter().fold((i64::MAX, i64::MIN), |(min, max), value| (min.min(*value), max.max(*value)))
    };
    let (min_event_ts, max_event_ts) = bounds(&rows.columns.event_ts);
    let (min_seq, max_seq) =
        rows.columns.seq.iter().fold((u64::MAX, 0), |(min, max), seq| (min.min(*seq), max.max(*seq)));
    let head = RunIndexHead {
        run_bytes,
        row_count: row_count as u64,
        key_count: rows.ranges.len() as u64,
        slot_count: 0,
        feature_count: features.len() as u64,
        slots_start: 0,
        slot_map,
        min_event_ts,
        max_event_ts,
        min_seq,
        max_seq,
    };
    let (index, index_checksum) = encode_index(&head, &run_checksums, &features, &slots);
    let file = disk.open(&index_path(dir, id), OpenMode::Create)?;
    file.write_at(0, &index)?;
    if output.is_durable {
        file.sync()?;
    }
    Ok(RunFileMeta {
        id,
        run: id,
        rows: head.row_count,
        keys: head.key_count,
        hash_lo: first,
        hash_hi: last,
        min_event_ts,
        max_event_ts,
        min_seq,
        max_seq,
        run_bytes,
        index_bytes: index.len() as u64,
        index_checksum,
    })
}

fn record_batch(schema: &RunSchema, rows: &RunRows) -> Result<RecordBatch> {
    let columns = &rows.columns;
    let mut indices: Vec<i32> = Vec::with_capacity(columns.len());
    for (ordinal, range) in (0..).zip(&rows.ranges) {
        indices.resize(indices.len() + range.len as usize, ordinal);
    }
    let indices = Int32Array::from(indices);
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for values in rows.keys.to_columns(schema.keys())? {
        arrays.push(Arc::new(DictionaryArray::try_new(indices.clone(), values).map_err(arrow_fault)?));
    }
    arrays.push(Arc::new(TimestampMicrosecondArray::new(columns.event_ts.clone(), None).with_timezone("UTC")));
    arrays.extend(columns.created.clone());
    arrays.push(Arc::new(UInt64Array::new(columns.seq.clone(), None)));
    for optional in [&columns.kind, &columns.absent, &columns.deadline, &columns.field_deadlines, &columns.event_id] {
        arrays.extend(optional.clone());
    }
    for ((_, data_type), array) in schema.fields().iter().zip(&columns.features) {
        arrays.push(match array {
            Some(array) => array.clone(),
            None => arrow_array::new_null_array(&data_type.to_arrow(), columns.len()),
        });
    }
    RecordBatch::try_new(schema.arrow_schema(columns.optional()), arrays).map_err(arrow_fault)
}

/// A [`Write`] into a file that takes the checksum of every block on the way.
struct BlockWriter {
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    flushed_bytes: u64,
    checksums: Vec<u32>,
    /// Checksum of the block begun, and how much of it there is.
    checksum: u32,
    block_len: usize,
    failed: Option<Error>,
}

impl BlockWriter {
    fn new(file: Arc<dyn File>) -> BlockWriter {
        BlockWriter {
            file,
            buffer: Vec::with_capacity(WRITE_BUFFER_BYTES),
            flushed_bytes: 0,
            checksums: Vec::new(),
            checksum: 0,
            block_len: 0,
            failed: None,
        }
    }

    fn add_checksums(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block_len));
            self.checksum = crc32c::crc32c_append(self.checksum, now);
            self.block_len += now.len();
            if self.block_len == BLOCK_BYTES {
                self.checksums.push(self.checksum);
                (self.checksum, self.block_len) = (0, 0);
            }
            bytes = later;
        }
    }

    fn write_through(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(self.flushed_bytes, bytes)?;
        self.flushed_bytes += bytes.len() as u64;
        Ok(())
    }

    fn flush_buffer(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write_through(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.add_checksums(bytes);
        if self.buffer.len() + bytes.len() > WRITE_BUFFER_BYTES {
            self.flush_buffer()?;
        }
        if bytes.len() >= WRITE_BUFFER_BYTES {
            return self.write_through(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Syncs the file where it is to be durable; gives its length and the checksums of its blocks.
    fn finish(mut self, is_durable: bool) -> Result<(u64, Vec<u32>)> {
        self.flush_buffer()?;
        if is_durable {
            self.file.sync()?;
        }
        if self.block_len > 0 {
            self.checksums.push(self.checksum);
        }
        Ok((self.flushed_bytes, self.checksums))
    }
}

impl Write for BlockWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Err(error) = self.put(bytes) {
            let text = std::io::Error::other(error.to_string());
            self.failed = Some(error);
            return Err(text);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
