//! Which commands there are, and which categories each belongs to.

use crate::server::resp::command::{Command, Flag, Run, all, find, subcommands};

/// A command, or a subcommand of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    pub(super) container: Option<&'static Command>,
    pub(super) command: &'static Command,
}

impl Described {
    /// The command or subcommand of this name: `command`, or `command|subcommand`.
    pub(super) fn find(name: &[u8]) -> Option<Described> {
        let mut words = name.splitn(2, |byte| *byte == b'|');
        let command = find(words.next()?)?;
        match words.next() {
            None => Some(Described { container: None, command }),
            Some(subcommand) => Described::of(command, subcommand),
        }
    }

    /// The subcommand of this name that a command has.
    pub(super) fn of(container: &'static Command, name: &[u8]) -> Option<Described> {
        let named = |command: &&Command| name.eq_ignore_ascii_case(command.name.as_bytes());
        let command = subcommands(container.name).iter().find(named)?;
        Some(Described { container: Some(container), command })
    }

    /// Its subcommands.
    pub(super) fn subcommands(self) -> impl ExactSizeIterator<Item = Described> {
        let all = if self.container.is_none() { subcommands(self.command.name) } else { &[] };
        all.iter().map(move |command| Described { container: Some(self.command), command })
    }

    /// `command`, or `command|subcommand`.
    pub(super) fn full_name(self) -> String {
        match self.container {
            Some(container) => format!("{}|{}", container.name, self.command.name),
            None => self.command.name.to_owned(),
        }
    }

    /// What it is about, by the name of the group that Redis's documentation has it in.
    pub(super) fn topic(self) -> &'static str {
        topic_of(self.container.unwrap_or(self.command))
    }
}

/// All commands, each once, by name.
pub(super) fn commands() -> Vec<Described> {
    // Of two by one name the one that is found counts.
    let mut commands: Vec<&Command> = all().filter_map(|command| find(command.name.as_bytes())).collect();
    commands.sort_by_key(|command| command.name);
    commands.dedup_by_key(|command| command.name);
    commands.into_iter().map(|command| Described { container: None, command }).collect()
}

/// All of them, each with its subcommands behind it.
pub(super) fn commands_and_subcommands() -> Vec<Described> {
    commands().into_iter().flat_map(|command| std::iter::once(command).chain(command.subcommands())).collect()
}

/// Names of the commands of a category, which is one of [`CATEGORIES`] or of nothing.
pub(super) fn in_category(category: &str) -> Vec<String> {
    let mut found = commands_and_subcommands();
    found.retain(|command| categories(*command).contains(&category));
    found.into_iter().map(Described::full_name).collect()
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

/// Those that a command belongs to; a subcommand to what its container is about.
pub(super) fn categories(described: Described) -> Vec<&'static str> {
    let Described { container, command } = described;
    let has = |flag| command.flags.contains(&flag);
    let topic = described.topic();
    let is_of_keys = matches!(topic, "generic" | "hash" | "string");
    let is_container = !subcommands(command.name).is_empty() && container.is_none();
    let is_alone = |name: &str| container.is_none() && command.name == name;
    [
        ("pubsub", has(Flag::PubSub)),
        ("keyspace", topic == "generic" && !is_container),
        ("write", has(Flag::Write) && (is_of_keys || topic == "scripting")),
        ("read", has(Flag::ReadOnly)),
        ("string", topic == "string"),
        ("hash", topic == "hash"),
        ("admin", has(Flag::Admin) || is_alone("lastsave")),
        ("fast", has(Flag::Fast)),
        ("slow", !has(Flag::Fast)),
        (
            "dangerous",
            has(Flag::Admin) || ["info", "lastsave", "keys", "flushall", "flushdb"].into_iter().any(is_alone),
        ),
        // Of `CLIENT` and `COMMAND` the subcommands are, and what clients send without one.
        ("connection", topic == "connection" && command.name != "client"),
        ("scripting", topic == "scripting" && !is_container),
        ("transaction", topic == "transactions"),
    ]
    .into_iter()
    .filter_map(|(category, is_of_it)| is_of_it.then_some(category))
    .collect()
}

/// What a command is about, by the name of the group that Redis's documentation has it in.
fn topic_of(command: &Command) -> &'static str {
    match command.name {
        "multi" | "exec" | "discard" | "watch" | "unwatch" => "transactions",
        "ping" | "echo" | "select" | "auth" | "hello" | "quit" | "reset" | "client" | "command" | "wait"
        | "readonly" | "readwrite" => "connection",
        "subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe" | "publish" | "pubsub" => "pubsub",
        "function" => "scripting",
        "memory" => "server",
        _ if matches!(command.run, Run::Session) => "server",
        "append" | "decr" | "decrby" | "incr" | "incrby" | "incrbyfloat" | "mget" | "mset" | "msetnx" | "psetex"
        | "strlen" | "substr" | "lcs" => "string",
        name if name.starts_with('h') => "hash",
        name if name.starts_with("get") || name.starts_with("set") => "string",
        _ => "generic",
    }
}
