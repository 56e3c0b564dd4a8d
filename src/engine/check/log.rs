//! The log: every sector up to where it ends, and every row against the registry.

use std::sync::Arc;

use super::{Check, Severity};
use crate::disk::OpenMode;
use crate::engine::reads::log_place;
use crate::engine::replay::Replay;
use crate::error::{Error, RESTORE_STORE, Result};
use crate::format::log::{Frame, LogPosition, position, segment_of};
use crate::format::sector::SECTOR_BYTES;
use crate::head::HeadState;
use crate::identity::Identity;
use crate::log::{LogPlace, LogReader, recover, segment_name};
use crate::registry::RegistryState;
use crate::tail::TailSegment;

/// What was read of the log.
struct Rows {
    replay: Replay,
    tail: Vec<Arc<TailSegment>>,
    count: u64,
    next_seq: u64,
}

impl Rows {
    fn take(&mut self, place: &LogPlace, frame: &Frame<'_>, at: LogPosition) -> Result<()> {
        let taken = self.replay.take(frame, at, &mut self.tail);
        taken.map_err(|what| Error::damaged(&place.folder.join(segment_name(segment_of(at))), what))?;
        self.count += u64::from(frame.row_count);
        self.next_seq = frame.first_seq + u64::from(frame.row_count);
        Ok(())
    }
}

impl Check<'_> {
    /// Reads the log; its rows, and the number up to which rows are committed. `None`: a part of it was sealed meanwhile,
    /// and `state` names no run of its rows. Where HEAD `said` nothing, it is the caller who finds out.
    pub(super) fn log(
        &mut self,
        identity: &Identity,
        state: &Arc<RegistryState>,
        said: Option<&HeadState>,
    ) -> Result<Option<(Vec<Arc<TailSegment>>, u64)>> {
        let place = log_place(&self.disk, &self.dir, identity);
        let first = state.meta().log_start_segment;
        let replay = Replay::new(Arc::clone(state), identity.hash_seed);
        let mut rows = Rows { replay, tail: Vec::new(), count: 0, next_seq: 0 };
        let Some(said) = said else {
            // The machine stopped while the store was open: the log alone knows where it ends.
            let outcome = recover(&place, OpenMode::Read, first, state.meta().log_synced, None, |frame, at| {
                rows.take(&place, &frame, at)
            });
            // The header of a segment without a row says too how far numbering had come.
            let next_seq = self.passed("log", outcome)?.map_or(rows.next_seq, |recovered| recovered.next_seq());
            self.report.rows += rows.count;
            // A folder that is missing was told of as a log that ends too early.
            let names = match self.disk.list(&place.folder) {
                Err(error) if error.is_missing_file() => Vec::new(),
                names => names?,
            };
            for name in names {
                self.read(&place.folder.join(name));
            }
            return Ok(Some((rows.tail, next_seq.saturating_sub(1).max(state.meta().seq_max))));
        };
        let last = segment_of(said.log_end);
        for segment in first..=last {
            let file = place.folder.join(segment_name(segment));
            let sector = u32::try_from(SECTOR_BYTES).expect("512");
            let limit = if segment == last { said.log_end } else { position(segment + 1, sector) };
            let mut reader = LogReader::new(place.clone(), segment);
            let outcome = reader.read_new(limit, |frame, at| rows.take(&place, &frame, at));
            // One without a row is missed too, though nothing is read of it: the next writer goes on in it.
            // Nor is there one where none was ever begun.
            let is_missing = said.log_end > 0 && !self.disk.exists(&file)?;
            if is_missing || outcome.as_ref().is_err_and(Error::is_missing_file) {
                if self.is_sealed(state, segment)? {
                    return Ok(None);
                }
                if is_missing {
                    self.problem(Severity::Damage, &file, "the log segment is missing", RESTORE_STORE);
                }
                continue;
            }
            self.passed(&file, outcome)?;
            self.read(&file);
        }
        self.report.rows += rows.count;
        Ok(Some((rows.tail, said.committed_seq)))
    }

    /// Whether rows of this segment lie in runs since `state` was published.
    fn is_sealed(&self, state: &RegistryState, segment: u32) -> Result<bool> {
        Ok(self.moved_on(state)?.is_some_and(|newer| newer.meta().log_start_segment > segment))
    }
}
