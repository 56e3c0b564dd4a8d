//! What `SCAN` and `HSCAN` have in common: cursors and options.

use super::command::{Arguments, Refusal};
use super::glob::Pattern;
use super::protocol::ReplyBuffer;
use crate::keyspace::Cursor;

/// So many elements are looked at in one call, where nothing else is asked for.
const COUNT_DEFAULT: usize = 10;

/// Options of a scan.
#[derive(Debug)]
pub struct ScanOptions<'a> {
    /// `MATCH`: names to give; `None` for all.
    pub pattern: Option<Pattern>,
    /// `COUNT`: how many elements to look at.
    pub count: usize,
    /// `TYPE`, of `SCAN` alone.
    pub type_name: Option<&'a [u8]>,
    /// `NOVALUES`, of `HSCAN` alone.
    pub omits_values: bool,
}

/// Which command scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// `SCAN`
    Keys,
    /// `HSCAN`
    Fields,
}

impl<'a> ScanOptions<'a> {
    /// Options from an argument on.
    ///
    /// # Errors
    /// One is unknown, or its value is none.
    pub fn read(arguments: Arguments<'a>, first: usize, scanned: Scanned) -> Result<ScanOptions<'a>, Refusal> {
        let mut options = ScanOptions { pattern: None, count: COUNT_DEFAULT, type_name: None, omits_values: false };
        let mut at = first;
        while at < arguments.len() {
            if arguments.is_word(at, "NOVALUES") && scanned == Scanned::Fields {
                options.omits_values = true;
                at += 1;
                continue;
            }
            let value = arguments.get(at + 1).ok_or(Refusal::SYNTAX)?;
            if arguments.is_word(at, "COUNT") {
                let count = arguments.integer(at + 1)?;
                let count = usize::try_from(count).map_err(|_| Refusal::SYNTAX)?;
                options.count = if count == 0 { return Err(Refusal::SYNTAX) } else { count };
            } else if arguments.is_word(at, "MATCH") {
                options.pattern = Some(Pattern::new(value)).filter(|pattern| !pattern.matches_all());
            } else if arguments.is_word(at, "TYPE") && scanned == Scanned::Keys {
                options.type_name = Some(value);
            } else {
                return Err(Refusal::SYNTAX);
            }
            at += 2;
        }
        Ok(options)
    }

    /// Whether an element of this name is asked for.
    pub fn wants(&self, name: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(name))
    }
}

/// A cursor, as C's `strtoul` reads one: a sign is fine, nothing at all is zero, and a zero byte ends the text.
///
/// # Errors
/// It is no number of 64 bits.
pub fn read_cursor(text: &[u8]) -> Result<Cursor, Refusal> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let no_cursor = Refusal::fixed("ERR invalid cursor");
    if digits.is_empty() && !text.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(no_cursor);
    }
    let number =
        digits.iter().try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    let number = number.ok_or(no_cursor)?;
    Ok(if is_negative { number.wrapping_neg() } else { number })
}

/// Answers where to go on; the elements follow.
pub fn answer_cursor(reply: &mut ReplyBuffer, cursor: Cursor) {
    reply.array(2);
    // A cursor has fewer bits.
    reply.bulk_integer(i64::try_from(cursor).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::read_cursor;

    #[test]
    fn a_cursor_is_read_as_strtoul_reads() {
        for (text, expected) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("007", Some(7)),
            ("+5", Some(5)),
            ("-1", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("\0x", Some(0)),
            ("12\0x", Some(12)),
            ("-", None),
            ("+", None),
            (" 1", None),
            ("1 ", None),
            ("1a", None),
            ("0x1", None),
        ] {
            assert_eq!(read_cursor(text.as_bytes()).ok(), expected, "{text}");
        }
    }
}
