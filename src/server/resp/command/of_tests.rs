//! A few small commands for the tests of the server, which need something to write.

use super::{Arguments, Command, EventClass, Flag, KeyPositions, Outcome, Reader, Refusal, Run, Writer};
use crate::server::resp::number::parse_i64;
use crate::server::resp::protocol::ReplyBuffer;

/// They are found where the project has none of the same name.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "set",
        arity: -3,
        flags: &[Flag::Write, Flag::DenyOom],
        keys: KeyPositions::ONE,
        run: Run::Write(set),
    },
    Command { name: "incr", arity: 2, flags: &[Flag::Write], keys: KeyPositions::ONE, run: Run::Write(incr) },
    Command { name: "del", arity: -2, flags: &[Flag::Write], keys: KeyPositions::ALL, run: Run::Write(del) },
    Command { name: "pexpire", arity: -3, flags: &[Flag::Write], keys: KeyPositions::ONE, run: Run::Write(pexpire) },
    Command { name: "flushall", arity: -1, flags: &[Flag::Write], keys: KeyPositions::NONE, run: Run::Write(flushall) },
    Command { name: "dbsize", arity: 1, flags: &[Flag::ReadOnly], keys: KeyPositions::NONE, run: Run::Read(dbsize) },
];

fn set(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (database, key) = (keys.database, arguments.at(1));
    keys.change(database, key).set_string((database, key), arguments.at(2).to_vec(), None);
    keys.notify(EventClass::String, "set", database, key);
    reply.ok();
    Ok(())
}

fn incr(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (database, key) = (keys.database, arguments.at(1));
    let before = keys.reader().string(key)?.map_or(Some(0), |string| parse_i64(&string.bytes));
    let after = before.ok_or(Refusal::NOT_AN_INTEGER)? + 1;
    keys.change(database, key).set_string((database, key), after.to_string().into_bytes(), None);
    keys.notify(EventClass::String, "incrby", database, key);
    reply.integer(after);
    Ok(())
}

fn del(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let database = keys.database;
    let mut count = 0;
    for key in arguments.from(1) {
        if keys.change(database, key).remove((database, key)) {
            count += 1;
            keys.notify(EventClass::Generic, "del", database, key);
        }
    }
    reply.integer(count);
    Ok(())
}

fn pexpire(keys: &mut Writer<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let (database, key, now) = (keys.database, arguments.at(1), keys.now);
    let deadline = now + arguments.integer(2)? * 1_000;
    keys.change(database, key).set_deadline((database, key), Some(deadline));
    keys.notify(EventClass::Generic, "expire", database, key);
    reply.integer(1);
    Ok(())
}

fn flushall(keys: &mut Writer<'_>, _: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let keyspace = keys.change_all();
    (0..16).for_each(|database| keyspace.truncate(database));
    reply.ok();
    Ok(())
}

fn dbsize(keys: &Reader<'_>, _: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    reply.integer(i64::try_from(keys.keyspace.len(keys.database)).unwrap());
    Ok(())
}
