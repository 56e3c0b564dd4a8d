//! Answers that a connection did not take yet.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::io::Errno;

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

    /// Since when the peer took nothing, while there was something.
    pub fn stalled_since(&self) -> Option<Instant> {
        (!self.is_empty()).then_some(self.stalled_since)
    }

    /// Sends bytes, behind those that wait; keeps what the peer does not take. Bytes that went out.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, socket: impl AsFd, mut bytes: &[u8]) -> Result<usize, Errno> {
        let mut sent = 0;
        if self.is_empty() {
            sent = write_all(socket, bytes)?;
            bytes = &bytes[sent..];
            if bytes.is_empty() {
                return Ok(sent);
            }
            self.stalled_since = Instant::now();
        }
        self.bytes.extend_from_slice(bytes);
        self.in_all.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(sent)
    }

    /// Sends what waits, as far as the peer takes it. Bytes that went out.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn flush(&mut self, socket: impl AsFd) -> Result<usize, Errno> {
        if self.is_empty() {
            return Ok(0);
        }
        let sent = write_all(socket, &self.bytes[self.sent..])?;
        self.in_all.fetch_sub(sent, Ordering::Relaxed);
        self.sent += sent;
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

/// Writes until all is out or the peer takes no more.
fn write_all(socket: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    let mut sent = 0;
    while sent < bytes.len() {
        // A peer that is gone is an error, never a signal.
        match rustix::net::send(&socket, &bytes[sent..], rustix::net::SendFlags::NOSIGNAL) {
            Ok(more) => sent += more,
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
