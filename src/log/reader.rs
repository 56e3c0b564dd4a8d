//! Following a log that another process writes, or reading one place of it again.

use super::scan::{SECTOR, scan, verify_row};
use super::segment::{LogPlace, Opened, Segment, open_segment};
use crate::disk::OpenMode;
use crate::error::{Error, Result};
use crate::format::log::{Frame, LogPosition, offset_of, segment_of};

/// Reads frames as they are committed, from a segment's start on.
#[derive(Debug)]
pub struct LogReader {
    place: LogPlace,
    segment: Option<Segment>,
    next_segment: u32,
    /// Everything before was read.
    offset: u32,
}

impl LogReader {
    /// A reader that begins with segment `first_segment`.
    pub fn new(place: LogPlace, first_segment: u32) -> Self {
        LogReader { place, segment: None, next_segment: first_segment, offset: SECTOR }
    }

    /// The segment that is being read, or the one to be read first.
    pub fn segment(&self) -> u32 {
        segment_of(self.position())
    }

    /// Everything before was read.
    pub fn position(&self) -> LogPosition {
        crate::format::log::position(self.segment.as_ref().map_or(self.next_segment, Segment::id), self.offset)
    }

    /// Reads on up to `limit`, which the writer published: everything before it is written.
    ///
    /// # Errors
    /// `is_missing_file`: a segment was sealed and removed; take the new MANIFEST and begin again.
    /// `Damaged`: a sector below the limit is not what was written. What `sink` fails with.
    pub fn read_new(
        &mut self,
        limit: LogPosition,
        mut sink: impl FnMut(Frame<'_>, LogPosition) -> Result<()>,
    ) -> Result<()> {
        while self.position() < limit {
            let segment = match self.segment.take() {
                Some(segment) => segment,
                None => self.open(self.next_segment)?,
            };
            let ends_here = segment_of(limit) == segment.id();
            let next = if ends_here { None } else { Some(self.open(segment.id() + 1)?) };
            let end = match &next {
                None => offset_of(limit),
                Some(next) => offset_of(next.header.prev_end),
            };
            let reached = scan(&segment, self.offset, end, &mut sink)?;
            self.offset = reached.offset;
            let stopped_early = reached.offset < end;
            if stopped_early {
                let error = segment.damaged(reached.offset, "it is not what was written");
                self.segment = Some(segment);
                return Err(error);
            }
            match next {
                None => self.segment = Some(segment),
                Some(next) => {
                    self.next_segment = next.id();
                    self.segment = Some(next);
                    self.offset = SECTOR;
                }
            }
        }
        Ok(())
    }

    /// Checks the row `seq` of the group at `position` again, as `explain` does.
    ///
    /// # Errors
    /// `Damaged`: it is not what was written. The segment was sealed and removed.
    pub fn verify(place: &LogPlace, position: LogPosition, seq: u64) -> Result<()> {
        match open_segment(place, segment_of(position), OpenMode::Read)? {
            Opened::Sound(segment) => verify_row(&segment, offset_of(position), seq),
            Opened::NeverWas | Opened::BadHeader(_) => {
                Err(Error::damaged(&place.path(segment_of(position)), "the segment's header is not what was written"))
            }
        }
    }

    fn open(&self, segment: u32) -> Result<Segment> {
        match open_segment(&self.place, segment, OpenMode::Read)? {
            Opened::Sound(segment) => Ok(segment),
            Opened::NeverWas | Opened::BadHeader(_) => {
                Err(Error::damaged(&self.place.path(segment), "the segment's header is not what was written"))
            }
        }
    }
}
