//! A state of knowledge as a seq.

use super::picture::Picture;
use super::reads::{Reads, Sight};
use crate::error::{Error, Result};
use crate::format::commits::last_by;
use crate::request::KnownAt;
use crate::time::Timestamp;

impl Reads {
    /// The seq of a state of knowledge: rows and definitions up to it are known.
    ///
    /// # Errors
    /// It lies in the future, or before what retention left; no snapshot has that name.
    pub fn resolve_known_at(&self, known_at: &KnownAt, now: Timestamp) -> Result<u64> {
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
