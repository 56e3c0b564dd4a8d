//! Commands about the connection and the server.

use super::{Command, Flag, KeyPositions, Run};

use Flag::{Admin, AllowBusy, Fast, Loading, NoAuth, NoMulti, NoScript, PubSub, ReadOnly, Stale, Write};

/// A command that looks at no key by its arguments.
const fn session(name: &'static str, arity: i32, flags: &'static [Flag]) -> Command {
    Command { name, arity, flags, keys: KeyPositions::NONE, run: Run::Session }
}

/// A subcommand about a key, which is done with the command it belongs to.
const fn of_key(name: &'static str, arity: i32) -> Command {
    Command { name, arity, flags: &[ReadOnly], keys: KeyPositions::SECOND, run: Run::Session }
}

/// Commands that the connection and the server know by their names.
pub const SESSION_COMMANDS: &[Command] = &[
    session("acl", -2, &[]),
    session("auth", -2, &[NoScript, Loading, Stale, Fast, NoAuth, AllowBusy]),
    session("bgsave", -1, &[Admin, NoScript]),
    session("client", -2, &[]),
    session("cluster", -2, &[]),
    session("command", -1, &[Loading, Stale]),
    session("config", -2, &[]),
    session("debug", -2, &[Admin, NoScript, Loading, Stale]),
    session("discard", 1, &[NoScript, Loading, Stale, Fast, AllowBusy]),
    session("echo", 2, &[Loading, Stale, Fast]),
    session("exec", 1, &[NoScript, Loading, Stale]),
    session("function", -2, &[]),
    session("hello", -1, &[NoScript, Loading, Stale, Fast, NoAuth, AllowBusy]),
    session("info", -1, &[Loading, Stale]),
    session("lastsave", 1, &[Loading, Stale, Fast]),
    session("latency", -2, &[]),
    session("monitor", 1, &[Admin, NoScript, Loading, Stale]),
    session("multi", 1, &[NoScript, Loading, Stale, Fast, AllowBusy]),
    session("ping", -1, &[Fast]),
    session("psubscribe", -2, &[PubSub, NoScript, Loading, Stale]),
    session("publish", 3, &[PubSub, Loading, Stale, Fast]),
    session("pubsub", -2, &[]),
    session("punsubscribe", -1, &[PubSub, NoScript, Loading, Stale]),
    session("quit", -1, &[NoScript, Loading, Stale, Fast, NoAuth, AllowBusy]),
    session("readonly", 1, &[Loading, Stale, Fast]),
    session("readwrite", 1, &[Loading, Stale, Fast]),
    session("reset", 1, &[NoScript, Loading, Stale, Fast, NoAuth, AllowBusy]),
    session("save", 1, &[Admin, NoScript, NoMulti]),
    session("select", 2, &[Loading, Stale, Fast]),
    session("shutdown", -1, &[Admin, NoScript, Loading, Stale, NoMulti, AllowBusy]),
    session("slowlog", -2, &[]),
    session("subscribe", -2, &[PubSub, NoScript, Loading, Stale]),
    session("time", 1, &[Loading, Stale, Fast]),
    session("unsubscribe", -1, &[PubSub, NoScript, Loading, Stale]),
    session("unwatch", 1, &[NoScript, Loading, Stale, Fast, AllowBusy]),
    session("wait", 3, &[NoScript]),
    Command {
        name: "watch",
        arity: -2,
        flags: &[NoScript, Loading, Stale, Fast, AllowBusy],
        keys: KeyPositions::ALL,
        run: Run::Session,
    },
];

