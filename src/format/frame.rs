//! Frames: one atomic batch of rows each, over one view or several.
//!
//! ```text
//! frame   := header (48 bytes) | section*
//! section := u32 view id | u32 row count | u32 bytes of records | u32 zero | record*
//! ```

use super::log::{GROUP_BYTES_MAX, take, take_u32, take_u64};
use super::row::RowRef;
use crate::error::{Error, Result};

/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 48;
/// Bytes of a section header.
pub const SECTION_HEADER_BYTES: usize = 16;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Rows.
    Rows = 1,
    /// The writer closed the log in good order. Reserved: this release reads it and writes none.
    CleanClose = 2,
}

/// Collects one batch. Keeps its memory from batch to batch.
#[derive(Debug, Default)]
pub struct FrameBuilder {
    bytes: Vec<u8>,
    row_count: u32,
    section_count: u32,
    /// Where the open section's header begins.
    section_start: Option<usize>,
    section_rows: u32,
}

impl FrameBuilder {
    /// A builder without a batch; [`FrameBuilder::begin`] comes next.
    pub fn new() -> Self {
        FrameBuilder::default()
    }

    /// Starts a batch that `source` sent, forgetting any other. The log raises `ingested_at` to the one
    /// before it where the clock went backwards.
    pub fn begin(&mut self, source: u32, ingested_at: i64) {
        self.bytes.clear();
        self.bytes.resize(FRAME_HEADER_BYTES, 0);
        self.bytes[4] = FrameKind::Rows as u8;
        self.bytes[24..32].copy_from_slice(&ingested_at.to_le_bytes());
        self.bytes[32..36].copy_from_slice(&source.to_le_bytes());
        (self.row_count, self.section_count, self.section_start, self.section_rows) = (0, 0, None, 0);
    }

    /// Starts the rows of a view.
    pub fn begin_section(&mut self, view_id: u32) {
        self.end_section();
        self.section_start = Some(self.bytes.len());
        self.section_count += 1;
        self.bytes.extend(view_id.to_le_bytes());
        self.bytes.extend([0; SECTION_HEADER_BYTES - 4]);
    }

    /// Appends a row as `encode` writes it, which is one record of `format::row`. When it fails nothing is appended.
    ///
    /// # Errors
    /// What `encode` says, or the batch is too large.
    pub fn push_row_with(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        assert!(self.section_start.is_some(), "rows belong in a section");
        let start = self.bytes.len();
        let result = encode(&mut self.bytes).and_then(|()| match self.bytes.len() as u64 > GROUP_BYTES_MAX {
            true => Err(too_large()),
            false => Ok(()),
        });
        if result.is_err() {
            self.bytes.truncate(start);
            return result;
        }
        self.row_count += 1;
        self.section_rows += 1;
        Ok(())
    }

    /// Appends one encoded record.
    ///
    /// # Errors
    /// The batch is too large.
    pub fn push_record(&mut self, record: &[u8]) -> Result<()> {
        self.push_row_with(|out| {
            out.extend_from_slice(record);
            Ok(())
        })
    }

    /// Rows in the batch.
    pub fn row_count(&self) -> u32 {
        self.row_count
    }

    /// Bytes of the frame so far.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// When the batch arrived.
    pub fn ingested_at(&self) -> i64 {
        self.bytes.get(24..32).and_then(|mut bytes| take(&mut bytes)).map_or(0, i64::from_le_bytes)
    }

    /// Fills the header in and gives the whole frame: the committer's last step before the log.
    pub fn finish(&mut self, first_seq: u64, ingested_at: i64) -> &[u8] {
        assert!(self.row_count > 0, "a batch has rows");
        self.end_section();
        let len = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let header = &mut self.bytes[..FRAME_HEADER_BYTES];
        header[..4].copy_from_slice(&len.to_le_bytes());
        header[8..16].copy_from_slice(&first_seq.to_le_bytes());
        header[16..20].copy_from_slice(&self.row_count.to_le_bytes());
        header[20..24].copy_from_slice(&self.section_count.to_le_bytes());
        header[24..32].copy_from_slice(&ingested_at.to_le_bytes());
        let crc = crc32c::crc32c(&header[..44]);
        header[44..].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }

    fn end_section(&mut self) {
        let Some(start) = self.section_start.take() else { return };
        let len = u32::try_from(self.bytes.len() - start - SECTION_HEADER_BYTES).unwrap_or(u32::MAX);
        self.bytes[start + 4..start + 8].copy_from_slice(&self.section_rows.to_le_bytes());
        self.bytes[start + 8..start + 12].copy_from_slice(&len.to_le_bytes());
        self.section_rows = 0;
    }
}

