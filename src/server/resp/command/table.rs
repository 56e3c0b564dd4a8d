//! All commands there are.

use super::{Command, Flag, KeyPositions, Run};
use crate::server::resp::strings;

use Flag::{Fast, ReadOnly};

/// All commands, by name.
pub const COMMANDS: &[Command] = &[Command {
    name: "get",
    arity: 2,
    flags: &[ReadOnly, Fast],
    keys: KeyPositions::ONE,
    run: Run::Read(strings::get),
}];

/// The command of this name, in either case.
pub fn find(name: &[u8]) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()))
}
