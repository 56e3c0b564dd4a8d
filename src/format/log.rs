//! What a log segment holds: a header, then groups of frames of sections of row records.
//!
//! ```text
//! segment := sector 0 (header) | group, each from a sector boundary on | ...
//! group   := group header | frame | frame ...
//! frame   := frame header | section | section ...       one atomic batch
//! section := section header | row record | row record ...
//! ```

mod frame;

pub use frame::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FRAME_ROWS, Frame, FrameBuilder, SECTION_HEADER_BYTES, Section};

use crate::format::sector::{PAYLOAD_BYTES, SectorSeal};

/// First bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"asoflog1";
/// The layout this release writes.
pub const LOG_FORMAT_VERSION: u32 = 1;
/// Bytes of a segment header, in sector 0.
pub const SEGMENT_HEADER_BYTES: usize = 72;
/// Marks a group.
pub const GROUP_MAGIC: [u8; 4] = *b"grp1";
/// Bytes of a group header.
pub const GROUP_HEADER_BYTES: usize = 24;
const _: () = assert!(SEGMENT_HEADER_BYTES <= PAYLOAD_BYTES && GROUP_HEADER_BYTES <= PAYLOAD_BYTES);
/// How many numbers a segment reserves. It holds fewer rows than bytes, so they never run out within one.
pub const SEGMENT_SEQ_SPAN: u64 = 1 << 32;

/// A place in the log: segment in the high half, byte offset in the low one. Ordered as the log is.
pub type LogPosition = u64;

/// The position of a byte of a segment.
pub const fn position(segment: u32, offset: u32) -> LogPosition {
    (segment as u64) << 32 | offset as u64
}

/// The segment of a position.
pub const fn segment_of(position: LogPosition) -> u32 {
    (position >> 32) as u32
}

/// The offset of a position within its segment.
pub const fn offset_of(position: LogPosition) -> u32 {
    (position & 0xffff_ffff) as u32
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

/// What sector 0 of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The store it belongs to.
    pub store_uuid: [u8; 16],
    /// Its id, which its name says too.
    pub segment: u32,
    /// The file's length.
    pub file_bytes: u64,
    /// Rows of the segment are numbered from here.
    pub first_seq: u64,
    /// And stay below this; after an unclean open numbering resumes here.
    pub seq_limit: u64,
    /// Where the segment before ends: what lies beyond in it was set aside for ever. 0 in a store's first.
    pub prev_end: LogPosition,
    /// The log was known durable up to here.
    pub synced: LogPosition,
}

impl SegmentHeader {
    /// The payload of sector 0.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.extend(SEGMENT_MAGIC);
        out.extend(LOG_FORMAT_VERSION.to_le_bytes());
        out.extend(self.segment.to_le_bytes());
        out.extend(self.store_uuid);
        for word in [self.file_bytes, self.first_seq, self.seq_limit, self.prev_end, self.synced] {
            out.extend(word.to_le_bytes());
        }
        debug_assert_eq!(out.len(), SEGMENT_HEADER_BYTES);
        out
    }

    /// The format version that the payload of a sound sector 0 names; `None` when it is no segment's.
    pub fn version(payload: &[u8]) -> Option<u32> {
        (payload.len() >= SEGMENT_HEADER_BYTES && payload[..8] == SEGMENT_MAGIC).then(|| u32_at(payload, 8))
    }

    /// Reads the payload of a sound sector 0.
    ///
    /// # Errors
    /// What is wrong with it, without a place.
    pub fn parse(payload: &[u8]) -> Result<SegmentHeader, &'static str> {
        if payload.len() < SEGMENT_HEADER_BYTES || payload[..8] != SEGMENT_MAGIC {
            return Err("no log segment");
        }
        if u32_at(payload, 8) != LOG_FORMAT_VERSION {
            return Err("unknown log format version");
        }
        if payload[SEGMENT_HEADER_BYTES..].iter().any(|&byte| byte != 0) {
            return Err("bytes after the segment header");
        }
        let mut store_uuid = [0; 16];
        store_uuid.copy_from_slice(&payload[16..32]);
        Ok(SegmentHeader {
            store_uuid,
            segment: u32_at(payload, 12),
            file_bytes: u64_at(payload, 32),
            first_seq: u64_at(payload, 40),
            seq_limit: u64_at(payload, 48),
            prev_end: u64_at(payload, 56),
            synced: u64_at(payload, 64),
        })
    }
}

/// What a group begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    /// Bytes of its frames.
    pub len_bytes: u32,
    /// How many frames.
    pub frame_count: u32,
    /// The log was known durable up to here when the group was written.
    pub synced: LogPosition,
}

impl GroupHeader {
    /// The header's bytes, for a group that begins with sector `number`.
    pub fn encode(&self, seal: SectorSeal, number: u32) -> [u8; GROUP_HEADER_BYTES] {
        let mut out = [0; GROUP_HEADER_BYTES];
        out[..4].copy_from_slice(&GROUP_MAGIC);
        out[4..8].copy_from_slice(&self.len_bytes.to_le_bytes());
        out[8..16].copy_from_slice(&self.synced.to_le_bytes());
        out[16..20].copy_from_slice(&self.frame_count.to_le_bytes());
        let crc = seal.header_checksum(number, &out[..20]);
        out[20..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header at the front of sector `number`; `None` when these bytes are none.
    pub fn parse(bytes: &[u8], seal: SectorSeal, number: u32) -> Option<GroupHeader> {
        let header = bytes.get(..GROUP_HEADER_BYTES)?;
        if header[..4] != GROUP_MAGIC || seal.header_checksum(number, &header[..20]) != u32_at(header, 20) {
            return None;
        }
        Some(GroupHeader { len_bytes: u32_at(header, 4), synced: u64_at(header, 8), frame_count: u32_at(header, 16) })
    }

    /// Sectors the group takes.
    pub fn sector_count(&self) -> u64 {
        (GROUP_HEADER_BYTES as u64 + u64::from(self.len_bytes)).div_ceil(PAYLOAD_BYTES as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_header_is_one_only_in_its_store_segment_and_place() {
        let header = GroupHeader { len_bytes: 900, frame_count: 3, synced: position(2, 512) };
        let seal = SectorSeal::new(1, 2);
        let bytes = header.encode(seal, 8);
        assert_eq!(GroupHeader::parse(&bytes, seal, 8), Some(header));
        assert_eq!(GroupHeader::parse(&bytes, seal, 9), None);
        assert_eq!(GroupHeader::parse(&bytes, SectorSeal::new(1, 3), 8), None);
        // What a caller stores cannot bear witness: it does not know the seed.
        assert_eq!(GroupHeader::parse(&bytes, SectorSeal::new(9, 2), 8), None);
        for bit in 0..GROUP_HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(GroupHeader::parse(&damaged, seal, 8), None, "bit {bit}");
        }
    }

    #[test]
    fn a_segment_header_comes_back() {
        let header = SegmentHeader {
            store_uuid: [4; 16],
            segment: 2,
            file_bytes: 4096,
            first_seq: 10,
            seq_limit: 20,
            prev_end: position(1, 1024),
            synced: position(1, 1024),
        };
        let mut payload = header.encode();
        assert_eq!(SegmentHeader::parse(&payload), Ok(header));
        payload.push(1);
        assert!(SegmentHeader::parse(&payload).is_err(), "what follows the header is zero");
    }
}
