//! Batches of an event loop, up to their first writes.
//!
//! Those of several connections are done together: what their first commands look at is brought up by memory for all of them at once,
//! and keys are locked once. Rows of views need no lock.

use super::entities::Entities;
use super::input::Asker;
use super::job::{self, Job};
use super::session::{BatchEnd, Keys};
use super::shared::Shared;

/// Does the batches of these sessions, of which all was received before. Each ends with its last command, or before the first that
/// writes, or that is to wait.
pub fn read(shared: &Shared, entities: &mut Entities, jobs: &mut [Job]) {
    if jobs.is_empty() {
        return;
    }
    entities.follow();
    jobs.iter_mut().for_each(|job| job.session.look_ahead(shared));
    let rows = jobs.iter_mut().filter(|job| job.session.reads_database_of_views());
    entities.fetch(rows.filter_map(|job| job.session.input.key_alone(Asker::Rows)));
    let now = shared.keyspace.now().micros();
    let rest = jobs.iter_mut().position(|job| {
        job.end = job.session.run(shared, Keys::None { entities, now });
        job.end == BatchEnd::NeedsKeys
    });
    if let Some(first) = rest {
        read_keys(shared, entities, &mut jobs[first..]);
    }
    job::publish(shared, jobs);
}

/// The same, the first of which needs keys of the keyspace.
fn read_keys(shared: &Shared, entities: &mut Entities, jobs: &mut [Job]) {
    let keyspace = shared.keyspace.read();
    // Asked for under the lock: what is seen of a group that this does not have is either not durable yet or, once it was undone, not
    // seen.
    let settled = shared.keyspace.settled();
    let now = shared.keyspace.now().micros();
    let database = jobs[0].session.state.database();
    let same = jobs.iter_mut().filter(|job| job.session.state.database() == database);
    let names = same.filter_map(|job| job.session.input.key_alone(Asker::Keyspace));
    keyspace.fetch(database, names.filter(|name| entities.view_of(database, name).is_none()));
    for job in jobs {
        job.end = job.session.run(shared, Keys::Shared { entities, keyspace: &keyspace, now, settled });
        // Under the same lock: no other group was begun meanwhile.
        job.session.state.note_fate(shared);
    }
}
