//! A checkpoint of the keyspace: its header, and that of a block.

use asof::format::checkpoint::{BlockHeader, BlockKind, Header, Place};

use super::document::{Instance, UUID, UUID_WORD, crc};

#[test]
fn a_checkpoint_lies_as_the_document_says() {
    let header = Header {
        uuid: UUID,
        first_seq: 1,
        last_seq: 2,
        commit_at_us: 4,
        forgotten_at_us: 5,
        file_bytes: 6,
        block_count: 7,
    };
    let bytes = header.encode();
    Instance::of("Checkpoint header", &bytes).holds(&[
        ("format version", 1),
        ("store uuid", UUID_WORD),
        ("first seq", 1),
        ("last seq", 2),
        ("committed at", 4),
        ("forgotten at", 5),
        ("file bytes", 6),
        ("block count", 7),
        ("checksum", crc(&bytes[..84])),
    ]);

    let end = Place { database: 7, key: 8, field: 9 };
    let block = BlockHeader { kind: BlockKind::Again, len: 10, seq: 11, end, records_crc: 12 };
    let bytes = block.encode(88);
    let checksummed = [&88_u64.to_le_bytes()[..], &bytes[..44]].concat();
    Instance::of("Checkpoint block header", &bytes).holds(&[
        ("records bytes", 10),
        ("seq", 11),
        ("end key", 8),
        ("end field", 9),
        ("end database", 7),
        ("kind", 2),
        ("records checksum", 12),
        ("header checksum", crc(&checksummed)),
    ]);
}
