//! Commands that give a key's value another name, or another database.

use crate::keyspace::DATABASES;
use crate::server::resp::command::{Arguments, EventClass, Outcome, Refusal, Writer};
use crate::server::resp::protocol::ReplyBuffer;

/// `RENAME key newkey`
pub fn rename(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (from, to) = (arguments.at(1), arguments.at(2));
    check_source(keys, from)?;
    if from != to {
        rename_key(keys, from, to);
    }
    reply.ok();
    Ok(())
}

/// `RENAMENX key newkey`
pub fn rename_if_none(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (from, to) = (arguments.at(1), arguments.at(2));
    check_source(keys, from)?;
    // Which says no also where both are one.
    let is_free = keys.reader().key(to).is_none();
    if is_free {
        rename_key(keys, from, to);
    }
    reply.flag(is_free);
    Ok(())
}

fn check_source(keys: &Writer<'_>, from: &[u8]) -> Outcome {
    keys.reader().key(from).map(|_| ()).ok_or(Refusal::NO_SUCH_KEY)
}

fn rename_key(keys: &mut Writer<'_>, from: &[u8], to: &[u8]) {
    let database = keys.database;
    // Fields that are past their deadline do not come along.
    keys.change(database, from);
    keys.change(database, to).rename((database, from), (database, to));
    keys.notify(EventClass::New, "new", database, to);
    keys.notify(EventClass::Generic, "rename_from", database, from);
    keys.notify(EventClass::Generic, "rename_to", database, to);
}

/// `COPY source destination [DB database] [REPLACE]`
pub fn copy(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (from, to) = (arguments.at(1), arguments.at(2));
    let (mut to_database, mut replaces) = (keys.database, false);
    let mut at = 3;
    while at < arguments.len() {
        if arguments.is_word(at, "REPLACE") {
            replaces = true;
        } else if arguments.is_word(at, "DB") && at + 1 < arguments.len() {
            at += 1;
            to_database = database(arguments, at)?;
        } else {
            return Err(Refusal::SYNTAX);
        }
        at += 1;
    }
    let from_database = keys.database;
    if from_database == to_database && from == to {
        return Err(Refusal::SAME_OBJECT);
    }
    let is_source_there = keys.reader().key(from).is_some();
    let does = is_source_there && (replaces || keys.key_of(to_database, to).is_none());
    if does {
        keys.change(from_database, from);
        keys.change(to_database, to).copy((from_database, from), (to_database, to));
        keys.notify(EventClass::New, "new", to_database, to);
        keys.notify(EventClass::Generic, "copy_to", to_database, to);
    }
    reply.flag(does);
    Ok(())
}

/// `MOVE key database`
pub fn move_key(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (name, from, to) = (arguments.at(1), keys.database, database(arguments, 2)?);
    if from == to {
        return Err(Refusal::SAME_OBJECT);
    }
    let does = keys.reader().key(name).is_some() && keys.key_of(to, name).is_none();
    if does {
        keys.change(from, name);
        keys.change(to, name).rename((from, name), (to, name));
        keys.notify(EventClass::New, "new", to, name);
        keys.notify(EventClass::Generic, "move_from", from, name);
        keys.notify(EventClass::Generic, "move_to", to, name);
    }
    reply.flag(does);
    Ok(())
}

/// The number of a database.
fn database(arguments: Arguments<'_>, index: usize) -> Result<u8, Refusal> {
    let number = arguments.integer(index)?;
    if i32::try_from(number).is_err() {
        return Err(Refusal::range(i64::from(i32::MIN), i64::from(i32::MAX)));
    }
    u8::try_from(number).ok().filter(|&number| usize::from(number) < DATABASES).ok_or(Refusal::NO_SUCH_DATABASE)
}
