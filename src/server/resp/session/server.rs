//! Commands about the server: `SAVE`, `TIME`, `SHUTDOWN`, and what tools ask of it.

use std::time::Duration;

use super::categories::{CATEGORIES, in_category};
use super::{Shared, State, Step};
use crate::server::resp::command::{Arguments, Refusal};

/// Longest that `DEBUG SLEEP` takes.
const SLEEP_MAX: Duration = Duration::from_secs(3_600);

impl State {
    pub(super) fn server_command(
        &mut self,
        shared: &Shared,
        name: &str,
        subcommand: &str,
        arguments: Arguments<'_>,
    ) -> Result<Step, Refusal> {
        match (name, subcommand) {
            ("readonly" | "readwrite", _) => self.replies.ok(),
            // What was answered is durable already; what is written makes the next start fast.
            ("save", _) => {
                shared.keyspace.ask_for_checkpoint();
                self.replies.ok();
            }
            ("bgsave", _) => self.save_in_background(shared, arguments)?,
            ("lastsave", _) => self.replies.integer(shared.started_at.div_euclid(1_000_000)),
            ("wait", _) => {
                arguments.integer(1)?;
                let timeout = arguments.integer(2);
                let timeout = timeout.map_err(|_| Refusal::fixed("ERR timeout is not an integer or out of range"))?;
                if timeout < 0 {
                    return Err(Refusal::fixed("ERR timeout is negative"));
                }
                // There are no replicas to wait for.
                self.replies.integer(0);
            }
            ("time", _) => {
                let now = shared.keyspace.now().micros();
                self.replies.array(2);
                self.replies.bulk_integer(now.div_euclid(1_000_000));
                self.replies.bulk_integer(now.rem_euclid(1_000_000));
            }
            ("shutdown", _) => return self.shutdown(arguments),
            ("debug", _) => return debug(&mut self.replies, arguments),
            ("function", "flush") => {
                match arguments.len() {
                    2 => {}
                    3 if arguments.is_word(2, "sync") || arguments.is_word(2, "async") => {}
                    3 => return Err(Refusal::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
                    _ => return Err(too_many(arguments, "FUNCTION")),
                }
                self.replies.ok();
            }
            ("function", "stats") => {
                self.replies.map(2);
                self.replies.bulk(b"running_script");
                self.replies.null();
                self.replies.bulk(b"engines");
                self.replies.map(0);
            }
            ("latency", "reset") | ("slowlog", "len") => self.replies.integer(0),
            ("latency", "histogram") => self.replies.map(0),
            ("slowlog", "reset") => self.replies.ok(),
            ("slowlog", "get") => {
                if arguments.len() > 3 {
                    return Err(too_many(arguments, "SLOWLOG"));
                }
                if arguments.len() == 3 && !arguments.integer(2).is_ok_and(|count| count >= -1) {
                    return Err(Refusal::fixed("ERR count should be greater than or equal to -1"));
                }
                self.replies.array(0);
            }
            ("acl", "whoami") => {
                let user = self.user().to_owned();
                self.replies.bulk(user.as_bytes());
            }
            ("acl", "users") => {
                self.replies.array(1);
                self.replies.bulk(b"default");
            }
            ("acl", "list") => {
                let password = if shared.options.authenticator.is_required() { "" } else { " nopass" };
                self.replies.array(1);
                self.replies.bulk(format!("user default on{password} ~* &* +@all").as_bytes());
            }
            ("acl", _) => self.categories(arguments)?,
            // Functions, events of latency, slow commands: none.
            _ => self.replies.array(0),
        }
        Ok(Step::Done)
    }

    fn save_in_background(&mut self, shared: &Shared, arguments: Arguments<'_>) -> Result<(), Refusal> {
        match arguments.len() {
            1 => {}
            2 if arguments.is_word(1, "schedule") => {}
            _ => return Err(Refusal::SYNTAX),
        }
        shared.keyspace.ask_for_checkpoint();
        self.replies.simple("Background saving started");
        Ok(())
    }

    fn shutdown(&mut self, arguments: Arguments<'_>) -> Result<Step, Refusal> {
        let (mut saves, mut aborts) = (None, false);
        for option in arguments.from(1) {
            match &*option.to_ascii_lowercase() {
                b"save" if saves != Some(false) => saves = Some(true),
                b"nosave" if saves != Some(true) => saves = Some(false),
                b"now" | b"force" => {}
                b"abort" => aborts = true,
                _ => return Err(Refusal::SYNTAX),
            }
        }
        if aborts && arguments.len() > 2 {
            return Err(Refusal::SYNTAX);
        }
        if aborts {
            return Err(Refusal::fixed("ERR No shutdown in progress."));
        }
        self.outbox.stops_server = true;
        Ok(Step::Drop)
    }

    fn categories(&mut self, arguments: Arguments<'_>) -> Result<(), Refusal> {
        let names: Vec<String> = match arguments.get(2) {
            None => CATEGORIES.iter().map(|&category| category.to_owned()).collect(),
            Some(category) => {
                let category = String::from_utf8_lossy(category).to_ascii_lowercase();
                if !CATEGORIES.contains(&&*category) {
                    return Err(Refusal::new(format!("ERR Unknown category '{category}'")));
                }
                in_category(&category)
            }
        };
        self.replies.array(names.len());
        names.iter().for_each(|name| self.replies.bulk(name.as_bytes()));
        Ok(())
    }
}

/// Redis's words for a subcommand with more arguments than it takes, where only the command itself could tell.
pub(super) fn too_many(arguments: Arguments<'_>, command: &str) -> Refusal {
    let subcommand = String::from_utf8_lossy(arguments.at(1));
    Refusal::new(format!("ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try {command} HELP."))
}

/// Of `DEBUG` only what harms nobody else.
fn debug(replies: &mut super::ReplyBuffer, arguments: Arguments<'_>) -> Result<Step, Refusal> {
    if arguments.is_word(1, "sleep") && arguments.len() == 3 {
        let seconds = std::str::from_utf8(arguments.at(2)).ok().and_then(|text| text.parse::<f64>().ok());
        let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default();
        replies.ok();
        return Ok(Step::Sleep(time.min(SLEEP_MAX)));
    }
    Err(Refusal::fixed(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local \
         connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}
