//! Whether a connection may do what it asks for: by the scopes and views of the key that it showed.
//!
//! What is not allowed is refused. A command needs the scope of what it does with keys, for the view of each; one over all keys at
//! once, as `SCAN` and `FLUSHALL` are, and channels, which tell of all keys, need it for all views.

use super::check::{Checked, full_name};
use super::{Refusal, State};
use crate::api_key::Scope;
use crate::server::auth::KEYSPACE;
use crate::server::resp::command::{Arguments, Command, Flag, Run};
use crate::server::resp::entities::Entities;

const KEY_REFUSED: Refusal =
    Refusal::fixed("NOPERM this user has no permissions to access one of the keys used as arguments");

/// What a command touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Nothing but the connection, or what anybody may know.
    Connection,
    /// The keys among its arguments.
    Keys,
    /// All keys there are, or the server.
    Everything,
}

/// What a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    scopes: &'static [Scope],
    reach: Reach,
}

impl State {
    /// Refuses a command that the connection may not do.
    ///
    /// # Errors
    /// It may not, in Redis's words.
    pub(super) fn check_permission(
        &self,
        checked: Checked,
        arguments: Arguments<'_>,
        entities: &Entities,
    ) -> Result<(), Refusal> {
        // Without a grant only commands are done that need none.
        let Some(access) = self.grant.as_ref().map(|grant| &grant.access).filter(|access| !access.is_everything())
        else {
            return Ok(());
        };
        let Need { scopes, reach } = need(checked, arguments);
        let may_somewhere = scopes.iter().all(|scope| access.has(*scope));
        let may_everywhere = || scopes.iter().all(|scope| access.may(*scope, None));
        let is_command_refused = match reach {
            Reach::Connection => false,
            Reach::Keys => !may_somewhere,
            Reach::Everything => !may_everywhere(),
        };
        if is_command_refused {
            let name = full_name(checked.command.name, checked.subcommand);
            return Err(Refusal::new(format!("NOPERM this user has no permissions to run the '{name}' command")));
        }
        if reach == Reach::Keys {
            for at in checked.command.keys.among(arguments.len()) {
                let view = entities.view_of(self.database, arguments.at(at)).unwrap_or(KEYSPACE);
                if !scopes.iter().all(|scope| access.may(*scope, Some(view))) {
                    return Err(KEY_REFUSED);
                }
            }
        }
        Ok(())
    }
}

fn need(Checked { command, subcommand }: Checked, arguments: Arguments<'_>) -> Need {
    let has = |flag| subcommand.map_or(command.flags, |subcommand| subcommand.flags).contains(&flag);
    let reach = if command.keys.first == 0 { Reach::Everything } else { Reach::Keys };
    let need = |scopes, reach| Need { scopes, reach };
    match (command.run, command.name) {
        (_, "flushall" | "flushdb") => need(&[Scope::Admin], Reach::Everything),
        (Run::Read(_), _) => need(&[Scope::Read], reach),
        (Run::Write(_), _) if tells_values(command, arguments) => need(&[Scope::Read, Scope::Write], reach),
        (Run::Write(_), _) => need(&[Scope::Write], reach),
        (Run::Session, _) if has(Flag::Admin) || has(Flag::Write) => need(&[Scope::Admin], Reach::Everything),
        (Run::Session, "watch" | "asof") => need(&[Scope::Read], Reach::Keys),
        (Run::Session, "publish") => need(&[Scope::Write], Reach::Everything),
        (Run::Session, "info" | "subscribe" | "psubscribe") => need(&[Scope::Read], Reach::Everything),
        (Run::Session, "pubsub") if has(Flag::PubSub) => need(&[Scope::Read], Reach::Everything),
        // Who tracks is told of every key that changes.
        (Run::Session, "client") if subcommand.is_some_and(|subcommand| subcommand.name == "tracking") => {
            need(&[Scope::Read], Reach::Everything)
        }
        (Run::Session, _) => need(&[], Reach::Connection),
    }
}

