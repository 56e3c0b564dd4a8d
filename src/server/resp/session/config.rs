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
                let patterns: Vec<Pattern> = arguments.from(2).map(Pattern::ignoring_case).collect();
                let found = shared.config.get(&patterns);
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
                shared.statistics.reset();
                self.replies.ok();
            }
            _ => return Err(Refusal::fixed("ERR The server is running without a config file")),
        }
        Ok(())
    }
}
