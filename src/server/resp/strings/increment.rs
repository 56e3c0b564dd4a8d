//! Commands that add to strings that are numbers. The deadline stays.

use crate::server::resp::command::{Arguments, Outcome, Refusal, Writer};
use crate::server::resp::long_double::LongDouble;
use crate::server::resp::number::parse_i64;
use crate::server::resp::protocol::ReplyBuffer;

/// `INCR key`
pub fn increment(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    add(keys, arguments.at(1), 1, reply)
}

/// `DECR key`
pub fn decrement(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    add(keys, arguments.at(1), -1, reply)
}

/// `INCRBY key increment`
pub fn increment_by(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    add(keys, arguments.at(1), arguments.integer(2)?, reply)
}

/// `DECRBY key decrement`
pub fn decrement_by(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let increment = arguments.integer(2)?.checked_neg();
    add(keys, arguments.at(1), increment.ok_or(Refusal::fixed("ERR decrement would overflow"))?, reply)
}

fn add(keys: &mut Writer<'_>, name: &[u8], increment: i64, reply: &mut ReplyBuffer) -> Outcome {
    let before = match keys.reader().string(name)? {
        Some(string) => parse_i64(&string.bytes).ok_or(Refusal::NOT_AN_INTEGER)?,
        None => 0,
    };
    let sum = before.checked_add(increment).ok_or(Refusal::OVERFLOW)?;
    keys.set_string(name, sum.to_string().into_bytes(), keys.deadline(name), "incrby");
    reply.integer(sum);
    Ok(())
}

/// `INCRBYFLOAT key increment`
pub fn increment_by_float(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let name = arguments.at(1);
    let before = keys.reader().string(name)?.map_or(&b"0"[..], |string| &string.bytes);
    let before = LongDouble::parse(before).ok_or(Refusal::NOT_A_FLOAT)?;
    let increment = LongDouble::parse(arguments.at(2)).ok_or(Refusal::NOT_A_FLOAT)?;
    let sum = before.checked_add(increment).ok_or(Refusal::NOT_FINITE)?.to_string();
    reply.bulk(sum.as_bytes());
    keys.set_string(name, sum.into_bytes(), keys.deadline(name), "incrbyfloat");
    Ok(())
}
