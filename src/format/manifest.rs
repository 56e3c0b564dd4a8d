//! The MANIFEST file: every record of the registry at one generation, in one checksummed piece.
//!
//! ```text
//! manifest := header (72 bytes) records crc32c(everything before)
//! record   := u32 key length | u32 value length | key | value
//! ```
//!
//! Keys are UTF-8 and stand in strictly ascending order of their bytes, so that one set of records
//! has one encoding and one digest. The first 12 bytes and the last 4 mean the same in every format
//! version: a damaged file is told from a newer one.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use crate::error::{Error, ErrorKind, Result};

/// Marks a MANIFEST file.
pub const MAGIC: [u8; 8] = *b"asofMANI";
/// The version this release writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;
/// The header, before the records.
pub const HEADER_BYTES: usize = 72;
/// The checksum after the records.
pub const CRC_BYTES: usize = 4;
/// Longest key of a record, in bytes.
pub const KEY_BYTES_MAX: usize = 1_024;
/// Longest value of a record, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

const VERSION_AT: usize = 8;
const ZERO_AT: usize = 12;
const UUID_AT: usize = 16;
const GENERATION_AT: usize = 32;
const COUNT_AT: usize = 40;
const LENGTH_AT: usize = 48;
const DIGEST_AT: usize = 56;
const _: () = assert!(DIGEST_AT + 16 == HEADER_BYTES);

/// Records by key. What a value means is the registry's affair.
pub type Records = BTreeMap<String, Bytes>;

/// The registry's records at one generation, as readers in other processes get them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The store they belong to.
    pub store_uuid: [u8; 16],
    /// How many commits the registry had seen.
    pub generation: u64,
    /// Everything the registry held then.
    pub records: Records,
}

impl Manifest {
    /// The file's bytes.
    ///
    /// # Errors
    /// A record's key or value is longer than the format holds.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let records = encode_records(&self.records)?;
        let mut out = Vec::with_capacity(HEADER_BYTES + records.len() + CRC_BYTES);
        out.extend(MAGIC);
        out.extend(FORMAT_VERSION.to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        out.extend(self.store_uuid);
        out.extend(self.generation.to_le_bytes());
        out.extend((self.records.len() as u64).to_le_bytes());
        out.extend((records.len() as u64).to_le_bytes());
        out.extend(xxh3_128(&records).to_le_bytes());
        assert_eq!(out.len(), HEADER_BYTES, "the offsets above are the file's");
        out.extend(records);
        out.extend(crc32c::crc32c(&out).to_le_bytes());
        Ok(out)
    }

    /// Reads a file's bytes. `path` is for messages. Whatever the bytes are, the answer is a
    /// manifest or an error, and no length they declare is believed before it was checked.
    ///
    /// # Errors
    /// `Damaged`, or `NewerFormat` for a sound file of a later version.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Manifest> {
        let damaged = |what: &str| Error::damaged(path, what);
        if bytes.len() < HEADER_BYTES + CRC_BYTES || bytes[..MAGIC.len()] != MAGIC {
            return Err(damaged("this is no MANIFEST"));
        }
        let (body, crc) = bytes.split_at(bytes.len() - CRC_BYTES);
        let (expected, found) = (u32::from_le_bytes(word(crc, 0)), crc32c::crc32c(body));
        if expected != found {
            return Err(damaged(&format!("checksum {found:#010x}, expected {expected:#010x}")));
        }
        let version = u32::from_le_bytes(word(body, VERSION_AT));
        if version > FORMAT_VERSION {
            return Err(newer_format(path, version));
        }
        if version == 0 || u32::from_le_bytes(word(body, ZERO_AT)) != 0 {
            return Err(damaged("impossible header"));
        }
        let records = &body[HEADER_BYTES..];
        if u64::from_le_bytes(word(body, LENGTH_AT)) != records.len() as u64 {
            return Err(damaged("the records do not have the length the header says"));
        }
        if u128::from_le_bytes(word(body, DIGEST_AT)) != xxh3_128(records) {
            return Err(damaged("the records do not have the digest the header says"));
        }
        let records = decode_records(records).ok_or_else(|| damaged("the records cannot be told apart"))?;
        if u64::from_le_bytes(word(body, COUNT_AT)) != records.len() as u64 {
            return Err(damaged("there are not as many records as the header says"));
        }
        Ok(Manifest {
            store_uuid: word(body, UUID_AT),
            generation: u64::from_le_bytes(word(body, GENERATION_AT)),
            records,
        })
    }

    /// Tells these records from any others.
    ///
    /// # Errors
    /// As [`Manifest::encode`].
    pub fn digest(&self) -> Result<u128> {
        digest(&self.records)
    }
}

