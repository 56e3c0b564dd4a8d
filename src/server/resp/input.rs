//! What a connection sent and that was not done yet.

use std::ops::Range;

use super::command::Arguments;
use super::protocol::{ParseLimits, Parsed, Parser, ProtocolError};

/// So much is asked for at a time, at least.
pub const READ_BYTES: usize = 64 << 10;

/// So many commands of a pipeline are found before the first of them is done,
pub const AHEAD_MAX: usize = 16;
/// and no more once they have so many arguments.
const AHEAD_ARGUMENTS_MAX: usize = 256;

/// Bytes that came, and how far they were looked at.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// Where the first command begins that was not done.
    start: usize,
    /// Commands from there on.
    ahead: Ahead,
    /// Of what comes after these.
    parser: Parser,
    /// The length of the command that it found.
    found: Option<usize>,
    /// That the stream is out of step there.
    error: Option<ProtocolError>,
    /// What all of this was found under.
    limits: Option<ParseLimits>,
}

/// Commands that were found and are not done.
#[derive(Debug, Default)]
struct Ahead {
    /// Where arguments lie, each from its command's first byte on.
    arguments: Vec<Range<usize>>,
    /// Which of these are a command's, and how many bytes it takes.
    commands: Vec<(Range<usize>, usize)>,
    /// The first that is not done.
    next: usize,
    /// Who asked for the keys of all of them, by [`Asker`].
    asked: u8,
}

/// Who looks at keys before commands do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Who has rows of views.
    Rows = 1,
    /// Who has keys of the keyspace.
    Keyspace = 2,
}

impl Ahead {
    fn waiting(&self) -> &[(Range<usize>, usize)] {
        &self.commands[self.next..]
    }

    fn push(&mut self, arguments: &[Range<usize>], bytes: usize) {
        let first = self.arguments.len();
        self.arguments.extend_from_slice(arguments);
        self.commands.push((first..self.arguments.len(), bytes));
    }

    fn is_full(&self) -> bool {
        self.commands.len() >= AHEAD_MAX || self.arguments.len() >= AHEAD_ARGUMENTS_MAX
    }

    fn clear(&mut self) {
        self.arguments.clear();
        self.commands.clear();
        (self.next, self.asked) = (0, 0);
    }

    fn capacity(&self) -> usize {
        self.arguments.capacity() * size_of::<Range<usize>>()
            + self.commands.capacity() * size_of::<(Range<usize>, usize)>()
    }
}

/// Memory for the next connection that has something to say: idle ones do without.
#[derive(Debug, Default)]
pub struct Spare {
    buffers: Vec<Vec<u8>>,
    aheads: Vec<Ahead>,
}

impl Input {
    /// Finds the next command, if all of it is there. It is found again until it is done. Where `looks_ahead`, those behind it are found
    /// with it.
    ///
    /// # Errors
    /// The stream is out of step.
    pub fn find(&mut self, limits: &ParseLimits, looks_ahead: bool) -> Result<bool, ProtocolError> {
        // A command before may have changed them.
        if self.limits.as_ref() != Some(limits) {
            self.limits = Some(*limits);
            self.ahead.clear();
            (self.parser, self.found, self.error) = (Parser::default(), None, None);
        }
        if self.has_found() {
            return Ok(true);
        }
        self.ahead.clear();
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut at = self.start;
        loop {
            let bytes = match self.parser.parse(&self.bytes[at..], limits) {
                Ok(Parsed::Command { bytes }) => bytes,
                Ok(Parsed::Incomplete) => break,
                // Those before it are done first.
                Err(error) if at > self.start => {
                    self.error = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            };
            // The words of an inline command are the parser's own.
            let Some(arguments) = self.parser.places().filter(|_| looks_ahead) else {
                self.found = Some(bytes);
                return Ok(true);
            };
            self.ahead.push(arguments, bytes);
            at += bytes;
            if self.ahead.is_full() {
                break;
            }
        }
        Ok(!self.ahead.commands.is_empty())
    }

    /// As [`Input::find`], which then tells of what this finds.
    pub fn look_ahead(&mut self, limits: &ParseLimits) {
        if let Err(error) = self.find(limits, true) {
            self.error = Some(error);
        }
    }

    /// Whether a command was found that is not done.
    pub fn has_found(&self) -> bool {
        !self.ahead.waiting().is_empty() || self.found.is_some()
    }

    /// The arguments of the command that was found.
    pub fn arguments(&self) -> Arguments<'_> {
        match self.ahead.waiting() {
            [(places, _), ..] => Arguments::new(&self.bytes[self.start..], &self.ahead.arguments[places.clone()]),
            [] => self.parser.arguments(&self.bytes[self.start..]),
        }
    }

    /// Whether an asker has asked for the keys of all commands that were found together.
    pub fn was_asked(&self, asker: Asker) -> bool {
        self.ahead.asked & asker as u8 != 0
    }

