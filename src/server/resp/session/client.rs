//! `CLIENT`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answers::ReplyMode;
use super::channels::count;
use super::greeting::{NAME_BYTES_MAX, is_plain};
use super::server::too_many;
use super::{Shared, State, Step};
use crate::server::resp::clients::Client;
use crate::server::resp::command::{Arguments, Refusal};
use crate::server::resp::number::parse_i64;
use crate::server::resp::shared::Pause;
use crate::server::resp::sync::lock;

/// Which connections a command is about.
#[derive(Debug, Default)]
struct Filter {
    id: Option<u64>,
    address: Option<Vec<u8>>,
    local: Option<Vec<u8>>,
    kind: Option<Kind>,
    user: Option<Arc<str>>,
    skips_caller: bool,
}

/// Kinds of connections that there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    /// It listens to channels.
    PubSub,
    /// It is another server: there are none.
    Server,
}

impl Kind {
    fn parse(text: &[u8]) -> Result<Kind, Refusal> {
        match &*text.to_ascii_lowercase() {
            b"normal" => Ok(Kind::Normal),
            b"pubsub" => Ok(Kind::PubSub),
            b"slave" | b"replica" | b"master" => Ok(Kind::Server),
            _ => Err(Refusal::new(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(text)))),
        }
    }

    fn is_of(self, client: &Client) -> bool {
        match self {
            Kind::Normal => !client.is_subscriber(),
            Kind::PubSub => client.is_subscriber(),
            Kind::Server => false,
        }
    }
}

impl Filter {
    fn parse(shared: &Shared, arguments: Arguments<'_>) -> Result<Filter, Refusal> {
        let mut filter = Filter { skips_caller: true, ..Filter::default() };
        let mut at = 2;
        while at < arguments.len() {
            let value = arguments.get(at + 1).ok_or(Refusal::SYNTAX)?;
            match &*arguments.at(at).to_ascii_lowercase() {
                b"id" => {
                    let id = parse_i64(value).filter(|id| *id > 0).and_then(|id| u64::try_from(id).ok());
                    let refusal = Refusal::fixed("ERR client-id should be greater than 0");
                    filter.id = Some(id.ok_or(refusal)?);
                }
                b"type" => filter.kind = Some(Kind::parse(value)?),
                b"addr" => filter.address = Some(value.to_vec()),
                b"laddr" => filter.local = Some(value.to_vec()),
                b"user" => filter.user = Some(known_user(shared, value)?),
                b"skipme" if value.eq_ignore_ascii_case(b"yes") => filter.skips_caller = true,
                b"skipme" if value.eq_ignore_ascii_case(b"no") => filter.skips_caller = false,
                _ => return Err(Refusal::SYNTAX),
            }
            at += 2;
        }
        Ok(filter)
    }

    fn takes(&self, client: &Client, caller: u64) -> bool {
        self.id.is_none_or(|id| id == client.id)
            && self.address.as_ref().is_none_or(|address| *address == client.address.to_string().into_bytes())
            && self.local.as_ref().is_none_or(|local| *local == client.local.to_string().into_bytes())
            && self.kind.is_none_or(|kind| kind.is_of(client))
            && self.user.as_ref().is_none_or(|user| *user == lock(&client.details).user)
            && !(self.skips_caller && client.id == caller)
    }
}

