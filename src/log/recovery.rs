//! Opening a log: every sound frame in order, and where it ends.
//!
//! A crash leaves sectors unwritten. Damage leaves sectors that were once synced other than they were. The
//! two differ by what is known to have been synced: by HEAD or the registry (the caller's witness), by the
//! headers of groups and later segments (the log's own). A bad sector below that is damage, and nothing
//! is opened; above, the log ends there, and what follows was never acknowledged.

use super::scan::{SECTOR, is_unwritten, scan, witness_beyond};
use super::segment::{LogPlace, Opened, Segment, lies_beyond, open_segment};
use super::writer::LogWriter;
use crate::disk::OpenMode;
use crate::error::{Error, RESTORE_STORE, Result};
use crate::format::log::{Frame, LogPosition, offset_of, position, segment_of};
use crate::format::sector::SectorState;

/// A log that was read to its end.
#[derive(Debug)]
pub struct Recovered {
    place: LogPlace,
    last: Option<(Segment, u32)>,
    before_last: Option<(Segment, u32)>,
    /// The id of the first segment that still counts; the next to make when there is none.
    first_segment: u32,
    next_seq: u64,
    /// The log was known to be synced up to here.
    witness: LogPosition,
    /// Bytes after the end that hold something and were set aside.
    pub set_aside_bytes: u64,
}

