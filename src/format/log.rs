//! Headers of the log: of a segment and of a group.

use super::position::LogPosition;
use super::sector::{SECTOR_BYTES, SECTOR_PAYLOAD_BYTES, SectorSum, SectorWriter};

/// First bytes of every segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"asof-log";
/// The version of the log's format.
pub const LOG_FORMAT_VERSION: u32 = 1;
/// Bytes of a segment header that mean something; the rest of its sector is zero.
pub const SEGMENT_HEADER_BYTES: usize = 80;
/// Where the first group of a segment begins.
pub const GROUPS_START: u32 = 512;
/// First bytes of every group.
pub const GROUP_MAGIC: [u8; 4] = *b"GRP1";
/// Bytes of a group header.
pub const GROUP_HEADER_BYTES: usize = 32;
/// Most bytes of frames in one group.
pub const GROUP_BYTES_MAX: u64 = 1 << 30;

const _: () = assert!(SEGMENT_HEADER_BYTES <= SECTOR_PAYLOAD_BYTES);
const _: () = assert!(GROUPS_START as usize == SECTOR_BYTES);
// A group of the greatest length and its segment's header must lie below 4 GiB.
const _: () = assert!(GROUP_BYTES_MAX / 508 * 512 + 2 * 512 < u32::MAX as u64);

/// Sets the header checksums of groups and frames apart from those of sectors.
const HEADER_SALT: u32 = 0xa5a5_5a5a;

/// What every segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The segment's id, which its name says too.
    pub segment_id: u32,
    /// The store.
    pub store_uuid: [u8; 16],
    /// Rows of the segment have no smaller number.
    pub first_seq: u64,
    /// Rows of the segment have smaller numbers.
    pub seq_limit: u64,
    /// Where the previous segment ends; what lies beyond it there is set aside for ever. Zero in a store's first.
    pub prev_segment_end: LogPosition,
    /// Up to here the log was known to be synced.
    pub synced: LogPosition,
    /// The file's length.
    pub segment_bytes: u64,
}

/// Why a header in a sound sector is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// A version or feature this release does not know.
    Newer(u32),
    /// Not what a writer writes; says which part.
    Wrong(&'static str),
}

impl SegmentHeader {
    /// Encodes the header's sector onto `out`.
    pub fn push(&self, sum: SectorSum, out: &mut Vec<u8>) {
        let mut header = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        header.extend(SEGMENT_MAGIC);
        header.extend(LOG_FORMAT_VERSION.to_le_bytes());
        header.extend(self.segment_id.to_le_bytes());
        header.extend(self.store_uuid);
        header.extend(self.first_seq.to_le_bytes());
        header.extend(self.seq_limit.to_le_bytes());
        header.extend(self.prev_segment_end.0.to_le_bytes());
        header.extend(self.synced.0.to_le_bytes());
        header.extend(self.segment_bytes.to_le_bytes());
        header.extend([0; 8]);
        debug_assert_eq!(header.len(), SEGMENT_HEADER_BYTES);
        let mut writer = SectorWriter::new(sum, 0, out);
        writer.push(&header);
        writer.finish();
    }

    /// Reads the header from the payload of a sound sector.
    ///
    /// # Errors
    /// It is no header, or one of a newer release.
    pub fn parse(mut payload: &[u8]) -> Result<Self, HeaderFault> {
        let wrong = HeaderFault::Wrong;
        let bytes = &mut payload;
        if take(bytes) != Some(SEGMENT_MAGIC) {
            return Err(wrong("not a segment header"));
        }
        match take_u32(bytes) {
            Some(LOG_FORMAT_VERSION) => {}
            Some(version) if version > LOG_FORMAT_VERSION => return Err(HeaderFault::Newer(version)),
            _ => return Err(wrong("no format version")),
        }
        let mut read = || {
            let header = SegmentHeader {
                segment_id: take_u32(bytes)?,
                store_uuid: take(bytes)?,
                first_seq: take_u64(bytes)?,
                seq_limit: take_u64(bytes)?,
                prev_segment_end: LogPosition(take_u64(bytes)?),
                synced: LogPosition(take_u64(bytes)?),
                segment_bytes: take_u64(bytes)?,
            };
            Some((header, take_u64(bytes)?))
        };
        let (header, features) = read().ok_or(wrong("header cut short"))?;
        if features != 0 {
            return Err(HeaderFault::Newer(LOG_FORMAT_VERSION));
        }
        if payload.iter().any(|&byte| byte != 0) {
            return Err(wrong("bytes after the header"));
        }
        if header.first_seq >= header.seq_limit {
            return Err(wrong("an empty range of row numbers"));
        }
        Ok(header)
    }
}

