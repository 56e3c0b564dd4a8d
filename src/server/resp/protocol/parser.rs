//! Commands out of a connection's input, where they lie.

use std::fmt;
use std::ops::Range;

use memchr::memchr;

use super::inline::split_words;
use super::limits::{LINE_BYTES_MAX, ParseLimits};
use crate::server::resp::command::Arguments;
use crate::server::resp::number::parse_i64;

/// The stream is out of step: the connection gets `-ERR Protocol error: ...` and is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The line that says how many arguments there are does not end.
    ArrayLineTooLong,
    /// Not a number of arguments, or more than a command may have.
    ArrayLength,
    /// As above, before the connection authenticated.
    ArrayLengthUnauthenticated,
    /// Something else stands where an argument's length begins.
    NoBulk(u8),
    /// The line that says how long an argument is does not end.
    BulkLineTooLong,
    /// Not a length, or longer than an argument may be.
    BulkLength,
    /// As above, before the connection authenticated.
    BulkLengthUnauthenticated,
    /// The command is longer, in all, than one may be.
    CommandTooLong,
    /// A line of words does not end.
    InlineTooLong,
    /// A line of words has a quote that nothing closes.
    InlineQuotes,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            ProtocolError::ArrayLineTooLong => "too big mbulk count string",
            ProtocolError::ArrayLength => "invalid multibulk length",
            ProtocolError::ArrayLengthUnauthenticated => "unauthenticated multibulk length",
            ProtocolError::NoBulk(found) => {
                // Redis prints any byte as it is, but for those that end lines. A client that shows answers should not meet
                // the other control bytes either.
                let is_line_end = matches!(found, b'\r' | b'\n');
                let found = if is_line_end { b' ' } else { *found };
                return write!(f, "expected '$', got '{}'", found.escape_ascii());
            }
            ProtocolError::BulkLineTooLong => "too big bulk count string",
            ProtocolError::BulkLength => "invalid bulk length",
            ProtocolError::BulkLengthUnauthenticated => "unauthenticated bulk length",
            ProtocolError::CommandTooLong => "too big command",
            ProtocolError::InlineTooLong => "too big inline request",
            ProtocolError::InlineQuotes => "unbalanced quotes in request",
        };
        f.write_str(text)
    }
}

/// A parser keeps no more memory than this for the next command; so little is not counted.
const KEPT_BYTES_MAX: usize = 2 << 10;

/// What the input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A command in the first so many bytes; without arguments, an empty one that is to be passed over.
    Command {
        /// Bytes it takes.
        bytes: usize,
    },
    /// Not all of a command yet.
    Incomplete,
}

/// Finds commands in input that arrives in parts. Where a command stands half there it goes on from where it came to, so that
/// each byte is looked at once.
#[derive(Debug, Default)]
pub struct Parser {
    state: State,
    /// Bytes of the command that were read.
    at: usize,
    /// Where arguments lie, from the command's first byte on.
    arguments: Vec<Range<usize>>,
    /// Words of an inline command, which lie nowhere as they are meant.
    words: Vec<u8>,
    is_inline: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    /// So many arguments are still to come.
    Arguments(usize),
    /// The bytes of an argument, and of so many more after it.
    Bytes(usize, usize),
    /// A command was found, and is the caller's until the next is asked for.
    Found,
}

impl Parser {
    /// Looks for a command at the front of `input`, which begins where the last command ended: the bytes that were
    /// there before, and perhaps more.
    ///
    /// # Errors
    /// The stream is out of step, or the command is more than `limits` allow.
    pub fn parse(&mut self, input: &[u8], limits: &ParseLimits) -> Result<Parsed, ProtocolError> {
        if self.state == State::Found {
            self.clear();
        }
        loop {
            let done = match self.state {
                State::Start => self.start(input, limits)?,
                State::Arguments(0) => {
                    self.state = State::Found;
                    return Ok(Parsed::Command { bytes: self.at });
                }
                State::Arguments(left) => self.length(input, left, limits)?,
                State::Bytes(length, left) => self.bytes(input, length, left),
                State::Found => return Ok(Parsed::Command { bytes: self.at }),
            };
            if !done {
                return if self.at > limits.command_bytes_max {
                    Err(ProtocolError::CommandTooLong)
                } else {
                    Ok(Parsed::Incomplete)
                };
            }
            if self.at > limits.command_bytes_max {
                return Err(ProtocolError::CommandTooLong);
            }
        }
    }

    /// The arguments of the command that was found in `input`.
    #[inline]
    pub fn arguments<'a>(&'a self, input: &'a [u8]) -> Arguments<'a> {
        Arguments::new(if self.is_inline { &self.words } else { input }, &self.arguments)
    }

    /// Where the arguments of the command that was found lie, from its first byte on; `None` of an inline command.
    #[inline]
    pub fn places(&self) -> Option<&[Range<usize>]> {
        (!self.is_inline).then_some(&*self.arguments)
    }

