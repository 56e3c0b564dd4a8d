//! `COMMAND`: what commands there are.

use super::State;
use super::channels::count;
use super::check::takes;
use crate::server::resp::command::{Arguments, Command, Flag, Refusal, Run, all, find, subcommands};
use crate::server::resp::glob::Pattern;
use crate::server::resp::protocol::ReplyBuffer;

const INVALID_COMMAND: Refusal = Refusal::fixed("ERR Invalid command specified");

/// All commands, each once.
fn commands() -> Vec<&'static Command> {
    // Of two by one name the one that is found counts.
    let mut commands: Vec<&Command> = all().filter_map(|command| find(command.name.as_bytes())).collect();
    commands.sort_by_key(|command| command.name);
    commands.dedup_by_key(|command| command.name);
    commands
}

impl State {
    pub(super) fn command_command(&mut self, subcommand: &str, arguments: Arguments<'_>) -> Result<(), Refusal> {
        let named = |arguments: Arguments<'_>| -> Vec<Option<&'static Command>> {
            match arguments.len() {
                0..=2 => commands().into_iter().map(Some).collect(),
                _ => arguments.from(2).map(find).collect(),
            }
        };
        let replies = &mut self.replies;
        match subcommand {
            "" | "info" => {
                let named = named(arguments);
                replies.array(named.len());
                for command in named {
                    match command {
                        Some(command) => describe(replies, None, command),
                        None => replies.null(),
                    }
                }
            }
            "count" => replies.integer(count(commands().len())),
            "docs" => {
                let named: Vec<&Command> = named(arguments).into_iter().flatten().collect();
                replies.map(named.len());
                for command in named {
                    replies.bulk(command.name.as_bytes());
                    document(replies, command);
                }
            }
            "list" => list(replies, arguments)?,
            _ => keys_of(replies, arguments, subcommand == "getkeysandflags")?,
        }
        Ok(())
    }
}

/// What a command is like, as drivers read it.
fn describe(replies: &mut ReplyBuffer, container: Option<&str>, command: &Command) {
    replies.array(10);
    match container {
        Some(container) => replies.bulk(format!("{container}|{}", command.name).as_bytes()),
        None => replies.bulk(command.name.as_bytes()),
    }
    replies.integer(i64::from(command.arity));
    replies.set(command.flags.len());
    command.flags.iter().for_each(|flag| replies.simple(flag_name(*flag)));
    for position in [command.keys.first, command.keys.last, command.keys.step] {
        replies.integer(i64::from(position));
    }
    let categories = categories(command, topic(command));
    replies.set(categories.len());
    categories.iter().for_each(|category| replies.simple(&format!("@{category}")));
    // Hints for proxies of clusters.
    replies.set(0);
    key_specification(replies, command);
    let subcommands = if container.is_none() { subcommands(command.name) } else { &[] };
    replies.set(subcommands.len());
    subcommands.iter().for_each(|subcommand| describe(replies, Some(command.name), subcommand));
}

fn key_specification(replies: &mut ReplyBuffer, command: &Command) {
    let keys = command.keys;
    if keys.first == 0 {
        replies.set(0);
        return;
    }
    replies.set(1);
    replies.map(3);
    replies.bulk(b"flags");
    replies.set(1);
    replies.simple(if command.flags.contains(&Flag::Write) { "RW" } else { "RO" });
    replies.bulk(b"begin_search");
    replies.map(2);
    replies.bulk(b"type");
    replies.bulk(b"index");
    replies.bulk(b"spec");
    replies.map(1);
    replies.bulk(b"index");
    replies.integer(i64::from(keys.first));
    replies.bulk(b"find_keys");
    replies.map(2);
    replies.bulk(b"type");
    replies.bulk(b"range");
    replies.bulk(b"spec");
    replies.map(3);
    // The last one, seen from the first.
    let last = if keys.last < 0 { keys.last } else { keys.last - keys.first };
    for (name, value) in [("lastkey", last), ("keystep", keys.step), ("limit", 0)] {
        replies.bulk(name.as_bytes());
        replies.integer(i64::from(value));
    }
}

fn document(replies: &mut ReplyBuffer, command: &Command) {
    replies.map(3);
    for (name, value) in [("summary", ""), ("since", "1.0.0"), ("group", topic(command))] {
        replies.bulk(name.as_bytes());
        replies.bulk(value.as_bytes());
    }
}

fn list(replies: &mut ReplyBuffer, arguments: Arguments<'_>) -> Result<(), Refusal> {
    let mut names: Vec<String> = with_subcommands().map(|(name, ..)| name).collect();
    match arguments.len() {
        2 => {}
        5 if arguments.is_word(2, "filterby") && arguments.is_word(3, "pattern") => {
            let pattern = Pattern::ignoring_case(arguments.at(4));
            names.retain(|name| pattern.matches(name.as_bytes()));
        }
        5 if arguments.is_word(2, "filterby") && arguments.is_word(3, "module") => names.clear(),
        5 if arguments.is_word(2, "filterby") && arguments.is_word(3, "aclcat") => {
            let wanted = String::from_utf8_lossy(arguments.at(4)).to_ascii_lowercase();
            names = in_category(&wanted);
        }
        _ => return Err(Refusal::SYNTAX),
    }
    replies.array(names.len());
    names.iter().for_each(|name| replies.bulk(name.as_bytes()));
    Ok(())
}

