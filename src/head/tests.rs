//! What a HEAD page says to whoever reads it, and when it is believed.

use super::*;
use crate::disk::MemDisk;

const UUID: [u8; 16] = *b"0123456789abcdef";

fn store() -> (MemDisk, &'static Path) {
    let (disk, dir) = (MemDisk::new(), Path::new("/store"));
    disk.create_dir(dir).unwrap();
    (disk, dir)
}

fn state(epoch: u64, committed_seq: u64) -> HeadState {
    HeadState {
        epoch,
        committed_seq,
        log_end: 3 << 32 | 4_096,
        log_synced: 3 << 32 | 1_024,
        manifest_generation: 12,
        definitions_revision: 5,
        ingested_at_us: -1,
        ..HeadState::default()
    }
}

fn reader(disk: &MemDisk, dir: &Path) -> Head {
    Head::open(disk, dir, &UUID, MapAccess::Read).unwrap().unwrap()
}

fn trust(disk: &MemDisk, dir: &Path) -> Trust {
    reader(disk, dir).read_trusted().1
}

/// The page, byte for byte, as another file on another disk.
fn copied(disk: &MemDisk, dir: &Path) -> (MemDisk, &'static Path) {
    let mut page = vec![0; usize::try_from(HEAD_BYTES).unwrap()];
    disk.open(&dir.join(FILE_NAME), OpenMode::Read).unwrap().read_at(0, &mut page).unwrap();
    let (other, dir) = store();
    // Takes the inode that the page's file would otherwise have here too.
    other.open(&dir.join("LOCK"), OpenMode::Create).unwrap();
    atomic_write(&other, dir, FILE_NAME, &page).unwrap();
    (other, dir)
}

#[test]
fn a_reader_sees_what_the_writer_published() {
    let (disk, dir) = store();
    let writer = Head::create(&disk, dir, &UUID).unwrap();
    writer.begin(&state(1, 10), 4242).unwrap();
    let reader = reader(&disk, dir);
    assert_eq!(reader.committed_seq(), 10);
    writer.publish(&state(1, 20));
    let seen = reader.read();
    assert_eq!((seen.committed_seq, seen.epoch, seen.writer_pid), (20, 1, 4242));
    assert_eq!((seen.log_end, seen.log_synced), (3 << 32 | 4_096, 3 << 32 | 1_024));
    assert_eq!((seen.manifest_generation, seen.definitions_revision, seen.ingested_at_us), (12, 5, -1));
    assert_eq!(seen.boot_id, disk.boot_id());
}

#[test]
fn a_commit_is_under_way_from_its_announcement_until_it_is_seen_or_gave_no_numbers() {
    let (disk, dir) = store();
    let writer = Head::create(&disk, dir, &UUID).unwrap();
    writer.begin(&HeadState { under_way: 12, ..state(1, 10) }, 1).unwrap();
    let reader = reader(&disk, dir);
    assert_eq!(reader.under_way(), Some(12), "rows that a killed writer left");
    writer.publish(&state(1, 20));
    assert_eq!(reader.under_way(), None);
    for (announced, committed) in [(21, 23), (24, 24)] {
        writer.announce(announced);
        assert_eq!(reader.under_way(), Some(announced));
        writer.publish(&state(1, committed));
        assert_eq!(reader.under_way(), None);
    }
    writer.announce(25);
    writer.announce(0);
    assert_eq!(reader.under_way(), None);
    writer.announce(UNSETTLED);
    assert_eq!(reader.under_way(), Some(UNSETTLED));
}

#[test]
fn a_new_page_says_nothing_and_is_not_trusted() {
    let (disk, dir) = store();
    assert!(Head::open(&disk, dir, &UUID, MapAccess::Read).unwrap().is_none());
    Head::create(&disk, dir, &UUID).unwrap();
    assert_eq!(trust(&disk, dir), Trust::Untrusted);
}

#[test]
fn a_killed_writers_page_is_trusted_within_the_boot_and_on_that_file_only() {
    let (disk, dir) = store();
    let writer = Head::create(&disk, dir, &UUID).unwrap();
    writer.begin(&state(1, 10), 1).unwrap();
    assert_eq!(trust(&disk, dir), Trust::SameBoot);
    let (elsewhere, elsewhere_dir) = copied(&disk, dir);
    assert_eq!(trust(&elsewhere, elsewhere_dir), Trust::Untrusted);
    // The same file, as it was left by another boot.
    writer.store(word::BOOT_ID, writer.load(word::BOOT_ID) ^ 1);
    assert_eq!(trust(&disk, dir), Trust::Untrusted);
}

#[test]
fn a_clean_close_is_trusted_anywhere_until_a_writer_begins() {
    let (disk, dir) = store();
    let writer = Head::create(&disk, dir, &UUID).unwrap();
    writer.begin(&state(1, 10), 1).unwrap();
    writer.close_clean(&state(1, 11)).unwrap();
    let (disk, dir) = copied(&disk, dir);
    let (seen, trust) = reader(&disk, dir).read_trusted();
    assert_eq!((seen.committed_seq, trust), (11, Trust::Clean));
    let writer = Head::open(&disk, dir, &UUID, MapAccess::Write).unwrap().unwrap();
    writer.begin(&state(2, 11), 2).unwrap();
    let (seen, trust) = reader(&disk, dir).read_trusted();
    assert_eq!((seen.is_clean, trust), (false, Trust::SameBoot));
}

#[test]
fn every_flipped_bit_of_a_clean_page_takes_the_trust_away() {
    let (disk, dir) = store();
    let writer = Head::create(&disk, dir, &UUID).unwrap();
    writer.begin(&state(1, 10), 1).unwrap();
    writer.close_clean(&state(1, 10)).unwrap();
    assert!(writer.read().is_clean);
    for index in 0..=word::CHECKSUM {
        for bit in [0, 7, 31, 63] {
            let value = writer.load(index);
            writer.store(index, value ^ 1 << bit);
            assert!(!writer.read().is_clean, "word {index} bit {bit}");
            // Nor is it taken for the page of a writer that was killed.
            assert!(index == word::CLEAN || writer.read_trusted().1 == Trust::Untrusted, "word {index} bit {bit}");
            writer.store(index, value);
        }
    }
    assert!(writer.read().is_clean);
}

#[test]
fn a_page_of_another_store_or_length_is_none() {
    let (disk, dir) = store();
    Head::create(&disk, dir, &UUID).unwrap();
    assert!(Head::open(&disk, dir, &[7; 16], MapAccess::Read).unwrap().is_none());
    disk.open(&dir.join(FILE_NAME), OpenMode::Write).unwrap().set_len(100).unwrap();
    assert!(Head::open(&disk, dir, &UUID, MapAccess::Read).unwrap().is_none());
}
