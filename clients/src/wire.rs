//! A client that interprets nothing: commands as arguments, answers as they came, types of RESP2 and RESP3 kept apart.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest that anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One answer, with the byte that told its type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reply {
    /// `+`, `-`, `:`, `$`, `*`, `%` and so on.
    pub kind: u8,
    /// What it holds.
    pub content: Content,
}

/// What an answer holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// The null of RESP2: a bulk or an array of length -1.
    Null,
    /// A line, or a bulk.
    Bytes(Vec<u8>),
    /// Elements. Those of a map are its keys and values in turn.
    Items(Vec<Reply>),
}

impl Reply {
    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        self.kind == b'-' || self.kind == b'!'
    }

    /// The elements; none of what has none.
    pub fn items(&self) -> &[Reply] {
        match &self.content {
            Content::Items(items) => items,
            _ => &[],
        }
    }

    /// The bytes of a line or a bulk; none of anything else.
    pub fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// The bytes as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The number that an integer is, or a bulk that looks like one.
    pub fn integer(&self) -> Option<i64> {
        std::str::from_utf8(self.bytes()).ok()?.parse().ok()
    }

    /// Whether it says that there is nothing, in either protocol.
    pub fn is_null(&self) -> bool {
        self.kind == b'_' || self.content == Content::Null
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = char::from(self.kind);
        match &self.content {
            Content::Null => write!(formatter, "{kind}-1"),
            Content::Bytes(bytes) => write!(formatter, "{kind}{}", shown(bytes)),
            Content::Items(items) => {
                write!(formatter, "{kind}")?;
                formatter.debug_list().entries(items).finish()
            }
        }
    }
}

/// Bytes for people, the middle of long ones left out.
pub fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 200;
    if bytes.len() <= SHOWN_BYTES_MAX {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    let (begin, end) = (&bytes[..SHOWN_BYTES_MAX / 2], &bytes[bytes.len() - SHOWN_BYTES_MAX / 4..]);
    format!("\"{}\"...({} bytes)...\"{}\"", begin.escape_ascii(), bytes.len(), end.escape_ascii())
}

/// A command for people.
pub fn shown_command(arguments: &[Vec<u8>]) -> String {
    arguments.iter().map(|argument| shown(argument)).collect::<Vec<String>>().join(" ")
}

/// A command as an array of bulks.
pub fn encode(arguments: &[impl AsRef<[u8]>], into: &mut Vec<u8>) {
    into.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        let argument = argument.as_ref();
        into.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        into.extend_from_slice(argument);
        into.extend_from_slice(b"\r\n");
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    read_to: usize,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { stream, buffer: Vec::new(), read_to: 0 })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits no longer than that for an answer.
    pub fn set_patience(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }

    /// One command and its answer.
    #[track_caller]
    pub fn ask(&mut self, arguments: &[impl AsRef<[u8]>]) -> Reply {
        let mut bytes = Vec::new();
        encode(arguments, &mut bytes);
        self.send(&bytes).unwrap();
        self.reply().unwrap()
    }

    /// One command of words without spaces, and its answer.
    #[track_caller]
    pub fn words(&mut self, command: &str) -> Reply {
        self.ask(&command.split(' ').collect::<Vec<&str>>())
    }

    /// The next answer.
    ///
    /// # Errors
    /// The connection ended, or nothing came in time.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let (&kind, rest) = line.split_first().ok_or_else(|| io::Error::other("an empty line instead of an answer"))?;
        let content = match kind {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Content::Bytes(rest.to_vec()),
            b'$' | b'=' | b'!' | b'*' | b'%' | b'~' | b'>' => match usize::try_from(number(rest)?) {
                Err(_) => Content::Null,
                Ok(length) if matches!(kind, b'$' | b'=' | b'!') => {
                    let mut bytes = self.take(length + 2)?;
                    bytes.truncate(length);
                    Content::Bytes(bytes)
                }
                Ok(length) => {
                    let length = if kind == b'%' { 2 * length } else { length };
                    Content::Items((0..length).map(|_| self.reply()).collect::<io::Result<Vec<Reply>>>()?)
                }
            },
            _ => return Err(io::Error::other(format!("no answer begins like {}", shown(&line)))),
        };
        Ok(Reply { kind, content })
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut from = self.read_to;
        loop {
            if let Some(at) = self.buffer[from..].windows(2).position(|end| end == b"\r\n") {
                let line = self.buffer[self.read_to..from + at].to_vec();
                self.read_to = from + at + 2;
                return Ok(line);
            }
            let unseen = self.buffer.len() - self.read_to;
            self.fill()?;
            // The end may have come in two parts.
            from = self.read_to + unseen.saturating_sub(1);
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() - self.read_to < length {
            self.fill()?;
        }
        let bytes = self.buffer[self.read_to..self.read_to + length].to_vec();
        self.read_to += length;
        Ok(bytes)
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.read_to);
        self.read_to = 0;
        let mut chunk = [0; 1 << 16];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => {
                self.buffer.extend_from_slice(&chunk[..bytes]);
                Ok(())
            }
        }
    }
}

fn number(text: &[u8]) -> io::Result<i64> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("a length that is {}", shown(text))))
}
