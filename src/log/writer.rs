//! Appending to the log: one committer, one write a group, one sync when durability asks for it.

use std::path::Path;
use std::sync::Arc;

use crate::disk::{File, OpenMode};
use crate::error::{Error, ErrorKind, LOOK_FIRST, Result};
use crate::format::log::{
    FRAME_BYTES_MAX, GROUP_HEADER_BYTES, GroupHeader, LogPosition, SEGMENT_SEQ_SPAN, SegmentHeader,
};
use crate::format::sector::{PAYLOAD_BYTES, SECTOR_BYTES};

use super::beside::SyncThread;
use super::scan::SECTOR;
use super::segment::{LogPlace, Segment};

/// The end of the log. After its first failed write or sync it takes nothing more: what the medium then
/// holds is unknown, and only a new scan can tell.
#[derive(Debug)]
pub struct LogWriter {
    place: LogPlace,
    segment: Segment,
    /// Where the next group goes.
    end: u32,
    synced: LogPosition,
    segment_bytes: u64,
    poisoned: Option<String>,
    payload: Vec<u8>,
    sectors: Vec<u8>,
    /// Made when a sync is first begun.
    thread: Option<SyncThread>,
    /// The thread is at a sync, of everything up to the end.
    is_syncing: bool,
}

impl LogWriter {
    pub(super) fn continued(place: LogPlace, segment: Segment, end: u32, segment_bytes: u64) -> Self {
        let synced = segment.position(end);
        Self::new(place, segment, end, synced, segment_bytes)
    }

    pub(super) fn created(
        place: LogPlace,
        segment: u32,
        first_seq: u64,
        prev_end: LogPosition,
        segment_bytes: u64,
    ) -> Result<Self> {
        let segment =
            create_segment(&place, segment, first_seq, prev_end, segment_bytes).map_err(Failed::into_error)?;
        let synced = segment.position(SECTOR);
        Ok(Self::new(place, segment, SECTOR, synced, segment_bytes))
    }

    fn new(place: LogPlace, segment: Segment, end: u32, synced: LogPosition, segment_bytes: u64) -> Self {
        LogWriter {
            place,
            segment,
            end,
            synced,
            segment_bytes,
            poisoned: None,
            payload: Vec::new(),
            sectors: Vec::new(),
            thread: None,
            is_syncing: false,
        }
    }

    /// Where the log ends.
    pub fn end(&self) -> LogPosition {
        self.segment.position(self.end)
    }

    /// The log is durable up to here.
    pub fn synced(&self) -> LogPosition {
        self.synced
    }

    /// The segment that is written to.
    pub fn segment(&self) -> u32 {
        self.segment.id()
    }

    /// Whether the segment holds no group yet.
    pub fn is_segment_empty(&self) -> bool {
        self.end == SECTOR
    }

    /// The number that rows of this segment stay below.
    pub fn seq_limit(&self) -> u64 {
        self.segment.header.seq_limit
    }

    /// Makes sure that a group of `frame_bytes` with rows numbered from `next_seq` to below `seq_end` fits the
    /// segment, beginning a new one when it does not. Nothing is written to the log itself.
    ///
    /// # Errors
    /// The new segment could not be allocated under its name, and the log is as before: `NoSpace` where there is none. Its header
    /// could not be made durable, or what the log has not: the writer is poisoned.
    pub fn make_room(&mut self, frame_bytes: usize, next_seq: u64, seq_end: u64) -> Result<()> {
        self.check_sound()?;
        let needed = group_sectors(frame_bytes) * u64::from(SECTOR);
        if u64::from(self.end) + needed <= u64::from(self.segment.end_max()) && seq_end <= self.seq_limit() {
            return Ok(());
        }
        if frame_bytes > FRAME_BYTES_MAX + FRAME_BYTES_MAX / 2 {
            return Err(Error::invalid(format!("a commit of {frame_bytes} bytes is more than a log segment takes")));
        }
        self.rotate(next_seq, needed)
    }

    /// Begins a new segment.
    ///
    /// # Errors
    /// As [`LogWriter::make_room`].
    pub fn rotate(&mut self, next_seq: u64, room_bytes: u64) -> Result<()> {
        self.sync()?;
        let file_bytes = self.segment_bytes.max(room_bytes + SECTOR_BYTES as u64);
        match create_segment(&self.place, self.segment.id() + 1, next_seq, self.end(), file_bytes) {
            Ok(segment) => self.segment = segment,
            Err(Failed::Before(error)) => return Err(error),
            // The new header may be durable, and it says that this segment ends here: nothing may follow in it.
            Err(Failed::Since(error)) => return Err(self.poison(error)),
        }
        self.end = SECTOR;
        self.synced = self.end();
        Ok(())
    }

