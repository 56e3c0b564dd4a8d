//! `CONFIG`.

use super::{Shared, State};
use crate::server::resp::command::{Arguments, Refusal};
use crate::server::resp::glob::Pattern;

impl State {
    pub(super) fn config_command(
        &mut self,
        shared: &Shared,
        subcommand: &str,
        arguments: Arguments<'_>,
    ) -> Result<(), Refusal> {
        match subcommand {
            "get" => {
                let found = found(shared, arguments);
                self.replies.map(found.len());
                for (name, value) in found {
                    self.replies.bulk(name.as_bytes());
                    self.replies.bulk(value.as_bytes());
                }
            }
            "set" => {
                if arguments.len() % 2 == 1 {
                    return Err(Refusal::SYNTAX);
                }
                let pairs = (2..arguments.len()).step_by(2).map(|at| (arguments.at(at), arguments.at(at + 1)));
                shared.config.set(pairs)?;
                self.replies.ok();
            }
            "resetstat" => {
                self.publish_counts(shared);
                shared.statistics.reset();
                self.replies.ok();
            }
            _ => return Err(Refusal::fixed("ERR The server is running without a config file")),
        }
        Ok(())
    }
}

/// What the patterns match. A name without a pattern is given back as it was written.
fn found(shared: &Shared, arguments: Arguments<'_>) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for pattern in arguments.from(2) {
        let is_name = !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
        for (name, value) in shared.config.get(&Pattern::ignoring_case(pattern), is_name) {
            if !found.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                let given = if is_name { String::from_utf8_lossy(pattern) } else { name.into() };
                found.push((given.into_owned(), value));
            }
        }
    }
    found
}
