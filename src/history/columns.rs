//! Where the buffers of a run file's columns lie, read from its Arrow metadata without touching data.

use std::ops::Range;

use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::read_footer_length;
use arrow_ipc::{Block, MetadataVersion, RecordBatch};
use arrow_schema::{DataType as ArrowType, Field, SchemaRef};

use crate::error::Result;
use crate::history::verify::Blocks;

/// How the rows of a column lie in one of its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stride {
    /// A bit a row: validity.
    Validity,
    /// A bit a row: values.
    Bits,
    /// So many bytes a row.
    Bytes(usize),
    /// Found only through other buffers.
    Whole,
}

/// One buffer of a column: its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) range: Range<usize>,
    pub(crate) stride: Stride,
}

impl Part {
    /// The bytes that hold these rows.
    pub(crate) fn of_rows(&self, rows: &Range<usize>) -> Range<usize> {
        let (start, end) = match self.stride {
            Stride::Validity | Stride::Bits => (rows.start / 8, rows.end.div_ceil(8)),
            Stride::Bytes(width) => (rows.start * width, rows.end * width),
            Stride::Whole => (0, self.range.len()),
        };
        let at = |offset: usize| (self.range.start + offset).min(self.range.end);
        at(start)..at(end)
    }
}

/// A run file's metadata, verified and parsed.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) schema: SchemaRef,
    pub(crate) row_count: usize,
    pub(crate) version: MetadataVersion,
    /// The record batch: its metadata message, and its body.
    pub(crate) message: Buffer,
    pub(crate) body: Buffer,
    /// Buffers of each column of the schema; those of a dictionary column are its indices.
    pub(crate) columns: Vec<Vec<Part>>,
    /// Buffers and length of each dictionary, in the order of columns.
    pub(crate) dictionaries: Vec<(Vec<Part>, usize)>,
}

const TRAILER_BYTES: usize = 10;

/// Reads the footer and the messages' metadata, verifying the blocks that hold them.
pub(crate) fn read_layout(blocks: &Blocks) -> Result<Layout> {
    let what = "Arrow metadata";
    let wrong = |detail: String| blocks.damaged(format!("{what}: {detail}"));
    let arrow = |error: arrow_schema::ArrowError| wrong(error.to_string());
    let file = blocks.unverified();
    let footer_end = file.len().checked_sub(TRAILER_BYTES).ok_or_else(|| wrong("cut short".into()))?;
    let mut trailer = [0; TRAILER_BYTES];
    trailer.copy_from_slice(blocks.get(footer_end..file.len(), what)?);
    let footer_len = read_footer_length(trailer).map_err(arrow)?;
    let footer_start = footer_end.checked_sub(footer_len).ok_or_else(|| wrong("footer cut short".into()))?;
    let footer = arrow_ipc::root_as_footer(blocks.get(footer_start..footer_end, what)?)
        .map_err(|error| wrong(format!("footer: {error}")))?;
    let schema = footer.schema().ok_or_else(|| wrong("the footer has no schema".into()))?;
    let schema: SchemaRef = try_fb_to_schema(schema).map_err(arrow)?.into();
    let mut batches = footer.recordBatches().into_iter().flatten();
    let (Some(batch), None) = (batches.next(), batches.next()) else {
        return Err(wrong("a run has exactly one record batch".into()));
    };
    let (message, body_start, body_end) = block_bounds(blocks, batch)?;
    let message_buffer = file.slice_with_length(message.start, message.len());
    let parsed = arrow_ipc::root_as_message(strip_prefix(&message_buffer))
        .map_err(|error| wrong(format!("record batch: {error}")))?;
    let record_batch = parsed.header_as_record_batch().ok_or_else(|| wrong("no record batch".into()))?;
    let mut walk = Walk::new(record_batch, body_start, body_end);
    let mut columns = Vec::new();
    for field in schema.fields() {
        let mut parts = Vec::new();
        walk.column(field, &mut parts).ok_or_else(|| wrong(format!("column {} lies outside", field.name())))?;
        columns.push(parts);
    }
    let mut dictionaries = Vec::new();
    let values = schema.fields().iter().filter_map(|field| match field.data_type() {
        ArrowType::Dictionary(_, values) => Some(Field::new(field.name(), values.as_ref().clone(), true)),
        _ => None,
    });
    for (field, block) in values.zip(footer.dictionaries().into_iter().flatten()) {
        let (message, body_start, body_end) = block_bounds(blocks, block)?;
        let buffer = file.slice_with_length(message.start, message.len());
        let parsed =
            arrow_ipc::root_as_message(strip_prefix(&buffer)).map_err(|error| wrong(format!("dictionary: {error}")))?;
        let batch = parsed.header_as_dictionary_batch().and_then(|batch| batch.data());
        let batch = batch.ok_or_else(|| wrong("no dictionary".into()))?;
        let len = usize::try_from(batch.length()).map_err(|_| wrong("no dictionary".into()))?;
        let mut parts = Vec::new();
        Walk::new(batch, body_start, body_end)
            .column(&field, &mut parts)
            .ok_or_else(|| wrong(format!("the keys of {} lie outside", field.name())))?;
        dictionaries.push((parts, len));
    }
    Ok(Layout {
        row_count: usize::try_from(record_batch.length()).map_err(|_| wrong("negative row count".into()))?,
        version: parsed.version(),
        body: file.slice_with_length(body_start, body_end - body_start),
        message: message_buffer.clone(),
        schema,
        columns,
        dictionaries,
    })
}

