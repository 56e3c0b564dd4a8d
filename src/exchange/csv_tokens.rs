//! RFC 4180 records out of bytes. Keeps what the common readers drop: whether a field was quoted,
//! which is what tells an empty string from a null.
//!
//! Records end at LF or CRLF; a quoted field may hold delimiters, line ends and doubled quotes; a
//! quote inside an unquoted field is an ordinary byte; a byte order mark at the start is skipped.

use std::io::BufRead;

/// Longest record, in bytes of memory: a quote left open must not swallow a whole file.
const RECORD_BYTES_MAX: usize = 64 << 20;
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// What is wrong with a file as such, wherever its columns lie.
#[derive(Debug)]
pub(super) enum Fault {
    Io(std::io::Error),
    /// What is wrong and on which line.
    Syntax {
        line: u64,
        what: String,
        /// What may stand between the fields, and is not what they are split by.
        delimiter: Option<char>,
    },
}

/// Splits delimiter-separated text into records.
pub(super) struct CsvTokens<R> {
    input: R,
    delimiter: u8,
    /// The fields of the current record, unquoted, back to back.
    text: Vec<u8>,
    /// Where each ends in `text`, and whether it was quoted.
    ends: Vec<(usize, bool)>,
    line: u64,
    record_line: u64,
    started: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    FieldStart,
    Plain,
    /// A CR in a plain field or after a closing quote; ends the record if LF follows.
    PlainCr,
    Quoted,
    /// After a quote in a quoted field: its end, or the first of two.
    QuoteSeen,
    QuotedCr,
}

impl<R: BufRead> CsvTokens<R> {
    pub fn new(input: R, delimiter: u8) -> CsvTokens<R> {
        CsvTokens { input, delimiter, text: Vec::new(), ends: Vec::new(), line: 1, record_line: 1, started: false }
    }

    /// How many fields the current record has.
    pub fn field_count(&self) -> usize {
        self.ends.len()
    }

    /// Bytes and quotedness of a field of the current record.
    pub fn field(&self, index: usize) -> (&[u8], bool) {
        let start = if index == 0 { 0 } else { self.ends[index - 1].0 };
        let (end, quoted) = self.ends[index];
        (&self.text[start..end], quoted)
    }

    /// The line on which the current record begins.
    pub fn record_line(&self) -> u64 {
        self.record_line
    }

    /// Bytes of the current record's fields.
    pub fn record_bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether the current record is an empty line.
    pub fn is_blank(&self) -> bool {
        self.ends == [(0, false)]
    }

    /// Reads the next record; `false` at the end of the file.
    pub fn advance(&mut self) -> Result<bool, Fault> {
        if !self.started {
            self.started = true;
            if self.input.fill_buf().map_err(Fault::Io)?.starts_with(BYTE_ORDER_MARK) {
                self.input.consume(BYTE_ORDER_MARK.len());
            }
        }
        self.text.clear();
        self.ends.clear();
        self.record_line = self.line;
        let mut state = State::FieldStart;
        let mut any = false;
        loop {
            let chunk = self.input.fill_buf().map_err(Fault::Io)?;
            if chunk.is_empty() {
                return self.end_of_file(state, any);
            }
            any = true;
            let mut at = 0;
            let mut done = false;
            while at < chunk.len() {
                let byte = chunk[at];
                match state {
                    State::FieldStart if byte == b'"' => {
                        state = State::Quoted;
                        at += 1;
                    }
                    State::FieldStart | State::Plain => {
                        let rest = &chunk[at..];
                        let run = rest.iter().position(|&b| b == self.delimiter || b == b'\n' || b == b'\r');
                        let run = run.unwrap_or(rest.len());
                        self.text.extend_from_slice(&rest[..run]);
                        at += run;
                        state = State::Plain;
                        if let Some(&end) = chunk.get(at) {
                            at += 1;
                            if end == self.delimiter {
                                self.ends.push((self.text.len(), false));
                                state = State::FieldStart;
                            } else if end == b'\n' {
                                self.ends.push((self.text.len(), false));
                                done = true;
                                break;
                            } else {
                                state = State::PlainCr;
                            }
                        }
                    }
                    State::PlainCr => {
                        if byte == b'\n' {
                            at += 1;
                            self.ends.push((self.text.len(), false));
                            done = true;
                            break;
                        }
                        self.text.push(b'\r');
                        state = State::Plain;
                    }
                    State::Quoted => {
                        let rest = &chunk[at..];
                        let run = rest.iter().position(|&b| b == b'"').unwrap_or(rest.len());
                        self.line += lines_in(&rest[..run]);
                        self.text.extend_from_slice(&rest[..run]);
                        at += run;
                        if at < chunk.len() {
                            at += 1;
                            state = State::QuoteSeen;
                        }
                    }
                    State::QuoteSeen | State::QuotedCr => {
                        at += 1;
                        match byte {
                            b'"' if state == State::QuoteSeen => {
                                self.text.push(b'"');
                                state = State::Quoted;
                            }
                            b'\n' => {
                                self.ends.push((self.text.len(), true));
                                done = true;
                                break;
                            }
                            b'\r' if state == State::QuoteSeen => state = State::QuotedCr,
                            b if b == self.delimiter && state == State::QuoteSeen => {
                                self.ends.push((self.text.len(), true));
                                state = State::FieldStart;
                            }
                            _ => {
                                let is_header = self.record_line == 1 && state == State::QuoteSeen;
                                let delimiter = Some(char::from(byte)).filter(|_| is_header);
                                return Err(Fault::Syntax {
                                    line: self.line,
                                    what: format!("text after the closing quote of field {}", self.ends.len() + 1),
                                    delimiter: delimiter.filter(|sign| matches!(sign, ';' | '\t' | '|' | ',')),
                                });
                            }
                        }
                    }
                }
            }
            self.input.consume(at);
            if done {
                self.line += 1;
                return Ok(true);
            }
            // Where fields end takes memory, too, more than a delimiter does in the file.
            if self.text.len() + size_of_val(self.ends.as_slice()) > RECORD_BYTES_MAX {
                let (mib, fields) = (RECORD_BYTES_MAX >> 20, self.ends.len());
                return Err(Fault::Syntax {
                    line: self.record_line,
                    what: format!(
                        "a record of more than {fields} fields takes more than {mib} MiB; is a quote left open?"
                    ),
                    delimiter: None,
                });
            }
        }
    }

