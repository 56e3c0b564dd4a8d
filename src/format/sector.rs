//! Sectors: 508 bytes of payload and a checksum that knows where the sector belongs.
//!
//! The checksum is seeded by the store, the segment and the sector's number, so that a sector of
//! another store, another segment or another place is as bad as a damaged one. It is never zero:
//! a sector of zeros is one that was never written.

use crc32c::{crc32c, crc32c_append};

/// What the medium writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;
/// Payload of a sector.
pub const SECTOR_PAYLOAD_BYTES: usize = 508;

const _: () = assert!(SECTOR_PAYLOAD_BYTES + size_of::<u32>() == SECTOR_BYTES);

/// Makes and checks the checksums of one segment.
#[derive(Clone, Copy, Debug)]
pub struct SectorSum(u32);

impl SectorSum {
    /// The checksums of this segment of the store with this seed.
    pub fn new(store_seed: u64, segment_id: u32) -> Self {
        SectorSum(crc32c_append(crc32c(&store_seed.to_le_bytes()), &segment_id.to_le_bytes()))
    }

    /// The checksum of `bytes` that belong in sector `number`; never zero.
    #[inline]
    pub fn of(self, number: u32, bytes: &[u8]) -> u32 {
        match crc32c_append(self.0 ^ number.wrapping_mul(0x9e37_79b1), bytes) {
            0 => 1,
            sum => sum,
        }
    }

    /// Whether `sector` is what was written as sector `number`.
    #[inline]
    pub fn is_sound(self, number: u32, sector: &[u8; SECTOR_BYTES]) -> bool {
        let (payload, stored) = sector.split_at(SECTOR_PAYLOAD_BYTES);
        #[cfg(test)]
        if knob::CHECK_IS_OFF.get() {
            return *stored != [0; 4];
        }
        stored == self.of(number, payload).to_le_bytes()
    }
}

/// Lays payload out in sectors at the end of a buffer, in a single pass.
#[derive(Debug)]
pub struct SectorWriter<'a> {
    sum: SectorSum,
    number: u32,
    out: &'a mut Vec<u8>,
    /// Payload bytes in the sector that is being filled.
    filled: usize,
}

impl<'a> SectorWriter<'a> {
    /// Appends to `out`; the first sector is number `first`.
    pub fn new(sum: SectorSum, first: u32, out: &'a mut Vec<u8>) -> Self {
        SectorWriter { sum, number: first, out, filled: 0 }
    }

    /// Appends payload.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(SECTOR_PAYLOAD_BYTES - self.filled));
            self.out.extend_from_slice(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == SECTOR_PAYLOAD_BYTES {
                self.seal();
            }
        }
    }

    /// Fills the last sector up with zeros.
    pub fn finish(mut self) {
        if self.filled > 0 {
            self.out.resize(self.out.len() + SECTOR_PAYLOAD_BYTES - self.filled, 0);
            self.seal();
        }
    }

    fn seal(&mut self) {
        let start = self.out.len() - SECTOR_PAYLOAD_BYTES;
        let sum = self.sum.of(self.number, &self.out[start..]);
        self.out.extend_from_slice(&sum.to_le_bytes());
        self.number = self.number.wrapping_add(1);
        self.filled = 0;
    }
}

/// How many sectors `payload_bytes` take.
pub fn sector_count(payload_bytes: u64) -> u64 {
    payload_bytes.div_ceil(SECTOR_PAYLOAD_BYTES as u64)
}

/// Appends the payload of `sectors` to `out`, up to the first bad one. Gives how many were sound.
pub fn read_sectors(sum: SectorSum, first: u32, sectors: &[u8], out: &mut Vec<u8>) -> usize {
    let (sectors, _) = sectors.as_chunks::<SECTOR_BYTES>();
    let mut number = first;
    for (i, sector) in sectors.iter().enumerate() {
        if !sum.is_sound(number, sector) {
            return i;
        }
        out.extend_from_slice(&sector[..SECTOR_PAYLOAD_BYTES]);
        number = number.wrapping_add(1);
    }
    sectors.len()
}

/// Lets a test show that it would notice if nobody looked at checksums.
#[cfg(test)]
pub(crate) mod knob {
    use std::cell::Cell;

    thread_local!(pub static CHECK_IS_OFF: Cell<bool> = const { Cell::new(false) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_comes_back_and_every_flipped_bit_is_noticed() {
        let sum = SectorSum::new(7, 3);
        let payload: Vec<u8> = (0..1_300_u32).map(|i| i.to_le_bytes()[0]).collect();
        let mut out = Vec::new();
        let mut writer = SectorWriter::new(sum, 9, &mut out);
        payload.chunks(77).for_each(|chunk| writer.push(chunk));
        writer.finish();
        assert_eq!(out.len(), 3 * SECTOR_BYTES);
        let mut read = Vec::new();
        assert_eq!(read_sectors(sum, 9, &out, &mut read), 3);
        assert_eq!(read[..payload.len()], payload);
        for bit in 0..out.len() * 8 {
            let mut damaged = out.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_sectors(sum, 9, &damaged, &mut Vec::new()), bit / 8 / SECTOR_BYTES, "bit {bit}");
        }
    }

    #[test]
    fn a_sector_elsewhere_or_never_written_is_bad() {
        let sum = SectorSum::new(7, 3);
        let mut out = Vec::new();
        let mut writer = SectorWriter::new(sum, 5, &mut out);
        writer.push(b"x");
        writer.finish();
        assert_eq!(read_sectors(sum, 6, &out, &mut Vec::new()), 0, "another place");
        assert_eq!(read_sectors(SectorSum::new(7, 4), 5, &out, &mut Vec::new()), 0, "another segment");
        assert_eq!(read_sectors(SectorSum::new(8, 3), 5, &out, &mut Vec::new()), 0, "another store");
        for number in 0..10_000 {
            assert!(!sum.is_sound(number, &[0; SECTOR_BYTES]), "zeros pass as sector {number}");
        }
    }
}
