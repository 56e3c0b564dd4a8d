//! `COMMAND`: what commands there are.

use super::State;
use super::categories::{Described, categories, commands, commands_and_subcommands, in_category};
use super::channels::count;
use super::check::takes;
use super::documents::document_of;
use super::key_specs::{key_uses, keys_of};
use crate::server::resp::command::{Arguments, Flag, KeyPositions, Refusal, find};
use crate::server::resp::glob::Pattern;
use crate::server::resp::protocol::ReplyBuffer;

impl State {
    pub(super) fn command_command(&mut self, subcommand: &str, arguments: Arguments<'_>) -> Result<(), Refusal> {
        let named = |arguments: Arguments<'_>| -> Vec<Option<Described>> {
            match arguments.len() {
                0..=2 => commands().into_iter().map(Some).collect(),
                _ => arguments.from(2).map(Described::find).collect(),
            }
        };
        let replies = &mut self.replies;
        match subcommand {
            "" | "info" => {
                let named = named(arguments);
                replies.array(named.len());
                for command in named {
                    match command {
                        Some(command) => describe(replies, command),
                        None => replies.null(),
                    }
                }
            }
            "count" => replies.integer(count(commands().len())),
            "docs" => {
                let named: Vec<Described> = named(arguments).into_iter().flatten().collect();
                replies.map(named.len());
                named.into_iter().for_each(|command| document(replies, command));
            }
            "list" => list(replies, arguments)?,
            _ => answer_keys(replies, arguments, subcommand == "getkeysandflags")?,
        }
        Ok(())
    }
}

/// What a command is like, as drivers read it.
fn describe(replies: &mut ReplyBuffer, described: Described) {
    let command = described.command;
    replies.array(10);
    replies.bulk(described.full_name().as_bytes());
    replies.integer(i64::from(command.arity));
    replies.set(command.flags.len());
    command.flags.iter().for_each(|flag| replies.simple(flag_name(*flag)));
    // What has subcommands has no keys itself.
    let keys = if described.subcommands().len() > 0 { KeyPositions::NONE } else { command.keys };
    for position in [keys.first, keys.last, keys.step] {
        replies.integer(i64::from(position));
    }
    let categories = categories(described);
    replies.set(categories.len());
    categories.iter().for_each(|category| replies.simple(&format!("@{category}")));
    // Hints for proxies of clusters.
    replies.set(0);
    let uses = key_uses(described);
    replies.set(uses.len());
    for (flags, keys) in uses {
        specify(replies, flags, keys);
    }
    let subcommands = described.subcommands();
    replies.set(subcommands.len());
    subcommands.for_each(|subcommand| describe(replies, subcommand));
}

/// Where keys stand, and what is done with them.
fn specify(replies: &mut ReplyBuffer, flags: &str, keys: KeyPositions) {
    replies.map(3);
    replies.bulk(b"flags");
    answer_flags(replies, flags);
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

fn answer_flags(replies: &mut ReplyBuffer, flags: &str) {
    replies.set(flags.split(' ').count());
    flags.split(' ').for_each(|flag| replies.simple(flag));
}

fn document(replies: &mut ReplyBuffer, described: Described) {
    let (name, subcommands) = (described.full_name(), described.subcommands());
    let (since, summary) = document_of(&name);
    replies.bulk(name.as_bytes());
    replies.map(if subcommands.len() > 0 { 4 } else { 3 });
    for (name, value) in [("summary", summary), ("since", since), ("group", described.topic())] {
        replies.bulk(name.as_bytes());
        replies.bulk(value.as_bytes());
    }
    if subcommands.len() > 0 {
        replies.bulk(b"subcommands");
        replies.map(subcommands.len());
        subcommands.for_each(|subcommand| document(replies, subcommand));
    }
}

fn list(replies: &mut ReplyBuffer, arguments: Arguments<'_>) -> Result<(), Refusal> {
    let mut names: Vec<String> = Vec::new();
    let is_filter = arguments.len() == 5 && arguments.is_word(2, "filterby");
    if arguments.len() == 2 {
        names = commands_and_subcommands().into_iter().map(Described::full_name).collect();
    } else if is_filter && arguments.is_word(3, "pattern") {
        let pattern = Pattern::ignoring_case(arguments.at(4));
        names = commands_and_subcommands().into_iter().map(Described::full_name).collect();
        names.retain(|name| pattern.matches(name.as_bytes()));
    } else if is_filter && arguments.is_word(3, "aclcat") {
        names = in_category(&String::from_utf8_lossy(arguments.at(4)).to_ascii_lowercase());
    } else if !(is_filter && arguments.is_word(3, "module")) {
        // Of modules there are none.
        return Err(Refusal::SYNTAX);
    }
    replies.array(names.len());
    names.iter().for_each(|name| replies.bulk(name.as_bytes()));
    Ok(())
}

/// `COMMAND GETKEYS`, `COMMAND GETKEYSANDFLAGS`: which arguments of a command are keys.
fn answer_keys(replies: &mut ReplyBuffer, arguments: Arguments<'_>, with_flags: bool) -> Result<(), Refusal> {
    let command = find(arguments.at(2)).ok_or(Refusal::fixed("ERR Invalid command specified"))?;
    let mut described = Described { container: None, command };
    if described.subcommands().len() > 0 {
        let subcommand = arguments.get(3).and_then(|name| Described::of(command, name));
        described = subcommand.ok_or(Refusal::fixed("ERR Invalid command specified"))?;
    }
    if key_uses(described).is_empty() {
        return Err(Refusal::fixed("ERR The command has no key arguments"));
    }
    if !takes(described.command.arity, arguments.len() - 2) {
        return Err(Refusal::fixed("ERR Invalid number of arguments specified for command"));
    }
    let words: Vec<&[u8]> = arguments.from(2).collect();
    let found = keys_of(described, &words);
    replies.array(found.len());
    for (key, flags) in found {
        if with_flags {
            replies.array(2);
        }
        replies.bulk(key);
        if with_flags {
            answer_flags(replies, flags);
        }
    }
    Ok(())
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