/// What every group begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    /// Frames in the group.
    pub frame_count: u32,
    /// Bytes of the frames.
    pub frames_bytes: u32,
    /// Up to here the log was known to be synced when the group was written.
    pub synced: LogPosition,
}

impl GroupHeader {
    /// Encodes the header of the group that begins at sector `number`.
    pub fn encode(&self, sum: SectorSum, number: u32) -> [u8; GROUP_HEADER_BYTES] {
        let mut header = [0; GROUP_HEADER_BYTES];
        header[..4].copy_from_slice(&GROUP_MAGIC);
        header[4..8].copy_from_slice(&self.frame_count.to_le_bytes());
        header[8..12].copy_from_slice(&self.frames_bytes.to_le_bytes());
        header[16..24].copy_from_slice(&self.synced.0.to_le_bytes());
        let crc = sum.of(number ^ HEADER_SALT, &header[..28]);
        header[28..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// Reads the header from the payload that begins at sector `number`; `None` when it is none.
    ///
    /// The checksum is seeded with the store's secret: no value that a caller stores can look like a header.
    pub fn parse(payload: &[u8], sum: SectorSum, number: u32) -> Option<Self> {
        let header = payload.first_chunk::<GROUP_HEADER_BYTES>()?;
        if header[..4] != GROUP_MAGIC || header[28..] != sum.of(number ^ HEADER_SALT, &header[..28]).to_le_bytes() {
            return None;
        }
        let mut bytes = &header[4..];
        let (frame_count, frames_bytes) = (take_u32(&mut bytes)?, take_u32(&mut bytes)?);
        let reserved = take_u32(&mut bytes)?;
        let synced = LogPosition(take_u64(&mut bytes)?);
        let is_sane = reserved == 0 && take_u32(&mut bytes)? == 0 && frame_count > 0 && frames_bytes > 0;
        (is_sane && u64::from(frames_bytes) <= GROUP_BYTES_MAX).then_some(GroupHeader {
            frame_count,
            frames_bytes,
            synced,
        })
    }
}

/// The next `N` bytes.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

pub(super) fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes).map(u32::from_le_bytes)
}

pub(super) fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_newer_ones_are_told_apart() {
        let sum = SectorSum::new(1, 2);
        let header = SegmentHeader {
            segment_id: 2,
            store_uuid: [4; 16],
            first_seq: 10,
            seq_limit: 20,
            prev_segment_end: LogPosition::new(1, 600),
            synced: LogPosition::new(1, 600),
            segment_bytes: 4096,
        };
        let mut sector = Vec::new();
        header.push(sum, &mut sector);
        assert_eq!(sector.len(), SECTOR_BYTES);
        assert_eq!(SegmentHeader::parse(&sector[..SECTOR_PAYLOAD_BYTES]), Ok(header));
        sector[8] = 2;
        assert_eq!(SegmentHeader::parse(&sector[..SECTOR_PAYLOAD_BYTES]), Err(HeaderFault::Newer(2)));
        for len in 0..SEGMENT_HEADER_BYTES {
            assert!(SegmentHeader::parse(&sector[..len]).is_err());
        }
    }

    #[test]
    fn a_group_header_belongs_to_its_place_and_every_bit_counts() {
        let sum = SectorSum::new(1, 2);
        let header = GroupHeader { frame_count: 3, frames_bytes: 900, synced: LogPosition::new(2, 512) };
        let bytes = header.encode(sum, 8);
        assert_eq!(GroupHeader::parse(&bytes, sum, 8), Some(header));
        assert_eq!(GroupHeader::parse(&bytes, sum, 9), None);
        for bit in 0..GROUP_HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(GroupHeader::parse(&damaged, sum, 8), None, "bit {bit}");
        }
    }
}
