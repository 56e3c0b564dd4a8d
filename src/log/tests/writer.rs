//! What the writer promises while nothing crashes, and when an operation fails.

use super::*;
use crate::disk::{CrashMode, Operation};
use crate::error::ErrorKind;
use crate::format::log::{offset_of, segment_of};

/// The next operation of this kind fails; everything after it works again once the test revives the disk.
fn fail_next(disk: &MemDisk, operation: Operation) {
    disk.on_operation(move |info| {
        if info.operation == operation {
            info.disk.fail_after(info.number);
        }
    });
}

fn revive(disk: &MemDisk) {
    disk.on_operation(|_| ());
    disk.fail_after(u64::MAX);
}

#[test]
fn what_was_written_over_many_segments_comes_back_in_order() {
    let disk = new_disk();
    let mut writer = fresh_writer(&disk);
    let (mut seq, mut written) = (1, Vec::new());
    for i in 0..60 {
        let group: Vec<_> = (0..=i % 4).map(|j| keys(1 + (i * j) % 13, 1 + i)).collect();
        written.extend(append(&mut writer, &mut seq, &group).unwrap().1);
    }
    assert!(writer.segment() > 3, "the test is to rotate");
    let (recovered, read) = recover_all(&disk, 1, 0).unwrap();
    assert_eq!(read, written);
    assert_eq!((recovered.end(), recovered.next_seq()), (writer.end(), seq));
    assert_eq!(recovered.set_aside_bytes, 0);
}

