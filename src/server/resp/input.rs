//! What a connection sent and that was not done yet.

use std::ops::Range;

use super::command::Arguments;
use super::protocol::{ParseLimits, Parsed, Parser, ProtocolError};

/// So much is asked for at a time, at least.
pub const READ_BYTES: usize = 64 << 10;

/// Bytes that came, and how far they were looked at.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// Where the first command begins that was not done.
    start: usize,
    parser: Parser,
    /// The length of that command, once it was found.
    found: Option<usize>,
}

impl Input {
    /// Finds the next command, if all of it is there. It is found again until it is done.
    ///
    /// # Errors
    /// The stream is out of step.
    pub fn find(&mut self, limits: &ParseLimits) -> Result<bool, ProtocolError> {
        if self.found.is_none()
            && let Parsed::Command { bytes } = self.parser.parse(&self.bytes[self.start..], limits)?
        {
            self.found = Some(bytes);
        }
        Ok(self.found.is_some())
    }

    /// The arguments of the command that was found.
    pub fn arguments(&self) -> Arguments<'_> {
        self.parser.arguments(&self.bytes[self.start..])
    }

    /// The command that was found is done.
    pub fn consume(&mut self) {
        self.start += self.found.take().unwrap_or(0);
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Bytes of memory that are kept.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() + self.parser.capacity()
    }

    /// The buffer to read into, with room behind what is there. It grows with what came, never at once to what was announced.
    pub fn room(&mut self, spare: &mut Vec<Vec<u8>>) -> &mut Vec<u8> {
        if self.len() == 0 {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = spare.pop().unwrap_or_default();
        }
        let expected = self.parser.bytes_expected(&self.bytes).min(self.bytes.len());
        self.bytes.reserve(expected.max(READ_BYTES));
        &mut self.bytes
    }

    /// Gives the buffer back, which idle connections do without; what waits in it is kept in a smaller one, if it is little.
    pub fn release(&mut self, spare: &mut Vec<Vec<u8>>) {
        if self.found.is_none() {
            self.parser.trim();
        }
        let len = self.len();
        if len >= READ_BYTES / 4 {
            return;
        }
        let rest = self.bytes[self.start..].to_vec();
        let mut buffer = std::mem::replace(&mut self.bytes, rest);
        self.start = 0;
        if (READ_BYTES..=2 * READ_BYTES).contains(&buffer.capacity()) && spare.len() < SPARE_MAX {
            buffer.clear();
            spare.push(buffer);
        }
    }
}

/// So many buffers are kept for the next connection that has something to say.
const SPARE_MAX: usize = 8;

/// Arguments of commands that are kept for later.
#[derive(Debug, Default)]
pub struct Kept {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Kept {
    /// Keeps a command's arguments; where to find them.
    pub fn push(&mut self, arguments: Arguments<'_>) -> Range<usize> {
        let start = self.ranges.len();
        for argument in arguments.from(0) {
            let at = self.bytes.len();
            self.bytes.extend_from_slice(argument);
            self.ranges.push(at..self.bytes.len());
        }
        start..self.ranges.len()
    }

    /// Arguments that were kept.
    pub fn get(&self, range: &Range<usize>) -> Arguments<'_> {
        Arguments::new(&self.bytes, &self.ranges[range.clone()])
    }

    /// Bytes of memory, about.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.ranges.len() * size_of::<Range<usize>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_keeps_no_buffer_and_a_half_command_keeps_a_small_one() {
        let (mut input, mut spare) = (Input::default(), Vec::new());
        input.room(&mut spare).extend_from_slice(b"PING\r\nPI");
        let limits = ParseLimits::AUTHENTICATED;
        assert_eq!(input.find(&limits), Ok(true));
        assert_eq!(input.arguments().at(0), b"PING");
        input.consume();
        assert_eq!(input.find(&limits), Ok(false));
        input.release(&mut spare);
        assert_eq!((input.len(), spare.len()), (2, 1));
        assert!(input.capacity() < 64);
        input.room(&mut spare).extend_from_slice(b"NG\r\n");
        assert_eq!(input.find(&limits), Ok(true));
        input.consume();
        input.release(&mut spare);
        assert_eq!(input.capacity(), 0);
    }

    #[test]
    fn a_length_that_was_announced_takes_no_memory_before_its_bytes_come() {
        let (mut input, mut spare) = (Input::default(), Vec::new());
        input.room(&mut spare).extend_from_slice(b"*2\r\n$3\r\nGET\r\n$500000000\r\nabc");
        assert_eq!(input.find(&ParseLimits::AUTHENTICATED), Ok(false));
        input.room(&mut spare);
        assert!(input.capacity() <= 4 * READ_BYTES, "{}", input.capacity());
    }
}
