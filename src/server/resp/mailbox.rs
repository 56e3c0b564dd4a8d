//! What other threads have for an event loop.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, eventfd};

use super::charge::Charge;
use super::job::Job;
use super::pubsub::Published;
use super::sync::lock;
use super::tracking::{Invalidated, invalidated_bytes};

/// A message to an event loop.
#[derive(Debug)]
pub enum Message {
    /// A connection that is now its.
    Accepted(OwnedFd, SocketAddr),
    /// The executor is done with a session's batch.
    Done(Box<Job>),
    /// Something was published that clients of it, by number, subscribed to.
    Published(Arc<Published>, Vec<u64>),
    /// Keys that a client is to forget.
    Invalidated(Invalidated, u64),
    /// A line for clients that monitor.
    Monitored(Arc<[u8]>, Vec<u64>),
    /// A client is to go.
    Kill(u64),
}

impl Message {
    /// Bytes that it keeps, of those that are as many as clients like.
    fn bytes(&self) -> usize {
        match self {
            Message::Published(published, clients) => published.bytes() + clients.len() * size_of::<u64>(),
            Message::Monitored(lines, clients) => lines.len() + clients.len() * size_of::<u64>(),
            Message::Invalidated(keys, _) => invalidated_bytes(keys),
            Message::Accepted(..) | Message::Done(_) | Message::Kill(_) => 0,
        }
    }
}

/// Messages in order, and what wakes the loop up that takes them.
#[derive(Debug)]
pub struct Mailbox {
    messages: Mutex<(Vec<Message>, Charge)>,
    wake: OwnedFd,
    /// Whether the loop has answers that wait for a group to settle, and is to be woken up then.
    pub has_parked: AtomicBool,
    /// How many connections the loop has, or is about to have.
    pub connections: AtomicUsize,
}

impl Mailbox {
    /// An empty one, whose bytes are counted among those of all.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn new(bytes_in_all: &Arc<AtomicUsize>) -> io::Result<Mailbox> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Mailbox {
            messages: Mutex::new((Vec::new(), Charge::new(Arc::clone(bytes_in_all)))),
            wake,
            has_parked: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        })
    }

    /// Sends messages, and wakes the loop up if there are any.
    pub fn send(&self, sent: impl IntoIterator<Item = Message>) {
        let mut guard = lock(&self.messages);
        let (messages, charge) = &mut *guard;
        let before = messages.len();
        messages.extend(sent);
        charge.add(messages[before..].iter().map(Message::bytes).sum());
        // Whoever sent the first one woke it up.
        let is_first = before == 0 && !messages.is_empty();
        drop(guard);
        if is_first {
            self.wake();
        }
    }

    /// Has the loop look around, with or without a message.
    pub fn wake(&self) {
        // It fails only where the counter is full: the loop is awake then.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// All messages there are; and it sleeps again.
    pub fn take(&self) -> Vec<Message> {
        let mut counter = [0; 8];
        let _ = rustix::io::read(&self.wake, &mut counter);
        let (messages, charge) = &mut *lock(&self.messages);
        charge.set(0);
        std::mem::take(messages)
    }

    /// What becomes readable when it is woken up.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
