//! What other threads have for an event loop.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, eventfd};

use super::executor::Job;
use super::pubsub::Published;
use super::sync::lock;

/// A message to an event loop.
#[derive(Debug)]
pub enum Message {
    /// A connection that is now its.
    Accepted(OwnedFd, SocketAddr),
    /// The executor is done with a session's batch.
    Done(Box<Job>),
    /// Something was published that clients of it, by number, subscribed to.
    Published(Arc<Published>, Vec<u64>),
    /// A line for clients that monitor.
    Monitored(Arc<[u8]>, Vec<u64>),
    /// A client is to go.
    Kill(u64),
}

/// Messages in order, and what wakes the loop up that takes them.
#[derive(Debug)]
pub struct Mailbox {
    messages: Mutex<Vec<Message>>,
    wake: OwnedFd,
    /// Whether the loop has answers that wait for a group to settle, and is to be woken up then.
    pub has_parked: AtomicBool,
}

impl Mailbox {
    /// An empty one.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn new() -> io::Result<Mailbox> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Mailbox { messages: Mutex::default(), wake, has_parked: AtomicBool::new(false) })
    }

    /// Sends messages, and wakes the loop up if there are any.
    pub fn send(&self, sent: impl IntoIterator<Item = Message>) {
        let mut messages = lock(&self.messages);
        let before = messages.len();
        messages.extend(sent);
        // Whoever sent the first one woke it up.
        let is_first = before == 0 && !messages.is_empty();
        drop(messages);
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
        std::mem::take(&mut lock(&self.messages))
    }

    /// What becomes readable when it is woken up.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
