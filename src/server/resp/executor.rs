//! The one thread that changes keys.
//!
//! Batches that write are queued here, sessions and all. The executor takes whatever waits, does it as one group under one lock of the
//! keyspace, which then becomes durable with one sync, and hands the sessions back. While it syncs, the next group gathers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::command::Event;
use super::entities::Entities;
use super::eviction;
use super::job::{self, Job};
use super::mailbox::Message;
use super::pubsub::Delivery;
use super::session::Keys;
use super::shared::Shared;
use super::sync::lock;
use crate::keyspace::{Gone, RECEIPTS};

/// What waits for the executor.
#[derive(Debug, Default)]
pub struct Queue {
    jobs: Mutex<Vec<Job>>,
    bell: Condvar,
    /// Whom nobody wakes up before looks for keys past their deadline then, microseconds since 1970.
    sweep_at: AtomicI64,
}

impl Queue {
    /// More of them, in order.
    pub fn push(&self, more: &mut Vec<Job>) {
        if more.is_empty() {
            return;
        }
        let mut jobs = lock(&self.jobs);
        let was_empty = jobs.is_empty();
        jobs.append(more);
        drop(jobs);
        if was_empty {
            self.bell.notify_one();
        }
    }

    /// Whether nothing waits.
    fn is_empty(&self) -> bool {
        lock(&self.jobs).is_empty()
    }

    /// Has the executor look for keys past their deadline in time for this one.
    fn wake_for(&self, deadline: Option<i64>) {
        if deadline.is_some_and(|deadline| deadline < self.sweep_at.load(Ordering::Acquire)) {
            self.wake();
        }
    }

    /// Has the executor look around.
    pub fn wake(&self) {
        let _jobs = lock(&self.jobs);
        self.bell.notify_one();
    }

    /// All that waits, or nothing after `time`.
    fn take(&self, time: Duration) -> Vec<Job> {
        let mut jobs = lock(&self.jobs);
        if jobs.is_empty() {
            (jobs, _) = self.bell.wait_timeout(jobs, time).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut jobs)
    }
}

/// Keys past their deadline are looked for so often, at least.
const SWEEP_TIME: Duration = Duration::from_millis(100);
/// So many are removed at a time, so that nobody waits long for the keyspace.
const SWEEP_KEYS_MAX: usize = 1_000;

/// Does groups of writes until the server stops.
pub fn run(shared: &Shared) {
    let mut entities = Entities::new(shared.keyspace.clone());
    while !shared.is_stopping() {
        let time = until_sweep(shared);
        let time_us = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        shared.queue.sweep_at.store(shared.keyspace.now().micros().saturating_add(time_us), Ordering::Release);
        let jobs = shared.queue.take(time);
        if !jobs.is_empty() {
            write_group(shared, &mut entities, jobs);
        }
        if until_sweep(shared).is_zero() {
            sweep(shared);
        }
        while !shared.is_stopping() && shared.queue.is_empty() && eviction::evict(shared) {}
    }
}

fn write_group(shared: &Shared, entities: &mut Entities, mut jobs: Vec<Job>) {
    write(shared, entities, &mut jobs);
    let mut by_loop: BTreeMap<usize, Vec<Message>> = BTreeMap::new();
    for job in jobs {
        by_loop.entry(job.session.state.client.event_loop).or_default().push(Message::Done(Box::new(job)));
    }
    for (event_loop, messages) in by_loop {
        shared.mailboxes[event_loop].send(messages);
    }
}

/// Does the batches of these sessions as one group, after which their answers are to be sent. It returns when the group is durable, or
/// was undone.
pub fn write(shared: &Shared, entities: &mut Entities, jobs: &mut [Job]) {
    let (mut events, mut next_deadline) = (Vec::new(), None);
    let done = shared.keyspace.transact(|keyspace, rows| {
        // Nothing is applied meanwhile: these are the definitions that the rows are of.
        entities.follow();
        let (now, mut time) = (rows.now, Instant::now());
        for job in &mut *jobs {
            let keys = Keys::Exclusive { entities, rows, keyspace, now, events: &mut events };
            job.end = job.session.run(shared, keys, &mut time);
        }
        next_deadline = keyspace.next_deadline();
    });
    shared.queue.wake_for(next_deadline);
    shared.statistics.groups.add(1);
    let why = done.as_ref().err().map(|error| error.what().to_owned());
    if why.is_none() {
        tell(shared, &events);
    }
    jobs.iter_mut().for_each(|job| job.session.state.settle(why.as_deref()));
    job::publish(shared, jobs);
    wake_parked(shared);
}

/// How long until a key or field may have to go: nothing, if one has to.
fn until_sweep(shared: &Shared) -> Duration {
    let Some(deadline) = shared.keyspace.read().next_deadline() else { return SWEEP_TIME };
    let left = deadline.saturating_sub(shared.keyspace.now().micros());
    Duration::from_micros(u64::try_from(left).unwrap_or(0)).min(SWEEP_TIME)
}

/// Removes keys and fields past their deadline, and tells of it. No log has to know.
fn sweep(shared: &Shared) {
    let (mut events, mut count) = (Vec::new(), 0);
    let done = shared.keyspace.change(|keyspace, now| {
        for _ in 0..SWEEP_KEYS_MAX {
            let Some(expired) = keyspace.remove_expired(now) else { break };
            // No client knows of it.
            if expired.database == RECEIPTS {
                continue;
            }
            count += usize::from(expired.what == Gone::Key);
            Event::of_expired(expired, &mut events);
        }
    });
    shared.statistics.expired.add(count);
    if done.is_ok() {
        tell(shared, &events);
        tell_gone(shared, &events);
    }
    wake_parked(shared);
}

/// Tells of changes on the channels that `notify-keyspace-events` names.
pub fn tell(shared: &Shared, events: &[Event]) {
    let notify = shared.config.notify();
    let mut deliveries: Vec<Delivery> = Vec::new();
    for event in events {
        notify.tell(event, |channel, payload| {
            shared.pubsub.publish(channel, payload, &mut deliveries);
        });
    }
    for (published, event_loop, clients) in deliveries {
        shared.mailboxes[event_loop].send([Message::Published(published, clients)]);
    }
}

/// Tells who tracks keys of those that went by themselves.
pub fn tell_gone(shared: &Shared, events: &[Event]) {
    if !events.is_empty() && shared.tracking.len() > 0 {
        shared.tell_changed(&Some(events.iter().map(|event| event.key.clone()).collect()), None);
    }
}

fn wake_parked(shared: &Shared) {
    shared
        .mailboxes
        .iter()
        .filter(|mailbox| mailbox.has_parked.load(Ordering::SeqCst))
        .for_each(|mailbox| mailbox.wake());
}