    /// Writes one group of frames, for which [`LogWriter::make_room`] made room; its position.
    ///
    /// # Errors
    /// The write failed; the writer is poisoned from then on.
    pub fn append_group<'f>(&mut self, frames: impl IntoIterator<Item = &'f [u8]>) -> Result<LogPosition> {
        self.check_sound()?;
        assert!(!self.is_syncing, "nothing is written while a sync goes on: what it covers would be unclear");
        self.payload.clear();
        self.payload.extend([0; GROUP_HEADER_BYTES]);
        let mut frame_count = 0;
        for frame in frames {
            self.payload.extend_from_slice(frame);
            frame_count += 1;
        }
        let len_bytes = u32::try_from(self.payload.len() - GROUP_HEADER_BYTES).expect("make_room bounds a group");
        let header = GroupHeader { len_bytes, frame_count, synced: self.synced };
        self.payload[..GROUP_HEADER_BYTES].copy_from_slice(&header.encode(self.segment.seal, self.end / SECTOR));
        self.sectors.clear();
        self.segment.seal.push_sectors(&self.payload, self.end / SECTOR, &mut self.sectors);
        let len = u32::try_from(self.sectors.len()).expect("make_room bounds a group");
        assert!(u64::from(self.end) + u64::from(len) <= u64::from(self.segment.end_max()), "make_room comes first");
        let start = self.end();
        if let Err(error) = self.segment.file.write_at(self.end.into(), &self.sectors) {
            return Err(self.poison(error));
        }
        self.end += len;
        Ok(start)
    }

    /// Begins, on a thread of its own, what [`LogWriter::sync`] then only waits for. Where there is no such thread to be had,
    /// that does it all.
    pub fn begin_sync(&mut self) {
        if self.poisoned.is_none() && !self.is_syncing && self.synced != self.end() {
            self.thread = self.thread.take().or_else(SyncThread::start);
            self.is_syncing = self.thread.as_ref().is_some_and(|thread| thread.begin(Arc::clone(&self.segment.file)));
        }
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// The sync failed; the writer is poisoned from then on, because a second try may succeed without
    /// having written what the first lost.
    pub fn sync(&mut self) -> Result<()> {
        self.check_sound()?;
        if self.synced == self.end() {
            return Ok(());
        }
        let synced = match &self.thread {
            Some(thread) if std::mem::take(&mut self.is_syncing) => thread.finish(&self.segment.path),
            _ => self.segment.file.sync(),
        };
        if let Err(error) = synced {
            return Err(self.poison(error));
        }
        self.synced = self.end();
        Ok(())
    }

    fn poison(&mut self, error: Error) -> Error {
        self.poisoned = Some(error.as_cause());
        // Also of a disk that was full: what of it is in the file, the next open may find.
        error.with_outcome(LOOK_FIRST)
    }

    /// # Errors
    /// `Poisoned`: a write or a sync failed, and the log takes nothing more.
    pub fn check_sound(&self) -> Result<()> {
        match &self.poisoned {
            None => Ok(()),
            Some(cause) => Err(Error::new(ErrorKind::Poisoned, format!("the log takes no more writes since: {cause}"))
                .remedy("reads go on; reopen the store to verify what was written")),
        }
    }
}

fn group_sectors(frame_bytes: usize) -> u64 {
    ((frame_bytes + GROUP_HEADER_BYTES) as u64).div_ceil(PAYLOAD_BYTES as u64)
}

/// Where the making of a segment failed.
enum Failed {
    /// Before its header was written: it never was.
    Before(Error),
    /// Since then: it may be there or not.
    Since(Error),
}

impl Failed {
    fn into_error(self) -> Error {
        match self {
            Failed::Before(error) | Failed::Since(error) => error,
        }
    }
}

/// Makes a segment: allocated under a durable name, then its header written and durable, before anything uses it.
fn create_segment(
    place: &LogPlace,
    segment: u32,
    first_seq: u64,
    prev_end: LogPosition,
    file_bytes: u64,
) -> Result<Segment, Failed> {
    let path = place.path(segment);
    let header = SegmentHeader {
        store_uuid: place.store_uuid,
        segment,
        file_bytes,
        first_seq,
        seq_limit: first_seq.saturating_add(SEGMENT_SEQ_SPAN),
        prev_end,
        synced: prev_end,
    };
    let seal = place.seal(segment);
    let file = allocate_segment(place, &path, file_bytes).map_err(Failed::Before)?;
    let mut sector = Vec::new();
    seal.push_sectors(&header.encode(), 0, &mut sector);
    match file.write_at(0, &sector).and_then(|()| file.sync()) {
        Ok(()) => Ok(Segment { file, header, seal, path }),
        Err(error) => Err(Failed::Since(error)),
    }
}

fn allocate_segment(place: &LogPlace, path: &Path, file_bytes: u64) -> Result<Arc<dyn File>> {
    if place.disk.exists(path)? {
        // Left by a creation that was cut short: recovery found nothing in it, or it would be in use.
        place.disk.remove(path)?;
    }
    let file = place.disk.open(path, OpenMode::Create)?;
    // A folder is opened to be synced: what may fail for want of a descriptor comes before the header.
    if let Err(error) = file.allocate(file_bytes).and_then(|()| place.disk.sync_dir(&place.folder)) {
        // Gives the space back. Should the name stay, it stands for a file of zeros, which counts as none.
        let _ = place.disk.remove(path);
        return Err(error);
    }
    Ok(file)
}