/// A message without its continuation marker and length.
pub(crate) fn strip_prefix(message: &[u8]) -> &[u8] {
    const PREFIX_BYTES: usize = 8;
    message.get(PREFIX_BYTES..).unwrap_or_default()
}

fn block_bounds(blocks: &Blocks, block: &Block) -> Result<(Range<usize>, usize, usize)> {
    let bounds = || {
        let start = usize::try_from(block.offset()).ok()?;
        let body_start = start.checked_add(usize::try_from(block.metaDataLength()).ok()?)?;
        let body_end = body_start.checked_add(usize::try_from(block.bodyLength()).ok()?)?;
        (body_end <= blocks.unverified().len()).then_some((start..body_start, body_start, body_end))
    };
    let bounds = bounds().ok_or_else(|| blocks.damaged("Arrow metadata: a block lies outside the file".into()))?;
    blocks.check(bounds.0.clone(), "Arrow metadata")?;
    Ok(bounds)
}

/// Walks the buffers of a record batch in the order of the schema.
struct Walk<'a> {
    batch: RecordBatch<'a>,
    next: usize,
    body_start: usize,
    body_end: usize,
}

impl<'a> Walk<'a> {
    fn new(batch: RecordBatch<'a>, body_start: usize, body_end: usize) -> Walk<'a> {
        Walk { batch, next: 0, body_start, body_end }
    }

    fn part(&mut self, stride: Stride, parts: &mut Vec<Part>) -> Option<()> {
        let buffers = self.batch.buffers()?;
        let buffer = (self.next < buffers.len()).then(|| buffers.get(self.next))?;
        self.next += 1;
        let start = self.body_start.checked_add(usize::try_from(buffer.offset()).ok()?)?;
        let end = start.checked_add(usize::try_from(buffer.length()).ok()?)?;
        parts.push(Part { range: start..end, stride });
        (end <= self.body_end).then_some(())
    }

    fn column(&mut self, field: &Field, parts: &mut Vec<Part>) -> Option<()> {
        self.part(Stride::Validity, parts)?;
        match field.data_type() {
            ArrowType::Boolean => self.part(Stride::Bits, parts),
            ArrowType::Utf8 | ArrowType::Binary => {
                self.part(Stride::Whole, parts)?;
                self.part(Stride::Whole, parts)
            }
            ArrowType::List(element) => {
                self.part(Stride::Whole, parts)?;
                let mut inner = Vec::new();
                self.column(element, &mut inner)?;
                parts.extend(inner.into_iter().map(|part| Part { stride: Stride::Whole, ..part }));
                Some(())
            }
            ArrowType::FixedSizeList(element, len) => {
                let mut inner = Vec::new();
                self.column(element, &mut inner)?;
                let width = element.data_type().primitive_width()? * usize::try_from(*len).ok()?;
                let mut inner = inner.into_iter();
                parts.extend(inner.next().map(|part| Part { stride: Stride::Whole, ..part }));
                parts.extend(inner.map(|part| Part { stride: Stride::Bytes(width), ..part }));
                Some(())
            }
            ArrowType::FixedSizeBinary(width) => self.part(Stride::Bytes(usize::try_from(*width).ok()?), parts),
            ArrowType::Dictionary(..) => self.part(Stride::Bytes(4), parts),
            other => self.part(Stride::Bytes(other.primitive_width()?), parts),
        }
    }
}
