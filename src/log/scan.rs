//! The one way a segment is read: group by group, sector by sector, up to a limit or to where it ends.

use super::segment::Segment;
use crate::error::Result;
use crate::format::log::{Frame, GROUP_HEADER_BYTES, GroupHeader, LogPosition};
use crate::format::sector::{PAYLOAD_BYTES, SECTOR_BYTES, SectorState};

/// A sector as an offset.
pub(super) const SECTOR: u32 = 512;
const _: () = assert!(SECTOR as usize == SECTOR_BYTES);

/// Where and why a scan stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScanEnd {
    /// Everything before was read: the limit, or the first sector that is not good.
    pub offset: u32,
    /// What the sector there is; `Good` when the limit was reached.
    pub state: SectorState,
    /// The greatest synced position that a group header read so far names.
    pub synced: LogPosition,
    /// The number after the last frame's rows; 0 when there was no frame.
    pub next_seq: u64,
}

/// Reads sectors through a window, so that a scan costs few system calls.
struct Window<'a> {
    segment: &'a Segment,
    start: u32,
    bytes: Vec<u8>,
}

const WINDOW_BYTES: u32 = 256 << 10;

impl<'a> Window<'a> {
    fn new(segment: &'a Segment) -> Self {
        Window { segment, start: 0, bytes: Vec::new() }
    }

    /// The sector at `offset`, which lies before the segment's end.
    fn sector(&mut self, offset: u32) -> Result<&[u8; SECTOR_BYTES]> {
        let inside =
            offset.checked_sub(self.start).map(|at| at as usize).filter(|at| at + SECTOR_BYTES <= self.bytes.len());
        let at = match inside {
            Some(at) => at,
            None => {
                let len = WINDOW_BYTES.min(self.segment.end_max() - offset);
                self.bytes.resize(len as usize, 0);
                self.segment.file.read_at(offset.into(), &mut self.bytes)?;
                self.start = offset;
                0
            }
        };
        Ok(self.bytes[at..].first_chunk().expect("a window holds whole sectors"))
    }

    fn state(&mut self, offset: u32) -> Result<SectorState> {
        let seal = self.segment.seal;
        Ok(seal.check(offset / SECTOR, self.sector(offset)?))
    }
}