    fn end_of_file(&mut self, state: State, any: bool) -> Result<bool, Fault> {
        match state {
            State::FieldStart if !any => return Ok(false),
            State::FieldStart | State::Plain | State::PlainCr => self.ends.push((self.text.len(), false)),
            State::QuoteSeen | State::QuotedCr => self.ends.push((self.text.len(), true)),
            State::Quoted => {
                return Err(Fault::Syntax {
                    line: self.record_line,
                    what: "a quote is opened and never closed".to_owned(),
                    delimiter: None,
                });
            }
        }
        Ok(true)
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&b| u64::from(b == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    type Record = (u64, Vec<(String, bool)>);

    fn records(text: &[u8], buffer_bytes: usize) -> Result<Vec<Record>, String> {
        let mut tokens = CsvTokens::new(BufReader::with_capacity(buffer_bytes, text), b',');
        let mut records = Vec::new();
        loop {
            match tokens.advance() {
                Ok(true) => {
                    let fields = (0..tokens.field_count()).map(|i| {
                        let (bytes, quoted) = tokens.field(i);
                        (String::from_utf8(bytes.to_vec()).unwrap(), quoted)
                    });
                    records.push((tokens.record_line(), fields.collect()));
                }
                Ok(false) => return Ok(records),
                Err(Fault::Syntax { line, what, .. }) => return Err(format!("line {line}: {what}")),
                Err(Fault::Io(error)) => panic!("{error}"),
            }
        }
    }

    /// The same records whatever the size of the input's buffer.
    #[track_caller]
    fn check(text: &str, wanted: &[(u64, &[(&str, bool)])]) {
        let wanted: Vec<Record> = wanted
            .iter()
            .map(|(line, fields)| (*line, fields.iter().map(|&(text, quoted)| (text.to_owned(), quoted)).collect()))
            .collect();
        for buffer_bytes in [3, 4, 5, 7, 64] {
            assert_eq!(records(text.as_bytes(), buffer_bytes).unwrap(), wanted, "buffer of {buffer_bytes}");
        }
    }

    #[test]
    fn an_empty_field_and_a_quoted_empty_field_are_told_apart() {
        check("a,,\"\"\n", &[(1, &[("a", false), ("", false), ("", true)])]);
        check(",", &[(1, &[("", false), ("", false)])]);
        check("\"\"", &[(1, &[("", true)])]);
    }

    #[test]
    fn quotes_hold_delimiters_line_ends_and_doubled_quotes() {
        check(
            "\"a,b\",\"c\"\"d\"\r\n\"e\r\nf\n\",g\r\nh,i",
            &[
                (1, &[("a,b", true), ("c\"d", true)]),
                (2, &[("e\r\nf\n", true), ("g", false)]),
                (5, &[("h", false), ("i", false)]),
            ],
        );
        check("5\" pipe,\"\"\"\"\n", &[(1, &[("5\" pipe", false), ("\"", true)])]);
    }

    #[test]
    fn the_last_line_end_adds_no_record_and_a_byte_order_mark_no_bytes() {
        check("\u{feff}a\nb\n", &[(1, &[("a", false)]), (2, &[("b", false)])]);
        check("", &[]);
        check("a\n\nb", &[(1, &[("a", false)]), (2, &[("", false)]), (3, &[("b", false)])]);
    }

    #[test]
    fn a_carriage_return_alone_is_data() {
        check("a\rb,c\r\n", &[(1, &[("a\rb", false), ("c", false)])]);
        check("a\r\r\n", &[(1, &[("a\r", false)])]);
    }

    /// Gives the same bytes again and again, and counts them.
    struct Endless<'a>(&'a [u8], &'a std::cell::Cell<usize>);

    impl std::io::Read for Endless<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.get();
            assert!(count < 2 * RECORD_BYTES_MAX, "a record without end is read without end");
            self.1.set(count + out.len());
            out.iter_mut().zip(self.0.iter().cycle()).for_each(|(byte, next)| *byte = *next);
            Ok(out.len())
        }
    }

    /// A line of delimiters once took 16 bytes of memory for each, without a bound.
    #[test]
    fn a_record_without_end_takes_no_more_memory_than_a_long_one() {
        for (bytes, read_max) in [(",", RECORD_BYTES_MAX / 15), ("x", RECORD_BYTES_MAX + (1 << 20))] {
            let count = std::cell::Cell::new(0);
            let input = BufReader::with_capacity(1 << 16, Endless(bytes.as_bytes(), &count));
            let Err(Fault::Syntax { line: 1, what, .. }) = CsvTokens::new(input, b',').advance() else {
                panic!("{bytes}")
            };
            assert!(what.contains("takes more than 64 MiB"), "{what}");
            assert!(count.get() <= read_max, "{bytes}: {}", count.get());
        }
    }

    #[test]
    fn broken_quoting_is_named_with_its_line() {
        assert_eq!(records(b"a\nb,\"c\"d\n", 64).unwrap_err(), "line 2: text after the closing quote of field 2");
        assert_eq!(records(b"a\n\"b\nc\n", 4).unwrap_err(), "line 2: a quote is opened and never closed");
    }
}
