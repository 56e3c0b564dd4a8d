//! Commands that answer whole strings, and what they do to their keys.

use super::options::Options;
use crate::keyspace::KeyValue;
use crate::server::resp::command::{Arguments, Outcome, Reader, Writer};
use crate::server::resp::protocol::ReplyBuffer;

/// `GET key`
pub fn get(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let string = keys.string(arguments.at(1))?;
    reply.bulk_or_null(string.map(|string| &*string.bytes));
    Ok(())
}

/// `MGET key [key ...]`: null where a key holds no string.
pub fn mget(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    reply.array(arguments.len() - 1);
    for name in arguments.from(1) {
        match keys.used_key(name).map(|key| &key.value) {
            Some(KeyValue::String(string)) => reply.bulk(&string.bytes),
            Some(KeyValue::Hash(_)) | None => reply.null(),
        }
    }
    Ok(())
}

/// `GETSET key value`
pub fn get_and_set(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    get(&keys.reader(), arguments, reply)?;
    keys.set_string(arguments.at(1), arguments.at(2).to_vec(), None, "set");
    Ok(())
}

/// `GETDEL key`
pub fn get_and_delete(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    get(&keys.reader(), arguments, reply)?;
    keys.remove(arguments.at(1));
    Ok(())
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
pub fn get_and_expire(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let name = arguments.at(1);
    let options = Options::of_get(arguments)?;
    get(&keys.reader(), arguments, reply)?;
    if keys.reader().key(name).is_none() {
        // Nothing more is looked at then, the time neither.
        return Ok(());
    }
    if let Some(deadline) = options.deadline(arguments, keys.now, "getex")? {
        keys.expire(name, deadline);
    } else if options.persists {
        keys.persist(name);
    }
    Ok(())
}