/// Reads the groups of `segment` from offset `from`, a group's start, to `limit`. Every frame that lies
/// whole before the end goes to `sink` with its group's position.
///
/// # Errors
/// `Damaged`: sound sectors hold what no writer writes. What `sink` fails with. The disk fails.
pub(super) fn scan(
    segment: &Segment,
    from: u32,
    limit: u32,
    mut sink: impl FnMut(Frame<'_>, LogPosition) -> Result<()>,
) -> Result<ScanEnd> {
    let limit = limit.min(segment.end_max());
    let mut window = Window::new(segment);
    let mut end = ScanEnd { offset: from, state: SectorState::Good, synced: 0, next_seq: 0 };
    let mut payload = Vec::new();
    while end.offset < limit {
        let start = end.offset;
        end.state = window.state(start)?;
        if end.state != SectorState::Good {
            return Ok(end);
        }
        let first = &window.sector(start)?[..PAYLOAD_BYTES];
        let header = GroupHeader::parse(first, segment.seal, start / SECTOR)
            .ok_or_else(|| segment.damaged(start, "no group begins here"))?;
        let group_end = u64::from(start) + header.sector_count() * u64::from(SECTOR);
        if group_end > u64::from(segment.end_max()) {
            return Err(segment.damaged(start, "the group is longer than its segment"));
        }
        let group_end = u32::try_from(group_end).expect("within the segment");
        end.synced = end.synced.max(header.synced);
        payload.clear();
        payload.extend_from_slice(&first[GROUP_HEADER_BYTES..]);
        end.offset += SECTOR;
        while end.offset < group_end.min(limit) && end.state == SectorState::Good {
            end.state = window.state(end.offset)?;
            if end.state == SectorState::Good {
                payload.extend_from_slice(&window.sector(end.offset)?[..PAYLOAD_BYTES]);
                end.offset += SECTOR;
            }
        }
        let is_whole = end.offset == group_end;
        payload.truncate(header.len_bytes as usize);
        let frames = take_frames(segment, start, &payload, &mut end, &mut sink)?;
        if is_whole && frames != header.frame_count {
            return Err(segment.damaged(start, "the group holds fewer frames than it says"));
        }
        if !is_whole {
            return Ok(end);
        }
    }
    Ok(end)
}

fn take_frames(
    segment: &Segment,
    start: u32,
    payload: &[u8],
    end: &mut ScanEnd,
    sink: &mut impl FnMut(Frame<'_>, LogPosition) -> Result<()>,
) -> Result<u32> {
    let mut rest = payload;
    let mut frames = 0;
    while !rest.is_empty() {
        let Some((frame, after)) = Frame::parse(rest).map_err(|what| segment.damaged(start, what))? else { break };
        let least = segment.header.first_seq.max(end.next_seq);
        let next_seq = frame.first_seq.checked_add(frame.row_count.into());
        let Some(next_seq) = next_seq.filter(|next| frame.first_seq >= least && *next <= segment.header.seq_limit)
        else {
            return Err(segment.damaged(start, "rows are numbered out of order"));
        };
        end.next_seq = next_seq;
        sink(frame, segment.position(start))?;
        frames += 1;
        rest = after;
    }
    Ok(frames)
}

/// The greatest synced position that a sound group header from `offset` on names: the witness against
/// calling damage a torn end. Also whether any sector there is not zero.
pub(super) fn witness_beyond(segment: &Segment, offset: u32) -> Result<(LogPosition, bool)> {
    let mut window = Window::new(segment);
    let (mut synced, mut any) = (0, false);
    let mut at = offset;
    while at < segment.end_max() {
        match window.state(at)? {
            SectorState::Zero => {}
            SectorState::Bad => any = true,
            SectorState::Good => {
                any = true;
                if let Some(header) =
                    GroupHeader::parse(&window.sector(at)?[..PAYLOAD_BYTES], segment.seal, at / SECTOR)
                {
                    synced = synced.max(header.synced);
                }
            }
        }
        at += SECTOR;
    }
    Ok((synced, any))
}

/// Checks that the row `seq` of the group at `offset` is what was written, with all that stands before it in the group.
/// What a crash left of a group may end after it.
///
/// # Errors
/// `Damaged`: it is not, or no group begins there.
pub(super) fn verify_row(segment: &Segment, offset: u32, seq: u64) -> Result<()> {
    if offset < SECTOR || offset >= segment.end_max() || !offset.is_multiple_of(SECTOR) {
        return Err(segment.damaged(offset, "no group begins here"));
    }
    let mut window = Window::new(segment);
    let header = match window.state(offset)? {
        SectorState::Good => {
            GroupHeader::parse(&window.sector(offset)?[..PAYLOAD_BYTES], segment.seal, offset / SECTOR)
        }
        SectorState::Zero | SectorState::Bad => None,
    };
    let header = header.ok_or_else(|| segment.damaged(offset, "no sound group begins here"))?;
    let end = u64::from(offset) + header.sector_count() * u64::from(SECTOR);
    let end = u32::try_from(end).ok().filter(|end| *end <= segment.end_max());
    let end = end.ok_or_else(|| segment.damaged(offset, "the group is longer than its segment"))?;
    let mut is_there = false;
    let reached = scan(segment, offset, end, |frame, _| {
        is_there |= frame.first_seq <= seq && seq - frame.first_seq < u64::from(frame.row_count);
        Ok(())
    })?;
    if is_there { Ok(()) } else { Err(segment.damaged(reached.offset, "it is not what was written")) }
}

/// Whether the sector at `offset` was never written; true at the segment's end.
pub(super) fn is_unwritten(segment: &Segment, offset: u32) -> Result<bool> {
    Ok(offset >= segment.end_max() || Window::new(segment).state(offset)? == SectorState::Zero)
}
