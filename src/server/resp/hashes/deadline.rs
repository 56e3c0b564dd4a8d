//! Commands of deadlines of fields, as Redis has them since 7.4: `HEXPIRE`, `HTTL`, `HPERSIST` and those that differ in unit or base.
//! Each answers an array with a number a field. Source: their documentation at redis.io.

use super::set::tell_of_removal;
use crate::keyspace::Hash;
use crate::server::resp::command::{Arguments, EventClass, Outcome, Reader, Refusal, Terms, TimeForm, Writer, to_ms};
use crate::server::resp::protocol::ReplyBuffer;

/// There is no such field, or no such key.
const NO_FIELD: i64 = -2;
/// The field has no deadline.
const NO_DEADLINE: i64 = -1;
/// The terms do not allow it.
const NOT_ALLOWED: i64 = 0;
/// Done.
const DONE: i64 = 1;
/// The field went, as its deadline has come.
const REMOVED: i64 = 2;

/// `HEXPIRE key seconds [NX | XX | GT | LT] FIELDS count field [field ...]`
pub fn expire_in_seconds(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    expire(keys, arguments, TimeForm::EX, "hexpire", reply)
}

/// `HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS count field [field ...]`
pub fn expire_in_milliseconds(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    expire(keys, arguments, TimeForm::PX, "hpexpire", reply)
}

/// `HEXPIREAT key seconds [NX | XX | GT | LT] FIELDS count field [field ...]`
pub fn expire_at_seconds(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    expire(keys, arguments, TimeForm::EXAT, "hexpireat", reply)
}

/// `HPEXPIREAT key milliseconds [NX | XX | GT | LT] FIELDS count field [field ...]`
pub fn expire_at_milliseconds(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    expire(keys, arguments, TimeForm::PXAT, "hpexpireat", reply)
}

fn expire(
    keys: &mut Writer<'_>,
    arguments: Arguments<'_>,
    form: TimeForm,
    command: &str,
    reply: &mut ReplyBuffer,
) -> Outcome {
    let name = arguments.at(1);
    keys.reader().hash(name)?;
    let deadline = form.of_field(arguments, 2, keys.now, command)?;
    let mut terms = Terms::default();
    // One condition at most.
    let fields_at = if terms.add(arguments.at(3)) { 4 } else { 3 };
    let first = first_field(arguments, fields_at, "ERR Parameter `numFields` should be greater than 0")?;
    reply.array(arguments.len() - first);
    let (mut changed, mut removed) = (false, false);
    for field in arguments.from(first) {
        let done = expire_field(keys, name, field, terms, deadline)?;
        changed |= done == DONE;
        removed |= done == REMOVED;
        reply.integer(done);
    }
    if removed {
        tell_of_removal(keys, name);
    } else if changed {
        keys.notify(EventClass::Hash, "hexpire", keys.database, name);
    }
    Ok(())
}

fn expire_field(keys: &mut Writer<'_>, name: &[u8], field: &[u8], terms: Terms, deadline: i64) -> Result<i64, Refusal> {
    let (database, now) = (keys.database, keys.now);
    let hash = keys.reader().hash(name)?;
    let Some(hash) = hash.filter(|hash| hash.get(field, now).is_some()) else { return Ok(NO_FIELD) };
    if !terms.allow(hash.deadline(field), deadline) {
        return Ok(NOT_ALLOWED);
    }
    if deadline <= now {
        keys.remove_field(name, field);
        return Ok(REMOVED);
    }
    keys.change(database, name).set_field_deadline((database, name), field, Some(deadline));
    Ok(DONE)
}

/// `HPERSIST key FIELDS count field [field ...]`
pub fn persist(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (database, name, now) = (keys.database, arguments.at(1), keys.now);
    keys.reader().hash(name)?;
    let first = first_field_to_read(arguments)?;
    reply.array(arguments.len() - first);
    let mut changed = false;
    for field in arguments.from(first) {
        let before = state(keys.reader().hash(name)?, field, now);
        reply.integer(match before {
            Ok(_) => DONE,
            Err(why) => why,
        });
        if before.is_ok() {
            keys.change(database, name).set_field_deadline((database, name), field, None);
            changed = true;
        }
    }
    if changed {
        keys.notify(EventClass::Hash, "hpersist", database, name);
    }
    Ok(())
}

/// `HTTL key FIELDS count field [field ...]`
pub fn time_to_live_in_seconds(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    answer_times(keys, arguments, reply, |deadline_ms, now_ms| to_seconds(deadline_ms - now_ms))
}

/// `HPTTL key FIELDS count field [field ...]`
pub fn time_to_live_in_milliseconds(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    answer_times(keys, arguments, reply, |deadline_ms, now_ms| deadline_ms - now_ms)
}

/// `HEXPIRETIME key FIELDS count field [field ...]`
pub fn time_in_seconds(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    answer_times(keys, arguments, reply, |deadline_ms, _| to_seconds(deadline_ms))
}

/// `HPEXPIRETIME key FIELDS count field [field ...]`
pub fn time_in_milliseconds(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    answer_times(keys, arguments, reply, |deadline_ms, _| deadline_ms)
}

/// Seconds, rounded up. Of keys they are rounded to the nearest.
fn to_seconds(ms: i64) -> i64 {
    (ms + 999).div_euclid(1_000)
}

fn answer_times(
    keys: &Reader<'_>,
    arguments: Arguments<'_>,
    reply: &mut ReplyBuffer,
    time: fn(i64, i64) -> i64,
) -> Outcome {
    let hash = keys.hash(arguments.at(1))?;
    let first = first_field_to_read(arguments)?;
    reply.array(arguments.len() - first);
    for field in arguments.from(first) {
        reply.integer(match state(hash, field, keys.now) {
            Ok(deadline) => time(to_ms(deadline), to_ms(keys.now)),
            Err(why) => why,
        });
    }
    Ok(())
}

/// A field's deadline, or what is answered where there is none.
fn state(hash: Option<&Hash>, field: &[u8], now: i64) -> Result<i64, i64> {
    let hash = hash.filter(|hash| hash.get(field, now).is_some()).ok_or(NO_FIELD)?;
    hash.deadline(field).ok_or(NO_DEADLINE)
}

/// The position of the first field of commands whose `FIELDS` stands behind the key.
fn first_field_to_read(arguments: Arguments<'_>) -> Result<usize, Refusal> {
    first_field(arguments, 2, "ERR Number of fields must be a positive integer")
}

/// The position of the first field behind `FIELDS count`, which is to stand at `at`; as many as counted have to follow.
fn first_field(arguments: Arguments<'_>, at: usize, no_count: &'static str) -> Result<usize, Refusal> {
    if !arguments.is_word(at, "FIELDS") {
        let text = "ERR Mandatory argument FIELDS is missing or not at the right position";
        return Err(Refusal::fixed(text));
    }
    let count = arguments.get(at + 1).map(|_| arguments.integer(at + 1));
    let count = count.and_then(Result::ok).filter(|&count| count > 0);
    let count = count.ok_or(Refusal::fixed(no_count))?;
    let first = at + 2;
    if usize::try_from(count) != Ok(arguments.len() - first) {
        return Err(Refusal::fixed("ERR The `numfields` parameter must match the number of arguments"));
    }
    Ok(first)
}