fn too_large() -> Error {
    Error::invalid(format!("the batch takes more than the {GROUP_BYTES_MAX} bytes that one write may have"))
        .remedy("write it in smaller batches, or import it")
}

/// A frame in place. Whoever holds one holds whole sections of whole records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef<'a> {
    /// What it is for.
    pub kind: FrameKind,
    /// The number of its first row; the others follow without a gap.
    pub first_seq: u64,
    /// Its rows.
    pub row_count: u32,
    /// When it arrived, in microseconds since 1970; never less than that of the frame before.
    pub ingested_at: i64,
    /// Who sent it.
    pub source: u32,
    sections: &'a [u8],
}

impl<'a> FrameRef<'a> {
    /// The whole length that a frame header declares, once the header is known to be sound.
    ///
    /// # Errors
    /// What is wrong with it. `Ok(None)` when `bytes` do not hold a header.
    pub fn declared_len(bytes: &[u8]) -> std::result::Result<Option<usize>, &'static str> {
        let Some(header) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else { return Ok(None) };
        if header[44..] != crc32c::crc32c(&header[..44]).to_le_bytes() {
            return Err("frame header with a wrong checksum");
        }
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if len < FRAME_HEADER_BYTES { Err("frame shorter than its header") } else { Ok(Some(len)) }
    }

    /// Takes the frame at the front of `bytes`; gives it and its length. `Ok(None)` when it is cut short.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &'a [u8]) -> std::result::Result<Option<(FrameRef<'a>, usize)>, &'static str> {
        let Some(len) = Self::declared_len(bytes)? else { return Ok(None) };
        let Some(frame) = bytes.get(..len) else { return Ok(None) };
        let (header, sections) = frame.split_at(FRAME_HEADER_BYTES);
        let kind = match header[4] {
            1 => FrameKind::Rows,
            2 => FrameKind::CleanClose,
            _ => return Err("unknown frame kind"),
        };
        if header[5..8] != [0; 3] || header[36..44] != [0; 8] {
            return Err("unknown frame flags");
        }
        let mut rest = &header[8..36];
        let mut read = || {
            let (first_seq, row_count) = (take_u64(&mut rest)?, take_u32(&mut rest)?);
            let section_count = take_u32(&mut rest)?;
            let ingested_at = i64::from_le_bytes(take(&mut rest)?);
            let source = take_u32(&mut rest)?;
            Some((FrameRef { kind, first_seq, row_count, ingested_at, source, sections }, section_count))
        };
        let (frame, section_count) = read().ok_or("frame header cut short")?;
        frame.check(section_count)?;
        Ok(Some((frame, len)))
    }

    fn check(&self, section_count: u32) -> std::result::Result<(), &'static str> {
        if (self.kind == FrameKind::Rows) != (self.row_count > 0) {
            return Err("rows where there should be none, or none where there should be some");
        }
        if self.first_seq.checked_add(u64::from(self.row_count)).is_none() {
            return Err("row numbers out of range");
        }
        let (mut rest, mut sections, mut rows) = (self.sections, 0_u32, 0_u64);
        while !rest.is_empty() {
            let (section, after) = SectionRef::take(rest, 0, 0).ok_or("section longer than its frame")?;
            section.check()?;
            rest = after;
            sections = sections.saturating_add(1);
            rows += u64::from(section.row_count);
        }
        if sections != section_count || rows != u64::from(self.row_count) {
            return Err("sections and rows are not as many as the frame says");
        }
        Ok(())
    }

    /// The number after that of its last row.
    pub fn next_seq(&self) -> u64 {
        self.first_seq + u64::from(self.row_count)
    }

    /// Its views' rows, in the order they were written.
    pub fn sections(&self) -> impl Iterator<Item = SectionRef<'a>> + use<'a> {
        let (mut rest, mut first_seq, all) = (self.sections, self.first_seq, self.sections.len());
        std::iter::from_fn(move || {
            let start = FRAME_HEADER_BYTES + (all - rest.len()) + SECTION_HEADER_BYTES;
            let (section, after) = SectionRef::take(rest, first_seq, start)?;
            rest = after;
            first_seq += u64::from(section.row_count);
            Some(section)
        })
    }
}

/// The rows of one view in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionRef<'a> {
    /// The view version.
    pub view_id: u32,
    /// Its rows.
    pub row_count: u32,
    /// The number of its first row.
    pub first_seq: u64,
    /// Its records, back to back.
    pub records: &'a [u8],
    /// Where the records begin, in bytes from the frame's start.
    records_start: usize,
}

/// One row of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedRow<'a> {
    /// Its number.
    pub seq: u64,
    /// Where its record begins, in payload bytes from the frame's start: `position.advance(offset)` is its place.
    pub offset: u64,
    /// The whole record.
    pub record: &'a [u8],
}

