//! Answers that a connection did not take yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::io::Errno;

use super::transport::Transport;

/// Bytes on their way to a peer.
#[derive(Debug)]
pub struct Output {
    bytes: Vec<u8>,
    /// So many of them are out.
    sent: usize,
    /// Since when nothing of what is there was taken.
    stalled_since: Instant,
    /// Bytes that all connections did not take.
    in_all: Arc<AtomicUsize>,
}

impl Output {
    /// Nothing yet.
    pub fn new(in_all: Arc<AtomicUsize>) -> Output {
        Output { bytes: Vec::new(), sent: 0, stalled_since: Instant::now(), in_all }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Since when the peer took nothing of what is there.
    pub fn stalled_since(&self) -> Instant {
        self.stalled_since
    }

    /// Sends bytes, behind those that wait; keeps what the peer does not take. Bytes that went out.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, transport: &mut Transport, mut bytes: &[u8]) -> Result<usize, Errno> {
        if self.is_empty() {
            let is_first = !transport.has_unsent();
            bytes = &bytes[transport.send(bytes)?..];
            if is_first && (!bytes.is_empty() || transport.has_unsent()) {
                self.stalled_since = Instant::now();
            }
        }
        self.bytes.extend_from_slice(bytes);
        self.in_all.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(transport.take_sent_bytes())
    }

    /// Sends what waits, as far as the peer takes it. Bytes that went out.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn flush(&mut self, transport: &mut Transport) -> Result<usize, Errno> {
        if self.is_empty() && !transport.has_unsent() {
            return Ok(0);
        }
        let taken = transport.send(&self.bytes[self.sent..])?;
        self.in_all.fetch_sub(taken, Ordering::Relaxed);
        self.sent += taken;
        let sent = transport.take_sent_bytes();
        if sent > 0 {
            self.stalled_since = Instant::now();
        }
        if self.is_empty() {
            (self.bytes, self.sent) = (Vec::new(), 0);
        } else if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        Ok(sent)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.in_all.fetch_sub(self.len(), Ordering::Relaxed);
    }
}
