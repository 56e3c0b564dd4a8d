//! Commands that change fields of hashes. A field that is given a value loses its deadline.

use crate::server::resp::command::{Arguments, EventClass, Outcome, Refusal, Writer};
use crate::server::resp::protocol::ReplyBuffer;

/// `HSET key field value [field value ...]`: how many fields are new.
pub fn set(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let added = set_pairs(keys, arguments, "hset")?;
    reply.integer(added);
    Ok(())
}

/// `HMSET key field value [field value ...]`
pub fn set_many(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    set_pairs(keys, arguments, "hmset")?;
    reply.ok();
    Ok(())
}

fn set_pairs(keys: &mut Writer<'_>, arguments: Arguments<'_>, command: &str) -> Result<i64, Refusal> {
    if arguments.len() % 2 == 1 {
        return Err(Refusal::arity(command));
    }
    let (database, name) = (keys.database, arguments.at(1));
    let keyspace = keys.hash_to_fill(name)?;
    let pairs = (2..arguments.len()).step_by(2).map(|at| (arguments.at(at), arguments.at(at + 1)));
    let added = keyspace.set_fields((database, name), pairs);
    keys.notify(EventClass::Hash, "hset", database, name);
    Ok(i64::try_from(added).unwrap_or(i64::MAX))
}

/// `HSETNX key field value`
pub fn set_if_none(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (database, name, field) = (keys.database, arguments.at(1), arguments.at(2));
    let now = keys.now;
    let is_there = keys.reader().hash(name)?.is_some_and(|hash| hash.get(field, now).is_some());
    if !is_there {
        keys.hash_to_fill(name)?.set_field((database, name), field, arguments.at(3));
        keys.notify(EventClass::Hash, "hset", database, name);
    }
    reply.flag(!is_there);
    Ok(())
}

/// `HDEL key field [field ...]`: how many were there.
pub fn delete(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let name = arguments.at(1);
    let mut removed = 0;
    if keys.reader().hash(name)?.is_some() {
        removed = arguments.from(2).map(|field| i64::from(keys.remove_field(name, field))).sum();
    }
    if removed > 0 {
        tell_of_removal(keys, name);
    }
    reply.integer(removed);
    Ok(())
}

/// Tells that fields were taken out of a hash, and of the hash that went with the last of them.
pub fn tell_of_removal(keys: &mut Writer<'_>, name: &[u8]) {
    let database = keys.database;
    keys.notify(EventClass::Hash, "hdel", database, name);
    if keys.reader().key(name).is_none() {
        keys.notify(EventClass::Generic, "del", database, name);
    }
}
