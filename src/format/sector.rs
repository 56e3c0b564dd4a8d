//! Sectors: the log's unit of trust. Each 512 bytes hold 508 of payload and a checksum that knows the
//! store, the segment and the place, so that a sector is either what was written there or is not.

/// What the medium writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;
/// Payload of a sector.
pub const PAYLOAD_BYTES: usize = SECTOR_BYTES - 4;

/// What a sector turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectorState {
    /// As it was written, here.
    Good,
    /// All zero: never written.
    Zero,
    /// Something else.
    Bad,
}

/// Makes and checks the sectors of one segment.
#[derive(Clone, Copy, Debug)]
pub struct SectorSeal {
    seed: u32,
}

impl SectorSeal {
    /// The seal of a segment of a store.
    pub fn new(store_seed: u64, segment: u32) -> Self {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&store_seed.to_le_bytes());
        bytes[8..].copy_from_slice(&segment.to_le_bytes());
        SectorSeal { seed: crc32c::crc32c(&bytes) }
    }

    /// The checksum of sector `number`; never 0, so that a sector of zeros is not a good one.
    fn checksum(self, number: u32, payload: &[u8]) -> u32 {
        let crc = crc32c::crc32c_append(self.seed ^ number.wrapping_mul(0x9e37_79b1), payload);
        if crc == 0 { 1 } else { crc }
    }

    /// The checksum of a header inside the sector `number`, unlike that of any sector. Its seed is the
    /// store's secret, so that no value a caller stores can pass for a header.
    pub(super) fn header_checksum(self, number: u32, header: &[u8]) -> u32 {
        crc32c::crc32c_append(!self.seed ^ number.wrapping_mul(0x9e37_79b1), header)
    }

    /// Cuts `payload` into sectors from number `first` on, appended to `out`; the last is filled with zeros.
    pub fn push_sectors(self, payload: &[u8], first: u32, out: &mut Vec<u8>) {
        out.reserve(payload.len().div_ceil(PAYLOAD_BYTES) * SECTOR_BYTES);
        for (chunk, number) in payload.chunks(PAYLOAD_BYTES).zip(first..) {
            let start = out.len();
            out.extend_from_slice(chunk);
            out.resize(start + PAYLOAD_BYTES, 0);
            let crc = self.checksum(number, &out[start..]);
            out.extend(crc.to_le_bytes());
        }
    }

    /// What sector `number` is.
    pub fn check(self, number: u32, sector: &[u8; SECTOR_BYTES]) -> SectorState {
        #[cfg(any(test, debug_assertions))]
        if knob::CHECKS_ARE_OFF.get() {
            return if sector == &[0; SECTOR_BYTES] { SectorState::Zero } else { SectorState::Good };
        }
        let (payload, crc) = sector.split_at(PAYLOAD_BYTES);
        let stored = u32::from_le_bytes([crc[0], crc[1], crc[2], crc[3]]);
        if stored == self.checksum(number, payload) {
            SectorState::Good
        } else if sector.iter().all(|&byte| byte == 0) {
            SectorState::Zero
        } else {
            SectorState::Bad
        }
    }
}

/// Lets a test show that it would notice if nobody looked at checksums. Not in release builds.
#[cfg(any(test, debug_assertions))]
#[doc(hidden)]
pub mod knob {
    use std::cell::Cell;

    thread_local!(
        /// Set by a test, for its thread.
        pub static CHECKS_ARE_OFF: Cell<bool> = const { Cell::new(false) }
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_is_good_only_as_written_where_written() {
        let seal = SectorSeal::new(7, 3);
        let payload: Vec<u8> = (0..1_200_u32).map(|i| i.to_le_bytes()[0]).collect();
        let mut out = Vec::new();
        seal.push_sectors(&payload, 5, &mut out);
        let (sectors, rest) = out.as_chunks::<SECTOR_BYTES>();
        assert_eq!((sectors.len(), rest.len()), (3, 0));
        for (sector, number) in sectors.iter().zip(5..) {
            assert_eq!(seal.check(number, sector), SectorState::Good);
            assert_eq!(seal.check(number + 1, sector), SectorState::Bad, "in another place");
            assert_eq!(SectorSeal::new(7, 4).check(number, sector), SectorState::Bad, "in another segment");
            assert_eq!(SectorSeal::new(8, 3).check(number, sector), SectorState::Bad, "in another store");
            for bit in 0..SECTOR_BYTES * 8 {
                let mut flipped = *sector;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(seal.check(number, &flipped), SectorState::Bad, "bit {bit}");
            }
        }
        assert_eq!(seal.check(5, &[0; SECTOR_BYTES]), SectorState::Zero);
    }
}