    /// How many commands were found together that are not done.
    pub fn found_len(&self) -> usize {
        self.ahead.waiting().len()
    }

    /// The first arguments after their names of all commands that were found together, once for each asker: most often their keys.
    pub fn keys_found(&mut self, asker: Asker) -> impl Iterator<Item = &[u8]> {
        let is_new = !self.was_asked(asker);
        self.ahead.asked |= asker as u8;
        let Input { bytes, start, ahead, .. } = &*self;
        let commands = if is_new { ahead.waiting() } else { &[] };
        let starts = commands.iter().scan(*start, |start, (_, bytes)| {
            *start += bytes;
            Some(*start - bytes)
        });
        commands.iter().zip(starts).filter_map(|((places, _), start)| {
            let place = ahead.arguments[places.clone()].get(1)?;
            Some(&bytes[start..][place.clone()])
        })
    }

    /// The command that was found is done.
    pub fn consume(&mut self) {
        if let [(_, bytes), ..] = self.ahead.waiting() {
            self.start += bytes;
            self.ahead.next += 1;
        } else {
            self.start += self.found.take().unwrap_or(0);
        }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Bytes of memory that are kept.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() + self.parser.capacity() + self.ahead.capacity()
    }

    /// The buffer to read into, with room behind what is there. It grows with what came, never at once to what was announced.
    pub fn room(&mut self, spare: &mut Spare) -> &mut Vec<u8> {
        if self.len() == 0 {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = spare.buffers.pop().unwrap_or_default();
        }
        if self.ahead.capacity() == 0 {
            self.ahead = spare.aheads.pop().unwrap_or_default();
        }
        let found: usize = self.ahead.waiting().iter().map(|(_, bytes)| bytes).sum();
        let expected = self.parser.bytes_expected(&self.bytes[found..]).min(self.bytes.len());
        self.bytes.reserve(expected.max(READ_BYTES));
        &mut self.bytes
    }

    /// Gives memory back, which idle connections do without; what waits in the buffer is kept in a smaller one, if it is little.
    pub fn release(&mut self, spare: &mut Spare) {
        if self.found.is_none() && self.ahead.waiting().is_empty() {
            self.parser.trim();
            let mut ahead = std::mem::take(&mut self.ahead);
            if (1..=AHEAD_KEPT_BYTES).contains(&ahead.capacity()) && spare.aheads.len() < SPARE_MAX {
                ahead.clear();
                spare.aheads.push(ahead);
            }
        }
        let len = self.len();
        if len >= READ_BYTES / 4 {
            return;
        }
        let rest = self.bytes[self.start..].to_vec();
        let mut buffer = std::mem::replace(&mut self.bytes, rest);
        self.start = 0;
        if (READ_BYTES..=2 * READ_BYTES).contains(&buffer.capacity()) && spare.buffers.len() < SPARE_MAX {
            buffer.clear();
            spare.buffers.push(buffer);
        }
    }
}

