//! A batch to be done.

use std::time::Instant;

use super::session::{BatchEnd, Session};
use super::shared::Shared;
use super::sync::lock;

/// A session whose commands are to be done, by the event loop that its connection is of or, from the first that writes on, by the
/// executor.
#[derive(Debug)]
pub struct Job {
    /// The session, back with its connection when this is done.
    pub session: Box<Session>,
    /// Why its batch ended.
    pub end: BatchEnd,
}

/// Says to others what came of batches that ended, and sends what they have for others.
pub fn publish(shared: &Shared, jobs: &mut [Job]) {
    let now = Instant::now();
    let tallies = &mut *lock(&shared.statistics.tallies);
    for Job { session, end } in jobs {
        // The executor does so when that one ends.
        if *end != BatchEnd::NeedsWriter {
            session.publish(now, &shared.statistics, tallies);
            session.state.outbox.send(shared);
        }
    }
}
