//! Writes the two files of a run.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, make_array};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_data::ArrayData;
use arrow_ipc::writer::FileWriter;
use arrow_schema::SchemaRef;

use crate::disk::OpenMode;
use crate::error::{Error, Result};
use crate::format::run_index::{
    FeatureStats, IndexSlot, RUN_ROWS_MAX, RunIndexHead, SlotMap, encode_index, encode_slots,
};
use crate::history::block_writer::{BlockWriter, Durable};
use crate::history::column_builder::arrow_fault;
use crate::history::gather::{Extent, gather_feature, gather_marks};
use crate::history::output::{RunFileMeta, RunOutput, index_path, run_path};
use crate::history::rows::RunRows;
use crate::history::schema::RunSchema;
use crate::history::stats::stats_of;
use crate::history::stream::{Stream, Streamed};

/// Writes sorted rows as a pair of files under the next number, and makes both as durable as asked for. The folder is not
/// synced.
///
/// # Errors
/// The disk's.
pub(crate) fn write_run(
    output: &RunOutput<'_>,
    schema: &RunSchema,
    rows: &RunRows<'_>,
    durable: Durable<'_>,
) -> Result<RunFileMeta> {
    let (disk, dir, id) = (output.disk, output.dir, (output.next_id)());
    assert!((1..=RUN_ROWS_MAX).contains(&rows.row_count), "a run file holds rows, and not too many");
    assert_eq!(rows.ranges.len(), rows.keys.len(), "each range has its key");
    assert!(rows.ranges.is_sorted_by_key(|range| range.hash), "keys come in hash order");
    let columns = Columns::new(schema, rows)?;
    let path = run_path(dir, id);
    let blocks = BlockWriter::new(disk.open(&path, OpenMode::Create)?, durable);
    let batch = RecordBatch::try_new(columns.schema, columns.arrays).map_err(arrow_fault)?;
    let mut sink = Sink {
        blocks,
        extents: rows.extents,
        stand_in: columns.stand_in,
        streams: columns.streams,
        streams_done: 0,
        failed: None,
    };
    let written = (|| {
        let mut writer = FileWriter::try_new(&mut sink, &batch.schema())?;
        writer.write(&batch)?;
        writer.finish()
    })();
    if let Err(error) = written {
        return Err(sink.failed.unwrap_or_else(|| arrow_fault(error)).at(path.display()));
    }
    let Sink { blocks, streams, streams_done, .. } = sink;
    assert_eq!(streams_done, streams.len(), "the Arrow writer hands on buffers as they are, each at once");
    let (run_bytes, run_checksums) = blocks.finish()?;

    let (first, last) = (rows.ranges[0].hash, rows.ranges[rows.ranges.len() - 1].hash);
    let slot_map = SlotMap::new(first, last, rows.ranges.len());
    let slots = encode_slots(
        &slot_map,
        rows.ranges.iter().map(|range| IndexSlot { hash: range.hash, start: range.start, len: range.len }),
    );
    let mut features = columns.features;
    let mut event_ts = (i64::MAX, i64::MIN);
    let mut seq = (u64::MAX, 0);
    for stream in &streams {
        match stream.column {
            Streamed::EventTimestamp => event_ts = stream.instants().unwrap_or(event_ts),
            Streamed::Seq => seq = stream.numbers().unwrap_or(seq),
            Streamed::Feature(ordinal) => features[ordinal] = stream.stats(),
        }
    }
    let ((min_event_ts, max_event_ts), (min_seq, max_seq)) = (event_ts, seq);
    let head = RunIndexHead {
        run_bytes,
        row_count: rows.row_count as u64,
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
    durable.make(&file)?;
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

/// The columns of a run file: gathered, or yet to be copied, with zeros that stand for them.
struct Columns<'a> {
    schema: SchemaRef,
    arrays: Vec<ArrayRef>,
    /// By ordinal, but for those that are streamed.
    features: Vec<FeatureStats>,
    /// In the order of the arrays.
    streams: Vec<Stream<'a>>,
    /// The values of every array that stands for a stream.
    stand_in: Buffer,
}

impl<'a> Columns<'a> {
    fn new(schema: &RunSchema, rows: &RunRows<'a>) -> Result<Columns<'a>> {
        let RunRows { pieces, extents, row_count, .. } = *rows;
        let marks = gather_marks(schema, pieces, extents, row_count)?;
        let event_ts = Stream::event_ts(pieces);
        let seq = Stream::seq(pieces, rows.seq_bases);
        let of_features: Vec<Option<Stream<'a>>> =
            (0..).zip(schema.fields()).map(|(i, (_, data_type))| Stream::feature(pieces, i, data_type)).collect();
        let width = of_features.iter().flatten().map(Stream::width_bytes).fold(seq.width_bytes(), usize::max);
        // Zeroed by the system, where it is large: nobody reads it.
        let mut columns = Columns {
            schema: schema.arrow_schema(marks.optional()),
            arrays: Vec::new(),
            features: vec![FeatureStats::default(); schema.fields().len()],
            streams: Vec::new(),
            stand_in: MutableBuffer::from_len_zeroed(row_count * width).into(),
        };

        let mut indices: Vec<i32> = Vec::with_capacity(row_count);
        for (ordinal, range) in (0..).zip(rows.ranges) {
            indices.resize(indices.len() + range.len as usize, ordinal);
        }
        let indices = Int32Array::from(indices);
        for values in rows.keys.to_columns(schema.keys())? {
            columns.arrays.push(Arc::new(DictionaryArray::try_new(indices.clone(), values).map_err(arrow_fault)?));
        }
        columns.stream(event_ts, row_count)?;
        columns.arrays.extend(marks.created);
        columns.stream(seq, row_count)?;
        for optional in [marks.kind, marks.absent, marks.deadline, marks.field_deadlines, marks.event_id] {
            columns.arrays.extend(optional);
        }
        for (ordinal, stream) in of_features.into_iter().enumerate() {
            match stream {
                Some(stream) => columns.stream(stream, row_count)?,
                None => {
                    let array = gather_feature(schema, pieces, ordinal, extents, row_count)?;
                    columns.features[ordinal] = stats_of(&schema.fields()[ordinal].1, &array);
                    columns.arrays.push(array);
                }
            }
        }
        Ok(columns)
    }

    /// The next column is a stream.
    fn stream(&mut self, stream: Stream<'a>, row_count: usize) -> Result<()> {
        let data_type = self.schema.field(self.arrays.len()).data_type().clone();
        let values = self.stand_in.slice_with_length(0, row_count * stream.width_bytes());
        let data = ArrayData::builder(data_type).len(row_count).add_buffer(values).build().map_err(arrow_fault)?;
        self.arrays.push(make_array(data));
        self.streams.push(stream);
        Ok(())
    }
}

/// What the Arrow writer writes into: the file, where each stand-in becomes the column it stands for.
struct Sink<'a> {
    blocks: BlockWriter<'a>,
    extents: &'a [Extent],
    stand_in: Buffer,
    streams: Vec<Stream<'a>>,
    streams_done: usize,
    failed: Option<Error>,
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if !std::ptr::eq(bytes.as_ptr(), self.stand_in.as_ptr()) {
            return self.blocks.put(bytes);
        }
        let stream = &mut self.streams[self.streams_done];
        self.streams_done += 1;
        let mut len = 0;
        stream.copy(self.extents, |chunk| {
            len += chunk.len();
            self.blocks.put(chunk)
        })?;
        assert_eq!(len, bytes.len(), "a column has the length of what stands for it");
        Ok(())
    }
}

impl Write for Sink<'_> {
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
