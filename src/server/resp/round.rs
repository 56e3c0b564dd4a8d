//! A round of an event loop: batches of several connections, up to their first writes.
//!
//! What commands look at is brought up by memory while others are done, and keys are locked once. Rows of views need no lock.

use std::sync::RwLockReadGuard;
use std::time::{Duration, Instant};

use super::entities::Entities;
use super::input::{AHEAD_MAX, Asker};
use super::job::{self, Job};
use super::session::{BatchEnd, Keys, REPLIES_PAUSE_BYTES};
use super::shared::Shared;
use crate::keyspace::Keyspace;

/// Keys of so many commands are asked of memory together, or those of one batch.
const FETCHED_TOGETHER: usize = AHEAD_MAX;
/// So long after its begin, a round begins no further batch: who writes waits for the keys that it holds, and who was read from for
/// answers.
const ROUND_TIME: Duration = Duration::from_millis(1);

/// Does batches of sessions, of which all was received before, until the round has been long enough; how many it did, at least one of
/// those that there are. Each ends with its last command, or before the first that writes, or that is to wait.
pub fn read(shared: &Shared, entities: &mut Entities, jobs: &mut [Job]) -> usize {
    if jobs.is_empty() {
        return 0;
    }
    entities.follow();
    jobs.iter_mut().for_each(|job| job.session.look_ahead(shared));
    let begun = Instant::now();
    let mut round = Round { shared, entities, now: shared.keyspace.now().micros(), keys: None, time: begun };
    let (mut fetched, mut answered_bytes, mut done) = (0, 0, 0);
    while done < jobs.len() && round.time < begun + ROUND_TIME && answered_bytes < REPLIES_PAUSE_BYTES {
        // While the last of those is done whose keys were asked for, memory brings up the next.
        while fetched < jobs.len() && fetched <= done + 1 {
            let count = fetched_together(&jobs[fetched..]);
            round.fetch(&mut jobs[fetched..][..count]);
            fetched += count;
        }
        let Some((job, asked)) = jobs[done..fetched].split_first_mut() else { break };
        if !round.run(job, asked, done == 0) {
            break;
        }
        answered_bytes += job.session.state.replies.bytes().len();
        done += 1;
    }
    drop(round);
    job::publish(shared, &mut jobs[..done]);
    done
}

/// How many jobs, from the first on, are asked for together.
fn fetched_together(jobs: &[Job]) -> usize {
    let sums = jobs.iter().scan(0, |sum, job| {
        *sum += job.session.input.found_len();
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= FETCHED_TOGETHER).count().max(1)
}

/// What the batches of a round look at.
#[derive(Debug)]
struct Round<'a> {
    shared: &'a Shared,
    entities: &'a mut Entities,
    /// The instant of these batches.
    now: i64,
    /// Since one of them asked for keys: those, and up to which ticket groups are settled.
    keys: Option<(RwLockReadGuard<'a, Keyspace>, u64)>,
    /// When the batch before ended.
    time: Instant,
}

impl Round<'_> {
    /// Has memory bring up what commands look at that were found.
    fn fetch(&mut self, jobs: &mut [Job]) {
        let Some(first) = jobs.first() else { return };
        let database = first.session.state.database();
        // Who writes looks at keys on another thread, perhaps on another core.
        let reads = |job: &&mut Job| job.session.begins_with_read();
        let rows = jobs.iter_mut().filter(reads).filter(|job| job.session.state.has_views());
        self.entities.fetch(rows.flat_map(|job| job.session.input.keys_found(Asker::Rows)));
        if let Some((keyspace, _)) = &self.keys {
            // Those of other databases do it when it is their turn.
            let same = jobs.iter_mut().filter(reads).filter(|job| job.session.state.database() == database);
            let names = same.flat_map(|job| job.session.input.keys_found(Asker::Keyspace));
            keyspace.fetch(database, names.filter(|name| self.entities.view_of(database, name).is_none()));
        }
    }

    /// Does a batch; those in `asked` were asked for with it. Where somebody writes to the keys just now that it needs, it is not done,
    /// unless it `waits`: those before it are answered first.
    fn run(&mut self, job: &mut Job, asked: &mut [Job], waits: bool) -> bool {
        if job.session.looks_back() {
            // It may read from the disk, and wait for a commit: nobody is to wait with it for keys.
            self.keys = None;
        }
        if self.keys.is_none() {
            let keys = Keys::None { entities: self.entities, now: self.now };
            job.end = job.session.run(self.shared, keys, &mut self.time);
            if job.end != BatchEnd::NeedsKeys {
                return true;
            }
            let keyspace = &self.shared.keyspace;
            let Some(keys) = keyspace.try_read().or_else(|| waits.then(|| keyspace.read())) else { return false };
            // Asked for under the lock: what is seen of a group that this does not have is either not settled yet or, once it was
            // undone, not seen. And what a group before wrote is not of later than the instant.
            self.keys = Some((keys, keyspace.settled()));
            self.now = keyspace.now().micros();
            self.fetch(std::slice::from_mut(job));
            self.fetch(asked);
        }
        let Some((keyspace, settled)) = &self.keys else { return false };
        let keys = Keys::Shared { entities: self.entities, keyspace, now: self.now, settled: *settled };
        job.end = job.session.run(self.shared, keys, &mut self.time);
        // Under the same lock: no other group was begun meanwhile.
        job.session.state.note_fate(self.shared);
        true
    }
}
