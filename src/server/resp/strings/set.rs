//! Commands that give keys strings: `SET` and those that are a `SET` with options.

use super::options::Options;
use crate::server::resp::command::{Arguments, EventClass, Outcome, Refusal, TimeForm, Writer};
use crate::server::resp::protocol::ReplyBuffer;

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub fn set(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (name, value) = (arguments.at(1), arguments.at(2));
    let options = Options::of_set(arguments)?;
    let deadline = options.deadline(arguments, keys.now, "set")?;
    if options != Options::default() {
        if options.gets {
            reply.bulk_or_null(keys.reader().string(name)?.map(|string| &*string.bytes));
        }
        let is_there = keys.reader().key(name).is_some();
        if is_there && options.is_for_none || !is_there && options.is_for_some {
            if !options.gets {
                reply.null();
            }
            return Ok(());
        }
    }
    let deadline = if options.keeps_deadline { keys.deadline(name) } else { deadline };
    keys.set_string(name, value.to_vec(), deadline, "set");
    if options.time.is_some() {
        keys.notify(EventClass::Generic, "expire", keys.database, name);
    }
    if !options.gets {
        reply.ok();
    }
    Ok(())
}

/// `SETEX key seconds value`
pub fn set_for_seconds(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    set_for(keys, arguments, TimeForm::EX, "setex", reply)
}

/// `PSETEX key milliseconds value`
pub fn set_for_milliseconds(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    set_for(keys, arguments, TimeForm::PX, "psetex", reply)
}

fn set_for(
    keys: &mut Writer<'_>,
    arguments: Arguments<'_>,
    form: TimeForm,
    command: &str,
    reply: &mut ReplyBuffer,
) -> Outcome {
    let name = arguments.at(1);
    let deadline = form.positive(arguments, 2, keys.now, command)?;
    keys.set_string(name, arguments.at(3).to_vec(), Some(deadline), "set");
    keys.notify(EventClass::Generic, "expire", keys.database, name);
    reply.ok();
    Ok(())
}

/// `SETNX key value`
pub fn set_if_none(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let name = arguments.at(1);
    let is_there = keys.reader().key(name).is_some();
    if !is_there {
        keys.set_string(name, arguments.at(2).to_vec(), None, "set");
    }
    reply.flag(!is_there);
    Ok(())
}

/// `MSET key value [key value ...]`
pub fn mset(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    check_pairs(arguments, "mset")?;
    set_pairs(keys, arguments);
    reply.ok();
    Ok(())
}

/// `MSETNX key value [key value ...]`: all or, where one key is there, none.
pub fn mset_if_none(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    check_pairs(arguments, "msetnx")?;
    let is_any_there = arguments.from(1).step_by(2).any(|name| keys.reader().key(name).is_some());
    if !is_any_there {
        set_pairs(keys, arguments);
    }
    reply.flag(!is_any_there);
    Ok(())
}

fn check_pairs(arguments: Arguments<'_>, command: &str) -> Outcome {
    if arguments.len() % 2 == 1 { Ok(()) } else { Err(Refusal::arity(command)) }
}

fn set_pairs(keys: &mut Writer<'_>, arguments: Arguments<'_>) {
    for at in (1..arguments.len()).step_by(2) {
        keys.set_string(arguments.at(at), arguments.at(at + 1).to_vec(), None, "set");
    }
}