#[test]
fn after_a_clean_close_the_log_goes_on_in_the_same_segment_and_a_stale_mark_is_refused() {
    let disk = new_disk();
    let mut writer = fresh_writer(&disk);
    let mut seq = 1;
    append(&mut writer, &mut seq, &[keys(2, 5)]).unwrap();
    writer.sync().unwrap();
    let closed_at = writer.end();
    let reopen = || recover(&place(&disk), OpenMode::Write, 1, closed_at, Some(closed_at), |_, _| Ok(())).unwrap();
    let mut writer = reopen().into_writer(true, seq, SEGMENT_BYTES).unwrap();
    assert_eq!(writer.end(), closed_at);
    append(&mut writer, &mut seq, &[keys(2, 6)]).unwrap();
    assert_eq!(recover_all(&disk, 1, 0).unwrap().1.len(), 2);
    assert_eq!(reopen().into_writer(true, seq, SEGMENT_BYTES).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn a_group_larger_than_a_segment_gets_one_of_its_own() {
    let disk = new_disk();
    let mut writer = fresh_writer(&disk);
    let mut seq = 1;
    append(&mut writer, &mut seq, &[keys(1, 5)]).unwrap();
    let (position, _) = append(&mut writer, &mut seq, &[keys(100, 400), keys(3, 9)]).unwrap();
    assert_eq!((segment_of(position), offset_of(position)), (2, 512));
    append(&mut writer, &mut seq, &[keys(1, 5)]).unwrap();
    let read = recover_all(&disk, 1, 0).unwrap().1;
    assert_eq!(read.iter().map(|(_, keys)| keys.len()).collect::<Vec<_>>(), [1, 100, 3, 1]);
    assert_eq!(writer.make_room(2 << 30, seq, seq + 1).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_sync_that_was_begun_covers_what_was_written_before_it_and_its_failure_poisons() {
    let disk = new_disk();
    let mut writer = fresh_writer(&disk);
    let mut seq = 1;
    for _ in 0..3 {
        append(&mut writer, &mut seq, &[keys(2, 5)]).unwrap();
        writer.begin_sync();
        writer.begin_sync();
        assert!(writer.synced() < writer.end(), "nobody has waited for it yet");
        writer.sync().unwrap();
        assert_eq!(writer.synced(), writer.end());
    }
    assert_eq!(recover_all(&disk.crash_image(CrashMode::DropAll), 1, 0).unwrap().1.len(), 3);
    append(&mut writer, &mut seq, &[keys(2, 5)]).unwrap();
    fail_next(&disk, Operation::Sync);
    writer.begin_sync();
    assert!(writer.sync().is_err());
    revive(&disk);
    assert_eq!(writer.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(append(&mut writer, &mut seq.clone(), &[keys(2, 5)]).is_err());
}

#[test]
fn a_rotation_that_finds_no_room_leaves_the_log_in_use() {
    // A folder that is to be synced is opened first, and a process may have no descriptor left.
    for operation in [Operation::Create, Operation::Allocate, Operation::SyncDir] {
        let disk = new_disk();
        let mut writer = fresh_writer(&disk);
        let (mut seq, mut written) = (1, Vec::new());
        written.extend(append(&mut writer, &mut seq, &[keys(10, 500)]).unwrap().1);
        writer.sync().unwrap();
        fail_next(&disk, operation);
        assert!(append(&mut writer, &mut seq.clone(), &[keys(10, 500)]).is_err());
        revive(&disk);
        written.extend(append(&mut writer, &mut seq, &[keys(1, 500)]).unwrap().1);
        assert_eq!(writer.segment(), 1, "there was room for a small one");
        written.extend(append(&mut writer, &mut seq, &[keys(10, 500)]).unwrap().1);
        assert_eq!(writer.segment(), 2);
        writer.sync().unwrap();
        let crashed = disk.crash_image(CrashMode::DropAll);
        assert_eq!(recover_all(&crashed, 1, writer.synced()).unwrap().1, written, "{operation:?}");
    }
}

#[test]
fn the_first_failed_write_or_sync_ends_a_writer_and_loses_nothing_acknowledged() {
    // A header whose sync failed may be durable, and it says where the segment before ends: had the writer gone
    // on there, what it acknowledged next would have been lost by a crash.
    for rotates in [false, true] {
        for operation in [Operation::Write, Operation::Sync] {
            let disk = new_disk();
            let mut writer = fresh_writer(&disk);
            let mut seq = 1;
            let acknowledged = append(&mut writer, &mut seq, &[keys(10, 500)]).unwrap().1;
            writer.sync().unwrap();
            let synced = writer.synced();
            fail_next(&disk, operation);
            let count = if rotates { 10 } else { 1 };
            let failed = append(&mut writer, &mut seq, &[keys(count, 500)]).and_then(|_| writer.sync()).unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::Io);
            revive(&disk);
            let refused = append(&mut writer, &mut seq, &[keys(1, 5)]).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Poisoned, "{operation:?}, rotates: {rotates}");
            assert!(refused.to_string().contains("crashed"), "names the first cause: {refused}");
            assert_eq!(writer.sync().unwrap_err().kind(), ErrorKind::Poisoned);
            for seed in 0..50 {
                let crashed = disk.crash_image(CrashMode::Random(seed));
                let (_, read) = recover_all(&crashed, 1, synced).unwrap();
                assert!(read.starts_with(&acknowledged), "{operation:?}, rotates: {rotates}, seed {seed}");
            }
        }
    }
}

#[test]
fn a_reader_follows_to_every_limit_and_learns_that_a_segment_went_away() {
    let disk = new_disk();
    let mut writer = fresh_writer(&disk);
    let mut reader = LogReader::new(place(&disk), 1);
    let (mut seq, mut written, mut read) = (1, Vec::new(), Vec::new());
    for i in 0..40 {
        written.extend(append(&mut writer, &mut seq, &[keys(1 + i % 7, 100), keys(2, 3)]).unwrap().1);
        if i % 3 == 0 {
            let limit = writer.end();
            reader
                .read_new(limit, |frame, _| {
                    read.push(batch_of(&frame));
                    Ok(())
                })
                .unwrap();
            assert_eq!(read, written);
            assert_eq!(reader.position(), limit);
        }
    }
    let mut late = LogReader::new(place(&disk), 1);
    place(&disk).remove_below(3).unwrap();
    assert!(late.read_new(writer.end(), |_, _| Ok(())).unwrap_err().is_missing_file());
    let rest = recover_all(&disk, 3, 0).unwrap().1;
    assert!(written.ends_with(&rest) && !rest.is_empty(), "what was sealed is not needed");
}

#[test]
fn numbers_that_run_out_begin_a_new_segment() {
    let disk = new_disk();
    let mut writer = fresh_writer(&disk);
    let mut seq = writer.seq_limit() - 1;
    append(&mut writer, &mut seq, &[keys(1, 5)]).unwrap();
    assert_eq!(writer.segment(), 1);
    append(&mut writer, &mut seq, &[keys(1, 5)]).unwrap();
    assert_eq!(writer.segment(), 2);
    assert_eq!(recover_all(&disk, 1, 0).unwrap().1.len(), 2);
}

#[test]
fn where_there_is_no_thread_to_sync_beside_the_work_a_sync_is_one_like_any_other() {
    let disk = new_disk();
    let mut writer = fresh_writer(&disk);
    let mut seq = 1;
    crate::log::beside::knob::THERE_IS_NO_THREAD.set(true);
    append(&mut writer, &mut seq, &[keys(2, 5)]).unwrap();
    let here = std::thread::current().id();
    disk.on_operation(move |_| assert_eq!(std::thread::current().id(), here));
    writer.begin_sync();
    writer.sync().unwrap();
    assert_eq!(writer.synced(), writer.end());
    assert_eq!(recover_all(&disk.crash_image(CrashMode::DropAll), 1, writer.synced()).unwrap().1.len(), 1);
    append(&mut writer, &mut seq, &[keys(2, 5)]).unwrap();
    fail_next(&disk, Operation::Sync);
    writer.begin_sync();
    assert_eq!(writer.sync().unwrap_err().kind(), ErrorKind::Io);
    revive(&disk);
    assert_eq!(writer.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    // Later there may be one: it is asked for again.
    let mut writer = fresh_writer(&new_disk());
    append(&mut writer, &mut 1, &[keys(2, 5)]).unwrap();
    writer.begin_sync();
    crate::log::beside::knob::THERE_IS_NO_THREAD.set(false);
    writer.begin_sync();
    writer.sync().unwrap();
    assert_eq!(writer.synced(), writer.end());
}
