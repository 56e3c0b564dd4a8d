//! A checkpoint of the keyspace: all its keys as of a number, so that an opening need not do its whole history again.
//!
//! ```text
//! file    := header | block ...
//! block   := block header | row records of the keyspace, back to back
//! ```
//!
//! Blocks are written one after the other while keys change. Each says as of which number it is, and up to which place all keys have been
//! written with it; the others hold keys that took over others meanwhile, once more. So a row belongs on top of a key if its number is greater
//! than that of the block which has the key's place.

use std::fmt;

/// First bytes of a checkpoint.
pub const MAGIC: [u8; 8] = *b"asofkeys";
/// The version this release writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes before the blocks.
pub const HEADER_BYTES: usize = 88;
/// Bytes before a block's records.
pub const BLOCK_HEADER_BYTES: usize = 48;

const HEADER_CRC_AT: usize = HEADER_BYTES - 4;
const BLOCK_CRC_AT: usize = BLOCK_HEADER_BYTES - 4;

/// A place in the order that keys are written in: by database, then by the hash of the name, then by that of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The database; one more than the last is the end of all.
    pub database: u8,
    /// Top 48 bits of the hash of the key's name.
    pub key: u64,
    /// Top 48 bits of the hash of the field's name, where a hash is written in parts; otherwise 0.
    pub field: u64,
}

/// What a checkpoint is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The store.
    pub uuid: [u8; 16],
    /// Rows up to this number are in all blocks.
    pub first_seq: u64,
    /// Rows above this number are in none. It is the last number of the log's last commit then.
    pub last_seq: u64,
    /// The time of that commit, microseconds since 1970.
    pub commit_at_us: i64,
    /// Keys and fields that went by this time may be missing, microseconds since 1970: no row that comes since may be of a time before it, or
    /// it would be done to what is still there where all rows are read. `i64::MIN`: none is missing.
    pub forgotten_at_us: i64,
    /// The file's length.
    pub file_bytes: u64,
    /// How many blocks there are.
    pub block_count: u64,
}

/// What a block's records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// All keys between the place where the block before it ends and this one's end.
    Walked,
    /// Keys once more that were written before, each after a delete of what it was.
    Again,
}

/// What stands before a block's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// What they are.
    pub kind: BlockKind,
    /// How many bytes they take.
    pub len: u64,
    /// The number that they are as of.
    pub seq: u64,
    /// All keys before this place have been written with this block.
    pub end: Place,
    /// crc32c of the records.
    pub records_crc: u32,
}

/// Why bytes are no checkpoint of this store that this release can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable(pub &'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Header {
    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend(MAGIC);
        out.extend(FORMAT_VERSION.to_le_bytes());
        out.extend([0; 4]);
        out.extend(self.uuid);
        for word in [self.first_seq, self.last_seq] {
            out.extend(word.to_le_bytes());
        }
        out.extend(self.commit_at_us.to_le_bytes());
        out.extend(self.forgotten_at_us.to_le_bytes());
        out.extend(self.file_bytes.to_le_bytes());
        out.extend(self.block_count.to_le_bytes());
        out.extend([0; 4]);
        out.extend(crc32c::crc32c(&out).to_le_bytes());
        filled(&out)
    }

    /// Reads the header of a checkpoint of a store.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8; HEADER_BYTES], uuid: &[u8; 16]) -> Result<Header, Unreadable> {
        if bytes[..8] != MAGIC {
            return Err(Unreadable("it is no checkpoint"));
        }
        if u32_at(bytes, HEADER_CRC_AT) != crc32c::crc32c(&bytes[..HEADER_CRC_AT]) {
            return Err(Unreadable("its header's checksum differs"));
        }
        if u32_at(bytes, 8) != FORMAT_VERSION {
            return Err(Unreadable("it is of a version that this release does not know"));
        }
        let header = Header {
            uuid: filled(&bytes[16..32]),
            first_seq: u64_at(bytes, 32),
            last_seq: u64_at(bytes, 40),
            commit_at_us: u64_at(bytes, 48).cast_signed(),
            forgotten_at_us: u64_at(bytes, 56).cast_signed(),
            file_bytes: u64_at(bytes, 64),
            block_count: u64_at(bytes, 72),
        };
        if header.uuid != *uuid {
            return Err(Unreadable("it is of another store"));
        }
        if header.first_seq > header.last_seq {
            return Err(Unreadable("it ends before it begins"));
        }
        Ok(header)
    }
}