/// The xxh3-128 of the records as MANIFEST holds them.
///
/// # Errors
/// A record's key or value is longer than the format holds.
pub fn digest(records: &Records) -> Result<u128> {
    Ok(xxh3_128(&encode_records(records)?))
}

fn newer_format(path: &Path, version: u32) -> Error {
    Error::new(
        ErrorKind::NewerFormat,
        format!("format version {version}, and this release of asof reads up to {FORMAT_VERSION}"),
    )
    .at(path.display())
    .remedy("upgrade asof")
}

fn encode_records(records: &Records) -> Result<Vec<u8>> {
    let too_long = |key: &str| Error::invalid("the record is too long for the registry").at(key.to_owned());
    let mut out = Vec::new();
    for (key, value) in records {
        if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err(too_long(key));
        }
        out.extend(u32::try_from(key.len()).map_err(|_| too_long(key))?.to_le_bytes());
        out.extend(u32::try_from(value.len()).map_err(|_| too_long(key))?.to_le_bytes());
        out.extend(key.as_bytes());
        out.extend(value);
    }
    Ok(out)
}

fn decode_records(mut bytes: &[u8]) -> Option<Records> {
    let mut records = Records::new();
    while !bytes.is_empty() {
        let (key_len, rest) = bytes.split_first_chunk::<4>()?;
        let (value_len, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_len) as usize)?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_len) as usize)?;
        let key = std::str::from_utf8(key).ok()?;
        if records.last_key_value().is_some_and(|(last, _)| last.as_str() >= key) {
            return None;
        }
        records.insert(key.to_owned(), Bytes::copy_from_slice(value));
        bytes = rest;
    }
    Some(records)
}

/// `N` bytes at `offset`, which the caller knows to be there.
fn word<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[offset..offset + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let records = [("meta", "{}"), ("run/0000000001", "{\"id\":1}"), ("service/a", "")];
        Manifest {
            store_uuid: *b"0123456789abcdef",
            generation: 7,
            records: records
                .into_iter()
                .map(|(key, value)| (key.to_owned(), Bytes::from_static(value.as_bytes())))
                .collect(),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Manifest> {
        Manifest::parse(bytes, Path::new("MANIFEST"))
    }

    fn with_crc(mut body: Vec<u8>) -> Vec<u8> {
        body.extend(crc32c::crc32c(&body).to_le_bytes());
        body
    }

    #[test]
    fn records_come_back_as_they_went() {
        let empty = Manifest { records: Records::new(), ..sample() };
        for manifest in [sample(), empty] {
            assert_eq!(parse(&manifest.encode().unwrap()).unwrap(), manifest);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = sample().encode().unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(parse(&flipped).unwrap_err().kind(), ErrorKind::Damaged, "byte {at} bit {bit}");
            }
            assert_eq!(parse(&bytes[..at]).unwrap_err().kind(), ErrorKind::Damaged, "cut at {at}");
        }
    }

    /// A checksum proves nothing about who computed it: the fields are checked even under a right one.
    #[test]
    fn lies_under_a_right_checksum_are_errors_and_never_panics() {
        let bytes = sample().encode().unwrap();
        let body = &bytes[..bytes.len() - CRC_BYTES];
        for at in [ZERO_AT, COUNT_AT, LENGTH_AT, DIGEST_AT, HEADER_BYTES, HEADER_BYTES + 4] {
            for value in [0xff, 0x80] {
                let mut lie = body.to_vec();
                lie[at] ^= value;
                assert_eq!(parse(&with_crc(lie)).unwrap_err().kind(), ErrorKind::Damaged, "byte {at}");
            }
        }
        let mut records = body[HEADER_BYTES..].to_vec();
        records[..4].fill(0xff);
        assert_eq!(decode_records(&records), None);
        let twice = [encode_records(&sample().records).unwrap(), encode_records(&sample().records).unwrap()].concat();
        assert_eq!(decode_records(&twice), None);
    }

    #[test]
    fn a_newer_version_is_called_newer_and_not_damaged() {
        let bytes = sample().encode().unwrap();
        let mut body = bytes[..bytes.len() - CRC_BYTES].to_vec();
        body[VERSION_AT] = 2;
        let error = parse(&with_crc(body)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NewerFormat);
        assert_eq!(
            error.to_string(),
            "MANIFEST: format version 2, and this release of asof reads up to 1; upgrade asof"
        );
    }

    #[test]
    fn a_record_too_long_is_refused_before_it_is_written() {
        let mut manifest = sample();
        manifest.records.insert("x".repeat(KEY_BYTES_MAX + 1), Bytes::new());
        assert_eq!(manifest.encode().unwrap_err().kind(), ErrorKind::Invalid);
    }
}