impl State {
    pub(super) fn client_command(
        &mut self,
        shared: &Shared,
        subcommand: &str,
        arguments: Arguments<'_>,
    ) -> Result<Step, Refusal> {
        match subcommand {
            "id" => self.replies.integer(i64::try_from(self.client.id).unwrap_or(i64::MAX)),
            "getname" => self.replies.bulk_or_null(Some(&*self.name).filter(|name| !name.is_empty())),
            "setname" => {
                self.set_name(arguments.at(2))?;
                self.replies.ok();
            }
            "setinfo" => self.set_info(arguments)?,
            "info" => {
                self.publish(Instant::now());
                let line = self.client.line() + "\n";
                self.replies.verbatim(&line);
            }
            "list" => self.list(shared, arguments)?,
            "kill" => return self.kill(shared, arguments),
            "reply" => self.set_reply_mode(arguments)?,
            "no-evict" => {
                self.is_kept = flag(arguments.at(2))?;
                self.replies.ok();
            }
            "no-touch" => {
                self.is_untouching = flag(arguments.at(2))?;
                self.replies.ok();
            }
            "pause" => self.pause(shared, arguments)?,
            "unpause" => {
                shared.set_pause(None);
                self.replies.ok();
            }
            "unblock" => {
                if arguments.len() > 4 {
                    return Err(too_many(arguments, "CLIENT"));
                }
                if arguments.len() == 4 && !arguments.is_word(3, "timeout") && !arguments.is_word(3, "error") {
                    return Err(Refusal::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
                }
                arguments.integer(2)?;
                // No command blocks.
                self.replies.integer(0);
            }
            "tracking" => self.tracking(shared, arguments)?,
            "caching" => self.caching(arguments)?,
            "trackinginfo" => self.tracking_info(),
            _ => self.replies.integer(self.redirect()),
        }
        Ok(Step::Done)
    }

    fn set_info(&mut self, arguments: Arguments<'_>) -> Result<(), Refusal> {
        let option = arguments.at(2).to_ascii_lowercase();
        let (name, place) = match &*option {
            b"lib-name" => ("lib-name", 0),
            b"lib-ver" => ("lib-ver", 1),
            _ => {
                let option = String::from_utf8_lossy(arguments.at(2));
                return Err(Refusal::new(format!("ERR Unrecognized option '{option}'")));
            }
        };
        if !is_plain(arguments.at(3)) {
            return Err(Refusal::new(format!("ERR {name} cannot contain spaces, newlines or special characters.")));
        }
        if arguments.at(3).len() > NAME_BYTES_MAX {
            return Err(Refusal::new(format!("ERR {name} takes at most {NAME_BYTES_MAX} bytes")));
        }
        self.library[place] = arguments.at(3).into();
        self.introduce();
        self.replies.ok();
        Ok(())
    }

    fn list(&mut self, shared: &Shared, arguments: Arguments<'_>) -> Result<(), Refusal> {
        self.publish(Instant::now());
        let all = shared.clients.all();
        let listed: Vec<Arc<Client>> = if arguments.len() == 2 {
            all
        } else if arguments.len() == 4 && arguments.is_word(2, "type") {
            let kind = Kind::parse(arguments.at(3))?;
            all.into_iter().filter(|client| kind.is_of(client)).collect()
        } else if arguments.len() > 3 && arguments.is_word(2, "id") {
            let mut ids = Vec::new();
            for id in arguments.from(3) {
                ids.push(parse_i64(id).ok_or(Refusal::fixed("ERR Invalid client ID"))?);
            }
            let found = |id: i64| all.iter().find(|client| i64::try_from(client.id) == Ok(id)).cloned();
            ids.into_iter().filter_map(found).collect()
        } else {
            return Err(Refusal::SYNTAX);
        };
        let lines: String = listed.iter().map(|client| client.line() + "\n").collect();
        self.replies.verbatim(&lines);
        Ok(())
    }

    fn kill(&mut self, shared: &Shared, arguments: Arguments<'_>) -> Result<Step, Refusal> {
        let is_old_form = arguments.len() == 3;
        let filter = match is_old_form {
            true => Filter { address: Some(arguments.at(2).to_vec()), ..Filter::default() },
            false => Filter::parse(shared, arguments)?,
        };
        let (mut killed, mut is_caller) = (0, false);
        for client in shared.clients.all() {
            if !filter.takes(&client, self.client.id) {
                continue;
            }
            killed += 1;
            if client.id == self.client.id {
                is_caller = true;
            } else {
                self.outbox.kills.push((client.event_loop, client.id));
            }
        }
        match (is_old_form, killed) {
            (true, 0) => return Err(Refusal::fixed("ERR No such client")),
            (true, _) => self.replies.ok(),
            (false, killed) => self.replies.integer(count(killed)),
        }
        Ok(if is_caller { Step::Close } else { Step::Done })
    }

    fn set_reply_mode(&mut self, arguments: Arguments<'_>) -> Result<(), Refusal> {
        if arguments.is_word(2, "on") {
            self.reply_mode = ReplyMode::On;
            self.replies.ok();
        } else if arguments.is_word(2, "off") {
            self.reply_mode = ReplyMode::Off;
        } else if arguments.is_word(2, "skip") {
            if self.reply_mode != ReplyMode::Off {
                self.reply_mode = ReplyMode::SkipNext;
            }
        } else {
            return Err(Refusal::SYNTAX);
        }
        Ok(())
    }

    fn pause(&mut self, shared: &Shared, arguments: Arguments<'_>) -> Result<(), Refusal> {
        let only_writes = match arguments.len() {
            3 => false,
            4 if arguments.is_word(3, "all") => false,
            4 if arguments.is_word(3, "write") => true,
            _ => return Err(Refusal::fixed("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        };
        let milliseconds = parse_i64(arguments.at(2));
        let milliseconds = milliseconds.ok_or(Refusal::fixed("ERR timeout is not an integer or out of range"))?;
        let milliseconds = u64::try_from(milliseconds).map_err(|_| Refusal::fixed("ERR timeout is negative"))?;
        let until = Instant::now().checked_add(Duration::from_millis(milliseconds));
        let until = until.ok_or(Refusal::fixed("ERR timeout is not an integer or out of range"))?;
        shared.set_pause(Some(Pause { until, only_writes }));
        self.replies.ok();
        Ok(())
    }
}

/// The user of this name, who is `default` or a connection's.
fn known_user(shared: &Shared, name: &[u8]) -> Result<Arc<str>, Refusal> {
    let name = String::from_utf8_lossy(name);
    let is_known = name == "default" || shared.clients.all().iter().any(|client| *lock(&client.details).user == *name);
    if is_known { Ok(name.into()) } else { Err(Refusal::new(format!("ERR No such user '{name}'"))) }
}

pub(super) fn flag(text: &[u8]) -> Result<bool, Refusal> {
    match &*text.to_ascii_lowercase() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(Refusal::SYNTAX),
    }
}
