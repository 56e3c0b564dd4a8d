//! A frame, one atomic batch of the log: its sections, and the row records in them.

use super::{u32_at, u64_at};
use crate::format::keyspace;
use crate::format::row::{RowLayout, RowRef, raise_created};

/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 40;
/// Bytes of a section header.
pub const SECTION_HEADER_BYTES: usize = 16;
/// Largest frame.
pub const FRAME_BYTES_MAX: usize = 1 << 30;
/// What kind of frame it is. Others are reserved; 2 for a clean close.
pub const FRAME_ROWS: u8 = 1;

/// One atomic batch as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The number of its first row.
    pub first_seq: u64,
    /// How many rows, over all sections.
    pub row_count: u32,
    /// Who wrote it; 0 for nobody in particular.
    pub source: u32,
    /// When it was committed, microseconds since 1970.
    pub ingested_at: i64,
    sections: &'a [u8],
}

/// Row records of one view within a frame.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// The view version.
    pub view_id: u32,
    /// How many records.
    pub row_count: u32,
    /// The records, back to back.
    pub records: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes the frame at the front of `bytes`; gives it and what follows. `Ok(None)` when the bytes end before it does.
    ///
    /// # Errors
    /// What is wrong with the bytes, without a place.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Frame<'a>, &'a [u8])>, &'static str> {
        let Some((header, rest)) = bytes.split_at_checked(FRAME_HEADER_BYTES) else { return Ok(None) };
        if crc32c::crc32c(&header[..32]) != u32_at(header, 32) {
            return Err("frame header checksum differs");
        }
        if header[0] != FRAME_ROWS || header[1] != 0 || header[36..] != [0; 4] {
            return Err("unknown kind of frame");
        }
        let Some((sections, rest)) = rest.split_at_checked(u32_at(header, 4) as usize) else { return Ok(None) };
        let frame = Frame {
            first_seq: u64_at(header, 8),
            row_count: u32_at(header, 16),
            source: u32_at(header, 20),
            ingested_at: u64_at(header, 24).cast_signed(),
            sections,
        };
        let (mut rows, mut section_count) = (0_u64, 0_u64);
        let mut at = sections;
        while !at.is_empty() {
            let (section, after) = Section::parse(at)?;
            rows += u64::from(section.row_count);
            section_count += 1;
            at = after;
        }
        let sections_told = u64::from(u16::from_le_bytes([header[2], header[3]]));
        if rows != u64::from(frame.row_count) || section_count != sections_told {
            return Err("a frame and its sections count rows differently");
        }
        Ok(Some((frame, rest)))
    }

    /// Its sections, in order.
    pub fn sections(&self) -> impl Iterator<Item = Section<'a>> + use<'a> {
        let mut rest = self.sections;
        std::iter::from_fn(move || {
            let (section, after) = Section::parse(rest).ok()?;
            rest = after;
            Some(section)
        })
    }

    /// The number of its last row; the one before its first when it has none.
    pub fn last_seq(&self) -> u64 {
        (self.first_seq + u64::from(self.row_count)).saturating_sub(1)
    }
}

impl<'a> Section<'a> {
    fn parse(bytes: &'a [u8]) -> Result<(Section<'a>, &'a [u8]), &'static str> {
        let (header, rest) = bytes.split_at_checked(SECTION_HEADER_BYTES).ok_or("section cut short")?;
        let (records, rest) =
            rest.split_at_checked(u32_at(header, 8) as usize).ok_or("section longer than its frame")?;
        if header[12..] != [0; 4] {
            return Err("unknown section flags");
        }
        Ok((Section { view_id: u32_at(header, 0), row_count: u32_at(header, 4), records }, rest))
    }

    /// Checks every record against the view's layout.
    ///
    /// # Errors
    /// What is wrong with one, without a place.
    pub fn check(&self, layout: &RowLayout) -> Result<(), &'static str> {
        let mut rest = self.records;
        let is_keyspace = self.view_id == keyspace::VIEW_ID;
        for _ in 0..self.row_count {
            let row;
            (row, rest) = RowRef::parse(rest, layout)?;
            if row.head.kind.is_of_keyspace() != is_keyspace {
                return Err("a row of the keyspace among those of a view, or the other way round");
            }
            if is_keyspace {
                keyspace::read_change(&row, layout)?;
            }
        }
        if rest.is_empty() { Ok(()) } else { Err("a section holds more than its rows") }
    }
}

/// Builds one atomic batch. Its numbers are filled in when it is committed.
#[derive(Clone, Debug)]
pub struct FrameBuilder {
    bytes: Vec<u8>,
    row_count: u32,
    section_count: u16,
}

impl Default for FrameBuilder {
    fn default() -> Self {
        FrameBuilder { bytes: vec![0; FRAME_HEADER_BYTES], row_count: 0, section_count: 0 }
    }
}

