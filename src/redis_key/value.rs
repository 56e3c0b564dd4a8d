//! One value of a join key: as it stands in a Redis key, and as it is encoded.

use std::borrow::Cow;

use crate::key::{push_component, push_variable, take_component, take_variable};
use crate::text::{format_value, parse_value};
use crate::value::DataType;

/// Appends the component that `text` stands for; `None`: it is none of the type, and what was appended does not count.
pub(super) fn push_text(dtype: &DataType, text: &[u8], is_last: bool, out: &mut Vec<u8>) -> Option<()> {
    match dtype {
        DataType::Bytes => push_variable(text, is_last, out),
        DataType::String => push_variable(std::str::from_utf8(text).ok()?.as_bytes(), is_last, out),
        _ => {
            let value = parse_value(dtype, std::str::from_utf8(text).ok()?).ok()?;
            return push_component(&value, dtype, is_last, out).then_some(());
        }
    }
    Some(())
}

/// Takes the next component of an encoded key and appends its text; `None`: the bytes begin with none.
pub(super) fn take_text(dtype: &DataType, is_last: bool, key: &mut &[u8], out: &mut Vec<u8>) -> Option<()> {
    match dtype {
        DataType::Bytes | DataType::String => out.extend_from_slice(take_variable(key, is_last)?),
        _ => out.extend_from_slice(format_value(dtype, &take_component(dtype, is_last, key)?).as_bytes()),
    }
    Some(())
}

/// A value without its escapes; `None`: a `%` is not followed by two hexadecimal digits.
pub(super) fn unescape(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.contains(&b'%') {
        return Some(Cow::Borrowed(text));
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        plain.push(match first {
            b'%' => {
                let (digits, after) = rest.split_first_chunk::<2>()?;
                rest = after;
                digit(digits[0])? << 4 | digit(digits[1])?
            }
            plain => *plain,
        });
    }
    Some(Cow::Owned(plain))
}

/// Writes the escapes into what stands in `out` from `start` on.
pub(super) fn escape_from(start: usize, out: &mut Vec<u8>) {
    if !out[start..].iter().any(|byte| matches!(byte, b'%' | b':')) {
        return;
    }
    let plain = out.split_off(start);
    for byte in plain {
        match byte {
            b'%' => out.extend_from_slice(b"%25"),
            b':' => out.extend_from_slice(b"%3A"),
            _ => out.push(byte),
        }
    }
}
