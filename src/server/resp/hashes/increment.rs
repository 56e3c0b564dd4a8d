//! Commands that add to fields that are numbers. A field's deadline stays.

use crate::server::resp::command::{Arguments, EventClass, Outcome, Refusal, Writer};
use crate::server::resp::long_double::LongDouble;
use crate::server::resp::number::parse_i64;
use crate::server::resp::protocol::ReplyBuffer;

/// `HINCRBY key field increment`
pub fn increment_by(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let increment = arguments.integer(3)?;
    let before = match value(keys, arguments)? {
        Some(value) => parse_i64(value).ok_or(Refusal::fixed("ERR hash value is not an integer"))?,
        None => 0,
    };
    let sum = before.checked_add(increment).ok_or(Refusal::OVERFLOW)?;
    set(keys, arguments, sum.to_string().as_bytes(), "hincrby")?;
    reply.integer(sum);
    Ok(())
}

/// `HINCRBYFLOAT key field increment`
pub fn increment_by_float(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let increment = LongDouble::parse(arguments.at(3)).ok_or(Refusal::NOT_A_FLOAT)?;
    if !increment.is_finite() {
        return Err(Refusal::fixed("ERR value is NaN or Infinity"));
    }
    let before = LongDouble::parse(value(keys, arguments)?.unwrap_or(b"0"));
    let before = before.ok_or(Refusal::fixed("ERR hash value is not a float"))?;
    let sum = before.checked_add(increment).ok_or(Refusal::NOT_FINITE)?.to_string();
    set(keys, arguments, sum.as_bytes(), "hincrbyfloat")?;
    reply.bulk(sum.as_bytes());
    Ok(())
}

fn value<'a>(keys: &'a Writer<'_>, arguments: Arguments<'_>) -> Result<Option<&'a [u8]>, Refusal> {
    let hash = keys.reader().hash(arguments.at(1))?;
    Ok(hash.and_then(|hash| hash.get(arguments.at(2), keys.now)))
}

fn set(keys: &mut Writer<'_>, arguments: Arguments<'_>, value: &[u8], event: &'static str) -> Outcome {
    let (database, name, field) = (keys.database, arguments.at(1), arguments.at(2));
    let now = keys.now;
    let hash = keys.reader().hash(name)?;
    let deadline = hash.and_then(|hash| hash.deadline(field)).filter(|&deadline| deadline > now);
    let keyspace = keys.hash_to_fill(name)?;
    keyspace.set_field((database, name), field, value);
    if deadline.is_some() {
        keyspace.set_field_deadline((database, name), field, deadline);
    }
    keys.notify(EventClass::Hash, event, database, name);
    Ok(())
}