/// Subcommands, by the command that has them.
pub const SUBCOMMANDS: &[(&str, &[Command])] = &[
    (
        "acl",
        &[
            session("cat", -2, &[NoScript, Loading, Stale]),
            session("help", 2, &[Loading, Stale]),
            session("list", 2, &[Admin, NoScript, Loading, Stale]),
            session("users", 2, &[Admin, NoScript, Loading, Stale]),
            session("whoami", 2, &[NoScript, Loading, Stale]),
        ],
    ),
    (
        "client",
        &[
            session("caching", 3, &[NoScript, Loading, Stale]),
            session("getname", 2, &[NoScript, Loading, Stale]),
            session("getredir", 2, &[NoScript, Loading, Stale]),
            session("help", 2, &[Loading, Stale]),
            session("id", 2, &[NoScript, Loading, Stale]),
            session("info", 2, &[NoScript, Loading, Stale]),
            session("kill", -3, &[Admin, NoScript, Loading, Stale]),
            session("list", -2, &[Admin, NoScript, Loading, Stale]),
            session("no-evict", 3, &[Admin, NoScript, Loading, Stale]),
            session("no-touch", 3, &[NoScript, Loading, Stale]),
            session("pause", -3, &[Admin, NoScript, Loading, Stale]),
            session("reply", 3, &[NoScript, Loading, Stale]),
            session("setinfo", 4, &[NoScript, Loading, Stale]),
            session("setname", 3, &[NoScript, Loading, Stale]),
            session("tracking", -3, &[NoScript, Loading, Stale]),
            session("trackinginfo", 2, &[NoScript, Loading, Stale]),
            session("unblock", -3, &[Admin, NoScript, Loading, Stale]),
            session("unpause", 2, &[Admin, NoScript, Loading, Stale]),
        ],
    ),
    (
        "cluster",
        &[
            session("help", 2, &[Loading, Stale]),
            session("info", 2, &[Stale]),
            session("keyslot", 3, &[Stale]),
            session("myid", 2, &[Stale]),
            session("nodes", 2, &[Stale]),
            session("shards", 2, &[Stale]),
            session("slots", 2, &[Stale]),
        ],
    ),
    (
        "command",
        &[
            session("count", 2, &[Loading, Stale]),
            session("docs", -2, &[Loading, Stale]),
            session("getkeys", -4, &[Loading, Stale]),
            session("getkeysandflags", -4, &[Loading, Stale]),
            session("help", 2, &[Loading, Stale]),
            session("info", -2, &[Loading, Stale]),
            session("list", -2, &[Loading, Stale]),
        ],
    ),
    (
        "config",
        &[
            session("get", -3, &[Admin, NoScript, Loading, Stale]),
            session("help", 2, &[Loading, Stale]),
            session("resetstat", 2, &[Admin, NoScript, Loading, Stale]),
            session("rewrite", 2, &[Admin, NoScript, Loading, Stale]),
            session("set", -4, &[Admin, NoScript, Loading, Stale]),
        ],
    ),
    (
        "function",
        &[
            session("flush", -2, &[NoScript, Write]),
            session("help", 2, &[Loading, Stale]),
            session("list", -2, &[NoScript]),
            session("stats", 2, &[NoScript]),
        ],
    ),
    (
        "latency",
        &[
            session("help", 2, &[Loading, Stale]),
            session("histogram", -2, &[Admin, NoScript, Loading, Stale]),
            session("history", 3, &[Admin, NoScript, Loading, Stale]),
            session("latest", 2, &[Admin, NoScript, Loading, Stale]),
            session("reset", -2, &[Admin, NoScript, Loading, Stale, AllowBusy]),
        ],
    ),
    ("memory", &[session("help", 2, &[Loading, Stale]), of_key("usage", -3)]),
    (
        "object",
        &[
            of_key("encoding", 3),
            of_key("freq", 3),
            session("help", 2, &[Loading, Stale]),
            of_key("idletime", 3),
            of_key("refcount", 3),
        ],
    ),
    (
        "pubsub",
        &[
            session("channels", -2, &[PubSub, Loading, Stale]),
            session("help", 2, &[Loading, Stale]),
            session("numpat", 2, &[PubSub, Loading, Stale]),
            session("numsub", -2, &[PubSub, Loading, Stale]),
        ],
    ),
    (
        "slowlog",
        &[
            session("get", -2, &[Admin, Loading, Stale]),
            session("help", 2, &[Loading, Stale]),
            session("len", 2, &[Admin, Loading, Stale]),
            session("reset", 2, &[Admin, Loading, Stale, AllowBusy]),
        ],
    ),
];

/// The subcommands of a command, none where it has none.
pub fn subcommands(name: &str) -> &'static [Command] {
    SUBCOMMANDS.iter().find(|(container, _)| *container == name).map_or(&[], |(_, subcommands)| subcommands)
}