impl FrameBuilder {
    /// Adds rows of one view: `fill` appends their records and says how many.
    ///
    /// # Errors
    /// What `fill` fails with, or "too large". Either way the builder is as before.
    pub fn section<E: From<crate::Error>>(
        &mut self,
        view_id: u32,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<u32, E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        self.bytes.extend([0; SECTION_HEADER_BYTES]);
        let filled = fill(&mut self.bytes).and_then(|rows| {
            if self.bytes.len() > FRAME_BYTES_MAX {
                let error = crate::Error::invalid(format!("the batch takes more than {FRAME_BYTES_MAX} bytes"));
                return Err(error.remedy("write it in parts, or import it").into());
            }
            let section_count = self.section_count.checked_add(1).ok_or_else(|| {
                crate::Error::invalid("the batch has more than 65535 sections").remedy("write it in parts")
            })?;
            Ok((rows, section_count))
        });
        let (rows, section_count) = match filled {
            Ok(filled) => filled,
            Err(error) => {
                self.bytes.truncate(start);
                return Err(error);
            }
        };
        let len = u32::try_from(self.bytes.len() - start - SECTION_HEADER_BYTES).expect("a frame is below 2^30 bytes");
        let header = &mut self.bytes[start..start + SECTION_HEADER_BYTES];
        header[..4].copy_from_slice(&view_id.to_le_bytes());
        header[4..8].copy_from_slice(&rows.to_le_bytes());
        header[8..12].copy_from_slice(&len.to_le_bytes());
        self.row_count += rows;
        self.section_count = section_count;
        Ok(())
    }

    /// How many rows there are.
    pub fn row_count(&self) -> u32 {
        self.row_count
    }

    /// The frame, once [`FrameBuilder::finish`] has made it one.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes so far.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Raises the created timestamp of the record that begins at byte `record`, as [`raise_created`] does.
    pub fn raise_created(&mut self, record: usize, created: i64) {
        raise_created(&mut self.bytes[record..], created);
    }

    /// Fills in what is known at the commit; the frame's bytes.
    pub fn finish(&mut self, first_seq: u64, ingested_at: i64, source: u32) -> &[u8] {
        let len = u32::try_from(self.bytes.len() - FRAME_HEADER_BYTES).expect("a frame is below 2^30 bytes");
        let header = &mut self.bytes[..FRAME_HEADER_BYTES];
        header[0] = FRAME_ROWS;
        header[2..4].copy_from_slice(&self.section_count.to_le_bytes());
        header[4..8].copy_from_slice(&len.to_le_bytes());
        header[8..16].copy_from_slice(&first_seq.to_le_bytes());
        header[16..20].copy_from_slice(&self.row_count.to_le_bytes());
        header[20..24].copy_from_slice(&source.to_le_bytes());
        header[24..32].copy_from_slice(&ingested_at.to_le_bytes());
        let crc = crc32c::crc32c(&header[..32]);
        header[32..36].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn batch() -> FrameBuilder {
        let mut frame = FrameBuilder::default();
        for (view, rows) in [(3, 2), (9, 1)] {
            frame
                .section(view, |out| Ok::<_, Error>((0..rows).inspect(|_| out.extend([0; 20])).count() as u32))
                .unwrap();
        }
        frame
    }

    #[test]
    fn a_batch_over_two_views_comes_back() {
        let mut builder = batch();
        let mut bytes = builder.finish(100, 77, 5).to_vec();
        bytes.extend(b"next");
        let (frame, rest) = Frame::parse(&bytes).unwrap().unwrap();
        assert_eq!((frame.first_seq, frame.last_seq(), frame.ingested_at, frame.source), (100, 102, 77, 5));
        let sections: Vec<_> = frame.sections().map(|s| (s.view_id, s.row_count, s.records.len())).collect();
        assert_eq!((sections, rest), (vec![(3, 2, 40), (9, 1, 20)], b"next".as_slice()));
    }

    #[test]
    fn no_flipped_bit_makes_a_frame_panic_and_a_header_takes_none() {
        let mut builder = batch();
        let bytes = builder.finish(100, 77, 5).to_vec();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let parsed = Frame::parse(&damaged);
            assert!(bit / 8 >= FRAME_HEADER_BYTES || parsed.is_err(), "header bit {bit}");
            if let Ok(Some((frame, _))) = parsed {
                frame.sections().for_each(|section| _ = section.check(&RowLayout::new([])));
            }
        }
        for len in 0..bytes.len() {
            assert!(matches!(Frame::parse(&bytes[..len]), Ok(None)), "cut at {len}");
        }
    }

    #[test]
    fn a_section_that_cannot_be_filled_leaves_nothing() {
        let mut builder = batch();
        let before = (builder.len_bytes(), builder.row_count());
        let failed = builder.section(1, |out| {
            out.extend([1; 9]);
            Err::<u32, _>(Error::invalid("no"))
        });
        assert!(failed.is_err());
        assert_eq!((builder.len_bytes(), builder.row_count()), before);
    }
}
