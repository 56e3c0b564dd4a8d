//! Answers as bytes, in the version of the protocol that a connection asked for.

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// What every connection begins with.
    #[default]
    Resp2,
    /// After `HELLO 3`: nulls, maps, sets, doubles and pushes have types of their own.
    Resp3,
}

/// Answers on their way to a connection.
#[derive(Debug)]
pub struct ReplyBuffer {
    bytes: Vec<u8>,
    version: Version,
    /// No bulk string is added that would make it longer.
    bytes_max: usize,
    /// One was not added.
    is_full: bool,
}

impl Default for ReplyBuffer {
    fn default() -> ReplyBuffer {
        ReplyBuffer { bytes: Vec::new(), version: Version::default(), bytes_max: usize::MAX, is_full: false }
    }
}

impl ReplyBuffer {
    /// Answers in this version from here on.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// The version that answers are in.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What was answered and not taken.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets all answers after the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Bulk strings that would make it longer are left out from here on, until [`ReplyBuffer::lift_limit`]. What was answered then is
    /// not to go out.
    pub fn limit(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Whether something was left out.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Leaves nothing out any more. Whether something was.
    pub fn lift_limit(&mut self) -> bool {
        self.bytes_max = usize::MAX;
        std::mem::take(&mut self.is_full)
    }

    /// Takes what was answered.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Answers that another buffer holds.
    pub fn append(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
    }

    /// `+text`. The text has no line end.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.bytes.extend_from_slice(b"+OK\r\n");
    }

    /// `-text`: a code such as `ERR` first. Line ends within become spaces.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.bytes.push(b'-');
        self.bytes.extend(text.as_ref().iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self.end_line();
    }

    /// `:number`.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        self.number_line(b':', number);
    }

    /// A yes or no that is 1 or 0 in both versions.
    pub fn flag(&mut self, is_set: bool) {
        self.integer(i64::from(is_set));
    }

    /// `$length` and the bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if self.bytes.len().saturating_add(bytes.len()) > self.bytes_max {
            self.is_full = true;
            return;
        }
        self.length_line(b'$', bytes.len());
        self.bytes.extend_from_slice(bytes);
        self.end_line();
    }

    /// A bulk string, or null where there is none.
    #[inline]
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// A number as a bulk string.
    pub fn bulk_integer(&mut self, number: i64) {
        let mut digits = itoa::Buffer::new();
        self.bulk(digits.format(number).as_bytes());
    }

    /// No value.
    #[inline]
    pub fn null(&mut self) {
        self.bytes.extend_from_slice(match self.version {
            Version::Resp2 => b"$-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// No array: of `EXEC` after a watched key changed.
    pub fn null_array(&mut self) {
        self.bytes.extend_from_slice(match self.version {
            Version::Resp2 => b"*-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// So many answers follow, as one.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.length_line(b'*', len);
    }

    /// So many pairs of answers follow.
    #[inline]
    pub fn map(&mut self, pairs: usize) {
        match self.version {
            Version::Resp2 => self.length_line(b'*', pairs * 2),
            Version::Resp3 => self.length_line(b'%', pairs),
        }
    }

    /// So many answers follow, in no order.
    pub fn set(&mut self, len: usize) {
        match self.version {
            Version::Resp2 => self.length_line(b'*', len),
            Version::Resp3 => self.length_line(b'~', len),
        }
    }

    /// So many answers follow, which nobody asked for.
    pub fn push(&mut self, len: usize) {
        match self.version {
            Version::Resp2 => self.length_line(b'*', len),
            Version::Resp3 => self.length_line(b'>', len),
        }
    }

    /// Text to be shown as it is; a bulk string in RESP2.
    pub fn verbatim(&mut self, text: &str) {
        match self.version {
            Version::Resp2 => self.bulk(text.as_bytes()),
            Version::Resp3 => {
                self.length_line(b'=', text.len() + 4);
                self.bytes.extend_from_slice(b"txt:");
                self.bytes.extend_from_slice(text.as_bytes());
                self.end_line();
            }
        }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(text);
        self.end_line();
    }

    #[inline]
    fn length_line(&mut self, kind: u8, len: usize) {
        self.number_line(kind, i64::try_from(len).unwrap_or(i64::MAX));
    }

    #[inline]
    fn number_line(&mut self, kind: u8, number: i64) {
        // Most lengths and counts.
        if let Ok(digit @ 0..=9) = u8::try_from(number) {
            self.bytes.extend_from_slice(&[kind, b'0' + digit, b'\r', b'\n']);
            return;
        }
        let mut digits = itoa::Buffer::new();
        self.line(kind, digits.format(number).as_bytes());
    }

    #[inline]
    fn end_line(&mut self) {
        self.bytes.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(version: Version, answer: impl FnOnce(&mut ReplyBuffer)) -> String {
        let mut replies = ReplyBuffer::default();
        replies.set_version(version);
        answer(&mut replies);
        replies.bytes().escape_ascii().to_string().replace("\\r\\n", "|")
    }

    /// What the specification of each version has for an answer.
    #[track_caller]
    fn check(answer: impl Fn(&mut ReplyBuffer), resp2: &str, resp3: &str) {
        assert_eq!((&*encoded(Version::Resp2, &answer), &*encoded(Version::Resp3, &answer)), (resp2, resp3));
    }

    #[test]
    fn beyond_a_limit_bulk_strings_are_left_out_until_it_is_lifted() {
        let mut replies = ReplyBuffer::default();
        replies.limit(8);
        replies.bulk(b"ab");
        assert!(!replies.is_full());
        replies.bulk(b"c");
        assert!(replies.is_full() && replies.lift_limit() && !replies.lift_limit());
        assert_eq!(replies.bytes(), b"$2\r\nab\r\n");
        replies.bulk(&[0; 100]);
        assert!(!replies.is_full());
    }

    #[test]
    fn each_answer_is_what_its_version_specifies() {
        check(|r| r.ok(), "+OK|", "+OK|");
        check(|r| r.simple("PONG"), "+PONG|", "+PONG|");
        check(|r| r.error("ERR no\r\nno"), "-ERR no  no|", "-ERR no  no|");
        check(|r| r.integer(7), ":7|", ":7|");
        check(|r| r.integer(-1), ":-1|", ":-1|");
        check(|r| r.integer(i64::MIN), ":-9223372036854775808|", ":-9223372036854775808|");
        check(|r| r.bulk(b""), "$0||", "$0||");
        check(|r| r.bulk(b"a\0b"), "$3|a\\x00b|", "$3|a\\x00b|");
        check(|r| r.bulk_integer(1_234_567_890), "$10|1234567890|", "$10|1234567890|");
        check(|r| r.null(), "$-1|", "_|");
        check(|r| r.null_array(), "*-1|", "_|");
        check(|r| r.array(12), "*12|", "*12|");
        check(|r| r.map(6), "*12|", "%6|");
        check(|r| r.set(2), "*2|", "~2|");
        check(|r| r.push(3), "*3|", ">3|");
        check(|r| r.verbatim("a"), "$1|a|", "=5|txt:a|");
    }
}
