//! Crashes at every operation, again and again, against a model that only counts.

use super::*;
use crate::disk::{CrashMode, FaultyDisk, OpenMode, Operation, Random, Verdict};

/// What the log must hold.
#[derive(Default)]
struct Model {
    /// Batches in order, as far as the last recovery or write showed them.
    batches: Vec<Batch>,
    /// How many of them were acknowledged.
    synced: usize,
    /// The greatest position a sync returned for.
    witness: LogPosition,
    /// No row may get a number below this again.
    shown: u64,
}

/// Opens the log of `disk` and compares. `None` when the opening itself was cut short.
fn open(disk: &MemDisk, model: &mut Model, dice: &mut Random, seed: u64) -> Option<LogWriter> {
    // What HEAD knew: all, nothing.
    let witness = if dice.below(2) == 0 { model.witness } else { 0 };
    let (recovered, read) = recover_all(disk, 1, witness).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert!(read.len() >= model.synced, "seed {seed}: an acknowledged batch is gone");
    assert!(model.batches.starts_with(&read), "seed {seed}: not what was written");
    let cut = dice.below(3) == 0;
    if cut {
        disk.fail_after(disk.operations() + dice.below(7));
    }
    let writer = recovered.into_writer(false, 1, SEGMENT_BYTES);
    if cut && writer.is_err() {
        return None;
    }
    let writer = writer.unwrap();
    disk.fail_after(u64::MAX);
    let first_seq = writer.seq_limit() - (1 << 32);
    assert!(first_seq >= model.shown, "seed {seed}: {first_seq} was shown before");
    // The opening synced what it found.
    model.synced = read.len();
    model.witness = writer.synced();
    model.batches = read;
    model.shown = first_seq;
    Some(writer)
}

fn write_until_it_crashes(disk: &MemDisk, mut writer: LogWriter, model: &mut Model, dice: &mut Random) {
    if dice.below(2) == 0 {
        disk.fail_after(disk.operations() + dice.below(30));
    }
    for _ in 0..dice.below(30) {
        let group: Vec<_> =
            (0..=dice.below(3)).map(|_| keys(1 + dice.below(6) as usize, 1 + dice.below(300) as usize)).collect();
        // A write that failed may be there all the same, so the model takes it in before.
        let mut seq = model.shown;
        let before = model.batches.len();
        for keys in &group {
            model.batches.push((seq, keys.clone()));
            seq += keys.len() as u64;
        }
        match append(&mut writer, &mut model.shown, &group) {
            Ok((_, written)) => assert_eq!(written, model.batches[before..]),
            Err(_) => return,
        }
        if dice.below(3) == 0 {
            if writer.sync().is_err() {
                return;
            }
            model.synced = model.batches.len();
            model.witness = writer.synced();
        } else if writer.synced() > model.witness {
            // A rotation synced everything before this group.
            model.synced = before;
            model.witness = writer.synced();
        }
    }
}

#[test]
fn no_sequence_of_crashes_loses_what_was_acknowledged_or_gives_a_number_twice() {
    for seed in 0..1_500 {
        let mut dice = Random::new(seed);
        let mut disk = new_disk();
        let mut model = Model { shown: 1, ..Model::default() };
        for _ in 0..5 {
            if let Some(writer) = open(&disk, &mut model, &mut dice, seed) {
                write_until_it_crashes(&disk, writer, &mut model, &mut dice);
            }
            disk = match dice.below(5) {
                0 => disk.crash_image(CrashMode::KeepAll),
                1 => disk.crash_image(CrashMode::DropAll),
                2 => disk.kill_image(),
                _ => disk.crash_image(CrashMode::Random(dice.bits())),
            };
        }
    }
}

#[test]
fn what_a_reopened_log_shows_survives_although_a_sync_failed_before() {
    // On Linux a failed sync leaves pages that read as written and count as clean. The process dies, the next one
    // reads them, syncs without an error, and calls them durable; then the power fails.
    let disk = new_disk();
    let mut writer = fresh_writer(&disk);
    let mut seq = 1;
    append(&mut writer, &mut seq, &[keys(5, 400), keys(2, 9)]).unwrap();
    disk.forget_unsynced(&path(1)).unwrap();
    let killed = disk.kill_image();
    let (recovered, shown) = recover_all(&killed, 1, 0).unwrap();
    assert_eq!(shown.len(), 2);
    recovered.into_writer(false, 1, SEGMENT_BYTES).unwrap();
    let (_, after) = recover_all(&killed.crash_image(CrashMode::DropAll), 1, 0).unwrap();
    assert_eq!(after, shown);
}

#[test]
fn a_header_whose_sync_failed_survives_once_the_log_was_opened_with_it() {
    // Only what groups hold was once written again, so the next segment called a segment synced whose header was not.
    let disk = new_disk();
    let is_sync = |operation: Operation, _: &Path| operation == Operation::Sync;
    let failing = FaultyDisk::at(Arc::new(disk.clone()), Verdict::Fail(std::io::ErrorKind::Other), 0, 1, is_sync);
    let failing = LogPlace { disk: Arc::new(failing), ..place(&disk) };
    let empty = recover(&failing, OpenMode::Write, 1, 0, None, |_, _| Ok(())).unwrap();
    empty.into_writer(false, 1, SEGMENT_BYTES).unwrap_err();
    disk.forget_unsynced(&path(1)).unwrap();
    let killed = disk.kill_image();
    recover_all(&killed, 1, 0).unwrap().0.into_writer(false, 1, SEGMENT_BYTES).unwrap();
    recover_all(&killed.crash_image(CrashMode::DropAll), 1, 0).unwrap();
}

#[test]
fn a_log_opened_again_and_again_without_a_write_stays_the_same() {
    let disk = new_disk();
    let mut writer = fresh_writer(&disk);
    let mut seq = 1;
    let written = append(&mut writer, &mut seq, &[keys(5, 400)]).unwrap().1;
    for _ in 0..5 {
        let (recovered, read) = recover_all(&disk, 1, 0).unwrap();
        assert_eq!(read, written);
        let next = recovered.into_writer(false, 1, SEGMENT_BYTES).unwrap();
        assert!(next.seq_limit() > writer.seq_limit());
    }
}