impl BlockHeader {
    /// The bytes of that of a block at `offset` of its file.
    pub fn encode(&self, offset: u64) -> [u8; BLOCK_HEADER_BYTES] {
        let mut out = Vec::with_capacity(BLOCK_HEADER_BYTES);
        for word in [self.len, self.seq, self.end.key, self.end.field] {
            out.extend(word.to_le_bytes());
        }
        let kind = match self.kind {
            BlockKind::Walked => 1,
            BlockKind::Again => 2,
        };
        out.extend([self.end.database, kind, 0, 0]);
        out.extend([0; 4]);
        out.extend(self.records_crc.to_le_bytes());
        out.extend(block_crc(&out, offset).to_le_bytes());
        filled(&out)
    }

    /// Reads that of the block at `offset`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8; BLOCK_HEADER_BYTES], offset: u64) -> Result<BlockHeader, Unreadable> {
        if u32_at(bytes, BLOCK_CRC_AT) != block_crc(&bytes[..BLOCK_CRC_AT], offset) {
            return Err(Unreadable("a block header's checksum differs"));
        }
        let kind = match bytes[33] {
            1 => BlockKind::Walked,
            2 => BlockKind::Again,
            _ => return Err(Unreadable("a block is of a kind that is not known")),
        };
        let end = Place { database: bytes[32], key: u64_at(bytes, 16), field: u64_at(bytes, 24) };
        Ok(BlockHeader { kind, len: u64_at(bytes, 0), seq: u64_at(bytes, 8), end, records_crc: u32_at(bytes, 40) })
    }
}

/// A block that lies where another was is none.
fn block_crc(bytes: &[u8], offset: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), bytes)
}

fn filled<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(filled(&bytes[at..at + 4]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(filled(&bytes[at..at + 8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: [u8; 16] = [7; 16];

    fn header() -> Header {
        Header {
            uuid: UUID,
            first_seq: 1,
            last_seq: 2,
            commit_at_us: -4,
            forgotten_at_us: -5,
            file_bytes: 6,
            block_count: 7,
        }
    }

    #[test]
    fn what_was_written_is_read_and_nothing_that_differs_in_a_bit() {
        let bytes = header().encode();
        assert_eq!(Header::parse(&bytes, &UUID), Ok(header()));
        let end = Place { database: 16, key: 1 << 47, field: 3 };
        let block = BlockHeader { kind: BlockKind::Again, len: 1 << 40, seq: 9, end, records_crc: 5 };
        let block_bytes = block.encode(88);
        assert_eq!(BlockHeader::parse(&block_bytes, 88), Ok(block));
        assert!(BlockHeader::parse(&block_bytes, 89).is_err(), "it lies elsewhere");
        for bit in 0..HEADER_BYTES * 8 {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::parse(&other, &UUID).is_err(), "bit {bit}");
        }
        for bit in 0..BLOCK_HEADER_BYTES * 8 {
            let mut other = block_bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(BlockHeader::parse(&other, 88).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn one_of_another_store_or_version_is_none() {
        assert_eq!(Header::parse(&header().encode(), &[8; 16]), Err(Unreadable("it is of another store")));
        let mut newer = header().encode();
        newer[8] = 2;
        let crc = crc32c::crc32c(&newer[..HEADER_CRC_AT]);
        newer[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert!(Header::parse(&newer, &UUID).unwrap_err().0.contains("version"));
    }
}
