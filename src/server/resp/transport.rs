//! A connection's socket, and TLS on it where the server speaks that. It never waits.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustls::ServerConnection;

/// So often records are read before others have their turn.
const RECORDS_MAX: usize = 32;

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes that were put behind those in the buffer.
    pub bytes: usize,
    /// Nothing more is there: the system tells when more comes.
    pub is_drained: bool,
}

/// A socket that does not block, and what is spoken on it.
#[derive(Debug)]
pub struct Transport {
    socket: OwnedFd,
    tls: Option<Box<ServerConnection>>,
    /// Bytes that went out, TLS's own included.
    sent_bytes: usize,
}

impl Transport {
    /// A connection that was accepted; with `tls`, a handshake comes first.
    pub fn new(socket: OwnedFd, tls: Option<ServerConnection>) -> Transport {
        Transport { socket, tls: tls.map(Box::new), sent_bytes: 0 }
    }

    /// Whether the handshake is done, where there is one.
    pub fn is_ready(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking())
    }

    /// Whether something that was taken to be sent is not out.
    pub fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Bytes that went out since this was asked last.
    pub fn take_sent_bytes(&mut self) -> usize {
        std::mem::take(&mut self.sent_bytes)
    }

    /// Reads what is there, as far as there is room in the buffer.
    ///
    /// # Errors
    /// `PIPE`: the peer sends no more. The connection is gone, or what came is no TLS.
    pub fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Received, Errno> {
        let room = buffer.capacity() - buffer.len();
        let Some(tls) = &mut self.tls else {
            return match rustix::io::read(&self.socket, spare_capacity(buffer)) {
                Ok(0) => Err(Errno::PIPE),
                Ok(bytes) => Ok(Received { bytes, is_drained: bytes < room }),
                Err(Errno::AGAIN) => Ok(Received { bytes: 0, is_drained: true }),
                Err(Errno::INTR) => Ok(Received { bytes: 0, is_drained: false }),
                Err(error) => Err(error),
            };
        };
        let before = buffer.len();
        let mut end = Ok(false);
        for _ in 0..RECORDS_MAX {
            let left = room - (buffer.len() - before);
            // What was deciphered so far goes where it is parsed; that there is no more of it is an error of its own.
            let _ = tls.reader().take(u64::try_from(left).unwrap_or(u64::MAX)).read_to_end(buffer);
            if buffer.len() - before == room {
                break;
            }
            match tls.read_tls(&mut Wire(&self.socket, &mut 0)) {
                Ok(0) => end = Err(Errno::PIPE),
                Ok(_) => match tls.process_new_packets() {
                    Ok(state) if state.peer_has_closed() && state.plaintext_bytes_to_read() == 0 => {
                        end = Err(Errno::PIPE);
                    }
                    Ok(_) => continue,
                    Err(_) => {
                        // What is wrong is told to the peer, if it takes that.
                        let _ = tls.write_tls(&mut Wire(&self.socket, &mut self.sent_bytes));
                        end = Err(Errno::PROTO);
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => end = Ok(true),
                Err(error) => end = Err(errno(&error)),
            }
            break;
        }
        // The handshake's answers, which nobody else sends.
        self.flush()?;
        match (buffer.len() - before, end) {
            (0, Err(error)) => Err(error),
            // The end is found again, when these were looked at.
            (bytes, Err(_)) => Ok(Received { bytes, is_drained: false }),
            (bytes, Ok(is_drained)) => Ok(Received { bytes, is_drained }),
        }
    }

    /// Sends as much as the peer takes. How many bytes were taken; those that TLS holds back are sent with the next.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let mut sent = 0;
        if self.tls.is_none() {
            while sent < bytes.len() {
                // A peer that is gone is an error, never a signal.
                match rustix::net::send(&self.socket, &bytes[sent..], SendFlags::NOSIGNAL) {
                    Ok(more) => sent += more,
                    Err(Errno::AGAIN) => break,
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error),
                }
            }
            self.sent_bytes += sent;
            return Ok(sent);
        }
        while self.flush()? && sent < bytes.len() {
            let Some(tls) = &mut self.tls else { break };
            // It takes no more than a few records at a time.
            sent += tls.writer().write(&bytes[sent..]).map_err(|error| errno(&error))?;
        }
        Ok(sent)
    }

    /// Sends what TLS holds back. Whether all of it is out.
    fn flush(&mut self) -> Result<bool, Errno> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        while tls.wants_write() {
            match tls.write_tls(&mut Wire(&self.socket, &mut self.sent_bytes)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(errno(&error)),
            }
        }
        Ok(true)
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        // A peer that knows TLS is told of the end, so that it can tell it from an attacker's; it may not be there any more.
        if let Some(tls) = self.tls.as_mut().filter(|tls| !tls.is_handshaking()) {
            tls.send_close_notify();
            let _ = self.flush();
        }
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// A socket as the library reads and writes it, and where bytes that went out are counted.
struct Wire<'a>(&'a OwnedFd, &'a mut usize);

impl io::Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(self.0, &mut *buffer))?)
    }
}

impl io::Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = rustix::io::retry_on_intr(|| rustix::net::send(self.0, bytes, SendFlags::NOSIGNAL))?;
        *self.1 += sent;
        Ok(sent)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
