//! What a batch of commands has for others. It goes out when the batch is answered, after the writes before it are durable.

use std::sync::Arc;

use super::mailbox::Message;
use super::pubsub::Delivery;
use super::shared::Shared;

/// Messages that wait for the end of a batch.
#[derive(Debug, Default)]
pub struct Outbox {
    /// What was published.
    pub deliveries: Vec<Delivery>,
    /// Lines for who monitors.
    pub monitored: Vec<u8>,
    /// Keys that were changed, for who tracks them: runs of names, and `None` for all keys.
    changed: Vec<Option<Vec<Box<[u8]>>>>,
    /// By this client.
    pub changed_by: u64,
    /// Clients that are to go, with their event loops.
    pub kills: Vec<(usize, u64)>,
    /// Whether the server is to end.
    pub stops_server: bool,
}

impl Outbox {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
            && self.monitored.is_empty()
            && self.changed.is_empty()
            && self.kills.is_empty()
            && !self.stops_server
    }

    /// A key was changed, or all were.
    pub fn note_changed(&mut self, key: Option<&[u8]>) {
        match (key, self.changed.last_mut()) {
            (None, _) => self.changed.push(None),
            // Each field of a hash says so, one after the other.
            (Some(key), Some(Some(keys))) if keys.last().is_some_and(|last| **last == *key) => {}
            (Some(key), Some(Some(keys))) => keys.push(key.into()),
            (Some(key), _) => self.changed.push(Some(vec![key.into()])),
        }
    }

    /// Sends all of it.
    pub fn send(&mut self, shared: &Shared) {
        if self.is_empty() {
            return;
        }
        for (published, event_loop, clients) in self.deliveries.drain(..) {
            shared.mailboxes[event_loop].send([Message::Published(published, clients)]);
        }
        if !self.monitored.is_empty() {
            let lines: Arc<[u8]> = std::mem::take(&mut self.monitored).into();
            for (event_loop, clients) in shared.clients.monitors() {
                shared.mailboxes[event_loop].send([Message::Monitored(Arc::clone(&lines), clients)]);
            }
        }
        for keys in self.changed.drain(..) {
            shared.tell_changed(&keys.map(Arc::from), Some(self.changed_by));
        }
        for (event_loop, client) in self.kills.drain(..) {
            shared.mailboxes[event_loop].send([Message::Kill(client)]);
        }
        if self.stops_server {
            shared.stop();
        }
    }
}
