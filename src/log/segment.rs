//! Segment files: names, headers, which there are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, File, OpenMode};
use crate::error::{Error, ErrorKind, RESTORE_STORE, Result};
use crate::format::log::{LOG_FORMAT_VERSION, LogPosition, SegmentHeader, offset_of, position, segment_of};
use crate::format::sector::{PAYLOAD_BYTES, SECTOR_BYTES, SectorSeal, SectorState};

/// Where a store's log lies, and what its sectors are sealed with.
#[derive(Clone, Debug)]
pub struct LogPlace {
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// The folder of the segments.
    pub folder: PathBuf,
    /// The store.
    pub store_uuid: [u8; 16],
    /// Random, from STORE.
    pub store_seed: u64,
}

/// The name of a segment's file.
pub fn segment_name(segment: u32) -> String {
    format!("{segment:016x}.log")
}

/// The segment whose file has this name; `None` where none has, as a copy of one.
pub fn segment_of_name(name: &str) -> Option<u32> {
    let segment = u32::from_str_radix(name.strip_suffix(".log")?, 16).ok()?;
    (segment_name(segment) == name).then_some(segment)
}

impl LogPlace {
    pub(super) fn path(&self, segment: u32) -> PathBuf {
        self.folder.join(segment_name(segment))
    }

    pub(super) fn seal(&self, segment: u32) -> SectorSeal {
        SectorSeal::new(self.store_seed, segment)
    }

    /// Ids of the segments there are, ascending.
    pub(super) fn segments(&self) -> Result<Vec<u32>> {
        let names = match self.disk.list(&self.folder) {
            // A store whose making was cut short after STORE has no folder yet. Where the registry knows of a log, an
            // empty one ends before what was synced.
            Err(error) if error.is_missing_file() => return Ok(Vec::new()),
            names => names?,
        };
        let mut ids: Vec<u32> = names.iter().filter_map(|name| segment_of_name(name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Whether there is more of the log than up to `end`: a later segment, or something written where it is said to end.
    ///
    /// # Errors
    /// The folder or the segment cannot be read.
    pub fn goes_on_at(&self, end: LogPosition) -> Result<bool> {
        if self.segments()?.last().is_some_and(|last| *last > segment_of(end)) {
            return Ok(true);
        }
        match open_segment(self, segment_of(end), OpenMode::Read) {
            Ok(Opened::Sound(segment)) => super::scan::is_unwritten(&segment, offset_of(end)).map(|is_end| !is_end),
            // What is wrong with it is found out when it is read.
            Ok(_) => Ok(false),
            Err(error) if error.is_missing_file() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the segments below `first`: their rows lie in runs that the published MANIFEST names.
    ///
    /// # Errors
    /// One could not be removed.
    pub fn remove_below(&self, first: u32) -> Result<()> {
        let mut removed = false;
        for segment in self.segments()?.into_iter().filter(|segment| *segment < first) {
            self.disk.remove(&self.path(segment))?;
            removed = true;
        }
        if removed { self.disk.sync_dir(&self.folder) } else { Ok(()) }
    }
}

/// A segment file whose header was found sound.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub file: Arc<dyn File>,
    pub header: SegmentHeader,
    pub seal: SectorSeal,
    pub path: PathBuf,
}

/// What opening a segment found.
pub(super) enum Opened {
    /// A sound header.
    Sound(Segment),
    /// Nothing was ever written to it: its creation was cut short.
    NeverWas,
    /// A header that is not what was written, in a file that holds something.
    BadHeader(&'static str),
}

impl Segment {
    pub fn id(&self) -> u32 {
        self.header.segment
    }

    /// Bytes that sectors can take: the whole file, in sectors.
    pub fn end_max(&self) -> u32 {
        let bytes = u32::try_from(self.header.file_bytes).unwrap_or(u32::MAX);
        bytes - bytes % u32::try_from(SECTOR_BYTES).expect("512")
    }

    pub fn position(&self, offset: u32) -> LogPosition {
        position(self.id(), offset)
    }

    /// An error about damage at `offset`.
    pub fn damaged(&self, offset: u32, what: &str) -> Error {
        damaged_at(&self.path, offset, what)
    }
}

pub(super) fn damaged_at(path: &Path, offset: u32, what: &str) -> Error {
    Error::damaged(path, format!("sector at offset {offset}: {what}")).remedy(RESTORE_STORE)
}

/// Opens a segment and looks at its header.
pub(super) fn open_segment(place: &LogPlace, segment: u32, mode: OpenMode) -> Result<Opened> {
    let path = place.path(segment);
    let file = place.disk.open(&path, mode)?;
    let len = file.len_bytes()?;
    if len < SECTOR_BYTES as u64 {
        return Ok(Opened::NeverWas);
    }
    let mut sector = [0; SECTOR_BYTES];
    file.read_at(0, &mut sector)?;
    let seal = place.seal(segment);
    match seal.check(0, &sector) {
        SectorState::Good => {}
        _ if is_zero_beyond_header(&*file, len)? => return Ok(Opened::NeverWas),
        SectorState::Zero => return Ok(Opened::BadHeader("the header is missing")),
        SectorState::Bad => return Ok(Opened::BadHeader("the header's checksum differs")),
    }
    if SegmentHeader::version(&sector[..PAYLOAD_BYTES]).is_some_and(|version| version > LOG_FORMAT_VERSION) {
        return Err(Error::new(ErrorKind::NewerFormat, "the log segment was written by a newer release")
            .at(path.display())
            .remedy("open the store with that release"));
    }
    let header = match SegmentHeader::parse(&sector[..PAYLOAD_BYTES]) {
        Ok(header) => header,
        Err(what) => return Ok(Opened::BadHeader(what)),
    };
    if header.segment != segment || header.store_uuid != place.store_uuid {
        return Ok(Opened::BadHeader("the segment belongs to another place"));
    }
    if header.file_bytes > len {
        // A segment is used only once its length is durable.
        if is_zero_beyond_header(&*file, len)? {
            return Ok(Opened::NeverWas);
        }
        return Ok(Opened::BadHeader("the file is shorter than its header says"));
    }
    Ok(Opened::Sound(Segment { file, header, seal, path }))
}

fn is_zero_beyond_header(file: &dyn File, len: u64) -> Result<bool> {
    let mut chunk = vec![0; 64 << 10];
    let mut offset = SECTOR_BYTES as u64;
    while offset < len {
        let size = usize::try_from(len - offset).unwrap_or(usize::MAX).min(chunk.len());
        file.read_at(offset, &mut chunk[..size])?;
        if chunk[..size].iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        offset += size as u64;
    }
    Ok(true)
}

/// Whether `at` lies in segment `segment` beyond `offset`.
pub(super) fn lies_beyond(at: LogPosition, segment: u32, offset: u32) -> bool {
    segment_of(at) > segment || segment_of(at) == segment && offset_of(at) > offset
}
