//! The log: every sector up to where it ends, and every row against the registry.

use std::sync::Arc;

use super::{Check, RESTORE, Severity};
use crate::disk::OpenMode;
use crate::engine::commit::insert_into_tail;
use crate::engine::open::Replay;
use crate::error::{Error, Result};
use crate::format::log::{Frame, LogPosition, position, segment_of};
use crate::format::sector::SECTOR_BYTES;
use crate::head::HeadState;
use crate::identity::Identity;
use crate::log::{LogPlace, LogReader, recover, segment_name};
use crate::registry::RegistryState;
use crate::tail::TailSegment;

/// Rows that were read, by segment.
#[derive(Default)]
struct Read {
    tail: Vec<Arc<TailSegment>>,
    rows: u64,
    next_seq: u64,
}

impl Read {
    fn take(&mut self, replay: &mut Replay<'_>, place: &LogPlace, frame: &Frame<'_>, at: LogPosition) -> Result<()> {
        let segment = segment_of(at);
        let path = place.folder.join(segment_name(segment));
        let hashes = replay.check(frame).map_err(|what| Error::damaged(&path, what))?;
        if self.tail.last().is_none_or(|tail| tail.segment() != segment) {
            self.tail.push(Arc::new(TailSegment::new(segment)));
        }
        if let Some(tail) = self.tail.last() {
            insert_into_tail(tail, frame, &hashes, at);
        }
        self.rows += u64::from(frame.row_count);
        self.next_seq = frame.first_seq + u64::from(frame.row_count);
        Ok(())
    }
}

impl Check<'_> {
    pub(super) fn log_bytes(&self) -> Result<u64> {
        let folder = self.dir.join("log");
        let lengths = self
            .disk
            .list(&folder)?
            .into_iter()
            .map(|name| self.disk.open(&folder.join(name), OpenMode::Read).and_then(|file| file.len_bytes()));
        lengths.filter(|length| !matches!(length, Err(error) if error.is_missing_file())).sum()
    }

    /// Reads the log; its rows, and the number up to which rows are committed.
    pub(super) fn log(
        &mut self,
        identity: &Identity,
        state: &RegistryState,
        said: Option<&HeadState>,
    ) -> Result<(Vec<Arc<TailSegment>>, u64)> {
        let place = LogPlace {
            disk: Arc::clone(&self.disk),
            folder: self.dir.join("log"),
            store_uuid: identity.uuid,
            store_seed: identity.hash_seed,
        };
        let first = state.meta().log_start_segment;
        let mut replay = Replay { state, hash_seed: identity.hash_seed, layouts: Default::default() };
        let mut read = Read::default();
        let Some(said) = said else {
            // The machine stopped while the store was open: the log alone knows where it ends.
            let outcome = recover(&place, first, state.meta().log_synced, None, |frame, at| {
                read.take(&mut replay, &place, &frame, at)
            });
            self.passed("log", outcome)?;
            self.report.rows += read.rows;
            return Ok((read.tail, read.next_seq.saturating_sub(1).max(state.meta().seq_max)));
        };
        let last = segment_of(said.log_end);
        for segment in first..=last {
            let file = place.folder.join(segment_name(segment));
            let sector = u32::try_from(SECTOR_BYTES).expect("512");
            let limit = if segment == last { said.log_end } else { position(segment + 1, sector) };
            let mut reader = LogReader::new(place.clone(), segment);
            match reader.read_new(limit, |frame, at| read.take(&mut replay, &place, &frame, at)) {
                Ok(()) => {}
                Err(error) if error.is_missing_file() => {
                    if self.moved_on(state)?.is_some_and(|newer| newer.meta().log_start_segment > segment) {
                        self.report.passed_over.push(format!("the log was sealed meanwhile: segment {segment}"));
                        continue;
                    }
                    if !self.disk.exists(&file)? {
                        self.problem(Severity::Damage, &file, "the log segment is missing", RESTORE);
                    }
                }
                outcome => {
                    self.passed(&file, outcome)?;
                }
            }
            self.read(&file);
        }
        self.report.rows += read.rows;
        Ok((read.tail, said.committed_seq))
    }
}
