//! `HELP` of commands that have subcommands.

use super::State;
use crate::server::resp::command::subcommands;

impl State {
    /// Lists a command's subcommands, and how many arguments each takes.
    pub(super) fn help(&mut self, name: &str) {
        let subcommands = subcommands(name);
        self.replies.array(subcommands.len() + 1);
        self.replies.simple(&format!("{} <subcommand> [<argument> ...]. Subcommands are:", name.to_ascii_uppercase()));
        for subcommand in subcommands {
            let least = subcommand.arity.unsigned_abs().saturating_sub(2);
            let arguments = match (subcommand.arity < 0, least) {
                (false, 0) => String::new(),
                (false, least) => format!(" with {least} more"),
                (true, least) => format!(" with {least} more or further ones"),
            };
            self.replies.simple(&format!("{}{arguments}", subcommand.name.to_ascii_uppercase()));
        }
    }
}
