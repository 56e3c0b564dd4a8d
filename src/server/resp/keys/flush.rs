//! Commands of whole databases.

use crate::keyspace::DATABASES;
use crate::server::resp::command::{Arguments, Outcome, Reader, Refusal, Writer};
use crate::server::resp::protocol::ReplyBuffer;

/// `DBSIZE`: keys that are past their deadline count until they are removed.
pub fn count(keys: &Reader<'_>, _: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    keys.depend_on(keys.keyspace.counted(keys.database));
    reply.integer(i64::try_from(keys.keyspace.len(keys.database)).unwrap_or(i64::MAX));
    Ok(())
}

/// `FLUSHDB [ASYNC | SYNC]`
pub fn flush_database(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    check_flush_mode(arguments)?;
    let database = keys.database;
    keys.change_all().truncate(database);
    reply.ok();
    Ok(())
}

/// `FLUSHALL [ASYNC | SYNC]`
pub fn flush_all(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    check_flush_mode(arguments)?;
    for database in (0..DATABASES).filter_map(|database| u8::try_from(database).ok()) {
        keys.change_all().truncate(database);
    }
    reply.ok();
    Ok(())
}

/// Whether it is refused. Who waits for what was removed to be given back: nobody, in either mode.
fn check_flush_mode(arguments: Arguments<'_>) -> Outcome {
    let is_mode = arguments.is_word(1, "ASYNC") || arguments.is_word(1, "SYNC");
    if arguments.len() == 1 || arguments.len() == 2 && is_mode { Ok(()) } else { Err(Refusal::SYNTAX) }
}
