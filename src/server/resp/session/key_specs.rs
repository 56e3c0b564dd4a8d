//! What commands do with their keys, in the words of `COMMAND INFO` and `COMMAND GETKEYSANDFLAGS`: `RO`, `RW`, `OW` (written over) or
//! `RM` (removed), and what of the value: `access` (it is answered), `insert`, `update`, `delete`.

use super::categories::Described;
use crate::server::resp::command::{Command, KeyPositions};

/// What a command does with keys, and where they stand. One that does more than one thing has as many of them.
pub(super) fn key_uses(described: Described) -> Vec<(&'static str, KeyPositions)> {
    let keys = described.command.keys;
    if keys.first == 0 || described.subcommands().len() > 0 {
        return Vec::new();
    }
    let second = |first, second| vec![(first, KeyPositions::ONE), (second, KeyPositions::SECOND)];
    match described.command.name {
        "copy" => second("RO access", "OW update"),
        "rename" => second("RW access delete", "OW update"),
        "renamenx" => second("RW access delete", "OW insert"),
        _ => vec![(one_use(described.command), keys)],
    }
}

fn one_use(command: &Command) -> &'static str {
    match command.name {
        "append" | "hsetnx" => "RW insert",
        "decr" | "decrby" | "getex" | "getset" | "hincrby" | "hincrbyfloat" | "incr" | "incrby" | "incrbyfloat"
        | "move" => "RW access update",
        "del" | "unlink" => "RM delete",
        "exists" | "touch" | "watch" | "hexists" | "hlen" | "hstrlen" | "strlen" | "type" => "RO",
        // Of `OBJECT` and `MEMORY`.
        "encoding" | "freq" | "idletime" | "refcount" | "usage" => "RO",
        "expire" | "expireat" | "pexpire" | "pexpireat" | "persist" | "hset" | "hmset" | "setrange" => "RW update",
        "hexpire" | "hexpireat" | "hpexpire" | "hpexpireat" | "hpersist" => "RW update",
        "getdel" => "RW access delete",
        "hdel" => "RW delete",
        "mset" | "psetex" | "setex" => "OW update",
        "msetnx" | "setnx" => "OW insert",
        "set" => "RW access update variable_flags",
        _ => "RO access",
    }
}

/// The keys among a command's words, its name being the first, and what it does with each.
pub(super) fn keys_of<'a>(described: Described, words: &[&'a [u8]]) -> Vec<(&'a [u8], &'static str)> {
    let mut found = Vec::new();
    for (mut flags, keys) in key_uses(described) {
        if described.command.name == "set" {
            let answers = words.iter().skip(3).any(|word| word.eq_ignore_ascii_case(b"get"));
            flags = if answers { "RW access update" } else { "OW update" };
        }
        let first = usize::try_from(keys.first).unwrap_or(0);
        let step = usize::try_from(keys.step).unwrap_or(0).max(1);
        let last = match usize::try_from(keys.last) {
            Ok(last) => last,
            // From the end.
            Err(_) => words.len().saturating_sub(usize::try_from(keys.last.unsigned_abs()).unwrap_or(0)),
        };
        found.extend((first..=last).step_by(step).filter_map(|at| Some((*words.get(at)?, flags))));
    }
    found
}
