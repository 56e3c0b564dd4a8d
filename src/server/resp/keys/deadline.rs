//! Commands of deadlines of keys: `EXPIRE`, `TTL`, `PERSIST` and those that differ in unit or base.

use crate::server::resp::command::{Arguments, Outcome, Reader, Refusal, Terms, TimeForm, Writer, to_ms};
use crate::server::resp::protocol::ReplyBuffer;

/// What is answered of a key that is not there.
const NO_KEY: i64 = -2;
/// What is answered of a key without a deadline.
const NO_DEADLINE: i64 = -1;

/// `EXPIRE key seconds [NX | XX | GT | LT]`
pub fn expire_in_seconds(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    expire(keys, arguments, TimeForm::EX, "expire", reply)
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`
pub fn expire_in_milliseconds(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    expire(keys, arguments, TimeForm::PX, "pexpire", reply)
}

/// `EXPIREAT key seconds [NX | XX | GT | LT]`
pub fn expire_at_seconds(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    expire(keys, arguments, TimeForm::EXAT, "expireat", reply)
}

/// `PEXPIREAT key milliseconds [NX | XX | GT | LT]`
pub fn expire_at_milliseconds(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    expire(keys, arguments, TimeForm::PXAT, "pexpireat", reply)
}

fn expire(
    keys: &mut Writer<'_>,
    arguments: Arguments<'_>,
    form: TimeForm,
    command: &str,
    reply: &mut ReplyBuffer,
) -> Outcome {
    let name = arguments.at(1);
    let terms = read_terms(arguments)?;
    let deadline = form.any(arguments, 2, keys.now, command)?;
    let before = keys.reader().key(name).map(|key| key.deadline);
    let is_allowed = before.is_some_and(|before| terms.allow(before, deadline));
    if is_allowed {
        keys.expire(name, deadline);
    }
    reply.flag(is_allowed);
    Ok(())
}

fn read_terms(arguments: Arguments<'_>) -> Result<Terms, Refusal> {
    let mut terms = Terms::default();
    if let Some(unknown) = arguments.from(3).find(|option| !terms.add(option)) {
        return Err(Refusal::option(unknown));
    }
    if terms.is_first && (terms.is_other || terms.is_later || terms.is_earlier) {
        return Err(Refusal::fixed("ERR NX and XX, GT or LT options at the same time are not compatible"));
    }
    if terms.is_later && terms.is_earlier {
        return Err(Refusal::fixed("ERR GT and LT options at the same time are not compatible"));
    }
    Ok(terms)
}

/// `PERSIST key`
pub fn persist(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    reply.flag(keys.persist(arguments.at(1)));
    Ok(())
}

/// `TTL key`
pub fn time_to_live_in_seconds(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    answer_time(keys, arguments, reply, |deadline_ms, now_ms| to_seconds(deadline_ms - now_ms))
}

/// `PTTL key`
pub fn time_to_live_in_milliseconds(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    answer_time(keys, arguments, reply, |deadline_ms, now_ms| deadline_ms - now_ms)
}

/// `EXPIRETIME key`
pub fn time_in_seconds(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    answer_time(keys, arguments, reply, |deadline_ms, _| to_seconds(deadline_ms))
}

/// `PEXPIRETIME key`
pub fn time_in_milliseconds(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    answer_time(keys, arguments, reply, |deadline_ms, _| deadline_ms)
}

/// Seconds, rounded to the nearest.
fn to_seconds(ms: i64) -> i64 {
    (ms + 500).div_euclid(1_000)
}

fn answer_time(
    keys: &Reader<'_>,
    arguments: Arguments<'_>,
    reply: &mut ReplyBuffer,
    time: fn(i64, i64) -> i64,
) -> Outcome {
    reply.integer(match keys.key(arguments.at(1)).map(|key| key.deadline) {
        None => NO_KEY,
        Some(None) => NO_DEADLINE,
        Some(Some(deadline)) => time(to_ms(deadline), to_ms(keys.now)),
    });
    Ok(())
}
