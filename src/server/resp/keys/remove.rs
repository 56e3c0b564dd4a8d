//! Commands that count keys, look at their type, or take them away.

use super::type_name;
use crate::server::resp::command::{Arguments, Outcome, Reader, Writer};
use crate::server::resp::protocol::ReplyBuffer;

/// `DEL key [key ...]`, `UNLINK key [key ...]`: how many were there.
pub fn delete(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    reply.integer(arguments.from(1).map(|name| i64::from(keys.remove(name))).sum());
    Ok(())
}

/// `EXISTS key [key ...]`: how many are there; one that is named twice counts twice.
pub fn exists(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    reply.integer(arguments.from(1).map(|name| i64::from(keys.key(name).is_some())).sum());
    Ok(())
}

/// `TOUCH key [key ...]`: as `EXISTS`, and each counts as used, by whomever.
pub fn touch(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    arguments.from(1).filter_map(|name| keys.key(name)).for_each(|key| key.used.note(keys.now));
    exists(keys, arguments, reply)
}

/// `TYPE key`
pub fn key_type(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    reply.simple(keys.key(arguments.at(1)).map_or("none", |key| type_name(&key.value)));
    Ok(())
}
