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
    /// Why its batch ended. One that was not begun needs keys, or none.
    pub end: BatchEnd,
}

impl Job {
    /// A batch that was not begun.
    pub fn new(session: Box<Session>) -> Job {
        Job { session, end: BatchEnd::NeedsKeys }
    }
}

/// Says to others what came of batches that ended, and sends what they have for others.
pub fn publish(shared: &Shared, jobs: &mut [Job]) {
    // Of one that goes on, the executor does so when it ends.
    let mut ended = jobs.iter_mut().filter(|job| job.end != BatchEnd::NeedsWriter).peekable();
    if ended.peek().is_none() {
        return;
    }
    let (now, mut tallies) = (Instant::now(), lock(&shared.statistics.tallies));
    ended.for_each(|job| job.session.publish(now, &shared.statistics, &mut tallies));
    drop(tallies);
    let ended = jobs.iter_mut().filter(|job| job.end != BatchEnd::NeedsWriter);
    ended.for_each(|job| job.session.state.outbox.send(shared));
}
