//! Commands of parts of strings.

use super::STRING_BYTES_MAX;
use crate::server::resp::command::{Arguments, EventClass, Outcome, Reader, Refusal, Writer};
use crate::server::resp::protocol::ReplyBuffer;

/// `STRLEN key`
pub fn strlen(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    reply.integer(length(keys.string(arguments.at(1))?.map_or(0, |string| string.bytes.len())));
    Ok(())
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// `APPEND key value`
pub fn append(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (name, value) = (arguments.at(1), arguments.at(2));
    let Some(before) = keys.reader().string(name)?.map(|string| string.bytes.len()) else {
        keys.set_string(name, value.to_vec(), None, "append");
        reply.integer(length(value.len()));
        return Ok(());
    };
    check_length(before, value)?;
    write(keys, name, before, value, "append");
    reply.integer(length(before + value.len()));
    Ok(())
}

/// `SETRANGE key offset value`
pub fn set_range(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (name, value) = (arguments.at(1), arguments.at(3));
    let offset = arguments.integer(2)?;
    let Ok(offset) = usize::try_from(offset) else { return Err(Refusal::fixed("ERR offset is out of range")) };
    let before = keys.reader().string(name)?.map(|string| string.bytes.len());
    if value.is_empty() {
        reply.integer(length(before.unwrap_or(0)));
        return Ok(());
    }
    check_length(offset, value)?;
    let database = keys.database;
    if before.is_none() {
        keys.change(database, name).set_string((database, name), Vec::new(), None);
        keys.notify(EventClass::New, "new", database, name);
    }
    write(keys, name, offset, value, "setrange");
    reply.integer(length(before.unwrap_or(0).max(offset + value.len())));
    Ok(())
}

/// Writes into a string that is there.
fn write(keys: &mut Writer<'_>, name: &[u8], offset: usize, value: &[u8], event: &'static str) {
    let database = keys.database;
    keys.change(database, name).write_string((database, name), offset, value);
    keys.notify(EventClass::String, event, database, name);
}

fn check_length(offset: usize, value: &[u8]) -> Outcome {
    let end = offset.checked_add(value.len());
    if end.is_some_and(|end| end <= STRING_BYTES_MAX) { Ok(()) } else { Err(Refusal::STRING_TOO_LONG) }
}

/// `GETRANGE key start end`; `SUBSTR` by its old name. Positions below zero count from the end; the last is included.
pub fn get_range(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (start, end) = (arguments.integer(2)?, arguments.integer(3)?);
    let bytes = keys.string(arguments.at(1))?.map_or(&[][..], |string| &string.bytes);
    reply.bulk(range(bytes, start, end));
    Ok(())
}

fn range(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    // Before the first byte is at it.
    let position = |index: i64| {
        let index = if index < 0 { index.saturating_add(length(bytes.len())).max(0) } else { index };
        usize::try_from(index).unwrap_or(usize::MAX)
    };
    let (start, end) = (position(start), position(end).saturating_add(1).min(bytes.len()));
    bytes.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn a_range_is_what_redis_takes_it_for() {
        for (start, end, expected) in [
            (0, 0, "a"),
            (0, -1, "abc"),
            (-2, -1, "bc"),
            (1, 1, "b"),
            (2, 1, ""),
            (3, 9, ""),
            (0, i64::MAX, "abc"),
            (i64::MIN, i64::MAX, "abc"),
            // Both before the first byte, in order: the first byte.
            (-10, -5, "a"),
            (-5, -10, ""),
            (i64::MAX, i64::MIN, ""),
            (0, -4, "a"),
        ] {
            assert_eq!(range(b"abc", start, end), expected.as_bytes(), "{start} {end}");
            assert_eq!(range(b"", start, end), b"", "{start} {end}");
        }
    }
}