/// Whether a command that writes answers what a key held, or copies it to where it may be read.
fn tells_values(command: &Command, arguments: Arguments<'_>) -> bool {
    match command.name {
        "getset" | "getdel" | "getex" | "incr" | "decr" | "incrby" | "decrby" | "incrbyfloat" | "hincrby"
        | "hincrbyfloat" | "rename" | "renamenx" | "copy" | "move" => true,
        "set" => arguments.from(3).any(|option| option.eq_ignore_ascii_case(b"get")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::check;
    use super::*;
    use crate::server::resp::command::{all, subcommands};

    fn need_of(words: &str) -> Need {
        let mut bytes = Vec::new();
        let ranges: Vec<_> = words
            .split(' ')
            .map(|word| {
                let start = bytes.len();
                bytes.extend_from_slice(word.as_bytes());
                start..bytes.len()
            })
            .collect();
        let arguments = Arguments::new(&bytes, &ranges);
        need(check(arguments).unwrap(), arguments)
    }

    #[test]
    fn what_answers_values_needs_read_and_what_changes_them_write() {
        for (words, scopes) in [
            ("GET a", &[Scope::Read][..]),
            ("SET a 1", &[Scope::Write]),
            ("SET a get", &[Scope::Write]),
            ("SET a 1 EX 10 GET", &[Scope::Read, Scope::Write]),
            ("APPEND a 1", &[Scope::Write]),
            ("INCR a", &[Scope::Read, Scope::Write]),
            ("GETDEL a", &[Scope::Read, Scope::Write]),
            ("RENAME a b", &[Scope::Read, Scope::Write]),
            ("WATCH a", &[Scope::Read]),
            ("ASOF a NOW", &[Scope::Read]),
        ] {
            assert_eq!(need_of(words), Need { scopes, reach: Reach::Keys }, "{words}");
        }
        for (words, scopes) in [
            ("KEYS *", &[Scope::Read][..]),
            ("SCAN 0", &[Scope::Read]),
            ("DBSIZE", &[Scope::Read]),
            ("RANDOMKEY", &[Scope::Read]),
            ("INFO", &[Scope::Read]),
            ("SUBSCRIBE a", &[Scope::Read]),
            ("PUBSUB CHANNELS", &[Scope::Read]),
            ("CLIENT TRACKING ON", &[Scope::Read]),
            ("PUBLISH a b", &[Scope::Write]),
            ("FLUSHALL", &[Scope::Admin]),
            ("FLUSHDB", &[Scope::Admin]),
            ("CONFIG SET a b", &[Scope::Admin]),
            ("CONFIG GET a", &[Scope::Admin]),
            ("CLIENT KILL a", &[Scope::Admin]),
            ("CLIENT LIST", &[Scope::Admin]),
            ("FUNCTION FLUSH", &[Scope::Admin]),
            ("MONITOR", &[Scope::Admin]),
            ("SHUTDOWN", &[Scope::Admin]),
            ("SAVE", &[Scope::Admin]),
            ("BGSAVE", &[Scope::Admin]),
            ("DEBUG SLEEP 1", &[Scope::Admin]),
            ("ACL LIST", &[Scope::Admin]),
        ] {
            assert_eq!(need_of(words), Need { scopes, reach: Reach::Everything }, "{words}");
        }
        for words in [
            "PING",
            "HELLO 3",
            "CLIENT SETNAME a",
            "CLIENT ID",
            "COMMAND",
            "MULTI",
            "EXEC",
            "ACL WHOAMI",
            "CONFIG HELP",
        ] {
            assert_eq!(need_of(words).reach, Reach::Connection, "{words}");
        }
    }

    /// A command that is added is to be thought about: what needs nothing is listed here.
    #[test]
    fn commands_that_anybody_may_do_who_authenticated_are_these() {
        let nothing = Arguments::new(&[], &[]);
        let mut free = Vec::new();
        for command in all() {
            let checked = Checked { command, subcommand: None };
            if subcommands(command.name).is_empty() && need(checked, nothing).reach == Reach::Connection {
                free.push(command.name.to_owned());
            }
            for subcommand in subcommands(command.name).iter().filter(|subcommand| subcommand.name != "help") {
                let checked = Checked { command, subcommand: Some(subcommand) };
                if need(checked, nothing).reach == Reach::Connection {
                    free.push(full_name(command.name, Some(subcommand)));
                }
            }
        }
        free.sort();
        let expected = "acl|cat acl|whoami auth client|caching client|getname client|getredir client|id client|info \
            client|no-touch client|reply client|setinfo client|setname client|trackinginfo cluster|info \
            cluster|keyslot cluster|myid cluster|nodes cluster|shards cluster|slots command|count command|docs \
            command|getkeys command|getkeysandflags command|info command|list discard echo exec function|list \
            function|stats hello lastsave multi ping punsubscribe quit readonly readwrite reset select time unsubscribe \
            unwatch wait";
        assert_eq!(free.join(" "), expected);
    }
}
