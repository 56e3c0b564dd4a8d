//! A checkpoint of the keyspace: any bytes, or a sound file with changes, checksums mended or not; whatever is taken of it makes keys that
//! can be walked over again, and rows go on from it.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use asof::disk::{Disk, MemDisk};
use asof::format::checkpoint::{BLOCK_HEADER_BYTES, BlockHeader, HEADER_BYTES, Header};
use asof::format::keyspace::Change;
use asof::keyspace::checkpoint::{Checkpoint, CheckpointWriter, FILE_NAME};
use asof::keyspace::{Keyspace, Restoring};
use asof_fuzz::{get, mutate, put};
use libfuzzer_sys::fuzz_target;

const LATEST: &str = "/latest";
const UUID: [u8; 16] = [7; 16];
const SEED: u64 = 1;
/// A value that is written far out takes more memory than a fuzzer has.
const FILE_BYTES_MAX: usize = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    let Some((how, changes)) = bytes.split_first() else { return };
    let mut file = changes.to_vec();
    if how % 4 != 0 {
        file.clone_from(SOUND.get_or_init(sound));
        mutate(&mut file, changes);
    }
    if file.len() > FILE_BYTES_MAX {
        return;
    }
    if how & 4 != 0 {
        mend(&mut file);
    }
    let disk = MemDisk::volatile();
    disk.create_dir(LATEST.as_ref()).expect("a folder");
    put(&disk, &format!("{LATEST}/{FILE_NAME}"), &file);
    let Ok(Some(checkpoint)) = Checkpoint::open(&disk, LATEST.as_ref(), &UUID) else { return };
    let mut restoring = Restoring::new(SEED);
    if checkpoint.blocks(|block, records| restoring.block(block, records)).is_err()
        || restoring.end_blocks(&checkpoint.header).is_err()
    {
        return;
    }
    let first = restoring.first_seq();
    for (seq, change) in (first..).take(8).zip([
        Change::SetDeadline(Some(5)),
        Change::DeleteField(b"f1"),
        Change::TakeOver((0, b"string")),
        Change::Delete,
    ]) {
        restoring.row(seq, (0, b"hash"), change, 0);
        restoring.row(seq, (1, b""), Change::Truncate, 0);
    }
    let keyspace = restoring.finish();
    keyspace.begin_walk();
    while keyspace.next_of_walk(100).expect("names that were read can be written").is_some() {}
    keyspace.end_walk();
});

/// Makes the checksums right, and the length.
fn mend(file: &mut [u8]) {
    let len = file.len() as u64;
    let Some((header, blocks)) = file.split_first_chunk_mut::<HEADER_BYTES>() else { return };
    let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let (first_seq, last_seq, block_count) = (word(32), word(40), word(72));
    let mended = Header {
        uuid: UUID,
        first_seq,
        last_seq,
        commit_at_us: 0,
        forgotten_at_us: word(56).cast_signed(),
        file_bytes: len,
        block_count,
    };
    *header = mended.encode();
    let (mut rest, mut at) = (blocks, HEADER_BYTES as u64);
    while let Some((header, after)) = rest.split_first_chunk_mut::<BLOCK_HEADER_BYTES>() {
        let block_len = u64::from_le_bytes(header[..8].try_into().expect("eight bytes"));
        let Some(len) = usize::try_from(block_len).ok().filter(|len| *len <= after.len()) else { return };
        let (records, next) = after.split_at_mut(len);
        header[40..44].copy_from_slice(&crc32c::crc32c(records).to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&at.to_le_bytes()), &header[..44]);
        header[44..].copy_from_slice(&crc.to_le_bytes());
        assert!(header[33] != 1 || BlockHeader::parse(header, at).is_ok(), "it was mended");
        at += BLOCK_HEADER_BYTES as u64 + block_len;
        rest = next;
    }
}

/// The file of a few keys, in several blocks of both kinds.
fn sound() -> Vec<u8> {
    let mut keys = Keyspace::new(SEED);
    keys.set_string((0, b"string"), b"a value".to_vec(), Some(9));
    keys.set_string((15, b"other"), Vec::new(), None);
    for field in 0..600_u32 {
        let field = format!("f{field}");
        keys.set_field((0, b"hash"), field.as_bytes(), b"v");
        keys.set_field_deadline((0, b"hash"), field.as_bytes(), Some(7));
    }
    let disk = MemDisk::volatile();
    disk.create_dir(LATEST.as_ref()).expect("a folder");
    let mut writer = CheckpointWriter::create(&disk, LATEST.as_ref()).expect("a disk in memory");
    keys.begin_walk();
    let mut seq = 1;
    while let Some((kind, step)) = keys.next_of_walk(2_000).expect("short names") {
        writer.push(kind, &step, seq).expect("a disk in memory");
        seq += 1;
        keys.copy((0, b"string"), (0, b"copy"));
    }
    let (kind, step) = keys.last_of_walk().expect("short names");
    writer.push(kind, &step, seq).expect("a disk in memory");
    let header = Header {
        uuid: UUID,
        first_seq: 1,
        last_seq: seq,
        commit_at_us: 0,
        forgotten_at_us: 0,
        file_bytes: 0,
        block_count: 0,
    };
    writer.finish(header).expect("a disk in memory");
    get(&disk, &Path::new(LATEST).join(FILE_NAME))
}
