//! Commands that answer fields of hashes. A key that is not there is a hash without fields.

use crate::keyspace::Hash;
use crate::server::resp::command::{Arguments, Outcome, Reader, Refusal};
use crate::server::resp::protocol::ReplyBuffer;

/// `HGET key field`
pub fn get(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    reply.bulk_or_null(value(keys, arguments)?);
    Ok(())
}

/// `HMGET key field [field ...]`
pub fn get_many(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let hash = keys.hash(arguments.at(1))?;
    reply.array(arguments.len() - 2);
    let mut next = 0;
    for field in arguments.from(2) {
        reply.bulk_or_null(hash.and_then(|hash| hash.get_from(&mut next, field, keys.now)));
    }
    Ok(())
}

/// `HGETALL key`
pub fn get_all(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let hash = keys.hash(arguments.at(1))?;
    reply.map(fields(hash, keys.now));
    for (field, value) in hash.into_iter().flat_map(|hash| hash.iter(keys.now)) {
        reply.bulk(field);
        reply.bulk(value);
    }
    Ok(())
}

/// `HKEYS key`
pub fn keys(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let hash = keys.hash(arguments.at(1))?;
    reply.array(fields(hash, keys.now));
    hash.into_iter().flat_map(|hash| hash.iter(keys.now)).for_each(|(field, _)| reply.bulk(field));
    Ok(())
}

/// `HVALS key`
pub fn values(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let hash = keys.hash(arguments.at(1))?;
    reply.array(fields(hash, keys.now));
    hash.into_iter().flat_map(|hash| hash.iter(keys.now)).for_each(|(_, value)| reply.bulk(value));
    Ok(())
}

/// `HLEN key`
pub fn length(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let hash = keys.hash(arguments.at(1))?;
    reply.integer(i64::try_from(fields(hash, keys.now)).unwrap_or(i64::MAX));
    Ok(())
}

/// `HEXISTS key field`
pub fn exists(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    reply.flag(value(keys, arguments)?.is_some());
    Ok(())
}

/// `HSTRLEN key field`
pub fn value_length(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    reply.integer(i64::try_from(value(keys, arguments)?.map_or(0, <[u8]>::len)).unwrap_or(i64::MAX));
    Ok(())
}

/// The value of the field that the second argument names.
fn value<'a>(keys: &Reader<'a>, arguments: Arguments<'_>) -> Result<Option<&'a [u8]>, Refusal> {
    let hash = keys.hash(arguments.at(1))?;
    Ok(hash.and_then(|hash| hash.get(arguments.at(2), keys.now)))
}

fn fields(hash: Option<&Hash>, now: i64) -> usize {
    hash.map_or(0, |hash| hash.len(now))
}