    /// Bytes that a command which is half there is known to take beyond the input, at least: room for them spares copying.
    pub fn bytes_expected(&self, input: &[u8]) -> usize {
        match self.state {
            State::Bytes(length, _) => (self.at + length + 2).saturating_sub(input.len()),
            _ => 0,
        }
    }

    /// Bytes of memory that a long command takes beside its own: a command of many short arguments takes more for their places than
    /// for their bytes.
    pub fn capacity(&self) -> usize {
        let bytes = self.arguments.capacity() * size_of::<Range<usize>>() + self.words.capacity();
        if bytes > KEPT_BYTES_MAX { bytes } else { 0 }
    }

    /// Gives memory back that only a long command needed. The one that was found last is the caller's no more.
    pub fn trim(&mut self) {
        if self.state == State::Found {
            self.clear();
        }
        if self.capacity() > 0 {
            self.arguments.shrink_to(KEPT_BYTES_MAX / size_of::<Range<usize>>() / 2);
            self.words.shrink_to(KEPT_BYTES_MAX / 2);
        }
    }

    fn clear(&mut self) {
        self.state = State::Start;
        self.at = 0;
        self.arguments.clear();
        self.words.clear();
        self.is_inline = false;
    }

    /// The first line. Gives whether there is more to be done with this input.
    fn start(&mut self, input: &[u8], limits: &ParseLimits) -> Result<bool, ProtocolError> {
        match input.first() {
            None => Ok(false),
            Some(b'*') => {
                let too_long = ProtocolError::ArrayLineTooLong;
                let Some((line, end)) = take_line(input, self.at, limits, too_long)? else { return Ok(false) };
                let count = parse_i64(&line[1..]).ok_or(ProtocolError::ArrayLength)?;
                let count = usize::try_from(count).unwrap_or(0);
                if count > limits.arguments_max {
                    return Err(match limits.is_unauthenticated {
                        true => ProtocolError::ArrayLengthUnauthenticated,
                        false => ProtocolError::ArrayLength,
                    });
                }
                self.at = end;
                self.state = State::Arguments(count);
                Ok(true)
            }
            Some(_) => self.inline(input, limits),
        }
    }

    fn inline(&mut self, input: &[u8], limits: &ParseLimits) -> Result<bool, ProtocolError> {
        let longest = longest_line(limits);
        let Some(end) = memchr(b'\n', input) else {
            return if input.len() > longest { Err(ProtocolError::InlineTooLong) } else { Ok(false) };
        };
        if end > longest {
            return Err(ProtocolError::InlineTooLong);
        }
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        split_words(line, &mut self.words, &mut self.arguments).ok_or(ProtocolError::InlineQuotes)?;
        if self.arguments.len() > limits.arguments_max {
            return Err(ProtocolError::ArrayLength);
        }
        self.is_inline = true;
        self.at = end + 1;
        self.state = State::Arguments(0);
        Ok(true)
    }

    /// The line before an argument.
    fn length(&mut self, input: &[u8], left: usize, limits: &ParseLimits) -> Result<bool, ProtocolError> {
        let too_long = ProtocolError::BulkLineTooLong;
        let Some((line, end)) = take_line(input, self.at, limits, too_long)? else { return Ok(false) };
        match line.first() {
            Some(b'$') => {}
            // An empty line: what stands there is its end.
            other => return Err(ProtocolError::NoBulk(other.copied().unwrap_or(b'\r'))),
        }
        let length = parse_i64(&line[1..]).and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or(ProtocolError::BulkLength)?;
        if length > limits.argument_bytes_max {
            return Err(match limits.is_unauthenticated {
                true => ProtocolError::BulkLengthUnauthenticated,
                false => ProtocolError::BulkLength,
            });
        }
        if end + length > limits.command_bytes_max {
            return Err(ProtocolError::CommandTooLong);
        }
        self.at = end;
        self.state = State::Bytes(length, left - 1);
        Ok(true)
    }

    /// An argument's bytes and the line end after them, whatever it is.
    fn bytes(&mut self, input: &[u8], length: usize, left: usize) -> bool {
        let end = self.at + length;
        if input.len() < end + 2 {
            return false;
        }
        self.arguments.push(self.at..end);
        self.at = end + 2;
        self.state = State::Arguments(left);
        true
    }
}

/// No line is longer, nor than a whole command may be.
fn longest_line(limits: &ParseLimits) -> usize {
    LINE_BYTES_MAX.min(limits.command_bytes_max)
}

/// The line at `at`, without its end, and where the next begins; `None` where it does not end yet.
fn take_line<'a>(
    input: &'a [u8],
    at: usize,
    limits: &ParseLimits,
    too_long: ProtocolError,
) -> Result<Option<(&'a [u8], usize)>, ProtocolError> {
    let rest = &input[at..];
    let Some(length) = memchr(b'\r', rest) else {
        return if rest.len() > longest_line(limits) { Err(too_long) } else { Ok(None) };
    };
    // The byte after it is there, and is taken for a line feed, as Redis does.
    if rest.len() < length + 2 {
        return Ok(None);
    }
    Ok(Some((&rest[..length], at + length + 2)))
}

#[cfg(test)]
mod tests;