/// Reads the log from segment `first_segment` on; every sound frame goes to `sink` with the position of
/// its group.
///
/// `witness` is a position the log is known to have been synced up to. With `clean_end` the log is known
/// to end there, because it was closed in order or its writer lives. A writer that could not write to it finds that out here, by
/// `mode`, and not at its first commit.
///
/// # Errors
/// The disk refuses. `Damaged`: something synced is not what it was, a segment is missing. What `sink` fails with.
pub fn recover(
    place: &LogPlace,
    mode: OpenMode,
    first_segment: u32,
    witness: LogPosition,
    clean_end: Option<LogPosition>,
    mut sink: impl FnMut(Frame<'_>, LogPosition) -> Result<()>,
) -> Result<Recovered> {
    let ids: Vec<u32> = place.segments()?.into_iter().filter(|id| *id >= first_segment).collect();
    let segments = open_all(place, mode, first_segment, &ids, witness)?;
    let own_witness = segments.iter().map(|segment| segment.header.synced).max().unwrap_or(0);
    let mut witness = witness.max(own_witness).max(clean_end.unwrap_or(0));
    let mut recovered = Recovered {
        place: place.clone(),
        last: None,
        before_last: None,
        first_segment,
        next_seq: 0,
        witness: 0,
        set_aside_bytes: 0,
    };
    for (index, segment) in segments.iter().enumerate() {
        let next = segments.get(index + 1);
        let limit = match (next, clean_end) {
            (Some(next), _) if segment_of(next.header.prev_end) == segment.id() => offset_of(next.header.prev_end),
            (Some(next), _) => {
                return Err(next.damaged(0, "it follows another segment than the one before it"));
            }
            (None, Some(end)) if segment_of(end) == segment.id() => offset_of(end),
            (None, _) => segment.end_max(),
        };
        let end = scan(segment, SECTOR, limit, &mut sink)?;
        witness = witness.max(end.synced);
        if end.offset < limit && end.state != SectorState::Good {
            let (beyond, any) = witness_beyond(segment, end.offset)?;
            witness = witness.max(beyond);
            if lies_beyond(witness, segment.id(), end.offset) || next.is_some() {
                return Err(segment.damaged(end.offset, "it was synced once and is not what was written"));
            }
            if any {
                recovered.set_aside_bytes = u64::from(segment.end_max() - end.offset);
            }
        }
        if next.is_some() && segment_of(witness) == segment.id() && offset_of(witness) > end.offset {
            return Err(
                segment.damaged(end.offset, "the next segment says that this one ends here, and more was synced")
            );
        }
        recovered.next_seq = recovered.next_seq.max(segment.header.first_seq).max(end.next_seq);
        recovered.before_last = recovered.last.replace((segment.clone(), end.offset));
    }
    let reached = recovered.end();
    if witness > reached {
        let path = place.path(segment_of(witness));
        return Err(Error::damaged(
            &path,
            format!("the log was synced up to offset {}, and ends before", offset_of(witness)),
        )
        .remedy(RESTORE_STORE));
    }
    recovered.witness = witness;
    Ok(recovered)
}

fn open_all(
    place: &LogPlace,
    mode: OpenMode,
    first_segment: u32,
    ids: &[u32],
    witness: LogPosition,
) -> Result<Vec<Segment>> {
    let mut segments: Vec<Segment> = Vec::new();
    for (&id, expected) in ids.iter().zip(first_segment..) {
        if id != expected {
            return Err(Error::damaged(&place.path(expected), "the log segment is missing").remedy(RESTORE_STORE));
        }
        match open_segment(place, id, mode)? {
            Opened::Sound(segment) => segments.push(segment),
            Opened::NeverWas if Some(&id) == ids.last() && witness <= position(id, 0) => {}
            Opened::NeverWas => {
                return Err(
                    Error::damaged(&place.path(id), "the log segment is empty, and was not").remedy(RESTORE_STORE)
                );
            }
            Opened::BadHeader(what) => {
                return Err(Error::damaged(&place.path(id), what.to_owned()).remedy(RESTORE_STORE));
            }
        }
    }
    Ok(segments)
}

impl Recovered {
    /// Where the log ends.
    pub fn end(&self) -> LogPosition {
        self.last.as_ref().map_or(0, |(segment, offset)| segment.position(*offset))
    }

    /// The number after the last row's.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The id of the last segment, or of the first to be made.
    pub fn last_segment(&self) -> u32 {
        self.last.as_ref().map_or(self.first_segment, |(segment, _)| segment.id())
    }

    /// Leaves out a last segment that nothing came of, so that the next takes its place: openings that fail or are killed one after
    /// another would fill the disk with theirs. It is empty, and the log was known to go no further than the one before: not beyond
    /// `known_end`, as a writer of this boot said, for what was written since would be there.
    pub fn leave_out_unused(&mut self, known_end: LogPosition) {
        let known_end = known_end.max(self.witness);
        let is_empty = self.set_aside_bytes == 0 && self.last.as_ref().is_some_and(|(_, offset)| *offset == SECTOR);
        if let Some((before, offset)) = &self.before_last
            && is_empty
            && known_end <= before.position(*offset)
        {
            self.last = self.before_last.take();
        }
    }

    /// A writer that goes on. After a clean close it goes on where the log ends. Otherwise in a new
    /// segment, numbered from where no number was ever shown, and what lies beyond the end is set aside for ever.
    ///
    /// # Errors
    /// The new segment could not be made.
    pub fn into_writer(self, is_clean: bool, next_seq: u64, segment_bytes: u64) -> Result<LogWriter> {
        match self.last {
            Some((segment, offset)) if is_clean => {
                // A stale mark of a clean close would have acknowledged groups overwritten.
                if !is_unwritten(&segment, offset)? {
                    return Err(segment.damaged(offset, "the log goes on beyond the place where it was closed"));
                }
                Ok(LogWriter::continued(self.place, segment, offset, segment_bytes))
            }
            Some((segment, offset)) => {
                // What was read may be in the page cache only; the next header calls it synced.
                write_again(&segment, self.witness, offset)?;
                segment.file.sync()?;
                // So may its name be, when the writer that made it was killed: the next one must not survive it.
                self.place.disk.sync_dir(&self.place.folder)?;
                let next_seq = next_seq.max(segment.header.seq_limit);
                let prev_end = segment.position(offset);
                LogWriter::created(self.place, segment.id() + 1, next_seq, prev_end, segment_bytes)
            }
            None => LogWriter::created(self.place, self.first_segment, next_seq.max(1), 0, segment_bytes),
        }
    }
}

/// Writes the sectors from `witness` to `end` again as they are, the segment's header too. A sync that failed before the crash leaves
/// pages that read as written, count as clean, and are not on the medium: a further sync would skip them.
fn write_again(segment: &Segment, witness: LogPosition, end: u32) -> Result<()> {
    let known = if segment_of(witness) == segment.id() { offset_of(witness) } else { 0 };
    let mut offset = known - known % SECTOR;
    let mut chunk = vec![0; 1 << 20];
    while offset < end {
        let len = (end - offset).min(1 << 20);
        let bytes = &mut chunk[..len as usize];
        segment.file.read_at(offset.into(), bytes)?;
        segment.file.write_at(offset.into(), bytes)?;
        offset += len;
    }
    Ok(())
}
