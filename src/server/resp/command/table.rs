//! All commands there are.

use super::{Command, Flag, KeyPositions, Run};
use crate::server::resp::{hashes, keys, strings};

use Flag::{DenyOom, Fast, ReadOnly, Write as Writes};
use Run::{Read, Write};

/// All commands, by topic.
pub const COMMANDS: &[Command] = &[
    // Strings.
    command("get", 2, &[ReadOnly, Fast], KeyPositions::ONE, Read(strings::get)),
    command("set", -3, &[Writes, DenyOom], KeyPositions::ONE, Write(strings::set)),
    command("setex", 4, &[Writes, DenyOom], KeyPositions::ONE, Write(strings::set_for_seconds)),
    command("psetex", 4, &[Writes, DenyOom], KeyPositions::ONE, Write(strings::set_for_milliseconds)),
    command("setnx", 3, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(strings::set_if_none)),
    command("getset", 3, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(strings::get_and_set)),
    command("getdel", 2, &[Writes, Fast], KeyPositions::ONE, Write(strings::get_and_delete)),
    command("getex", -2, &[Writes, Fast], KeyPositions::ONE, Write(strings::get_and_expire)),
    command("mget", -2, &[ReadOnly, Fast], KeyPositions::ALL, Read(strings::mget)),
    command("mset", -3, &[Writes, DenyOom], KeyPositions::PAIRS, Write(strings::mset)),
    command("msetnx", -3, &[Writes, DenyOom], KeyPositions::PAIRS, Write(strings::mset_if_none)),
    command("append", 3, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(strings::append)),
    command("strlen", 2, &[ReadOnly, Fast], KeyPositions::ONE, Read(strings::strlen)),
    command("getrange", 4, &[ReadOnly], KeyPositions::ONE, Read(strings::get_range)),
    command("substr", 4, &[ReadOnly], KeyPositions::ONE, Read(strings::get_range)),
    command("setrange", 4, &[Writes, DenyOom], KeyPositions::ONE, Write(strings::set_range)),
    command("incr", 2, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(strings::increment)),
    command("decr", 2, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(strings::decrement)),
    command("incrby", 3, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(strings::increment_by)),
    command("decrby", 3, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(strings::decrement_by)),
    command("incrbyfloat", 3, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(strings::increment_by_float)),
    // Hashes.
    command("hget", 3, &[ReadOnly, Fast], KeyPositions::ONE, Read(hashes::get)),
    command("hmget", -3, &[ReadOnly, Fast], KeyPositions::ONE, Read(hashes::get_many)),
    command("hgetall", 2, &[ReadOnly], KeyPositions::ONE, Read(hashes::get_all)),
    command("hkeys", 2, &[ReadOnly], KeyPositions::ONE, Read(hashes::keys)),
    command("hvals", 2, &[ReadOnly], KeyPositions::ONE, Read(hashes::values)),
    command("hlen", 2, &[ReadOnly, Fast], KeyPositions::ONE, Read(hashes::length)),
    command("hexists", 3, &[ReadOnly, Fast], KeyPositions::ONE, Read(hashes::exists)),
    command("hstrlen", 3, &[ReadOnly, Fast], KeyPositions::ONE, Read(hashes::value_length)),
    command("hrandfield", -2, &[ReadOnly], KeyPositions::ONE, Read(hashes::random_field)),
    command("hscan", -3, &[ReadOnly], KeyPositions::ONE, Read(hashes::scan)),
    command("hset", -4, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(hashes::set)),
    command("hmset", -4, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(hashes::set_many)),
    command("hsetnx", 4, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(hashes::set_if_none)),
    command("hdel", -3, &[Writes, Fast], KeyPositions::ONE, Write(hashes::delete)),
    command("hincrby", 4, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(hashes::increment_by)),
    command("hincrbyfloat", 4, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(hashes::increment_by_float)),
    // Deadlines of fields.
    command("hexpire", -6, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(hashes::expire_in_seconds)),
    command("hpexpire", -6, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(hashes::expire_in_milliseconds)),
    command("hexpireat", -6, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(hashes::expire_at_seconds)),
    command("hpexpireat", -6, &[Writes, DenyOom, Fast], KeyPositions::ONE, Write(hashes::expire_at_milliseconds)),
    command("hpersist", -5, &[Writes, Fast], KeyPositions::ONE, Write(hashes::persist)),
    command("httl", -5, &[ReadOnly, Fast], KeyPositions::ONE, Read(hashes::time_to_live_in_seconds)),
    command("hpttl", -5, &[ReadOnly, Fast], KeyPositions::ONE, Read(hashes::time_to_live_in_milliseconds)),
    command("hexpiretime", -5, &[ReadOnly, Fast], KeyPositions::ONE, Read(hashes::time_in_seconds)),
    command("hpexpiretime", -5, &[ReadOnly, Fast], KeyPositions::ONE, Read(hashes::time_in_milliseconds)),
    // Keys of any type.
    command("del", -2, &[Writes], KeyPositions::ALL, Write(keys::delete)),
    command("unlink", -2, &[Writes, Fast], KeyPositions::ALL, Write(keys::delete)),
    command("exists", -2, &[ReadOnly, Fast], KeyPositions::ALL, Read(keys::exists)),
    command("touch", -2, &[ReadOnly, Fast], KeyPositions::ALL, Read(keys::touch)),
    command("type", 2, &[ReadOnly, Fast], KeyPositions::ONE, Read(keys::key_type)),
    command("rename", 3, &[Writes], KeyPositions::TWO, Write(keys::rename)),
    command("renamenx", 3, &[Writes, Fast], KeyPositions::TWO, Write(keys::rename_if_none)),
    command("copy", -3, &[Writes, DenyOom], KeyPositions::TWO, Write(keys::copy)),
    command("move", 3, &[Writes, Fast], KeyPositions::ONE, Write(keys::move_key)),
    command("object", -2, &[], KeyPositions::SECOND, Read(keys::object)),
    command("memory", -2, &[], KeyPositions::SECOND, Read(keys::memory)),
    // Deadlines of keys.
    command("expire", -3, &[Writes, Fast], KeyPositions::ONE, Write(keys::expire_in_seconds)),
    command("pexpire", -3, &[Writes, Fast], KeyPositions::ONE, Write(keys::expire_in_milliseconds)),
    command("expireat", -3, &[Writes, Fast], KeyPositions::ONE, Write(keys::expire_at_seconds)),
    command("pexpireat", -3, &[Writes, Fast], KeyPositions::ONE, Write(keys::expire_at_milliseconds)),
    command("persist", 2, &[Writes, Fast], KeyPositions::ONE, Write(keys::persist)),
    command("ttl", 2, &[ReadOnly, Fast], KeyPositions::ONE, Read(keys::time_to_live_in_seconds)),
    command("pttl", 2, &[ReadOnly, Fast], KeyPositions::ONE, Read(keys::time_to_live_in_milliseconds)),
    command("expiretime", 2, &[ReadOnly, Fast], KeyPositions::ONE, Read(keys::time_in_seconds)),
    command("pexpiretime", 2, &[ReadOnly, Fast], KeyPositions::ONE, Read(keys::time_in_milliseconds)),
    // Databases.
    command("keys", 2, &[ReadOnly], KeyPositions::NONE, Read(keys::keys)),
    command("scan", -2, &[ReadOnly], KeyPositions::NONE, Read(keys::scan)),
    command("randomkey", 1, &[ReadOnly], KeyPositions::NONE, Read(keys::random_key)),
    command("dbsize", 1, &[ReadOnly, Fast], KeyPositions::NONE, Read(keys::count)),
    command("flushdb", -1, &[Writes], KeyPositions::NONE, Write(keys::flush_database)),
    command("flushall", -1, &[Writes], KeyPositions::NONE, Write(keys::flush_all)),
];

