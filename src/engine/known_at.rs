//! A state of knowledge as a seq.
//!
//! A time means the same seq for ever: once it was resolved, no commit is seen that has that time or an earlier one. So whoever
//! resolves one waits for the commit that may have its time already and is not seen yet; any later one asks the clock later.

use std::time::Duration;

use super::picture::Picture;
use super::reads::{Reads, Sight, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::format::commits::last_by;
use crate::head::UNSETTLED;
use crate::lock::holder;
use crate::request::KnownAt;
use crate::time::Timestamp;

/// How long is waited for a commit under way before it is looked at again, and how often.
const COMMIT_WAIT: Duration = Duration::from_millis(1);
const COMMIT_WAITS_MAX: u32 = 30_000;
/// Every so many waits it is asked whether the writer is still there.
const HOLDER_LOOKS: u32 = 32;

impl Reads {
    /// The seq of a state of knowledge: rows and definitions up to it are known.
    ///
    /// # Errors
    /// It lies in the future, or before what retention left; no snapshot has that name. Whether a commit has a time up to the
    /// one that is asked for is not known, because its writer ended or failed within it. `Locked`: a commit of that time takes
    /// longer than is waited for.
    pub fn resolve_known_at(&self, known_at: &KnownAt, now: Timestamp) -> Result<u64> {
        if let KnownAt::Time(time) = known_at
            && *time <= now
        {
            if *time == now {
                // Until that microsecond is over others may commit within it.
                std::thread::sleep(Duration::from_micros(1));
            }
            self.wait_until_seen(*time)?;
        }
        let Sight { seq: committed, picture } = self.sight()?;
        let seq = match known_at {
            KnownAt::Seq(seq) if *seq > committed => {
                return Err(Error::invalid(format!("seq {seq} is not known yet: the last is {committed}")));
            }
            KnownAt::Seq(seq) => *seq,
            KnownAt::Snapshot(name) => picture.state.snapshot(name)?.seq,
            KnownAt::Time(time) if *time > now => {
                return Err(Error::invalid(format!("what will be known at {time} is not known yet: it is {now}")));
            }
            KnownAt::Time(time) => self.last_seq_by(&picture, time.0)?.min(committed),
        };
        let floor = picture.state.meta().known_at_floor_seq;
        if seq < floor {
            return Err(Error::refused(format!("rows that seq {seq} could see were dropped by retention"))
                .remedy(format!("ask with a known_at from seq {floor} on")));
        }
        Ok(seq)
    }

    /// Waits until all commits are seen that have a time up to `time`, which has passed.
    fn wait_until_seen(&self, time: Timestamp) -> Result<()> {
        let mut awaited = None;
        for wait in 0..COMMIT_WAITS_MAX {
            // In another process: finds the writer there is.
            self.sight()?;
            let Some(head) = self.followed_head() else { return Ok(()) };
            let Some(under_way) = head.under_way() else { return Ok(()) };
            let awaited = *awaited.get_or_insert(under_way);
            let ingested_at = Timestamp(head.ingested_at_us());
            // One under way has that time, or will have that or a later.
            if time < ingested_at || head.committed_seq() >= awaited {
                return Ok(());
            }
            let is_left = wait % HOLDER_LOOKS == HOLDER_LOOKS - 1
                && matches!(self.source, Source::Other(_))
                && holder(&*self.disk, &self.dir)?.is_none()
                && head.under_way() == Some(under_way);
            if under_way == UNSETTLED || is_left {
                return Err(Error::refused(format!(
                    "it is not known what a commit of {time} or before came to: its writer failed or ended half-way"
                ))
                .remedy(format!(
                    "open the store for writing anew, as asof apply does; or ask with a known_at before {ingested_at}"
                )));
            }
            std::thread::sleep(COMMIT_WAIT);
        }
        Err(Error::new(ErrorKind::Locked, format!("a commit that may have a time up to {time} has not ended"))
            .at(self.dir.display())
            .remedy("try again once it has"))
    }

    /// The last seq of the last commit ingested by `time_us`; 0 when there was none.
    fn last_seq_by(&self, picture: &Picture, time_us: i64) -> Result<u64> {
        let past_the_log = picture.state.commits().filter(|commit| commit.ingested_at_us <= time_us);
        let mut seq = past_the_log.map(|commit| commit.seq_last).max().unwrap_or(0);
        for tail in &picture.tail {
            seq = seq.max(last_by(&tail.commits(), time_us).map_or(0, |commit| commit.last_seq));
        }
        for clock in picture.state.clocks().rev() {
            if clock.ingested_last_us <= time_us {
                seq = seq.max(clock.seq_last);
                break;
            }
            if clock.ingested_first_us <= time_us {
                let commits = self.commits_of(clock)?;
                seq = seq.max(last_by(&commits, time_us).map_or(0, |commit| commit.last_seq));
            }
        }
        Ok(seq)
    }
}