/// Commands and subcommands, which are called `client|list`, each with what it is about: a subcommand, what its command is.
fn with_subcommands() -> impl Iterator<Item = (String, &'static Command, &'static str)> {
    commands().into_iter().flat_map(|command| {
        let about = topic(command);
        let named = move |sub: &'static Command| (format!("{}|{}", command.name, sub.name), sub, about);
        let subcommands = subcommands(command.name);
        // One that has subcommands is nothing by itself.
        let own = if subcommands.is_empty() { about } else { "container" };
        std::iter::once((command.name.to_owned(), command, own)).chain(subcommands.iter().map(named))
    })
}

/// Names of the commands of a category, which is one of [`CATEGORIES`] or of nothing.
pub(super) fn in_category(category: &str) -> Vec<String> {
    let is_of_it = |command: &Command, topic: &str| categories(command, topic).contains(&category);
    with_subcommands().filter(|(_, command, topic)| is_of_it(command, topic)).map(|(name, ..)| name).collect()
}

fn keys_of(replies: &mut ReplyBuffer, arguments: Arguments<'_>, with_flags: bool) -> Result<(), Refusal> {
    let command = find(arguments.at(2)).ok_or(INVALID_COMMAND)?;
    let keys = command.keys;
    if keys.first == 0 {
        return Err(Refusal::fixed("ERR The command has no key arguments"));
    }
    let len = arguments.len() - 2;
    if !takes(command.arity, len) {
        return Err(Refusal::fixed("ERR Invalid number of arguments specified for command"));
    }
    let first = usize::try_from(keys.first).unwrap_or(0);
    let step = usize::try_from(keys.step).unwrap_or(0).max(1);
    let last = match usize::try_from(keys.last) {
        Ok(last) => last,
        Err(_) => len.saturating_sub(usize::try_from(keys.last.unsigned_abs()).unwrap_or(0)),
    };
    let found: Vec<&[u8]> = (first..=last).step_by(step).filter_map(|at| arguments.get(at + 2)).collect();
    replies.array(found.len());
    for key in found {
        if with_flags {
            replies.array(2);
        }
        replies.bulk(key);
        if with_flags {
            replies.set(1);
            replies.simple(if command.flags.contains(&Flag::Write) { "RW" } else { "RO" });
        }
    }
    Ok(())
}

/// Categories of commands.
pub(super) const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// Those that a command belongs to.
fn categories(command: &Command, topic: &str) -> Vec<&'static str> {
    let has = |flag| command.flags.contains(&flag);
    let is_of_keys = matches!(topic, "generic" | "hash" | "string");
    [
        ("pubsub", has(Flag::PubSub)),
        ("keyspace", topic == "generic"),
        ("write", has(Flag::Write) && is_of_keys),
        ("read", has(Flag::ReadOnly)),
        ("string", topic == "string"),
        ("hash", topic == "hash"),
        ("admin", has(Flag::Admin) || command.name == "lastsave"),
        ("fast", has(Flag::Fast)),
        ("slow", !has(Flag::Fast)),
        (
            "dangerous",
            has(Flag::Admin) || matches!(command.name, "info" | "lastsave" | "keys" | "flushall" | "flushdb"),
        ),
        ("connection", topic == "connection"),
        ("transaction", topic == "transactions"),
    ]
    .into_iter()
    .filter_map(|(category, is_of_it)| is_of_it.then_some(category))
    .collect()
}

/// What a command is about, by the name of the group that Redis's documentation has it in.
fn topic(command: &Command) -> &'static str {
    match command.name {
        "multi" | "exec" | "discard" | "watch" | "unwatch" => "transactions",
        "ping" | "echo" | "select" | "auth" | "hello" | "quit" | "reset" | "client" | "command" | "wait"
        | "readonly" | "readwrite" => "connection",
        "subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe" | "publish" | "pubsub" => "pubsub",
        _ if matches!(command.run, Run::Session) => "server",
        "append" | "decr" | "decrby" | "incr" | "incrby" | "incrbyfloat" | "mget" | "mset" | "msetnx" | "psetex"
        | "strlen" | "substr" | "lcs" => "string",
        name if name.starts_with('h') => "hash",
        name if name.starts_with("get") || name.starts_with("set") => "string",
        _ => "generic",
    }
}

fn flag_name(flag: Flag) -> &'static str {
    match flag {
        Flag::Write => "write",
        Flag::ReadOnly => "readonly",
        Flag::DenyOom => "denyoom",
        Flag::Admin => "admin",
        Flag::PubSub => "pubsub",
        Flag::Fast => "fast",
        Flag::NoAuth => "no_auth",
        Flag::Loading => "loading",
        Flag::Stale => "stale",
        Flag::SkipMonitor => "skip_monitor",
        Flag::MovableKeys => "movablekeys",
        Flag::AllowBusy => "allow_busy",
        Flag::NoScript => "noscript",
        Flag::NoMulti => "no_multi",
    }
}
