//! Batches of an event loop, up to their first writes.
//!
//! Those of several connections are done together: what commands look at is brought up by memory while others are done, and keys are
//! locked once. Rows of views need no lock.

use std::sync::RwLockReadGuard;

use super::entities::Entities;
use super::input::Asker;
use super::job::{self, Job};
use super::session::{BatchEnd, Keys};
use super::shared::Shared;
use crate::keyspace::Keyspace;

/// Keys of so many commands are asked of memory together, or those of one batch.
const FETCHED_TOGETHER: usize = 16;

/// Does the batches of these sessions, of which all was received before. Each ends with its last command, or before the first that
/// writes, or that is to wait.
pub fn read(shared: &Shared, entities: &mut Entities, jobs: &mut [Job]) {
    if jobs.is_empty() {
        return;
    }
    entities.follow();
    jobs.iter_mut().for_each(|job| job.session.look_ahead(shared));
    let mut sight = Sight { shared, entities, now: shared.keyspace.now().micros(), keys: None };
    let mut fetched = 0;
    for at in 0..jobs.len() {
        // While the last of those is done whose keys were asked for, memory brings up the next.
        while fetched < jobs.len() && fetched <= at + 1 {
            let count = fetched_together(&jobs[fetched..]);
            sight.fetch(&mut jobs[fetched..][..count]);
            fetched += count;
        }
        sight.run(&mut jobs[at..fetched]);
    }
    drop(sight);
    job::publish(shared, jobs);
}

/// How many jobs, from the first on, are asked for together.
fn fetched_together(jobs: &[Job]) -> usize {
    let sums = jobs.iter().scan(0, |sum, job| {
        *sum += job.session.input.found_len();
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= FETCHED_TOGETHER).count().max(1)
}

/// What the batches look at that are done together.
#[derive(Debug)]
struct Sight<'a> {
    shared: &'a Shared,
    entities: &'a mut Entities,
    /// The instant of these batches.
    now: i64,
    /// Since one of them asked for keys: those, and up to which ticket groups are durable.
    keys: Option<(RwLockReadGuard<'a, Keyspace>, u64)>,
}

impl Sight<'_> {
    /// Has memory bring up what commands look at that were found.
    fn fetch(&mut self, jobs: &mut [Job]) {
        let rows = jobs.iter_mut().filter(|job| job.session.reads_database_of_views());
        self.entities.fetch(rows.flat_map(|job| job.session.input.keys_found(Asker::Rows)));
        if let Some((keyspace, _)) = &self.keys {
            // Others do it when it is their turn.
            let database = jobs[0].session.state.database();
            let same = jobs.iter_mut().filter(|job| job.session.state.database() == database);
            let names = same.flat_map(|job| job.session.input.keys_found(Asker::Keyspace));
            keyspace.fetch(database, names.filter(|name| self.entities.view_of(database, name).is_none()));
        }
    }

    /// Does the first of these batches. The others were asked for.
    fn run(&mut self, jobs: &mut [Job]) {
        if self.keys.is_none() {
            let session = &mut jobs[0].session;
            let end = session.run(self.shared, Keys::None { entities: self.entities, now: self.now });
            jobs[0].end = end;
            if end != BatchEnd::NeedsKeys {
                return;
            }
            let keyspace = self.shared.keyspace.read();
            // Asked for under the lock: what is seen of a group that this does not have is either not durable yet or, once it was
            // undone, not seen. And what a group before wrote is not of later than the instant.
            self.keys = Some((keyspace, self.shared.keyspace.settled()));
            self.now = self.shared.keyspace.now().micros();
            self.fetch(jobs);
        }
        let Some((keyspace, settled)) = &self.keys else { return };
        let keys = Keys::Shared { entities: self.entities, keyspace, now: self.now, settled: *settled };
        jobs[0].end = jobs[0].session.run(self.shared, keys);
        // Under the same lock: no other group was begun meanwhile.
        jobs[0].session.state.note_fate(self.shared);
    }
}
