//! The log on the simulated disk: round trips, crashes, damage.

mod crash;
mod damage;
mod writer;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::disk::{Disk, MemDisk, OpenMode};
use crate::error::Result;
use crate::format::log::{Frame, FrameBuilder, LogPosition};
use crate::format::row::{RowHead, RowKind, RowRef, push_record};

const FOLDER: &str = "/log";
const SEGMENT_BYTES: u64 = 8 << 10;

/// A batch as a test compares it: number of its first row, and its rows' keys.
type Batch = (u64, Vec<Vec<u8>>);

fn new_disk() -> MemDisk {
    let disk = MemDisk::new();
    disk.create_dir(Path::new(FOLDER)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn place(disk: &MemDisk) -> LogPlace {
    LogPlace { disk: Arc::new(disk.clone()), folder: FOLDER.into(), store_uuid: [7; 16], store_seed: 99 }
}

fn frame(keys: &[Vec<u8>]) -> FrameBuilder {
    let mut frame = FrameBuilder::default();
    // Two views, so that a batch lost by halves would show.
    for (view, keys) in [(1, &keys[..keys.len() / 2]), (2, &keys[keys.len() / 2..])] {
        frame
            .section(view, |out| {
                for key in keys {
                    push_record(&RowHead::new(RowKind::Delete, 5), key, 0, &[], out)?;
                }
                Ok::<_, crate::Error>(u32::try_from(keys.len()).unwrap())
            })
            .unwrap();
    }
    frame
}

fn batch_of(frame: &Frame<'_>) -> Batch {
    let mut keys = Vec::new();
    for section in frame.sections() {
        let mut rest = section.records;
        while !rest.is_empty() {
            let (row, after) = RowRef::parse_unchecked_image(rest).unwrap();
            keys.push(row.key.to_vec());
            rest = after;
        }
    }
    (frame.first_seq, keys)
}

/// Writes batches as one group, numbered from `next_seq`.
fn append(writer: &mut LogWriter, next_seq: &mut u64, batches: &[Vec<Vec<u8>>]) -> Result<(LogPosition, Vec<Batch>)> {
    let mut frames: Vec<FrameBuilder> = batches.iter().map(|keys| frame(keys)).collect();
    let bytes = frames.iter().map(FrameBuilder::len_bytes).sum();
    let rows: u64 = frames.iter().map(|frame| u64::from(frame.row_count())).sum();
    writer.make_room(bytes, *next_seq, *next_seq + rows)?;
    let mut seq = *next_seq;
    // A number given to a write that failed counts as shown.
    *next_seq += rows;
    let mut written = Vec::new();
    for (frame, keys) in frames.iter_mut().zip(batches) {
        frame.finish(seq, 77, 3);
        written.push((seq, keys.clone()));
        seq += keys.len() as u64;
    }
    let mut numbered = written.iter().map(|(seq, _)| *seq);
    let bytes: Vec<Vec<u8>> =
        frames.iter_mut().map(|frame| frame.finish(numbered.next().unwrap(), 77, 3).to_vec()).collect();
    let position = writer.append_group(bytes.iter().map(Vec::as_slice))?;
    Ok((position, written))
}

fn recover_all(disk: &MemDisk, first: u32, witness: LogPosition) -> Result<(Recovered, Vec<Batch>)> {
    let mut batches = Vec::new();
    let recovered = recover(&place(disk), OpenMode::Write, first, witness, None, |frame, _| {
        batches.push(batch_of(&frame));
        Ok(())
    })?;
    Ok((recovered, batches))
}

fn keys(count: usize, len: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| vec![u8::try_from(i % 251).unwrap(); len]).collect()
}

fn fresh_writer(disk: &MemDisk) -> LogWriter {
    recover_all(disk, 1, 0).unwrap().0.into_writer(false, 1, SEGMENT_BYTES).unwrap()
}

fn path(segment: u32) -> std::path::PathBuf {
    Path::new(FOLDER).join(segment_name(segment))
}

fn overwrite(disk: &MemDisk, segment: u32, offset: u64, bytes: &[u8]) {
    disk.open(&path(segment), OpenMode::Write).unwrap().write_at(offset, bytes).unwrap();
}
