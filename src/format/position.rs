//! Places in the log: a segment and a byte of its file.

use std::fmt;

use super::sector::{SECTOR_BYTES, SECTOR_PAYLOAD_BYTES};

/// A place in the log: the segment's id in the upper half, a byte offset of its file in the lower.
/// Later places are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition(pub u64);

impl LogPosition {
    /// Before everything; also "nothing is known".
    pub const ZERO: LogPosition = LogPosition(0);

    /// The byte at `offset` of segment `segment_id`.
    pub fn new(segment_id: u32, offset: u32) -> Self {
        LogPosition(u64::from(segment_id) << 32 | u64::from(offset))
    }

    /// The segment.
    pub fn segment_id(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(u32::MAX)
    }

    /// The byte of the segment's file.
    pub fn offset(self) -> u32 {
        u32::try_from(self.0 & u64::from(u32::MAX)).unwrap_or(u32::MAX)
    }

    /// The place `payload_bytes` further on in the segment, checksums not counted.
    #[must_use]
    pub fn advance(self, payload_bytes: u64) -> Self {
        let offset = file_offset(payload_offset(u64::from(self.offset())) + payload_bytes);
        // A segment is shorter than 4 GiB: what lies in one cannot carry into the id.
        LogPosition((self.0 & !u64::from(u32::MAX)) + offset)
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {:016x} offset {}", self.segment_id(), self.offset())
    }
}

/// Where byte `payload` of a file's payload lies in the file.
pub fn file_offset(payload: u64) -> u64 {
    let payload_bytes = SECTOR_PAYLOAD_BYTES as u64;
    payload / payload_bytes * SECTOR_BYTES as u64 + payload % payload_bytes
}

/// Which byte of the payload lies at `offset` of the file; that of a checksum counts as the next sector's first.
pub fn payload_offset(offset: u64) -> u64 {
    let within = (offset % SECTOR_BYTES as u64).min(SECTOR_PAYLOAD_BYTES as u64);
    offset / SECTOR_BYTES as u64 * SECTOR_PAYLOAD_BYTES as u64 + within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_and_file_offsets_are_inverse() {
        for payload in 0..2_000 {
            assert_eq!(payload_offset(file_offset(payload)), payload);
        }
        assert_eq!(file_offset(508), 512);
        assert_eq!(LogPosition::new(7, 512).advance(507), LogPosition::new(7, 1019));
        assert_eq!(LogPosition::new(7, 512).advance(508), LogPosition::new(7, 1024));
        assert!(LogPosition::new(7, u32::MAX) < LogPosition::new(8, 0));
    }
}
