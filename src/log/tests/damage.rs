//! Torn ends are told from damage, and damage is told where it lies.

use super::*;
use crate::disk::CrashMode;
use crate::error::ErrorKind;
use crate::format::log::{offset_of, position};
use crate::format::sector::knob::CHECKS_ARE_OFF;

/// Three groups of several sectors each in one segment, synced or not; where each group begins, and what they hold.
fn three_groups(synced: bool) -> (MemDisk, Vec<LogPosition>, Vec<Batch>, LogPosition) {
    let disk = new_disk();
    let mut writer = fresh_writer(&disk);
    let (mut seq, mut starts, mut written) = (1, Vec::new(), Vec::new());
    for i in 0..3 {
        let (start, batches) = append(&mut writer, &mut seq, &[keys(4, 100 + i), keys(3, 200)]).unwrap();
        starts.push(start);
        written.extend(batches);
        if synced {
            writer.sync().unwrap();
        }
    }
    (disk, starts, written, writer.end())
}

/// How many flipped bits of a synced log go unnoticed.
fn unnoticed_flips() -> usize {
    let (disk, _, _, end) = three_groups(true);
    let file = disk.open(&path(1), OpenMode::Read).unwrap();
    let mut bytes = vec![0; offset_of(end) as usize];
    file.read_at(0, &mut bytes).unwrap();
    let mut unnoticed = 0;
    for (at, byte) in bytes.iter().enumerate() {
        overwrite(&disk, 1, at as u64, &[byte ^ 1 << (at % 8)]);
        match recover(&place(&disk), OpenMode::Write, 1, end, None, |_, _| Ok(())) {
            Err(error) => assert!(CHECKS_ARE_OFF.get() || error.kind() == ErrorKind::Damaged, "{error}"),
            Ok(_) => unnoticed += 1,
        }
        overwrite(&disk, 1, at as u64, &[*byte]);
    }
    unnoticed
}

#[test]
fn every_flipped_byte_of_what_was_synced_is_noticed() {
    assert_eq!(unnoticed_flips(), 0);
}

#[test]
fn without_sector_checksums_the_test_above_would_fail() {
    CHECKS_ARE_OFF.set(true);
    let unnoticed = unnoticed_flips();
    CHECKS_ARE_OFF.set(false);
    assert!(unnoticed > 1_000, "only {unnoticed} flips passed: the test above shows little");
}

#[test]
fn above_the_witness_a_lost_sector_ends_the_log_there() {
    let (disk, starts, written, end) = three_groups(false);
    let group_of = |at: u32| starts.iter().filter(|start| offset_of(**start) <= at).count() - 1;
    for at in (512..offset_of(end)).step_by(512) {
        for garbage in [[0; 512], [0xee; 512]] {
            let crashed = disk.crash_image(CrashMode::KeepAll);
            overwrite(&crashed, 1, at.into(), &garbage);
            let (recovered, read) = recover_all(&crashed, 1, 0).unwrap();
            assert_eq!(recovered.end(), position(1, at), "it ends at the first bad sector");
            assert!(written.starts_with(&read));
            // Two batches a group: those of the groups before, and what lies whole before the sector.
            let before = group_of(at) * 2;
            assert!(read.len() == before || read.len() == before + 1, "{} batches at {at}", read.len());
            let more_follows = garbage[0] != 0 || at + 512 < offset_of(end);
            assert_eq!(recovered.set_aside_bytes > 0, more_follows, "at {at}");
            // The next opening agrees, although the new segment is now a witness for what lies before.
            let mut writer = recovered.into_writer(false, 1, SEGMENT_BYTES).unwrap();
            let mut seq = writer.seq_limit() - (1 << 32);
            let added = append(&mut writer, &mut seq, &[keys(1, 3)]).unwrap().1;
            writer.sync().unwrap();
            let crashed = crashed.crash_image(CrashMode::DropAll);
            assert_eq!(recover_all(&crashed, 1, writer.synced()).unwrap().1, [read, added].concat(), "at {at}");
        }
    }
}

#[test]
fn below_the_witness_a_lost_sector_is_damage_with_its_place_and_a_remedy() {
    let (disk, _, _, end) = three_groups(false);
    for at in (512..offset_of(end)).step_by(512) {
        for garbage in [[0; 512], [0xee; 512]] {
            let crashed = disk.crash_image(CrashMode::KeepAll);
            overwrite(&crashed, 1, at.into(), &garbage);
            let error = recover_all(&crashed, 1, position(1, at + 512)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged);
            let text = error.to_string();
            assert!(text.contains(&segment_name(1)) && text.contains(&format!("offset {at}:")), "{text}");
            assert!(text.contains("put a copy of the store"), "{text}");
            assert!(recover_all(&crashed, 1, position(1, at)).is_ok(), "up to there nothing is missing");
        }
    }
}

