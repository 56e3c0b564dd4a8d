//! `PING`, `SELECT`, `AUTH`, `HELLO`, `RESET`: how a connection begins.

use std::sync::Arc;

use super::answers::ReplyMode;
use super::channels::count;
use super::{Shared, State};
use crate::api_key::Scope;
use crate::keyspace::DATABASES;
use crate::server::auth::Grant;
use crate::server::resp::command::{Arguments, Refusal};
use crate::server::resp::number::parse_i64;
use crate::server::resp::protocol::Version;
use crate::server::resp::sync::lock;

/// The version of Redis whose answers these are, for clients that choose by it what they send.
pub(super) const REDIS_VERSION: &str = "7.2.4";

const WRONG_PASSWORD: Refusal = Refusal::fixed("WRONGPASS invalid username-password pair or user is disabled.");
const NO_PASSWORD: Refusal = Refusal::fixed(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is \
     correct?",
);
const HELLO_FIRST: Refusal = Refusal::fixed(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option \
     can be used to authenticate the client and select the RESP protocol version at the same time",
);
const BEYOND_I32: Refusal = Refusal::fixed("ERR value is out of range, value must between -2147483648 and 2147483647");
const NAME_REFUSED: Refusal = Refusal::fixed("ERR Client names cannot contain spaces, newlines or special characters.");

/// Whether every byte is printed, and none is a space.
pub(super) fn is_plain(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// Longest name of a client, or of its library, in bytes: each is shown wherever clients are listed.
pub(super) const NAME_BYTES_MAX: usize = 4 << 10;

fn check_client_name(name: &[u8]) -> Result<(), Refusal> {
    if !is_plain(name) {
        return Err(NAME_REFUSED);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Refusal::new(format!("ERR a client's name takes at most {NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}

impl State {
    pub(super) fn ping(&mut self, arguments: Arguments<'_>) -> Result<(), Refusal> {
        if arguments.len() > 2 {
            return Err(Refusal::arity("ping"));
        }
        if self.subscriptions.len() > 0 && self.replies.version() == Version::Resp2 {
            self.replies.array(2);
            self.replies.bulk(b"pong");
            self.replies.bulk(arguments.get(1).unwrap_or_default());
            return Ok(());
        }
        match arguments.get(1) {
            Some(text) => self.replies.bulk(text),
            None => self.replies.simple("PONG"),
        }
        Ok(())
    }

    pub(super) fn select(&mut self, arguments: Arguments<'_>) -> Result<(), Refusal> {
        let number = i32::try_from(arguments.integer(1)?).map_err(|_| BEYOND_I32)?;
        let out_of_range = Refusal::fixed("ERR DB index is out of range");
        self.database =
            u8::try_from(number).ok().filter(|database| usize::from(*database) < DATABASES).ok_or(out_of_range)?;
        self.replies.ok();
        Ok(())
    }

    pub(super) fn auth(&mut self, shared: &Shared, arguments: Arguments<'_>) -> Result<(), Refusal> {
        let authenticator = &shared.options.authenticator;
        let (user, password) = match arguments.len() {
            2 if !authenticator.is_required() => return Err(NO_PASSWORD),
            2 => (&b"default"[..], arguments.at(1)),
            3 => (arguments.at(1), arguments.at(2)),
            _ => return Err(Refusal::SYNTAX),
        };
        let grant = authenticator.admit(user, password).ok_or(WRONG_PASSWORD)?;
        self.set_grant(shared, grant);
        self.replies.ok();
        Ok(())
    }

    /// Goes on as somebody, without what only the one before might do.
    fn set_grant(&mut self, shared: &Shared, grant: Arc<Grant>) {
        if !grant.access.may(Scope::Admin, None) {
            shared.clients.set_monitor(self.client.id, None);
            self.is_monitor = false;
        }
        if !grant.access.may(Scope::Read, None) {
            self.subscriptions.clear();
            self.tracked.stop();
        }
        self.grant = Some(grant);
        self.introduce();
    }

    pub(super) fn hello(&mut self, shared: &Shared, arguments: Arguments<'_>) -> Result<(), Refusal> {
        let version = match arguments.get(1).map(parse_i64) {
            None => self.replies.version(),
            Some(Some(2)) => Version::Resp2,
            Some(Some(3)) => Version::Resp3,
            Some(Some(_)) => return Err(Refusal::fixed("NOPROTO unsupported protocol version")),
            Some(None) => return Err(Refusal::fixed("ERR Protocol version is not an integer or out of range")),
        };
        let (mut credentials, mut name) = (None, None);
        let mut at = 2;
        while let Some(option) = arguments.get(at) {
            if arguments.is_word(at, "auth") && arguments.len() > at + 2 {
                credentials = Some((arguments.at(at + 1), arguments.at(at + 2)));
                at += 3;
            } else if arguments.is_word(at, "setname") && arguments.len() > at + 1 {
                let given = arguments.at(at + 1);
                check_client_name(given)?;
                name = Some(given);
                at += 2;
            } else {
                let option = String::from_utf8_lossy(option);
                return Err(Refusal::new(format!("ERR Syntax error in HELLO option '{option}'")));
            }
        }
        if let Some((user, password)) = credentials {
            let grant = shared.options.authenticator.admit(user, password).ok_or(WRONG_PASSWORD)?;
            self.set_grant(shared, grant);
        }
        if self.grant.is_none() {
            return Err(HELLO_FIRST);
        }
        if let Some(name) = name {
            self.name = name.into();
            self.introduce();
        }
        self.replies.set_version(version);
        self.greet();
        Ok(())
    }

    /// As whom it is served, for others to see.
    pub(super) fn user(&self) -> &str {
        self.grant.as_ref().map_or("default", |grant| &grant.name)
    }

    /// Says to others who it is, which changes rarely.
    pub(super) fn introduce(&self) {
        let details = &mut *lock(&self.client.details);
        (details.name, details.library) = (self.name.clone(), self.library.clone());
        details.user = self.user().into();
    }

    fn greet(&mut self) {
        let version = if self.replies.version() == Version::Resp3 { 3 } else { 2 };
        let id = count(usize::try_from(self.client.id).unwrap_or(usize::MAX));
        let replies = &mut self.replies;
        replies.map(7);
        for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
            replies.bulk(name.as_bytes());
            replies.bulk(value.as_bytes());
        }
        for (name, value) in [("proto", version), ("id", id)] {
            replies.bulk(name.as_bytes());
            replies.integer(value);
        }
        for (name, value) in [("mode", "standalone"), ("role", "master")] {
            replies.bulk(name.as_bytes());
            replies.bulk(value.as_bytes());
        }
        replies.bulk(b"modules");
        replies.array(0);
    }

    /// Names the connection; with nothing, it has no name.
    pub(super) fn set_name(&mut self, name: &[u8]) -> Result<(), Refusal> {
        check_client_name(name)?;
        self.name = name.into();
        self.introduce();
        Ok(())
    }

    pub(super) fn reset(&mut self, shared: &Shared) {
        self.transaction = None;
        self.watch_nothing();
        self.subscriptions.clear();
        shared.clients.set_monitor(self.client.id, None);
        self.is_monitor = false;
        self.database = 0;
        self.name = Box::default();
        self.is_kept = false;
        self.grant = shared.options.authenticator.unasked();
        self.introduce();
        self.is_untouching = false;
        self.tracked.stop();
        self.reply_mode = ReplyMode::On;
        self.replies.set_version(Version::Resp2);
        self.replies.simple("RESET");
    }
}
