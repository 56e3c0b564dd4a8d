//! Inline commands: a line of words, as a person types them.

use std::ops::Range;

/// Splits a line into words, which go to `words` one after the other; `ranges` says where each lies there. Words are parted by
/// white space. In double quotes `\n`, `\r`, `\t`, `\b`, `\a` and `\xHH` stand for a byte and any other escaped byte for itself;
/// in single quotes only `\'` does. A closing quote ends its word. `None`: a quote is not closed, or closed within a word.
pub(super) fn split_words(line: &[u8], words: &mut Vec<u8>, ranges: &mut Vec<Range<usize>>) -> Option<()> {
    let mut rest = line;
    loop {
        let start = rest.iter().position(|&byte| !is_space(byte)).unwrap_or(rest.len());
        rest = &rest[start..];
        // As in C, a line ends at a zero byte.
        if matches!(rest.first(), None | Some(0)) {
            return Some(());
        }
        let start = words.len();
        rest = take_word(rest, words)?;
        ranges.push(start..words.len());
    }
}

/// White space of C, to which a vertical tab belongs.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Takes a word, quotes within it included; gives what follows.
fn take_word<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] | [0, ..] => return Some(&[]),
            [quote @ (b'"' | b'\''), inside @ ..] => {
                rest = if *quote == b'"' {
                    take_double_quoted(inside, words)?
                } else {
                    take_single_quoted(inside, words)?
                };
                // A closing quote is followed by white space, or by nothing.
                return rest.first().is_none_or(|&byte| is_space(byte)).then_some(rest);
            }
            [byte, ..] if is_space(*byte) => return Some(rest),
            [byte, after @ ..] => {
                words.push(*byte);
                rest = after;
            }
        }
    }
}

fn take_double_quoted<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] | [0, ..] => return None,
            [b'\\', b'x', high, low, after @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                words.push(hex(*high)? << 4 | hex(*low)?);
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                words.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest = after;
            }
            [b'"', after @ ..] => return Some(after),
            [byte, after @ ..] => {
                words.push(*byte);
                rest = after;
            }
        }
    }
}

fn take_single_quoted<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] | [0, ..] => return None,
            [b'\\', b'\'', after @ ..] => {
                words.push(b'\'');
                rest = after;
            }
            [b'\'', after @ ..] => return Some(after),
            [byte, after @ ..] => {
                words.push(*byte);
                rest = after;
            }
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        split_words(line, &mut bytes, &mut ranges)?;
        Some(ranges.into_iter().map(|range| bytes[range].to_vec()).collect())
    }

    #[test]
    fn words_are_parted_by_white_space_of_any_kind() {
        assert_eq!(words(b"  SET\tkey \x0b value ").unwrap(), [b"SET".to_vec(), b"key".to_vec(), b"value".to_vec()]);
        assert_eq!(words(b" \t ").unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn quotes_hold_white_space_escapes_and_nothing() {
        assert_eq!(words(br#"SET "a b\n\x00\xfF\q\"" 'it\'s \n'"#).unwrap()[1], b"a b\n\0\xffq\"");
        assert_eq!(words(br#"SET "a b" 'it\'s \n'"#).unwrap()[2], br"it's \n");
        assert_eq!(words(br#"SET "" ''"#).unwrap()[1..], [Vec::<u8>::new(), Vec::new()]);
        assert_eq!(words(br#"ab"cd" e"#).unwrap(), [b"abcd".to_vec(), b"e".to_vec()]);
        assert_eq!(words(br#""\xg1""#).unwrap(), [b"xg1".to_vec()], "no hexadecimal digits");
    }

    #[test]
    fn a_quote_that_is_not_closed_or_closed_within_a_word_is_told() {
        for line in [&br#"SET "a"#[..], b"SET 'a", br#"SET "a"b"#, br#"'a''b'"#, br#""a\"#, b"\"a\0\""] {
            assert_eq!(words(line), None, "{}", line.escape_ascii());
        }
    }
}