/// What is longer was for a long command.
const AHEAD_KEPT_BYTES: usize = 16 << 10;
/// So many of each kind are kept, for as many connections as are served together: up to 8 MiB an event loop.
const SPARE_MAX: usize = 64;

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
        let (mut input, mut spare) = (Input::default(), Spare::default());
        input.room(&mut spare).extend_from_slice(b"PING\r\nPI");
        let limits = ParseLimits::AUTHENTICATED;
        assert_eq!(input.find(&limits, true), Ok(true));
        assert_eq!(input.arguments().at(0), b"PING");
        input.consume();
        assert_eq!(input.find(&limits, true), Ok(false));
        input.release(&mut spare);
        assert_eq!((input.len(), spare.buffers.len()), (2, 1));
        assert!(input.capacity() < 64);
        input.room(&mut spare).extend_from_slice(b"NG\r\n");
        assert_eq!(input.find(&limits, true), Ok(true));
        input.consume();
        input.release(&mut spare);
        assert_eq!(input.capacity(), 0);
        input.room(&mut spare).extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
        assert_eq!(input.find(&limits, true), Ok(true));
        input.consume();
        input.release(&mut spare);
        assert_eq!((input.capacity(), spare.aheads.len()), (0, 1));
        // What a long command took is given back.
        let long = format!("*2000\r\n{}", "$1\r\na\r\n".repeat(2_000));
        input.room(&mut spare).extend_from_slice(long.as_bytes());
        assert_eq!(input.find(&limits, true), Ok(true));
        input.consume();
        input.release(&mut spare);
        assert_eq!((input.capacity(), spare.aheads.len()), (0, 0));
    }

    #[test]
    fn commands_are_the_same_whether_they_are_found_one_by_one_or_together() {
        let mut stream = Vec::new();
        for n in 0..40 {
            stream.extend(format!("*2\r\n$3\r\nGET\r\n$2\r\n{n:02}\r\n").into_bytes());
            if n % 7 == 3 {
                stream.extend_from_slice(b"GET 'in line'\r\n\r\n");
            }
        }
        stream.extend_from_slice(b"*1\r\n$1\r\na\r\n*1\r\n!x\r\n");
        let read = |step: usize, looks_ahead: bool| {
            let (mut input, mut spare, mut commands) = (Input::default(), Spare::default(), Vec::new());
            for part in stream.chunks(step) {
                input.room(&mut spare).extend_from_slice(part);
                loop {
                    match input.find(&ParseLimits::AUTHENTICATED, looks_ahead) {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => return (commands, error),
                    }
                    let next = input.arguments().from(1).next().map(<[u8]>::to_vec);
                    let keys: Vec<Vec<u8>> = input.keys_found(Asker::Rows).map(<[u8]>::to_vec).collect();
                    assert!(keys.is_empty() || keys.first() == next.as_ref(), "{keys:?}");
                    commands.push(input.arguments().from(0).map(<[u8]>::to_vec).collect::<Vec<_>>());
                    input.consume();
                }
                input.release(&mut spare);
            }
            panic!("the stream ends out of step");
        };
        let expected = read(1, false);
        assert_eq!(expected.0.len(), 40 + 2 * 6 + 1);
        for step in [1, 5, 100, stream.len()] {
            assert_eq!(read(step, true), expected, "{step} bytes at a time");
            assert_eq!(read(step, false), expected, "{step} bytes at a time, one by one");
        }
    }

    #[test]
    fn what_was_found_under_other_limits_is_found_anew() {
        let wide = ParseLimits::AUTHENTICATED;
        let narrow = ParseLimits { argument_bytes_max: 3, ..wide };
        let (mut input, mut spare) = (Input::default(), Spare::default());
        // Lowered: what was found is too long now, whole or not.
        input.room(&mut spare).extend_from_slice(b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n*1\r\n$9\r\nab");
        assert_eq!(input.find(&wide, true), Ok(true));
        input.consume();
        assert!(input.find(&narrow, true).is_err());
        // Raised: what was too long is found.
        assert_eq!(input.find(&wide, true), Ok(true));
        assert_eq!(input.arguments().at(0), b"PING");
        input.consume();
        assert_eq!(input.find(&wide, true), Ok(false));
        assert!(input.find(&narrow, true).is_err());
        assert_eq!(input.find(&wide, true), Ok(false));
        input.room(&mut spare).extend_from_slice(b"cdefghi\r\n");
        assert_eq!(input.find(&wide, true), Ok(true));
        assert_eq!(input.arguments().at(0), b"abcdefghi");
        // An error that was kept for after the commands before it.
        let (mut input, mut spare) = (Input::default(), Spare::default());
        input.room(&mut spare).extend_from_slice(b"*1\r\n$3\r\nGET\r\n*1\r\n$4\r\nPING\r\n");
        assert_eq!(input.find(&narrow, true), Ok(true));
        input.consume();
        assert_eq!(input.find(&wide, true), Ok(true));
        assert_eq!(input.arguments().at(0), b"PING");
    }

    #[test]
    fn an_error_that_was_found_ahead_is_told_once_behind_the_commands_before_it() {
        let limits = ParseLimits::AUTHENTICATED;
        for before in ["", "*1\r\n$4\r\nPING\r\n"] {
            let (mut input, mut spare) = (Input::default(), Spare::default());
            input.room(&mut spare).extend_from_slice(format!("{before}*1\r\n!x\r\n").as_bytes());
            for _ in 0..3 {
                input.look_ahead(&limits);
            }
            if !before.is_empty() {
                assert_eq!(input.find(&limits, true), Ok(true));
                input.consume();
                input.look_ahead(&limits);
            }
            assert!(input.find(&limits, true).is_err(), "after {before:?}");
        }
    }

    #[test]
    fn keys_are_told_once_to_each_asker() {
        let (mut input, mut spare) = (Input::default(), Spare::default());
        input
            .room(&mut spare)
            .extend_from_slice(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n");
        input.look_ahead(&ParseLimits::AUTHENTICATED);
        assert_eq!(input.found_len(), 3);
        for asker in [Asker::Rows, Asker::Keyspace] {
            assert_eq!(input.keys_found(asker).collect::<Vec<_>>(), [b"a", b"b"]);
            assert_eq!(input.keys_found(asker).count(), 0);
        }
    }

    #[test]
    fn a_length_that_was_announced_takes_no_memory_before_its_bytes_come() {
        let (mut input, mut spare) = (Input::default(), Spare::default());
        input.room(&mut spare).extend_from_slice(b"*2\r\n$3\r\nGET\r\n$500000000\r\nabc");
        assert_eq!(input.find(&ParseLimits::AUTHENTICATED, true), Ok(false));
        input.room(&mut spare);
        assert!(input.capacity() <= 4 * READ_BYTES, "{}", input.capacity());
    }
}
