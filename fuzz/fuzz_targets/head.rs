//! The HEAD page: any bytes, or a sound page with changes, with or without what makes it believed; what it says then, and how
//! far it is believed, word by word as storage_format.md has them.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use asof::disk::{Disk, MapAccess, MemDisk, OpenMode};
use asof::head::{FORMAT_VERSION, HEAD_BYTES, Head, HeadState, MAGIC, Trust};
use asof_fuzz::{get, mutate, put};
use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_64;

const DIR: &str = "/store";
const PATH: &str = "/store/HEAD";
const UUID: [u8; 16] = [7; 16];

const EPOCH: usize = 4;
const COMMITTED_SEQ: usize = 5;
const BOOT_ID: usize = 11;
const FILE_IDENTITY: usize = 13;
const CLEAN: usize = 16;
const CHECKSUM: usize = 17;
const UNDER_WAY: usize = 18;

fuzz_target!(|bytes: &[u8]| {
    static CLOSED: OnceLock<Vec<u8>> = OnceLock::new();
    static IN_USE: OnceLock<Vec<u8>> = OnceLock::new();
    let Some((how, changes)) = bytes.split_first() else { return };
    let mut page = match how % 4 {
        0 => changes.to_vec(),
        1 => CLOSED.get_or_init(|| sound(true)).clone(),
        _ => IN_USE.get_or_init(|| sound(false)).clone(),
    };
    if how % 4 != 0 {
        mutate(&mut page, changes);
    }
    let disk = disk();
    put(&disk, PATH, &page);
    let (device, inode) = disk.open(PATH.as_ref(), OpenMode::Read).and_then(|file| file.identity()).expect("a file");
    let boot = disk.boot_id();
    if page.len() as u64 == HEAD_BYTES {
        if how & 16 != 0 {
            set(&mut page, BOOT_ID, half(&boot, 0));
            set(&mut page, BOOT_ID + 1, half(&boot, 8));
            set(&mut page, FILE_IDENTITY, device);
            set(&mut page, FILE_IDENTITY + 1, inode);
        }
        if how & 32 != 0 {
            set(&mut page, CLEAN, 1);
        }
        if how & 64 != 0 {
            let checksum = xxh3_64(&page[..CHECKSUM * 8]);
            set(&mut page, CHECKSUM, checksum);
        }
    }
    disk.open(PATH.as_ref(), OpenMode::Write).and_then(|file| file.write_at(0, &page)).expect("a disk in memory");

    let word = |at: usize| half(&page, at * 8);
    let is_head = page.len() as u64 == HEAD_BYTES
        && (word(0), word(1)) == (MAGIC, FORMAT_VERSION)
        && (word(2), word(3)) == (half(&UUID, 0), half(&UUID, 8));
    let open = |access| Head::open(&disk, DIR.as_ref(), &UUID, access).expect("a file that is there");
    let Some(head) = open(MapAccess::Read) else {
        assert!(!is_head, "a HEAD of this store is none");
        return;
    };
    assert!(is_head, "what is no HEAD of this store is one");
    assert!(head.is_in_place(&disk, Path::new(DIR)).expect("a disk in memory"));

    let (state, trust) = head.read_trusted();
    let is_clean = word(CLEAN) == 1 && word(CHECKSUM) == xxh3_64(&page[..CHECKSUM * 8]);
    let is_own = (word(BOOT_ID), word(BOOT_ID + 1)) == (half(&boot, 0), half(&boot, 8))
        && (word(FILE_IDENTITY), word(FILE_IDENTITY + 1)) == (device, inode);
    let is_changed = word(CLEAN) == 1 && word(CHECKSUM) != 0;
    let expected = match (is_clean, is_own && word(EPOCH) > 0 && !is_changed) {
        (true, _) => Trust::Clean,
        (false, true) => Trust::SameBoot,
        (false, false) => Trust::Untrusted,
    };
    assert_eq!((state.is_clean, trust), (is_clean, expected));
    assert_eq!((state.epoch, state.committed_seq), (word(EPOCH), word(COMMITTED_SEQ)));
    assert_eq!((state.log_end, state.log_synced), (word(6), word(7)));
    assert_eq!((state.manifest_generation, state.definitions_revision), (word(8), word(9)));
    assert_eq!((state.ingested_at_us, state.writer_pid), (word(10).cast_signed(), word(15)));
    assert_eq!(head.under_way(), Some(word(UNDER_WAY)).filter(|first| *first > word(COMMITTED_SEQ)));

    // Whatever stood there, the next writer's page is believed, in use and closed, and a reader that had it before follows.
    // The page of a store that had so many writers is made anew before anybody begins on it.
    let Some(epoch) = state.epoch.checked_add(1) else { return };
    let writer = open(MapAccess::Write).expect("it was one");
    let mine = HeadState { epoch, under_way: 0, ..state };
    writer.begin(&mine, 4242).expect("a disk in memory");
    let said = head.read_trusted();
    assert_eq!((said.0.epoch, said.0.committed_seq, said.1), (epoch, state.committed_seq, Trust::SameBoot));
    writer.close_clean(&mine).expect("a disk in memory");
    let said = head.read_trusted();
    assert_eq!((said.0.writer_pid, said.0.log_end, said.1), (4242, state.log_end, Trust::Clean));
});

fn disk() -> MemDisk {
    let disk = MemDisk::volatile();
    disk.create_dir(DIR.as_ref()).expect("a folder");
    disk
}

/// A page as a writer leaves it: closed in order, or killed in the middle of a commit.
fn sound(is_closed: bool) -> Vec<u8> {
    let disk = disk();
    let head = Head::create(&disk, DIR.as_ref(), &UUID).expect("a page");
    let state = HeadState {
        epoch: 3,
        committed_seq: 10,
        log_end: 3 << 32 | 4_096,
        log_synced: 3 << 32 | 1_024,
        manifest_generation: 12,
        definitions_revision: 5,
        ingested_at_us: -1,
        ..HeadState::default()
    };
    head.begin(&state, 1).expect("a disk in memory");
    if is_closed {
        head.close_clean(&state).expect("a disk in memory");
    } else {
        head.announce(11);
    }
    get(&disk, Path::new(PATH))
}

/// Eight bytes as a word.
fn half(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn set(page: &mut [u8], at: usize, word: u64) {
    page[at * 8..][..8].copy_from_slice(&word.to_le_bytes());
}