impl<'a> LoggedRow<'a> {
    /// The record's parts, its image not looked at.
    ///
    /// # Errors
    /// What is wrong with the record.
    pub fn parse(&self) -> std::result::Result<RowRef<'a>, &'static str> {
        RowRef::parse_unchecked_image(self.record).map(|(row, _)| row)
    }
}

impl<'a> SectionRef<'a> {
    fn take(bytes: &'a [u8], first_seq: u64, records_start: usize) -> Option<(Self, &'a [u8])> {
        let mut rest = bytes;
        let (view_id, row_count) = (take_u32(&mut rest)?, take_u32(&mut rest)?);
        let len = take_u32(&mut rest)? as usize;
        let zero = take_u32(&mut rest)?;
        let (records, rest) = rest.split_at_checked(len)?;
        (zero == 0).then_some((SectionRef { view_id, row_count, first_seq, records, records_start }, rest))
    }

    fn check(&self) -> std::result::Result<(), &'static str> {
        let (mut rest, mut rows) = (self.records, 0_u32);
        while !rest.is_empty() {
            (_, rest) = split_record(rest).ok_or("row longer than its section")?;
            rows = rows.saturating_add(1);
        }
        if rows == self.row_count { Ok(()) } else { Err("rows are not as many as the section says") }
    }

    /// Its rows.
    pub fn rows(&self) -> impl Iterator<Item = LoggedRow<'a>> + use<'a> {
        let section = *self;
        let (mut rest, mut seq) = (self.records, self.first_seq);
        std::iter::from_fn(move || {
            let offset = (section.records_start + (section.records.len() - rest.len())) as u64;
            let (record, after) = split_record(rest)?;
            let row = LoggedRow { seq, offset, record };
            rest = after;
            seq += 1;
            Some(row)
        })
    }
}

/// The record at the front and what follows; `None` when it is cut short.
pub fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = u32::from_le_bytes(*bytes.first_chunk::<4>()?) as usize;
    bytes.split_at_checked(len.checked_add(4)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::row::{RowHead, RowKind, push_record};

    fn batch() -> FrameBuilder {
        let mut frame = FrameBuilder::new();
        frame.begin(5, 77);
        for (view, keys) in [(3, vec!["a", "bb"]), (9, vec!["c"])] {
            frame.begin_section(view);
            for key in keys {
                let head = RowHead::new(RowKind::Delete, 1);
                frame.push_row_with(|out| push_record(&head, key.as_bytes(), 0, &[], out)).unwrap();
            }
        }
        frame
    }

    #[test]
    fn a_batch_over_two_views_comes_back_with_numbers_and_places() {
        let mut builder = batch();
        let bytes = builder.finish(100, 78).to_vec();
        let (frame, len) = FrameRef::parse(&bytes).unwrap().unwrap();
        assert_eq!((len, frame.source, frame.ingested_at, frame.next_seq()), (bytes.len(), 5, 78, 103));
        let rows: Vec<_> = frame
            .sections()
            .flat_map(|section| section.rows().map(move |row| (section.view_id, row)))
            .map(|(view, row)| {
                let at = usize::try_from(row.offset).unwrap();
                assert_eq!(&bytes[at..at + row.record.len()], row.record, "the place is where the record lies");
                (view, row.seq, row.parse().unwrap().key.to_vec())
            })
            .collect();
        assert_eq!(rows, [(3, 100, b"a".to_vec()), (3, 101, b"bb".to_vec()), (9, 102, b"c".to_vec())]);
    }

    #[test]
    fn no_damaged_byte_makes_a_frame_panic_and_a_cut_one_is_not_taken() {
        let mut builder = batch();
        let bytes = builder.finish(100, 78).to_vec();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let parsed = FrameRef::parse(&damaged);
            assert!(bit / 8 >= FRAME_HEADER_BYTES || parsed.is_err(), "header bit {bit}");
            if let Ok(Some((frame, _))) = parsed {
                frame.sections().flat_map(|section| section.rows()).for_each(|row| drop(row.parse()));
            }
        }
        for len in 0..bytes.len() {
            assert_eq!(FrameRef::parse(&bytes[..len]), Ok(None), "cut at {len}");
        }
    }

    #[test]
    fn a_row_that_cannot_be_encoded_leaves_nothing() {
        let mut frame = batch();
        let before = (frame.len_bytes(), frame.row_count());
        let bad = frame.push_row_with(|out| {
            out.extend([1; 9]);
            Err(Error::invalid("no"))
        });
        assert!(bad.is_err());
        assert_eq!((frame.len_bytes(), frame.row_count()), before);
    }
}
