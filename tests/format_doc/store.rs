//! STORE, HEAD, MANIFEST, and the clocks of commits.

use std::path::Path;

use asof::disk::{Disk, MapAccess, MemDisk, OpenMode};
use asof::format::commits::{Commit, encode_commits};
use asof::format::manifest::{Manifest, Records};
use asof::format::{commits, manifest};
use asof::head::{self, Head, HeadState};
use asof::identity::Identity;

use super::document::{Instance, UUID, UUID_WORD, crc, xxh3};

#[test]
fn store_and_head_lie_as_the_document_says() {
    let bytes = Identity { required_features: 11, optional_features: 12, uuid: UUID, hash_seed: 13 }.encode();
    Instance::of("STORE", &bytes).holds(&[
        ("format version", 1),
        ("required features", 11),
        ("optional features", 12),
        ("store uuid", UUID_WORD),
        ("hash seed", 13),
        ("checksum", xxh3(&bytes[..56], 0)),
    ]);

    let disk = MemDisk::new();
    let dir = Path::new("s");
    disk.create_dir(dir).unwrap();
    let page = Head::create(&disk, dir, &UUID).unwrap();
    let state = HeadState {
        epoch: 21,
        committed_seq: 22,
        log_end: 23,
        log_synced: 24,
        manifest_generation: 25,
        definitions_revision: 26,
        ingested_at_us: 27,
        under_way: 29,
        ..HeadState::default()
    };
    page.begin(&state, 28).unwrap();
    page.close_clean(&state).unwrap();
    let file = disk.open(&dir.join("HEAD"), OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(head::HEAD_BYTES).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    let (device, inode) = file.identity().unwrap();
    Instance::of("HEAD", &bytes).holds(&[
        ("format version", 1),
        ("store uuid", UUID_WORD),
        ("epoch", 21),
        ("committed seq", 22),
        ("log end", 23),
        ("log synced", 24),
        ("manifest generation", 25),
        ("definitions revision", 26),
        ("ingested at", 27),
        ("boot id", u128::from_le_bytes(disk.boot_id())),
        ("device", device.into()),
        ("inode", inode.into()),
        ("writer pid", 28),
        ("clean", 1),
        ("checksum", xxh3(&bytes[..136], 0)),
        ("under way", 29),
    ]);
    assert!(Head::open(&disk, dir, &UUID, MapAccess::Read).unwrap().is_some());
}

#[test]
fn the_manifest_lies_as_the_document_says() {
    let records = Records::from([("meta".to_owned(), b"{}1".to_vec().into())]);
    let bytes = Manifest { store_uuid: UUID, generation: 31, records }.encode().unwrap();
    let (body, end) = bytes.split_at(bytes.len() - manifest::CRC_BYTES);
    let records = &body[manifest::HEADER_BYTES..];
    Instance::of("Manifest header", &bytes).holds(&[
        ("format version", 1),
        ("store uuid", UUID_WORD),
        ("generation", 31),
        ("record count", 1),
        ("length", 15),
        ("digest", xxhash_rust::xxh3::xxh3_128(records)),
    ]);
    Instance::of("Manifest record", records).holds(&[("key length", 4), ("value length", 3)]);
    assert_eq!(&records[8..], b"meta{}1");
    assert_eq!(end, crc32c::crc32c(body).to_le_bytes());
}

#[test]
fn the_commit_clock_lies_as_the_document_says() {
    let bytes = encode_commits(&[Commit { ingested_at: 91, last_seq: 92, source: 93 }]);
    let (header, entries) = bytes.split_at(commits::COMMITS_HEADER_BYTES);
    Instance::of("Commit clock header", header).holds(&[
        ("format version", 1),
        ("commit count", 1),
        ("entries checksum", crc(entries)),
        ("header checksum", crc(&header[..20])),
    ]);
    Instance::of("Commit clock entry", entries).holds(&[("ingested at", 91), ("last seq", 92), ("source", 93)]);
}