const fn command(name: &'static str, arity: i32, flags: &'static [Flag], keys: KeyPositions, run: Run) -> Command {
    Command { name, arity, flags, keys, run }
}

/// Places of the index: few enough to stay in the cache, many enough that most names have one of their own.
const PLACES: usize = 1 << 9;
/// Longest name, in bytes: it makes one number.
const NAME_BYTES_MAX: usize = 16;

/// Commands by their names as numbers, each at the place that [`place_of`] says or the next that was free.
static INDEX: [Option<(u128, &Command)>; PLACES] = index();

const fn index() -> [Option<(u128, &'static Command)>; PLACES] {
    assert!(COMMANDS.len() * 2 < PLACES, "a command is looked for until an empty place");
    let mut index: [Option<(u128, &Command)>; PLACES] = [const { None }; PLACES];
    let mut at = 0;
    while at < COMMANDS.len() {
        let name = number_of(COMMANDS[at].name.as_bytes());
        let mut place = place_of(name);
        while index[place].is_some() {
            place = (place + 1) % PLACES;
        }
        index[place] = Some((name, &COMMANDS[at]));
        at += 1;
    }
    index
}

/// A name as a number, the same in either case. The bit that is set in each byte is a letter's case, and of no other byte: so names
/// are of letters alone.
#[inline]
const fn number_of(name: &[u8]) -> u128 {
    assert!(name.len() <= NAME_BYTES_MAX);
    let mut number = 0;
    let mut at = 0;
    while at < name.len() {
        number = number << 8 | (name[at] | 0x20) as u128;
        at += 1;
    }
    number
}

#[inline]
const fn place_of(name: u128) -> usize {
    // Of the multiplication's result the upper bits depend on all of the name's.
    let mixed = name.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) >> (u128::BITS - PLACES.ilog2());
    mixed as usize
}

/// The command of this name, in either case.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Command> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = number_of(name);
    let mut place = place_of(name);
    while let Some((known, command)) = &INDEX[place] {
        if *known == name {
            return Some(command);
        }
        place = (place + 1) % PLACES;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_command_is_found_by_its_name_in_either_case_and_nothing_else_is() {
        let names: HashSet<&str> = COMMANDS.iter().map(|command| command.name).collect();
        assert_eq!(names.len(), COMMANDS.len(), "a name twice");
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase())));
        for command in COMMANDS {
            for name in [command.name.to_owned(), command.name.to_uppercase()] {
                assert_eq!(find(name.as_bytes()).map(|found| found.name), Some(command.name));
            }
        }
        for name in ["", "ge", "gett", "g\0t", "get ", "get\0", "\0get", "zadd", "a name that is longer than any"] {
            assert!(find(name.as_bytes()).is_none(), "{name}");
        }
    }

    #[test]
    fn most_names_have_a_place_of_their_own() {
        let first = |command: &Command| place_of(number_of(command.name.as_bytes()));
        let places: HashSet<usize> = COMMANDS.iter().map(first).collect();
        assert!(places.len() * 20 > COMMANDS.len() * 18, "{} of {}", places.len(), COMMANDS.len());
    }

    #[test]
    fn a_command_that_writes_says_so() {
        for command in COMMANDS {
            let says = command.flags.contains(&Flag::Write);
            assert_eq!(says, matches!(command.run, Write(_)), "{}", command.name);
        }
    }
}