#[test]
fn a_later_group_bears_witness_for_those_before_it() {
    let (disk, starts, _, _) = three_groups(true);
    // The third group says that the second was synced.
    overwrite(&disk, 1, offset_of(starts[1]).into(), &[0; 512]);
    assert_eq!(recover_all(&disk, 1, 0).unwrap_err().kind(), ErrorKind::Damaged);
    let (disk, starts, written, _) = three_groups(true);
    // Nothing says so of the third.
    overwrite(&disk, 1, offset_of(starts[2]).into(), &[0; 512]);
    assert_eq!(recover_all(&disk, 1, 0).unwrap().1, written[..4]);
}

#[test]
fn a_segment_that_is_missing_cut_or_from_elsewhere_is_damage() {
    let disk = new_disk();
    let mut writer = fresh_writer(&disk);
    let mut seq = 1;
    while writer.segment() < 4 {
        append(&mut writer, &mut seq, &[keys(5, 300)]).unwrap();
    }
    writer.sync().unwrap();
    let kind = |disk: &MemDisk| recover_all(disk, 1, writer.synced()).unwrap_err().kind();
    for segment in 1..=4 {
        let copy = disk.crash_image(CrashMode::KeepAll);
        copy.remove(&path(segment)).unwrap();
        assert_eq!(kind(&copy), ErrorKind::Damaged, "{segment} is missing");
        for len in (0..SEGMENT_BYTES).step_by(512) {
            let copy = disk.crash_image(CrashMode::KeepAll);
            copy.open(&path(segment), OpenMode::Write).unwrap().set_len(len).unwrap();
            assert_eq!(kind(&copy), ErrorKind::Damaged, "{segment} cut at {len}");
        }
        let copy = disk.crash_image(CrashMode::KeepAll);
        copy.rename(&path(segment), &path(segment % 4 + 1)).unwrap();
        assert_eq!(kind(&copy), ErrorKind::Damaged, "{segment} under another's name");
    }
}

/// Groups are of a frame of four rows and one of three.
const GROUP_ROWS: u64 = 7;

#[test]
fn a_row_is_verified_with_all_that_stands_before_it_in_its_group() {
    let (disk, starts, _, end) = three_groups(true);
    let verify = |disk: &MemDisk, start, seq| LogReader::verify(&place(disk), start, seq);
    for (group, &start) in (0..).zip(&starts) {
        let (first, last) = (GROUP_ROWS * group + 1, GROUP_ROWS * (group + 1));
        (first..=last).for_each(|seq| verify(&disk, start, seq).unwrap());
        for elsewhere in [0, first - 1, last + 1, u64::MAX] {
            assert_eq!(verify(&disk, start, elsewhere).unwrap_err().kind(), ErrorKind::Damaged, "row {elsewhere}");
        }
        let group_end = starts.get(group as usize + 1).copied().unwrap_or(end);
        let mut sound = 0;
        for at in (offset_of(start)..offset_of(group_end)).step_by(512) {
            let copy = disk.crash_image(CrashMode::KeepAll);
            overwrite(&copy, 1, at.into(), b"x");
            assert_eq!(verify(&copy, start, last).unwrap_err().kind(), ErrorKind::Damaged, "{at}");
            sound += u64::from(verify(&copy, start, first).is_ok());
        }
        assert!(sound > 0, "the second frame takes sectors of its own");
    }
    assert!(verify(&disk, end, GROUP_ROWS * 3 + 1).is_err());
    assert!(verify(&disk, starts[0] + 1, 1).is_err());
}

#[test]
fn a_segment_of_a_newer_release_is_no_damage() {
    use crate::format::log::SegmentHeader;
    let (disk, ..) = three_groups(true);
    let header = SegmentHeader {
        store_uuid: [7; 16],
        segment: 1,
        file_bytes: SEGMENT_BYTES,
        first_seq: 1,
        seq_limit: 9,
        prev_end: 0,
        synced: 0,
    };
    let mut payload = header.encode();
    payload[8] = 2;
    let mut sector = Vec::new();
    place(&disk).seal(1).push_sectors(&payload, 0, &mut sector);
    overwrite(&disk, 1, 0, &sector);
    assert_eq!(recover_all(&disk, 1, 0).unwrap_err().kind(), ErrorKind::NewerFormat);
}
